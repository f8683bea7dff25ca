"""The calendars of a hub: session tables in its log, which every process judges opening hours by.

A record of kind ``calendar`` names a blob, the views keep the name of the latest of each calendar, so a holiday reaches
every reader with the next question it asks. A hub that was given none is judged by the plain weekly hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from tapehub.errors import HubCorrupt
from tapehub.hub import blobs
from tapehub.hub.home import Home, home_of
from tapehub.model.calendars import Calendar
from tapehub.model.records import INSTRUMENT
from tapehub.model.sessions import CalendarId, Sessions

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["calendar", "log_sessions", "sessions", "tables"]


def calendar(hub: DataHub, symbol: str) -> Sessions:
    """Give the sessions of a symbol: of the calendar it is defined with, else of the one it would be."""
    found = hub._find(hub._names.canonical(symbol))
    if found is None:
        return sessions(hub, hub._names.book.find(symbol).calendar)
    return sessions(hub, int(np.frombuffer(hub._instrument(found[0]), INSTRUMENT)[0]["calendar"]))


def sessions(hub: DataHub, identifier: int) -> Sessions:
    """Give the sessions of a calendar, as the hub has them now.

    Raises:
        HubCorrupt: the table that the hub names is missing or damaged.
    """
    name = hub._sessions(identifier)
    if name is None:
        return Calendar(CalendarId(identifier))
    return _loaded(home_of(hub), name, CalendarId(identifier))


def tables(hub: DataHub) -> tuple[str | None, ...]:
    """Name the tables in force: another answer than before means that a market's hours have changed."""
    return tuple(hub._sessions(identifier) for identifier in CalendarId)


def log_sessions(hub: DataHub, wanted: Iterable[Sessions] = (), *, replace: bool = False) -> int:
    """Give a hub the tables it lacks, one record each; returns how many were logged.

    Args:
        wanted: of any calendars; of the others it gets the plain weekly hours.
        replace: those it has already, where another one is wanted.
    """
    given = {table.id: table for table in wanted}
    logged = 0
    for identifier in CalendarId:
        if hub._sessions(identifier) is not None and not (replace and identifier in given):
            continue
        table = given.get(identifier) or Calendar(identifier)
        data = table.to_bytes()
        name = blobs.store(hub, data)  # also when the record is there: a blob that was lost is back
        logged += bool(hub._define_sessions(int(identifier), name, len(data) // 16, replace))
    return logged


_read: WeakKeyDictionary[Home, dict[tuple[str, CalendarId], Sessions]] = WeakKeyDictionary()


def _loaded(home: Home, name: str, identifier: CalendarId) -> Sessions:
    """Read a table once: what a hash names does not change."""
    known = _read.setdefault(home, {})
    found = known.get((name, identifier))
    if found is None:
        try:
            found = known[name, identifier] = Sessions.from_bytes(identifier, blobs.fetch(home, name))
        except ValueError as error:
            what = f"calendar {identifier.name.lower()}: {error}"
            raise HubCorrupt(f"{what}: {home.path}; start the server again") from error
    return found
