"""Settings find their enum member, and the exception tree is the one that is drawn."""

import re

import pytest

from tapehub import errors
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
    with pytest.raises(errors.ConfigError, match="is not one of mid, bid, ask"):
        PriceBasis.parse(given)


def test_native_numbers_are_ints() -> None:
    assert [int(member) for member in SyncMode] == [0, 1, 2]
    assert isinstance(PriceBasis.ASK, int)


def test_the_tree_is_the_one_drawn() -> None:
    assert errors.__doc__ is not None
    drawn: dict[str, str] = {}
    stack = ["Exception"]
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?:\s{2,}|$)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            stack[depth:] = [match[2]]
            drawn[match[2]] = stack[depth - 1]
    actual = {name: getattr(errors, name).__bases__[0].__name__ for name in errors.__all__}
    assert drawn == actual


def test_a_missing_extra_is_an_import_error_with_the_remedy() -> None:
    error = errors.MissingExtra("pyarrow", "frames", "reading x.parquet")
    assert isinstance(error, ImportError)
    assert str(error) == "pyarrow is not installed, reading x.parquet needs it: pip install 'tapehub[frames]'"


def test_an_invalid_record_is_a_value_error() -> None:
    assert issubclass(errors.InvalidRecord, ValueError)
    assert errors.TapehubError("x").published == 0
