"""Settings find their enum member."""

import pytest

from tapehub.errors import ConfigError
from tapehub.model.policies import ClockMode, OnLap, PriceBasis, SyncMode, WaitStrategy


@pytest.mark.parametrize(
    ("given", "member"),
    [
        ("mid", PriceBasis.MID),
        (" ASK ", PriceBasis.ASK),
        (1, PriceBasis.BID),
        (PriceBasis.BID, PriceBasis.BID),
        ("interval", SyncMode.INTERVAL),
        ("none", SyncMode.NONE),
        ("event", ClockMode.EVENT),
        ("spin", WaitStrategy.SPIN),
        ("raise", OnLap.RAISE),
    ],
)
def test_a_setting_finds_its_member(given: object, member: object) -> None:
    assert type(member).parse(given) is member  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", ["middle", 3, None, True, 1.5, ""])
def test_a_setting_that_is_no_member_is_refused_with_the_list(given: object) -> None:
    with pytest.raises(ConfigError, match="is not one of mid, bid, ask"):
        PriceBasis.parse(given)


def test_native_numbers_are_ints() -> None:
    assert [int(member) for member in SyncMode] == [0, 1, 2]
    assert isinstance(PriceBasis.ASK, int)
