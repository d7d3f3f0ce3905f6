"""Keys and what is done with them: sealing, signing, tagging, and values that leave masked alone.

    masking        a raw value in memory, and the one way out for it
    cmac           AES-CMAC of one value, and the keys that are derived
    tags           the same of normalised values, a batch at a time
    sealing        what only match can read
    capture_seal   the same of captures, by the visit
    signing        which of our own processes made a record
    check_values   whether a key is still the one that it was
    tls            whom a client believes, and what it shows of itself
    keys           the files of keys, and which role may read which

What each role may read is in `keys`; the metadata of records that are sealed and signed are in
`ullage.records`.
"""
