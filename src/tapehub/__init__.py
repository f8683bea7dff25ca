"""One market-data hub that every process on the machine reads at memory speed.

    import tapehub

    hub = tapehub.connect()
    print(hub.get_latest_tick("EUR_USD"))

See `DataHub` for everything a hub can do.
"""

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import (
    ConfigError,
    FeedError,
    HubClosed,
    HubError,
    HubNotRunning,
    HubStalled,
    InvalidRecord,
    Lapped,
    StaleDataError,
    TapehubError,
)
from tapehub.hub import Batch, DataHub, Record, Snapshot, Stream, connect, hub_path
from tapehub.model.records import CANDLE, TICK

__all__ = [
    "CANDLE",
    "TICK",
    "Batch",
    "Candle",
    "ConfigError",
    "DataHub",
    "FeedError",
    "HubClosed",
    "HubError",
    "HubNotRunning",
    "HubStalled",
    "InvalidRecord",
    "Lapped",
    "OrderFlowMetrics",
    "Record",
    "Snapshot",
    "StaleDataError",
    "Stream",
    "TapehubError",
    "Tick",
    "connect",
    "hub_path",
]

__version__ = "0.1.0"
