"""The timeframe table agrees with the native one, and the names people use find its rows."""

import json
import re
from pathlib import Path

import pytest

from tapehub.errors import ConfigError, UnknownTimeframe
from tapehub.model.timeframes import NAMES, TIMEFRAMES, parse
from tests.tidy.sources import PACKAGE, ROOT

LAYOUT = Path(__file__).parents[2] / "native" / "include" / "tapehub" / "layout.hpp"
SECOND = 1_000_000_000
UNITS = {"kSecond": SECOND, "kMinute": 60 * SECOND, "kHour": 3600 * SECOND, "kDay": 86_400 * SECOND}


def test_table_equals_the_native_one() -> None:
    table = re.search(r"kTimeframes\[\] = \{(.*?)\n\};", LAYOUT.read_text(), re.DOTALL)
    assert table is not None
    rows = re.findall(r'\{"(\w+)", (?:(\d+) \* )?(\w+), (\d+)\}', table[1])
    native = [(name, int(count or 1) * UNITS[unit], int(capacity)) for name, count, unit, capacity in rows]
    assert native == [(row.name, row.span_ns, row.capacity) for row in TIMEFRAMES]


def test_index_is_the_position_and_capacity_fills_chunks() -> None:
    assert [row.index for row in TIMEFRAMES] == list(range(len(TIMEFRAMES)))
    assert all(row.capacity % 64 == 0 for row in TIMEFRAMES)
    assert NAMES == ("1s", "5s", "15s", "1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")


@pytest.mark.parametrize(
    ("name", "aliases"),
    [
        ("1s", "1S S1 SECOND 1sec s"),
        ("5s", "S5 5sec 5seconds"),
        ("15s", "15S S15"),
        ("1m", "1min M1 m1 MINUTE minute 60s 1T min 1minute MINUTE_1 60sec"),
        ("5m", "5min M5 MINUTE_5 300s 5T"),
        ("15m", "15min M15 MINUTE_15 900s"),
        ("30m", "30min M30 MINUTE_30"),
        ("1h", "1H H1 HOUR h 60min 60m 3600s"),
        ("4h", "4H H4 HOUR_4 240min 4hours"),
        ("1d", "1D D1 D DAY day d"),
        ("1w", "1W W W1 WEEK week"),
    ],
)
def test_aliases_find_their_row(name: str, aliases: str) -> None:
    for alias in [name, *aliases.split()]:
        assert parse(alias).name == name, alias


@pytest.mark.parametrize(
    "name", ["M", "1M", "MN1", "MONTH", "2m", "7d", "24h", "1440min", "", "  ", "0m", "m5m", "1 fortnight", "٣m"]
)
def test_names_that_mean_no_row_are_refused_with_the_list(name: str) -> None:
    with pytest.raises(UnknownTimeframe, match="is not one of 1s, 5s") as caught:
        parse(name)
    assert isinstance(caught.value, ConfigError)
    assert isinstance(caught.value, ValueError)


def test_parse_takes_a_row() -> None:
    assert parse(TIMEFRAMES[3]) is TIMEFRAMES[3]
    assert str(TIMEFRAMES[3]) == "1m"


def test_only_four_hours_and_longer_are_anchored() -> None:
    assert [row.name for row in TIMEFRAMES if row.is_anchored] == ["4h", "1d", "1w"]


@pytest.mark.parametrize(
    ("path", "times"),
    [
        (ROOT / "native/src/candle_type.cpp", 2),
        (ROOT / "docs/reference/formats.md", 1),
        (PACKAGE / "gateway/page/static/js/chart.js", 1),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_text_that_lists_the_timeframes_lists_them_all(path: Path, times: int) -> None:
    listed = " ".join(re.sub(r'[",]+', " ", path.read_text()).split())
    assert len(re.findall(rf"(?<!\w){' '.join(NAMES)}(?!\w)", listed)) == times


def test_the_page_has_a_key_for_each_timeframe() -> None:
    script = (PACKAGE / "gateway/page/static/js/chart.js").read_text()
    keys = re.search(r"TIMEFRAME_KEYS = (\[.*\]);", script)
    assert keys is not None
    assert len(set(json.loads(keys[1]))) == len(NAMES)
