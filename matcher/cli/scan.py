"""`ullage scan`: match local files now, without bus or store; files are never copied or kept."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple

import numpy as np
import typer

from matcher.cli.loading import known_here
from matcher.cli.notes import read_notes_beside
from matcher.cli.supervision import OutputProgress, SearchNote, supervise
from matcher.match.batches import (
    BatchSearch,
    SearchResult,
    UnreadValues,
    ValueCounts,
    count_values,
    list_enrolled_codes,
    list_enrolled_forms,
)
from matcher.match.corroborate import look_up
from matcher.match.counts import locate, score_confidence
from matcher.match.lookup import find_customers_without_rows
from matcher.match.parts import FailedPart, Piece, number_members, pieces_of_member, report_unread
from matcher.unpack.formats import media_of
from matcher.unpack.parent import ForkServer, has_ocr, unpack
from matcher.unpack.protocol import LOCAL, LOCAL_OCR_SECONDS, Limits, UnreadCounts, UnreadPart
from matcher.watchlist.installation import TenantLists
from ullage.display.progress import ReadProgress, read_progress
from ullage.errors import ConfigError, Exit
from ullage.guard import DIED, STRICT, DetectorFault, FaultGuard
from ullage.records import Capture
from ullage.verdict.words import format_count

Fail = Annotated[bool, typer.Option("--fail", help="Exit with code 4 if a customer was found.")]

Ocr = Annotated[
    bool,
    typer.Option(
        "--ocr", help=("Also read images by OCR, which takes seconds for each (extra ocr).")
    ),
]


def scan(
    ctx: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Files, archives and folders; - reads standard input.")
    ],
    alarms: Annotated[
        bool,
        typer.Option("--alarms", help="Also print lexicon terms (kind lexicon, subject null)."),
    ] = False,
    not_read: Annotated[
        bool,
        typer.Option(
            "--unread",
            help=("Also print content that was not readable (kind `unread`, the reason as form)."),
        ),
    ] = False,
    ocr: Ocr = False,
    fail: Fail = False,
) -> None:
    """Match local files and print JSON Lines. Nothing of them is kept.

    Names on stderr what was not read, or not wholly; where there was any, there is no verdict on
    the whole.
    """
    known = known_here(ctx.obj, words=alarms)
    limits = limits_here(ocr=ocr)
    # a second process could not read it again
    given = sys.stdin.buffer.read() if Path("-") in paths else b""
    note = supervise()
    files = FileScan(limits, note, given, print_unread=not_read)
    exposed, customers = False, set[str]()
    # lines of the output show as well how far it is
    is_shown = sys.stderr.isatty() and not sys.stdout.isatty()
    listed = files_under(paths, files.skip)
    named: Iterable[Path] = list(listed) if is_shown else listed
    search = BatchSearch(known.lexicon, known.public, note, list_enrolled_codes(known.lists))
    evaluate = partial(files.evaluate, lists=known.lists, alarms=alarms)
    with read_progress(
        [size_of(path) for path in named] if is_shown else (), shown=is_shown
    ) as progress:
        for batch in search.evaluate_batches(
            files.pieces(named, progress, customers.__len__), evaluate
        ):
            for fault in batch.faults:
                files.add_fault(batch.pieces[0].path, fault)
            if batch.result is not None:
                exposed = files.write(batch.result[1], len(batch.pieces)) or exposed
                customers.update(batch.result[1].subjects if is_shown else ())
            del batch
    files.tell_values(list_enrolled_forms(known.lists))
    typer.echo(str(files), err=True)
    raise typer.Exit(
        Exit.EXPOSED if exposed and fail else Exit.DONE if files.is_whole() else Exit.NO_VERDICT
    )


class ScanLines(NamedTuple):
    """The output of `scan` for a batch.

    `forms` are the forms by which customers were found.
    """

    lines: list[str]
    terms: list[dict[str, object]]
    subjects: list[str]
    forms: set[str]
    values: Collection[ValueCounts]


class FileScan:
    """The files of a scan, and the parts that were not read.

    Those are named on stderr and, with `print_unread`, on stdout.
    """

    def __init__(
        self,
        limits: Limits,
        note: SearchNote | None = None,
        given: bytes = b"",
        *,
        print_unread: bool,
    ) -> None:
        self._limits, self._note, self._given, self._print_unread = (
            limits,
            note,
            given,
            print_unread,
        )
        self._written = OutputProgress()
        self._unread, self._outcomes = UnreadCounts(), list[UnreadPart]()
        self._count, self._blank, self._current = 0, 0, ""
        self._values, self._forms, self._faults = (
            dict[str, UnreadValues](),
            set[str](),
            set[tuple[str, str]](),
        )

    def __str__(self) -> str:
        scanned = format_count(self._count, "file")
        return (
            f"{scanned} scanned,"
            f" {self._unread if self._unread.files or self._count else 'nothing to read'}"
        )

    def is_whole(self) -> bool:
        """Return whether there was something to read and all of it was read.

        Only then does no hit mean no customer.
        """
        return self._count > self._blank and not self._unread.matters

    def skip(self, outcome: UnreadPart) -> None:
        """Record a part that was not read, of the current file or another, and print it.

        It is printed on standard error, and with `print_unread` as JSON too. What an earlier
        process has printed is not printed again.
        """
        self._outcomes.append(outcome)
        self._blank += outcome == (self._current, "empty")
        self._unread.add(outcome, self._current or outcome.path)
        if self._note is None or self._written.messages >= self._note.resumed.messages:
            typer.echo(str(outcome), err=True)
            if self._print_unread:
                _write(_row(outcome.path, None, ("unread", outcome.reason), None))
        self._record_output(0, 1)

    def _record_output(self, pieces: int, messages: int) -> None:
        """Record that the output of that many more pieces and messages was written."""
        self._written = OutputProgress(
            self._written.pieces + pieces, self._written.messages + messages
        )
        if self._note is not None:
            sys.stdout.flush()
            self._note.record_output(OutputProgress(*map(max, self._written, self._note.resumed)))

    def pieces(
        self, files: Iterable[Path], progress: ReadProgress, count_customers: Callable[[], int]
    ) -> Iterator[Piece]:
        """Yield the pieces of `files`, one file after the other; "-" is standard input.

        A file on which an earlier process died is left out, with a fault. Shows the progress.
        """
        with ForkServer() as server:
            for path in files:
                self._current = printable(path)
                self._outcomes.clear()
                progress.begin()
                guard = FaultGuard(partial(self.add_fault, self._current))
                if self._note is not None and not self._note.begin_file():
                    self.add_fault(self._current, DetectorFault("unpack", DIED))
                    self._current = ""
                    continue
                with guard.step("unpack"):
                    source = self._given if str(path) == "-" else None
                    inside = pieces_in(
                        path, 0, self.skip, server, self._limits, guard=guard, given=source
                    )
                    for piece in report_unread(inside, self._current, self._outcomes, self.skip):
                        yield piece
                        progress.read(piece.size, count_customers)
                self._count, self._current = self._count + 1, ""

    def add_fault(self, path: str, fault: DetectorFault) -> None:
        """Report a part that failed on the text at `path`, one time."""
        if (path, fault.part) not in self._faults:
            self._faults.add((path, fault.part))
            self.skip(FailedPart(path, fault))

    def evaluate(
        self, searched: SearchResult, lists: Sequence[TenantLists], *, alarms: bool
    ) -> ScanLines:
        """Return the output for a batch.

        Nothing is printed or recorded before all of it is known. A part that fails costs only its
        own lines.
        """
        guard, made = searched.guard, ScanLines([], [], [], set(), [])
        for tenant in lists:
            customers = guard.run("look_up", partial(_list_customers, tenant, searched), None)
            if customers is not None:
                made.lines.extend(customers[0])
                made.forms.update(customers[1])
                made.subjects.extend(customers[2])
        terms = (
            guard.run("lexicon", lambda: list(_terms(searched)), list[dict[str, object]]())
            if alarms
            else []
        )
        values = guard.run(
            "unread_values", lambda: self._count_values(searched), list[ValueCounts]()
        )
        return made._replace(terms=terms, values=values)

    def write(self, made: ScanLines, pieces: int) -> bool:
        """Print the lines of a batch and record its values; return whether it has a customer.

        A batch that an earlier process has printed is only recorded.
        """
        if self._note is None or self._written.pieces >= self._note.resumed.pieces:
            sys.stdout.write("".join(made.lines))
            for row in made.terms:
                _write(row)
        self._record_output(pieces, 0)
        for counts in made.values:
            self._values.setdefault(counts.path, UnreadValues()).add(*counts)
        self._forms |= made.forms
        return bool(made.lines)

    def _count_values(self, searched: SearchResult) -> list[ValueCounts]:
        """Count the values of a batch that no list can be searched for."""
        paths, numbers = {*self._values}, list[int]()
        for number, part in enumerate(searched.parts):
            paths.update({part.piece.path} if number in searched.unread else ())
            numbers += [number] if part.piece.path in paths else []
        return list(count_values(searched, numbers).values()) if numbers else []

    def tell_values(self, enrolled: Collection[str]) -> None:
        """Report the values that no list could be searched for.

        `enrolled` are the forms in the lists.
        """
        for values in self._values.values():
            values.read |= self._forms
            for outcome in values.list_reportable(enrolled):
                self.skip(outcome)


def _write(row: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _list_customers(
    lists: TenantLists, searched: SearchResult
) -> tuple[list[str], set[str], list[str]]:
    """Return the lines for a tenant's customers in a batch, their forms, and their pseudonyms.

    They are of the key generation with most matches, of equals the newest. If rows cannot be read,
    the customers are those that a value alone proves. All three are empty if nobody was found.
    """
    by_epoch = [
        (
            searched.guard.run("evidence", partial(look_up, epoch, searched, in_full=False), None)
            or find_customers_without_rows(epoch, searched.batch, searched.asked),
            epoch,
        )
        for epoch in lists.epochs
    ]
    found, best = max(by_epoch, key=lambda pair: (len(pair[0]), pair[1].number))
    place = locate(searched, found.document, found.start, found.end)
    paths = [json.dumps(part.piece.path, ensure_ascii=False) for part in searched.parts]
    named = [
        f'"kind": "{kind}", "form": "{form}", "tenant": {json.dumps(lists.tenant)}'
        for kind, form in found.kinds
    ]
    columns = (column.tolist() for column in (found.document, place.first, place.last, found.query))
    handles = best.list.handles(found.subject)
    lines = [
        f'{{"path": {paths[document]}, "start": {first}, "end": {last}, {named[question]},'
        f' "subject": "{handle}", "confidence": {confidence}}}\n'
        for document, first, last, question, handle, confidence in zip(
            *columns, handles, score_confidence(found).tolist(), strict=True
        )
    ]
    return lines, {found.asked[number].form for number in np.unique(found.query).tolist()}, handles


def _terms(searched: SearchResult) -> Iterator[dict[str, object]]:
    """Yield the records of `scan --alarms` for a batch's lexicon terms."""
    for part, terms in zip(searched.parts, searched.terms, strict=True):
        for hit in terms.hits:
            start, end = part.text.span(*part.text.to_characters([hit.start, hit.end]).tolist())
            place = (part.piece.offset + start, part.piece.offset + end)
            yield _row(part.piece.path, place, ("lexicon", "plain"), hit.entry.weight * 20)


def _row(
    path: str,
    place: tuple[int, int] | None,
    what: tuple[str, str],
    confidence: int | None,
) -> dict[str, object]:
    """Return a line of `scan` about no customer, with its fields in the documented order."""
    start, end = place or (None, None)
    named = {"kind": what[0], "form": what[1], "tenant": None, "subject": None}
    return {"path": path, "start": start, "end": end, **named, "confidence": confidence}


def limits_here(*, ocr: bool) -> Limits:
    """Return the limits for a file that a person chose.

    Prints a message if pictures are wanted and cannot be read.
    """
    if ocr and not has_ocr():
        typer.echo(
            (
                "images are not read without OCR: pip install 'ullage[match,ocr]' (Python"
                " 3.11 or 3.12)"
            ),
            err=True,
        )
    return LOCAL._replace(ocr_seconds=LOCAL_OCR_SECONDS) if ocr else LOCAL


def capture_of(path: Path, body: bytes, now: datetime) -> Capture:
    """Return a capture of a file's bytes."""
    return Capture(id="local", site="local", post_id="", url="", fetched_at=now,
        media_type=media_of(path.name),
                   kind="attachment", body=body)  # fmt: skip


def pieces_in(
    path: Path,
    source: int,
    on_skipped: Callable[[UnreadPart], None],
    server: ForkServer | None = None,
    limits: Limits = LOCAL,
    named: Path | None = None,
    *,
    guard: FaultGuard = STRICT,
    given: bytes | None = None,
) -> Iterator[Piece]:
    """Yield a file in windows: itself, or the members of a container.

    `on_skipped` is called for each part that is not read. A file without any content yields one
    empty piece, so that it counts. `server` starts the children that unpack. A file with another
    name to report is `named`. If a lenient `guard` catches the fault of a member, the remaining
    members are read. `given` is the content of standard input, if that is read.
    """
    name = printable(named or path)
    try:
        stack = contextlib.ExitStack()
        body = given if given is not None else stack.enter_context(path.open("rb"))
    except OSError:
        on_skipped(UnreadPart(name, "denied"))
        yield Piece(source, name, b"", 0)
        return
    notes = partial(read_notes_beside, path) if given is None else tuple
    with stack, unpack(body, name, limits, server=server, notes=notes) as unpacked:
        empty = True
        if is_empty(body):
            on_skipped(UnreadPart(name, "empty"))
        for number, item in number_members(unpacked, name):
            if isinstance(item, UnreadPart):
                on_skipped(item)
                continue
            with guard.step("unpack"):
                for piece in pieces_of_member(source, item, on_skipped, number=number):
                    empty = False
                    yield piece
        if empty:
            yield Piece(source, name, b"", 0)


def size_of(path: Path) -> int | None:
    """Return the bytes of a file; None for standard input, or if the size is unknown."""
    try:
        return None if str(path) == "-" else path.stat().st_size
    except OSError:
        return None


def is_empty(body: BinaryIO | bytes) -> bool:
    """Return whether a body is empty."""
    return not body if isinstance(body, bytes) else os.fstat(body.fileno()).st_size == 0


def files_under(paths: Sequence[Path], on_skipped: Callable[[UnreadPart], None]) -> Iterator[Path]:
    """Yield the files that `paths` name, folders walked in order; `-` is standard input.

    Raises `ConfigError` for the first path that is neither a file nor a folder, or cannot be read;
    files before it have been yielded. Links are not followed: `on_skipped` is called for those that
    lead outside all `paths`, for unreadable folders, and for what is no file. A folder without
    files yields nothing.
    """
    whole = [os.path.realpath(path) for path in paths]
    for path in paths:
        try:
            is_file, is_folder = str(path) == "-" or path.is_file(), path.is_dir()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
        if is_file:
            yield path
        elif is_folder:
            yield from sorted(_walk_files(path, whole, on_skipped))
        else:
            raise ConfigError(f"{path} is neither a file nor a folder: name another")


def _walk_files(
    folder: Path, whole: Iterable[str], on_skipped: Callable[[UnreadPart], None]
) -> Iterator[Path]:
    """Yield the files below a folder; those that links name are read at their own place.

    `on_skipped` is called for links that lead outside of `whole` or nowhere, unreadable folders,
    and what is no file.
    """

    def denied(error: OSError) -> None:
        on_skipped(UnreadPart(printable(Path(error.filename)), "denied"))

    for place, folders, names in os.walk(folder, onerror=denied):
        for path in (Path(place, name) for name in (*folders, *names)):
            if path.is_symlink():
                target = Path(os.path.realpath(path))
                if not (target.exists() and any(target.is_relative_to(one) for one in whole)):
                    on_skipped(UnreadPart(printable(path), "link"))
            elif path.is_file():
                yield path
            elif not path.is_dir():  # a pipe, a socket, a device
                on_skipped(UnreadPart(printable(path), "unsupported"))


def printable(path: Path) -> str:
    """Return a path that is safe to print; bytes in no encoding are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def body_of(path: Path) -> bytes:
    """Return the bytes of a file, or of standard input for `-`.

    Raises ConfigError if it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None


def check_file(path: Path) -> None:
    """Raise `ConfigError` if `path` is not a readable file."""
    if str(path) == "-":
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
