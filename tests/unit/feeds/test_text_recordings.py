"""Text files made here, LEAN, HistData, TrueFX: read by what they contain, or refused with the remedy."""

import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tapehub.errors import ConfigError, RecordingError
from tapehub.feeds import QUOTE
from tapehub.feeds.replay import FORMATS, Recording, open_recording


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) * 1_000_000


def ticks(recording: Recording) -> np.ndarray:
    batches = list(recording)
    return np.concatenate(batches) if batches else np.empty(0, dtype=QUOTE)


def zipped(path: Path, member: str, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, text)
    return path


def lean(tmp_path: Path, text: str, market: str = "oanda", member: str = "20140501_eurusd_tick_quote.csv") -> Path:
    return zipped(tmp_path / market / "tick" / "eurusd" / "20140501_quote.zip", member, text)


# ---------------------------------------------------------------- LEAN


def test_lean_of_oanda_counts_from_midnight_utc(tmp_path: Path) -> None:
    recording = open_recording(lean(tmp_path, "292,1.38676,1.38686\r\n920,1.3867,1.4\r\n"))
    got = ticks(recording)
    assert (recording.symbol, recording.source) == ("EUR_USD", "oanda")
    assert got["ts_event"].tolist() == [ns("2014-05-01T00:00:00.292"), ns("2014-05-01T00:00:00.920")]
    assert got["bid"].tolist() == [1.38676, 1.3867]
    assert got["ask"].tolist() == [1.38686, 1.4]


def test_lean_of_fxcm_counts_from_midnight_five_hours_west_in_summer_too(tmp_path: Path) -> None:
    recording = open_recording(lean(tmp_path, "1787,1.38727,1.38729\n", market="fxcm"))
    assert ticks(recording)["ts_event"].tolist() == [ns("2014-05-01T05:00:01.787")]
    assert recording.source == "fxcm"


def test_lean_of_another_market_is_refused_until_the_zone_is_told(tmp_path: Path) -> None:
    path = lean(tmp_path, "1787,1.38727,1.38729\n", market="dukascopy")
    with pytest.raises(RecordingError, match=r"does not tell its time zone.*pass tz="):
        open_recording(path)
    assert ticks(open_recording(path, tz="UTC+02"))["ts_event"].tolist() == [ns("2014-04-30T22:00:01.787")]
    assert ticks(open_recording(path, tz="America/New_York"))["ts_event"].tolist() == [ns("2014-05-01T04:00:01.787")]


def test_a_folder_that_happens_to_be_named_for_a_market_tells_no_zone(tmp_path: Path) -> None:
    path = zipped(tmp_path / "oanda" / "q.zip", "20140501_eurusd_tick_quote.csv", "1787,1.38727,1.38729\n")
    with pytest.raises(RecordingError, match="pass tz="):
        open_recording(path)


def test_lean_bars_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds bars, not ticks"):
        open_recording(lean(tmp_path, "0,1.1,1.2,1.0,1.1,0,1.1,1.2,1.0,1.1,0\n"))


def test_lean_without_a_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"expected a name like 20140501_eurusd_tick_quote.csv"):
        open_recording(lean(tmp_path, "292,1.38676,1.38686\n", member="ticks.csv"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("292,1.38676", "2 fields, expected 3"),
        ("292,1.38676,1.38686,9", "4 fields, expected 3"),
        ("292,1.3x676,1.38686", "field 2 is '1.3x676': expected a number"),
        ("292,1.3.676,1.38686", "field 2 is '1.3.676': expected a number"),
        ("292,,1.38686", "field 2 is '': no number"),
        ("292,1.38676,-1.3868", "field 3 is '-1.3868': expected a number"),
        ("292,1.38676,nan", "field 3 is 'nan': expected a number"),
        ("2.5,1.38676,1.38686", "field 1 is '2.5': no whole number"),
        ("292,1.2345678901234567,1.38686", "expected a number"),
        ("292," + "1" * 40 + ",1.38686", "no number"),
        ("292,.,1.38686", "expected a number"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: str, why: str) -> None:
    path = lean(tmp_path, f"100,1.38676,1.38686\n200,1.4,1.40001\n{line}\n300,1.38676,1.38686\n")
    with pytest.raises(RecordingError) as caught:
        ticks(open_recording(path))
    assert "line 3 of 20140501_eurusd_tick_quote.csv" in str(caught.value)
    assert why in str(caught.value)


def test_a_damaged_zip_is_refused_with_its_place(tmp_path: Path) -> None:
    rows = "".join(f"{i},1.{38000 + i * 7 % 999},1.39{i * 13 % 1000:03}\n" for i in range(200_000))
    path = lean(tmp_path, rows)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=r"20140501_quote\.zip: (damaged after byte \d+|line \d+)"):
        ticks(open_recording(path))


# ---------------------------------------------------------------- HistData, TrueFX

HISTDATA = "20200101 170000065,1.121200,1.121720,0\n20200701 170010447,1.1212,1.121920,0\n"


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "zip"])
def test_histdata_is_read_in_any_wrapping_at_fixed_utc_minus_five(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"DAT_ASCII_EURUSD_T_202001.{kind}"
    if kind == "csv":
        path.write_text(HISTDATA)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(HISTDATA.encode()))
    else:
        zipped(path, "DAT_ASCII_EURUSD_T_202001.csv", HISTDATA)
    recording = open_recording(path)
    got = ticks(recording)
    assert (recording.symbol, recording.format) == ("EUR_USD", "histdata")
    assert got["ts_event"].tolist() == [ns("2020-01-01T22:00:00.065"), ns("2020-07-01T22:00:10.447")]
    assert got["bid"].tolist() == [1.1212, 1.1212]


def test_histdata_zone_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "eurusd.csv"
    path.write_text(HISTDATA)
    assert ticks(open_recording(path, tz="UTC"))["ts_event"][0] == ns("2020-01-01T17:00:00.065")
    got = ticks(open_recording(path, tz="America/New_York"))["ts_event"].tolist()
    assert got == [ns("2020-01-01T22:00:00.065"), ns("2020-07-01T21:00:10.447")]


def test_histdata_without_a_symbol_in_its_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "quote_tick_data.csv"
    path.write_text(HISTDATA)
    with pytest.raises(RecordingError, match="pass symbol="):
        open_recording(path)


def test_histdata_bars_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "DAT_ASCII_EURUSD_M1_201202.csv"
    path.write_text("20120201 000000;1.306600;1.306600;1.306560;1.306560;0\n")
    with pytest.raises(RecordingError, match="holds one-minute bars"):
        open_recording(path)


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        ("20200101 240000065", "no time of day"),
        ("20200101 176000065", "no time of day"),
        ("20200230 170000065", "day"),
        ("20201301 170000065", "month"),
        ("20200101T170000065", "expected YYYYMMDD HHIISSFFF"),
        ("20200101 17000006", "expected YYYYMMDD HHIISSFFF"),
    ],
)
def test_a_time_that_cannot_be_is_refused(tmp_path: Path, stamp: str, why: str) -> None:
    path = tmp_path / "eurusd.csv"
    path.write_text(HISTDATA.splitlines()[0] + f"\n{stamp},1.1,1.2,0\n")
    with pytest.raises(RecordingError, match=r"line 2 of eurusd.csv") as caught:
        ticks(open_recording(path))
    assert why in str(caught.value)


TRUEFX = "EUR/USD,20190101 22:00:00.123,1.1,1.2\nEUR/USD,20190101 22:00:00.124,1.14621,1.14682\n"


def test_truefx_names_its_instrument_and_stamps_utc(tmp_path: Path) -> None:
    path = tmp_path / "january.csv"
    path.write_text(TRUEFX)
    recording = open_recording(path)
    got = ticks(recording)
    assert (recording.symbol, recording.source) == ("EUR_USD", "truefx")
    assert got["ts_event"].tolist() == [ns("2019-01-01T22:00:00.123"), ns("2019-01-01T22:00:00.124")]
    assert got["ask"].tolist() == [1.2, 1.14682]


def test_truefx_of_another_or_of_several_instruments_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "january.csv"
    path.write_text(TRUEFX + "USD/JPY,20190101 22:00:00.125,109.1,109.2\n")
    with pytest.raises(RecordingError, match="holds EUR_USD, expected GBP_USD"):
        open_recording(path, symbol="GBPUSD")
    with pytest.raises(RecordingError, match=r"line 3 of january.csv.*'USD/JPY': expected EUR/USD; split the file"):
        ticks(open_recording(path))


# ---------------------------------------------------------------- any format


@pytest.mark.parametrize(
    "content", [b"", b"timestamp,open,high,low,close\n", b"\x28\xb5\x2f\xfd0123", b"{}", b"\x00" * 100]
)
def test_what_is_not_recognised_is_refused_with_what_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "EURUSD.csv"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        open_recording(path)
    assert all(row.summary in str(caught.value) for row in FORMATS.values())


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        open_recording(tmp_path / "absent.csv")
    with pytest.raises(RecordingError, match="is a folder"):
        open_recording(tmp_path)


def test_the_name_does_not_matter_when_the_contents_tell(tmp_path: Path) -> None:
    path = tmp_path / "mystery.bi5"
    path.write_bytes(gzip.compress(TRUEFX.encode()))
    assert open_recording(path).format == "truefx"


def test_a_window_keeps_start_and_drops_end(tmp_path: Path) -> None:
    path = lean(tmp_path, "".join(f"{i * 1000},1.1,1.2\n" for i in range(100)))
    day = ns("2014-05-01")
    whole = ticks(open_recording(path))
    part = ticks(open_recording(path, start=day + 10 * 10**9, end="2014-05-01T00:00:20"))
    assert part.tolist() == whole[10:20].tolist()
    assert ticks(open_recording(path, start=datetime(2014, 5, 2, tzinfo=UTC))).tolist() == []


@pytest.mark.parametrize(
    "option", [{"start": "yesterday"}, {"end": 1.5}, {"hour": "25:00"}, {"tz": "Mars/Olympus"}, {"tz": "+99"}]
)
def test_an_option_that_cannot_be_read_is_refused(tmp_path: Path, option: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        open_recording(lean(tmp_path, "292,1.38676,1.38686\n"), **option)  # type: ignore[arg-type]


def test_a_recording_can_be_read_again(tmp_path: Path) -> None:
    recording = open_recording(lean(tmp_path, "292,1.38676,1.38686\n920,1.3867,1.4\n"))
    assert ticks(recording).tolist() == ticks(recording).tolist()


def test_ticks_out_of_order_are_put_in_order_and_equal_times_left(tmp_path: Path) -> None:
    got = ticks(open_recording(lean(tmp_path, "500,1.5,2\n300,1.1,2\n300,1.2,2\n400,1.3,2\n300,1.4,2\n")))
    assert got["bid"].tolist() == [1.1, 1.2, 1.4, 1.3, 1.5]


def test_disorder_across_batches_is_mended_and_beyond_two_refused(tmp_path: Path) -> None:
    times = np.arange(250_000)
    swapped = times.copy()
    swapped[[60_000, 80_000]] = swapped[[80_000, 60_000]]
    got = ticks(open_recording(lean(tmp_path, "".join(f"{t},1.1,1.2\n" for t in swapped.tolist()))))
    assert (got["ts_event"] == ns("2014-05-01") + times * 1_000_000).all()
    far = np.roll(times, 1)[::1]
    far[0], far[-1] = 249_000, 1
    with pytest.raises(RecordingError, match="sort"):
        ticks(open_recording(lean(tmp_path, "".join(f"{t},1.1,1.2\n" for t in far.tolist()))))


def test_every_decimal_is_the_nearest_float(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    texts = [f"{random.integers(0, 10**6)}.{random.integers(0, 10**9):0{d}d}"[:16] for d in random.integers(1, 9, 2000)]
    path = lean(tmp_path, "".join(f"{i},{text},{text}\n" for i, text in enumerate(["1.5", *texts])))
    assert ticks(open_recording(path))["bid"].tolist() == [1.5, *map(float, texts)]
