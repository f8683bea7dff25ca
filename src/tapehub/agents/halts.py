"""The kill switch: one record stops the orders of every run, another lets them go on.

The record is what runs obey, in log order. A file beside the log holds the same, for the day on which retention drops
the record while the switch is still on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapehub.agents.records import HaltRecord, decode
from tapehub.agents.search import newest
from tapehub.hub.paths import make_folder, replace_file
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["halt", "halted", "resume"]

_FILE: Final = "halt.json"
_SEGMENTS: Final = 16  # 1 GiB at the usual size: hours of the busiest markets, and a fifth of a second to search


def halt(hub: DataHub, reason: str, *, by: str = "", flatten: bool = False) -> int:
    """Stop all agents' orders, from this record on until `resume`. Returns its sequence number.

    Args:
        flatten: close what is open, too, at the next quotes.
    """
    return _say(hub, HaltRecord(True, reason, flatten, by))


def resume(hub: DataHub, reason: str = "", *, by: str = "") -> int:
    """Let agents order again. Returns the record's sequence number."""
    return _say(hub, HaltRecord(False, reason, by=by))


def _say(hub: DataHub, told: HaltRecord) -> int:
    folder = hub.path / "agents"
    make_folder(folder)
    payload = told.encode()
    replace_file(folder / _FILE, payload, durable=True)
    return hub._publish_record(int(Kind.HALT), hub.now(), fixed1=int(told.halted), payload=payload)


def halted(hub: DataHub) -> HaltRecord | None:
    """Tell whether the kill switch is on, and why; None when it is not.

    The log is searched from its head back, and not at all where nobody has ever thrown the switch; beyond
    `_SEGMENTS` of it, what the file says holds.
    """
    payload = b""
    state = hub._hub_state()
    if state["by_kind"][Kind.HALT]:
        lines = int(state["segment_lines"])
        found = next(newest(hub, [Kind.HALT], (hub.head // lines - _SEGMENTS) * lines), None)
        payload = b"" if found is None else found.payload
    path = hub.path / "agents" / _FILE
    if not payload and path.is_file():
        payload = path.read_bytes()
    told = decode(Kind.HALT, payload) if payload else None
    return told if isinstance(told, HaltRecord) and told.halted else None
