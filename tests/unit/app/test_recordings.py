"""Finding what a command line names: files must be playable, directories may hold other things too."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tapehub.app.market import OPENS_AT, market, rhythm_of
from tapehub.app.recordings import find_recordings, first_quote_ns
from tapehub.errors import ConfigError, RecordingError
from tapehub.model.instruments import InstrumentBook
from tapehub.quality.rhythm import LEAST_NS, UNLEARNT_NS

SECOND = 1_000_000_000
HISTDATA = "20190204 {hour:02}{minute:02}00994,1.145480,1.145530,0\n"


def histdata(path: Path, hour: int, minutes: int = 3, year_day: str = "") -> Path:
    """Write a HistData file; its hours are EST, five behind UTC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(HISTDATA.format(hour=hour, minute=minute) for minute in range(minutes)))
    return path


def test_a_directory_gives_its_recordings_and_says_what_it_skipped(tmp_path: Path) -> None:
    histdata(tmp_path / "b" / "DAT_ASCII_EURUSD_T_1.csv", 2)
    histdata(tmp_path / "a" / "DAT_ASCII_EURUSD_T_2.csv", 1)
    (tmp_path / "README.md").write_text("# not ticks\n")
    (tmp_path / ".hidden").write_text("neither")
    found = find_recordings([tmp_path])
    assert [recording.path.parent.name for recording in found.recordings] == ["a", "b"]
    assert [path.name for path, _ in found.skipped] == ["README.md"]
    assert found.describe_skipped() == "skipped 1 file: 1 × no tick recording"


def test_a_named_file_must_be_playable(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not ticks at all\n")
    with pytest.raises(RecordingError, match="expected one of"):
        find_recordings([path])


def test_a_path_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or directory"):
        find_recordings([tmp_path / "absent"])


def test_a_directory_without_recordings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no recording to play"):
        find_recordings([tmp_path])


def test_the_first_quote_is_the_earliest_of_all_files(tmp_path: Path) -> None:
    for hour in (3, 1, 2):
        histdata(tmp_path / f"DAT_ASCII_EURUSD_T_{hour}.csv", hour)
    first = first_quote_ns(find_recordings([tmp_path]).recordings)
    assert first == int(datetime(2019, 2, 4, 6, 0, 0, 994_000, UTC).timestamp() * 1000) * 1_000_000


def test_the_demonstration_begins_at_london_lunch_where_the_recording_covers_it(tmp_path: Path) -> None:
    for hour in (6, 7, 8):  # 11:00, 12:00 and 13:00 UTC, which is London's time in February
        histdata(tmp_path / f"DAT_ASCII_EURUSD_T_{hour}.csv", hour, minutes=59)
    start_ns = int(OPENS_AT.timestamp()) * SECOND
    played = market([tmp_path], start_ns, (), 1, 1.0, InstrumentBook())
    first = next(played.source.play(start_ns)).records["ts_event"][0]
    assert played.source.symbols == ("EUR_USD",)
    assert first - start_ns == 994_000_000
    assert "2019-02-04 13:00" in played.remarks[0]
    assert played.moved


def test_each_instrument_of_the_demonstration_begins_at_its_start(tmp_path: Path) -> None:
    histdata(tmp_path / "DAT_ASCII_EURUSD_T_1.csv", 1)
    later = tmp_path / "DAT_ASCII_GBPUSD_T_1.csv"
    later.write_text("20200605 090000000,1.260000,1.260100,0\n20200605 090001000,1.260000,1.260200,0\n")
    source = market([tmp_path], 1_000 * SECOND, (), 1, 1.0, InstrumentBook()).source
    firsts: dict[str, int] = {}
    for quotes in source.play(0):
        for row in quotes.records:
            firsts.setdefault(quotes.symbols[row["instrument"]], int(row["ts_event"]))
    assert set(source.symbols) == set(firsts) == {"EUR_USD", "GBP_USD"}
    assert set(firsts.values()) == {1_000 * SECOND}


def test_without_files_the_market_is_made_up_and_repeatable() -> None:
    start_ns = int(OPENS_AT.timestamp()) * SECOND
    first, second = (market([], start_ns, ["EURUSD", "USD_JPY"], 7, 2.0, InstrumentBook()) for _ in range(2))
    assert first.source.symbols == ("EUR_USD", "USD_JPY")
    assert not first.moved
    batches = [next(played.source.play(start_ns)).records.tobytes() for played in (first, second)]
    assert batches[0] == batches[1]


def test_of_two_sources_of_an_instrument_the_first_is_played_and_the_other_named(tmp_path: Path) -> None:
    histdata(tmp_path / "a" / "DAT_ASCII_EURUSD_T_1.csv", 1)
    (tmp_path / "b.csv").write_text(
        "EUR/USD,20190204 09:00:00.000,1.1,1.10006\nEUR/USD,20190204 09:00:01.000,1.1,1.2\n"
    )
    played = market([tmp_path], 1_000 * SECOND, (), 1, 1.0, InstrumentBook())
    assert played.source.symbols == ("EUR_USD",)
    assert any(remark.startswith("not played") and "truefx" in remark for remark in played.remarks)


def test_the_rhythm_is_learnt_from_the_hour_that_is_played() -> None:
    start_ns = int(OPENS_AT.timestamp()) * SECOND
    source = market([], start_ns, ["EUR_USD"], 1, 4.0, InstrumentBook()).source
    threshold_ns = rhythm_of(source, start_ns).threshold_ns("EUR_USD", start_ns)
    assert LEAST_NS <= threshold_ns < UNLEARNT_NS


def test_the_demonstration_opens_on_a_tuesday_at_13_in_london() -> None:
    assert (OPENS_AT.strftime("%A"), OPENS_AT.hour, OPENS_AT.astimezone(UTC).hour) == ("Tuesday", 13, 12)
