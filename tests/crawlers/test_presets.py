"""Presets: each reads its own samples, is told by its marks and by no other's, and a user's own
lie in the data folder.
"""

import itertools
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from scrapy.http import Response

from crawlers.cli import parts
from crawlers.platforms import find_platform, load_platform
from crawlers.sites.pages import PageAddress, PageContent
from crawlers.sites.presets import Presets, check_samples, recognise
from crawlers.sites.site import Site, SiteFolder
from tests.crawlers.conftest import Station
from tests.crawlers.support import Answers, make_site
from ullage.errors import ConfigError, FaultsError
from ullage.settings import Context

NAMES = Presets().list_names()
OWN = """\
about = "a board of ours"
platform = "board"
[options]
rows = "li"
links = "a"
pattern = '\\?t=(?P<id>\\d+)'
post = "p[id]"
body = "i"
"""


@pytest.mark.parametrize("name", NAMES)
def test_preset_reads_its_samples_and_is_recognised_in_them(name: str) -> None:
    preset = Presets().get(name)
    assert check_samples(preset, load_platform(preset.platform).parse) == []


@pytest.mark.parametrize("name", NAMES)
def test_sample_is_recognised_as_its_own_software(name: str) -> None:
    for sample in Presets().get(name).sample:
        if sample.recognised:
            best, *worse = recognise(sample.build_response())
            assert best.name == name, (best, worse)
            assert best.why
            assert all(len(candidate.why) < len(best.why) for candidate in worse), (best, worse)


@pytest.mark.parametrize("name", NAMES)
def test_site_of_a_preset_needs_no_options(name: str) -> None:
    site = make_site(platform=name)
    if why := Presets().get(name).unreadable:
        with pytest.raises(ConfigError, match=re.escape(why)):
            find_platform(site)
        return
    assert find_platform(site).start(site)


def test_sample_mismatch_shows_what_the_preset_read() -> None:
    preset = Presets().get("spirit")
    (fault,) = check_samples(
        preset.model_copy(update={"options": {**preset.options, "author": ".nobody"}}),
        load_platform("board").parse,
    )
    assert fault == "sample 2 (thread): post 1: author is '', not 'admin'"


def own(folder: Path, text: str = OWN, name: str = "ours") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_own_presets_are_found_before_shipped_ones(tmp_path: Path) -> None:
    own(tmp_path / "presets")
    own(tmp_path / "presets", name="spirit")
    presets = Presets(tmp_path / "presets")
    assert not presets.own
    presets.refresh()
    assert {"ours", "spirit", "bepasty"} <= set(presets.list_names())
    assert find_platform(make_site(platform="ours"), presets)
    assert presets.get("spirit").about == "a board of ours"


def test_preset_writable_by_others_is_rejected(tmp_path: Path) -> None:
    own(tmp_path / "presets").chmod(0o666)
    presets = Presets(tmp_path / "presets")
    presets.refresh()
    assert len(presets.faults) == 1
    with pytest.raises(ConfigError, match=r"ours\.toml"):
        find_platform(make_site(platform="ours"), presets)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (OWN.replace("board", "bored", 3), r"ours\.toml: platform"),
        (OWN + "colour = 1", r"options\.colour: must be one of"),
        (OWN.replace('"li"', '"li[[["'), r"options\.rows: is not a valid CSS selector"),
        (OWN.replace("body", "author"), r"options\.body: is missing"),
        ("=", "is not valid TOML"),
    ],
)
def test_invalid_preset_is_explained(tmp_path: Path, text: str, complaint: str) -> None:
    own(tmp_path / "presets", text)
    presets = Presets(tmp_path / "presets")
    presets.refresh()
    with pytest.raises(ConfigError, match=complaint):
        find_platform(make_site(platform="ours"), presets)


def test_changed_preset_is_checked_for_the_sites_using_it(tmp_path: Path) -> None:
    path = own(tmp_path / "presets")
    presets = Presets(tmp_path / "presets")
    (tmp_path / "board.toml").write_text(
        'platform = "ours"\nstart = ["https://b.example/"]\nlegal_basis = "test"\nowner = "test"\n'
    )
    folder = SiteFolder(tmp_path, lambda site: find_platform(site, presets), presets.refresh)
    assert list(folder.read()[0]) == ["board"]
    path.write_text(OWN.replace('"li"', '"[["'))
    os.utime(path, ns=(1, 1))
    sites, (fault,) = folder.read()
    assert not sites
    assert "options.rows" in str(fault)


def test_site_options_override_the_preset() -> None:
    with pytest.raises(ConfigError, match=r"options\.rows: is not a valid CSS selector"):
        find_platform(make_site(options={"rows": "[["}))


def test_misspelt_preset_name_is_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean spirit"):
        find_platform(make_site(platform="sprit"))


def test_check_tests_own_presets_with_their_samples(context: Context) -> None:
    (look,) = [act for what, act in itertools.islice(parts(context), 3) if what == "presets"]
    assert look().endswith("known, 0 of them your own")
    own(context.data / "presets", name="bare")
    own(context.data / "presets", OWN.replace("rows", "row"), name="wrong")
    own(context.data / "presets", "=", name="none")
    with pytest.raises(FaultsError) as caught:
        look()
    faults = sorted(fault.removeprefix(f"{context.data}/presets/") for fault in caught.value.faults)
    assert faults[0] == "bare.toml: has no sample"
    assert faults[1].startswith("none.toml: is not valid TOML")
    assert (
        any(
            message.startswith("wrong.toml:") and "did you mean rows?" in message
            for message in faults[2:]
        )
        or faults[2] == "wrong.toml: has no sample"
    )


RECOGNISED = """\
[recognise]
any = ["ul.bespoke"]
[[sample]]
url = "https://board.example/"
body = '<ul class="bespoke"><li><a href="/?t=7">a title</a></li></ul>'
pages = [{ role = "thread", id = "7", url = "https://board.example/?t=7" }]
"""


def test_own_preset_is_recognised_checked_and_crawled(station: Station, server: Answers) -> None:
    own(station.data / "presets", OWN + RECOGNISED)
    rows = "".join(f'<li><a href="/?t={thread}">title {thread}</a></li>' for thread in range(1, 6))
    server.says("/", f'<html><body><ul class="bespoke">{rows}</ul></body></html>')
    for thread in range(1, 6):
        server.says(
            f"/?t={thread}",
            f'<html><body><p id="p{thread}1"><i>text {thread}</i></p></body></html>',
        )
    options = ("--name", "board", "--allow-private", "--legal-basis", "test", "--owner", "test")
    output = station.run("sites", "try", f"{server.url}/", *options)
    assert re.search(r"software +ours: 1 mark found", output)
    assert 'platform = "ours"' in (station.data / "sites.d" / "board.toml").read_text()
    station.run("crawl", "--once")
    assert sorted(
        (capture.thread, capture.post_id, capture.body.decode()) for capture in station.captures()
    ) == [(f"{thread}", f"{thread}1", f"text {thread}") for thread in range(1, 6)]


BETWEEN = re.compile(r"(?<=>)(?=\s*<(?!/?(?:script|style|title|textarea)))")
COMMENT = re.compile(rb"<!--.*?-->")
NOTES = "<!-- a note --><?php echo 'x' ?>"


@pytest.mark.parametrize("name", NAMES)
def test_comments_and_processing_instructions_are_ignored(name: str) -> None:
    preset = Presets().get(name)
    noted = tuple(
        sample.model_copy(
            update={
                "body": sample.body
                if sample.body.lstrip()[:1] in "{["
                else BETWEEN.sub(NOTES, sample.body)
            }
        )
        for sample in preset.sample
    )

    def without_notes(page: PageAddress, response: Response, site: Site) -> PageContent:
        """Read a page; a comment within a body is kept with it, and is no part of what is
        compared.
        """
        read = load_platform(preset.platform).parse(page, response, site)
        return replace(
            read,
            posts=tuple(
                replace(post, body=COMMENT.sub(b"", post.body).strip()) for post in read.posts
            ),
        )

    assert check_samples(preset.model_copy(update={"sample": noted}), without_notes) == []
