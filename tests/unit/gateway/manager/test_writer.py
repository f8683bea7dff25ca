"""Replies: CPython reads them with the caller's classes, wherever these are."""

import pickle
import sys
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub import Candle, InvalidRecord, OrderFlowMetrics, Tick
from tapehub.errors import ConfigError
from tapehub.gateway.manager.known import symbol_of
from tapehub.gateway.manager.reader import read
from tapehub.gateway.manager.shapes import candle_of, order_flow_of, tick_of
from tapehub.gateway.manager.writer import OwnWriter, Writer
from tests.servers.stock import market_data_models as models

NS = 1_780_401_630_123_456_789
TICK = Tick("EUR_USD", 1.15, 1.1502, timestamp=NS, seq=7, pip_size=0.0001)
CANDLES = [Candle("EUR_USD", NS + n * 60_000_000_000, 1.1, 1.3, 1.0, 1.2, float(n), f"s{n % 2}") for n in range(300)]
FLOW = OrderFlowMetrics("EUR_USD", "6E", NS, 30.0, 1.5, updates_count=2**40, is_stale=True)


@pytest.fixture(autouse=True)
def module() -> Iterator[None]:
    sys.modules["market_data_models"] = module = types.ModuleType("market_data_models")
    vars(module).update(Tick=models.Tick, Candle=models.Candle, OrderFlowMetrics=models.OrderFlowMetrics)
    yield
    del sys.modules["market_data_models"]


def unpickled(value: object) -> Any:
    kind, found = pickle.loads(Writer("market_data_models").reply("#RETURN", value))
    assert kind == "#RETURN"
    return found


@pytest.mark.parametrize("value", [TICK, CANDLES[0], FLOW], ids=lambda value: type(value).__name__)
def test_an_object_becomes_the_callers_own_with_its_plain_attributes(value: Any) -> None:
    found = unpickled(value)
    assert type(found) is getattr(models, type(value).__name__)
    assert vars(found) == {name: getattr(value, name) for name in models.__dict__[type(value).__name__].__annotations__}


def test_candles_become_a_list_of_the_callers_own() -> None:
    found = unpickled(CANDLES)
    assert [one.timestamp for one in found] == [one.timestamp for one in CANDLES]
    assert [one.volume for one in found] == [float(n) for n in range(300)]
    assert {one.source for one in found} == {"s0", "s1"}
    assert all(type(one) is models.Candle for one in found)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**300), 2**300) | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")) | st.binary() | st.timedeltas() | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner) | st.tuples(inner),
    max_leaves=15,
)  # fmt: skip


@given(plain)
def test_plain_values_pass_as_they_are(value: object) -> None:
    assert unpickled(value) == value


def test_everything_else_becomes_what_every_python_has() -> None:
    assert unpickled({"n": np.int32(5), "f": np.float64(0.5), "b": np.bool_(True), "p": Path("a/b")}) == {
        "n": 5, "f": 0.5, "b": True, "p": "a/b",
    }  # fmt: skip
    assert unpickled([timedelta(1), datetime(2026, 6, 2)]) == [timedelta(1), datetime(2026, 6, 2, tzinfo=UTC)]
    error = unpickled(ValueError("bid is -1.0"))
    assert type(error) is ValueError
    assert error.args == ("bid is -1.0",)
    with pytest.raises(TypeError, match="holds a object"):
        unpickled(object())


def test_a_reply_names_nothing_but_the_callers_module_and_datetime() -> None:
    named: set[tuple[str, str]] = set()

    class Names(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.add((module, name))
            return super().find_class(module, name)

    import io

    Names(io.BytesIO(Writer("market_data_models").reply("#RETURN", [TICK, FLOW, CANDLES]))).load()
    assert named == {
        ("datetime", "datetime"), ("datetime", "timezone"), ("datetime", "timedelta"), ("market_data_models", "Tick"),
        ("market_data_models", "Candle"), ("market_data_models", "OrderFlowMetrics"),
    }  # fmt: skip


def test_what_was_written_is_read_again() -> None:
    reply = Writer("market_data_models").reply("#RETURN", [TICK, CANDLES[1], FLOW])
    (_, (tick, candle, flow)), refused = read(reply, symbol_of, objects_max=1000)
    assert not refused
    assert tick_of(tick).timestamp == TICK.timestamp
    assert candle_of(candle).to_dict()["volume"] == 1.0
    assert order_flow_of(flow).updates_count == 2**40
    (_, own), _ = read(OwnWriter().reply("#RETURN", [TICK, *CANDLES[:2], FLOW]), symbol_of, objects_max=1000)
    assert [tick_of(own[0]).to_dict(), candle_of(own[2]).to_dict(), order_flow_of(own[3]).to_dict()] == [
        TICK.to_dict(), CANDLES[1].to_dict(), FLOW.to_dict(),
    ]  # fmt: skip
    (kind, value), _ = read(OwnWriter().reply("#ERROR", InvalidRecord("no")), symbol_of, objects_max=1000)
    assert (kind, value) == ("#ERROR", ("InvalidRecord", "no"))


@pytest.mark.parametrize("name", ["", "a b", "os;x", "a..b", "x\ny"])
def test_a_module_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="expected a name such as market_data_models"):
        Writer(name)
