"""How a person or a seller is looked up: by tags of what was typed, in every form in which a value
is enrolled.

    values            in which forms a value is enrolled, found and looked up; words that must hold none; authors by their tag
    list_index        the list of enrolled customers, so that search can say "recorded, found nowhere"
    erased_customers  whose data was erased

A value is tagged in memory and forgotten; only tags are kept or compared.
"""  # noqa: E501
