"""The simulator on its port: started, stopped, told to fail, looked at."""

import asyncio
import json
import threading
import time
from typing import Any

import aiohttp
import pytest

from tapehub import DataHub
from tapehub.errors import ConfigError
from tapehub.feeds.sim import Fault, FaultKind, ManualClock, Settings, Simulator, SimulatorThread, VirtualClock
from tapehub.model.policies import ClockMode
from tests.models.venue import KEY, MONDAY, rising, source

LOGIN = {"identifier": "demo", "password": "demo"}


def simulator(**options: Any) -> Simulator:
    options.setdefault("clock", ManualClock(MONDAY))
    return Simulator(options.pop("settings", None), source=source(rising(600)), **options)


def test_it_serves_rest_and_streams_on_one_port() -> None:
    async def main() -> None:
        async with simulator() as sim, aiohttp.ClientSession() as session:
            assert sim.rest_url == f"{sim.stream_url}/gateway/deal"
            async with session.post(f"{sim.rest_url}/session", json=LOGIN, headers={**KEY, "VERSION": "2"}) as reply:
                assert reply.status == 200
                assert (await reply.json())["lightstreamerEndpoint"] == sim.stream_url
                password = f"CST-{reply.headers['CST']}|XST-{reply.headers['X-SECURITY-TOKEN']}"
            protocols = ("TLCP-2.5.0.lightstreamer.com",)
            async with session.ws_connect(f"{sim.stream_url}/lightstreamer", protocols=protocols) as socket:
                assert socket.protocol == protocols[0]
                await socket.send_str(f"create_session\r\nLS_user=SIM01&LS_password={password}")
                assert (await socket.receive_str()).startswith("CONOK,")
            data = f"LS_user=SIM01&LS_password={password}&LS_polling=true&LS_idle_millis=0"
            url = f"{sim.stream_url}/lightstreamer/create_session.txt?LS_protocol=TLCP-2.4.0"
            async with session.post(url, data=data) as reply:
                lines = (await reply.text()).split("\r\n")
            assert lines[0].startswith("CONOK,")
            assert lines[-2:] == ["LOOP,0", ""]
            assert sim.log.logins == 1

    asyncio.run(main())


def test_faults_are_injected_over_http_and_the_state_is_shown() -> None:
    async def main() -> None:
        async with simulator() as sim, aiohttp.ClientSession() as session:
            url = f"{sim.stream_url}/sim"
            async with session.post(f"{url}/fault", json={"kind": "mute", "item": "CHART:*", "for": "1m"}) as reply:
                assert reply.status == 200
            async with session.get(f"{url}/state") as reply:
                state = await reply.json()
            assert state["faults"] == [{"kind": "mute", "item": "CHART:*"}]
            assert state["counts"]["fault"] == 1
            wrong = ({"kind": "mute", "item": "EURUSD"}, "EUR_USD, "), ({"kind": "zero", "item": "XXX"}, "'XXX'")
            for body, said in (({"kind": "dance"}, "dance"), ([], "list"), *wrong):
                async with session.post(f"{url}/fault", json=body) as reply:
                    assert reply.status == 400
                    assert said in (await reply.json())["error"]
            # What a form of another site could send is not taken.
            async with session.post(f"{url}/fault", data=json.dumps({"kind": "cut"})) as reply:
                assert reply.status == 415

    asyncio.run(main())


def test_in_an_outage_nothing_gets_through() -> None:
    async def main() -> None:
        clock = ManualClock(MONDAY)
        async with simulator(clock=clock) as sim, aiohttp.ClientSession() as session:
            sim.inject("outage", for_="10s")
            for url in (f"{sim.rest_url}/session", f"{sim.stream_url}/lightstreamer/create_session.txt"):
                with pytest.raises(aiohttp.ClientConnectionError):
                    await session.post(url)
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.ws_connect(f"{sim.stream_url}/lightstreamer")
            clock.advance(10)
            async with session.post(f"{sim.rest_url}/session") as reply:
                assert reply.status == 400

    asyncio.run(main())


def test_a_port_that_is_taken_is_named() -> None:
    with (
        SimulatorThread(source=source(), clock=ManualClock(MONDAY)) as first,
        pytest.raises(ConfigError, match=str(first.port)),
        SimulatorThread(source=source(), clock=ManualClock(MONDAY), port=first.port),
    ):
        pass


def test_a_thread_of_its_own_ends_with_its_context_though_clients_hang_on() -> None:
    import http.client

    before = threading.active_count()
    with SimulatorThread(source=source(), clock=ManualClock(MONDAY)) as sim:
        sim.inject(Fault(FaultKind.MUTE))
        assert sim.log.counts["fault"] == 1
        connection = http.client.HTTPConnection("127.0.0.1", sim.port)
        connection.request("POST", "/gateway/deal/session", headers=KEY)
        assert connection.getresponse().status == 401
    connection.close()
    assert threading.active_count() == before


def test_what_stops_the_simulation_is_raised() -> None:
    def broken() -> int:
        if threading.current_thread().name == "tapehub simulator" and readings.pop():
            raise ZeroDivisionError
        return MONDAY

    readings = [True, False, False, False]

    def watch() -> None:
        with SimulatorThread(source=source(), clock=broken) as sim:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                sim.check()
                time.sleep(0.01)

    with pytest.raises(ZeroDivisionError):
        watch()


def test_a_virtual_clock_runs_at_its_rate_from_its_anchor() -> None:
    steady = ManualClock(5)
    clock = VirtualClock(MONDAY, 600, steady)
    steady.advance(2)
    assert clock() == MONDAY + 1200 * 10**9
    with pytest.raises(ConfigError, match="rate"):
        VirtualClock(0, 0)


def test_it_follows_the_clock_of_a_hub(hub: DataHub) -> None:
    hub.set_clock(ClockMode.VIRTUAL, anchor_ns=MONDAY, rate=1000)
    with SimulatorThread(source=source(rising(600)), clock=hub.now) as sim:
        end = time.monotonic() + 20
        bid = 0.0
        while bid < 1.103:  # the quote of the thirtieth second
            assert time.monotonic() < end, f"no quote above {bid}"
            last = sim.call(lambda one: one.venue.market.last("EUR_USD"))
            bid = last.bid if last is not None else 0.0


@pytest.mark.parametrize("fields", [{"keepalive_ms": 0}, {"accounts": ()}, {"token_life_s": -1}])
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Settings(**fields)
