"""Keep keys and use them: sealing, signing, tagging, and masking of raw values.

    masking        a raw value in memory, and the only way to read it
    cmac           AES-CMAC of one value, and derived keys
    tags           AES-CMAC of a batch of normalised values
    sealing        encryption that only match can open
    capture_seal   encryption of captures, one key per visit
    signing        which of our own processes made a record
    tls            certificates of servers, clients and listeners
    keys           the key files, their check values, and which service may read which

The metadata of sealed and signed records are in `ullage.records`.
"""
