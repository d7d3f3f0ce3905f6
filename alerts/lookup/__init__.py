"""One person on the phone: whether their data is exposed, and what may be said of it.

    exposed   the value is tagged in memory and forgotten; only its tags meet the store
    person    what the person may hear, with its texts in `scripts.toml`
    screening many customers at a time, by handle or index tag, for a risk engine
    sweeps    whether somebody goes through one number after the other

Every question is in the audit log before it is answered.
"""
