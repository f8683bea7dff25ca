"""The present values of a hub, as the stream writes them: what a conflated subscription begins with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tapehub.gateway.encoding import dumps, flow_text, tick_text
from tapehub.gateway.instants import iso
from tapehub.gateway.states import ChannelState, cause_of, channel_states
from tapehub.hub import reading

if TYPE_CHECKING:
    from tapehub.gateway.streaming.selection import Selection
    from tapehub.hub import DataHub

__all__ = ["state_text", "values"]


def values(
    hub: DataHub, selection: Selection, channels: Mapping[tuple[str, str], int]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the latest tick of each channel, the latest order flow of each symbol, each state: by key."""
    ticks, flows = selection.wants_kind("tick"), selection.wants_kind("order_flow")
    for (symbol, source), number in channels.items():
        if not selection.wants_symbol(symbol) or not (ticks or flows):
            continue
        block, rare = reading.channel_state(hub, number)
        if ticks and int(block["latest"]["seq"]):
            row = np.array([block["latest"]])
            yield ("tick", symbol, source), tick_text(hub._tick_objects(row.view(np.uint8))[0])
        if flows and int(rare["flow_seq"]):
            metrics = hub._order_flow_object(int(rare["flow_seq"]))
            if metrics is not None:
                yield ("order_flow", symbol), flow_text(metrics)
    if selection.wants_kind("state"):
        for state in channel_states(hub):
            if selection.wants_symbol(state.symbol):
                yield ("state", state.symbol, state.source), state_text(hub, state)


def state_text(hub: DataHub, state: ChannelState) -> str:
    """Write a state that was judged just now, in the shape of a record; its sequence is 0: it is not in the log."""
    at_ns = state.since_ns or hub.now()
    return dumps(
        {
            "kind": "state",
            "seq": 0,
            "symbol": state.symbol,
            "source": state.source,
            "ts_event": iso(at_ns),
            "ts_publish": None,
            "fixed": ["0", "0"],
            "flags": 0,
            "payload": "",
            "about": {"state": state.state, "cause": cause_of(hub, state), "since": iso(at_ns)},
        }
    )
