"""Opening hours are records of the hub: a holiday reaches every process, and outlives restarts and dropped segments."""

import os
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub, Record
from tapehub.errors import HubCorrupt
from tapehub.hub.calendars import log_sessions
from tapehub.hub.server import HubServer
from tapehub.model.calendars import Calendar, CalendarId, calendar_of
from tests.models.intervals import HOUR, MINUTE, SECOND, ns
from tests.models.market import EUR, QUOTE, drained, quotes
from tests.servers.processes import Process
from tests.unit.hub.conftest import OpenHub

# The default day of these tests is Tuesday, 5 March 2024.
TUESDAY = "2024-03-05"
HOLIDAY = calendar_of("fx", [TUESDAY])
NOON = ns(f"{TUESDAY}T12:00")
DAY_END = ns(f"{TUESDAY}T22:00")  # 17:00 New York
TINY = {"segment_lines": 1 << 10, "retention_bytes": 4 * (1 << 10) * 64, "segments_ahead": 1}


def counted(hub: DataHub) -> int:
    """Count the calendar records of a hub: one is New York's offsets."""
    return int(hub.ledger()["by_kind"]["calendar"])


def test_a_hub_that_was_given_no_table_goes_by_the_weekly_hours(hub: DataHub) -> None:
    for symbol, identifier in ((EUR, CalendarId.FX), ("XAU_USD", CalendarId.METALS), ("BTC_USD", CalendarId.ALWAYS)):
        assert hub.calendar(symbol).id is identifier
        assert hub.calendar(symbol).to_bytes() == Calendar(identifier).to_bytes()
    assert counted(hub) == 1, "opening a hub logs the zone and nothing else"


def test_the_names_of_a_symbol_have_one_calendar(hub: DataHub) -> None:
    log_sessions(hub, [HOLIDAY])
    hub.publish(quotes([1]), symbol=EUR)
    assert {hub.calendar(name).is_open(NOON) for name in (EUR, "EURUSD", "EUR/USD", "GBP_USD")} == {False}
    assert hub.calendar("XAU_USD").is_open(NOON)


def test_a_server_logs_one_record_for_each_calendar_once(hub: DataHub) -> None:
    with HubServer(hub.path):
        assert counted(hub) == 1 + len(CalendarId)
    with HubServer(hub.path, calendars=[Calendar(identifier) for identifier in CalendarId]):
        assert counted(hub) == 1 + len(CalendarId), "the same hours again"


def test_other_holidays_are_one_more_record_that_streams_deliver(hub: DataHub) -> None:
    wanted = [HOLIDAY, Calendar(CalendarId.METALS), Calendar(CalendarId.ALWAYS)]
    with HubServer(hub.path):
        before = counted(hub)
    with hub.stream(kinds="calendar") as stream, HubServer(hub.path, calendars=wanted):
        (record,) = drained(stream)
    assert isinstance(record, Record)
    assert counted(hub) == before + 1
    assert record.fixed == (CalendarId.FX, len(HOLIDAY.sessions()[0]))
    assert record.payload == HOLIDAY.to_bytes()
    assert not hub.calendar(EUR).is_open(NOON)


def test_a_server_without_hours_of_its_own_leaves_those_of_the_hub(hub: DataHub) -> None:
    log_sessions(hub, [HOLIDAY])
    with HubServer(hub.path):
        assert not hub.calendar(EUR).is_open(NOON)
    assert log_sessions(hub, [Calendar(CalendarId.FX)]) == 0
    assert log_sessions(hub, [Calendar(CalendarId.FX)], replace=True) == 1
    assert hub.calendar(EUR).is_open(NOON)


def test_another_process_sees_the_holiday_with_its_next_question(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.publish(quotes([1]), symbol=EUR)
    with Process(hub.path) as other:
        assert other.ask("hours", symbol=EUR, ts=NOON) == [True, ns("2024-03-08T22:00")]
        log_sessions(hub, [HOLIDAY])
        assert other.ask("hours", symbol=EUR, ts=NOON) == [False, DAY_END]


def test_a_read_only_hub_knows_the_hours_too(hub: DataHub) -> None:
    log_sessions(hub, [HOLIDAY])
    with DataHub.open(hub.path, read_only=True) as reader:
        assert not reader.calendar(EUR).is_open(NOON)


@pytest.mark.parametrize("lost", [[], ["checkpoint"]])
def test_holidays_survive_a_restart_with_and_without_the_checkpoint(open_hub: OpenHub, lost: list[str]) -> None:
    hub = open_hub()
    log_sessions(hub, [HOLIDAY])
    path = hub.path
    hub.close()
    for name in lost:
        (path / name).unlink()
    assert not open_hub().calendar(EUR).is_open(NOON)


def test_holidays_outlive_the_segment_that_named_them(open_hub: OpenHub) -> None:
    hub = open_hub(**TINY)
    hub.set_clock("event")
    log_sessions(hub, [HOLIDAY])
    hub.publish(quotes([n / 100 for n in range(12_000)]), symbol=EUR)
    path = hub.path
    hub.close()
    hub = open_hub(**TINY)  # the upkeep of a new writer looks at retention first
    until = time.monotonic() + 20
    while hub._hub_state()["oldest"] <= 1 << 10:
        assert time.monotonic() < until, "no segment was dropped"
        time.sleep(0.01)
    assert not hub.calendar(EUR).is_open(NOON)
    hub.close()
    with DataHub.open(path) as again:  # rebuilt from the checkpoint: the memory files went with the last process
        assert again._hub_state()["oldest"] > 1 << 10
        assert not again.calendar(EUR).is_open(NOON)
    assert len(list((path / "blobs").iterdir())) == len(CalendarId)


# ---------------------------------------------------------------- what readers make of it


def outcomes(hub: DataHub, rows: Any, until: int, timeframe: str = "1h") -> dict[str, str]:
    with hub.stream(EUR, kinds="interval", timeframes=timeframe) as stream:
        hub.publish(rows, symbol=EUR)
        hub.advance(until)
        ends = [one for one in drained(stream) if hasattr(one, "outcome")]
    return {datetime.fromtimestamp(one.start / 1e9, UTC).strftime("%d %H"): one.outcome for one in ends}


def at(*instants: int) -> Any:
    rows = quotes([0.0] * len(instants))
    rows["ts_event"] = instants
    return rows.astype(QUOTE)


def test_the_intervals_of_a_holiday_end_as_closed(hub: DataHub) -> None:
    hub.set_clock("event")
    log_sessions(hub, [calendar_of("fx", [f"{TUESDAY}T10:00/{TUESDAY}T13:30"])])
    got = outcomes(hub, at(ns(f"{TUESDAY}T14:30")), ns(f"{TUESDAY}T20:00") + SECOND)
    # 10:00 New York is 15:00 UTC, and 13:30 is 18:30: the hour it lies in is open for a part.
    assert got == {"05 14": "final", "05 15": "closed", "05 16": "closed", "05 17": "closed",
                   "05 18": "no_ticks", "05 19": "no_ticks"}  # fmt: skip


def test_holidays_that_come_while_a_reader_follows_count_from_the_next_interval(hub: DataHub) -> None:
    hub.set_clock("event")
    with hub.stream(EUR, kinds="interval", timeframes="1h") as stream:
        hub.publish(at(NOON - HOUR), symbol=EUR)
        hub.advance(NOON + HOUR + SECOND)
        log_sessions(hub, [HOLIDAY])
        first = [one.outcome for one in drained(stream) if hasattr(one, "outcome")]
        hub.advance(NOON + 2 * HOUR + SECOND)
        then = [one.outcome for one in drained(stream) if hasattr(one, "outcome")]
    assert first == ["final", "closed"], "judged when it was read"
    assert then == ["closed"]


def test_what_a_caller_pushed_is_closed_on_a_holiday_and_not_stale(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.publish(at(NOON), symbol=EUR)
    hub.advance(NOON + 10 * MINUTE)
    assert hub.state(EUR) == "stale"
    log_sessions(hub, [HOLIDAY])
    assert hub.state(EUR) == "closed"


# ---------------------------------------------------------------- the blobs


def blob(hub: DataHub) -> Path:
    return hub.path / "blobs" / str(hub._sessions(CalendarId.FX))


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no table")])
def test_a_table_that_is_lost_is_an_error_until_a_server_brings_it_back(open_hub: OpenHub, damage: Any) -> None:
    hub = open_hub()
    log_sessions(hub, [calendar_of("fx", ["2031-07-04"])])  # not known to this process from another test
    damage(blob(hub))
    with pytest.raises(HubCorrupt, match=r"blob .* is (missing|damaged)"):
        hub.calendar(EUR)
    with HubServer(hub.path, calendars=[calendar_of("fx", ["2031-07-04"])]):
        assert not hub.calendar(EUR).is_open(ns("2031-07-04T15:00"))


def test_a_table_is_readable_by_the_group_that_a_hub_is_shared_with(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "shared", create=True, group=os.getgid()) as shared:
        log_sessions(shared)
        assert stat.S_IMODE(blob(shared).stat().st_mode) == 0o640
    with DataHub.open(tmp_path / "own", create=True) as own:
        log_sessions(own)
        assert stat.S_IMODE(blob(own).stat().st_mode) == 0o600
