"""The draft of a breach notification: every field that the cited rules ask for, filled from the store or left for a person.

It is a draft for counsel, it is never sent, and nothing in it names a customer: it is made of counts, labels and times, without
titles, authors, addresses, handles or tags. What nobody can know from the store says so and says who has to write it.

    draft.toml, content   sections and fields in both languages, with the rule that asks for each
    advice.toml           a scenario's possible harm and advice to the people concerned (PIPL 57(2))
    categories.toml       what each field label is called
    facts                 an incident's values by field
    draft                 both together, as one page in a language
    markdown, word        that page as text and as a document; neither holds content of its own
"""
