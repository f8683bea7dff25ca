"""What helper processes do: `python -m tapehub.app.roles ROLE ARGUMENTS`, started by `workers.Worker` alone."""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tapehub.app.market import market
from tapehub.app.workers import Conversation
from tapehub.collector.publisher import Publisher, due, trace
from tapehub.errors import TapehubError
from tapehub.hub import DataHub, connect
from tapehub.hub.server import HubServer

__all__ = ["ROLES", "main"]

_SECOND = 1_000_000_000


def serve(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Run a hub server on a virtual clock until told to stop."""
    with HubServer(arguments["path"], name="server") as server:
        server.set_clock("virtual", anchor_ns=arguments["anchor_ns"], rate=1.0)
        talk.reply(ready=True)
        server.run(talk.stop)
        if talk.command():
            talk.reply(stopped=True, last_error=server.last_error)
            talk.command()  # the hub is left when whoever started us has read it


def collect(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Publish a market at its own pace, and account for it when told to stop."""
    with DataHub.open(arguments["path"], name="collector") as hub:
        # From the next second on, so that no tick is late because processes take a moment to start.
        start_ns = (hub.now() // _SECOND + 2) * _SECOND
        batches, symbols, remarks = market([Path(path) for path in arguments["data"]], start_ns, arguments["seed"])
        talk.reply(ready=True, symbols=symbols, remarks=remarks)
        publisher = Publisher(hub, traced=True)
        for quotes in due(batches, hub.now, 1.0, talk.stop):
            publisher.publish(quotes)
        if not talk.stop.is_set():
            talk.ended()
        if talk.command():
            talk.reply(
                counts={
                    symbol: {
                        "received": count.received,
                        "published": count.published,
                        "duplicates": count.duplicates,
                        "refused": count.refused,
                        "quarantined": dict(count.quarantined),
                    }
                    for symbol, count in publisher.counts.items()
                },
                traces=publisher.traces,
                head=hub.head,
            )
            talk.command()


def read(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Follow every tick and check order and number; told where the log ends, read up to there and report."""
    with connect(arguments["path"], name=arguments["name"]) as hub:
        stream = hub.stream(start="oldest", name=arguments["name"])
        talk.reply(ready=True)
        seen = _Seen()
        while not talk.stop.is_set():
            seen.note(stream.poll(4096, timeout_s=0.1))
        command = talk.command()
        if command is None:
            return
        deadline = time.monotonic() + command["within_s"]
        while stream.position < command["head"] and time.monotonic() < deadline:
            seen.note(stream.poll(4096, timeout_s=0.1))
        talk.reply(
            counts=seen.counts,
            traces=seen.traces,
            lost=stream.lost,
            out_of_order=seen.out_of_order,
            last_seq=seen.last_seq,
            reached_end=stream.position >= command["head"],
        )
        stream.close()
        talk.command()


class _Seen:
    """Keep what a reader saw."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.traces: dict[str, int] = {}
        self.out_of_order = 0
        self.last_seq = 0

    def note(self, batch: Any) -> None:
        rows = batch.numpy()
        if not len(rows):
            return
        sequences = rows["seq"].astype(np.int64)
        self.out_of_order += int(np.sum(np.diff(sequences, prepend=self.last_seq) <= 0))
        self.last_seq = int(sequences[-1])
        for instrument, symbol in batch.symbols.items():
            mine = rows[rows["instrument"] == instrument]
            self.counts[symbol] += len(mine)
            self.traces[symbol] = trace(mine, self.traces.get(symbol, 0))


def probe(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Attach by `connect`, as any program does, and say what is there when asked; publish when asked."""
    with connect(arguments["path"], name="doctor") as hub:
        talk.reply(ready=True)
        for command in talk.commands():
            if command["verb"] == "publish":
                rows = np.zeros(command["count"], dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
                rows["ts_event"] = hub.now() - len(rows) * 1_000_000 + np.arange(len(rows)) * 1_000_000
                rows["bid"] = 1.1 + np.arange(len(rows)) * 1e-5
                rows["ask"] = rows["bid"] + 1e-4
                talk.reply(published=hub.publish(rows, symbol=command["symbol"], source="doctor"))
            else:
                talk.reply(**_facts(hub, command.get("line")))


def _facts(hub: DataHub, line: int | None) -> dict[str, Any]:
    """Say which hub this is and how far it has come; the record at a line everyone can see is summed up."""
    records = int(hub._hub_state()["records"])
    found = None if line is None else hub._record(line)
    return {
        "hub_id": hub.hub_id,
        "epoch": hub.epoch,
        "records": records,
        "head": hub.head,
        "ticks": {symbol: len(hub.ticks(symbol, limit=1_000_000)) for symbol in hub.instruments}
        if records < 10_000
        else {},
        "record": None if found is None else zlib.crc32(repr(found).encode()),
    }


ROLES: Mapping[str, Callable[[Conversation, dict[str, Any]], None]] = {
    "server": serve,
    "collector": collect,
    "reader": read,
    "probe": probe,
}


def main() -> int:
    """Play the role named on the command line."""
    role, arguments = sys.argv[1], json.loads(sys.argv[2])
    talk = Conversation()
    try:
        ROLES[role](talk, arguments)
    except (TapehubError, OSError) as error:
        talk.reply(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
