"""Sites in the shape of programs that cannot be run here, from crawl to match: every post once,
every customer, nobody else.
"""

import pytest

from crawlers.sites.presets import Presets
from harness.reach.planted import CUSTOMERS, plan
from harness.reach.shape import Shape
from harness.reach.shapes import SHAPES, ShapeVisits, crawled, name_of, said
from tests.crawlers.conftest import Station
from ullage import setup
from ullage.settings import Context

NOTHING = {"author", "published_at"}
UNTOLD = {
    "raw_paste": NOTHING,
    "github_gists": NOTHING,
    "github_code": {"published_at"},
    "pastebin_archive": {"author"},
}
"""What the pages of these do not tell of a paste."""
LEAST = 4
"""Lines of a site's file: what it runs, where it is, on what ground it is read, who answers for
it.
"""


@pytest.fixture(scope="module")
def shape_visits(tmp_path_factory: pytest.TempPathFactory) -> ShapeVisits:
    data = tmp_path_factory.mktemp("reach") / "data"
    list(setup.initialise(Context(data)))
    return crawled(Station(data))


@pytest.fixture(params=SHAPES, ids=name_of)
def shape(request: pytest.FixtureRequest) -> Shape:
    return request.param


def test_every_post_is_captured_once(shape_visits: ShapeVisits, shape: Shape) -> None:
    captures, planted = shape_visits.captures(shape), shape_visits.planted(shape)
    assert sorted(map(said, captures)) == sorted(planted)
    assert len({capture.post_id for capture in captures}) == len(planted) == plan().posts
    assert {
        visits[name_of(shape)]["status"]
        for visits in (
            shape_visits.first,
            shape_visits.unchanged,
            shape_visits.later,
            shape_visits.deep,
        )
    } == {"ok"}


def test_exactly_the_planted_customers_are_exposed(shape_visits: ShapeVisits, shape: Shape) -> None:
    assert shape_visits.exposed[name_of(shape)] == {person.reference for person in plan().customers}
    row = shape_visits.reach(shape)
    assert (row.lines, row.captured, row.exposed) == (
        LEAST + len(shape.more),
        row.planted,
        CUSTOMERS,
    )


def test_post_details_shown_on_the_page_are_read(shape_visits: ShapeVisits, shape: Shape) -> None:
    planted, untold = shape_visits.planted(shape), UNTOLD.get(shape.preset, set())
    for capture in shape_visits.captures(shape):
        post = planted[said(capture)]
        assert capture.title
        assert bool(capture.thread) == shape.paged
        assert capture.author == ("" if "author" in untold else post.author)
        if "published_at" not in untold:
            assert abs(capture.published_at - post.at) <= shape.precision, (
                capture.published_at,
                post.at,
            )


def test_revisit_reads_little_more_than_what_is_new(
    shape_visits: ShapeVisits, shape: Shape
) -> None:
    name = name_of(shape)
    assert (shape_visits.unchanged[name]["pages"], shape_visits.unchanged[name]["captures"]) == (
        1,
        0,
    )
    # of a pinned thread it may not tell
    assert shape_visits.later[name]["captures"] >= sum(len(texts) for _, texts in plan().later) - 2
    assert shape_visits.later[name]["pages"] <= 12
    assert shape_visits.deep[name]["captures"] >= len(plan().back_dated)


SAMPLES_ALONE = {"mhonarc"}
"""A preset without a whole site here, whose mails have a page each: it is held to its samples,
and `docs/sites.md` says so.
"""


def test_every_readable_preset_is_tested_on_a_whole_site() -> None:
    live = {"spirit", "machina", "fossil", "nodebb", "bepasty", "pinnwand", "dpaste"}
    presets = Presets()
    readable = {name for name in presets.list_names() if not presets.get(name).unreadable}
    assert readable == live | SAMPLES_ALONE | {shape.preset for shape in SHAPES}
    assert all(presets.get(name).sample for name in SAMPLES_ALONE)
