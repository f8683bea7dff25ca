"""What a model is told: the truth about each value's age and state, within bounds, typed, and in words that help."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client, MCPError

from tapehub import DataHub
from tapehub.agents import halts
from tapehub.agents.search import newest
from tapehub.app.mcp import known
from tapehub.app.why import sentence
from tapehub.gateway.mcp.asking import BARS_MAX, HISTORY_MAX, SAID_MAX, Busy, LongReads
from tapehub.gateway.mcp.server import create_server
from tapehub.model.records import Kind
from tests.models.asking import (
    LAST_NS,
    RESOURCES,
    SATURDAY_NS,
    TEMPLATES,
    TOOLS,
    asked,
    at,
    friday,
    refusal,
    told,
)
from tests.models.paper import SECOND


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataHub]:
    with friday(tmp_path_factory.mktemp("friday") / "hub") as made:
        yield made


@pytest.fixture(scope="module")
def server(hub: DataHub) -> Any:
    return create_server(known(lambda: hub, lambda ctx: "mcp-test"))


def test_every_tool_answers_as_its_schema_says_and_with_its_standing(hub: DataHub, server: Any) -> None:
    at(hub, LAST_NS + SECOND)

    async def all_of_them(client: Client) -> None:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert listed.keys() == TOOLS.keys()
        for name, arguments in TOOLS.items():
            tool = listed[name]
            assert tool.description
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is (name != "submit_opinion")
            found = await told(client, name, **arguments)
            assert tool.output_schema is not None
            jsonschema.validate(found, tool.output_schema)
            standing = found["standing"]
            assert standing["now"].startswith("2026-06-05T20:59:01")
            assert (standing["clock"], standing["simulated"]) == ("virtual", True)
            assert (standing["state"], standing["market"], standing["current"]) == ("LIVE", "OPEN", True)
            assert 0 < standing["age_s"] < 10
            assert 0 < standing["completeness"] <= 1
            assert standing["note"].startswith("LIVE")

    asked(server, all_of_them)


def test_answers_are_what_the_hub_says(hub: DataHub, server: Any) -> None:
    at(hub, LAST_NS + SECOND)

    async def compare(client: Client) -> None:
        tick = hub.get_latest_tick("EUR_USD")
        assert tick is not None
        seen = await told(client, "snapshot", symbol="eur/usd", candles=1)
        assert (seen["quote"]["bid"], seen["quote"]["ask"]) == (tick.bid, tick.ask)
        assert seen["quote"]["spread_pips"] == pytest.approx(tick.spread)
        assert len(seen["candles"]) == 1
        assert seen["order_flow"]["order_flow_imbalance"] == 12.5
        assert seen["order_flow"]["age_s"] == pytest.approx(3.0, abs=0.01)
        final = hub.get_latest_candles("EUR_USD", 7)
        bars = await told(client, "candles", symbol="EUR_USD", limit=7)
        assert [bar["close"] for bar in bars["candles"]] == pytest.approx([one.close for one in final])
        assert bars["more"] is True
        hours = await told(client, "history", symbol="EUR_USD", timeframe="1h", end="2026-06-05T20:00:00Z")
        assert [bar["time"][11:16] for bar in hours["candles"]] == ["18:00", "19:00"]
        assert hours["more"] is False
        (gap,) = (await told(client, "gaps", symbol="EUR_USD"))["gaps"]
        assert (gap["cause"], gap["status"]) == ("mute", "open")
        assert (await told(client, "ledger"))["ticks"] == hub.ledger()["ticks"]
        symbols = [row["symbol"] for row in (await told(client, "instruments"))["instruments"]]
        assert symbols == ["EUR_USD", "USD_JPY"]
        why = await told(client, "why_no_data", symbols=["EURUSD"])
        assert why["sentence"] == sentence(hub, ["EUR_USD"]) == "All is well: EUR_USD ticked 1 s ago."
        assert (why["ok"], why["link"], why["chain"][0]["link"]) == (True, "", "hub")

    asked(server, compare)


def test_asked_on_a_saturday_everything_reads_closed(hub: DataHub, server: Any) -> None:
    at(hub, SATURDAY_NS)

    async def all_of_them(client: Client) -> None:
        for name, arguments in TOOLS.items():
            standing = (await told(client, name, **arguments))["standing"]
            assert (standing["state"], standing["market"], standing["current"]) == ("CLOSED", "CLOSED", False), name
            assert standing["age_s"] > 15 * 3600
            assert standing["note"].startswith("CLOSED: the market is closed, so this is the last price before it")
        one = (await told(client, "snapshot", symbol="EUR_USD"))["standing"]
        assert "15.0 h old; the market opens 2026-06-07T21:00:00Z" in one["note"]
        assert {row["state"] for row in (await told(client, "states"))["states"]} == {"CLOSED"}
        rows = (await told(client, "positions"))["positions"]
        assert rows
        assert {(row["quote_state"], row["quote_age_s"] > 15 * 3600) for row in rows} == {("CLOSED", True)}

    asked(server, all_of_them)


def test_a_mute_market_reads_stale_and_not_current(hub: DataHub, server: Any) -> None:
    at(hub, LAST_NS + 50 * SECOND)
    standing = asked(server, lambda client: told(client, "snapshot", symbol="EUR_USD"))["standing"]
    assert (standing["state"], standing["market"], standing["current"]) == ("STALE", "OPEN", False)


def test_every_resource_reads_as_the_tool_does(hub: DataHub, server: Any) -> None:
    at(hub, SATURDAY_NS)

    async def all_of_them(client: Client) -> None:
        assert {str(one.uri) for one in (await client.list_resources()).resources} == RESOURCES
        templates = (await client.list_resource_templates()).resource_templates
        assert {one.uri_template for one in templates} == TEMPLATES
        filled = {one.format(symbol="EURUSD", timeframe="5m") for one in TEMPLATES}
        for uri in sorted(RESOURCES | filled):
            (content,) = (await client.read_resource(uri)).contents
            assert content.mime_type == "application/json"
            found = json.loads(content.text)  # type: ignore[union-attr]
            assert found["standing"]["state"] == "CLOSED", uri
            assert found.get("timeframe", "5m") == "5m" or "snapshot" in uri
        with pytest.raises(MCPError, match="symbol 'NOPE' is not in this hub"):
            await client.read_resource("tapehub://snapshot/NOPE")

    asked(server, all_of_them)


def test_an_unknown_symbol_is_told_which_there_are(hub: DataHub, server: Any) -> None:
    async def wrong(client: Client) -> None:
        for name in ("snapshot", "candles", "history", "order_flow", "gaps", "states", "positions", "signals"):
            text = await refusal(client, name, symbol="EURUDS")
            assert "symbol 'EURUDS' is not in this hub: did you mean EUR_USD? It has EUR_USD, USD_JPY" in text
        assert "is not in this hub" in await refusal(client, "why_no_data", symbols=["GBP_USD"])
        assert "timeframe '7m' is not one of 1s, 5s" in await refusal(
            client, "candles", symbol="EUR_USD", timeframe="7m"
        )
        assert "expected ISO 8601" in await refusal(client, "history", symbol="EUR_USD", start="last week")
        text = await refusal(client, "history", symbol="EUR_USD", start="2026-06-05", end="2026-06-01")
        assert "expected a start before the end" in text

    asked(server, wrong)


def test_bounds_are_in_the_schemas_and_hold(hub: DataHub, server: Any) -> None:
    async def beyond(client: Client) -> None:
        listed = {tool.name: tool.input_schema["properties"] for tool in (await client.list_tools()).tools}
        most = {"candles": BARS_MAX, "history": HISTORY_MAX, "signals": SAID_MAX, "opinions": SAID_MAX}
        for name, limit in most.items():
            assert listed[name]["limit"]["maximum"] == limit
            text = await refusal(client, name, limit=limit + 1, **TOOLS[name])
            assert f"less than or equal to {limit}" in text
            await refusal(client, name, limit=0, **TOOLS[name])
        full = await told(client, "history", symbol="EUR_USD", timeframe="1s", limit=HISTORY_MAX)
        assert (len(full["candles"]), full["more"]) == (HISTORY_MAX, True)
        full = await told(client, "candles", symbol="EUR_USD", timeframe="1s", limit=BARS_MAX)
        assert (len(full["candles"]), full["more"]) == (BARS_MAX, True)
        few = await told(client, "signals", limit=1)
        assert (len(few["said"]), few["more"]) == (1, True)
        await refusal(client, "snapshot", symbol="EUR_USD", candles=51)
        await refusal(client, "snapshot", symbol="E" * 65)
        await refusal(client, "why_no_data", symbols=["EUR_USD"] * 21)

    asked(server, beyond)


def test_long_reads_beyond_their_number_are_refused() -> None:
    long = LongReads(at_once=1, wait_s=0.01)
    with long.one(), pytest.raises(Busy, match="1 long reads are under way"), long.one():
        pass
    with long.one():
        pass


def test_what_agents_did_is_read_from_the_log(hub: DataHub, server: Any) -> None:
    at(hub, LAST_NS + SECOND)

    async def read(client: Client) -> None:
        (account,) = (await told(client, "account"))["accounts"]
        assert (account["account"], account["running"]) == ("threeup", False)
        assert (await told(client, "account", agent="nobody"))["accounts"] == []
        position, *others = (await told(client, "positions", agent="threeup"))["positions"]
        assert account["open_positions"] == 1 + len(others)
        tick = hub.get_latest_tick(position["symbol"])
        assert tick is not None
        pip = 0.0001 if position["symbol"] == "EUR_USD" else 0.01
        won = tick.bid - position["price"] if position["side"] == "buy" else position["price"] - tick.ask
        assert position["pips"] == pytest.approx(won / pip, abs=0.01)
        said = (await told(client, "signals", symbol=position["symbol"]))["said"]
        assert [row["time"] for row in said] == sorted((row["time"] for row in said), reverse=True)
        assert {(row["kind"], row["agent"], row["expired"]) for row in said} == {("signal", "threeup", True)}
        assert (await told(client, "positions"))["halted"] is None
        halts.halt(hub, "lunch")
        assert (await told(client, "account"))["halted"] == "lunch"
        halts.resume(hub)

    asked(server, read)


def test_an_opinion_becomes_a_record_under_the_name_the_server_gives(hub: DataHub, server: Any) -> None:
    at(hub, LAST_NS + SECOND)
    cause = hub.snapshot("USD_JPY", "1m", 0).seq

    async def publish(client: Client) -> dict[str, Any]:
        first = await told(
            client, "submit_opinion", symbol="USDJPY", side="sell", confidence=0.4, reason="it fell", ttl_s=300
        )
        await told(client, "submit_opinion", symbol="USD_JPY", side="flat", confidence=1, reason="no more")
        newest_first = (await told(client, "opinions", symbol="USD_JPY", agent="mcp-test"))["said"]
        assert [row["reason"] for row in newest_first[:2]] == ["no more", "it fell"]
        for bad in ({"side": "long"}, {"confidence": 1.5}, {"reason": ""}, {"ttl_s": 0}, {"symbol": "GBP_USD"}):
            given = {"symbol": "USD_JPY", "side": "buy", "confidence": 0.5, "reason": "why"} | bad
            await refusal(client, "submit_opinion", **given)
        return first

    before = hub.head
    first = asked(server, publish)
    found = {one.seq: one for one in newest(hub, [Kind.OPINION], before)}
    assert len(found) == 2  # of what was refused, nothing is in the log
    record = found[first["sequence"]]
    made: Any = record.message
    assert (made.agent, made.symbol, made.side, made.confidence) == ("mcp-test", "USD_JPY", "sell", 0.4)
    assert (made.reason, made.ttl_s, made.id) == ("it fell", 300.0, first["opinion"]["id"])
    assert (record.cause, record.ordinal) == (cause, 0)
    assert record.ts_event == hub.now()
    assert record.run == 0  # of none: it is from outside


def test_opinions_faster_than_thirty_a_minute_are_refused(hub: DataHub) -> None:
    eager = create_server(known(lambda: hub, lambda ctx: "mcp-eager"))

    async def many(client: Client) -> list[bool]:
        return [bool((await client.call_tool("submit_opinion", TOOLS["submit_opinion"])).is_error) for _ in range(33)]

    refused = asked(eager, many)
    assert refused[:30] == [False] * 30
    assert any(refused[30:])


def test_without_an_author_no_opinion_can_be_submitted(hub: DataHub) -> None:
    quiet = create_server(known(lambda: hub, None))

    async def look(client: Client) -> None:
        assert "submit_opinion" not in {tool.name for tool in (await client.list_tools()).tools}
        answer = await client.call_tool("submit_opinion", TOOLS["submit_opinion"])
        assert answer.is_error

    before = hub.head
    asked(quiet, look)
    assert hub.head == before


def test_an_empty_hub_says_so(hub_dir: Path) -> None:
    with DataHub.open(hub_dir, create=True) as hub:
        empty = create_server(known(lambda: hub, None))

        async def look(client: Client) -> None:
            standing = (await told(client, "instruments"))["standing"]
            assert (standing["state"], standing["market"], standing["current"]) == ("EMPTY", "UNKNOWN", False)
            assert (standing["age_s"], standing["completeness"], standing["clock"]) == (None, None, "wall")
            assert "the hub has no instrument at all yet" in await refusal(client, "snapshot", symbol="EUR_USD")

        asked(empty, look)
