"""The native core of tapehub: the tape, its views, and the market types."""

import types

from tapehub import (
    Candle as Candle,
    OrderFlowMetrics as OrderFlowMetrics,
    Tick as Tick
)


def set_pip_lookup(lookup, /):
    """
    Register `lookup(symbol)`, a function that returns a float: the pip size of ticks made by callers.

    Asked once a tick, when its spread or pip_size is first read. 0.0 or None means undeclared (spread in price
    units); None instead of a function takes the lookup away. Returns the lookup that was registered before.
    """

class Rows:
    """Rows of one dtype, and the hub they are of."""

    def __init__(self, /, *args, **kwargs):
        """Initialize self.  See help(type(self)) for accurate signature."""

    numpy: types.MethodDescriptorType = ...

    lost: types.MemberDescriptorType = ...

    records: getset_descriptor = ...

def set_array_types(tick: object, candle: object, batch: object) -> None: ...

class Hub:
    """
    One process's attachment to a hub directory. tapehub.DataHub is the public class.
    """

    def __init__(self, path: str, *, create: bool = False, read_only: bool = False, name: str = '', memory_root: str = '', segment_lines: int = 1048576, price_basis: int = 0, sync_mode: int = 0, sync_interval_ns: int = 1000000000, grace_ns: int = 500000000, lock_timeout_ns: int = 2000000000, segments_ahead: int = 1, retention_bytes: int = 10737418240, retention_ns: int = 1209600000000000, helper_thread: bool = True, normalise: object, define: object) -> None: ...

    get_latest_tick: types.MethodDescriptorType = ...

    update_tick: types.MethodDescriptorType = ...

    get_latest_candles: types.MethodDescriptorType = ...

    candles: types.MethodDescriptorType = ...

    log: types.MethodDescriptorType = ...

    @property
    def closed(self) -> bool: ...

    def now(self) -> int:
        """
        Return the hub clock's reading: int64 ns UTC. It is the clock of ages, states and lateness in every process.
        """

def as_tick(value: object) -> object: ...

def as_candle(value: object) -> object: ...

def as_order_flow(value: object) -> object: ...

def candle_bytes(candle: object) -> bytes: ...

def crc32c(data: bytes) -> int:
    """Return the CRC32C (Castagnoli) of some bytes."""

def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in ns: it goes on while the machine sleeps."""

def layout() -> dict:
    """
    Return offsets and sizes of the shared structures, for comparison with the numpy dtypes.
    """
