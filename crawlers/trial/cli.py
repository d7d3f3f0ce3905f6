"""Implement `ullage sites try`: probe an address, or a site that has a file."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from crawlers.frontier.database import FILE, open_frontier
from crawlers.frontier.history import SiteHistory
from crawlers.platforms import find_platform
from crawlers.sites.presets import FOLDER, Presets
from crawlers.sites.site import Site, SiteFolder, is_route, read_site, split_url
from crawlers.sites.visit_verdict import MEANING
from crawlers.trial.look import SiteSurvey, look
from crawlers.trial.proposal import Mend, propose_mends, render_file
from crawlers.trial.report import as_json, build_lines, build_table
from ullage import setup
from ullage.display import moment, safe
from ullage.display.screen import AsJson, make_console, print_row
from ullage.errors import ConfigError, Exit
from ullage.files.atomic_write import write_new
from ullage.lookup.values import identifier_in
from ullage.records.heartbeat import is_valid_name
from ullage.settings import SITES, Context

UNNAMED = "site"
"""The name of a site whose host reads like an identifier, such as an IP address."""
UNSAID = "-"
"""A placeholder for legal basis and owner of a site without a file; it is never written."""
NAME_SIGNS = re.compile(r"[^a-z0-9._-]+")
HOST = re.compile(r"[\w.:%-]+")
"""A host name in any script, or an IPv4 or IPv6 address."""


def try_site(
    ctx: typer.Context,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL|SITE",
            help=(
                "The address of a list (a board's front page, a paste site's archive, a"
                " feed), or the name of a site with a file."
            ),
        ),
    ],
    name: Annotated[
        str, typer.Option(help="The name of the site and its file; by default its host.")
    ] = "",
    legal_basis: Annotated[
        str, typer.Option(help="The legal basis of reading it; asked for on a terminal.")
    ] = "",
    owner: Annotated[
        str, typer.Option(help="Who is responsible for it; asked for on a terminal.")
    ] = "",
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="Allow an address within the organization."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Examine only; write no file.")
    ] = False,
    json_out: AsJson = False,
) -> None:
    """Examine a site for half a minute, and write its file if its posts can be read.

    Of a site that has a file it says why that is not seen, or silent, and what would mend it; it
    changes nothing then.
    """
    context: Context = ctx.obj
    setup.require(context)
    folder = context.data / SITES
    if _is_site(folder, url):
        _examine(context, url, json_out=json_out)
    else:
        _propose(
            context,
            folder,
            _build_site(url, name, allow_private),
            legal_basis,
            owner,
            dry_run=dry_run,
            json_out=json_out,
        )


def _is_site(folder: Path, typed: str) -> bool:
    """Return whether the text is the name of a site and not an address."""
    return is_valid_name(typed) and ((folder / f"{typed}.toml").exists() or "." not in typed)


def _propose(
    context: Context,
    folder: Path,
    site: Site,
    legal_basis: str,
    owner: str,
    *,
    dry_run: bool,
    json_out: bool,
) -> None:
    """Probe an address, print the result, and write the site's file if it can be read.

    With `dry_run` nothing is written. On a terminal, a missing `legal_basis` or `owner` is asked
    for. With `json_out` the result is one line of JSON, and nothing is asked. Raises ConfigError if
    the file exists, may not be written, or lacks one of the two; exits with 1 (typer.Exit) if the
    site cannot be read or there is a doubt about what was read.
    """
    file = folder / f"{site.name}.toml"
    if not dry_run and file.exists():
        raise ConfigError(
            f"{file} already exists: `ullage sites try {site.name}` examines it; or choose"
            " a different --name"
        )
    presets = _load_presets(context)
    survey = _run_probe(context, SiteSurvey(site), presets)
    now = context.clock.now()
    shown = build_lines(survey, now)
    if json_out:
        print_row(as_json(survey, shown, tuple(propose_mends(survey, presets))))
    else:
        make_console().print(build_table(shown))
    if not survey.posts or survey.doubts:
        if not json_out:
            _print_obstacles(survey, presets)
        raise typer.Exit(Exit.FAILED)
    if dry_run:
        return
    if sys.stdin.isatty() and not json_out:
        legal_basis = legal_basis or typer.prompt("Legal basis of reading it (legal_basis)").strip()
        owner = owner or typer.prompt("Who is responsible for it (owner)").strip()
    text = render_file(survey, legal_basis, owner, now)
    if not (legal_basis and owner):
        if not json_out:
            make_console().print(f"\n{safe_lines(text)}", markup=False)
        raise ConfigError(f"{file} was not written: give --legal-basis and --owner")
    _write(file, text, presets)
    if not json_out:
        make_console().print(f"\nwrote {file}:\n\n{safe_lines(text)}", markup=False, soft_wrap=True)


def _examine(context: Context, name: str, *, json_out: bool) -> None:
    """Probe a known site as a visit would, and print why it cannot be read or is silent.

    With `json_out` the result is one line of JSON. Raises ConfigError if the site is unknown or not
    crawled, or its file is faulty; exits with 1 (typer.Exit) if there is a repair, a reason why it
    is not read, or a doubt.
    """
    presets = _load_presets(context)
    folder = SiteFolder(context.data / SITES, lambda site: find_platform(site, presets))
    sites, _ = folder.read()
    if name in folder.refused:
        raise folder.refused[name]
    if name not in sites:
        raise ConfigError(f"no site {safe(name)} in {folder.folder}: `ullage sites` lists all")
    site = sites[name]
    if not site.start or not site.is_crawled:
        raise ConfigError(
            f"site {name} is not crawled: import its posts with `ullage ingest`, or enable it"
        )
    survey = _run_probe(context, SiteSurvey(site, is_known=True), presets)
    shown, repairs = build_lines(survey, context.clock.now()), tuple(propose_mends(survey, presets))
    if json_out:
        print_row(as_json(survey, shown, repairs))
    else:
        for line in _describe_standing(context, name):
            typer.echo(line)
        make_console().print(build_table(shown))
        _print_mends(repairs)
        if not repairs and not survey.word and not survey.doubts:
            typer.echo("\nNo problem found: it is read as its file says.")
    if repairs or survey.word or survey.doubts:
        raise typer.Exit(Exit.FAILED)


def _load_presets(context: Context) -> Presets:
    presets = Presets(context.data / FOLDER)
    presets.refresh()
    return presets


def _run_probe(context: Context, found: SiteSurvey, presets: Presets) -> SiteSurvey:
    """Probe a site within the time limit."""
    from crawlers.fetching.proxy import load_proxies  # noqa: PLC0415
    from crawlers.trial.fetch import fetch  # noqa: PLC0415 - `ullage sites` needs no reactor

    proxy = load_proxies(context).get(found.site.proxy)
    in_time = fetch(
        context.settings.crawl,
        found.site,
        context.clock,
        lambda pages: look(found, pages, presets),
        proxy,
    )
    found.end(in_time=in_time)
    return found


def _build_site(url: str, name: str, allow_private: bool) -> Site:
    """Return the site that an address would be.

    "https://" is added if it has no scheme; a `name` of "" is replaced by one made of the host, or
    by UNNAMED if that looks like an identifier. Raises ConfigError if it is no web address,
    contains a user name or password, or the name is not valid.
    """
    url = url if ":/" in url else f"https://{url}"
    parts = split_url(url)
    if (
        parts is None
        or parts.scheme not in {"http", "https"}
        or not HOST.fullmatch(parts.hostname or "")
    ):
        raise ConfigError("this is not a web address: use https://HOST/PATH or http://HOST/PATH")
    if parts.username or parts.password:
        raise ConfigError("the address contains a user name or password: remove it")
    named = name or NAME_SIGNS.sub("-", parts.netloc.lower().removeprefix("www."))
    named = UNNAMED if identifier_in(named) and not name else named
    settings = {
        "name": named,
        "platform": "board",
        "start": [url],
        "allow_private": allow_private,
        "script": is_route(url),
    }
    try:
        return Site.model_validate({**settings, "legal_basis": UNSAID, "owner": UNSAID})
    except ValueError:
        raise ConfigError(
            f"{safe(named)} is not a valid site name: choose one with --name, of at most 64 of a-z,"
            " 0-9, '.', '_' and '-', a letter or digit first, and unlike an identifier"
        ) from None


def _write(file: Path, text: str, presets: Presets) -> None:
    """Write a site's file, and remove it again if it is invalid."""
    write_new(text.encode(), file, 0o644)
    try:
        read_site(file, lambda site: find_platform(site, presets))
    except ConfigError:
        file.unlink()
        raise


def _print_obstacles(found: SiteSurvey, presets: Presets) -> None:
    """Print why no file is written."""
    if found.doubts:
        make_console().print(
            f"\nno file was written, because not everything is read: {found.doubts[0]}",
            markup=False,
        )
    else:
        _print_mends(tuple(propose_mends(found, presets)))


def _print_mends(repairs: Sequence[Mend]) -> None:
    for mend in repairs:
        make_console().print(f"\nmend: {safe(mend.why)}", markup=False)
        for line in mend.lines:
            make_console().print(f"  {safe(line)}", markup=False, soft_wrap=True)


def _describe_standing(context: Context, name: str) -> Iterator[str]:
    """Yield one line: the state of the site as the crawler recorded it, since when and why.

    Without a frontier, or before the first visit, it says that the site was not visited yet.
    """
    standing = SiteHistory()
    if any(context.data.glob(f"{FILE}*")):
        with contextlib.closing(open_frontier(context)) as frontier:
            standing = frontier.history.load(name)
    if standing.state is None:
        yield f"{name}: not visited yet"
    else:
        why = f": {standing.reason}: {MEANING.get(standing.reason, '')}" if standing.reason else ""
        new = (
            f"; last new post {_format_moment(context, standing.last_new)}"
            if standing.last_new
            else "; no new post yet"
        )
        yield (
            f"{name}: {standing.state.replace('_', ' ')} since"
            f" {_format_moment(context, standing.since)}{why}{new}"
        )


def _format_moment(context: Context, seconds: float) -> str:
    return moment(datetime.fromtimestamp(seconds, UTC), context.zone)


def safe_lines(text: str) -> str:
    """Return the lines of a file with control characters made safe for a terminal."""
    return "\n".join(safe(line) for line in text.splitlines())
