"""Whose captures match believes, and which canary posts count."""

import secrets
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from matcher.cli.canary import enrol as enrol_canaries
from tests.factories import capture
from tests.matcher import test_stage
from tests.matcher.bank import phone
from tests.matcher.test_stage import MatchProcess, list_published
from ullage.bus import CAPTURES, FINDINGS, Outgoing
from ullage.monitoring.canary import SITE, TENANT, make_proof, render_post
from ullage.records import CAPTURE_SCHEMA, Capture
from ullage.records.base import frame, unframe
from ullage.records.heartbeat import HEARTBEAT_SCHEMA, Heartbeat
from ullage.security import keys
from ullage.security.capture_seal import CaptureOpener, CaptureSealer
from ullage.security.signing import Signer, Verifier, record_parts

match = test_stage.match
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(b"s" * 32))


def put(
    match: MatchProcess, captured: Capture, signer: Signer | None, schema: int = CAPTURE_SCHEMA
) -> None:
    sealer = keys.load_sealer(match.context.keys)
    signing = signer or NullSigner()
    sealed = CaptureSealer(sealer, signing).seal(captured.encode())  # type: ignore[arg-type]
    match.captures.append(
        [Outgoing("paste", sealed, {"schema": str(schema), "key_id": sealer.key_id})]
    )


class NullSigner:
    """Signs nothing."""

    def enclose(self, plain: bytes, _purpose: str) -> bytes:
        return plain


def leak(number: int) -> Capture:
    return capture(body=phone(number).encode(), post_id=str(number), site="paste", category="forum")


def test_capture_of_unknown_signer_is_matched_without_its_site(
    match: MatchProcess,
) -> None:
    put(match, leak(1), keys.load_signer(match.context.keys, "crawl"))
    put(match, leak(2), STRANGER)
    assert [(f.capture.site, f.capture.category) for f in match.drain()] == [
        ("paste", "forum"),
        ("other", ""),
    ]
    assert (match.value("unknown_signers_total"), match.reasons()) == (1, [])


def test_unsigned_capture_becomes_a_dead_letter(match: MatchProcess) -> None:
    put(match, leak(3), None)
    assert (match.drain(), match.reasons()) == ([], ["malformed"])


@pytest.mark.parametrize("schema", [CAPTURE_SCHEMA - 1, CAPTURE_SCHEMA + 1])
def test_capture_with_other_schema_becomes_a_dead_letter(match: MatchProcess, schema: int) -> None:
    put(match, leak(3), keys.load_signer(match.context.keys, "crawl"), schema=schema)
    assert (match.drain(), match.reasons()) == ([], ["schema"])


def test_captures_of_a_visit_open_in_any_order(match: MatchProcess) -> None:
    sealer = keys.load_sealer(match.context.keys)
    visit = CaptureSealer(sealer, keys.load_signer(match.context.keys, "crawl"))
    sealed = [visit.seal(leak(number).encode()) for number in range(1, 4)]
    headers = {"schema": str(CAPTURE_SCHEMA), "key_id": sealer.key_id}
    match.captures.append([Outgoing("paste", value, headers) for value in (sealed[2], sealed[0])])
    assert [f.capture.site for f in match.drain()] == ["paste", "paste"]
    opener = CaptureOpener(
        keys.load_opener(match.context.keys), keys.load_verifier(match.context.keys, CAPTURES)
    )
    plain, grant = opener.open(sealed[1], sealer.key_id)
    assert (plain, grant and grant.site) == (leak(2).encode(), "paste")


def test_newly_trusted_signer_is_accepted(match: MatchProcess) -> None:
    trusted: dict[str, Ed25519PublicKey] = {}
    sealer = keys.load_sealer(match.context.keys)
    sealed = CaptureSealer(sealer, STRANGER).seal(b"x")
    opener = CaptureOpener(keys.load_opener(match.context.keys), Verifier(lambda: trusted))
    assert opener.open(sealed, sealer.key_id) == (b"x", None)
    trusted[STRANGER.name] = STRANGER.private.public_key()
    assert opener.open(sealed, sealer.key_id)[1] is not None


def test_removed_signer_is_rejected_for_keys_it_granted_earlier(
    match: MatchProcess,
) -> None:
    trusted = {STRANGER.name: STRANGER.private.public_key()}
    sealer = keys.load_sealer(match.context.keys)
    visit = CaptureSealer(sealer, STRANGER)
    second_sealer = CaptureSealer(sealer, Signer(Ed25519PrivateKey.generate()))
    opener = CaptureOpener(keys.load_opener(match.context.keys), Verifier(lambda: dict(trusted)))
    assert opener.open(visit.seal(b"x"), sealer.key_id)[1] is not None
    trusted.clear()
    # has the signers read again
    assert opener.open(second_sealer.seal(b"y"), sealer.key_id) == (b"y", None)
    assert opener.open(visit.seal(b"z"), sealer.key_id) == (b"z", None)


def test_removed_signer_is_rejected_within_a_minute(
    match: MatchProcess,
) -> None:
    trusted, now = {STRANGER.name: STRANGER.private.public_key()}, [0.0]
    sealer = keys.load_sealer(match.context.keys)
    visit = CaptureSealer(sealer, STRANGER)
    verifier = Verifier(lambda: dict(trusted), lambda: now[0])
    opener = CaptureOpener(keys.load_opener(match.context.keys), verifier)
    assert opener.open(visit.seal(b"x"), sealer.key_id)[1] is not None
    trusted.clear()
    now[0] += 59.0
    assert opener.open(visit.seal(b"z"), sealer.key_id) == (b"z", None)


@pytest.mark.parametrize(("hours", "believed"), [(0, True), (5, True), (7, False), (7 * 24, False)])
def test_visit_grant_is_valid_for_hours(match: MatchProcess, hours: float, believed: bool) -> None:
    wall = match.context.clock.wall
    signer, sealer = (
        keys.load_signer(match.context.keys, "crawl"),
        keys.load_sealer(match.context.keys),
    )
    sealed = CaptureSealer(sealer, signer, lambda: wall() - hours * 3600).seal(leak(1).encode())
    match.captures.append(
        [Outgoing("paste", sealed, {"schema": str(CAPTURE_SCHEMA), "key_id": sealer.key_id})]
    )
    assert [f.capture.site for f in match.drain()] == ["paste" if believed else "other"]
    assert match.value("unknown_signers_total") == (not believed)


def test_visit_grant_is_not_valid_for_another_site(match: MatchProcess) -> None:
    signer, sealer = (
        keys.load_signer(match.context.keys, "crawl"),
        keys.load_sealer(match.context.keys),
    )
    visit = CaptureSealer(sealer, signer, match.context.clock.wall)
    of_board = leak(1).model_copy(update={"site": "board"})
    stolen = unframe(visit.seal(of_board.encode()))[0]
    forged = frame(stolen, unframe(forge_sealed(visit, "board", leak(1).encode()))[1])
    headers = {"schema": str(CAPTURE_SCHEMA), "key_id": sealer.key_id}
    match.captures.append([Outgoing("paste", forged, headers)])
    assert [f.capture.site for f in match.drain()] == ["other"]


def forge_sealed(visit: CaptureSealer, site: str, plain: bytes) -> bytes:
    """Return what a thief of the visit's key for `site` would encrypt."""
    key = visit._keys[site]
    nonce = (7).to_bytes(12, "big")
    return frame(key.grant, nonce + key.cipher.encrypt(nonce, plain, visit._info))


def test_sealer_rotates_its_key_hourly_within_a_visit(match: MatchProcess) -> None:
    now = [0.0]
    signer, sealer = (
        keys.load_signer(match.context.keys, "crawl"),
        keys.load_sealer(match.context.keys),
    )
    visit = CaptureSealer(sealer, signer, lambda: now[0])
    opener = CaptureOpener(
        keys.load_opener(match.context.keys), keys.load_verifier(match.context.keys, CAPTURES)
    )
    first, second = visit.seal(b"x"), visit.seal(b"x")
    now[0] += 3600.0
    third = visit.seal(b"x")
    assert unframe(first)[0] == unframe(second)[0] != unframe(third)[0]
    grants = [opener.open(sealed, sealer.key_id)[1] for sealed in (first, third)]
    assert grants[0].visit == grants[1].visit
    assert grants[1].until - grants[0].until == 3600.0


@pytest.mark.parametrize("place", [-1, 60, 200, 380, "grant", "nonce"])
def test_altered_capture_becomes_a_dead_letter(match: MatchProcess, place: int | str) -> None:
    signer, sealer = (
        keys.load_signer(match.context.keys, "crawl"),
        keys.load_sealer(match.context.keys),
    )
    first_sealer, second_sealer = CaptureSealer(sealer, signer), CaptureSealer(sealer, signer)
    (grant, box), (of_other, _) = (
        unframe(first_sealer.seal(leak(1).encode())),
        unframe(second_sealer.seal(leak(1).encode())),
    )
    value = bytearray(
        frame(of_other if place == "grant" else grant, box if place != "nonce" else b"\1" + box[1:])
    )
    if isinstance(place, int):
        value[place] ^= 1
    match.captures.append(
        [Outgoing("paste", bytes(value), {"schema": str(CAPTURE_SCHEMA), "key_id": sealer.key_id})]
    )
    assert (match.drain(), match.reasons()) == ([], ["not_authentic"])


def test_match_signs_findings_and_heartbeats(match: MatchProcess) -> None:
    put(match, leak(1), keys.load_signer(match.context.keys, "crawl"))
    match.work()
    (record,) = match.out.poll(9, 0.0)
    verifier = keys.load_verifier(match.context.keys, FINDINGS)
    parts = record_parts(FINDINGS, record.headers, record.value)
    verifier.verify(record.headers["signer"], record.headers["signature"], "finding", *parts)
    assert record.headers["signer"] == keys.load_signer(match.context.keys, "match").name


@pytest.mark.parametrize(("signer", "reason"), [(STRANGER, "unknown_signer"), (None, "malformed")])
def test_heartbeat_of_unknown_signer_is_rejected(
    match: MatchProcess, signer: Signer | None, reason: str
) -> None:
    sealer = keys.load_sealer(match.context.keys)
    beat = Heartbeat(
        id=secrets.token_hex(16), origin="crawl", inserted_at=match.context.clock.now()
    )
    plain = signer.enclose(beat.encode(), "heartbeat") if signer else beat.encode()
    sealed = sealer.seal(plain, purpose="heartbeat", topic=CAPTURES, schema=HEARTBEAT_SCHEMA)
    headers = {**beat.headers(), "key_id": sealer.key_id}
    match.captures.spread(Outgoing(beat.id, sealed, headers))
    assert (list_published(match), match.reasons()) == ([], [reason])


def canary_post(
    match: MatchProcess, signer: Signer, nonce: str = "abcdefghijkl", **changes: object
) -> Capture:
    now = match.context.clock.now()
    body = render_post(nonce, make_proof(signer, nonce, now.timestamp())).encode()
    post = {
        "site": SITE,
        "platform": "canary",
        "post_id": nonce,
        "published_at": now,
        "title": "",
        "body": body,
    }
    return capture(**{**post, **changes})


def test_canary_post_counts_only_if_signed_by_crawl(match: MatchProcess) -> None:
    crawl = keys.load_signer(match.context.keys, "crawl")
    assert enrol_canaries(match.context)
    good = canary_post(match, crawl)
    later = good.published_at + timedelta(minutes=5)  # type: ignore[operator]
    for post in (
        good,
        canary_post(match, crawl, "b" * 12, site="paste"),  # somebody's copy on a paste site
        canary_post(match, STRANGER, "c" * 12),
        # served again as if it were new
        good.model_copy(update={"post_id": "d" * 12, "published_at": later}),
    ):
        put(match, post, crawl)
    put(match, canary_post(match, crawl, "e" * 12), STRANGER)  # of another's crawl host
    match.work()
    published = [record for record in match.out.poll(20, 0.0) if record.headers["tenant"] == TENANT]
    assert len(published) == 1
    assert (match.value("false_canaries_total"), match.reasons()) == (4, [])
