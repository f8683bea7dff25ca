"""Producers and readers under one hub, killed and started again, and the proof afterwards that nothing was lost."""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from tapehub import DataHub
from tests.models.intervals import TIMEFRAMES, starts_of
from tests.models.waiting import until
from tests.servers.nursery import ACK, BATCH, SYMBOLS, price_of, time_of
from tests.servers.processes import Process

JUMP = 4 * BATCH  # a producer that comes back begins so far behind what it had acknowledged


class Farm:
    """Start, kill and replace the producers and readers of a hub."""

    def __init__(self, path: Path, *, producers: int, readers: int) -> None:
        self.path = path
        self._folder = path.parent / "farm"
        self._folder.mkdir()
        self._nursery = Process(path, role="nursery")
        self._producers: dict[int, int] = {}
        self._readers: dict[int, Path] = {}
        self.kills = 0
        self.restart(producers=producers, readers=readers)

    def restart(self, *, producers: int, readers: int) -> None:
        """Start producers and readers anew; producers go on behind what they had acknowledged."""
        for number in range(producers):
            self._start(number)
        for number in range(readers):
            report = self._folder / f"reader-{number}.json"
            self._readers[self._nursery.ask("read", path=str(self.path), report=str(report))] = report

    def _acks_of(self, number: int) -> Path:
        return self._folder / f"p{number}.acks"

    def acks(self, number: int) -> np.ndarray:
        """Read what a producer noted, columns as in ACK; a kill may have cut the last one."""
        data = self._acks_of(number).read_bytes() if self._acks_of(number).exists() else b""
        return np.frombuffer(data[: len(data) // ACK.size * ACK.size], "<i8").reshape(-1, ACK.size // 8)

    def _start(self, number: int) -> None:
        acks = self.acks(number)
        first = int(acks[-1, 0]) + JUMP if len(acks) else 1
        self._producers[number] = self._nursery.ask(
            "produce", path=str(self.path), source=f"p{number}", first=first, acks=str(self._acks_of(number))
        )

    def kill_one(self, random: random.Random, within_s: float) -> None:
        """Kill a producer at a random moment after its first publish, wait for its end, and start it again."""
        number = random.choice(sorted(self._producers))
        size = self._acks_of(number).stat().st_size if self._acks_of(number).exists() else 0
        until(
            lambda: self._acks_of(number).exists() and self._acks_of(number).stat().st_size > size,
            f"something of producer {number}",
            every_s=0.0005,
        )
        time.sleep(random.random() * within_s)
        self._end(self._producers.pop(number), signal.SIGKILL)
        self.kills += 1
        self._start(number)

    def _end(self, pid: int, how: int) -> None:
        os.kill(pid, how)
        until(lambda: not Path(f"/proc/{pid}").exists(), f"the end of process {pid}")

    def stop_producers(self) -> None:
        """Kill every producer for good."""
        for pid in self._producers.values():
            self._end(pid, signal.SIGKILL)
        self._producers.clear()

    def stop_readers(self) -> list[dict[str, Any]]:
        """Let every reader read to the end, and give what they saw."""
        for pid in self._readers:
            self._end(pid, signal.SIGTERM)
        reports = [json.loads(report.read_text()) for report in self._readers.values()]
        self._readers.clear()
        return reports

    def kill_everything(self) -> None:
        """Kill producers and readers all at once."""
        for pid in (*self._producers.values(), *self._readers):
            os.kill(pid, signal.SIGKILL)
        for pid in (*self._producers.values(), *self._readers):
            until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"the end of process {pid}")  # type: ignore[misc]
        self._producers.clear()
        self._readers.clear()

    def end(self) -> None:
        """Leave nothing behind."""
        self.kill_everything()
        self._nursery.end()

    # ------------------------------------------------------------ the proof

    def check(self, hub: DataHub, producers: int) -> dict[str, Any]:
        """Hold every acknowledgement against the log, the log against the views, and the views against the counters."""
        with hub.stream(start="oldest") as stream:
            parts = []
            while len(batch := stream.poll(1 << 18)):
                parts.append(batch.numpy())
        rows = np.concatenate(parts)
        acknowledged = 0
        longest_ns = blocked_ns = 0
        for number in range(producers):
            acks = self.acks(number)
            if f"p{number}" not in hub.sources:  # killed before its first publish
                assert not len(acks), f"p{number} was told of publishes that no hub knows"
                continue
            mine = rows[rows["source"] == hub.sources.index(f"p{number}")]
            there = (mine["ts_event"] - time_of(0)) // 1_000_000
            assert (mine["bid"] == price_of(there)).all()
            assert (np.diff(there) > 0).all(), "an id stands twice, or out of order"
            counts = acks[:, 1]
            ids = np.repeat(acks[:, 0] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            at = np.searchsorted(there, ids)
            assert (at < len(there)).all(), "acknowledged ids are gone from the end"
            assert (there[at] == ids).all(), "acknowledged ids are gone"
            single = acks[acks[:, 2] != 0]
            assert (mine["seq"][np.searchsorted(there, single[:, 0])] == single[:, 2]).all(), (
                "a tick is not at its sequence"
            )
            acknowledged += len(ids)
            assert len(there) - len(ids) <= (self.kills + 1) * BATCH, "more came into the log than was in flight"
            longest_ns = max(longest_ns, int(acks[:, 3].max(initial=0)))
            blocked_ns = max(blocked_ns, int((acks[:, 3] - acks[:, 4]).max(initial=0)))
        ledger, status = hub.ledger(), hub.get_status()
        assert ledger["balanced"]
        assert ledger["ticks"] == status["stats"]["ticks_received"] == len(rows)
        assert status["stats"]["late_unapplied"] == 0
        self._check_candles(hub, rows)
        report = hub.verify()
        assert report.ok
        counts_of_records = (report.records, report.expected_records, status["records"], ledger["records"])
        assert len(set(counts_of_records)) == 1, f"verified, expected, status, ledger: {counts_of_records}"
        return {
            "kills": self.kills,
            "ticks": len(rows),
            "acknowledged": acknowledged,
            "repairs": status["repairs"],
            "longest_publish_ms": round(longest_ns / 1e6, 3),
            "longest_blocked_ms": round(blocked_ns / 1e6, 3),
        }

    def _check_candles(self, hub: DataHub, rows: np.ndarray) -> None:
        for source in sorted(set(rows["source"].tolist())):
            for instrument, symbol in enumerate(SYMBOLS):
                mine = rows[(rows["source"] == source) & (rows["instrument"] == hub.instruments[symbol]["id"])]
                for timeframe in TIMEFRAMES:
                    starts, first, counts = np.unique(
                        starts_of(timeframe, mine["ts_event"]), return_index=True, return_counts=True
                    )
                    mid = (mine["bid"] + mine["ask"]) / 2
                    expected = [starts, mid[first], mid[first + counts - 1], counts]
                    name = hub.sources[source]
                    shown = hub.candles(symbol, timeframe, limit=1 << 20, forming=True, source=name).numpy()
                    for column, values in zip(("timestamp", "open", "close", "ticks"), expected, strict=True):
                        assert shown[column].tolist() == values[len(values) - len(shown) :].tolist(), (
                            timeframe,
                            column,
                        )
                    assert len(shown) == min(len(starts), len(shown))
                    assert (shown["low"] == shown["open"]).all()
                    assert (shown["high"] == shown["close"]).all()
                    if timeframe == "1m":
                        built = hub.history(symbol, timeframe, source=name)["ticks"].tolist()
                        assert built == counts[: len(built)].tolist()
                assert instrument < len(SYMBOLS)
