"""The rules as data: what is in force, how precise each has been, and what others would change.

kinds       `verdict` (scenarios, points, thresholds), `background`, and the lexicons (`ullage.files.rulefiles`)
precision   each rule's incidents, and what analysts said of them
kept        both for the page, as of some minutes ago
trial       stored facts judged again by a file that is not in force; nothing is written
"""
