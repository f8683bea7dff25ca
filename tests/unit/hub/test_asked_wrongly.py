"""What cannot be meant is refused by name, with what was expected, and nothing is changed by it."""

import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tapehub import ConfigError, DataHub, InvalidRecord
from tests.models.intervals import MINUTE, SECOND
from tests.models.market import EUR, NINE, candle, moment, quotes, tick

# ---------------------------------------------------------------- bounds


def test_a_bound_inside_a_long_record_is_the_next_one(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.publish(quotes([float(60 * n) for n in range(5)]), EUR)
    pushed = hub.update_candle_1m(candle(10))
    hub.publish(quotes([float(60 * n) for n in range(11, 30)]), EUR)
    hub.advance(moment(1801))
    assert len(hub.history(EUR, start=pushed)) == 20
    for inside in (1, 2):
        assert len(hub.history(EUR, start=pushed + inside)) == 19
        assert hub.candles(EUR, start=pushed + inside)["timestamp"][0] == NINE + 11 * MINUTE
        assert len(hub.ticks(EUR, start=pushed + inside)) == 19
        assert hub.candles(EUR, end=pushed + inside)["timestamp"][-1] == NINE + 10 * MINUTE
    for start in (hub.head, hub.head + 1000):
        assert len(hub.candles(EUR, start=start)) == 0
        assert len(hub.history(EUR, start=start)) == 0
        assert len(hub.ticks(EUR, start=start)) == 0


def test_a_bound_at_a_record_without_a_time_is_the_next_that_has_one(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(0))
    line = hub.head
    hub._define_source("another")
    hub.publish(quotes([60, 120]), EUR)
    hub.advance(moment(200))
    assert hub.candles(EUR, start=line)["timestamp"].tolist() == [NINE + MINUTE, NINE + 2 * MINUTE]
    assert hub.candles(EUR, end=line)["timestamp"].tolist() == [NINE]


@pytest.mark.parametrize("limit", [-5, 1.5, "7", datetime(2024, 3, 5, tzinfo=UTC)])
def test_a_limit_is_a_whole_number(hub: DataHub, limit: Any) -> None:
    hub.update_tick(tick(0))
    for call in (
        lambda: hub.ticks(EUR, limit=limit), lambda: hub.ticks(EUR, limit=limit, start=0),
        lambda: hub.history(EUR, "1m", limit), lambda: hub.candles(EUR, "1m", limit, start=0),
    ):  # fmt: skip
        with pytest.raises(InvalidRecord, match="limit is"):
            call()


def test_ticks_candles_and_history_take_limit_start_and_end_in_one_order(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.publish(quotes([float(60 * n) for n in range(9)]), EUR)
    first, last = moment(60), moment(300)
    for rows in (hub.candles(EUR, "1m", 2, first, last), hub.history(EUR, "1m", 2, first, last)):
        assert rows["timestamp"].tolist() == [NINE + 3 * MINUTE, NINE + 4 * MINUTE]
    assert hub.ticks(EUR, 2, first, last)["ts_event"].tolist() == [NINE + 3 * MINUTE, NINE + 4 * MINUTE]


# ---------------------------------------------------------------- advance


@pytest.mark.parametrize(
    "now", [1_718_010_000, 1_718_010_000.5, "2024-03-05", None, True, datetime(1980, 1, 1), datetime(2090, 1, 1)]
)
def test_advance_refuses_what_is_no_time_of_the_clock(hub: DataHub, now: Any) -> None:
    hub.set_clock("wall")
    before = hub.head
    with pytest.raises(InvalidRecord, match="advance to"):
        hub.advance(now)
    assert hub.head == before
    hub.update_tick(tick(0))
    assert hub.ledger()["instruments"]["EUR_USD from direct"]["late_applied"] == 0


def test_advance_goes_a_minute_ahead_and_under_an_event_clock_anywhere(hub: DataHub) -> None:
    hub.set_clock("wall")
    hub.advance(np.int64(hub.now() + 59 * SECOND))
    with pytest.raises(InvalidRecord):
        hub.advance(hub.now() + 120 * SECOND)
    hub.set_clock("event")
    hub.advance(datetime(2090, 1, 1, tzinfo=UTC))
    hub.set_clock("virtual", anchor_ns=NINE)
    with pytest.raises(InvalidRecord):
        hub.advance(hub.now() + 120 * SECOND)


# ---------------------------------------------------------------- where a stream begins


@pytest.mark.parametrize("start", [-5, 1.5, datetime(2024, 3, 5, tzinfo=UTC), "then", None, True, 10**9])
def test_a_stream_begins_at_a_sequence_that_is_there(hub: DataHub, start: Any) -> None:
    for kinds in ("tick", "interval"):
        with pytest.raises(ConfigError, match=r"start is .*, expected 'now', 'oldest' or a sequence number"):
            hub.stream(kinds=kinds, start=start)
    assert hub.readers() == []
    with hub.stream(start=hub.head) as at_head, hub.stream(start=0) as first:
        hub.update_tick(tick(0))
        assert len(at_head.poll()) == len(first.poll()) == 1


def test_waiting_for_a_line_to_come_costs_no_time(hub: DataHub) -> None:
    began = time.process_time()
    assert not hub._wait(hub.head + 1000, 300_000_000, 0)
    assert time.process_time() - began < 0.15
