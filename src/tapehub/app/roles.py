"""What helper processes do: `tapehub_entry` runs this module, started by `workers.Worker` alone.

Each imports what it needs by itself: a server is up in a third of the time that a collector takes.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tapehub.app.workers import Conversation
from tapehub.collector.publisher import trace
from tapehub.errors import ConfigError, HubError, TapehubError
from tapehub.hub import DataHub, connect
from tapehub.hub.server import HubServer
from tapehub.model.policies import ClockMode

__all__ = ["ROLES", "main"]

_ON_THE_WAY_S = 1.0
"""The last quote has left the simulator, and may not have arrived."""


def serve(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Run a hub server until told to stop.

    `clock` is a mode, or null to leave it; `at_ns` and `rate` are a virtual clock's.
    """
    from tapehub.app.config import read_config

    log = _log(arguments, "server")
    with HubServer(arguments["path"], name="server", **read_config().hub.model_dump()) as server:
        if arguments.get("clock"):
            mode = ClockMode.parse(arguments["clock"])
            server.set_clock(mode, anchor_ns=arguments.get("at_ns"), rate=arguments.get("rate", 1.0))
        talk.reply(ready=True, told=f"epoch {server.hub.epoch}, {server.hub.path}")
        log.info("serving", epoch=server.hub.epoch, head=server.hub.head)
        server.run(talk.stop)
        log.info("stopped", head=server.hub.head, last_error=server.last_error)
        if talk.command():
            talk.reply(stopped=True, last_error=server.last_error)
            talk.command()  # the hub is left when whoever started us has read it


def collect(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Collect a feed, and account for it when asked after the stop."""
    from tapehub.app.collecting import collect_until
    from tapehub.app.config import read_config
    from tapehub.app.feeds import Wanted, made_up_by, make
    from tapehub.app.hubs import log_calendars

    _log(arguments)
    config = read_config()
    wanted = Wanted.read(arguments["wanted"])
    with DataHub.open(arguments["path"], name="collector", instruments=config.book()) as hub:
        log_calendars(hub, config)
        feed = make(wanted, hub, config, random.Random())
        talk.reply(
            ready=True, told=f"{feed.name}: {', '.join(feed.symbols or wanted.paths)}", symbols=list(feed.symbols)
        )
        options = {"traced": bool(arguments.get("traced")), "made_up": made_up_by(wanted, config)}
        publisher = collect_until(talk.stop, hub, feed, **options).core.publisher
        if not talk.stop.is_set():
            talk.ended()
        if talk.command():
            counts = {
                symbol: {**asdict(count), "quarantined": dict(count.quarantined)}
                for symbol, count in publisher.counts.items()
            }
            talk.reply(counts=counts, traces=publisher.traces, head=hub.head)
            talk.command()


def simulate(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Be an IG on a port of this machine, on the hub's clock.

    `data` names recordings, which begin at `at_ns` of that clock, or now; `learn` lets the hub know their rhythm as if
    it had been collected before; `snapshot` is whether a new subscription begins with the last tick.
    """
    from tapehub.app.config import read_config
    from tapehub.app.feeds import SYMBOLS, Wanted
    from tapehub.app.market import market, rhythm_of
    from tapehub.collector.collector import save_rhythm
    from tapehub.feeds.sim import Settings, SimulatorThread

    _log(arguments)
    wanted = Wanted.read(arguments["wanted"])
    with DataHub.open(arguments["path"], name="simulator", instruments=read_config().book()) as hub:
        start_ns = arguments.get("at_ns") or hub.now()
        data = [Path(path) for path in arguments.get("data", ())]
        book = hub._names.book
        played = market(data, start_ns, wanted.symbols or SYMBOLS, wanted.seed, wanted.rate, book)
        source, remarks = played.source, list(played.remarks)
        if not played.moved and not any(hub.calendar(name).is_open(start_ns) for name in source.symbols):
            remarks.append(
                "these markets are closed now: each gives its last quote and no new one; up --at 2026-06-02T12:00 is a "
                "Tuesday"
            )
        thresholds = {}
        if arguments.get("learn"):
            rhythm = rhythm_of(source, start_ns)
            save_rhythm(hub, wanted.feed, rhythm)
            thresholds = {name: rhythm.threshold_ns(name, start_ns) / 1e9 for name in source.symbols}
        settings = Settings(always_open=played.moved, distinct_snapshot=arguments.get("snapshot", True))
        port = arguments.get("port", 0)
        with SimulatorThread(settings, source=source, clock=hub.now, seed=wanted.seed, port=port) as server:
            talk.reply(
                ready=True, told=f"IG's API at {server.rest_url}", url=server.rest_url, port=server.port,
                control=server.stream_url, symbols=list(source.symbols), remarks=remarks, stale_after_s=thresholds,
            )  # fmt: skip
            said = False
            while not talk.stop.wait(0.2):
                server.check()
                if not said and server.call(lambda sim: sim.venue.played_out):
                    said = True
                    if not talk.stop.wait(_ON_THE_WAY_S):
                        talk.ended()


def manage(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Let BaseManager programs in; the key comes from the environment or the configuration, never in the arguments."""
    from tapehub.app.config import read_config
    from tapehub.app.manager import endpoint_of, settings_of, told_of

    _log(arguments)
    config = read_config()
    with (
        DataHub.open(arguments["path"], name="manager", instruments=config.book()) as hub,
        endpoint_of(hub, settings_of(config)) as endpoint,
    ):
        if endpoint is None:
            raise ConfigError("no key for BaseManager programs: set DATA_HUB_AUTHKEY, or authkey in [manager]")
        talk.reply(ready=True, told=told_of(endpoint), port=endpoint.address[1])
        while not talk.stop.wait(1.0):
            with suppress(HubError):  # a call re-attaches where the hub's memory was lost: else nobody lists it
                _ = hub.head


def read(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Follow every tick and check order and number; told where the log ends, read up to there and report."""
    with connect(arguments["path"], name=arguments["name"]) as hub:
        stream = hub.stream(start="oldest", name=arguments["name"])
        talk.reply(ready=True)
        seen = _Seen()
        while not talk.stop.is_set():
            seen.note(stream.poll(4096, timeout_s=0.1))
        command = talk.command()
        if command is None:
            return
        deadline = time.monotonic() + command["within_s"]
        while stream.position < command["head"] and time.monotonic() < deadline:
            seen.note(stream.poll(4096, timeout_s=0.1))
        talk.reply(
            counts=seen.counts,
            traces=seen.traces,
            lost=stream.lost,
            out_of_order=seen.out_of_order,
            last_seq=seen.last_seq,
            reached_end=stream.position >= command["head"],
        )
        stream.close()
        talk.command()


def show(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Serve the hub over HTTP and WebSocket, as ``[gateway]`` says.

    `port` comes before the configured one, so that a page finds a gateway that was started again; `control` is the
    address of the simulator's, where there is one.
    """
    from tapehub.app.config import read_config
    from tapehub.app.gateway import mount_page, outside
    from tapehub.gateway.serving import Gateway

    log = _log(arguments, "gateway")
    config = read_config()
    settings = config.gateway
    if arguments.get("port") is not None:
        settings = settings.model_copy(update={"port": arguments["port"]})
    known = outside(arguments.get("control", ""))
    with (
        DataHub.open(arguments["path"], name="gateway", instruments=config.book()) as hub,
        Gateway(hub, settings, outside=known, page=mount_page()) as served,
    ):
        talk.reply(ready=True, told=served.url, url=served.url, port=served.port)
        log.info("serving", url=served.url)
        while not talk.stop.wait(0.2):
            if not served.alive:
                raise HubError(f"the gateway at {served.url} ended by itself; its log says why")


def alert(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Send alerts about a hub, as ``[alerts]`` says."""
    from tapehub.app.alerts import report_to, send_alerts
    from tapehub.app.config import read_config
    from tapehub.app.destinations import Destinations

    log = _log(arguments, "alerts")
    config = read_config().alerts
    destinations = Destinations([url.get_secret_value() for url in config.urls], report_to(log))
    try:
        with connect(arguments["path"], name="alerts") as hub:
            talk.reply(ready=True, told=f"to {', '.join(one.name for one in destinations.all)}")
            send_alerts(talk.stop, hub, config, destinations, log)
    finally:
        destinations.close()


class _Seen:
    """Keep what a reader saw."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.traces: dict[str, int] = {}
        self.out_of_order = 0
        self.last_seq = 0

    def note(self, batch: Any) -> None:
        rows = batch.numpy()
        if not len(rows):
            return
        sequences = rows["seq"].astype(np.int64)
        self.out_of_order += int(np.sum(np.diff(sequences, prepend=self.last_seq) <= 0))
        self.last_seq = int(sequences[-1])
        for instrument, symbol in batch.symbols.items():
            mine = rows[rows["instrument"] == instrument]
            self.counts[symbol] += len(mine)
            self.traces[symbol] = trace(mine, self.traces.get(symbol, 0))


def probe(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Attach by `connect`, as any program does, and say what is there when asked; publish when asked."""
    with connect(arguments["path"], name="doctor") as hub:
        talk.reply(ready=True)
        for command in talk.commands():
            if command["verb"] == "publish":
                rows = np.zeros(command["count"], dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
                rows["ts_event"] = hub.now() - len(rows) * 1_000_000 + np.arange(len(rows)) * 1_000_000
                rows["bid"] = 1.1 + np.arange(len(rows)) * 1e-5
                rows["ask"] = rows["bid"] + 1e-4
                talk.reply(published=hub.publish(rows, symbol=command["symbol"], source="doctor"))
            else:
                talk.reply(**_facts(hub, command.get("line")))


def _facts(hub: DataHub, line: int | None) -> dict[str, Any]:
    """Say which hub this is and how far it has come; the record at a line everyone can see is summed up."""
    records = int(hub._hub_state()["records"])
    found = None if line is None else hub._record(line)
    return {
        "hub_id": hub.hub_id,
        "epoch": hub.epoch,
        "records": records,
        "head": hub.head,
        "ticks": {symbol: len(hub.ticks(symbol, limit=1_000_000)) for symbol in hub.instruments}
        if records < 10_000
        else {},
        "record": None if found is None else zlib.crc32(repr(found).encode()),
    }


def agent(talk: Conversation, arguments: dict[str, Any]) -> None:
    """Run an agent until told to stop, or until its run is asked to end."""
    from tapehub.app.agent import Wanted, runner_of

    _log(arguments)
    wanted = Wanted.read(arguments["wanted"])
    with connect(arguments["path"], name=wanted.name) as hub, runner_of(hub, wanted) as runner:
        talk.reply(ready=True, told=f"run {runner.run.id}", run=runner.run.id)
        runner.serve(talk.stop, ends=False)  # the run goes on when the agent is started again
        if runner.engine.end_wanted:
            talk.ended()
            talk.command()


def _log(arguments: dict[str, Any], name: str = "roles") -> Any:
    """Log where the command said, and give a logger."""
    from tapehub.app.logs import get_logger, log_to_file

    log_to_file(arguments.get("log"))
    return get_logger(f"tapehub.{name}")


ROLES: Mapping[str, Callable[[Conversation, dict[str, Any]], None]] = {
    "server": serve,
    "collector": collect,
    "simulator": simulate,
    "gateway": show,
    "alerts": alert,
    "manager": manage,
    "reader": read,
    "probe": probe,
    "agent": agent,
}


def main() -> int:
    """Play the role named on the command line."""
    role, arguments = sys.argv[1], json.loads(sys.argv[2])
    talk = Conversation()
    try:
        ROLES[role](talk, arguments)
    except (TapehubError, OSError) as error:
        from tapehub.app.console import exit_of

        talk.reply(error=str(error), code=int(exit_of(error)))
        return 1
    except Exception:
        # Into its log as well: whoever looks for the reason tomorrow has no terminal to scroll.
        logging.getLogger("tapehub.roles").critical("crashed", exc_info=True)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
