"""The opening hours that a run judges by: the hub's session tables, as of the run's place in its log.

A run's first record names the tables that were in force when it began, and a `calendar` record in the log puts another
one in their place from there on. So a replay refuses what the live run refused, also when a holiday is entered, or
taken back, in the middle of the run; see docs/adr/0013-session-tables.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from tapehub.agents.search import newest
from tapehub.errors import HubCorrupt
from tapehub.hub import blobs
from tapehub.hub.calendars import tables
from tapehub.hub.home import home_of
from tapehub.model.records import Kind
from tapehub.model.sessions import CalendarId, Sessions

if TYPE_CHECKING:
    from tapehub.agents.run import Run
    from tapehub.hub import DataHub

__all__ = ["Hours", "hours_at", "hours_now", "hours_of", "named", "table_in"]

Hours: TypeAlias = Mapping[CalendarId, Sessions]
"""Tables by calendar; one that is not there is judged by the plain weekly hours."""


def hours_now(hub: DataHub) -> Hours:
    """Give the tables in force at the head of the log."""
    names = zip(CalendarId, tables(hub), strict=True)
    return {calendar: _fetched(hub, calendar, name) for calendar, name in names if name is not None}


def hours_at(hub: DataHub, position: int) -> Hours:
    """Give the tables in force before a line of the log.

    Where the record that named one was dropped, that of the head takes its place: it judges past times too.
    """
    found: dict[CalendarId, Sessions] = {}
    for one in newest(hub, [Kind.CALENDAR]):
        if one.seq < position and one.run in set(CalendarId) and one.run not in found:  # of New York's offsets: a count
            found[CalendarId(one.run)] = table_in(hub, CalendarId(one.run), one.payload)
            if len(found) == len(CalendarId):
                break
    state = hub._hub_state()
    is_whole = int(state["oldest"]) < int(state["segment_lines"])
    return found if is_whole else {**hours_now(hub), **found}


def hours_of(hub: DataHub, run: Run) -> Hours:
    """Give the tables that a run began with.

    Raises:
        HubCorrupt: one is missing or damaged.
    """
    named = {CalendarId[name.upper()]: blob for name, blob in (run.calendars or {}).items()}
    return {calendar: _fetched(hub, calendar, blob) for calendar, blob in named.items()}


def named(hours: Hours) -> dict[str, str]:
    """Give the names of tables, as a run's first record holds them."""
    return {one.name.lower(): hashlib.sha256(table.to_bytes()).hexdigest() for one, table in sorted(hours.items())}


def _fetched(hub: DataHub, calendar: CalendarId, name: str) -> Sessions:
    return table_in(hub, calendar, blobs.fetch(home_of(hub), name))


def table_in(hub: DataHub, calendar: CalendarId, data: bytes) -> Sessions:
    """Read a table.

    Raises:
        HubCorrupt: it is damaged.
    """
    try:
        return Sessions.from_bytes(calendar, data)
    except ValueError as error:
        raise HubCorrupt(f"calendar {calendar.name.lower()}: {error}: {hub.path}; start the server again") from error
