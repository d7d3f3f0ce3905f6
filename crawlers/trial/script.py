"""Whether a page is filled by a script, as far as it tells: what a browser would show is then not on it.

It has little text and scripts, and an empty element for what they make or a word to those who have none. Where its data stands
in it as JSON, a site's file can name that (`embedded`).
"""

from __future__ import annotations

import re

from parsel import Selector
from scrapy.http import Response, TextResponse

from crawlers.fetching import response_checks

MOST_TEXT = 400
"""Letters of a page on which nothing is to be read yet."""
LEAST_DATA = 200
"""Characters of JSON that are more than settings."""
EMPTY = "#app, #root, #__next, #__nuxt, #___gatsby, #svelte, app-root, [ng-app], [data-reactroot], [data-server-rendered]"
WORDS = re.compile(r"(?i)javascript|启用\s*js|開啟\s*js")
GLOBAL = re.compile(r"(?:window\.|var |let |const )(__\w+__|[A-Z_]{5,}|initial\w+|preloaded\w+)\s*=\s*(?:JSON\.parse\(|[{\[])")


def is_filled_by_script(response: Response | None) -> bool:
    """Whether it seems so."""
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return False
    page = response.selector
    if not page.css("script") or response_checks.letters(response) > MOST_TEXT:
        return False
    waits = any(not one.css("a") for one in page.css(EMPTY))
    return waits or any(WORDS.search(text) for text in page.css("noscript").xpath("string()").getall())


def data_in(response: Response | None) -> str:
    """A selector of what holds a page's data as JSON, as `embedded` takes it; "" where there is none."""
    if not isinstance(response, TextResponse) or response.selector.type != "html":
        return ""
    texts = ((script, script.xpath("string()").get("")) for script in response.css("script"))
    found = [(len(text), named) for script, text in texts if (named := _named(script, text))]
    size, named = max(found, default=(0, ""))
    return named if size >= LEAST_DATA else ""


def _named(script: Selector, text: str) -> str:
    if "json" in script.attrib.get("type", "") and "ld+json" not in script.attrib["type"]:
        own = script.attrib.get("id", "")
        return f"css:script#{own}" if re.fullmatch(r"[A-Za-z_][\w-]*", own) else "css:script[type*=json]"
    told = GLOBAL.search(text)
    return f"xpath://script[contains(., '{told[1]}')]" if told else ""
