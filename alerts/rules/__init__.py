"""The rules as data: what is in force, how precise each has been, and what others would change.

kept        the two files: `verdict` (scenarios, points, thresholds) and `background`; those of this version, or the house's own
precision   each rule's incidents, and what analysts said of them
trial       stored facts judged again by a file that is not in force; nothing is written
"""
