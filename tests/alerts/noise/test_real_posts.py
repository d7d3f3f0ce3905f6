"""Posts as they are written, through the real matcher: which are background, and that what sells is
not.

All people and numbers are made up.
"""

import hashlib

import pytest

from alerts.grouping.benign import load_shipped_rules
from alerts.records import Background, Exposure, Incident, Sighting
from alerts.records.sighting import Traits
from alerts.store import DocumentFilter
from matcher.match.findings import find_all
from matcher.match.pipeline import Matcher
from tests.alerts.builders import fold_all
from tests.conftest import HeldClock
from tests.factories import capture
from tests.matcher.bank import customer, enrol, matcher_of, phone, resident_id
from ullage import setup
from ullage.records import Finding
from ullage.settings import Context

MINE, YOURS = phone(1), phone(2)
NAME = customer(1)["name"]
BRAND = "某某银行"


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    """Return one matcher for all tests here: it keeps nothing of what it reads."""
    folder = tmp_path_factory.mktemp("bank")
    context = Context(folder, HeldClock().as_clock())
    list(setup.initialise(context))
    enrol(context, "bank", [customer(n) for n in range(40)])
    return matcher_of(context, brands={"bank": [BRAND]})


def read(matcher: Matcher, text: str, name: str = "p", **changes) -> list[Finding]:
    captured = capture(
        **{"body": text.encode(), "title": "", "post_id": name, "id": name, **changes}
    )
    return find_all(matcher, [captured], captured.fetched_at)


def rule_of(matcher: Matcher, text: str, **changes) -> str:
    (match_finding,) = read(matcher, text, **changes)
    rule = load_shipped_rules().decide(Traits.from_finding(match_finding))
    return rule.id if rule else "incident"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"转让自行车一辆，九成新，自提。联系电话 {MINE}，价格好商量", "B1"),
        (f"打我电话{MINE}", "B1"),
        (f"有事加V信 {MINE}", "B1"),
        (f"{MINE[:3]}-{MINE[3:7]}-{MINE[7:]} 求职，会开车", "B1"),
        (f"整租两室一厅，拎包入住，价格面议。联系人 王先生 {MINE}", "B3"),
        (
            (
                "本店营业时间 9:00-21:00，欢迎光临，地址 建国路8号，服务热线 4008208820，店长"
                f" 王先生 {MINE}"
            ),
            "B3",
        ),
        (f"招聘服务员两名，包吃住，工资面议，微信同号，联系人 王女士 {MINE}", "B3"),
        (f"警方提醒：近期有人冒充客服实施电信诈骗，如接到 {MINE} 来电请勿转账", "B5"),
        (f"法院判处被告人有期徒刑三年。其以注销校园贷为名，用 {MINE} 拨打电话，跑分洗钱", "B5"),
        (f"反诈案例：公检法不会要求转到安全账户。涉案号码 {MINE}", "B5"),
    ],
)
def test_ordinary_posts_of_people_shops_and_news_are_benign(matcher, text, rule):
    assert rule_of(matcher, text) == rule


@pytest.mark.parametrize(
    ("category", "rule"),
    [("news", "B4"), ("court", "B4"), ("shop", "B2"), ("", "incident"), ("forum", "incident")],
)
def test_site_category_decides_where_words_do_not(matcher, category, rule):
    text = (
        f"联系人 王先生 电话 {MINE} 地址 建国路8号"
        if category == "shop"
        else f"该团伙以杀猪盘行骗，跑分洗钱，使用号码 {MINE}"
    )
    assert rule_of(matcher, text, category=category) == rule


LEAKS = {
    "a sample in a report": f"警方提醒 法院 案例\n{MINE}\n{YOURS}\n{phone(3)}",
    "a second person": f"警方提醒，法院判处。{MINE} 和 {YOURS}",
    "a second person, not a customer": f"营业时间 欢迎光临 {MINE} {phone(999)}",
    "an ID number": f"警方提醒，法院判处。{MINE} {resident_id(1)}",
    "an invalid ID number": f"警方提醒，法院判处。{MINE} 身份证 110105189912310021",
    "the customer's own name": f"警方提醒，法院判处。{NAME} {MINE}",
    "the customer's own mail address": f"营业时间 欢迎光临 {MINE} customer1@example.com",
    "sales terms": f"警方提醒，法院判处。出售一手料，走样，{MINE}",
    "one strong term alone": f"有一手数据 {MINE}",
    "a balance": "姓名,手机,余额\n" + f"王某,{MINE},30000",
    "a loan": f"姓名:王某 手机:{MINE} 贷款金额:50000",
    "a password": f"login {MINE} 密码: abc12345",
    "a login": f"{MINE}:abc12345",
    "a record without labels": f"王某|{MINE}|50000|2026-01-01",
    "a debt": f"手机号码{MINE} 欠款5万 逾期30天",
    "a password on the next line": f"{MINE}\npassword abc12345",
    "the brand's data": f"{BRAND} 内料 四件套 出料 {MINE}",
}


@pytest.mark.parametrize("category", ["", "news", "shop"])
@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_leak_is_never_benign_whatever_surrounds_it(matcher, text, category):
    assert rule_of(matcher, text, category=category) == "incident"


def test_digest_of_a_number_is_not_an_advertisement(matcher):
    assert rule_of(matcher, hashlib.md5(MINE.encode()).hexdigest()) == "incident"


def row(n: int) -> str:
    return f"{customer(n)['name']}----{phone(n)}----{resident_id(n)}"


def dump(*numbers: int) -> str:
    return "\n".join(map(row, numbers))


def fold_posts(store, clock, matcher, posts: dict[str, tuple[str, str]]) -> list[Incident]:
    """List the incidents that posts of (site, text) make, in their order."""
    for name, (site, text) in posts.items():
        fold_all(store, clock, read(matcher, text, name, site=site))
        clock.advance(60)
    return sorted(store.scroll(Incident, DocumentFilter()), key=lambda i: i.opened_at)


def test_same_text_on_several_sites_is_one_incident(store, clock, matcher):
    posts = {
        n: (site, dump(*range(12))) for n, site in enumerate(("paste", "forum", "market", "paste"))
    }
    (incident,) = fold_posts(store, clock, matcher, {f"p{n}": post for n, post in posts.items()})
    assert (incident.sightings, incident.sites, incident.customers) == (
        4,
        ("forum", "market", "paste"),
        12,
    )


def test_overlapping_slices_are_one_incident_without_double_counting(store, clock, matcher):
    posts = {f"s{start}": ("paste", dump(*range(start, start + 16))) for start in (0, 6, 12, 18)}
    (incident,) = fold_posts(store, clock, matcher, posts)
    assert (incident.sightings, incident.customers) == (4, 34)
    assert store.count(Exposure, DocumentFilter()) == 34


def test_slice_and_whole_join_in_either_order(store, clock, matcher):
    (incident,) = fold_posts(
        store, clock, matcher, {"a": ("paste", dump(*range(10))), "b": ("forum", dump(*range(40)))}
    )
    assert (incident.rows, incident.customers, incident.sightings) == (40, 40, 2)


def test_post_containing_two_leaks_links_their_incidents(store, clock, matcher):
    posts = {
        "a": ("paste", dump(*range(12))),
        "b": ("forum", dump(*range(20, 32))),
        "both": ("market", dump(*range(12), *range(20, 32))),
    }
    first, second = fold_posts(store, clock, matcher, posts)
    assert (first.sightings, first.linked) == (2, (second.id,))
    assert (second.sightings, second.linked) == (1, (first.id,))


def test_reposted_short_text_is_one_incident(store, clock, matcher):
    text = (
        f"出{BRAND}客户 一手数据 全格式，可验，走样，量大从优，飞机联系，{NAME} {MINE}"
        f" {resident_id(1)}"
    )
    (incident,) = fold_posts(
        store, clock, matcher, {"a": ("paste", text), "b": ("forum", f"转：{text}")}
    )
    assert incident.sites == ("forum", "paste")


def test_month_of_small_talk_opens_one_real_incident(store, clock, matcher):
    posts = {
        f"t{n}": (f"board{n % 7}", f"第{n}号转让，联系电话 {phone(n % 40)}，自提")
        for n in range(35)
    }
    posts["leak"] = ("board3", dump(*range(9)))
    (incident,) = fold_posts(store, clock, matcher, posts)
    assert (incident.customers, incident.sites) == (9, ("board3",))
    assert (
        store.count(Background, DocumentFilter()) + store.count(Sighting, DocumentFilter())
        == len(posts)
        == 36
    )
    assert store.count(Background, DocumentFilter({"site": ("board3",)})) == len(
        [n for n in range(35) if n % 7 == 3]
    )
