"""Headers of an answer, as far as they are anybody's evidence."""

from scrapy.http import Headers, Response

from crawlers.fetching.conditional_requests import LONGEST_HEADER, MOST, select_headers


def test_headers_are_kept_as_served_without_our_own_session():
    headers = Headers(
        {
            "Server": "nginx",
            "Date": "Mon, 21 Sep 2026 12:00:00 GMT",
            "Set-Cookie": "sid=secret",
            "Via": ["a", "b"],
        }
    )
    recorded = select_headers(Response("http://127.0.0.1/", headers=headers))
    assert recorded == (
        ("Server", "nginx"),
        ("Date", "Mon, 21 Sep 2026 12:00:00 GMT"),
        ("Via", "a"),
        ("Via", "b"),
    )


def test_hostile_headers_are_limited():
    headers = Headers({f"X-{n}": "y" * 10_000 for n in range(1000)})
    recorded = select_headers(Response("http://127.0.0.1/", headers=headers))
    assert len(recorded) == MOST
    assert {len(value) for _, value in recorded} == {LONGEST_HEADER}


def test_non_ascii_and_missing_headers_are_tolerated():
    assert select_headers(Response("http://127.0.0.1/", headers=Headers({"X": b"\xff\xfe"}))) == (
        ("X", "ÿþ"),
    )
    assert select_headers(Response("http://127.0.0.1/")) == ()
