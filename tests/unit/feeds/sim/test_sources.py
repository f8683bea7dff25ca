"""Where the venue's prices come from: real recordings and made-up ones, played and looked back at."""

from pathlib import Path

import numpy as np
import pytest

from tapehub.errors import ConfigError
from tapehub.feeds.feed import Quotes, joined
from tapehub.feeds.replay import Replay
from tapehub.feeds.sim import ManualClock, RecordedSource, Rest, Settings, Source, SyntheticSource, Venue
from tests.models.recordings import dukascopy_bars, midnight
from tests.models.venue import EUR, MINUTE, MONDAY, Ticks, login, stream_password
from tests.unit.feeds.sim.test_rest import Request

MINUTES = 15
START = midnight(2019, 2, 4) + 7 * 3600 * 10**9


class TwoVoices(Ticks):
    """One symbol as two sources quote it."""

    def batches(self):  # type: ignore[no-untyped-def]
        for quotes in super().batches():
            quotes.records["instrument"] = np.arange(len(quotes.records)) % 2
            yield Quotes(quotes.records, ("EUR_USD", "EUR_USD"), ("one", "two"))


def played(source: Source, start_ns: int, end_ns: int) -> list[tuple[int, float, float]]:
    found: list[tuple[int, float, float]] = []
    for quotes in source.play(start_ns):
        rows = [(row[0], row[2], row[3]) for row in quotes.records.tolist()]
        found += [row for row in rows if row[0] < end_ns]
        if rows[-1][0] >= end_ns:
            break
    return found


def test_a_window_shows_what_is_played() -> None:
    end = MONDAY + 40 * 60 * 10**9
    source = SyntheticSource(["EUR_USD"], seed=3, ticks_per_s=0.5)
    window = source.window("EUR_USD", MONDAY + 1, end)
    assert len(window) > 500
    assert [(row[0], row[2], row[3]) for row in window.tolist()] == played(source, MONDAY + 1, end)


def test_a_recording_can_be_moved_to_another_day() -> None:
    feed = Ticks([("EUR_USD", 0, 1.1, 1.2), ("EUR_USD", 5, 1.3, 1.4)])
    day = 86_400 * 10**9
    source = RecordedSource(feed, day)
    assert [row[0] for row in played(source, 0, MONDAY * 2)] == [MONDAY + day, MONDAY + day + 5 * 10**9]
    assert len(source.window("EUR_USD", MONDAY, MONDAY + day)) == 0
    assert len(source.window("EUR_USD", MONDAY + day, MONDAY + 2 * day)) == 2
    assert len(source.window("USD_JPY", MONDAY, MONDAY + 2 * day)) == 0


def test_of_two_sources_of_a_symbol_one_is_played() -> None:
    source = RecordedSource(TwoVoices([("EUR_USD", i, 1.1 + i / 1e4, 1.2) for i in range(6)]))
    assert [round(row[1], 4) for row in played(source, 0, MONDAY * 2)] == [1.1, 1.1002, 1.1004]


def test_what_nothing_is_dealt_on_is_named() -> None:
    with pytest.raises(ConfigError, match="BTC_USD"):
        Venue(RecordedSource(Ticks([("BTC_USD", 0, 1.0, 2.0)])), ManualClock(MONDAY))


@pytest.fixture(scope="module")
def real(shared_data: Path) -> RecordedSource:
    folder = shared_data / "dukascopy/EURUSD/2019/01/04"
    return RecordedSource(Replay([folder / "06h_ticks.bi5", folder / "07h_ticks.bi5"]))


def test_real_ticks_make_the_candles_their_own_venue_made(shared_data: Path, real: RecordedSource) -> None:
    clock = ManualClock(START)
    venue = Venue(real, clock, steady=clock)
    channel = venue.tlcp.open("ws", "TLCP-2.4.0.lightstreamer.com")
    venue.tlcp.receive(channel, f"create_session\r\nLS_user=SIM01&LS_password={stream_password(venue)}")
    schema = "UTM%20BID_OPEN%20BID_HIGH%20BID_LOW%20BID_CLOSE%20CONS_END"
    add = f"LS_op=add&LS_mode=MERGE&LS_group={MINUTE}&LS_schema={schema}"
    venue.tlcp.receive(channel, f"control\r\nLS_reqId=1&LS_subId=1&{add}")
    row = [""] * 6
    candles = []
    for _ in range(MINUTES * 60):
        clock.advance(1)
        venue.advance()
        for line in channel.take():
            if not line.startswith("U,"):
                continue
            tokens = line.split(",", 3)[3].split("|")
            spread = [part for token in tokens for part in ([""] * int(token[1:]) if token[:1] == "^" else [token])]
            row = [new or old for new, old in zip(spread, row, strict=True)]
            if row[5] == "1":
                candles.append((int(row[0]) * 10**6, *map(float, row[1:5])))
    bars = dukascopy_bars(shared_data / "dukascopy/EURUSD/2019/01/04/BID_candles_min_1.bi5", midnight(2019, 2, 4))
    wanted = bars[(bars["timestamp"] >= START) & (bars["timestamp"] < START + MINUTES * 60 * 10**9)]
    assert candles == [tuple(bar)[:5] for bar in wanted.tolist()]
    assert len(candles) == MINUTES


def test_history_over_rest_is_the_same_candles(shared_data: Path, real: RecordedSource) -> None:
    clock = ManualClock(START + 30 * 60 * 10**9)
    venue = Venue(real, clock, Settings(), steady=clock)
    rest = Rest(venue)
    query = "resolution=MINUTE&from=2019-02-04T07:00:00&to=2019-02-04T07:14:00&pageSize=0"
    headers = {**login(rest), "VERSION": "3"}
    rows = rest.handle(Request("GET", f"/gateway/deal/prices/{EUR}", query, headers)).body["prices"]
    bars = dukascopy_bars(shared_data / "dukascopy/EURUSD/2019/01/04/BID_candles_min_1.bi5", midnight(2019, 2, 4))
    wanted = bars[(bars["timestamp"] >= START) & (bars["timestamp"] < START + MINUTES * 60 * 10**9)]
    sides = ("openPrice", "highPrice", "lowPrice", "closePrice")
    assert [tuple(row[side]["bid"] for side in sides) for row in rows] == [tuple(bar)[1:5] for bar in wanted.tolist()]


def test_everything_that_is_joined_stays_in_order(real: RecordedSource) -> None:
    parts = [quotes.records for quotes in real.play(START)]
    assert bool((np.diff(joined(parts)["ts_event"]) >= 0).all())
