"""The values that callers hold: Tick, Candle, OrderFlowMetrics."""

from __future__ import annotations

import copy
import gc
import inspect
import math
import pickle
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tapehub import Candle, OrderFlowMetrics, Tick
from tapehub._native import set_pip_lookup

NS = 1_748_874_600_123_456_789
WHEN = datetime(2025, 6, 2, 14, 30, 0, 123456, tzinfo=UTC)

TICK = Tick("EUR_USD", 1.15154, 1.1516, 1.2, 7.0, NS, bid_size=1e6, ask_size=2.5, source="ig", ts_recv=NS + 1,
            ts_publish=NS + 2, seq=2**47, flags=3, pip_size=0.0001)  # fmt: skip
CANDLE = Candle("EUR_USD", NS, 1.1, 1.3, 1.0, 1.2, 42.0, "kraken", "real", "4h", status="revised", revision=3,
                coverage=0.95, ticks=42, seq=99, ts_first=NS + 1, ts_last=NS + 2, ts_arrival=NS + 3,
                flags=5)  # fmt: skip
FLOW = OrderFlowMetrics("EUR_USD", "6E", NS, 30.0, 1.5, -2.5, 3.0, 4.0, 7.0, 1.1, 1.2, 8.0, 9.0, 0.25, 10, 11, 1.15,
                        "BULLISH", 0.75, 2**40, True, ts_recv=NS + 1, ts_publish=NS + 2, seq=77)  # fmt: skip
VALUES = [TICK, CANDLE, FLOW, Tick("A", 1, 2), Candle("A", 0, 1, 1, 1, 1), OrderFlowMetrics("A", "")]
each_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


@pytest.fixture
def no_lookup() -> Iterator[None]:
    previous = set_pip_lookup(None)
    yield
    set_pip_lookup(previous)


def attributes(value: Any) -> dict[str, Any]:
    public = (name for name in dir(value) if not name.startswith("_"))
    return {name: item for name in public if not callable(item := getattr(value, name))}


def test_mid_and_spread_are_derived_whatever_was_given() -> None:
    assert TICK.mid == (1.15154 + 1.1516) / 2
    assert TICK.spread == pytest.approx(0.6)
    assert Tick("USD_JPY", 150.00, 150.02, pip_size=0.01).spread == pytest.approx(2.0)


@pytest.mark.usefixtures("no_lookup")
def test_undeclared_or_unknown_instrument_has_its_spread_in_price_units() -> None:
    tick = Tick("BASKET", 10.0, 10.5, pip_size=0.0)
    assert (tick.spread, tick.pip_size) == (0.5, 0.0)
    assert Tick("USD_JPY", 150.0, 150.5).spread == 0.5


def test_tick_keeps_everything_it_was_given() -> None:
    assert attributes(TICK) == {
        "symbol": "EUR_USD", "bid": 1.15154, "ask": 1.1516, "mid": TICK.mid, "spread": TICK.spread, "timestamp": WHEN,
        "ts_event": NS, "ts_recv": NS + 1, "ts_publish": NS + 2, "seq": 2**47, "bid_size": 1e6, "ask_size": 2.5,
        "source": "ig", "flags": 3, "pip_size": 0.0001,
    }  # fmt: skip


def test_candle_keeps_everything_it_was_given() -> None:
    assert attributes(CANDLE) == {
        "symbol": "EUR_USD", "timestamp": WHEN, "open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2, "volume": 42.0,
        "source": "kraken", "volume_type": "real", "timeframe": "4h", "status": "revised", "revision": 3,
        "coverage": pytest.approx(0.95), "ticks": 42, "seq": 99, "ts_event": NS, "ts_first": NS + 1,
        "ts_last": NS + 2, "ts_arrival": NS + 3, "flags": 5,
    }  # fmt: skip


def test_defaults_are_those_of_a_pushed_minute_and_a_neutral_book() -> None:
    candle = Candle("EUR_USD", WHEN, 1.1, 1.3, 1.0, 1.2)
    given = (candle.volume, candle.source, candle.volume_type, candle.timeframe, candle.status, candle.revision)
    assert given == (0.0, "IG", "tick", "1m", "final", 1)
    flow = OrderFlowMetrics("EUR_USD", "6E", WHEN)
    assert (flow.window_seconds, flow.order_flow_bias, flow.updates_count) == (60, "NEUTRAL", 0)
    assert flow.is_stale is False
    assert type(flow.updates_count) is int


def test_order_flow_keeps_everything_it_was_given() -> None:
    expected = [30.0, 1.5, -2.5, 3.0, 4.0, 7.0, 1.1, 1.2, 8.0, 9.0, 0.25, 10, 11, 1.15, "BULLISH", 0.75, 2**40, True]
    names = list(inspect.signature(OrderFlowMetrics).parameters)[3:21]
    assert [getattr(FLOW, name) for name in names] == expected
    assert attributes(FLOW).keys() == {"symbol", "futures_symbol", "timestamp", "ts_event", "ts_recv", "ts_publish",
                                       "seq", *names}  # fmt: skip


@pytest.mark.usefixtures("no_lookup")
def test_pip_lookup_is_asked_once_a_tick_and_only_when_needed() -> None:
    asked: list[str] = []

    def lookup(symbol: str) -> float:
        asked.append(symbol)
        return 0.01

    tick = Tick("USD_JPY", 150.0, 150.5)
    assert set_pip_lookup(lookup) is None
    assert tick.mid == 150.25
    assert asked == []
    assert tick.spread == pytest.approx(50.0)
    assert tick.pip_size == 0.01
    assert asked == ["USD_JPY"]
    assert set_pip_lookup(None) is lookup


@pytest.mark.usefixtures("no_lookup")
@pytest.mark.parametrize("answer", [-1.0, math.nan, math.inf])
def test_lookup_that_fails_or_answers_nonsense_is_named(answer: float) -> None:
    tick, pips = Tick("USD_JPY", 150.0, 150.5), dict[str, float]()
    set_pip_lookup(lambda symbol: pips[symbol])
    with pytest.raises(KeyError, match="USD_JPY"):
        repr(tick)
    pips["USD_JPY"] = answer
    with pytest.raises(ValueError, match="pip size of 'USD_JPY'"):
        _ = tick.spread


NEW_YORK = ZoneInfo("America/New_York")
EAST = timezone(timedelta(hours=5, minutes=30, microseconds=5))


class NoOffset(tzinfo):
    def utcoffset(self, _: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


@pytest.mark.parametrize(
    ("when", "ns"),
    [(WHEN, NS - 789), (WHEN.replace(tzinfo=None), NS - 789), (WHEN.replace(tzinfo=NoOffset()), NS - 789),
     (WHEN.astimezone(EAST), NS - 789), (datetime(1969, 12, 31, 23, 59, 59, 999999), -1000), (0, 0),
     (datetime(2025, 11, 2, 1, 30, tzinfo=NEW_YORK, fold=0), 1_762_061_400 * 10**9),
     (datetime(2025, 11, 2, 1, 30, tzinfo=NEW_YORK, fold=1), 1_762_065_000 * 10**9),
     (NS, NS), (np.int64(NS), NS), (np.datetime64(NS, "ns"), NS), (np.datetime64("2025-06-02"), 1_748_822_400 * 10**9),
     (np.datetime64("2025-06-02T14:30:00.123456", "us"), NS - 789)],
)  # fmt: skip
def test_every_way_to_say_when_gives_the_same_nanoseconds(when: Any, ns: int) -> None:
    tick = Tick("EUR_USD", 1.1, 1.2, timestamp=when)
    assert tick.ts_event == ns
    assert tick.timestamp == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)
    assert tick.timestamp.tzinfo is UTC


def test_pandas_timestamp_keeps_its_nanoseconds() -> None:
    pandas = pytest.importorskip("pandas")
    moment = pandas.Timestamp(NS, tz="UTC")
    assert Tick("EUR_USD", 1.1, 1.2, timestamp=moment).ts_event == NS
    assert Tick("EUR_USD", 1.1, 1.2, timestamp=moment.tz_convert("Asia/Kolkata")).ts_event == NS
    assert Tick("EUR_USD", 1.1, 1.2, timestamp=moment.tz_localize(None)).ts_event == NS
    with pytest.raises(ValueError, match="NaT"):
        Tick("EUR_USD", 1.1, 1.2, timestamp=pandas.NaT)


def test_datetimes_of_every_year_survive_the_round_trip() -> None:
    rng = random.Random(7)
    low, high = datetime(1678, 1, 1, tzinfo=UTC), datetime(2261, 12, 31, tzinfo=UTC)
    span_us = (high - low) // timedelta(microseconds=1)
    for _ in range(2000):
        when = low + timedelta(microseconds=rng.randrange(span_us))
        assert Candle("EUR_USD", when, 1, 1, 1, 1).timestamp == when


@pytest.mark.parametrize(
    "when",
    ["2025-06-02", 1.7e9, None, True, datetime.max, datetime(1, 1, 1), 2**63, -(2**63), np.datetime64("NaT", "ns"),
     np.datetime64("9999-01-01"), np.timedelta64(5, "s"), WHEN.date()],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_its_value(when: Any) -> None:
    with pytest.raises(ValueError, match=r"timestamp is .*, expected"):
        Candle("EUR_USD", when, 1, 1, 1, 1)


def test_tick_without_a_time_says_so() -> None:
    tick = Tick("EUR_USD", 1.1, 1.2)
    assert tick.timestamp is None
    assert tick.ts_event == 0
    assert "timestamp=None" in repr(tick)
    assert tick != Tick("EUR_USD", 1.1, 1.2, timestamp=0)


@pytest.mark.parametrize("number", [2, -2.0, np.float32(2), np.float64(2), np.int16(2), Decimal(2), Fraction(2)])
def test_any_real_number_is_a_price_for_the_hub_to_judge(number: Any) -> None:
    assert Tick("EUR_USD", number, 1).bid == float(number)


@pytest.mark.parametrize("number", ["1.1", None, True, [1.1], 1j, 10**400])
def test_what_is_no_number_is_refused_with_its_value(number: Any) -> None:
    with pytest.raises(ValueError, match=r"Tick\.bid is .*, expected a real number"):
        Tick("EUR_USD", number, 1.2)


@pytest.mark.parametrize("symbol", ["", "x" * 32, "ü" * 16, "EUR\0USD", None, 5, b"EUR_USD", "\ud800"])
def test_symbol_is_one_to_31_bytes_of_text(symbol: Any) -> None:
    with pytest.raises(ValueError):
        Tick(symbol, 1.1, 1.2)
    assert Tick("x" * 31, 1.1, 1.2).symbol == "x" * 31


def test_text_of_a_subclass_becomes_plain_text() -> None:
    class Pair(StrEnum):
        EURUSD = "EUR_USD"

    assert type(Tick(Pair.EURUSD, 1.1, 1.2).symbol) is str
    assert Tick(Pair.EURUSD, 1.1, 1.2) == Tick("EUR_USD", 1.1, 1.2)


@pytest.mark.parametrize(
    ("changed", "place"),
    [({"timeframe": "2m"}, "timeframe is '2m'"), ({"timeframe": "1M"}, "timeframe is '1M'"),
     ({"status": "done"}, r"Candle\.status is 'done'"), ({"volume_type": 1}, r"Candle\.volume_type is 1"),
     ({"ticks": -1}, r"Candle\.ticks is -1"), ({"ticks": 2**32}, r"Candle\.ticks"), ({"revision": 1.5}, "revision"),
     ({"source": ""}, r"Candle\.source is ''"), ({"seq": math.nan}, "seq"), ({"seq": math.inf}, "seq")],
)  # fmt: skip
def test_bad_argument_is_named(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=place):
        Candle("EUR_USD", WHEN, 1, 1, 1, 1, **changed)
    with pytest.raises(ValueError, match="is_stale is 'False'"):
        OrderFlowMetrics("EUR_USD", "6E", is_stale="False")  # type: ignore[arg-type]


@pytest.mark.parametrize("alias", ["1m", "1min", "M1", "MINUTE"])
def test_timeframe_has_one_name_whatever_was_written(alias: str) -> None:
    assert Candle("EUR_USD", WHEN, 1, 1, 1, 1, timeframe=alias).timeframe == "1m"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("A", 1), {}), (("A", 1, 2, 3, 4, 5, 6), {}), (("A", 1, 2), {"bid": 1}), (("A", 1, 2), {"bidd": 1}),
     ((), {"bid": 1, "ask": 2})],
)  # fmt: skip
def test_wrong_call_is_a_type_error_that_names_the_parameter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Tick\(\)"):
        Tick(*args, **kwargs)
    with pytest.raises(TypeError, match=r"Tick\(\)"):
        Tick.__new__(Tick, *args, **kwargs)


@each_value
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_preserves_every_field_and_a_copy_is_the_value_itself(value: Any, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(value, protocol))
    assert (again, hash(again)) == (value, hash(value))
    assert attributes(again) == attributes(value)
    assert again.__reduce__() == value.__reduce__()
    assert copy.copy(value) is copy.deepcopy(value) is value


@each_value
def test_dict_form_reads_back(value: Any) -> None:
    form = value.to_dict()
    assert {**form, "pip_size": 0} == {**attributes(value), "pip_size": 0}
    assert type(value).from_dict(form) == value
    assert attributes(type(value).from_dict(form)) == attributes(value)


@each_value
def test_value_never_changes(value: Any) -> None:
    for name in attributes(value):
        for _ in range(20):  # more often than the interpreter needs to specialise the store
            with pytest.raises(AttributeError):
                setattr(value, name, 1)
        with pytest.raises(AttributeError):
            delattr(value, name)
    with pytest.raises(AttributeError):
        value.extra = 1
    with pytest.raises(TypeError):
        type(value).extra = 1


def test_equality_is_about_the_market_not_about_the_record() -> None:
    again = Tick("EUR_USD", 1.15154, 1.1516, timestamp=NS, bid_size=1e6, ask_size=2.5)
    assert (again, hash(again)) == (TICK, hash(TICK))
    form = TICK.to_dict()
    for name, other in [("symbol", "EUR_CHF"), ("bid", 1.0), ("ask", 2.0), ("bid_size", 1.0), ("ask_size", 1.0)]:
        assert Tick.from_dict({**form, name: other}) != TICK
    assert Tick.from_dict({**form, "ts_event": NS + 1}) != TICK
    assert TICK not in (CANDLE, FLOW, 5, None)
    with pytest.raises(TypeError):
        _ = again > TICK  # type: ignore[operator]


@pytest.mark.parametrize("value", [CANDLE, FLOW])
def test_any_market_field_of_a_candle_or_order_flow_counts(value: Any) -> None:
    record = {"ts_event", "ts_recv", "ts_publish", "ts_first", "ts_last", "ts_arrival", "seq", "revision", "coverage",
              "ticks", "flags"}  # fmt: skip
    words = {"timeframe": "1w", "status": "forming", "volume_type": "tick", "timestamp": WHEN + timedelta(1)}
    form = {name: held for name, held in value.to_dict().items() if name not in record}
    for name, held in form.items():
        other = words.get(name, f"{held}x" if isinstance(held, str) else not held if held is True else 123)
        assert type(value).from_dict({**form, name: other}) != type(value).from_dict(form), name


def test_nan_and_negative_zero_obey_the_rules_of_hashing() -> None:
    first, second = (Tick("A", math.nan, 1.0, timestamp=0) for _ in range(2))
    assert (first, hash(first)) == (second, hash(second))
    plus, minus = Tick("A", 0.0, 1.0, timestamp=0), Tick("A", -0.0, 1.0, timestamp=0)
    assert (plus, hash(plus)) == (minus, hash(minus))


def test_match_statement_takes_the_documented_positions() -> None:
    match TICK, CANDLE, FLOW:
        case Tick("EUR_USD", bid, ask), Candle("EUR_USD", when, open_), OrderFlowMetrics("EUR_USD", "6E"):
            assert (bid, ask, when, open_) == (1.15154, 1.1516, WHEN, 1.1)
        case _:
            pytest.fail("no case matched")


def test_repr_reads_well() -> None:
    assert repr(TICK) == (
        "Tick('EUR_USD', bid=1.15154, ask=1.1516, mid=1.15157, spread=0.6, "
        "timestamp='2025-06-02T14:30:00.123456789Z', bid_size=1000000, ask_size=2.5, source='ig', seq=140737488355328)"
    )
    assert repr(Candle("EUR_USD", WHEN.replace(microsecond=0), 1.1, 1.3, 1.0, 1.2)) == (
        "Candle('EUR_USD', timestamp='2025-06-02T14:30:00Z', open=1.1, high=1.3, low=1.0, close=1.2, volume=0.0, "
        "source='IG', timeframe='1m', status='final')"
    )
    assert "order_flow_bias='BULLISH'" in repr(FLOW)
    assert "is_stale=True" in repr(FLOW)


@pytest.mark.parametrize("kind", [Tick, Candle, OrderFlowMetrics])
def test_help_and_signature_are_useful(kind: Any) -> None:
    assert next(iter(inspect.signature(kind).parameters)) == "symbol"
    assert kind.__module__ == "tapehub"
    assert "Raises:" in kind.__doc__
    assert all(getattr(kind, name).__doc__ for name in kind.to_dict(next(v for v in VALUES if type(v) is kind)))
    with pytest.raises(TypeError):
        type("Sub", (kind,), {})


@dataclass
class OwnTick:
    symbol: str
    bid: float
    ask: float
    timestamp: datetime | None = None


def test_any_object_with_the_attributes_is_read() -> None:
    assert Tick.from_dict(OwnTick("EUR_USD", 1.1, 1.2, timestamp=WHEN)) == Tick("EUR_USD", 1.1, 1.2, timestamp=WHEN)
    assert Tick.from_dict(TICK) is TICK


def test_ts_event_wins_over_text_but_must_agree_with_a_time() -> None:
    form = TICK.to_dict()
    assert Tick.from_dict({**form, "timestamp": WHEN.isoformat()}).ts_event == NS  # a dict that went through JSON
    with pytest.raises(ValueError, match="expected the same instant"):
        Tick.from_dict({**form, "timestamp": WHEN + timedelta(seconds=1)})


@pytest.mark.parametrize("thing", [5, None, "EUR_USD", {"symbol": "EUR_USD", "bid": 1.0}, CANDLE])
def test_what_is_no_tick_is_refused_with_what_it_lacks(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"no Tick can be read from .*it has no (key|attribute) '\w+'; expected"):
        Tick.from_dict(thing)


def test_error_inside_a_property_is_not_taken_for_a_missing_one() -> None:
    class Broken:
        symbol = "EUR_USD"

        @property
        def bid(self) -> float:
            raise ZeroDivisionError("inside")

    with pytest.raises(ZeroDivisionError, match="inside"):
        Tick.from_dict(Broken())


@pytest.mark.usefixtures("no_lookup")  # the instrument table remembers the names it was asked for
def test_references_are_given_back_without_the_collector() -> None:
    assert not any(gc.is_tracked(value) for value in VALUES)
    symbol = "".join(["EUR", "_", "XYZ"])
    before = sys.getrefcount(symbol), sys.getrefcount(Tick)
    kept: list[Any] = []
    for _ in range(3):
        for _ in range(1500):  # more than the free list keeps
            kept.append(Tick(symbol, 1.1, 1.2, timestamp=WHEN, source=symbol))
            kept.append(Candle(symbol, WHEN, 1, 1, 1, 1, source=symbol))
            kept.append(OrderFlowMetrics(symbol, symbol, order_flow_bias=symbol))
            with pytest.raises(ValueError):
                Tick(symbol, "x", 1.2)  # type: ignore[arg-type]
            pickle.loads(pickle.dumps(kept[-1]))
            kept[-3].to_dict(), repr(kept[-2]), Tick.from_dict({"symbol": symbol, "bid": 1, "ask": 2})
        kept.clear()
    assert sys.getrefcount(symbol) == before[0]
    assert sys.getrefcount(Tick) <= before[1] + 2048  # blocks that wait in the free list hold their type
