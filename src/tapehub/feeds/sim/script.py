"""Scripts: which faults begin when, read from TOML or JSON.

::

    [[fault]]
    at = "+20s"                 # after the simulation begins; also "+1h30m", or an instant: 2026-06-05T20:30:00Z
    kind = "mute"               # any of FaultKind
    item = "CHART:CS.D.EURUSD.CFD.IP:TICK"
    for = "45s"                 # how long it lasts

Further keys are those of `Fault`: count, share, code, how, seconds, factor, state, status. JSON is the same:
``{"fault": [{"at": "+20s", "kind": "mute"}]}``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tapehub.errors import ConfigError
from tapehub.feeds.instants import instant_ns
from tapehub.feeds.sim.faults import ALLOWANCES, Fault, FaultKind

__all__ = ["Line", "fault_from", "read_script", "timed"]

Line = tuple[str | int, Fault]
"""When, as the script says it, and what."""

_UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_HOW = ("close", "reset", "freeze")
_NUMBERS: Mapping[str, tuple[type, ...]] = {
    "count": (int,),
    "share": (int, float),
    "factor": (int, float),
    "status": (int,),
}
_TEXTS = ("item", "how", "state")


def read_script(path: Path) -> list[Line]:
    """Read a script file: JSON when it is named so, else TOML.

    Raises:
        ConfigError: it cannot be read, or a line of it makes no sense.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: expected a script of faults; check the path") from error
    try:
        read = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}: expected TOML, or JSON in a file named .json") from error
    rows = read.get("fault") if isinstance(read, dict) else None
    if not isinstance(rows, list) or set(read) != {"fault"}:
        raise ConfigError(f"{path}: expected tables named [[fault]], and nothing else")
    lines: list[Line] = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or "at" not in row:
            raise ConfigError(f'{path}: fault {number} does not say when: expected at = "+20s" or an instant')
        fields = dict(row)
        at = fields.pop("at")
        try:
            _moment(at, 0)
            lines.append((str(at), fault_from(fields)))
        except ConfigError as error:
            raise ConfigError(f"{path}: fault {number}: {error}") from None
    return lines


def fault_from(fields: Mapping[str, Any]) -> Fault:
    """Make a fault of the keys that scripts and the control endpoint use.

    Raises:
        ConfigError: a key is unknown or a value cannot be.
    """
    given = dict(fields)
    name = given.pop("kind", None)
    kinds = {kind.value: kind for kind in FaultKind}
    if name == "unmute":
        name, given["code"] = "clear", "mute"
    if name not in kinds:
        raise ConfigError(f"kind is {name!r}: expected one of {', '.join(kinds)}, unmute")
    values: dict[str, Any] = {}
    if "for" in given:
        values["duration_s"] = _span_ns(given.pop("for")) / 1e9
    if "seconds" in given:
        values["seconds"] = _span_ns(given.pop("seconds")) / 1e9
    if "code" in given:
        values["code"] = str(given.pop("code"))
    for key, value in given.items():
        kinds_of = (str,) if key in _TEXTS else _NUMBERS.get(key)
        if kinds_of is None:
            known = ", ".join(("at", "kind", "for", "seconds", "code", *_TEXTS, *_NUMBERS))
            raise ConfigError(f"{key} is no key of a fault: expected {known}")
        if not isinstance(value, kinds_of) or isinstance(value, bool):
            raise ConfigError(f"{key} is {value!r}: expected {' or '.join(row.__name__ for row in kinds_of)}")
        values[key] = value
    fault = Fault(kinds[name], **values)
    _check(fault)
    return fault


def timed(lines: Iterable[Line], start_ns: int) -> list[tuple[int, Fault]]:
    """Turn a script's times into instants, for a simulation that begins at `start_ns`.

    Raises:
        ConfigError: a time cannot be read.
    """
    return [(_moment(at, start_ns), fault) for at, fault in lines]


def _check(fault: Fault) -> None:
    if fault.kind is FaultKind.CUT and fault.how not in _HOW:
        raise ConfigError(f"how is {fault.how!r}: expected one of {', '.join(_HOW)}")
    if fault.kind is FaultKind.ALLOWANCE and fault.code not in ALLOWANCES:
        raise ConfigError(f"code is {fault.code!r}: expected one of {', '.join(ALLOWANCES)}")
    if fault.kind is FaultKind.CLEAR and fault.code not in ("", *(kind.value for kind in FaultKind)):
        raise ConfigError(f"code is {fault.code!r}: expected the kind of a fault to clear, or nothing for all")
    numbered = (FaultKind.END_SESSIONS, FaultKind.REFUSE_STREAM, FaultKind.MAINTENANCE)
    if fault.kind in numbered and fault.code and not re.match(r"-?\d+\Z", fault.code):
        raise ConfigError(f"code is {fault.code!r}: expected a number of the streaming protocol, such as 32")
    if not (0 <= fault.share <= 1 and fault.factor > 0 and (fault.count is None or fault.count > 0)):
        raise ConfigError(
            f"share {fault.share}, factor {fault.factor}, count {fault.count}: expected a share from 0 to 1, the "
            "others above 0"
        )


def _moment(at: object, start_ns: int) -> int:
    if isinstance(at, str) and at.startswith("+"):
        return start_ns + _span_ns(at[1:])
    moment = instant_ns(at if isinstance(at, int | str | datetime) and not isinstance(at, bool) else str(at), "at")
    assert moment is not None
    return moment


def _span_ns(span: object) -> int:
    """Read ``90``, ``1.5s``, ``2h30m``: a bare number is seconds."""
    if isinstance(span, int | float) and not isinstance(span, bool) and span >= 0:
        return round(span * 10**9)
    if isinstance(span, str) and _SPAN.match(span):
        return round(sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(span)))
    raise ConfigError(f"span {span!r}: expected seconds, or text like 45s, 1.5h, 2h30m")
