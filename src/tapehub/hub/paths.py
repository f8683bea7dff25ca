"""Where a hub is."""

from __future__ import annotations

import os
from pathlib import Path

from tapehub.errors import ConfigError

__all__ = ["hub_path"]


def hub_path(name: str | None = None) -> Path:
    """Give the directory of a named hub.

    ``TAPEHUB_HOME`` is the parent (default ``~/.local/state/tapehub``), ``TAPEHUB_NAME`` the name (default
    ``default``).

    Raises:
        ConfigError: the name is no single path component.
    """
    home = os.environ.get("TAPEHUB_HOME")
    parent = Path(home).expanduser() if home else Path.home() / ".local" / "state" / "tapehub"
    chosen = name or os.environ.get("TAPEHUB_NAME") or "default"
    if chosen in {".", ".."} or "/" in chosen or "\0" in chosen:
        raise ConfigError(f"hub name is {chosen!r}, expected one path component; use path= for a directory of your own")
    return parent / chosen
