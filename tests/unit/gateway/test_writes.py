"""Requests that write: what the Python API does, and who may."""

import io
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.gateway.access import Scope
from tests.models.gateway import API, Served, served
from tests.models.market import EUR, GBP, NINE, candle, counters, moment, tick

AT = "2024-03-05T09:00:07.123456789Z"
ARROW = "application/vnd.apache.arrow.stream"


def test_one_tick_keeps_every_digit(web: Served) -> None:
    seq = web.post("/ticks", {"symbol": "EURUSD", "bid": 1.1000000000000003, "ask": 1.1002, "timestamp": AT})["seq"]
    got = web.hub.get_latest_tick(EUR)
    assert (got.seq, got.bid, got.ts_event) == (seq, 1.1000000000000003, NINE + 7_123_456_789)
    assert web.get("/ticks/EUR_USD/latest")["ts_event"] == AT
    as_ns = web.post("/ticks", {"symbol": EUR, "bid": 1.2, "ask": 1.3, "timestamp": NINE + 8 * 10**9, "bid_size": 2.5})
    assert web.hub.get_latest_tick(EUR).seq == as_ns["seq"]
    assert web.hub.get_latest_tick(EUR).bid_size == 2.5


def test_several_ticks_and_how_many_are_in_the_log_when_one_is_refused(web: Served) -> None:
    rows = [{"symbol": GBP, "bid": 1.3 + n / 100, "ask": 1.4, "timestamp": NINE + n} for n in range(3)]
    assert len(web.post("/ticks", {"ticks": rows})["seqs"]) == 3
    before = web.hub.ledger()["ticks"]
    rows[2]["bid"] = -1.0
    problem = web.post("/ticks", {"ticks": rows}, 422)
    assert problem["type"] == "urn:tapehub:invalid-record"
    assert problem["published"] == 2
    assert web.hub.ledger()["ticks"] == before + 2


def arrow(columns: dict[str, Any]) -> bytes:
    pa = pytest.importorskip("pyarrow")
    sink = io.BytesIO()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def test_arrow_in_is_arrow_out(hub: DataHub, tmp_path: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    hub.set_clock("event")
    with served(hub) as web:
        times = pa.array(NINE + np.arange(1000) * 1_000_003, pa.timestamp("ns", "UTC"))
        symbols = pa.array([(EUR, GBP)[n % 2] for n in range(1000)]).dictionary_encode()
        columns = {
            "symbol": symbols, "ts_event": times, "bid": 1.1 + np.arange(1000) * 1e-6, "ask": np.full(1000, 1.2),
            "bid_size": np.arange(1000, dtype="f4"),
        }  # fmt: skip
        headers = {"Content-Type": ARROW}
        reply = web.http.post(f"{API}/ticks", content=arrow(columns), headers=headers, params={"source": "mine"})
        assert reply.json() == {"published": 1000, "seq": None}
        assert hub.sources[-1] == "mine"
        with DataHub.open(tmp_path / "copy", create=True) as copy, served(copy) as other:
            copy.set_clock("event")
            body = web.http.get(f"{API}/ticks/{EUR}", params={"limit": 1000}, headers={"Accept": ARROW}).content
            again = other.http.post(f"{API}/ticks", content=body, headers=headers, params={"symbol": EUR})
            assert again.json()["published"] == 500
            for name in ("ts_event", "bid", "ask", "bid_size"):
                assert (copy.ticks(EUR)[name] == hub.ticks(EUR)[name]).all()


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"ts_event": [NINE], "bid": [1.1]}, "ask"),
        ({"ts_event": [NINE], "bid": [1.1], "ask": [1.2]}, "symbol"),
        ({"symbol": [EUR], "ts_event": ["x"], "bid": [1.1], "ask": [1.2]}, "ts_event"),
        ({"symbol": [EUR], "ts_event": [NINE], "bid": [None], "ask": [1.2]}, "bid"),
        ({"symbol": [5], "ts_event": [NINE], "bid": [1.1], "ask": [1.2]}, "symbol"),
        ({"symbol": [EUR], "ts_event": [NINE], "bid": [float("nan")], "ask": [1.2]}, "bid"),
    ],
)
def test_an_arrow_body_that_cannot_be_is_refused_and_nothing_of_it_published(
    web: Served, columns: dict[str, Any], told: str
) -> None:
    before = counters(web.hub)["ticks"]
    reply = web.http.post(f"{API}/ticks", content=arrow(columns), headers={"Content-Type": ARROW})
    assert reply.status_code == 422, reply.text
    assert told in reply.json()["detail"]
    assert counters(web.hub)["ticks"] == before


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_a_compressed_arrow_body_is_refused_before_it_is_unpacked(web: Served, codec: str, dictionary: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    junk = pa.array([b"\0" * (64 << 20)], pa.large_binary())
    columns = {
        "symbol": [EUR], "ts_event": [NINE], "bid": [1.1], "ask": [1.2],
        "junk": pa.DictionaryArray.from_arrays(pa.array([0]), junk) if dictionary else junk,
    }  # fmt: skip
    sink, table = io.BytesIO(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table)
    assert len(sink.getvalue()) < 1 << 20
    allocated = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    reply = web.http.post(f"{API}/ticks", content=sink.getvalue(), headers={"Content-Type": ARROW})
    assert (reply.status_code, reply.json()["type"]) == (422, "urn:tapehub:invalid-record")
    assert "without compression" in reply.json()["detail"]
    assert pool.max_memory() - max(before, allocated) < 1 << 20


def test_one_long_name_is_not_spread_over_a_million_rows(web: Served) -> None:
    pa = pytest.importorskip("pyarrow")
    count = 100_000
    name = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, "i1")), pa.array(["x" * (1 << 20)]))
    columns = {
        "symbol": name,
        "ts_event": np.full(count, NINE),
        "bid": np.ones(count, "f4"),
        "ask": np.ones(count, "f4"),
    }
    before = pa.default_memory_pool().max_memory()
    reply = web.http.post(f"{API}/ticks", content=arrow(columns), headers={"Content-Type": ARROW})
    assert reply.status_code == 422, reply.text
    assert pa.default_memory_pool().max_memory() - before < 64 << 20


def test_columns_that_are_not_published_are_not_read(web: Served) -> None:
    pa = pytest.importorskip("pyarrow")
    columns = {
        "symbol": [EUR], "ts_event": [NINE], "bid": [1.1], "ask": [1.2], "none": pa.nulls(1), "list": [[1.0, 2.0]],
    }  # fmt: skip
    reply = web.http.post(f"{API}/ticks", content=arrow(columns), headers={"Content-Type": ARROW})
    assert reply.json()["published"] == 1


def test_what_is_no_arrow_is_refused(web: Served) -> None:
    for body in (b"", b"\xff\xff\xff\xff\x10\x00\x00\x00garbage", b"{}"):
        reply = web.http.post(f"{API}/ticks", content=body, headers={"Content-Type": ARROW})
        assert (reply.status_code, reply.json()["type"]) == (422, "urn:tapehub:invalid-record")
    reply = web.http.post(f"{API}/ticks", content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (reply.status_code, reply.json()["type"]) == (415, "urn:tapehub:unsupported-media-type")


def test_candles_order_flow_notes(web: Served) -> None:
    hub = web.hub
    one = {"symbol": EUR, "timestamp": "2024-03-05T10:00:30Z", "open": 1.1, "high": 1.2, "low": 1.0, "close": 1.15}
    assert web.post("/candles", {"candles": [one]})["published"] == 1
    (got,) = hub.candles(EUR, start=moment(3600), end=moment(3660)).objects()
    assert (got.timestamp.isoformat(), got.close, got.source) == ("2024-03-05T10:00:00+00:00", 1.15, "IG")
    assert web.post("/candles", {"candles": [{**one, "timeframe": "5m"}]}, 422)["type"] == "urn:tapehub:invalid-record"
    received = hub.get_status()["stats"]["candles_received"]
    rows = [{**one, "symbol": GBP, "timestamp": f"2024-03-05T10:{minute:02}"} for minute in range(5)]
    assert web.post("/candles/GBPUSD/warm", {"candles": rows}) == {"loaded": 5}
    assert hub.get_status()["stats"]["candles_received"] == received
    assert web.post("/candles/EUR_USD/warm", {"candles": rows}, 422)["type"] == "urn:tapehub:invalid-record"
    assert len(hub.get_latest_candles(GBP, 10)) >= 5
    seq = web.post("/orderflow", {"symbol": EUR, "futures_symbol": "6E", "timestamp": AT, "ofi_60s": 1.5})["seq"]
    got_flow = hub.get_latest_order_flow(EUR)
    assert got_flow is not None
    assert (got_flow.ts_event, got_flow.ofi_60s, got_flow.futures_symbol) == (NINE + 7_123_456_789, 1.5, "6E")
    assert seq < hub.head
    long = "é" * 10_000
    web.post("/note", {"text": long, "symbol": EUR})
    assert web.get("/events", params={"kinds": "note", "limit": 1})["events"][0]["about"]["text"] == long
    assert web.post("/flush")["synced"] >= seq


def test_what_changes_the_hub_for_everyone(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(1))
    hub.update_tick(tick(1, symbol=GBP))
    with served(hub) as web:
        web.post("/advance", {"now": "2024-03-05T09:05:00Z"})
        assert [one.status for one in hub.get_latest_candles(EUR)] == ["final"]
        web.post("/clear", {"symbol": "EURUSD"})
        assert (hub.get_latest_tick(EUR), hub.get_latest_tick(GBP) is None) == (None, False)
        web.post("/clear", {"symbol": None})
        assert hub.get_latest_tick(GBP) is None
        web.post("/clock", {"mode": "virtual", "anchor": AT, "rate": 2.0})
        assert web.get("/clock") | {"now": ""} == {
            "now": "", "mode": "virtual", "rate": 2.0, "simulated": True, "label": "SIMULATED",
        }  # fmt: skip
        assert web.post("/clock", {"mode": "virtual"}, 422)["type"] == "urn:tapehub:invalid-request"
        found = web.post("/verify")
        assert found["ok"] is True
        assert found["report"]["records"] == hub.get_status()["records"]


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/ticks", {"symbol": EUR, "bid": "1.1", "ask": 1.2}, "bid"),
        ("/ticks", {"ticks": []}, "ticks"),
        ("/ticks", [], "body"),
        ("/candles", {"candles": [{"symbol": EUR}]}, "body.candles.0.timestamp"),
        ("/note", {"text": 5}, "body.text"),
        ("/clear", {}, "body.symbol"),
        ("/clock", {"mode": "sundial"}, "body.mode"),
        ("/clock", {"mode": "wall", "rate": 0}, "body.rate"),
        ("/advance", {"now": 1.5}, "body.now"),
        ("/orderflow", {"symbol": EUR, "colour": "red"}, "body.colour"),
    ],
)
def test_a_body_that_cannot_be_is_refused_by_name(web: Served, path: str, body: Any, where: str) -> None:
    problem = web.post(path, body, 422)
    assert problem["type"] == "urn:tapehub:invalid-request"
    assert any(where in row["where"] for row in problem["errors"]), problem["errors"]


@pytest.mark.parametrize("now", ["soon", "9999-01-01", 1 << 70, "2024-03-05T25:00"])
def test_a_time_that_cannot_be_is_refused(web: Served, now: Any) -> None:
    assert web.post("/advance", {"now": now}, 422)["type"].startswith("urn:tapehub:invalid")


def test_a_body_that_is_too_long_is_not_read(web: Served) -> None:
    reply = web.http.post(f"{API}/note", content=b" " * (9 << 20), headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["type"]) == (413, "urn:tapehub:too-large")


def test_who_may_do_what(hub: DataHub) -> None:
    hub.update_tick(tick(1))
    with served(hub) as web:
        tokens = web.gateway.access.tokens
        known = {scope: tokens.new(scope.label, scope).reveal() for scope in (Scope.READ, Scope.PUBLISH, Scope.ADMIN)}
        web.until(lambda: tokens.refresh() or True, "the tokens to be read anew")
        asked = {
            Scope.READ: ("GET", "/status", None),
            Scope.PUBLISH: ("POST", "/note", {"text": "x"}),
            Scope.ADMIN: ("POST", "/clear", {"symbol": None}),
        }
        for having, token in known.items():
            for needed, (method, path, body) in asked.items():
                reply = web.http.request(method, API + path, json=body, headers={"Authorization": f"Bearer {token}"})
                assert reply.status_code == (200 if having >= needed else 403), (having, needed, reply.text)
                if having < needed:
                    assert reply.headers["content-type"] == "application/problem+json"
                    assert reply.json()["type"] == "urn:tapehub:forbidden"


def test_a_candle_pushed_over_http_is_the_one_pushed_locally(web: Served, tmp_path: Any) -> None:
    local = candle(60 * 5, 1.25)
    web.post("/candles", {"candles": [{
        "symbol": EUR, "timestamp": local.ts_event, "open": local.open, "high": local.high, "low": local.low,
        "close": local.close, "volume": local.volume,
    }]})  # fmt: skip
    assert web.hub.get_latest_candles(EUR, 1) == [local]
