"""The verdict on a demonstration: whether the ledger balances, and every reader saw every tick."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from tapehub.app.console import count_text

__all__ = ["Outcome"]


class Outcome:
    """Judge a run: whether the ledger balances and every reader saw every tick.

    Args:
        account: the collector's, with `counts` and `traces` by instrument.
        in_hub: ticks by instrument, as the hub itself counts them.
        readers: what each reader reported.
        lost_in_producer: by the hub's ledger.
    """

    def __init__(
        self,
        account: dict[str, Any],
        in_hub: dict[str, int],
        readers: dict[str, dict[str, Any]],
        lost_in_producer: int = 0,
    ) -> None:
        self.account = account
        self.in_hub = in_hub
        self.readers = readers
        self.faults = [*self._ledger_faults(), *self._reader_faults()]
        if lost_in_producer:
            self.faults.append(f"{lost_in_producer} ticks were lost in a dead producer")

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing came in, nothing is in the hub and nobody saw anything: there is nothing to judge."""
        seen = (sum(reader["counts"].values()) for reader in self.readers.values())
        received = (count["received"] for count in self.account["counts"].values())
        return not any((*received, *self.in_hub.values(), *seen))

    @property
    def total(self) -> int:
        """Count the ticks that were published."""
        return sum(count["published"] for count in self.account["counts"].values())

    @staticmethod
    def in_flight(count: dict[str, Any]) -> int:
        """Count what was received and has no fate yet."""
        gone = count["published"] + count["duplicates"] + count["refused"] + sum(count["quarantined"].values())
        return int(count["received"] - gone)

    def _ledger_faults(self) -> list[str]:
        faults = []
        if not self.total:
            faults.append("no tick was published at all")
        for symbol, count in self.account["counts"].items():
            if left := self.in_flight(count):
                faults.append(f"{symbol}: {left} of {count['received']} received have no fate")
            if count["published"] != self.in_hub.get(symbol, 0):
                faults.append(f"{symbol}: {count['published']} published, the hub holds {self.in_hub.get(symbol, 0)}")
        faults += [
            f"{symbol}: the hub holds ticks that no one published"
            for symbol, ticks in sorted(self.in_hub.items())
            # Declared when it was subscribed, and perhaps never quoted: no tick, no fault.
            if ticks and symbol not in self.account["counts"]
        ]
        return faults

    def _reader_faults(self) -> list[str]:
        faults = []
        for name, seen in self.readers.items():
            if seen["lost"] or seen["out_of_order"] or not seen["reached_end"]:
                faults.append(
                    f"{name}: {seen['lost']} lost, {seen['out_of_order']} out of order, "
                    f"{'reached' if seen['reached_end'] else 'did not reach'} the end"
                )
            for symbol, count in self.account["counts"].items():
                got = seen["counts"].get(symbol, 0)
                if got != count["published"]:
                    faults.append(f"{name}: saw {got} of {count['published']} ticks of {symbol}")
                elif got and seen["traces"][symbol] != self.account["traces"][symbol]:
                    faults.append(f"{name}: saw other times or prices of {symbol} than were published")
        return faults

    def table(self) -> Table:
        """Lay the ledger out: a column for each instrument, a line for each fate."""
        counts = dict(sorted(self.account["counts"].items()))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("ledger")
        for symbol in [*counts, "all"]:
            table.add_column(symbol, justify="right", no_wrap=True)

        def line(label: str, numbers: list[int], style: str = "") -> None:
            table.add_row(label, *map(count_text, [*numbers, sum(numbers)]), style=style)

        line("received", [count["received"] for count in counts.values()], "bold")
        line("= published", [count["published"] for count in counts.values()])
        line("+ duplicate", [count["duplicates"] for count in counts.values()])
        line("+ refused", [count["refused"] for count in counts.values()])
        reasons = sorted({reason for count in counts.values() for reason in count["quarantined"]})
        for reason in reasons:
            line(f"+ quarantined, {reason}", [count["quarantined"].get(reason, 0) for count in counts.values()])
        if not reasons:
            line("+ quarantined", [0] * len(counts))
        line("+ in flight", [self.in_flight(count) for count in counts.values()])
        table.add_section()
        line("in the hub", [self.in_hub.get(symbol, 0) for symbol in counts])
        for name, seen in self.readers.items():
            line(f"seen by {name}", [seen["counts"].get(symbol, 0) for symbol in counts])
        return table
