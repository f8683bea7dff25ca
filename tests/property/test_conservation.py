"""Candles conserve ticks: whatever was accepted is in a built minute, superseded, or counted as unapplied."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tapehub import Candle, DataHub
from tests.models.draining import Drain
from tests.models.intervals import MINUTE, SECOND
from tests.models.market import EUR, NINE, QUOTE, drained

# Runs of ticks: how many, how far apart, and how far back from the newest one the run begins.
runs = st.tuples(
    st.integers(1, 300),
    st.sampled_from([SECOND // 7, SECOND, 20 * SECOND, 55 * SECOND]),
    st.sampled_from([0, 0, 0, 2 * SECOND, 90 * SECOND, 5_000 * MINUTE]),
)
LONG_AGO = [(2_000, 55 * SECOND, 0), (2_000, 70 * SECOND, 0), (1_500, MINUTE, 0), (40, SECOND, 5_000 * MINUTE)]


@settings(max_examples=10)
@given(story=st.lists(st.one_of(runs, st.integers(0, 30)), min_size=1, max_size=12))
@example(story=LONG_AGO)
@example(story=[(10, SECOND, 0), 0, 0, (10, SECOND, 10 * SECOND), 1, (70, SECOND, 0)])
def test_every_accepted_tick_is_in_a_minute_or_accounted_for(story: list[tuple[int, int, int] | int]) -> None:
    """Push a candle so many minutes back where the story has a number; publish a run of ticks where it has a run."""
    with (
        tempfile.TemporaryDirectory() as folder,
        DataHub.open(Path(folder) / "hub", create=True, segment_lines=1 << 12, sync="none") as hub,
    ):
        hub.set_clock("event")
        drain = Drain(hub, EUR, ["1m"])
        accepted, pushed, top = 0, set(), NINE
        with hub.stream(EUR, kinds="candle") as stream:
            for step in story:
                if isinstance(step, int):
                    start = (top - step * MINUTE) // MINUTE * MINUTE
                    hub.update_candle_1m(Candle(EUR, start, 1.5, 1.5, 1.5, 1.5, 7.0))
                    pushed.add(start)
                    continue
                count, apart, back = step
                rows = np.zeros(count, QUOTE)
                rows["ts_event"] = top - back + np.arange(1, count + 1) * apart
                rows["bid"] = rows["ask"] = 1 + (np.arange(count) % 64) / 64
                hub.publish(rows, symbol=EUR)
                accepted += count
                top = max(top, int(rows["ts_event"].max()))
                drain.take()
            hub.advance(top + 2 * MINUTE)
            drain.take()
            superseded = sum(one.ticks for one in drained(stream) if one.status == "superseded")
        stats = hub.get_status()["stats"]
        minutes = drain.candles("1m")
        built = minutes[~np.isin(minutes["timestamp"], sorted(pushed))]
        assert built["volume"].sum() + stats["late_unapplied"] + stats["superseded_ticks"] + superseded == accepted
        assert stats["ticks_received"] == hub.ledger()["ticks"] == accepted
        for timeframe in ("1d", "1w"):
            longer = hub.candles(EUR, timeframe, limit=1 << 10)
            if not pushed:
                assert longer["ticks"].sum() <= accepted
