"""`tapehub.compat`: the same names, the same calls; one hub for everyone."""

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import pytest

import tapehub
from tapehub import Candle, DataHub, InvalidRecord, OrderFlowMetrics, Tick, compat
from tapehub.compat import (
    DataHubManager,
    DataHubProxy,
    connect_to_data_hub,
    get_data_hub_from_env,
    start_data_hub_manager,
)
from tapehub.errors import ConfigError, HubNotRunning
from tapehub.gateway.access import Tokens
from tapehub.gateway.manager import client
from tapehub.hub import connection, hub_path
from tests.models.endpoint import KEY, serving
from tests.servers.stock.process import StockClient

HERE = ("127.0.0.1", 0)
NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = NOW.replace(second=0) - timedelta(minutes=5)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DATA_HUB_AUTHKEY", "DATA_HUB_HOST", "DATA_HUB_PORT"):
        monkeypatch.delenv(name, raising=False)
    yield
    for opened in connection._connected.values():
        opened.close()
    connection._connected.clear()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Act as if the hub were on another machine: calls go over the connection."""
    monkeypatch.setattr(compat, "_same_machine", lambda client: None)


def test_the_first_starts_the_hub_and_the_others_attach() -> None:
    with start_data_hub_manager(HERE, KEY) as manager:
        assert manager.is_owner
        assert manager.address[1] != 0
        with start_data_hub_manager(manager.address, KEY) as other:
            assert not other.is_owner
            other.DataHub().update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=NOW))
        found = connect_to_data_hub(manager.address, KEY)
        assert found.is_local
        assert found.get_latest_tick("EUR_USD") == Tick("EUR_USD", 1.1, 1.2, timestamp=NOW)
        with StockClient(manager.address, KEY) as stock:
            stock.connect()
            assert stock.does("hub.get_latest_tick('EUR_USD').ask") == "1.2"
            assert stock.does("hub.get_status()['path']") == repr(str(hub_path()))
        address = manager.address
    assert not manager.is_owner
    with pytest.raises(HubNotRunning, match="no hub at 127"):
        connect_to_data_hub(address, KEY)
    with DataHub.open(hub_path()) as kept:
        assert kept.server() is None
        assert kept.get_latest_tick("EUR_USD") is not None


@pytest.mark.usefixtures("far")
def test_over_the_connection_names_properties_and_what_is_not_there_are_as_in_the_hub(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "far", create=True) as hub, serving(hub) as endpoint:
        hub.set_clock("event")  # on which the tick is fresh, whatever day this is and however long the suite has run
        hub.update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=NOW))
        found = connect_to_data_hub(endpoint.address, KEY)
        assert not found.is_local
        assert found.require_fresh("EUR_USD", max_age_s=1e9) == found.require_fresh(symbol="EUR_USD", max_age_s=1e9)
        assert found.state(symbol="EUR_USD") == hub.state("EUR_USD")
        with pytest.raises(TypeError, match="got 'age', expected each of symbol, max_age_s once"):
            found.require_fresh("EUR_USD", age=1)
        assert (found.hub_id, found.epoch, found.head) == (hub.hub_id, hub.epoch, hub.head)
        assert (found.path, found.sources) == (str(hub.path), hub.sources)
        assert found.instruments.keys() == hub.instruments.keys()
        assert found.warm_start_errors == {}
        with pytest.raises(AttributeError, match="has no method 'snapshot' over this connection"):
            found.snapshot("EUR_USD")
        assert not hasattr(found, "ticks")
        assert hasattr(found, "gaps")


@pytest.mark.usefixtures("far")
def test_over_the_connection_every_method_does_the_same(hub: DataHub) -> None:
    with serving(hub) as endpoint, DataHubManager(endpoint.address, KEY) as manager:
        proxy = manager.DataHub()
        assert not proxy.is_local
        tick = Tick("EUR_USD", 1.1, 1.2, timestamp=NOW, bid_size=5.0, source="mine")
        candle = Candle("EUR_USD", MINUTE, 1.1, 1.3, 1.0, 1.2, 5.0, "mine", "real")
        flow = OrderFlowMetrics("EUR_USD", "6E", NOW, 30.0, 1.5)
        assert proxy.update_tick(tick) < proxy.update_candle_1m(candle) < proxy.update_order_flow(flow)
        assert proxy.get_latest_tick("EUR_USD").to_dict() == hub.get_latest_tick("EUR_USD").to_dict()  # type: ignore[union-attr]
        assert [one.to_dict() for one in proxy.get_latest_candles("EUR_USD", 5)] == [
            one.to_dict() for one in hub.get_latest_candles("EUR_USD", 5)
        ]
        assert proxy.get_latest_order_flow("EUR_USD") == flow
        assert proxy.get_latest_tick("USD_JPY") is None
        assert proxy.warm_start_candles("USD_JPY", (Candle("USD_JPY", MINUTE, 1, 1, 1, 1) for _ in range(2))) == 2

        def fetch(symbol: str, limit: int) -> list[Candle]:
            if symbol == "BAD":
                raise LookupError("no such table")
            return [Candle(symbol, MINUTE - timedelta(minutes=n), 1, 1, 1, 1) for n in range(limit)]

        assert proxy.warm_start_all(["AUD_USD", "BAD", "NZD_USD"], fetch, limit=400) == 800
        assert proxy.warm_start_errors == {"BAD": "LookupError: no such table"}
        assert len(proxy.get_latest_candles("AUD_USD", 1000)) == 400
        assert proxy.check_staleness("USD_JPY", {"candle": 1e6, "tick": 1.0}) == {"candle": False, "tick": True}
        assert proxy.get_status()["stats"]["candles_received"] == hub.get_status()["stats"]["candles_received"]
        assert proxy.state("EUR_USD") == hub.state("EUR_USD")
        assert proxy.clear_symbol("AUD_USD") < proxy.clear_all()
        assert proxy.get_latest_candles("NZD_USD") == []
        with pytest.raises(InvalidRecord):
            proxy.update_tick(Tick("EUR_USD", -1.0, 1.0))
        with pytest.raises(TypeError):
            proxy.get_latest_tick(7)  # type: ignore[arg-type]
        with pytest.raises(tapehub.StaleDataError):
            proxy.require_fresh("EUR_USD", 1.0)
        with pytest.raises(tapehub.HubError, match="no method 'note'"):
            proxy.note("x")


@pytest.mark.usefixtures("far")
def test_over_the_connection_a_proxy_survives_a_restart_of_the_hub(hub: DataHub) -> None:
    hub.update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=NOW))
    with serving(hub) as endpoint:
        address = endpoint.address
        proxy = connect_to_data_hub(address, KEY)
        assert proxy.get_latest_tick("EUR_USD") is not None
    with pytest.raises(HubNotRunning):
        proxy.get_latest_tick("EUR_USD")
    with serving(hub, port=address[1]):
        assert proxy.get_latest_tick("EUR_USD") is not None
        proxy.shutdown()
        assert proxy.get_latest_tick("EUR_USD") is not None
        proxy.shutdown()


def test_the_key_is_given_or_in_the_environment_or_this_users_token(
    hub: DataHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no key for the data hub: pass authkey=, or set DATA_HUB_AUTHKEY"):
        start_data_hub_manager(HERE)
    hub_path().mkdir(parents=True)
    tokens = Tokens.open(hub_path())
    tokens.owner_file.chmod(0o644)
    with pytest.raises(ConfigError, match="owner"):
        start_data_hub_manager(HERE)
    tokens.owner_file.chmod(0o600)
    with serving(hub, key=tokens.owner.reveal()) as endpoint:
        connect_to_data_hub(endpoint.address)
        monkeypatch.setenv("DATA_HUB_AUTHKEY", "another key")
        with pytest.raises(ConfigError, match="does not let this key in"):
            connect_to_data_hub(endpoint.address)
        with pytest.raises(ConfigError, match="does not let this key in"):
            start_data_hub_manager(endpoint.address)


def test_the_environment_says_where_the_hub_is(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(hub) as endpoint:
        monkeypatch.setenv("DATA_HUB_AUTHKEY", KEY)
        monkeypatch.setenv("DATA_HUB_HOST", endpoint.address[0])
        monkeypatch.setenv("DATA_HUB_PORT", str(endpoint.address[1]))
        found = get_data_hub_from_env()
        assert isinstance(found, DataHubProxy)
        assert found.address == endpoint.address
        assert found.DataHub() is found
        assert "DataHubProxy of <DataHub" in repr(found)


def test_a_server_that_is_not_let_go_of_ends_with_its_program() -> None:
    code = (
        "from tapehub.compat import *; import sys; "
        f"m = start_data_hub_manager(('127.0.0.1', 0), {KEY!r}); print(m.address[1], m._process_id(), flush=True); "
        "sys.stdin.read()"
    )
    for end in ("exit", "kill"):
        program = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        assert program.stdin is not None
        port, pid = map(int, program.stdout.readline().split())
        assert connect_to_data_hub(("127.0.0.1", port), KEY).is_local
        if end == "kill":
            program.kill()
        program.stdin.close()
        program.wait(20)
        program.stdout.close()
        for _ in range(200):
            if not Path(f"/proc/{pid}").exists():
                break
            multiprocessing.Event().wait(0.05)
        else:
            pytest.fail(f"server {pid} outlived the program's {end}")


class Old(BaseManager):
    """A manager of somebody else."""


Old.register("DataHub", dict)


def test_something_else_at_the_address_is_told_apart() -> None:
    with Old(address=HERE, authkey=KEY.encode(), ctx=multiprocessing.get_context("spawn")) as other:
        with pytest.raises(ConfigError, match="a manager that is no tapehub"):
            start_data_hub_manager(other.address, KEY)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="does not let this key in"):
            start_data_hub_manager(other.address, "another")  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: Any = listener.getsockname()[:2]
        listener.close()
        with pytest.raises(HubNotRunning, match="DATA_HUB_AUTHKEY=… tapehub up"):
            client.HubClient(address, b"k")


def test_calling_the_class_gives_this_machines_hub() -> None:
    hub = compat.DataHub()
    try:
        assert type(hub) is DataHub
        assert os.fspath(hub.path) == os.fspath(hub_path())
        with pytest.raises(TypeError):
            compat.DataHub("x")  # type: ignore[call-arg]
    finally:
        hub.close()
