"""Wall times of files become UTC by a zone that is stated, and never by one that is guessed."""

import numpy as np
import pytest

from tapehub.errors import ConfigError, RecordingError
from tapehub.feeds.replay.zones import EST, UTC, zone_of

HOUR = 3_600_000_000_000


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("UTC", 0),
        ("utc", 0),
        ("Z", 0),
        ("GMT", 0),
        ("UTC-05", -5),
        ("UTC-5", -5),
        ("UTC-05:00", -5),
        ("+05:30", 5.5),
        ("+0530", 5.5),
    ],
)
def test_fixed_offsets_are_read(text: str, hours: float) -> None:
    wall = np.array([0], dtype=np.int64)
    assert zone_of(text).to_utc(wall, "x")[0] == -hours * HOUR


@pytest.mark.parametrize("text", ["", " ", "UTC-16", "+99", "Nowhere/Town", "5"])
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        zone_of(text)


def test_an_iana_zone_follows_its_clocks() -> None:
    wall = np.array(["2024-01-15T12:00", "2024-07-15T12:00"], dtype="M8[ns]").astype(np.int64)
    assert ((zone_of("America/New_York").to_utc(wall, "x") - wall) // HOUR).tolist() == [5, 4]
    assert ((EST.to_utc(wall, "x") - wall) // HOUR).tolist() == [5, 5]
    assert (UTC.to_utc(wall, "x") == wall).all()


@pytest.mark.parametrize("moment", ["2024-03-10T02:30", "2024-11-03T01:30"])
def test_an_hour_that_happens_twice_or_never_is_refused(moment: str) -> None:
    wall = np.array([moment], dtype="M8[ns]").astype(np.int64)
    with pytest.raises(RecordingError, match=r"here: .*happens twice or never"):
        zone_of("America/New_York").to_utc(wall, "here")


@pytest.mark.parametrize("moment", ["2024-03-10T01:59", "2024-03-10T03:00", "2024-11-03T00:59", "2024-11-03T02:00"])
def test_the_hours_beside_it_are_clear(moment: str) -> None:
    wall = np.array([moment], dtype="M8[ns]").astype(np.int64)
    assert len(zone_of("America/New_York").to_utc(wall, "here")) == 1
