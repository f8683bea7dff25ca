"""What the doctor looks at: version, permissions, disk, memory, clock, instruments, liveness."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tapehub._native import layout
from tapehub.app.clocks import clock_of
from tapehub.app.config import oddities
from tapehub.app.console import bytes_text, count_text, span_text
from tapehub.hub.latest import latest
from tapehub.hub.status import SERVER_BEATS_WITHIN_S, silent_s

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Check", "Health", "about_hub", "about_machine"]

_GIB = 1 << 30
_SEGMENT_BYTES = 64 << 20
_BEHIND_NS = 500_000_000
_BUILT = datetime(2024, 1, 1, tzinfo=UTC)


class Health(Enum):
    """Grade a finding."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """State one finding, and what to do about it."""

    name: str
    health: Health
    found: str
    remedy: str = ""


def about_machine(where: Path) -> list[Check]:
    """Look at what does not need a hub."""
    return [_version(), _disk(where), _wall_clock(), *_configuration()]


def about_hub(hub: DataHub) -> list[Check]:
    """Look at an open hub."""
    return [
        _permissions(hub.path),
        _server(hub),
        _hub_clock(hub),
        _memory(hub),
        _instruments(hub),
        _ledger(hub),
    ]


def _version() -> Check:
    parts = (
        f"tapehub {version('tapehub')}",
        f"log format {layout()['format']}",
        f"Python {platform.python_version()}",
        f"numpy {np.__version__}",
    )
    text = ", ".join(parts)
    system = platform.system()
    if system != "Linux":
        return Check("version", Health.DOUBTFUL, f"{text}, {system}", "this system is untested; Linux is proven")
    return Check("version", Health.GOOD, text)


def _permissions(path: Path) -> Check:
    faults = []
    for entry in (path, *sorted(path.iterdir())):
        try:
            mode = stat.S_IMODE(entry.stat().st_mode)
        except FileNotFoundError:  # a segment that was dropped meanwhile
            continue
        if not os.access(entry, os.R_OK | os.W_OK):
            faults.append(f"{entry.name} cannot be read and written by this user")
        elif mode & 0o007:
            faults.append(f"{entry.name} is open to every user ({mode:04o})")
    if faults:
        return Check(
            "permissions",
            Health.BAD,
            "; ".join(faults[:3]),
            f"expected 0700 and 0600, or 2770 and 0660 of a group: chmod -R o= {path}",
        )
    return Check("permissions", Health.GOOD, f"{path} is {stat.S_IMODE(path.stat().st_mode):04o} and yours")


def _disk(where: Path) -> Check:
    below = next((one for one in (where, *where.parents) if one.exists()), Path("/"))
    free = shutil.disk_usage(below).free
    text = f"{bytes_text(free)} free at {below}"
    if free < 2 * _SEGMENT_BYTES:
        return Check("disk", Health.BAD, text, "publishing fails when no segment (64 MiB) fits: make room")
    if free < _GIB:
        return Check(
            "disk",
            Health.DOUBTFUL,
            text,
            "expected 1 GiB or more: make room, or lower [hub] retention_bytes",
        )
    return Check("disk", Health.GOOD, text)


def _memory(hub: DataHub) -> Check:
    directory = Path(hub._hub_state()["memory_dir"])
    free = shutil.disk_usage(directory).free
    text = f"{bytes_text(free)} free for the views at {directory}"
    if free < _SEGMENT_BYTES:
        return Check(
            "memory", Health.BAD, text, "expected 64 MiB or more: enlarge /dev/shm, or name another memory_root"
        )
    return Check("memory", Health.GOOD, text)


def _configuration() -> list[Check]:
    """Look for what is written where nobody reads it; nothing is said where there is no such thing."""
    parts = (text.rpartition(": ") if "did you mean" in text else text.partition("; ") for text in oddities())
    return [Check("configuration", Health.DOUBTFUL, found, remedy) for found, _, remedy in parts]


def _wall_clock() -> Check:
    now = datetime.now(UTC)
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _BUILT:
        return Check("clock", Health.BAD, text, "it is wrong: set the machine's time, for instance by NTP")
    return Check("clock", Health.GOOD, text)


def _server(hub: DataHub) -> Check:
    server = hub.server()
    if server is None:
        return Check(
            "server",
            Health.DOUBTFUL,
            "none: candles close when the next tick comes",
            'for candles on time: "tapehub serve"',
        )
    pid, since, _ = server
    silent = silent_s(hub)
    if silent > SERVER_BEATS_WITHIN_S:
        return Check(
            "server",
            Health.BAD,
            f"process {pid} is silent for {span_text(silent)}",
            f"continue it, or end it: kill {pid}",
        )
    return Check("server", Health.GOOD, f"process {pid} since {since:%Y-%m-%d %H:%M:%S} UTC")


def _hub_clock(hub: DataHub) -> Check:
    clock = clock_of(hub)
    if clock.simulated:
        return Check("hub clock", Health.DOUBTFUL, str(clock), 'after a replay, "tapehub clock wall" goes back')
    if clock.skew_ns >= _BEHIND_NS:
        return Check(
            "hub clock", Health.DOUBTFUL, f"{clock!s}: the venue's clock is that far ahead", "set it right, by NTP"
        )
    ahead_ns, feed = max(
        (
            (-told["clock"]["unshifted_ns"] - clock.skew_ns, feed)
            for feed, told in latest(hub).links(hub).items()
            if told["alive"] and told.get("clock", {}).get("unshifted_ns") is not None
        ),
        default=(0, ""),
    )
    if ahead_ns >= _BEHIND_NS:
        return Check(
            "hub clock",
            Health.DOUBTFUL,
            f"{clock!s}: the quotes of {feed} are {ahead_ns / 1e9:.1f} s ahead of it",
            "set this machine's clock right, by NTP; where it is, that feed's is wrong",
        )
    return Check("hub clock", Health.GOOD, str(clock))


def _instruments(hub: DataHub) -> Check:
    rows = hub.instruments
    undeclared = [symbol for symbol, row in rows.items() if not row["declared"]]
    if undeclared:
        return Check(
            "instruments",
            Health.DOUBTFUL,
            f"undeclared: {', '.join(undeclared[:8])}; their spread is in price units",
            "declare their pip size",
        )
    return Check("instruments", Health.GOOD, f"{len(rows)} of known pip size")


def _ledger(hub: DataHub) -> Check:
    ledger = hub.ledger()
    text = f"{count_text(ledger['ticks'])} ticks, {count_text(ledger['records'])} records"
    if not ledger["balanced"]:
        return Check("ledger", Health.BAD, f"{text}: does not add up", 'run "tapehub verify"')
    if lost := ledger["lost_in_producer"]:
        return Check(
            "ledger", Health.DOUBTFUL, f"{text}; {count_text(lost)} were lost in producers that died", "see status"
        )
    return Check("ledger", Health.GOOD, f"{text}, balanced")
