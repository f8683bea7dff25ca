"""`tapehub gateway`: the hub over HTTP and WebSocket, and its page; alone, or as a process of `tapehub up`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapehub.app.config import read_config
from tapehub.app.console import note, out
from tapehub.app.control import running_components
from tapehub.app.debates import Debates
from tapehub.app.hubs import HubOption, NameOption, attach
from tapehub.errors import MissingExtra
from tapehub.gateway.access import check_bind
from tapehub.stopping import stopping

if TYPE_CHECKING:
    from tapehub.gateway.context import Outside
    from tapehub.gateway.settings import GatewaySettings
    from tapehub.hub import DataHub

__all__ = ["check_settings", "gateway", "is_installed", "login_link", "mount_page", "outside", "show_link", "why_of"]

_LIBRARIES = ("fastapi", "uvicorn", "websockets", "orjson", "prometheus_client")


def gateway(
    host: Annotated[str | None, typer.Option(help="Address to listen at. Default: [gateway], else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="0 for any free one. Default: [gateway], else 8765.")] = None,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Serve a hub over HTTP and WebSocket, with its page.

    "tapehub up" does this by itself. Any address but a loopback one needs TLS: "tapehub tls init" makes a certificate.
    """
    if not is_installed():
        raise MissingExtra("fastapi", "server", "the gateway")
    from tapehub.gateway.serving import Gateway

    asked = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = read_config(note).gateway.model_copy(update=asked)
    with attach(hub, name, "gateway") as opened, stopping() as stop:
        with Gateway(opened, settings, outside=outside(), page=mount_page()) as served:
            out.print(f"serving [bold]{opened.path}[/] at [bold]{served.url}[/]")
            show_link(opened.path, served.url)
            note("Ctrl-C ends it; the hub goes on")
            while served.alive and not stop.wait(0.2):
                pass
        note("stopped")


def is_installed() -> bool:
    """Tell whether what the gateway is made of is there."""
    return all(importlib.util.find_spec(name) is not None for name in _LIBRARIES)


def check_settings(settings: GatewaySettings, hub_path: Path) -> None:
    """See whether the gateway may listen where it is told to.

    Raises:
        ConfigError: other machines reach that address, and there is no TLS.
    """
    check_bind(
        settings.host, certificate=settings.tls_cert, key=settings.tls_key, hub_path=hub_path, has_token=True
    )  # fmt: skip


def outside(simulator: str = "") -> Outside:
    """Give the gateway what lies above it.

    Args:
        simulator: address of the simulator's control.
    """
    from importlib.metadata import version

    from tapehub.gateway.context import Outside

    return Outside(why=why_of, simulator=lambda: simulator, version=version("tapehub"), agents=Debates())


def mount_page() -> Callable[[Any], None] | None:
    """Give what mounts the page, where it is part of the package."""
    if importlib.util.find_spec("tapehub.gateway.page") is None:
        return None
    mount: Callable[..., None] = importlib.import_module("tapehub.gateway.page").mount
    return partial(mount, components=running_components)


def login_link(hub_path: Path, url: str) -> str:
    """Make the link that logs the owner in; it opens the hub to whoever reads it."""
    from tapehub.gateway.access.tokens import Tokens

    return f"{url}/login?token={Tokens.open(hub_path).owner.reveal()}"


def show_link(hub_path: Path, url: str) -> None:
    """Print the login link on a terminal; elsewhere somebody else might read it, so that only the way to it is told."""
    if out.is_terminal:
        out.print(f"the page: {login_link(hub_path, url)}", soft_wrap=True, markup=False)
    else:
        out.print(f'the page: {url}; "tapehub token show" has the token that it asks for', markup=False)


def why_of(hub: DataHub, symbols: Sequence[str]) -> dict[str, Any]:
    """Say why a hub has no data of some symbols, all when none, as plain values."""
    from tapehub.app.facts import gather
    from tapehub.app.why import explain

    found = explain(gather(hub, symbols))
    return {
        "sentence": found.sentence,
        "ok": found.ok,
        "outcome": found.outcome.value,
        "link": found.link,
        "chain": [
            {"link": one.link, "outcome": one.outcome.value, "sentence": one.sentence} for one in found.chain
        ],
    }  # fmt: skip
