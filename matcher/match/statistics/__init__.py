"""Facts of a whole capture, for every tenant the same: counts, dates, field map, skeleton, sketch.

A capture is tallied part by part as it goes by, so that a file of any length costs the same memory; and only when somebody
asks, since most captures match nobody.
"""

from matcher.match.statistics.groups import groups_of, matched_groups
from matcher.match.statistics.key import CaptureKey
from matcher.match.statistics.part import Part
from matcher.match.statistics.tally import Tally

__all__ = ["CaptureKey", "Part", "Tally", "groups_of", "matched_groups"]
