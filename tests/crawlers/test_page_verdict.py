"""Evidence in, state out."""

from pathlib import Path

import pytest

from crawlers.fetching.outcomes import FATES
from crawlers.sites.pages import Lacking
from crawlers.sites.visit_verdict import (
    MEANING,
    NO_ANSWER,
    NONE_UNREAD,
    STATE_OF,
    UNKNOWN,
    Evidence,
    Profile,
    explain_state,
    judge,
    to_status_reason,
    update_streak,
)
from ullage.records.heartbeat import STATES


def evidence(heads: dict[str, int], behind: dict[str, int] | None = None) -> Evidence:
    collected = Evidence()
    for outcome, count in heads.items():
        for _ in range(count):
            collected.note(outcome, head=True)
    for outcome, count in (behind or {}).items():
        for _ in range(count):
            collected.note(outcome, head=False)
    return collected


def state(heads: dict[str, int], behind: dict[str, int] | None = None) -> str | None:
    return judge(evidence(heads, behind), UNKNOWN)


def test_every_failing_outcome_maps_to_a_site_state() -> None:
    # the last two are of attached files
    assert STATE_OF.keys() == FATES.keys() - {"ok", "unchanged", "withheld", "page"}
    assert set(STATE_OF.values()) == set(STATES) - {"ok", "quiet", "incomplete"}
    assert {STATE_OF[outcome] for outcome in NO_ANSWER - {"session"}} == {"unreachable"}


@pytest.mark.parametrize("outcome", sorted(STATE_OF))
def test_unreadable_list_decides_the_state(outcome: str) -> None:
    assert state({outcome: 1}) == STATE_OF[outcome]
    assert state({outcome: 1}, {"ok": 50}) == STATE_OF[outcome]


@pytest.mark.parametrize(
    ("heads", "behind", "expected"),
    [
        ({"ok": 1}, {}, "ok"),
        ({"ok": 1}, {"ok": 5, "forbidden": 5}, "ok"),
        ({"ok": 1}, {"ok": 5, "forbidden": 6}, "blocked"),
        ({"ok": 1}, {"forbidden": 2}, "ok"),
        ({"ok": 1}, {"gone": 40, "too_large": 9}, "layout_changed"),
        ({"ok": 1}, {"ok": 9, "gone": 3}, "layout_changed"),  # older pages of the list, and no post
        ({"ok": 1}, {"host": 30}, "unreachable"),
        ({"ok": 1}, {"host": 2}, "ok"),
        ({"ok": 1}, {"ahead": 9}, "ok"),
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
def test_outcomes_of_several_pages_combine(
    heads: dict[str, int], behind: dict[str, int], expected: str
) -> None:
    assert state(heads, behind) == expected


@pytest.mark.parametrize("outcome", sorted(STATE_OF))
def test_every_outcome_has_a_description(outcome: str) -> None:
    collected = evidence({outcome: 1})
    assert explain_state(collected, judge(collected, UNKNOWN)) in MEANING


@pytest.mark.parametrize(
    ("heads", "behind", "word"),
    [
        ({"ok": 1}, {"ok": 5, "forbidden": 5}, ""),
        ({"dns": 1}, {}, "dns"),
        ({"refused": 2, "dns": 1}, {}, "refused"),
        ({"ok": 3, "blocked": 1, "timeout": 2}, {}, "challenge"),
        ({"ok": 1}, {"timeout": 1, "tls": 2}, "tls"),
        ({"ok": 1}, {"login": 3}, "login"),
        ({"robots": 1}, {"ok": 9}, "robots"),
        ({"host": 2, "status": 1}, {}, "status"),
        ({"host": 2}, {}, "host"),
    ],
)
def test_reason_names_the_deciding_outcome(
    heads: dict[str, int], behind: dict[str, int], word: str
) -> None:
    collected = evidence(heads, behind)
    assert explain_state(collected, judge(collected, UNKNOWN)) == word


@pytest.mark.parametrize(
    ("outcome", "cause", "word"),
    [
        ("robots_unreachable", "tls", "tls"),
        ("robots_unreachable", "", "robots_error"),
        ("status", "http_5xx", "http_5xx"),
        ("status", "13800138000", "status"),
    ],
)
def test_known_cause_of_an_outcome_becomes_the_reason(outcome: str, cause: str, word: str) -> None:
    collected = Evidence()
    collected.note(outcome, head=True, cause=cause)
    assert explain_state(collected, "unreachable") == word


@pytest.mark.parametrize(
    ("status", "word"), [(400, "http_4xx"), (451, "http_4xx"), (599, "http_5xx"), (999, "status")]
)
def test_unexpected_status_is_reported_by_its_class(status: int, word: str) -> None:
    assert to_status_reason(status) == word


def test_skipped_requests_do_not_count_for_egress() -> None:
    assert not evidence({"address": 3}).asked
    assert evidence({"address": 3, "dns": 1}).asked


def test_lost_field_is_a_reason() -> None:
    collected = evidence({"ok": 1}, {"ok": 9})
    collected.note_posts([(False, True, True)] * 3)
    before = Profile(100, {"author": 100, "date": 100, "title": 100})
    assert explain_state(collected, judge(collected, before)) == "fields"


def read_one(seen: Evidence) -> Evidence:
    seen.note_posts([(True, True, True)])
    return seen


@pytest.mark.parametrize(
    ("outcome", "state", "word"),
    [("gone", "layout_changed", "posts_gone"), ("host", "unreachable", "posts_host"),
     ("too_large", "layout_changed", "posts_large"), ("address", "unreachable", "address"),
     ("login", "login_expired", "login")],
)  # fmt: skip
def test_lists_leading_nowhere_are_a_state_until_a_post_is_read(
    outcome: str, state: str, word: str
) -> None:
    collected, nothing_new = evidence({"ok": 1}, {outcome: 3}), evidence({"ok": 1})
    unread_pages = update_streak(collected, NONE_UNREAD)
    assert (judge(collected, UNKNOWN), explain_state(collected, judge(collected, UNKNOWN))) == (
        state,
        word,
    )
    assert (
        judge(nothing_new, UNKNOWN, unread_pages),
        explain_state(nothing_new, judge(nothing_new, UNKNOWN, unread_pages), unread_pages),
    ) == (state, word)
    assert update_streak(nothing_new, unread_pages) == unread_pages
    read = read_one(evidence({"ok": 1}, {"ok": 1}))
    assert (
        judge(read, UNKNOWN, unread_pages),
        explain_state(read, "ok", unread_pages),
        update_streak(read, unread_pages),
    ) == (
        "ok",
        "",
        NONE_UNREAD,
    )


def test_one_missing_page_a_visit_becomes_a_state_at_the_third() -> None:
    unread_pages, shown = NONE_UNREAD, []
    for _ in range(3):
        collected = evidence({"ok": 1}, {"gone": 1})
        shown.append(judge(collected, UNKNOWN, unread_pages))
        unread_pages = update_streak(collected, unread_pages)
    assert shown == ["ok", "ok", "layout_changed"]


def test_few_missing_pages_among_others_are_ignored() -> None:
    assert judge(read_one(evidence({"ok": 1}, {"ok": 1, "gone": 40, "host": 9})), UNKNOWN) == "ok"


def test_documentation_lists_every_word_with_its_meaning() -> None:
    text = (Path(__file__).parents[2] / "docs" / "site-states.md").read_text(encoding="utf-8")
    for word, meaning in MEANING.items():
        assert f"| `{word}` | {meaning} |" in text, word


def test_visit_without_requests_decides_nothing() -> None:
    assert judge(Evidence(), UNKNOWN) is None


def test_any_response_counts_as_an_answer() -> None:
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
def test_field_missing_from_all_posts_means_a_changed_layout(
    before: Profile, had: list[tuple[bool, ...]], expected: str
) -> None:
    collected = evidence({"ok": 1}, {"ok": 9})
    collected.note_posts(had)
    assert judge(collected, before) == expected


def test_short_thread_is_reported_but_not_a_deleted_post() -> None:
    collected = Evidence()
    collected.note("ok", head=True)
    for _ in range(50):
        collected.note_thread(20, 19, 2)
    assert judge(collected, UNKNOWN) == "incomplete"
    assert explain_state(collected, "incomplete") == "fewer"
    collected = Evidence()
    collected.note("ok", head=True)
    collected.note_thread(46, 10, 1)
    for _ in range(100):
        collected.note_thread(20, 20, 2)
    assert judge(collected, UNKNOWN) == "ok"


@pytest.mark.parametrize("why", ["partial", "links"])
def test_page_known_to_be_partial_makes_the_site_incomplete(why: Lacking) -> None:
    collected = read_one(evidence({"ok": 1}))
    collected.lacking = why
    assert (judge(collected, UNKNOWN), explain_state(collected, "incomplete")) == (
        "incomplete",
        why,
    )
