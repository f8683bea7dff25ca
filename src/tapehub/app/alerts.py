"""Alerts: the component `alerts` of `tapehub up`, and `tapehub alerts test`."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from tapehub.app.alerting import Desk, Message, Rules
from tapehub.app.clocks import clock_of
from tapehub.app.config import read_config
from tapehub.app.console import Exit, note, out
from tapehub.app.control import running_components
from tapehub.app.hubs import HubOption, NameOption, place
from tapehub.app.sections import AlertsConfig
from tapehub.app.troubles import Watch
from tapehub.errors import ConfigError, HubError
from tapehub.hub.paths import replace_file

if TYPE_CHECKING:
    from tapehub.app.destinations import Destinations, Report
    from tapehub.hub import DataHub

__all__ = ["group", "send_alerts"]

_LOOK_EVERY_S = 1.0
_KEPT = "alerts.json"

group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Messages to your phone or mailbox when data are missing."
)


@group.callback()
def _group() -> None:
    """Keep `test` a command of its own."""


@group.command("test")
def send_test(hub: HubOption = None, name: NameOption = None) -> None:
    """Send one message to every destination of [alerts], and say what became of it.

    Ends with 1 when one did not take it.
    """
    urls = _urls(read_config(note).alerts)
    from tapehub.app.destinations import Destination

    destinations = [Destination(number, url) for number, url in enumerate(urls, 1)]
    called = place(hub, name).name
    message = Message(
        f"tapehub {called}: a test", 'This is what "tapehub alerts test" sends; nothing is wrong.', good=True
    )
    failed = False
    for destination in destinations:
        report = destination.send(message, explain=True)
        failed = failed or not report.ok
        word = Text("taken", "green") if report.ok else Text("not taken", "bold red")
        out.print(Text(f"{report.name}: ") + word + Text(f": {report.why}" if report.why else ""))
    if failed:
        note("see [alerts] urls in tapehub.toml, or TAPEHUB_ALERTS__URLS")
        raise typer.Exit(Exit.FAILED)


def send_alerts(
    stop: threading.Event, hub: DataHub, config: AlertsConfig, destinations: Destinations, log: Any
) -> None:
    """Watch a hub and the components of its "up", and send what is due, until told to stop."""
    rules = Rules(config.kinds, config.after_s, config.recovered_after_s, config.repeat_s, config.together_s,
                  config.per_hour)  # fmt: skip
    kept = _Kept(hub.path)
    desk = Desk(rules, f"{hub.path.name} {clock_of(hub).label}".rstrip(), kept.read())
    watch = Watch(hub, lambda: running_components(hub.path), config.gap_s)
    said = ""
    try:
        while not stop.wait(_LOOK_EVERY_S):
            try:
                view = watch.look()
                said = ""
            except HubError as error:  # restarting, or stopped: others are told; this goes on
                if str(error) != said:
                    said = str(error)
                    log.warning("cannot look", why=said)
                continue
            message = desk.look(view, time.time_ns())
            if message is not None:
                log.info("alert", title=message.title, body=message.body)
                kept.write(desk.plain())  # before it is sent: one lost is better than one sent at every restart
                destinations.send(message)
    finally:
        with suppress(HubError):
            watch.close()


def report_to(log: Any) -> Any:
    """Log what became of a message."""

    def report(found: Report) -> None:
        if found.ok:
            log.info("delivered", destination=found.name)
        else:
            log.error("not delivered", destination=found.name, why=found.why)

    return report


def _urls(config: AlertsConfig) -> list[str]:
    urls = [url.get_secret_value() for url in config.urls]
    if not urls:
        raise ConfigError(
            "[alerts] urls is empty: expected at least one destination; set it in tapehub.toml, or in the environment "
            """as TAPEHUB_ALERTS__URLS='["tgram://TOKEN/CHAT"]'"""
        )
    return urls


class _Kept:
    """Keep what was told in the hub's directory, so that a restart tells nothing twice."""

    def __init__(self, where: Path) -> None:
        self._path = where / _KEPT

    def read(self) -> list[dict[str, Any]]:
        """Give what was told; a file that cannot be read is as good as none."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return [row for row in rows if {"trouble", "since_ns", "told_ns"} <= row.keys()]
        except (OSError, ValueError, TypeError, AttributeError):
            return []

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Replace it at once; a full disk ends no alerts."""
        with suppress(OSError):
            replace_file(self._path, json.dumps(rows), durable=False)
