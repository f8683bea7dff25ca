"""A reader in a process of its own: follows ticks and ends of minutes until a time of the hub clock, and tells all."""

import hashlib
import json
import sys
from typing import Any

from tapehub import DataHub
from tapehub.hub.intervals import IntervalEnd


class Watching:
    """The one command."""

    def __init__(self, path: str) -> None:
        self.hub = DataHub.open(path, name="watching")
        self.stream = self.hub.stream(kinds=("tick", "interval"), start="oldest")

    def watch(self, until: int, told_until: int) -> dict[str, Any]:
        """Follow the log until the hub clock says `until`, and tell of what happened before `told_until`.

        Returns:
            ``hash`` over all that was read, ``pips``: the spreads seen, ``latest`` as a method call gives it, ``ends``:
            (symbol, end, outcome, ns of the hub clock from end and grace to when this process had it).
        """
        grace_ns = int(self.hub._hub_state()["grace_ns"])
        digest, candles = hashlib.sha256(), hashlib.sha256()  # apart: which of the two comes first depends on the polls
        ticks = 0
        pips: dict[str, set[float]] = {}
        ends: list[tuple[str, int, str, int]] = []
        with self.stream as stream:
            while self.hub.now() < until:
                batch = stream.poll(1 << 14, timeout_s=0.05)
                now = self.hub.now()
                for tick in batch:
                    if tick.ts_event < told_until:
                        ticks += 1
                        pips.setdefault(tick.symbol, set()).add(round(tick.spread, 6))
                        digest.update(f"{tick.symbol} {tick.ts_event} {tick.bid!r} {tick.ask!r}".encode())
                for end in batch.records:
                    if isinstance(end, IntervalEnd) and end.end <= told_until:
                        ends.append((end.symbol, end.end, end.outcome, now - end.end - grace_ns))
                        if end.candle is not None:
                            candles.update(repr(end.candle).encode())
        latest = {symbol: self.hub.get_latest_tick(symbol) is not None for symbol in sorted(pips)}
        shown = {symbol: sorted(seen) for symbol, seen in sorted(pips.items())}
        return {"ticks": ticks, "pips": shown, "ends": ends, "latest": latest,
                "hash": digest.hexdigest() + candles.hexdigest()}  # fmt: skip


def main() -> None:
    """Answer until the input ends."""
    watching = Watching(sys.argv[1])
    for line in sys.stdin:
        what, arguments = json.loads(line)
        print(json.dumps(getattr(watching, what)(**arguments)), flush=True)


if __name__ == "__main__":
    main()
