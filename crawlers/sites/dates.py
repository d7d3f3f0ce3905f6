"""Parse the dates of sites: numbers, months in words, "3 hours ago", "昨天 10:20".

Site programs write a date in a handful of ways and a dozen languages. A text that no rule here
reads counts as no date: a post without one is still a post. Relative dates ("yesterday") are
resolved by the site's own clock, which the `Date` header of its response tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal

from ullage.clock import in_range

LONGEST = 200
Order = Literal["MDY", "DMY"]
MONTHS = {
    name: number
    for number, names in enumerate(
        """
jan january januar janvier janv enero ene gennaio gen janeiro января янв январь ocak styczeń
stycznia januari ledna leden січня січ tammikuuta tammikuu sty oca ιανουαρίου ιαν يناير ינואר
janúar január;
feb february februar février févr fév febrero febbraio fevereiro fev февраля фев февраль şubat
luty lutego februari února únor лютого лют helmikuuta helmikuu şub φεβρουαρίου φεβ فبراير פברואר;
mar march märz mär mars marzo março марта мар март mart marzec marca maret maart mrt března březen
березня бер maaliskuuta maaliskuu marz μαρτίου μαρ مارس מרץ március;
apr april avril avr abril abr aprile апреля апр апрель nisan kwiecień kwietnia dubna duben квітня
квіт huhtikuuta huhtikuu nis kwi απριλίου απρ أبريل אפריל április;
may mai mayo maggio mag maio мая май mayıs maj maja mei maí května květen травня трав toukokuuta
toukokuu μαΐου μαΐ مايو מאי május;
jun june juni juin junio giugno giu junho июня июн июнь haziran czerwiec czerwca června červen
червня черв kesäkuuta kesäkuu haz cze ιουνίου ιουν يونيو יוני június;
jul july juli juillet juil julio luglio lug julho июля июл июль temmuz lipiec lipca července
červenec липня лип heinäkuuta heinäkuu tem lip ιουλίου ιουλ يوليو יולי július;
aug august août aoû agosto ago августа авг август ağustos sierpień sierpnia agustus augusti
augustus agu srpna srpen серпня серп elokuuta elokuu elo ağu sie αυγούστου αυγ أغسطس אוגוסט
augusztus;
sep sept september septembre septiembre settembre set setembro сентября сен сент сентябрь eylül
wrzesień września září вересня вер syyskuuta syyskuu eyl wrz σεπτεμβρίου σεπ سبتمبر ספטמבר
szeptember;
oct okt october oktober octobre octubre ottobre ott outubro out октября окт октябрь ekim
październik października října říjen жовтня жовт lokakuuta lokakuu eki paź οκτωβρίου οκτ أكتوبر
אוקטובר október;
nov november novembre noviembre novembro ноября ноя нояб ноябрь kasım listopad listopada nopember
listopadu листопада лист marraskuuta marraskuu kas lis νοεμβρίου νοε نوفمبر נובמבר;
dec dez december dezember décembre déc diciembre dic dicembre dezembro декабря дек декабрь aralık
grudzień grudnia desember prosince prosinec грудня груд joulukuuta joulukuu ara gru δεκεμβρίου δεκ
ديسمبر דצמבר
""".split(";"),
        1,
    )
    for name in names.split()
}
UNITS: dict[str, float] = {
    word: seconds
    for seconds, words in zip(
        (1, 60, 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400),
        """
second seconds sec secs s 秒 秒钟 秒前 sekunde sekunden seconde secondes segundo segundos секунд
секунды секунду 초;
minute minutes min mins m 分 分钟 分鐘 minuten minuto minutos минут минуты минуту мин 분 minuti
minuta minuty dakika phút menit minuter minutter minuuttia хвилин хвилини;
hour hours hr hrs h 小时 小時 时间 時間 个小时 stunde stunden heure heures hora horas часов часа
час 시간 ore ora godzin godzinę godziny saat giờ jam uur timmar timer tuntia годин години;
day days d 天 日 tag tage tagen jour jours día días dia dias день дня дней 일 giorni giorno dni
dzień gün ngày hari dagen dagar dager päivää днів;
week weeks wk w 周 週 星期 个星期 woche wochen semaine semaines semana semanas неделю недели
недель;
month months mo 个月 個月 ヶ月 monat monate monaten mois mes meses месяц месяца месяцев;
year years yr y 年 jahr jahre jahren an ans año años ano anos год года лет
""".split(";"),
        strict=True,
    )
    for word in words.split()
}
DAYS = {
    word.replace("~", " "): days
    for days, words in enumerate(
        """
today dzisiaj dziś bugün hôm~nay vandaag idag tänään dnes сьогодні heute aujourd'hui hoy oggi hoje
сегодня 今天 今日 오늘;
yesterday wczoraj dün hôm~qua gisteren igår eilen včera вчора gestern hier ayer ieri ontem вчера
昨天 昨日 어제;
vorgestern позавчера 前天
""".split(";")
    )
    for word in words.split()
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ZONES = {
    "UTC": 0,
    "GMT": 0,
    "Z": 0,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
}
NOW = re.compile(
    r"(?i)just now|moments? ago|a few seconds ago|刚刚|剛剛|刚才|たった今|gerade eben|à"
    r" l'instant|только что|방금"
)
YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})\s*[-/.年년]\s*(\d{1,2})\s*[-/.月월]\s*(\d{1,2})[日일]?T?")
MONTH_FIRST = re.compile(
    r"([^\W\d_]{3,})\.?[\s/-]+(\d{1,2})(?:st|nd|rd|th)?\s*(?:[,/-]\s*)?"
    r"(?:(\d{4})(?!\d)|(?=[,\s]|$))"
)
DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?[.\s/-]+(?:(?:de|of)\s+)?([^\W\d_]{3,})\.?,?"
    r"(?:[\s/-]+(?:de\s+)?(\d{4}))?"
)
VIETNAMESE = re.compile(r"(?i)(?<!\d)(\d{1,2})\s+(?:tháng|thg)\s+(\d{1,2}),?\s+(\d{4})(?!\d)")
NUMBERS = re.compile(r"(?<!\d)(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?!\d)")
MONTH_DAY = re.compile(r"(?<!\d)(\d{1,2})月(\d{1,2})日")
HALF = "上午 下午 凌晨 早上 中午 晚上 午前 午後 오전 오후"
LATER_HALF = frozenset("下午 晚上 午後 오후 p".split())
CLOCK = re.compile(
    rf"(?i)(?:(?P<half>{HALF.replace(' ', '|')})\s*)?(?<!\d)(?P<hour>\d{{1,2}})"
    r"(?:[:：时h시](?P<minute>\d{2})(?:[:：分](?P<second>\d{2}))?(?:[.,]\d+)?"
    r"(?:\s*(?P<m1>[ap])\.?m\b\.?)?|\s*(?P<m2>[ap])\.?m\b\.?)"
    r"(?:\s*(?P<zone>Z\b|[A-Z]{3}\b|[+-]\d{2}:?\d{2}))?"
)
AGO = re.compile(
    r"(?i)(?:vor|il y a|hace|há)?\s*(?P<count>(?<!\d)\d{1,6}|(?<!\w)(?:an?|one|half"
    r" an)(?=\s)|半)\s*(?P<unit>[^\W\d_]+?)"
    r"\s*(?:ago|前|以前|назад|тому|전|fa|temu|önce|trước|lalu|yang"
    r" lalu|geleden|sedan|siden|sitten|\Z|,)"
)


@dataclass(frozen=True, slots=True)
class DateFormats:
    """How a site writes dates: its time zone, the order of day and month in `03-04`, and formats.

    `formats` (`strptime`) are tried before the usual ones.
    """

    zone: tzinfo = UTC
    order: Order = "MDY"
    formats: tuple[str, ...] = ()

    def parse(self, text: str, now: datetime | None = None) -> datetime | None:
        """Return the moment that `text` names, with its time zone; None if it names none.

        None as well where the moment is out of range. `now`, a moment with any time zone, is what
        relative texts ("yesterday") and dates without a year refer to; without it, relative texts
        name no moment.
        """
        text = " ".join(text[:LONGEST].split())
        if not text:
            return None
        local_now = now.astimezone(self.zone) if now else None
        try:
            moment = (
                self._parse_by_format(text)
                or _parse_unix(text)
                or self._parse_date(text, local_now)
            )
            return in_range(moment or (_parse_relative(text, local_now) if local_now else None))
        except (ValueError, OverflowError):
            return None

    def _parse_by_format(self, text: str) -> datetime | None:
        """Return the moment that one of the site's own formats reads."""
        for date_format in self.formats:
            try:
                moment = datetime.strptime(text, date_format)  # noqa: DTZ007 - the site's zone
            except ValueError:
                continue
            return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
        return None

    def _parse_date(self, text: str, local_now: datetime | None) -> datetime | None:
        """Return the moment of the first valid absolute date in `text`.

        It has the time of day behind the date, without one midnight. Returns None if `text` has no
        valid date.
        """
        for year, month, day, end in self._find_dates(text, local_now):
            try:
                midnight = datetime(year, month, day, tzinfo=self.zone)
            except ValueError:
                continue
            clock = CLOCK.search(text, end)
            return _add_time(midnight, clock, text[end:] if clock is None else "")
        return None

    def _find_dates(
        self, text: str, local_now: datetime | None
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yield each possible date in `text`: year, month, day, and where it ends.

        The numbers may be no valid date. Dates without a year are found only with `local_now`. Of
        dates such as 03/04/2026, a number above 12 or a dot decides which is the day, else `order`.
        """
        if match := YEAR_FIRST.search(text):
            yield int(match[1]), int(match[2]), int(match[3]), match.end()
        for pattern, month, day in ((MONTH_FIRST, 1, 2), (DAY_FIRST, 2, 1)):
            for match in pattern.finditer(text):
                number = MONTHS.get(match[month].casefold())
                if number and (match[3] or local_now):
                    yield *_complete_date(match[3], number, int(match[day]), local_now), match.end()
        if match := VIETNAMESE.search(text):
            yield int(match[3]), int(match[2]), int(match[1]), match.end()
        if match := NUMBERS.search(text):
            first, second, year = int(match[1]), int(match[3]), int(match[4])
            day_first = first > 12 or (second <= 12 and (self.order == "DMY" or match[2] == "."))
            month, number = (second, first) if day_first else (first, second)
            yield year + 2000 if year < 100 else year, month, number, match.end()
        if (match := MONTH_DAY.search(text)) and local_now:
            yield *_complete_date("", int(match[1]), int(match[2]), local_now), match.end()


def _complete_date(
    year: str | None, month: int, day: int, local_now: datetime | None
) -> tuple[int, int, int]:
    """Return year, month and day; a date without a year is the latest one up to now."""
    if year or local_now is None:
        return int(year or 0), month, day
    return local_now.year - ((month, day) > (local_now.month, local_now.day)), month, day


def _add_time(midnight: datetime, clock: re.Match[str] | None, rest: str = "") -> datetime:
    """Return `midnight` with a time of day, in the time zone named beside it, if any.

    `clock` is the match of a time; with None, `midnight` is returned, or 12:00 if `rest` says noon.
    Raises ValueError for a time such as 25:00.
    """
    if clock is None:
        return midnight.replace(hour=12) if re.search(r"(?i)\bnoon\b", rest) else midnight
    hour, half = int(clock["hour"]), (clock["half"] or clock["m1"] or clock["m2"] or "").lower()
    if half:
        hour = hour % 12 + (12 if half in LATER_HALF or (half == "中午" and hour in (12, 1)) else 0)
    at = midnight.replace(
        hour=hour, minute=int(clock["minute"] or 0), second=int(clock["second"] or 0)
    )
    named = clock["zone"] or ""
    if named[:1] in {"+", "-"}:
        minutes = int(named[1:3]) * 60 + int(named[-2:])
        return at.replace(
            tzinfo=timezone(timedelta(minutes=minutes if named[0] == "+" else -minutes))
        )
    return (
        at.replace(tzinfo=timezone(timedelta(hours=ZONES[named.upper()])))
        if named.upper() in ZONES
        else at
    )


def _parse_unix(text: str) -> datetime | None:
    """Return the moment of Unix seconds or milliseconds; fractions are dropped."""
    digits = text.partition(".")[0]
    if not (digits.isascii() and digits.isdecimal()) or len(digits) not in {9, 10, 12, 13}:
        return None
    return datetime.fromtimestamp(int(digits) / (1 if len(digits) < 12 else 1000), UTC)


def _parse_relative(text: str, local_now: datetime) -> datetime | None:
    """Return the moment of a text such as "3 hours ago" or "yesterday 10:20".

    Returns None for any other text. A day without a time of day is its midnight; a missing or
    unknown count is one.
    """
    if NOW.search(text):
        return local_now
    day = _count_days_ago(text.casefold(), local_now)
    if day is not None:
        midnight = (local_now - timedelta(days=day)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        return _add_time(midnight, CLOCK.search(text))
    match = AGO.search(text)
    if not match or match["unit"].casefold() not in UNITS:
        return None
    count = (
        0.5
        if match["count"].casefold() in {"半", "half an"}
        else float(match["count"])
        if match["count"].isdecimal()
        else 1.0
    )
    return local_now - timedelta(seconds=count * UNITS[match["unit"].casefold()])


def _count_days_ago(text: str, local_now: datetime) -> int | None:
    """Return how many days ago the named day was; None if no day is named.

    A weekday is its last occurrence, from 1 to 7 days ago. `text` must be in lower case.
    """
    words: Sequence[str] = tuple(DAYS)
    for word in words:
        if re.search(rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word), text):
            return DAYS[word]
    for number, name in enumerate(WEEKDAYS):
        if re.search(rf"\b{name}\b", text):
            return (local_now.weekday() - number) % 7 or 7
    return None
