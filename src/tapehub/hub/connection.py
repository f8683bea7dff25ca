"""`connect`: one `DataHub` for every caller of a process."""

from __future__ import annotations

import threading
from pathlib import Path

from tapehub.errors import ConfigError
from tapehub.hub.datahub import DataHub
from tapehub.hub.paths import hub_path

__all__ = ["connect"]

_connected: dict[str, DataHub] = {}
_connecting = threading.Lock()


def connect(path: str | Path | None = None, *, name: str = "") -> DataHub:
    """Attach to a running or resting hub: the same `DataHub` for every caller of this process.

    Args:
        path: the hub's directory; default `hub_path()`, or a hub's name.

    Raises:
        HubNotRunning: there is no hub; ``tapehub serve`` starts one.
    """
    if path is not None and str(path).startswith(("http://", "https://")):
        raise ConfigError(f"{path} is a remote hub, which this version cannot reach yet: connect on its own machine")
    where = str(Path(path or hub_path()).expanduser().resolve())
    with _connecting:
        known = _connected.get(where)
        if known is None or known.closed:
            known = _connected[where] = DataHub.open(where, name=name)
    return known
