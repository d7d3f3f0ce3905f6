"""Arrays over a buffer of many texts: the batch, sets of places as bits, classes of bytes, and
literals found in one pass.
"""
