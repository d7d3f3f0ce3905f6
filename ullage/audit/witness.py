"""Export the number of each chain's last entry, so that another machine remembers it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ullage.audit.forwarding import read_state
from ullage.audit.trail import FOLDER as AUDIT
from ullage.audit.trail import read_heads
from ullage.errors import UllageError
from ullage.inventory import Inventory


class AuditWitness(Collector):
    """Exports how far each chain of the audit log has reached.

    A chain that the inventory lists and that is gone has the value 0.
    """

    _labelnames = ("chain",)

    def __init__(self, inventory: Inventory, *, is_forwarded: bool = False) -> None:
        self._inventory, self._is_forwarded = inventory, is_forwarded

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; nothing is verified.

        Chains that the inventory lists and that are gone have number 0. An inventory that cannot be
        read is ignored.
        """
        gauge = GaugeMetricFamily(
            "ullage_audit_last_entry",
            "Number of the last entry of a chain of the audit log; it never decreases.",
            labels=self._labelnames,
        )
        root, numbers = self._inventory.data / AUDIT, dict[str, int]()
        with contextlib.suppress(UllageError, OSError):
            listed = (Path(part) for part in self._inventory.parts())
            numbers |= {
                part.name: 0
                for part in listed
                if part.parent.name == AUDIT and part.parent.parent == Path()
            }
        if root.is_dir():
            numbers |= {chain: head.seq for chain, head in read_heads(root, "")}
        for chain, number in sorted(numbers.items()):
            gauge.add_metric([chain], number)
        yield gauge
        yield self._collect_delivered(root, numbers if self._is_forwarded else ())

    def _collect_delivered(self, root: Path, chains: Iterable[str]) -> Metric:
        """Return how far `chains` were delivered, 0 where nothing was.

        Without a receiver there are no series. A record that cannot be read counts as nothing
        delivered.
        """
        gauge = GaugeMetricFamily(
            "ullage_audit_last_entry_sent",
            "Number of the last entry of a chain that the receiver has.",
            labels=self._labelnames,
        )
        delivered = dict[str, tuple[int, str]]()
        with contextlib.suppress(UllageError, OSError):
            delivered = read_state(root).delivered
        for chain in sorted(chains):
            gauge.add_metric([chain], delivered.get(chain, (0, ""))[0])
        return gauge
