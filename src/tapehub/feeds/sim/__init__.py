"""An IG to test against: its REST API and its Lightstreamer streams on one port of this machine.

The same collector code runs against it and against IG: official clients connect, subscribe, recover, are refused. It
plays recorded ticks or synthetic ones at any pace, under any clock, and goes wrong on demand.

- `Simulator`, `SimulatorThread`: the server, in an event loop or in a thread of its own.
- `Settings`, `Account`: who may log in and how much they may ask.
- `SyntheticSource`, `RecordedSource`: where prices come from; `Source` is what either is.
- `VirtualClock`, `ManualClock`: clocks; any callable that gives UTC nanoseconds will do, `DataHub.now` too.
- `Fault`, `FaultKind`, `read_script`, `fault_from`: what goes wrong, and when.
- `Venue`, `Rest`, `Request`, `Channel`: the same without sockets: `venue.tlcp.open("ws", …)` gives a channel,
  `venue.tlcp.receive(channel, text)` takes what a client sends, `channel.take()` gives what it gets, `venue.advance()`
  lets time pass.
- `CONTRACTS`, `Contract`: what it deals in.

How to use each, and every fault: docs/reference/simulator.md.
"""

from __future__ import annotations

from tapehub.feeds.sim.clock import Clock, ManualClock, VirtualClock
from tapehub.feeds.sim.contracts import CONTRACTS, Contract, contracts_for
from tapehub.feeds.sim.faults import Fault, FaultKind
from tapehub.feeds.sim.journal import Entry, Journal
from tapehub.feeds.sim.logins import Reply
from tapehub.feeds.sim.rest import Request, Rest
from tapehub.feeds.sim.script import fault_from, read_script, timed
from tapehub.feeds.sim.settings import Account, Settings
from tapehub.feeds.sim.simulator import Simulator, SimulatorThread
from tapehub.feeds.sim.source import RecordedSource, Source, SyntheticSource
from tapehub.feeds.sim.streams import Channel
from tapehub.feeds.sim.venue import Venue

__all__ = [
    "CONTRACTS",
    "Account",
    "Channel",
    "Clock",
    "Contract",
    "Entry",
    "Fault",
    "FaultKind",
    "Journal",
    "ManualClock",
    "RecordedSource",
    "Reply",
    "Request",
    "Rest",
    "Settings",
    "Simulator",
    "SimulatorThread",
    "Source",
    "SyntheticSource",
    "Venue",
    "VirtualClock",
    "contracts_for",
    "fault_from",
    "read_script",
    "timed",
]
