"""The gateway as a process: alone, beside a collector, and with clients when it is told to end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tapehub import DataHub
from tapehub.app.workers import Worker
from tapehub.gateway.access.tokens import Tokens
from tests.models.gateway import Client
from tests.models.market import EUR, tick

TAPEHUB = [sys.executable, "-m", "tapehub.app.cli"]


def test_ctrl_c_ends_it_in_three_seconds_with_clients_connected(hub: DataHub) -> None:
    hub.update_tick(tick(1))
    started = subprocess.Popen(
        [*TAPEHUB, "gateway", "--port", "0", "--hub", str(hub.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, env={**os.environ, "TAPEHUB_CONFIG": os.devnull},
    )  # fmt: skip
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        url = re.findall(r"http://127\.0\.0\.1:\d+", line)[0]
        token = Tokens.open(hub.path).owner.reveal()
        assert token not in line + started.stdout.readline(), "in a pipe, others may read it"
        clients = [Client(url, token) for _ in range(5)]
        deaf = Client(url, token, room_bytes=4096)
        deaf.subscribe(kinds=["all"], policy="lossless", start="oldest")
        clients[0].subscribe(kinds=["tick"])
        began = time.monotonic()
        started.send_signal(signal.SIGINT)
        assert [client.closed()[0] for client in clients] == [1001] * 5
        assert started.wait(10) == 0
        assert time.monotonic() - began < 3.0
        for client in (*clients, deaf):
            client.close()
        assert "Traceback" not in (started.stderr.read() if started.stderr else "")
    finally:
        started.kill()
        started.communicate()


def test_a_port_that_is_taken_is_named_with_the_way_out(hub: DataHub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = subprocess.run(
            [*TAPEHUB, "gateway", "--port", str(port), "--hub", str(hub.path)], capture_output=True, text=True,
            timeout=50, check=False,
        )  # fmt: skip
    assert found.returncode == 2
    assert f"127.0.0.1:{port}" in found.stderr
    assert "another port in [gateway]" in " ".join(found.stderr.split())


def test_beyond_this_machine_only_with_tls(hub: DataHub) -> None:
    found = subprocess.run(
        [*TAPEHUB, "gateway", "--host", "0.0.0.0", "--port", "0", "--hub", str(hub.path)], capture_output=True,
        text=True, timeout=50, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert "without TLS" in " ".join(found.stderr.split())


@pytest.mark.usefixtures("hub")
def test_the_role_serves_what_others_publish_and_asks_the_doctor(hub_dir: Path, hub: DataHub) -> None:
    hub.update_tick(tick(1, 1.25))
    with Worker("gateway", path=str(hub_dir)) as gateway:
        assert gateway.ready["port"] > 0
        headers = {"Authorization": f"Bearer {Tokens.open(hub_dir).owner.reveal()}"}
        with httpx.Client(base_url=gateway.ready["url"], headers=headers) as http:
            assert http.get("/api/v1/ticks/EUR_USD/latest").json()["bid"] == 1.25
            why = http.get("/api/v1/why", params={"symbol": EUR}).json()
            assert why["sentence"].endswith(".")
            assert {row["link"] for row in why["chain"]} >= {"hub", "collector", "ticks", "candles"}
