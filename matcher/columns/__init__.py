"""Arrays over a buffer of many texts: batches, bit sets of offsets, byte classes, literals."""
