"""What match seals to the desk of a capture."""

import io
import zipfile

from matcher.cli.canary import enrol as enrol_canaries
from tests.matcher import test_stage
from tests.matcher.bank import phone
from tests.matcher.test_stage import MatchProcess
from ullage import custody
from ullage.records import Finding
from ullage.security import keys

match = test_stage.match


def open_post(match: MatchProcess, found: Finding) -> custody.SealedPost:
    opener = keys.load_console_opener(match.context.keys, found.tenant)
    return custody.unseal(found.original, found.original_key, opener, found.tenant, found.id)


def test_post_details_are_sealed_without_the_body(
    match: MatchProcess,
) -> None:
    match.put("", title="诸葛文昭", author="zhuge_1888", url="http://b.example/诸葛", post_id="1")
    match.work()  # of which nothing is found
    match.put(
        phone(2), title="诸葛文昭", author="zhuge_1888", url="http://b.example/诸葛", post_id="2"
    )
    [plain] = match.drain()
    assert open_post(match, plain) == custody.SealedPost(
        url="http://b.example/诸葛", title="诸葛文昭", author="zhuge_1888"
    )
    assert "诸葛" not in plain.encode().decode()


def test_names_of_matching_members_are_sealed_by_number(match: MatchProcess) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "nothing")
        archive.writestr("诸葛文昭_密码.csv", phone(1))
    match.put("x", body_bytes=packed.getvalue(), media_type="application/zip")
    [finding] = match.drain()
    (number,) = {sealed_match.member for sealed_match in finding.matches}
    assert number > 0
    members = open_post(match, finding).members
    assert list(members) == [number]
    assert members[number].endswith("诸葛文昭_密码.csv")
    assert "诸葛" not in finding.encode().decode()


def test_nothing_is_sealed_when_disabled_or_without_console_key(match: MatchProcess) -> None:
    for path in (match.context.keys.root / "bank").glob("console.*"):
        path.unlink()
    match.stage._stamp = None  # as at a start
    match.stage.__post_init__()
    match.put(phone(1))
    [finding] = match.drain()
    assert (finding.original, finding.original_key) == ("", "")


def test_canary_tenant_has_a_console_key(match: MatchProcess) -> None:
    assert enrol_canaries(match.context)
    assert keys.load_console_sealer(match.context.keys, "ullage-canary") is not None
