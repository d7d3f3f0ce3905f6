"""Evidence in, state out."""

import pytest

from crawlers.judge import NO_ANSWER, STATE_OF, UNKNOWN, Evidence, Profile, judge
from crawlers.outcomes import FATES
from ullage.records.heartbeat import STATES


def evidence(heads: dict[str, int], behind: dict[str, int] | None = None) -> Evidence:
    seen = Evidence()
    for outcome, count in heads.items():
        for _ in range(count):
            seen.note(outcome, head=True)
    for outcome, count in (behind or {}).items():
        for _ in range(count):
            seen.note(outcome, head=False)
    return seen


def state(heads: dict[str, int], behind: dict[str, int] | None = None) -> str | None:
    return judge(evidence(heads, behind), UNKNOWN)


def test_every_outcome_but_success_says_something_of_a_site() -> None:
    assert STATE_OF.keys() == FATES.keys() - {"ok"}
    assert set(STATE_OF.values()) == set(STATES) - {"ok", "quiet"}
    assert {STATE_OF[outcome] for outcome in NO_ANSWER} == {"unreachable"}


@pytest.mark.parametrize("outcome", sorted(STATE_OF))
def test_a_list_that_cannot_be_read_decides(outcome: str) -> None:
    assert state({outcome: 1}) == STATE_OF[outcome]
    assert state({outcome: 1}, {"ok": 50}) == STATE_OF[outcome]


@pytest.mark.parametrize(
    ("heads", "behind", "expected"),
    [
        ({"ok": 1}, {}, "ok"),
        ({"ok": 1}, {"ok": 5, "forbidden": 5}, "ok"),
        ({"ok": 1}, {"ok": 5, "forbidden": 6}, "blocked"),
        ({"ok": 1}, {"forbidden": 2}, "ok"),
        ({"ok": 1}, {"gone": 40, "too_large": 9}, "ok"),
        ({"ok": 1}, {"login": 3}, "login_expired"),
        ({"ok": 1}, {"timeout": 2, "network": 1}, "unreachable"),
        ({"ok": 1}, {"layout": 3}, "layout_changed"),
        ({"ok": 1}, {"robots": 5}, "robots_denied"),
        ({"ok": 3, "gone": 1}, {"ok": 3}, "ok"),
        ({"ok": 3, "blocked": 1}, {}, "blocked"),
        ({"ok": 3, "login": 1}, {"ok": 9}, "login_expired"),
        ({"ok": 3, "layout": 1}, {"ok": 9}, "layout_changed"),
        ({"timeout": 1, "status": 2}, {}, "unreachable"),
        ({"ok": 1}, {"busy": 1}, "ok"),
        ({"empty": 1}, {}, "layout_changed"),
        ({"ok": 1, "empty": 3}, {}, "ok"),
    ],
)
def test_what_several_pages_say_together(heads: dict[str, int], behind: dict[str, int], expected: str) -> None:
    assert state(heads, behind) == expected


def test_a_visit_that_asked_for_nothing_says_nothing() -> None:
    assert judge(Evidence(), UNKNOWN) is None


def test_anything_that_came_back_is_an_answer() -> None:
    assert not evidence({"dns": 1, "timeout": 1}, {"network": 3}).answered
    assert not evidence({"robots_unreachable": 2}).answered
    for outcome in ("ok", "status", "busy", "robots", "robots_unavailable", "blocked", "gone"):
        assert evidence({"timeout": 4}, {outcome: 1}).answered


def profile(posts: int, **fields: int) -> Profile:
    return Profile(posts, {"author": posts, "date": posts, "title": posts, **fields})


@pytest.mark.parametrize(
    ("before", "had", "expected"),
    [
        (profile(100), [(False, True, True)] * 3, "layout_changed"),
        (profile(100, author=96), [(False, True, True)] * 3, "layout_changed"),
        (profile(100, author=50), [(False, True, True)] * 9, "ok"),
        (profile(100), [(False, True, True)] * 2, "ok"),
        (profile(19), [(False, False, False)] * 9, "ok"),
        (profile(100), [(False, True, True)] * 8 + [(True, True, True)], "ok"),
        (UNKNOWN, [(False, False, False)] * 9, "ok"),
    ],
)
def test_a_field_that_every_post_had_and_none_has_any_more_is_a_changed_layout(
    before: Profile, had: list[tuple[bool, ...]], expected: str
) -> None:
    seen = evidence({"ok": 1}, {"ok": 9})
    seen.note_posts(had)
    assert judge(seen, before) == expected
