"""Programs written for BaseManager, run by a Python without tapehub, use the one hub as they are."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tapehub import DataHub, Tick
from tapehub.gateway.manager import ManagerEndpoint
from tests.e2e.test_up import running
from tests.models.endpoint import KEY, serving
from tests.models.waiting import free_port
from tests.servers.stock.process import StockClient

NOON = datetime(2026, 6, 2, 12, tzinfo=UTC)
WHEN = "datetime(2026, 6, 2, 12, 0, 30, tzinfo=timezone.utc)"


def pythons() -> list[str]:
    """List one interpreter of each version on this machine whose client speaks in its own way."""
    found = [sys.executable]
    for version in ("3.12", "3.13"):
        places = [
            shutil.which(f"python{version}"),
            *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
        ]
        works = (path for path in places if path and not sys.version.startswith(version) and runs(path))
        found += list(works)[:1]
    return found


def runs(python: str) -> bool:
    """Tell whether an interpreter is one, and not a stand-in for one that is not installed."""
    return not subprocess.run([python, "-S", "-I", "-c", ""], capture_output=True, check=False).returncode


@pytest.fixture
def endpoint(hub: DataHub) -> Iterator[ManagerEndpoint]:
    hub.set_clock("virtual", anchor_ns=int((NOON + timedelta(hours=6)).timestamp() * 1e9))
    with serving(hub) as endpoint:
        yield endpoint


def test_one_client_pushes_and_two_others_see_it(endpoint: ManagerEndpoint) -> None:
    at = endpoint.address
    with StockClient(at, KEY) as first, StockClient(at, KEY) as second, StockClient(at, KEY, "explicit") as third:
        for client in (first, second, third):
            client.connect()
        first.does("hub.update_candle_1m(candles('EUR_USD', 1)[0])")
        for client in (second, third):
            assert client.does("hub.get_status()['stats']['candles_received']") == "1"
            assert client.does("hub.get_latest_candles('EUR_USD') == candles('EUR_USD', 1)") == "True"
            assert client.does("type(hub.get_latest_candles('EUR_USD')[0]) is Candle") == "True"


@pytest.mark.parametrize("python", pythons())
def test_all_twelve_methods_answer_with_the_clients_own_classes(endpoint: ManagerEndpoint, python: str) -> None:
    with StockClient(endpoint.address, KEY, python=python) as client:
        client.connect()
        client.does(f"tick = Tick('EUR_USD', 1.0, 1.5, 1.25, 5000.0, {WHEN})")
        assert int(client.does("hub.update_tick(tick)")) > 0
        assert client.does("hub.get_latest_tick('EUR_USD') == tick") == "True"
        assert client.does("hub.get_latest_tick('EUR/USD').timestamp.tzinfo is timezone.utc") == "True"
        assert client.does("hub.get_latest_tick('GBP_USD')") == "None"
        client.does(f"flow = OrderFlowMetrics('EUR_USD', '6E', {WHEN}, ofi_60s=1.5, updates_count=7, is_stale=True)")
        client.does("hub.update_order_flow(flow)")
        assert client.does("hub.get_latest_order_flow('EUR_USD') == flow") == "True"
        assert client.does("hub.warm_start_candles('USD_JPY', candles('USD_JPY', 3))") == "3"
        client.does("hub.update_candle_1m(candles('USD_JPY', 4)[3])")
        assert client.does("hub.get_latest_candles('USD_JPY', limit=2) == candles('USD_JPY', 4)[2:]") == "True"
        assert client.does("hub.check_staleness('USD_JPY', {'tick': 1, 'candle': 1e9})") == repr(
            {"tick": True, "candle": False}
        )
        assert client.does("sorted(hub.check_staleness('EUR_USD'))") == repr(["candle", "order_flow", "tick"])
        assert client.does("sorted(hub.get_status())[:3]") == repr(sorted(endpoint._service.hub.get_status())[:3])
        client.does("hub.clear_symbol('USD_JPY')")
        assert client.does("hub.get_latest_candles('USD_JPY')") == "[]"
        client.does("hub.clear_all()")
        assert client.does("hub.get_latest_tick('EUR_USD')") == "None"
        answer = client.says("hub.warm_start_all(['EUR_USD'], fetch, 5)")
        assert answer.startswith("! TypeError: warm_start_all cannot run your function in the hub")
        assert "hub.warm_start_candles(symbol, fetch(symbol, limit))" in answer
        assert "__main__.fetch" in answer


def test_every_proxy_of_every_client_is_the_same_hub(hub: DataHub, endpoint: ManagerEndpoint) -> None:
    with StockClient(endpoint.address, KEY) as client:
        client.connect()
        assert client.does("manager.DataHub()._id == manager.DataHub()._id == hub._id") == "True"
        assert client.does("str(hub)") == repr(repr(hub))
        assert client.does("manager._number_of_objects()") == "1"
        assert "DataHub" in client.does("manager._debug_info()")
        assert client.does("sorted(hub._exposed_)[:2]") == repr(["check_staleness", "clear_all"])
        client.does("import pickle, multiprocessing as mp; mp.current_process().authkey = manager._authkey")
        client.does("again = pickle.loads(pickle.dumps(hub))")
        assert client.does("again.get_latest_tick('EUR_USD')") == "None"
        hub.update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=NOON))
        assert client.does("[again.get_latest_tick('EUR_USD').bid, hub.get_latest_tick('EUR_USD').ask]") == "[1.1, 1.2]"


def test_large_requests_and_replies_pass(hub: DataHub, endpoint: ManagerEndpoint) -> None:
    with StockClient(endpoint.address, KEY) as client:
        client.connect()
        assert client.does("hub.warm_start_candles('EUR_USD', candles('EUR_USD', 350))") == "350"
        assert len(hub.get_latest_candles("EUR_USD", 1000)) == 350
        assert client.does("hub.get_latest_candles('EUR_USD', 1000) == candles('EUR_USD', 350)") == "True"


def test_errors_come_as_ones_that_every_python_has(endpoint: ManagerEndpoint) -> None:
    with StockClient(endpoint.address, KEY) as client:
        client.connect()
        says = client.says
        assert says("hub.update_tick(Tick('EUR_USD', -1.0, 1.0))").startswith("! ValueError:")
        assert "EUR_USD" in says("hub.update_tick(Tick('EUR_USD', float('nan'), 1.0))")
        assert says("hub.get_latest_tick(7)") == ("! TypeError: a symbol is a text of at most 64 characters, got a int")
        assert says("hub.get_latest_tick()").startswith("! TypeError: get_latest_tick lacks symbol")
        assert says("hub.require_fresh('EUR_USD', 1.0)").startswith("! RuntimeError: StaleDataError:")
        assert "'Unknown' is not what the hub is registered as" in says("manager.Unknown()")
        assert "takes no arguments" in says("manager.DataHub(1)")
        assert "has no method '__class__'" in says("hub._callmethod('__class__')")
        assert "has no method 'close'" in says("hub._callmethod('close')")
        assert "cannot be copied" in says("hub._getvalue()")
        client.does("from multiprocessing.managers import dispatch")
        client.does("conn = manager._Client(manager.address, authkey=manager._authkey)")
        assert "not the client's to end" in says("dispatch(conn, None, 'shutdown')")
        assert client.does("hub.get_latest_tick('EUR_USD')") == "None"


def test_another_key_is_refused_before_anything_is_read(endpoint: ManagerEndpoint) -> None:
    for python in pythons():
        with StockClient(endpoint.address, "some other key", python=python) as client:
            assert client.says("connect()").startswith("! AuthenticationError")
    assert endpoint.counts.wrong_keys == len(pythons())
    assert endpoint.counts.requests == 0


def test_a_client_goes_on_after_the_server_was_killed_and_started_again(hub_dir: Path) -> None:
    environment = os.environ | {"DATA_HUB_AUTHKEY": KEY, "DATA_HUB_PORT": str(free_port()), "PYTHONUNBUFFERED": "1"}
    address = ("127.0.0.1", int(environment["DATA_HUB_PORT"]))

    def start() -> "subprocess.Popen[str]":
        server = subprocess.Popen(
            [sys.executable, "-m", "tapehub.app.cli", "serve", "--hub", str(hub_dir)],
            env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        assert any(re.search(rf"BaseManager programs at 127.0.0.1:{address[1]}", line) for line in server.stdout)
        return server

    server = start()
    try:
        with StockClient(address, KEY) as client:
            client.connect()
            client.does("hub.update_candle_1m(candles('EUR_USD', 1)[0])")
            server.kill()
            server.wait()
            assert client.says("hub.get_latest_tick('EUR_USD')").startswith("! ")
            assert client.says("connect()").startswith("! ConnectionRefusedError")
            server.stdout.close()  # type: ignore[union-attr]
            server = start()
            # As such programs do: they let go of the proxy, and connect again.
            client.does("del hub")
            client.connect()
            assert client.does("hub.get_latest_candles('EUR_USD') == candles('EUR_USD', 1)") == "True"
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("why", ["remote", "taken"])
def test_serve_says_why_it_cannot_open_the_endpoint(hub_dir: Path, why: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {"DATA_HUB_AUTHKEY": KEY, "DATA_HUB_PORT": str(taken.getsockname()[1])}
        if why == "remote":
            environment["DATA_HUB_HOST"] = "0.0.0.0"
        done = subprocess.run(
            [sys.executable, "-m", "tapehub.app.cli", "serve", "--hub", str(hub_dir)],
            env=os.environ | environment, capture_output=True, text=True, timeout=50,
        )  # fmt: skip
    assert done.returncode == 2
    told = {"remote": "allow_remote = true", "taken": "Address already in use"}[why]
    assert told in " ".join(done.stderr.split())
    assert KEY not in done.stderr


def test_up_lets_such_programs_in_by_a_process_of_its_own(hub_dir: Path) -> None:
    port = free_port()
    environment = {"DATA_HUB_AUTHKEY": KEY, "DATA_HUB_PORT": str(port), "TAPEHUB_GATEWAY__ENABLED": "false"}
    with running("up", "--feed", "none", "--hub", str(hub_dir), **environment) as run:
        run.says(rf"manager +running, process \d+: BaseManager programs at 127.0.0.1:{port}")
        with StockClient(("127.0.0.1", port), KEY) as client:
            client.connect()
            assert client.does("hub.get_status()['path']") == repr(str(hub_dir))
        assert KEY.encode() not in Path(f"/proc/{run.pid_of('manager')}/cmdline").read_bytes()
        assert run.end() == 0
    log = (hub_dir / "logs" / "manager.jsonl").read_text()
    assert KEY not in log
    assert KEY not in run.said
