"""Find deleted rows of a SQLite database, which stay in its file until something overwrites them.

A page of a table has its rows at the end and their places at the beginning. What is neither is
free: the room between, blocks of deleted rows (the first two octets of each name the next one, the
other two its size), and whole pages of the list of free pages. A row is a *record* (file format of
SQLite, section 2.1): the size of its header, a type for each column, then the values.

    06 17 23          header of 3 octets: a text of 5 octets, a text of 11
    e5bca0 …  31 33   the texts

A block's first four octets are lost. With them goes the header's size and mostly the first type;
the size of the block tells how long the first value is. Blocks that lay side by side are one block
now, and those inside still have their sizes, each what remains of the whole.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from matcher.unpack.walk import Body, cell

HEAD, PAGE_SIZE, MOST_PAGE, RESERVED, FIRST_FREE, ENCODING = (
    100,
    slice(16, 18),
    65_536,
    20,
    slice(32, 36),
    slice(56, 60),
)
"""Size of the head of a file, and places in it."""
ENCODINGS = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
LEAF, INDEX_LEAF = 0x0D, 0x0A
"""Types of pages with rows and with entries of an index."""
FIRST_BLOCK, CELLS, CONTENT, PAGE_HEAD, POINTER = slice(1, 3), slice(3, 5), slice(5, 7), 8, 2
LOST, SHORTEST_RECORD, LONGEST_CELL_HEAD = 4, 4, 8
"""Octets of a block that its place in the list overwrites, of the shortest record, and of the size
and number of a row before its header.
"""
MOST_COLUMNS, LONGEST_VALUE = 30, 512
"""Columns of a row that is found (beyond, the size of a header looks like a letter), and octets of
a value: what holds a longer one is read as text.
"""
MAY_BEGIN = re.compile(rb"[\x02-\x1f]")
WIDTHS = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
"""Octets of the values of the types 0 to 9; 10 and 11 are not in use."""
FLOATING, ZERO, ONE, FIRST_TEXT = 7, 8, 9, 12
VALUE, NUMBER = re.compile(r"[0-9]{7}|@|[\u0080-\U0010ffff]{2}"), 10**9
"""What a text has that may name a person, and the least number that may."""
PRINTED = re.compile(rb"[\x20-\x7e\x80-\xff]{7,}")


class Row(NamedTuple):
    """A deleted row: its octets [start, end) of a page, and its values."""

    start: int
    end: int
    values: list[object]


class DeletedRows:
    """The deleted rows of a database.

    `counts` are the numbers of columns of its tables. `is_complete` turns False where free room
    holds text that is no row.
    """

    def __init__(self, body: Body, counts: Sequence[int]) -> None:
        size = int.from_bytes(body[PAGE_SIZE], "big")
        self._body, self._page = body, MOST_PAGE if size == 1 else size
        self._usable = self._page - body[RESERVED]
        encoding = int.from_bytes(body[ENCODING], "big")
        self._encoding = ENCODINGS.get(encoding, "utf-8")
        self._counts = sorted({count for count in counts if count <= MOST_COLUMNS})
        self.is_complete = True

    def rows(self) -> Iterator[list[object]]:
        """Yield the values of each deleted row; for free space without rows, its text.

        The first page is passed over. Values that cannot be read are None.
        """
        free = set(self._list_free_pages())
        for number in range(2, len(self._body) // max(self._page, 1) + 1):
            start = (number - 1) * self._page
            page = self._body[start : start + self._usable]
            for begin, end in [(0, len(page))] if number in free else self._find_free_room(page):
                room = page[begin:end]
                if room.strip(b"\0"):
                    yield from self._read_room(room)

    def _list_free_pages(self) -> Iterator[int]:
        """Yield the numbers of the free pages, and of those that list them and are free besides.

        A list that leads in a circle or out of the file ends there.
        """
        trunk, visited = int.from_bytes(self._body[FIRST_FREE], "big"), set[int]()
        while trunk and trunk not in visited and trunk * self._page <= len(self._body):
            visited.add(trunk)
            yield trunk
            start = (trunk - 1) * self._page
            count = int.from_bytes(self._body[start + 4 : start + 8], "big")
            leaves = self._body[start + 8 : start + 8 + 4 * min(count, self._usable // 4)]
            yield from (
                int.from_bytes(leaves[at : at + 4], "big") for at in range(0, len(leaves), 4)
            )
            trunk = int.from_bytes(self._body[start : start + 4], "big")

    def _find_free_room(self, page: bytes) -> Iterator[tuple[int, int]]:
        """Yield the stretches [start, end) of a page that hold no row.

        Yields nothing for a page of another type than a leaf.
        """
        if not page or page[0] not in (LEAF, INDEX_LEAF):
            return
        count = int.from_bytes(page[CELLS], "big")
        content = int.from_bytes(page[CONTENT], "big") or MOST_PAGE
        yield PAGE_HEAD + POINTER * count, min(content, len(page))
        block, before = int.from_bytes(page[FIRST_BLOCK], "big"), 0
        while before < block <= len(page) - LOST:
            yield block, min(block + int.from_bytes(page[block + 2 : block + 4], "big"), len(page))
            before, block = block, int.from_bytes(page[block : block + 2], "big")

    def _read_room(self, room: bytes) -> Iterator[list[object]]:
        """Yield the rows in free room, whole ones first.

        Then comes what is read between them: rows without a header, and text.
        """
        whole, at = list[Row](), 0
        while begin := MAY_BEGIN.search(room, at):
            row = self._parse(room, begin.start())
            at = row.end if row else begin.end()
            whole += [row] if row else []
        yield from (row.values for row in whole)
        starts, end = [row.start for row in whole] + [len(room)], 0
        for number, start in enumerate(starts):
            between, behind = room[end:start], 0
            for row in self._read_blocks(between):
                yield row.values
                yield from self._read_text(between[behind : row.start])
                behind = row.end
            yield from self._read_text(between[behind:])
            end = whole[number].end if number < len(whole) else start

    def _read_text(self, remaining: bytes) -> Iterator[list[object]]:
        """Yield the texts in free room that may name a person and are no row."""
        for match in PRINTED.finditer(remaining):
            text = match[0].decode(self._encoding, "ignore")
            if VALUE.search(text):
                self.is_complete = False
                yield [text]

    def _parse(self, room: bytes, at: int) -> Row | None:
        """Return the row whose header begins at a place, if its size stands before it."""
        row = self._parse_header(room, at)
        begin = _find_size(room, at, row.end - at) if row else -1
        return row._replace(start=begin) if row and begin >= 0 else None

    def _parse_header(self, room: bytes, at: int) -> Row | None:
        """Return the row with a header that begins at a place.

        Returns None if none does, or its values cannot be read.
        """
        types, place, end = list[int](), at + 1, at + room[at]
        while place < end:
            kind, place = _read_varint(room, place)
            types.append(kind)
        if place != end or not types or len(types) > MOST_COLUMNS:
            return None
        return self._read_values(room, at, types, end)

    def _read_values(self, room: bytes, start: int, types: Sequence[int], at: int) -> Row | None:
        """Return the row with values of these `types` from a place on.

        None if they do not fit or cannot be read, or if no value tells anything.
        """
        values, is_telling = list[object](), False
        for kind in types:
            width = _measure(kind)
            if not 0 <= width <= LONGEST_VALUE or at + width > len(room):
                return None
            raw, at = room[at : at + width], at + width
            value = self._decode(kind, raw)
            if value is None and kind:
                return None
            values.append(value)
            is_telling = is_telling or _is_telling(value)
        return Row(start, at, values) if is_telling else None

    def _decode(self, kind: int, raw: bytes) -> object:
        """Return a value of a type; None for NULL and for what is no text."""
        if kind < FIRST_TEXT:
            if kind in (ZERO, ONE):
                return kind - ZERO
            return (
                "" if kind == FLOATING else int.from_bytes(raw, "big", signed=True) if raw else None
            )
        if kind % 2 == 0:
            return cell(raw) if raw else ""
        try:
            text = raw.decode(self._encoding)
        except UnicodeDecodeError:
            return None
        return text if text.translate({9: " ", 10: " ", 13: " "}).isprintable() else None

    def _read_blocks(self, room: bytes) -> Iterator[Row]:
        """Yield the rows of which the first octets are lost.

        Blocks that became one have sizes that name the same end. That end may be wrong, as rows are
        moved with what is between them.
        """
        if PRINTED.search(room) is None:
            return
        by_end = defaultdict[int, list[int]](list)
        for start in range(len(room) - LOST - SHORTEST_RECORD):
            size = int.from_bytes(room[start + 2 : start + LOST], "big")
            if LOST + SHORTEST_RECORD <= size <= self._usable:
                by_end[start + size].append(start)
        blocks = [
            block
            for end, starts in by_end.items()
            if len(starts) > 1 or end == len(room)
            for block in pairwise([*starts, *[end] * (end <= len(room))])
        ]
        behind = 0
        for start, end in sorted(blocks):
            if start < behind or end - start < LOST + SHORTEST_RECORD:
                continue
            if row := self._parse_block(room, start, end):
                behind = end
                yield row

    def _parse_block(self, room: bytes, start: int, end: int) -> Row | None:
        """Return the row in a block that is [start, end) of free room.

        Before its header stand its size and its number: if both have one octet, the first type is
        lost as well; if one has two, only the header's size; if both have two, nothing else.
        """
        block = room[:end]
        if (row := self._parse_header(block, start + LOST)) and row.end == len(block):
            return row
        for count in self._counts:
            for is_lost in (False, True):
                types, at = list[int](), start + LOST
                while len(types) < count - is_lost and at < len(block):
                    kind, at = _read_varint(block, at)
                    types.append(kind)
                if min(map(_measure, types), default=0) < 0:
                    continue
                first = len(block) - at - sum(map(_measure, types))
                if first == 0 and not is_lost:
                    row = self._read_values(block, start, types, at)
                elif first >= 0 and is_lost:
                    lost = FIRST_TEXT + 1 + 2 * first if first else 0
                    row = self._read_values(block, start, [lost, *types], at)
                else:
                    continue
                if row:
                    return row
        return None


def _is_telling(value: object) -> bool:
    """Return whether a value may name a person."""
    if isinstance(value, str):
        return VALUE.search(value) is not None
    return isinstance(value, int) and value >= NUMBER


def _find_size(room: bytes, header: int, size: int) -> int:
    """Return where the size of a record and its number begin before its `header`, -1 if nowhere.

    An entry of an index has no number.
    """
    for begin in range(header - 1, max(-1, header - LONGEST_CELL_HEAD - 1), -1):
        value, place = _read_varint(room, begin)
        if value == size and (place == header or _read_varint(room, place)[1] == header):
            return begin
    return -1


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of one or more octets, and where it ends; -1 if it is none."""
    value = 0
    for place in range(at, min(at + 4, len(data))):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return -1, at + 4


def _measure(kind: int) -> int:
    """Return the octets of a value of a type; -1 for a type that is not in use."""
    if kind < FIRST_TEXT:
        return WIDTHS[kind] if 0 <= kind < len(WIDTHS) else -1
    return (kind - FIRST_TEXT) // 2
