"""The rules as data: what is in force, what other rules would change, and what people said of each rule's incidents.

kinds    `verdict` (scenarios, points, thresholds), `background`, and the lexicons (`ullage.files.rulefiles`)
replay   stored facts judged again by rules; nothing is written
"""
