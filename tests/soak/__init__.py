"""`make soak`: the embedded product at work for two hours, whether it grows, and whether it still finds everything.

sites       paste sites on loopback with new pastes all the time and faults
slopes      least squares over what the kernel says of each process
running     the product at work on them, and the samples
__main__    runs it, prints the slopes, and compares what was found with what was planted
"""
