"""The liveness of every channel at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tapehub.hub import reading
from tapehub.hub.latest import latest
from tapehub.model.records import INSTRUMENT

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["ChannelState", "MadeUp", "cause_of", "causes_of", "channel_states", "made_up"]


@dataclass(frozen=True, slots=True)
class ChannelState:
    """Tell how one instrument from one source stands.

    Attributes:
        state: as `DataHub.state` gives it.
        age_s: of the latest tick by the hub clock; None without one.
        since_ns: when the last state was recorded, event time; 0 when none ever was.
        primary: reads of the symbol answer from it.
        tick_seq: of the latest tick; 0 without one.
    """

    symbol: str
    source: str
    number: int
    state: str
    age_s: float | None
    since_ns: int
    primary: bool
    tick_seq: int


def channel_states(hub: DataHub) -> list[ChannelState]:
    """Judge every channel by the hub clock of now."""
    now_ns, names = hub.now(), hub.sources
    out = []
    for number, (instrument, source) in enumerate(hub._channels()):
        block, rare = reading.channel_state(hub, number)
        seq = int(block["latest"]["seq"])
        symbol, primary = _instrument_of(hub._instrument(instrument))
        out.append(
            ChannelState(
                symbol=symbol,
                source=names[source],
                number=number,
                state=reading._state(hub, number, block, rare, now_ns),
                age_s=(now_ns - int(block["latest"]["ts_event"])) / 1e9 if seq else None,
                since_ns=int(rare["ts_state"]) if int(rare["state"]) else 0,
                primary=primary == number,
                tick_seq=seq,
            )
        )
    return out


@lru_cache(maxsize=4096)
def _instrument_of(row: bytes) -> tuple[str, int]:
    """Read symbol and primary channel of a definition; it seldom changes, and every channel is judged every second."""
    found = np.frombuffer(row, INSTRUMENT)[0]
    return found["symbol"].decode(), int(found["primary_channel"])


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Say what of a hub no market is like now: ``SIMULATED`` or ``REPLAY``.

    Attributes:
        feeds: by name, those that collect at present.
        rows: by (symbol, source), also what a feed that has ended left behind.
    """

    feeds: dict[str, str]
    rows: dict[tuple[str, str], str]


def made_up(hub: DataHub) -> MadeUp:
    """Find what collectors said is made up: a name like "sim" proves nothing, and neither does the hub clock."""
    feeds, rows = {}, {}
    for name, told in latest(hub).links(hub).items():
        if label := told.get("made_up", ""):
            if told["alive"]:
                feeds[name] = label
            rows.update({(row[0], row[1]): label for _, _, group in told["items"] for row in group})
    return MadeUp(feeds, rows)


def cause_of(hub: DataHub, state: ChannelState) -> str:
    """Say why an instrument is in its state, as far as its collector told."""
    return causes_of(hub, [state])[0]


def causes_of(hub: DataHub, states: Sequence[ChannelState]) -> list[str]:
    """Say it of several: what collectors told is read once for all."""
    told: dict[tuple[str, str], tuple[str, str]] = {}
    for link in latest(hub).links(hub).values():
        for label, cause, group in link["items"]:
            for row in group:
                told.setdefault((row[0], row[1]), (label, str(cause)))
    out = []
    for state in states:
        label, cause = told.get((state.symbol, state.source), ("", ""))
        gone = "its collector is gone" if label and state.state == "dead" else ""
        out.append(cause if label and label == state.state else gone)
    return out
