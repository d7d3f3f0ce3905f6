"""One fault of the way out against many faults of sites."""

import asyncio
import socket

from crawlers.scheduling.egress import Egress, is_reachable


def looks(egress: Egress, text: str, begin: float = 0.0, step: float = 10.0) -> list[bool]:
    """Visits in order, as `a+ b- c-`: site and whether it answered; whether the way out was up
    after each.
    """
    states = []
    for number, word in enumerate(text.split()):
        egress.note(word[:-1], word[-1] == "+", begin + number * step)
        states.append(egress.up)
    return states


def test_egress_is_down_when_nearly_all_sites_fail_at_once() -> None:
    egress = Egress(total=4)
    assert looks(egress, "a+ b+ c+ d+ a- b- c- d-") == [True] * 6 + [False] * 2
    assert egress.down_since == 40.0
    assert egress.failing() == ["a", "b", "c", "d"]


def test_single_failing_site_is_not_an_egress_failure() -> None:
    assert all(looks(Egress(total=4), "a- b+ c+ d+ a- b+ c+ d+ a- a- a- a-"))
    assert all(looks(Egress(total=10), "a- b- c- " * 3 + "d+ e+ f+ g+ h+ i+ j+ " + "a- b- c- " * 3))


def test_long_dead_sites_do_not_count_against_egress() -> None:
    dead = " ".join(f"x{n}-" for n in range(3))
    alive = " ".join(f"s{n}+" for n in range(17))
    egress = Egress(total=20)
    assert all(looks(egress, f"{alive} {dead} {alive} {dead} {alive} {dead}"))
    failing = " ".join(f"s{n}-" for n in range(17))
    assert looks(egress, failing, begin=10_000.0)[-1] is False
    assert egress.down_since == 10_000.0


def test_fewer_than_three_sites_decide_nothing() -> None:
    egress = Egress(total=2)
    assert all(looks(egress, "a- b- a- b- a- b-"))
    assert not egress.can_tell


def test_egress_is_called_down_only_after_half_of_the_sites() -> None:
    egress = Egress(total=100)
    states = looks(egress, " ".join(f"s{n}-" for n in range(60)))
    assert states.index(False) == 49


def test_egress_is_back_when_two_different_sites_answer() -> None:
    egress = Egress(total=20)
    looks(egress, " ".join(f"s{n}-" for n in range(20)))
    assert not egress.up
    assert looks(egress, "s3+ s3+ s4- s3+ s9+", begin=1_000.0) == [False, False, False, False, True]
    assert egress.failing() == []


def test_probe_decides_at_once() -> None:
    egress = Egress(total=1)
    egress.probed(False, 5.0)
    assert (egress.up, egress.down_since) == (False, 5.0)
    egress.note("a", True, 6.0)
    assert not egress.up
    egress.probed(True, 9.0)
    assert egress.up


def test_probe_only_opens_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert asyncio.run(is_reachable(f"127.0.0.1:{port}"))
    assert not asyncio.run(is_reachable(f"127.0.0.1:{port}"))
    assert not asyncio.run(is_reachable("127.0.0.1:99999"))
