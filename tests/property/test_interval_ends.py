"""The ends of intervals are a function of the log: whoever reads them, when, from where and how much at a time."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.hub import marks
from tapehub.hub.clock import WATERMARK_SERVER, WATERMARK_TICKS, set_watermark_mode
from tapehub.hub.intervals import IntervalEnd
from tapehub.model.timeframes import parse
from tests.models.intervals import MINUTE, SECOND
from tests.models.market import EUR, GBP, NINE, QUOTE, at, candle
from tests.models.two_hubs import plain, two_ways

CHANNELS = [(EUR, "a"), (EUR, "b"), (GBP, "a")]


@dataclass
class World:
    """Publish at random, and remember where the log stood before each step."""

    hub: DataHub
    seed: int
    frames: tuple[str, ...]
    heads: list[int] = field(default_factory=list)
    told: list[list[IntervalEnd]] = field(default_factory=list)
    now: int = NINE

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.gap: int | None = None
        assert self.hub._try_serve()  # else the upkeep soon says that no server closes intervals

    def instant(self) -> int:
        """Give a time that is mostly a little on, and now and then late."""
        self.now += self.dice.choice([0, 1, 200, 900, 4_000, 20_000, 70_000]) * 1_000_000
        late: int = self.dice.choice([0, 0, 0, 300, 2_000, 70_000, 400_000])
        return max(NINE - MINUTE, self.now - late * 1_000_000)

    def ticks(self, count: int) -> None:
        symbol, source = self.dice.choice(CHANNELS)
        rows = np.zeros(count, QUOTE)
        rows["ts_event"] = [self.instant() for _ in range(count)]
        rows["bid"] = [1 + self.dice.randrange(1000) / 1e4 for _ in range(count)]
        rows["ask"] = rows["bid"] + 0.0002
        self.hub.publish(rows, symbol, source=source, verified=self.dice.random() < 0.5)

    def step(self) -> bool:
        """Publish one thing; tell whether it was one record."""
        hub, dice = self.hub, self.dice
        kind = dice.choices(
            ["tick", "batch", "push", "clear", "all", "gap", "watermark", "mode", "clock"],
            [50, 10, 8, 1.5, 0.5, 6, 12, 1.5, 0.3],
        )[0]
        if kind == "tick":
            self.ticks(1)
        elif kind == "batch":
            self.ticks(dice.randrange(2, 40))
        elif kind == "push":
            opened = (self.now - NINE) // MINUTE + dice.choice([0, 0, 1, -1, -2, -7])
            hub.update_candle_1m(candle(opened, 1.1 + dice.random() / 100, dice.choice([EUR, GBP]), coverage=0.5))
        elif kind == "clear":
            hub.clear_symbol(EUR)
        elif kind == "all":
            hub.clear_all()
        elif kind == "gap":
            start = self.now - dice.randrange(100) * SECOND
            symbol, source = dice.choice(CHANNELS)
            if self.gap is None and dice.random() < 0.4:
                self.gap = start
                marks.gap(hub, EUR, "a", start, None, "test")
            elif self.gap is not None:
                marks.gap(hub, EUR, "a", self.gap, self.now, "test")
                self.gap = None
            else:
                marks.gap(hub, symbol, source, start, start + dice.randrange(1, 90) * SECOND, "test")
        elif kind == "watermark":
            hub.advance(at(self.now + dice.randrange(3) * SECOND))
        elif kind == "mode":
            set_watermark_mode(hub, dice.choice([WATERMARK_SERVER, WATERMARK_TICKS]))
        else:
            hub.set_clock("event")
        return kind != "batch"

    def compare_with_views(self, events: list[IntervalEnd]) -> None:
        """See that what a record closed is what the views hold right after it."""
        for event in events:
            channel = self.hub._names.channel(event.symbol, event.source)
            row = np.empty(1, np.dtype("V96"))
            raw = row.view(np.uint8)
            found = self.hub._read_candles(
                channel, parse(event.timeframe).index, 1, event.start, event.start + 1, True, raw
            )
            assert bool(found) == (event.candle is not None)
            if event.candle is not None:
                (held,) = self.hub._candle_objects(raw)
                assert said(held) == said(event.candle), event
                assert event.candle.seq < self.hub.head


def said(one: Any) -> dict[str, Any]:
    """Give what a candle holds, but for its place in the log and what it is called by now."""
    return {name: value for name, value in one.to_dict().items() if name not in {"seq", "status"}}


def ends(stream: Any, most: int = 4096) -> list[IntervalEnd]:
    out: list[IntervalEnd] = []
    while True:
        before = stream.position
        batch = stream.poll(most)
        out += [one for one in batch.records if isinstance(one, IntervalEnd)]
        if not len(batch) and not batch.records and stream.position == before:
            return out


def keys(events: list[IntervalEnd]) -> list[Any]:
    return [(plain(one), one.candle.to_dict() if one.candle else None) for one in events]


FRAMES = [("1m",), ("1s", "5m"), ("1m", "5m", "1h"), ("5s", "15m", "1d"), ("1w", "4h")]


@pytest.mark.parametrize("seed", range(15))
def test_every_reader_gets_the_same_ends(tmp_path: Path, seed: int) -> None:
    frames = FRAMES[seed % len(FRAMES)]
    with DataHub.open(tmp_path / "hub", create=True, segment_lines=1 << 10) as hub:
        if seed % 4:
            hub.set_clock("event")
        else:
            hub.set_clock("virtual", anchor_ns=NINE + 10 * 86_400 * SECOND)
        world = World(hub, seed, frames)
        live = hub.stream(kinds="interval", timeframes=frames)
        now: dict[int, Any] = {}
        for number in range(200):
            if number % 25 == 7:
                now[number] = hub.stream(kinds=["interval"], timeframes=frames)
                assert now[number].position == hub.head
            world.heads.append(hub.head)
            single = world.step()
            events = ends(live, 3)
            world.told.append(events)
            if single:
                world.compare_with_views(events)
        whole = [one for events in world.told for one in events]
        assert whole
        for most in (1, 7, 4096):
            with hub.stream(kinds=["interval", "tick"], start="oldest", timeframes=frames) as late:
                assert keys(ends(late, most)) == keys(whole)
        for number in range(0, 200, 17):
            rest = [one for events in world.told[number:] for one in events]
            with hub.stream(kinds="interval", start=world.heads[number], timeframes=frames) as later:
                assert keys(ends(later, 50)) == keys(rest), number
        for number, stream in now.items():
            assert keys(ends(stream)) == keys([one for events in world.told[number:] for one in events]), number
        with hub.stream(EUR, kinds="interval", start="oldest", timeframes=frames) as one:
            assert keys(ends(one)) == keys([event for event in whole if event.symbol == EUR])


def test_through_a_gateway_they_are_the_same(tmp_path: Path) -> None:
    frames = ("1m", "5m")
    with two_ways(tmp_path) as ways:
        world = World(ways.local, 99, frames)
        with (
            ways.local.stream(kinds="interval", timeframes=frames) as by_memory,
            ways.remote.stream(kinds="interval", timeframes=frames) as by_gateway,
        ):
            for _ in range(120):
                world.heads.append(ways.local.head)
                world.step()
                world.told.append(ends(by_memory))
            whole = [one for events in world.told for one in events]
            for number, start in ((0, None), (40, world.heads[40]), (90, world.heads[90])):
                stream = (
                    by_gateway
                    if start is None
                    else ways.remote.stream(kinds="interval", start=start, timeframes=frames)
                )
                expected = [one for events in world.told[number:] for one in events] if number else whole
                got: list[IntervalEnd] = []
                while len(got) < len(expected):
                    batch = stream.poll(1000, timeout_s=5.0)
                    assert batch.records, f"{len(got)} of {len(expected)}"
                    got += [one for one in batch.records if isinstance(one, IntervalEnd)]
                assert keys(got) == keys(expected)
                stream.close()
