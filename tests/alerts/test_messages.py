"""One language at a time, and whole: every message that templates and Python name has its
Chinese.
"""

import ast
import contextlib
import io
import re

import pytest
from jinja2 import nodes

from alerts.records.decision import validate_note
from alerts.records.document import QueryError
from alerts.translation import LANGUAGES, catalogue, translated
from alerts.web.dependencies import load_templates
from alerts.web.templating import choose_language
from tests.alerts.browser import PHONE
from tests.messages import KEYWORDS, ROOT, messages, read_catalogue
from ullage.identifiers import kinds
from ullage.phrase import Phrase

NAMED = re.compile(r"%\((\w+)\)s")
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def extraction():
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        catalogue = messages()
    return catalogue, errors.getvalue()


def test_every_message_has_a_translation_and_the_catalogue_no_other(extraction):
    have = {message.id: message for message in read_catalogue() if message.id}
    used_ids = {message.id for message in extraction[0] if message.id}
    assert len(used_ids) > 50, "too few: this looks at nothing"
    empty = [
        name for name, message in have.items() if not message.string or not all(message.string)
    ]
    assert (sorted(map(str, used_ids - have.keys())), sorted(map(str, empty))) == ([], []), (
        "python -m tests.messages, then translate"
    )
    assert [message.id for message in have.values() if message.fuzzy] == []
    assert sorted(map(str, have.keys() - used_ids)) == [], "make messages takes what is gone out"


def test_every_literal_message_is_extracted(extraction) -> None:
    """The extraction does not see a literal in parentheses of its own."""
    extracted = {message.id for message in extraction[0]}
    literals = {
        call.args[0].value
        for path in (ROOT / "alerts").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)
        if isinstance(call.func, ast.Name) and call.func.id in KEYWORDS
    }
    assert len(literals) > 50
    assert sorted(literals - extracted) == []


def test_no_message_is_concatenated(extraction):
    assert extraction[1] == "", "an f-string: give Phrase the text and its values"


def test_translation_has_the_placeholders_of_its_message():
    for message in read_catalogue():
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        for text in strings:
            assert set(NAMED.findall(text)) <= {
                name for message_id in ids for name in NAMED.findall(message_id)
            }, ids
            assert text.replace("%%", "").count("%") == len(NAMED.findall(text)), ids


def test_templates_translate_only_literals():
    """Else what came from outside would be a message, and what is a message is not escaped."""
    pages = load_templates(None)("en")
    names = pages.list_templates(extensions=["html"])
    assert len(names) > 5
    for name in names:
        tree = pages.parse(pages.loader.get_source(pages, name)[0])
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in ("_", "gettext", "ngettext"):
                assert isinstance(call.args[0], nodes.Const), (name, call.lineno)


def test_chosen_language_wins_over_the_browsers():
    assert (
        choose_language("zh", "en")
        == choose_language("", "zh-TW;q=0.5, fr")
        == choose_language("xx", "zh")
        == "zh"
    )
    assert (
        choose_language("zh", "en")
        == choose_language("", "zh-TW;q=0.5, fr")
        == choose_language("xx", "zh")
        == "zh"
    )
    assert (
        choose_language("", "zh;q=0")
        == choose_language("", "zh;q=nan")
        == choose_language("", "zh;q=" + "9" * 5_000 + "x")
        == choose_language("", "*")
        == "en"
    )


def test_python_messages_are_translated_where_shown():
    chinese = catalogue("zh").gettext
    assert str(QueryError(Phrase("at most %(most)s", most=3))) == "at most 3"
    assert (
        translated(QueryError("give the reason for lifting it"), chinese)
        == chinese("give the reason for lifting it")
        != "give the reason for lifting it"
    )
    assert translated(Phrase("Log out"), chinese) == "退出登录"
    assert translated((Phrase("Log out"), "x"), chinese).startswith("退出登录")
    assert translated(Phrase("%(a)s", a=Phrase("Log out")), chinese) == "退出登录"
    assert translated(Phrase("%(a)s", a=(Phrase("Log out"), "x")), chinese) == "退出登录、x"
    assert translated("", chinese) == "" != chinese("")


@pytest.mark.parametrize("typed", [PHONE, "6222021234567890123 and more"])
def test_identifier_kind_is_named_in_the_readers_language(typed):
    with pytest.raises(QueryError) as refused:
        validate_note(typed)
    assert str(refused.value).startswith("the note seems to contain a")
    assert not re.search("[a-z]", translated(refused.value, catalogue("zh").gettext))


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_every_kind_has_a_chinese_noun(kind):
    assert HAN.search(kind.noun_zh)
    assert catalogue("zh").gettext(kind.noun) in {
        same_noun.noun_zh for same_noun in kinds().values() if same_noun.noun == kind.noun
    }


def test_page_is_in_one_language_and_can_be_switched(browser):
    for accepted, tag in (("zh-CN,zh;q=0.9", "zh-Hans"), ("de", "en")):
        answer = browser.get("/noise", headers={"accept-language": accepted})
        assert f'<html lang="{tag}">' in answer.text
        assert answer.headers["content-language"] == tag
        content = re.sub(r'<button[^>]*name="language".*?</button>', "", answer.text)
        assert bool(HAN.search(content)) is (tag == "zh-Hans")
    switched = browser.post("/language", {"language": "zh", "then": "/noise?x=1"})
    assert (switched.status_code, switched.headers["location"]) == (303, "/noise?x=1")
    browser.cookies |= dict(switched.cookies)
    assert '<html lang="zh-Hans">' in browser.get("/noise", headers={"accept-language": "en"}).text


@pytest.mark.parametrize("then", ["//evil.example", "https://evil.example", "/\\evil.example", ""])
def test_language_switch_returns_to_the_same_page(browser, then):
    assert browser.post("/language", {"language": "zh", "then": then}).headers["location"] == "/"


def test_language_switch_rejects_other_languages(browser):
    assert "set-cookie" not in browser.post("/language", {"language": "xx"}).headers


def test_every_language_has_a_page(browser):
    for name in LANGUAGES:
        assert browser.get("/nowhere", headers={"accept-language": name}).status_code == 404
