"""`connect`: one hub for every caller of a process, on this machine or on another."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast, overload

from tapehub.errors import ConfigError
from tapehub.hub.datahub import DataHub
from tapehub.hub.paths import hub_path

if TYPE_CHECKING:
    from tapehub.hub.remote.hub import RemoteHub
    from tapehub.hub.secret import Secret

__all__ = ["connect"]

_connected: dict[str, DataHub] = {}
_remote: dict[tuple[str, str, str], RemoteHub] = {}
_connecting = threading.Lock()


@overload
def connect(path: str | Path | None = None, *, name: str = "") -> DataHub: ...
@overload
def connect(
    path: str,
    *,
    token: str | Secret | None = None,
    ca: str | Path | None = None,
    token_file: str | Path | None = None,
    timeout_s: float = 10.0,
    name: str = "",
) -> RemoteHub: ...
def connect(
    path: str | Path | None = None,
    *,
    token: str | Secret | None = None,
    ca: str | Path | None = None,
    token_file: str | Path | None = None,
    timeout_s: float = 10.0,
    name: str = "",
) -> DataHub | RemoteHub:
    """Attach to a running or resting hub: the same one for every caller of this process.

    ``https://host:port`` is the gateway of a hub on another machine; the `RemoteHub` that is returned has the
    methods of a `DataHub`, and is typed as one where only an address is given.

    Args:
        path: the hub's directory; default `hub_path()`; or a gateway's address.
        token: for a gateway; else from ``token_file``, ``TAPEHUB_TOKEN``, or the file ``TAPEHUB_TOKEN_FILE`` names.
        ca: the ca.pem that ``tapehub tls init`` made there; else ``TAPEHUB_CA``, else what the system trusts.
        timeout_s: for an answer of a gateway.
        name: how this process is listed among the attached ones; only with a path, since on the command line ``--name``
            is a hub. The hub of that name is ``connect(hub_path("paper"))``.

    Raises:
        HubNotRunning: there is no hub; ``tapehub up`` starts one. Or no gateway answers.
        ConfigError: a name without a path; or the token is missing or wrong, or would travel in the clear.
        MissingExtra: a gateway's address, without ``tapehub[remote]``.
    """
    if path is not None and str(path).startswith(("http://", "https://")):
        # Typed as what its callers write against.
        return cast("DataHub", _reach(str(path), token, ca, token_file, timeout_s, name))
    if token is not None or ca is not None or token_file is not None:
        raise ConfigError(f"a token or a ca for {path or 'this machine'}: expected them with https://host:port alone")
    if path is None and name:  # a program that means its own hub must not write into the live one
        raise ConfigError(
            f"name {name!r} without a path: it is how this process is listed, not a hub; connect(hub_path({name!r})) "
            f"is the hub of that name, connect(hub_path(), name={name!r}) the default one"
        )
    where = str(Path(path or hub_path()).expanduser().resolve())
    with _connecting:
        known = _connected.get(where)
        if known is None or known.closed:
            known = _connected[where] = DataHub.open(where, name=name)
    return known


def _reach(
    url: str,
    token: str | Secret | None,
    ca: str | Path | None,
    token_file: str | Path | None,
    timeout_s: float,
    name: str,
) -> RemoteHub:
    from tapehub.hub.remote.address import address_of
    from tapehub.hub.remote.hub import RemoteHub

    address = address_of(url, token, ca, token_file)
    key = (address.url, address.token.reveal(), str(address.ca or ""))
    with _connecting:
        known = _remote.get(key)
        if known is None or known.closed:
            known = _remote[key] = RemoteHub(address, name=name, timeout_s=timeout_s)
    return known
