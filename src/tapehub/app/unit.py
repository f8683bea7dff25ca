"""The systemd unit that keeps `tapehub up` running: what stands in it, and why."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["render", "unit_name"]

_UNIT = """\
# Written by "tapehub service install"; written anew by "tapehub service install --force".
[Unit]
Description=tapehub: the market-data hub {hub}
Documentation=https://www.freedesktop.org/software/systemd/man/systemd.service.html
Wants=network-online.target
After=network-online.target
# A machine that was down over night must not give up for good in its first minute.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
WorkingDirectory={folder}
{environment}# A broker's credentials and the addresses of alerts, as variables: a file of yours alone (chmod 600).
EnvironmentFile=-{secrets}
Restart=on-failure
RestartSec=5
# A setting that cannot work (2) or another "up" on this hub (4) is for you to mend.
RestartPreventExitStatus=2 4
# The processes end in three seconds by themselves, those first that need others: only "up" is told.
KillMode=mixed
TimeoutStopSec=10
TimeoutStartSec=120
WatchdogSec=60
LimitNOFILE=65536
# What a user's own systemd can enforce without privileges of its own.
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


def unit_name(hub: Path) -> str:
    """Name the unit of a hub: tapehub.service for the one called default."""
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in hub.name)
    return "tapehub.service" if plain == "default" else f"tapehub-{plain}.service"


def render(hub: Path, folder: Path, secrets: Path, environment: Mapping[str, str], python: str = sys.executable) -> str:
    """Write the unit.

    Args:
        hub: the hub's directory.
        folder: where it runs: a ``.env`` file there is found.
        secrets: a file of variables, read by systemd if it is there.
        environment: what else it needs; no secrets, as every user may read a unit.
    """
    command = [python, "-m", "tapehub.app.cli", "up", "--no-attach", "--hub", str(hub)]
    return _UNIT.format(
        hub=_specifiers(hub.name),
        command=" ".join(_word(one) for one in command),
        folder=_specifiers(str(folder)),
        secrets=_specifiers(str(secrets)),
        environment="".join(f"Environment={_word(f'{name}={value}')}\n" for name, value in environment.items()),
    )


def _specifiers(text: str) -> str:
    """Keep systemd from expanding what begins with a percent sign, and from reading a second line."""
    return text.replace("%", "%%").replace("\n", " ")


def _word(text: str) -> str:
    """Quote a word of a command line, in which a dollar sign would begin a variable."""
    plain = _specifiers(text).replace("\\", "\\\\").replace('"', '\\"')
    plain = plain.replace("$", "$$")
    return f'"{plain}"' if any(letter in plain for letter in " '\"\\;\t") else plain
