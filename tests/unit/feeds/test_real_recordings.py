"""The real captures in ../shared/data, against the counts and spans of its README and the bars of their venues."""

import lzma
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Records
from tapehub.feeds.replay import Recording, merge, open_recording

MINUTE = 60_000_000_000
DAY = 1440 * MINUTE
Floats = npt.NDArray[np.float64]


def ns(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def ticks(recording: Recording) -> Records:
    return np.concatenate(list(recording))


def hours(shared_data: Path) -> list[Path]:
    return sorted((shared_data / "dukascopy/EURUSD/2019/01/04").glob("*h_ticks.bi5"))


def bars_of(ts_event: npt.NDArray[np.int64], price: Floats, volume: Floats) -> dict[int, tuple[float, ...]]:
    """Cut ticks into minutes: start to open, high, low, close, volume."""
    start = ts_event - ts_event % MINUTE
    first = np.flatnonzero(np.diff(start, prepend=-1))
    last = np.append(first[1:], len(start)) - 1
    columns = (
        price[first],
        np.maximum.reduceat(price, first),
        np.minimum.reduceat(price, first),
        price[last],
        np.add.reduceat(volume, first),
    )
    return dict(zip(start[first].tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True))


def test_every_tick_file_has_the_rows_and_the_span_of_the_readme(shared_data: Path) -> None:
    row = re.compile(r"\| (\S+(?:h_ticks\.bi5|/tick/\S+\.zip)) \| (\d+) \| (\S+ \S+) \.\. ([\d\-: .]+?) UTC \|")
    listed = row.findall((shared_data / "README.md").read_text())
    assert len(listed) == 24 + 22
    for name, rows, first, last in listed:
        path = shared_data / ("lean" if name.endswith(".zip") else "dukascopy") / name
        recording = open_recording(path)
        got = ticks(recording)
        last = last if "-" in last else f"{first[:10]} {last}"
        assert len(got) == int(rows), name
        assert recording.rows in (None, int(rows)), name
        assert (int(got["ts_event"][0]), int(got["ts_event"][-1])) == (ns(first), ns(last)), name
        assert recording.ts_min is not None
        assert recording.ts_min <= got["ts_event"][0]
        assert recording.symbol == "EUR_USD"


@pytest.mark.parametrize(
    ("name", "symbol", "source", "rows", "first", "last"),
    [
        (
            "nautilus/quote_tick_eurusd_2019.parquet",
            "EUR_USD",
            "duka",
            10000,
            "2019-01-01 23:00:00.078",
            "2019-01-02 01:36:09.581",
        ),
        (
            "nautilus/quote_tick_usdjpy_2019.parquet",
            "USD_JPY",
            "duka",
            10000,
            "2019-01-01 23:00:00.071",
            "2019-01-02 02:00:43.514",
        ),
        (
            "nautilus/histdata-eurusd-quote_tick_data.csv.gz",
            "EUR_USD",
            "histdata",
            9500,
            "2020-01-01 22:00:00.065",
            "2020-01-02 04:00:52.125",
        ),
        (
            "dukascopy/ticks-EUR-USD-2026-7-13-12.json",
            "EUR_USD",
            "dukascopy",
            3551,
            "2026-07-13 12:00:00.093",
            "2026-07-13 12:59:57.150",
        ),
    ],
)
def test_other_formats_have_the_rows_and_the_span_of_the_readme(
    shared_data: Path, name: str, symbol: str, source: str, rows: int, first: str, last: str
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="reading Parquet needs tapehub[archive]")
    recording = open_recording(shared_data / name)
    got = ticks(recording)
    assert (recording.symbol, recording.source, len(got)) == (symbol, source, rows)
    assert (int(got["ts_event"][0]), int(got["ts_event"][-1])) == (ns(first), ns(last))
    assert (np.diff(got["ts_event"]) >= 0).all()
    assert (got["ask"] >= got["bid"]).all()


def test_the_hour_of_the_lone_dukascopy_file_must_be_told(shared_data: Path) -> None:
    path = shared_data / "dukascopy/GBP_USD_tick.bi5"
    with pytest.raises(RecordingError, match="pass hour="):
        open_recording(path)
    got = ticks(open_recording(path, hour="2019-03-12T09:00"))
    assert len(got) == 2737
    assert (got["bid"].min(), got["bid"].max()) == (1.30474, 1.30545)
    assert got["ts_event"][0] == ns("2019-03-12 09:00:00.076")


def test_dukascopy_ticks_make_the_minute_bars_that_dukascopy_made(shared_data: Path) -> None:
    raw = lzma.decompress((shared_data / "dukascopy/EURUSD/2019/01/04/BID_candles_min_1.bi5").read_bytes())
    bars = np.frombuffer(raw, dtype=">u4,>u4,>u4,>u4,>u4,>f4")
    merged = np.concatenate([batch.records for batch in merge(open_recording(path) for path in hours(shared_data))])
    assert len(merged) == 136_741
    made = bars_of(merged["ts_event"], merged["bid"], merged["bid_size"].astype(np.float64))
    day = ns("2019-02-04")
    for second, opened, closed, low, high, volume in bars.tolist():
        got = made[day + second * 10**9]
        assert got[:4] == (opened / 1e5, high / 1e5, low / 1e5, closed / 1e5)
        assert got[4] == pytest.approx(volume * 1e6, rel=1e-5)
    assert len(made) == len(bars) == 1440


@pytest.mark.parametrize(("market", "shift_h"), [("oanda", 0), ("fxcm", 5)])
def test_lean_ticks_make_the_minute_bars_of_the_same_day(shared_data: Path, market: str, shift_h: int) -> None:
    for path in sorted((shared_data / "lean" / market / "tick/eurusd").glob("*.zip"))[::4]:
        got = ticks(open_recording(path))
        none = np.zeros(len(got))
        bid, ask = (bars_of(got["ts_event"], got[side], none) for side in ("bid", "ask"))
        with zipfile.ZipFile(shared_data / "lean" / market / "minute/eurusd" / path.name) as archive:
            rows = archive.read(archive.namelist()[0]).decode().split()
        midnight = ns(f"{path.name[:4]}-{path.name[4:6]}-{path.name[6:8]}") + shift_h * 60 * MINUTE
        assert len(rows) == len(bid)
        for text in rows:
            ms, *fields = text.split(",")
            start = midnight + int(ms) * 1_000_000
            assert bid[start][:4] == tuple(map(float, fields[:4]))
            assert ask[start][:4] == tuple(map(float, fields[5:9]))


def test_two_sources_of_one_instrument_merge_in_time_and_agree(shared_data: Path) -> None:
    day = "20140506_quote.zip"
    made = [open_recording(shared_data / "lean" / market / "tick/eurusd" / day) for market in ("oanda", "fxcm")]
    batches = list(merge(made))
    merged = np.concatenate([batch.records for batch in batches])
    assert batches[0].symbols == ("EUR_USD", "EUR_USD")
    assert batches[0].sources == ("oanda", "fxcm")
    assert (np.diff(merged["ts_event"]) >= 0).all()
    assert np.bincount(merged["instrument"]).tolist() == [44_864, 102_682]
    both = merged[(merged["ts_event"] > ns("2014-05-06 06:00")) & (merged["ts_event"] < ns("2014-05-06 20:00"))]
    last = [last_by_minute(both[both["instrument"] == i]) for i in (0, 1)]
    common = sorted(set(last[0]) & set(last[1]))
    apart = [abs(last[0][minute] - last[1][minute]) for minute in common]
    assert len(common) > 700
    assert np.mean(apart) < 0.00005  # half a pip: a zone wrong by an hour gives ten times that


def last_by_minute(records: Records) -> dict[int, float]:
    mid: Floats = (records["bid"] + records["ask"]) / 2
    return dict(zip((records["ts_event"] // MINUTE).tolist(), mid.tolist(), strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "dukascopy/EURUSD/2019/01/04/BID_candles_min_1.bi5",
        "dukascopy/EURUSD/2019/01/BID_candles_hour_1.bi5",
        "dukascopy/candles-minute-EUR-USD-BID-2026-7-10.json",
        "lean/oanda/minute/eurusd/20140501_quote.zip",
        "lean/fxcm/second/eurusd/20140501_quote.zip",
    ],
)
def test_bars_are_not_taken_for_ticks(shared_data: Path, name: str) -> None:
    with pytest.raises(RecordingError, match="holds bars, not ticks"):
        open_recording(shared_data / name)


@pytest.mark.parametrize(
    "name", ["README.md", "nautilus/fxcm-gbpusd-m1-bid-2012.csv.gz", "cme/es_futures_definition.dbn.zst"]
)
def test_what_is_no_tick_recording_is_refused(shared_data: Path, name: str) -> None:
    with pytest.raises(RecordingError, match=r"expected one of Dukascopy hourly ticks"):
        open_recording(shared_data / name)


def sizes(batches: list[Any]) -> int:
    return sum(len(batch.records) for batch in batches)


def test_all_of_it_merges_without_loss(shared_data: Path) -> None:
    paths = [*sorted((shared_data / "lean").glob("*/tick/eurusd/2014050[1-4]*.zip")), *hours(shared_data)[:4]]
    made = [open_recording(path) for path in paths]
    assert sizes(list(merge(made))) == sum(len(ticks(recording)) for recording in made)
