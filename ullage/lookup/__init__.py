"""How a person or a seller is looked up: by tags of what was typed, in every form in which a value is enrolled.

    free_text_check   what people type: an identifier, or words that must not hold one
    written_forms     in which forms a value is enrolled, found and looked up
    enrolled          the list of what is recorded, so that search can say "recorded, found nowhere"
    sellers           authors of posts, by a tag of their name

A value is tagged in memory and forgotten; only tags are kept or compared.
"""
