"""Look up a person or a seller by tags of a typed value, in every form in which it is enrolled.

    values            forms in which values are enrolled, found and looked up; free text without
                      identifiers; authors by their tag
    list_index        the list of enrolled customers, for the answer "recorded, found nowhere"
    erased_customers  erased customers, without naming them

A value is tagged in memory and forgotten; only tags are stored or compared.
"""
