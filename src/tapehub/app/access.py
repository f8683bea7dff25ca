"""`tapehub token` and `tapehub tls`: who may come in, and the certificate the gateway shows."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tapehub.app.config import config_path
from tapehub.app.console import note, out
from tapehub.app.control import running_components
from tapehub.app.gateway import login_link
from tapehub.app.hubs import HubOption, NameOption, place
from tapehub.errors import HubError, HubNotRunning
from tapehub.gateway.access.scopes import Scope
from tapehub.gateway.access.tokens import OWNER, Tokens

__all__ = ["tls_group", "token_group"]

token_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Show, make and end the tokens that open this hub's gateway."
)
tls_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Make the certificate with which other machines reach this hub."
)


@token_group.command()
def show(
    plain: Annotated[bool, typer.Option("--plain", help="Print the owner's token alone, for a script.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """List the tokens, and print the owner's, and the link that logs in where "tapehub up" serves the page."""
    tokens = _open(hub, name)
    if plain:
        print(tokens.owner.reveal())
        return
    for row in tokens.rows():
        made = "" if row.name == OWNER else f", made {_day(row.created_ns)}"
        ends = "" if row.expires_ns is None else f", ends {_day(row.expires_ns)}"
        out.print(f"{row.name}: {row.scope.label}{made}{ends}")
    if url := _served_at(place(hub, name)):
        note("the link that logs in; whoever reads it can do everything:")
        print(login_link(place(hub, name), url))
    note(f"the owner's token, which is also in {tokens.owner_file}:")
    print(tokens.owner.reveal())


@token_group.command()
def new(
    token_name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    scope: Annotated[str, typer.Option(help="read, publish (and read), or admin (and all).")] = "read",
    days: Annotated[float | None, typer.Option(help="It ends after so many; without, when it is revoked.")] = None,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Make a token, and print it: nobody can show it a second time."""
    made = _open(hub, name).new(token_name, Scope.parse(scope), days=days)
    note(f"token {token_name!r}, scope {scope}; keep it: only its hash is stored")
    print(made.reveal())


@token_group.command()
def revoke(
    token_name: Annotated[str, typer.Argument(metavar="NAME", help='Which one; "owner" gets a new one in its place.')],
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """End a token, its sessions and its streams, within a second or two."""
    _open(hub, name).revoke(token_name)
    what = 'is replaced; "tapehub token show" prints the new one' if token_name == OWNER else "has ended"
    note(f"token {token_name!r} {what}")


@tls_group.command()
def init(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Host names and addresses that clients will write.")
    ] = None,
    new_ca: Annotated[
        bool, typer.Option("--new-ca", help="Make another authority, which every client then has to trust.")
    ] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Make a private certificate authority for this hub, and a certificate for its gateway."""
    from tapehub.gateway.access.tls import make_certificates

    where = place(hub, name)
    if not where.is_dir():
        raise HubNotRunning(f'no hub at {where}: expected one that was made; "tapehub up" makes it')
    made = make_certificates(where, names or (), new_authority=new_ca)
    out.print(f"certificate for {', '.join(made.names)}, until {made.expires:%Y-%m-%d}: {made.certificate}")
    if made.is_new:
        out.print(f"authority, to be trusted by clients: {made.authority}")
        out.print(f"its SHA-256: {made.fingerprint}")
    note(
        f"the gateway uses them beyond loopback: set host in [gateway] of {config_path()}. Copy {made.authority.name}, "
        f'never a .key, to each client: tapehub.connect("https://NAME:8765", ca="{made.authority.name}"), '
        f"curl --cacert {made.authority.name}; browsers import it as an authority for websites"
    )


def _served_at(where: Path) -> str:
    """Give the address of the page that "tapehub up" serves; empty where it serves none, or does not answer."""
    with suppress(HubError):
        for row in running_components(where):
            if row["name"] == "gateway" and row["phase"] == "running":
                return str(row["told"])
    return ""


def _open(hub: Path | None, name: str | None) -> Tokens:
    where = place(hub, name)
    if not where.is_dir():
        raise HubNotRunning(f'no hub at {where}: expected one that was made; "tapehub up" makes it')
    return Tokens.open(where)


def _day(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
