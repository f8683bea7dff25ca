"""Dukascopy and Parquet files made here: read by what they contain, or refused with the remedy."""

import json
import lzma
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tapehub.errors import RecordingError
from tapehub.feeds import QUOTE
from tapehub.feeds.replay import Recording, open_recording


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) * 1_000_000


def ticks(recording: Recording) -> np.ndarray:
    batches = list(recording)
    return np.concatenate(batches) if batches else np.empty(0, dtype=QUOTE)


def bi5(path: Path, rows: list[tuple[int, int, int, float, float]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(b"".join(struct.pack(">IIIff", *row) for row in rows), format=lzma.FORMAT_ALONE))
    return path


# ---------------------------------------------------------------- Dukascopy


def test_bi5_takes_hour_and_instrument_from_its_path_months_from_zero(tmp_path: Path) -> None:
    path = bi5(
        tmp_path / "EURUSD/2019/01/04/07h_ticks.bi5", [(994, 114545, 114543, 1.0, 2.06), (1000, 114546, 114543, 0.9, 1)]
    )
    recording = open_recording(path)
    got = ticks(recording)
    assert (recording.symbol, recording.source, recording.format) == ("EUR_USD", "dukascopy", "dukascopy-bi5")
    assert got["ts_event"].tolist() == [ns("2019-02-04T07:00:00.994"), ns("2019-02-04T07:00:01")]
    assert got["bid"].tolist() == [1.14543, 1.14543]
    assert got["ask"].tolist() == [1.14545, 1.14546]
    assert got["bid_size"].tolist() == [2_060_000, 1_000_000]
    assert got["ask_size"].tolist() == [1_000_000, 900_000]
    assert got.dtype == QUOTE


def test_bi5_of_a_yen_pair_has_three_decimals(tmp_path: Path) -> None:
    assert (
        ticks(open_recording(bi5(tmp_path / "USDJPY/2019/01/04/07h_ticks.bi5", [(1, 109687, 109676, 1, 1)])))["bid"]
        == 109.676
    )


def test_bi5_without_an_hour_in_its_path_is_refused_until_it_is_told(tmp_path: Path) -> None:
    path = bi5(tmp_path / "GBP_USD_tick.bi5", [(76, 130477, 130474, 1, 1)])
    with pytest.raises(RecordingError, match=r"pass hour= \(--hour 2019-02-04T07:00, UTC\)"):
        open_recording(path)
    recording = open_recording(path, hour="2019-03-05T10:00")
    assert recording.symbol == "GBP_USD"
    assert ticks(recording)["ts_event"].tolist() == [ns("2019-03-05T10:00:00.076")]


def test_bi5_without_an_instrument_is_refused_until_it_is_told(tmp_path: Path) -> None:
    path = bi5(tmp_path / "ticks.bi5", [(76, 130477, 130474, 1, 1)])
    with pytest.raises(RecordingError, match="pass symbol="):
        open_recording(path, hour="2019-03-05T10:00")
    assert open_recording(path, "GBPUSD", hour="2019-03-05T10:00").symbol == "GBP_USD"


def test_bi5_with_a_thirteenth_month_says_how_months_are_counted(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="months from 00"):
        open_recording(bi5(tmp_path / "EURUSD/2019/12/04/07h_ticks.bi5", [(1, 114545, 114543, 1, 1)]))


def test_bi5_of_unknown_scale_is_refused_until_decimals_are_told(tmp_path: Path) -> None:
    path = bi5(tmp_path / "BTCUSD/2019/01/04/07h_ticks.bi5", [(1, 34502, 34500, 1, 1)])
    with pytest.raises(RecordingError, match="pass decimals="):
        open_recording(path)
    assert ticks(open_recording(path, decimals=1))["bid"] == 3450.0


def test_bi5_whose_price_cannot_be_is_refused(tmp_path: Path) -> None:
    path = bi5(tmp_path / "EURUSD/2019/01/04/07h_ticks.bi5", [(1, 114545, 114543, 1, 1)])
    with pytest.raises(RecordingError, match=r"114\.543: expected 0\.6 to 2"):
        ticks(open_recording(path, decimals=3))


def test_bi5_of_no_bytes_is_an_hour_without_ticks(tmp_path: Path) -> None:
    path = tmp_path / "EURUSD/2019/01/02/07h_ticks.bi5"
    path.parent.mkdir(parents=True)
    path.touch()
    recording = open_recording(path)
    assert recording.rows == 0
    assert list(recording) == []


def test_bi5_of_bars_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "EURUSD/2019/01/04/BID_candles_min_1.bi5"
    path.parent.mkdir(parents=True)
    bars = b"".join(struct.pack(">IIIIIf", 60 * i, 114545, 114543, 114540, 114550, 1.5) for i in range(120))
    path.write_bytes(lzma.compress(bars, format=lzma.FORMAT_ALONE))
    with pytest.raises(RecordingError, match="holds bars, not ticks"):
        open_recording(path)


def test_bi5_cut_short_is_refused_with_its_place(tmp_path: Path) -> None:
    path = bi5(tmp_path / "EURUSD/2019/01/04/07h_ticks.bi5", [(i, 114545 + i % 7, 114543, 1, i) for i in range(3000)])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RecordingError, match=r"07h_ticks\.bi5: LZMA damaged"):
        ticks(open_recording(path))


def dukascopy_json(path: Path, **changes: object) -> Path:
    reply: dict[str, object] = {
        "timestamp": 1783944000000,
        "multiplier": 1.0e-5,
        "ask": 1.14277,
        "bid": 1.14273,
        "times": [93, 104, 0],
        "asks": [0, -2, 1],
        "bids": [0, -2, 2],
        "askVolumes": [1800000.0, 900000.0, 1.0],
        "bidVolumes": [2700000.0, 14490000.0, 2.0],
    }
    path.write_text(json.dumps(reply | changes))
    return path


def test_dukascopy_json_adds_up_its_differences(tmp_path: Path) -> None:
    recording = open_recording(dukascopy_json(tmp_path / "ticks-EUR-USD-2026-7-13-12.json"))
    got = ticks(recording)
    assert recording.symbol == "EUR_USD"
    assert ((got["ts_event"] - ns("2026-07-13T12:00")) // 1_000_000).tolist() == [93, 197, 197]
    assert got["bid"].tolist() == [1.14273, 1.14271, 1.14273]
    assert got["ask"].tolist() == [1.14277, 1.14275, 1.14276]
    assert got["bid_size"].tolist() == [2_700_000, 14_490_000, 2]


@pytest.mark.parametrize(
    "changes", [{"times": [1]}, {"bids": "no"}, {"multiplier": 0}, {"ask": None}, {"asks": [[1], [2], [3]]}]
)
def test_dukascopy_json_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(RecordingError, match=r"ticks-EUR-USD\.json: .*expected an object"):
        ticks(open_recording(dukascopy_json(tmp_path / "ticks-EUR-USD.json", **changes)))


def test_dukascopy_json_cut_short_is_refused(tmp_path: Path) -> None:
    path = dukascopy_json(tmp_path / "ticks-EUR-USD.json")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(RecordingError, match="JSONDecodeError"):
        ticks(open_recording(path))


# ---------------------------------------------------------------- Parquet


def parquet(path: Path, **changes: object) -> Path:
    pa = pytest.importorskip("pyarrow", reason="reading Parquet needs tapehub[frames]")
    import pyarrow.parquet as pq

    columns = {
        "bid": pa.array([1146050000, 109676000000], pa.int64()),
        "ask": pa.array([1146430000, 109687000000], pa.int64()),
        "bid_size": pa.array([10**15, 5 * 10**14], pa.uint64()),
        "ask_size": pa.array([10**15, 10**15], pa.uint64()),
        "ts_event": pa.array([1546383600078000128, 1546383600233999872], pa.uint64()),
    } | changes
    table = pa.table({name: column for name, column in columns.items() if column is not None})
    pq.write_table(table.replace_schema_metadata({"instrument_id": "EUR/USD.DUKA"}), path)
    return path


def test_nautilus_parquet_is_rounded_to_the_millisecond(tmp_path: Path) -> None:
    recording = open_recording(parquet(tmp_path / "q.parquet"))
    got = ticks(recording)
    assert (recording.symbol, recording.source, recording.rows) == ("EUR_USD", "duka", 2)
    assert got["ts_event"].tolist() == [1546383600078000000, 1546383600234000000]
    assert got["bid"].tolist() == [1.14605, 109.676]
    assert got["bid_size"].tolist() == [1_000_000, 500_000]


def test_parquet_of_other_columns_is_refused_with_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"bid int64, ask int64.*expected quote ticks of NautilusTrader"):
        open_recording(parquet(tmp_path / "q.parquet", ts_event=None))


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "q.parquet")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RecordingError, match="damaged Parquet"):
        open_recording(path)
