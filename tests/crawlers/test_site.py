"""Site files: what is read, and how a mistake is reported."""

from pathlib import Path

import pytest

from crawlers.platforms import find_platform
from crawlers.sites.site import Site, SiteFolder, read_site
from tests.crawlers.support import make_site
from ullage.errors import ConfigError, FaultsError

GOOD = (
    'platform = "bepasty"\nstart = ["https://paste.example/"]\nlegal_basis = "PIPL 13"\nowner ='
    ' "team"\n'
)


def test_site_is_named_after_its_file_and_polite_by_default(tmp_path: Path) -> None:
    (tmp_path / "some-paste.toml").write_text(GOOD)
    site = read_site(tmp_path / "some-paste.toml")
    assert (site.name, site.delay_seconds, site.concurrency) == ("some-paste", 2.0, 1)
    assert (site.robots, site.verify_certificates, site.allow_private, site.enabled) == (
        True,
        True,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD + "colour = 1", r"x\.toml: colour: unknown setting"),
        (GOOD + "revisit_second = 9", r"x\.toml: revisit_second: did you mean revisit_seconds\?"),
        (GOOD + 'category = "forun"', r"x\.toml: category: .*did you mean forum\?"),
        (
            GOOD.replace("https://", "ftp://"),
            r"x\.toml: start: has an entry that is not an http:// or https:// address",
        ),
        (
            GOOD.replace("example/", "example/#/list"),
            (
                r"x\.toml: start: has a route after #, which browsers do not send: set"
                r" script = true"
            ),
        ),
        (GOOD.replace("https://", "https://me:pw@"), r"x\.toml: start: contains a user name"),
        (GOOD.replace('"PIPL 13"', '""'), r"x\.toml: legal_basis"),
        (GOOD.replace("owner", "# owner"), r"x\.toml: owner: Field required"),
        (GOOD + "revisit_seconds = 0", r"x\.toml: revisit_seconds"),
        (GOOD + "= 3", r"x\.toml: is not valid TOML"),
        (GOOD + 'category = "诸葛"', r"x\.toml: category: .*'paste'.*'forum'"),
        (GOOD.replace("bepasty", "ingest") + "[options]\nlist = 1", r"x\.toml: options.list"),
        (
            GOOD.replace("bepasty", "ingest") + '[options]\nlist = "x"',
            r"x\.toml: options.list: platform ingest has no options",
        ),
        (GOOD.replace("start", "# start"), r"x\.toml: start: is missing"),
        (GOOD.replace("platform", "plat.form"), r"x\.toml: platform: Field required"),
        (GOOD.replace('["https://paste.example/"]', "[]"), r"x\.toml: start: is missing"),
        (
            GOOD.replace("https://paste.example/", "https://[paste/"),
            r"x\.toml: start: has an entry that is not an http:// or https:// address",
        ),
        (
            GOOD.replace("https://paste.example/", "https://paste.example:99999/"),
            r"x\.toml: start: has an entry that is not an http:// or https:// address",
        ),
    ],
)
def test_mistake_names_file_and_setting(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        read_site(tmp_path / "x.toml")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("knob", ["http://[::1]:80/", "a.b", "a: b", ":", ".", ""])
def test_unknown_setting_of_any_spelling_is_named(tmp_path: Path, knob: str) -> None:
    """One with a colon was never taken out, and its file was looked at for ever."""
    (tmp_path / "x.toml").write_text(f'{GOOD}delay_seconds = -1\n["{knob}"]\nx = 1\n')
    with pytest.raises(FaultsError) as caught:
        read_site(tmp_path / "x.toml", find_platform)
    assert f"{tmp_path}/x.toml: {knob}: unknown setting" in caught.value.faults or not knob
    assert len(caught.value.faults) == 2


def test_all_faults_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    wrong = (
        'platform = "bepasty"\nstart = ["ftp://x"]\nhost = ["y"]\ndelay_seconds = -1\nowner ='
        ' "team"\n[options]\nlist = "x"'
    )
    (tmp_path / "x.toml").write_text(wrong)
    with pytest.raises(FaultsError) as caught:
        read_site(tmp_path / "x.toml", find_platform)
    faults = [fault.removeprefix(f"{tmp_path}/x.toml: ") for fault in caught.value.faults]
    knobs = [fault.removeprefix("site x: ").split(":")[0] for fault in faults]
    assert knobs == ["start", "delay_seconds", "legal_basis", "host", "options.list"]
    assert faults[3] == "host: did you mean hosts?"


def test_faults_of_the_file_are_reported_beside_those_of_a_setting(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.toml").write_text('platform = "ingest"\nowner = ""\n[options]\nlist = "x"')
    with pytest.raises(FaultsError) as caught:
        read_site(tmp_path / "x.toml")
    assert [fault.split(": ")[1] for fault in caught.value.faults] == [
        "legal_basis",
        "owner",
        "options.list",
    ]


def test_site_names_are_unique(tmp_path: Path) -> None:
    for file, name in (("a", "a"), ("b", "a"), ("c", "x"), ("d", "x"), ("e", "e")):
        (tmp_path / f"{file}.toml").write_text(f'{GOOD}name = "{name}"\n')
    folder = SiteFolder(tmp_path, find_platform)
    sites, faults = folder.read()
    assert sorted(sites) == ["a", "e"], "the file that is itself named so keeps the name"
    assert sorted(folder.refused) == ["b", "c", "d"]
    assert [str(fault).partition(".toml: ")[2] for fault in faults] == [
        f"name: {name} is also used in {second}.toml: site names must differ"
        for name, second in ("aa", "xd", "xc")
    ]


def test_site_name_is_valid_as_label_and_file_name(tmp_path: Path) -> None:
    (tmp_path / "Bad Name.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match="name: is not a valid site name"):
        read_site(tmp_path / "Bad Name.toml")


@pytest.mark.parametrize(
    "name", ["13800138000", "forum-13800138000", "123456789012", "board.1-2345-6789-0"]
)
def test_name_resembling_an_identifier_is_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.toml").write_text(GOOD)
    with pytest.raises(
        ConfigError, match=r"name: looks like .* would show it as `other`: choose another name"
    ):
        read_site(tmp_path / f"{name}.toml")


@pytest.mark.parametrize("name", ["other", "ullage-canary"])
def test_reserved_site_name_is_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match=f"{name}.*choose another"):
        read_site(tmp_path / f"{name}.toml")


def test_ingest_site_needs_no_start_and_is_not_crawled(tmp_path: Path) -> None:
    (tmp_path / "feed.toml").write_text(
        'platform = "ingest"\nlegal_basis = "PIPL 13"\nowner = "team"\ncategory = "chat"\n'
    )
    site = read_site(tmp_path / "feed.toml")
    assert (site.start, site.is_crawled, site.category) == ((), False, "chat")
    assert make_site().is_crawled
    assert not make_site(enabled=False).is_crawled
    assert SiteFolder(tmp_path, find_platform).read() == ({"feed": site}, [])


@pytest.mark.parametrize(
    ("url", "section"),
    [
        ("http://board.example/f/loans/77-zhuge?q=1#x", "http://board.example/f/loans"),
        ("http://BOARD.example/f/loans", "http://board.example/f/loans"),
        ("http://board.example/f/loansharks/7", "http://board.example/f/"),
        ("https://board.example:8443/elsewhere", "http://board.example/f/"),
        ("http://cards.example:8080/f/", "http://cards.example:8080/"),
        ("http://cdn.example/f/loans", ""),
        ("http://board.example.evil.example/f/", ""),
        ("http://board.example:x/f/loans", ""),
        ("", ""),
        ("http://[::1", ""),
        ("no address", ""),
    ],
)
def test_section_is_the_list_that_contains_a_post(url: str, section: str) -> None:
    starts = [
        "http://board.example/f/",
        "http://Board.example/f/loans?page=1#top",
        "http://cards.example:8080",
    ]
    assert make_site(start=starts, hosts=["cdn.example"]).find_section(url) == section


def test_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "bad.toml").write_text("platform =")
    (tmp_path / "unknown.toml").write_text(GOOD.replace("bepasty", "absent"))
    (tmp_path / "example.toml.off").write_text("not read")
    folder = SiteFolder(tmp_path, find_platform)
    sites, faults = folder.read()
    assert list(sites) == ["good"]
    assert sorted(folder.refused) == ["bad", "unknown"]
    assert [str(fault).split(":")[0].rpartition("/")[2] for fault in faults] == [
        "bad.toml",
        "unknown.toml",
    ]


def test_file_is_read_again_only_when_changed(tmp_path: Path) -> None:
    checked: list[str] = []
    folder = SiteFolder(tmp_path, lambda site: checked.append(site.name))
    for name in "abc":
        (tmp_path / f"{name}.toml").write_text(GOOD)
    sites, _ = folder.read()
    (tmp_path / "a.toml").write_text(GOOD + "max_pages = 7")
    (tmp_path / "b.toml").unlink()
    (tmp_path / "d.toml").write_text("platform =")
    again, faults = folder.read()
    assert checked == ["a", "b", "c", "a"]
    assert (sorted(again), again["a"].max_pages) == (["a", "c"], 7)
    assert again["c"] is sites["c"]
    assert folder.read()[1] == faults != []
    (tmp_path / "d.toml").write_text(GOOD)
    assert isinstance(folder.read()[0]["d"], Site)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://board.example:8080/x", True),
        ("http://BOARD.example:8080/x", True),
        ("https://board.example:8080/x", True),
        ("http://board.example/x", False),
        ("https://board.example/x", False),
        ("http://board.example:22/", False),
        ("http://board.example:8081/", False),
        ("http://plain.example/x", True),
        ("https://plain.example/x", True),
        ("https://plain.example:8443/x", False),
        ("https://safe.example/x", True),
        ("http://safe.example:9200/x", False),
        ("https://CDN.example/x", True),
        ("http://cdn.example:8080/x", False),
        ("http://files.example:9000/x", True),
        ("http://files.example/x", False),
        ("http://evil.example/", False),
        ("http://board.example.evil.example:8080/", False),
        ("http://board.example:8080@evil.example/", False),
        ("http://board.example:x/", False),
        ("", False),
    ],
)
def test_site_allows_only_the_hosts_and_ports_in_its_file(url: str, allowed: bool) -> None:
    starts = ["http://Board.example:8080/", "http://plain.example/list", "https://safe.example/"]
    assert (
        make_site(start=starts, hosts=["cdn.example", "files.example:9000"]).allows(url) == allowed
    )


@pytest.mark.parametrize(
    "host", ["http://cdn.example", "cdn.example/x", "me@cdn.example", "cdn.example:x", ""]
)
def test_hosts_entry_must_be_a_host_with_optional_port(tmp_path: Path, host: str) -> None:
    (tmp_path / "x.toml").write_text(GOOD + f'hosts = ["{host}"]')
    with pytest.raises(ConfigError, match="hosts: has an entry that is neither HOST nor HOST:PORT"):
        read_site(tmp_path / "x.toml")


def test_sites_over_the_watch_limit_are_named_and_read_unwatched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawlers.sites.site.MAX_WATCHED", 2)
    for name, more in (
        ("a", "watch = true"),
        ("b", ""),
        ("c", "watch = true\nenabled = false"),
        ("d", "watch = true"),
        ("e", "watch = true"),
    ):
        (tmp_path / f"{name}.toml").write_text(GOOD + more)
    sites, faults = SiteFolder(tmp_path, find_platform).read()
    assert [name for name, site in sites.items() if site.watch] == ["a", "c", "d"]
    assert list(sites) == list("abcde")
    assert [str(fault) for fault in faults] == [
        (
            f"{tmp_path}/e.toml: watch: 2 sites, the maximum, are already watched: set it to"
            " false here or in another file"
        )
    ]
