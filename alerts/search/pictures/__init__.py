"""Pictures, drawn on the server: pure functions from data to SVG, a file each.

A picture has a title and a description for screen readers, and takes its colours from the style sheet by class, so that it
follows light and dark. Nothing is said by colour alone: a letter, a number or a pattern says it as well. What is drawn also
stands beside it as text, for whoever cannot see it.
"""
