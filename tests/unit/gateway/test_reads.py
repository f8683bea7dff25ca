"""Reads over HTTP: what the Python API gives, in the documented shapes."""

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tapehub import DataHub, OrderFlowMetrics
from tapehub.collector.allowance import FILE_NAME, Ledger
from tapehub.collector.link import Link
from tapehub.feeds.feed import Status, StatusKind
from tapehub.gateway.context import Outside
from tapehub.gateway.encoding import text_of
from tapehub.gateway.shapes import answers, records
from tapehub.hub import marks, publishing
from tapehub.hub.calendars import log_sessions
from tapehub.model.calendars import calendar_of
from tapehub.model.states import GapStatus, State
from tapehub.quality import Liveness, Rhythm
from tests.models.gateway import API, Served, served
from tests.models.market import EUR, GBP, JPY, NINE, candle, flow, moment, quotes, tick
from tests.tidy.sources import ROOT

ARROW = {"Accept": "application/vnd.apache.arrow.stream"}


@pytest.fixture(scope="module", autouse=True)
def _market(web: Served) -> None:
    hub = web.hub
    for symbol in (EUR, GBP):
        hub.publish(quotes([n * 0.7 for n in range(400)], [1.1 + n * 1e-5 for n in range(400)]), symbol=symbol)
    hub.update_order_flow(flow(280, EUR, ofi_60s=4.5, order_flow_bias='said "so"'))
    hub.update_candle_1m(candle(1, 1.3, GBP))
    hub.advance(tick(290).ts_event)


def texts(items: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(text_of(item)) for item in items]


def test_ticks_are_those_of_the_hub(web: Served) -> None:
    hub = web.hub
    got = web.get("/ticks/EURUSD", params={"limit": 50})
    assert got == {"symbol": EUR, "lost": 0, "ticks": texts(hub.ticks(EUR, 50).objects())}
    answers.TicksAnswer.model_validate(got)
    between = web.get(f"/ticks/{EUR}", params={"start": moment(10).isoformat(), "end": moment(20).isoformat()})
    assert between["ticks"] == texts(hub.ticks(EUR, start=moment(10), end=moment(20)).objects())
    seq = between["ticks"][3]["seq"]
    assert web.get(f"/ticks/{EUR}", params={"start": seq, "limit": 1000, "end": seq + 2})["ticks"][0]["seq"] == seq
    assert web.get("/ticks/EUR%2FUSD", params={"limit": 1})["symbol"] == EUR
    assert web.get("/ticks/AUD_NZD")["ticks"] == []


def test_bounds_reach_to_the_nanosecond(web: Served) -> None:
    row = web.hub.ticks(EUR, 10).numpy()[5]
    text = f"{np.datetime64(int(row['ts_event']), 'ns')}Z"
    after = f"{np.datetime64(int(row['ts_event']) + 1, 'ns')}Z"
    got = web.get(f"/ticks/{EUR}", params={"start": text, "end": after})["ticks"]
    assert [one["seq"] for one in got] == [int(row["seq"])]
    assert got[0]["ts_event"] == text


def test_the_latest_tick_and_what_is_not_there(web: Served) -> None:
    assert web.get("/ticks/EUR_USD/latest") == texts([web.hub.get_latest_tick(EUR)])[0]
    records.TickShape.model_validate(web.get("/ticks/EUR_USD/latest"))
    problem = web.get("/ticks/AUD_NZD/latest", 404)
    assert problem["type"] == "urn:tapehub:no-data"
    assert problem["value"] == "AUD_NZD"
    assert problem["remedy"]
    assert web.get("/orderflow/AUD_NZD", 404)["type"] == "urn:tapehub:no-data"
    assert web.get("/orderflow/EUR_USD") == texts([web.hub.get_latest_order_flow(EUR)])[0]


def test_candles_from_memory_and_from_the_log(web: Served) -> None:
    hub = web.hub
    got = web.get("/candles/GBPUSD", params={"timeframe": "M1", "limit": 3, "forming": True})
    assert got["timeframe"] == "1m"
    assert got["candles"] == texts(hub.candles(GBP, "1m", 3, forming=True).objects())
    assert got["candles"][-1]["status"] == "forming"
    answers.CandlesAnswer.model_validate(got)
    pushed = web.get("/candles/GBPUSD", params={"start": "2024-03-05T09:01", "end": "2024-03-05T09:02"})["candles"]
    assert [(one["close"], one["flags"] & 1) for one in pushed] == [(1.3, 1)]
    built = web.get("/history", params={"symbol": EUR, "timeframe": "15s", "limit": 4})
    assert built["candles"] == texts(hub.history(EUR, "15s", limit=4).objects())
    assert web.get("/candles/EUR_USD", 422, params={"timeframe": "7m"})["type"] == "urn:tapehub:unknown-timeframe"
    assert web.get("/candles/EUR_USD", params={"source": "nobody"})["candles"] == []


@pytest.mark.parametrize("path", ["/ticks/EUR_USD", "/candles/EUR_USD", "/history"])
def test_arrow_holds_the_columns_of_the_batch(web: Served, path: str) -> None:
    pa = pytest.importorskip("pyarrow")
    asked = {"limit": 20} | ({"symbol": EUR} if path == "/history" else {})
    reply = web.http.get(API + path, params=asked, headers=ARROW)
    assert reply.headers["content-type"] == ARROW["Accept"]
    assert reply.headers["tapehub-lost"] == "0"
    table = pa.ipc.open_stream(io.BytesIO(reply.content)).read_all()
    hub = web.hub
    batch = {"/ti": hub.ticks(EUR, 20), "/ca": hub.candles(EUR, limit=20), "/hi": hub.history(EUR, limit=20)}[path[:3]]
    assert table.equals(batch.arrow())
    assert web.http.get(API + path, params=asked, headers={"Accept": "text/html"}).status_code == 406
    assert (
        web.http.get(API + path, params=asked, headers={"Accept": "*/*"}).headers["content-type"] == "application/json"
    )
    both = {"Accept": f"{ARROW['Accept']};q=0.2, application/json"}
    assert web.http.get(API + path, params=asked, headers=both).headers["content-type"] == "application/json"


def test_snapshots_of_one_and_of_all(web: Served) -> None:
    one = web.get("/snapshot/EUR_USD", params={"limit": 3})
    answers.SnapshotAnswer.model_validate(one)
    held = web.hub.snapshot(EUR, limit=3)
    assert one["candles"] == texts(held.candles)
    assert one["order_flow"]["order_flow_bias"] == 'said "so"'
    assert one["tick"]["seq"] == held.tick.seq if held.tick else False
    every = web.get("/snapshot")
    answers.SnapshotsAnswer.model_validate(every)
    rows = {row["symbol"]: row for row in every["snapshots"]}
    assert rows.keys() == web.hub.instruments.keys()
    assert rows[EUR]["pip_size"] == 0.0001
    assert 60 < rows[EUR]["ticks_per_minute"] < 90
    empty = web.get("/snapshot/AUD_NZD")
    assert (empty["state"], empty["tick"]) == ("empty", None)


def test_freshness(web: Served) -> None:
    assert web.get("/staleness/EUR_USD", params={"tick": 1e6})["tick"] is False
    assert web.get("/staleness/EUR_USD", params={"tick": 0.001})["tick"] is True
    assert web.get("/fresh/EUR_USD", params={"max_age_s": 1e6})["symbol"] == EUR
    problem = web.get("/fresh/EUR_USD", 409, params={"max_age_s": 0.001})
    assert problem["type"] == "urn:tapehub:stale-data"
    states = web.get("/states", params={"symbol": "EURUSD"})
    answers.StatesAnswer.model_validate(states)
    assert [(row["symbol"], row["source"], row["primary"]) for row in states["states"]] == [(EUR, "direct", True)]


def test_gaps_quarantine_comparisons_and_events_are_told_with_their_meaning(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(100))
    marks.state(hub, EUR, "ig", State.STALE, "nothing for 6 s", NINE + 10**9, NINE)
    marks.gap(hub, EUR, "ig", NINE, NINE + 5 * 10**9, "mute", GapStatus.FILLED)
    marks.gap(hub, EUR, "ig", NINE + 60 * 10**9, None, "cut")
    marks.quarantine(hub, EUR, "ig", 5, NINE, quote=(NINE, NINE + 1, 1.2, 1.1, 0.0, 0.0), detail="ask below bid")
    marks.quarantine(hub, "", "ig", 1, NINE, raw=b"\x00\xff" * 24, detail="no JSON")
    marks.comparison(hub, EUR, "ig", NINE, 3, {"close": [1.1, 1.2]}, NINE)
    hub.note("hello")
    hub.clear_symbol(EUR)
    with served(hub) as web:
        gaps = web.get("/gaps", params={"source": "ig"})["gaps"]
        assert [(row["cause"], row["status"], row["end"]) for row in gaps] == [
            ("mute", "filled", "2024-03-05T09:00:05.000000000Z"), ("cut", "open", None),
        ]  # fmt: skip
        assert len(web.get("/gaps", params={"source": "ig", "limit": 1})["gaps"]) == 1
        rows = web.get("/quarantine")["quarantine"]
        assert [(row["reason"], row["symbol"], row.get("bid")) for row in rows] == [
            ("crossed", EUR, 1.2), ("malformed", "", None),
        ]  # fmt: skip
        assert web.get("/comparisons")["comparisons"][0]["close"] == [1.1, 1.2]
        events = web.get("/events", params={"kinds": "state,gap,quarantine,clear,note,comparison"})["events"]
        answers.EventsAnswer.model_validate({"events": events})
        about = [(one["kind"], one["about"]) for one in events]
        assert about[0] == (
            "state",
            {"state": "stale", "cause": "nothing for 6 s", "since": "2024-03-05T09:00:00.000000000Z"},
        )
        assert about[1][1]["status"] == "filled"
        assert about[3][1]["reason"] == "crossed"
        assert about[3][1]["ask"] == 1.1
        assert "raw" in about[4][1]
        assert about[5][1]["close"] == [1.1, 1.2]
        assert about[6:] == [("note", {"text": "hello"}), ("clear", {"symbol": EUR})]
        assert len(web.get("/events", params={"limit": 2, "kinds": "note,clear"})["events"]) == 2
        assert web.get("/events", 422, params={"kinds": "dance"})["type"] == "urn:tapehub:invalid-request"
        lasting = [line for line in web.http.get("/metrics").text.splitlines() if line.startswith("tapehub_gap")]
        assert 'tapehub_gap_open{symbol="EUR_USD"} 0.0' in lasting  # of the primary source


def test_the_hub_as_a_whole(web: Served) -> None:
    status = web.get("/status")
    answers.StatusAnswer.model_validate(status)
    assert status["stats"]["ticks_received"] == 800
    assert (status["simulated"], status["server"], status["clock"]["label"]) == (True, None, "EVENT TIME")
    assert web.get("/instruments")["instruments"] == web.hub.instruments
    assert web.get("/sources")["sources"] == web.hub.sources
    assert web.get("/ledger")["balanced"] is True
    answers.LedgerAnswer.model_validate(web.get("/ledger"))
    assert web.get("/clock")["mode"] == "event"
    with web.hub.stream(name="somebody"):
        readers = web.get("/readers")["readers"]
        answers.ReadersAnswer.model_validate({"readers": readers})
        assert "somebody" in [row["name"] for row in readers]
    assert [row["alive"] for row in web.get("/processes")["processes"]] == [True]
    pipeline = web.get("/pipeline")
    answers.PipelineAnswer.model_validate(pipeline)
    assert pipeline["hub"]["ticks"] == pipeline["quality"]["accepted"] == 800
    reply = web.http.get(f"{API}/log", params={"start": 64, "n": 3})
    assert reply.content == web.hub.log(64, 3).tobytes()


def test_coverage_of_a_day(web: Served) -> None:
    found = web.get("/coverage/EUR_USD", params={"day": "2024-03-05"})
    answers.CoverageAnswer.model_validate(found)
    nine = 9 * 60
    assert found["outcomes"][nine - 1 : nine + 5] == "-ffff-"
    assert found["minutes"][nine - 1 : nine + 5] == [None, 1.0, 1.0, 1.0, 1.0, None]
    assert sum(found["ticks"]) == sum(web.hub.candles(EUR, limit=10)["ticks"])
    saturday = web.get("/coverage/EUR_USD", params={"day": "2024-03-02"})
    assert set(saturday["outcomes"]) == {"c"}
    assert set(web.get("/coverage/AUD_NZD", params={"day": "2024-03-05"})["outcomes"]) == {"-"}


def test_coverage_shows_gaps_and_minutes_without_ticks(hub: DataHub) -> None:
    hub.set_clock("event")
    for minute in (0, 1, 6):
        hub.publish(quotes([minute * 60 + n for n in range(50)]), symbol=EUR, source="ig")
    marks.gap(hub, EUR, "ig", NINE + 120 * 10**9, NINE + 240 * 10**9, "cut")
    hub.advance(tick(430).ts_event)
    with served(hub) as web:
        found = web.get("/coverage/EUR_USD", params={"day": "2024-03-05"})
        assert found["outcomes"][540:547] == "ffggnnf"
        assert found["minutes"][540:547] == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0]


def test_coverage_of_a_holiday_is_closed_whatever_was_logged_of_it(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.publish(quotes([0]), symbol=EUR, source="ig")
    with served(hub) as web:
        noon, day = 12 * 60, {"day": "2024-03-06"}
        marks.gap(hub, EUR, "ig", NINE + 60 * 10**9, NINE + 2 * 86_400 * 10**9, "cut")
        hub.advance(NINE + 2 * 86_400 * 10**9)
        assert web.get("/coverage/EUR_USD", params=day)["outcomes"][noon] == "g"
        log_sessions(hub, [calendar_of("fx", ["2024-03-06"])], replace=True)
        found = web.get("/coverage/EUR_USD", params=day)
        assert (found["outcomes"][noon], found["minutes"][noon]) == ("c", None)
        assert web.get("/coverage/EUR_USD", params={"day": "2024-03-05"})["outcomes"][noon] == "g"


def test_what_lies_above_the_gateway_is_passed_in(hub: DataHub) -> None:
    def why(asked: DataHub, symbols: Any) -> dict[str, Any]:
        return {"sentence": f"{list(symbols)}", "ok": True, "outcome": "ok", "link": "", "chain": []}

    with served(hub, outside=Outside(why=why, version="1.2.3")) as web:
        assert web.get("/why", params={"symbol": [EUR, JPY]})["sentence"] == f"['{EUR}', '{JPY}']"
        assert web.get("/status")["version"] == "1.2.3"
        assert web.get("/simulator", 404)["type"] == "urn:tapehub:no-simulator"
        assert web.post("/simulator/fault", {"kind": "mute"}, 404)["type"] == "urn:tapehub:no-simulator"
    with served(hub, outside=Outside(simulator=lambda: "http://127.0.0.1:9")) as web:
        assert web.get("/simulator", 502)["type"] == "urn:tapehub:upstream"
        assert web.get("/why", 404)["type"] == "urn:tapehub:not-found"


def test_the_historical_allowance_is_read_from_its_ledger(hub: DataHub) -> None:
    Ledger(hub.path / FILE_NAME.format(venue="ig-demo"), lambda: NINE, reserve=100).book(30)
    (hub.path / FILE_NAME.format(venue="torn")).write_text("{")
    with served(hub) as web:
        rows = {row["venue"]: row for row in web.get("/allowance")["historical"]}
        assert rows["ig-demo"]["reserve"] == 100
        assert rows["ig-demo"]["total"] == 10_000
        assert "torn" in rows["torn"]["error"]


def test_subscriptions_are_told_with_the_venues_limit_where_it_has_one(hub: DataHub) -> None:
    for source, kept in (("ig", (5, 40)), ("kraken", None)):
        link, liveness = Link(hub.now()), Liveness(lambda _: calendar_of("24x7"), Rhythm())
        link.on_status(Status(StatusKind.SUBSCRIBED, (EUR,), subscriptions=kept), hub.now())
        marks.feed_link(hub, source, link.tell(hub.now(), liveness), hub.now())
    with served(hub) as web:
        feeds = web.get("/allowance")["feeds"]
        assert (feeds["ig"]["subscriptions"], feeds["ig"]["subscriptions_max"]) == (5, 40)
        assert (feeds["kraken"]["subscriptions"], feeds["kraken"]["subscriptions_max"]) == (0, None)


def test_what_is_made_up_is_called_so_whoever_runs_it_and_under_the_walls_clock(hub: DataHub) -> None:
    hub.set_clock("wall")
    for symbol, source, label in ((EUR, "sim", "SIMULATED"), (GBP, "mine", "REPLAY"), (EUR, "ig", "")):
        link, liveness = Link(hub.now(), label), Liveness(lambda _: calendar_of("24x7"), Rhythm())
        liveness.watch((symbol, source))
        hub._names.channel(symbol, source)
        marks.feed_link(hub, f"feed of {source}", link.tell(hub.now(), liveness), hub.now())
    with served(hub) as web:
        told = web.get("/status")
        assert told["made_up"] == {"feed of sim": "SIMULATED", "feed of mine": "REPLAY"}
        assert told["simulated"] is True
        assert {(row["symbol"], row["source"]): row["made_up"] for row in web.get("/states")["states"]} == {
            (EUR, "sim"): "SIMULATED", (GBP, "mine"): "REPLAY", (EUR, "ig"): "",
        }  # fmt: skip


def test_numbers_that_are_not_finite_are_null(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_check_order_flow", lambda _: None)  # a log may be older than the check
    metrics = OrderFlowMetrics(EUR, "6E", NINE, ofi_60s=float("nan"), vwap_60s=float("inf"))
    hub.set_clock("event")
    hub.update_order_flow(metrics)
    hub.update_tick(tick(0, 1.7e308, width=0.0))
    with served(hub) as web:
        found = web.get("/orderflow/EUR_USD")
        assert (found["ofi_60s"], found["vwap_60s"]) == (None, None)
        assert web.get("/ticks/EUR_USD/latest")["mid"] is None
        assert web.http.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/ticks/EUR_USD?limit=-1", "query.limit"),
        ("/ticks/EUR_USD?limit=100001", "query.limit"),
        ("/ticks/EUR_USD?limit=many", "query.limit"),
        ("/ticks/EUR_USD?start=yesterday", "query.start"),
        ("/ticks/EUR_USD?end=1677-01-01", "query.end"),
        ("/ticks/EUR_USD?start=99999999999999999999", "query.start"),
        ("/candles/EUR_USD?forming=perhaps", "query.forming"),
        ("/history", "query.symbol"),
        ("/fresh/EUR_USD", "query.max_age_s"),
        ("/fresh/EUR_USD?max_age_s=nan", "query.max_age_s"),
        ("/coverage/EUR_USD?day=2024-02-30", "query.day"),
        ("/coverage/EUR_USD?day=1066-10-14", "query.day"),
        ("/log?n=70000", "query.n"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(web: Served, path: str, where: str) -> None:
    problem = web.get(path, 422)
    assert problem["type"] == "urn:tapehub:invalid-request"
    assert problem["where"] == where
    assert {"detail", "value", "expected", "remedy", "title", "status"} <= problem.keys()


def test_a_symbol_that_no_hub_may_hold_is_refused(web: Served) -> None:
    assert web.get(f"/ticks/{'x' * 40}", 422)["type"] == "urn:tapehub:invalid-record"


def test_unknown_paths_and_methods_are_problems_too(web: Served) -> None:
    assert web.get("/nowhere", 404)["type"] == "urn:tapehub:not-found"
    reply = web.http.delete(f"{API}/status")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
    assert reply.json()["type"] == "urn:tapehub:method-not-allowed"


def test_too_many_long_reads_are_refused_not_queued(web: Served) -> None:
    context = web.gateway.web.api.state.context
    context.pool._places.acquire()
    try:
        taken = 1
        while context.pool._places.acquire(blocking=False):
            taken += 1
        reply = web.http.get(f"{API}/gaps")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert reply.json()["type"] == "urn:tapehub:busy"
    finally:
        for _ in range(taken):
            context.pool._places.release()
    web.get("/gaps")


def test_metrics_tell_what_the_documentation_lists(web: Served) -> None:
    web.get("/status")
    text = web.http.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    page = (ROOT / "docs" / "reference" / "http-api.md").read_text()
    table = page[page.index("| metric | labels |") :]
    named = {
        name.removesuffix("_total")
        for row in table.splitlines()[2:]
        for name in row.split("|")[1].replace("`", "").replace(",", " ").split()
    }
    assert named - families.keys() <= {"tapehub_log_days_left"}
    assert families.keys() - named == set()
    ticks = {sample.labels["symbol"]: sample.value for sample in families["tapehub_ticks"].samples}
    assert ticks[EUR] == 400
    states = [s for s in families["tapehub_state"].samples if s.labels["symbol"] == EUR]
    assert sum(sample.value for sample in states) == 1
    routes = {sample.labels["route"] for sample in families["tapehub_http_requests"].samples}
    assert f"{API}/status" in routes


def test_health(web: Served) -> None:
    assert httpx.get(f"{web.gateway.url}/healthz").json() == {"alive": True}
    assert httpx.get(f"{web.gateway.url}/readyz").status_code == 401
    reply = web.http.get("/readyz")
    assert reply.status_code == 503
    assert reply.json()["hub"] is True
    assert "no server" in reply.json()["detail"]
