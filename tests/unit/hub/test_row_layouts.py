"""However a caller's rows are laid out, the same ticks are published."""

from typing import Any

import numpy as np
import pytest

from tapehub import DataHub, InvalidRecord

START = 1_700_000_000_000_000_000
COUNT = 600  # more than two releases of the lock
FIELDS = {
    "ts_event": "<i8", "ts_recv": "<i8", "bid": "<f8", "ask": "<f8", "bid_size": "<f4", "ask_size": "<f4",
    "instrument": "<u2",
}  # fmt: skip


def filled(rows: np.ndarray) -> np.ndarray:
    index = np.arange(len(rows))
    rows["ts_event"] = START + index * 1_000_000
    rows["ts_recv"] = START + index * 1_000_000 + 5
    rows["bid"] = 1.1 + index * 1e-5
    rows["ask"] = rows["bid"] + 1e-4
    rows["bid_size"], rows["ask_size"] = index + 1, index + 2
    rows["instrument"] = index % 2
    return rows


def packed() -> Any:
    return filled(np.zeros(COUNT, list(FIELDS.items())))


def aligned() -> Any:
    return filled(np.zeros(COUNT, np.dtype(list(FIELDS.items()), align=True)))


def backwards() -> Any:
    return filled(np.zeros(COUNT, [*list(FIELDS.items())[::-1], ("note", "S5")]))


def strided() -> Any:
    return filled(np.zeros(3 * COUNT, list(FIELDS.items()))[::3])


def reversed_in_memory() -> Any:
    return filled(np.zeros(COUNT, list(FIELDS.items()))[::-1])


def big_endian() -> Any:
    return filled(np.zeros(COUNT, [(name, kind.replace("<", ">")) for name, kind in FIELDS.items()]))


def wider() -> Any:
    wide = {"<f4": "<f8", "<u2": "<i8"}
    return filled(np.zeros(COUNT, [(name, wide.get(kind, kind)) for name, kind in FIELDS.items()]))


@pytest.mark.parametrize("make", [packed, aligned, backwards, strided, reversed_in_memory, big_endian, wider])
def test_the_same_ticks_are_published_whatever_the_layout(hub: DataHub, make: Any) -> None:
    hub.set_clock("event")
    assert hub.publish(make(), symbols=["EUR_USD", "GBP_USD"]) == COUNT
    expected = packed()
    for number, symbol in enumerate(("EUR_USD", "GBP_USD")):
        got = hub.ticks(symbol, limit=COUNT).numpy()
        want = expected[expected["instrument"] == number]
        for name in ("ts_event", "ts_recv", "bid", "ask", "bid_size", "ask_size"):
            assert got[name].tolist() == want[name].tolist(), name


def test_fields_that_are_absent_are_not_known(hub: DataHub) -> None:
    hub.set_clock("event")
    few = packed()[["ts_event", "bid", "ask"]]  # a view with holes
    assert hub.publish(few, symbol="EUR_USD") == COUNT
    got = hub.ticks("EUR_USD", limit=COUNT).numpy()
    assert got["bid"].tolist() == packed()["bid"].tolist()
    assert not got["bid_size"].any()


def test_rows_of_several_symbols_need_an_index_even_in_a_layout_that_was_seen_before(hub: DataHub) -> None:
    hub.set_clock("event")
    few = packed()[["ts_event", "bid", "ask"]]
    hub.publish(few, symbol="EUR_USD")
    with pytest.raises(InvalidRecord, match="instrument"):
        hub.publish(few, symbols=["EUR_USD", "GBP_USD"])
    assert "GBP_USD" not in hub.instruments
