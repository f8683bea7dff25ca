"""Whether the endpoint for BaseManager programs opens, and where: what the environment says, then `tapehub.toml`."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from tapehub.app.config import config_path
from tapehub.errors import ConfigError
from tapehub.gateway.manager import ManagerEndpoint, ManagerSettings

if TYPE_CHECKING:
    from tapehub.app.config import Config
    from tapehub.hub import DataHub

__all__ = ["endpoint_of", "settings_of", "told_of"]


def settings_of(config: Config) -> ManagerSettings | None:
    """Give the endpoint's settings; None when no key is set: there is no default one.

    Raises:
        ConfigError: a setting cannot be, other machines would be let in unasked, or others can read the key.
    """
    section = config.manager
    key = section.authkey.get_secret_value() if section.authkey is not None else None
    path = config_path()
    in_file = key is not None and "TAPEHUB_MANAGER__AUTHKEY" not in os.environ and path.exists()
    if in_file and path.stat().st_mode & 0o077:
        raise ConfigError(f"{path}: authkey in [manager], and others can read the file: chmod 600 {path}")
    return ManagerSettings.found(
        os.environ,
        key=key,
        host=section.host,
        port=section.port,
        module=section.module,
        names=section.names,
        allow_remote=section.allow_remote,
    )


def endpoint_of(hub: DataHub, settings: ManagerSettings | None) -> AbstractContextManager[ManagerEndpoint | None]:
    """Open the endpoint, if a key is set."""
    return nullcontext() if settings is None else ManagerEndpoint(hub, settings)


def told_of(endpoint: ManagerEndpoint) -> str:
    """Say where it is."""
    host, port = endpoint.address
    return f"BaseManager programs at {host}:{port}"
