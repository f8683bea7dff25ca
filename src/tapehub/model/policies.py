"""The choices a caller has, each an enum; `parse` takes a member, its value or its name."""

from __future__ import annotations

from enum import Enum
from typing import Any, Self

from tapehub.errors import ConfigError

__all__ = ["ClockMode", "OnLap", "PriceBasis", "SyncMode", "WaitStrategy"]


class _Choice(Enum):
    """An enum whose members can be named in a setting."""

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Find the member a setting means.

        Raises:
            ConfigError: the setting is no member; the message lists them.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            key = value.strip().upper().replace("-", "_")
            if key in cls.__members__:
                return cls[key]
        elif not isinstance(value, bool) and any(value == member.value for member in cls):
            return cls(value)
        names = ", ".join(name.lower() for name in cls.__members__)
        raise ConfigError(f"{cls.__name__} {value!r} is not one of {names}")


class _Code(int, _Choice):
    """Number a choice as ``layout.hpp`` stores it: a member is an int."""


class PriceBasis(_Code):
    """Which price candles are built from."""

    MID = 0
    BID = 1
    ASK = 2


class SyncMode(_Code):
    """When the log goes to stable storage."""

    INTERVAL = 0  # once a second: power loss can cost the last second
    ALWAYS = 1  # before a publish returns
    NONE = 2  # when the kernel pleases


class ClockMode(_Code):
    """What the hub clock follows."""

    WALL = 0
    VIRTUAL = 1
    EVENT = 2


class WaitStrategy(_Choice):
    """How a reader waits for the next record."""

    BLOCK = "block"  # futex: no CPU, some ten microseconds to wake
    SPIN = "spin"  # one core, below a microsecond
    SLEEP = "sleep"  # a look each millisecond: no system call of a publisher wakes it


class OnLap(_Choice):
    """What a stream does when records were overwritten before it read them."""

    SKIP = "skip"  # go on at the oldest valid record; `lost` counts
    RAISE = "raise"  # raise `Lapped`
