"""`tapehub agent`: run trading agents on a hub, list them, end them, explain what they did."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from tapehub.app.config import read_config
from tapehub.app.console import Exit, instant_text, note, out, print_json
from tapehub.app.explaining import explain
from tapehub.app.hubs import HubOption, NameOption, attach
from tapehub.app.logs import log_to
from tapehub.errors import ConfigError
from tapehub.stopping import stopping

if TYPE_CHECKING:
    from tapehub.agents import Runner
    from tapehub.app.config import Config
    from tapehub.hub import DataHub

__all__ = ["SetOption", "Wanted", "configured_agents", "group", "limits_and_values", "runner_of", "values_of"]

group = typer.Typer(help="Run trading agents on a hub, list, end and explain them.", no_args_is_help=True)

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A parameter, or a limit as risk.spread_max_pips=2; several times."
    ),
]
_LIMITS = ("gate", "risk", "paper")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say what to run; plain values, so that it can be handed to another process.

    Attributes:
        spec: see `tapehub.agents.finding.load`; a path is absolute.
        values: parameters.
        limits: of gate, risk manager and paper broker.
    """

    name: str
    spec: str
    values: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    fresh: bool = False

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Wanted:
        """Take up what `plain` gave."""
        return cls(**plain)


def runner_of(hub: DataHub, wanted: Wanted) -> Runner:
    """Make the runner: the run goes on, or a new one begins."""
    from tapehub.agents import Runner
    from tapehub.agents.finding import make
    from tapehub.agents.settings import read_settings

    def made() -> list[Any]:
        return [make(wanted.spec, dict(wanted.values))]

    return Runner(
        hub, made(), [wanted.spec], name=wanted.name, settings=read_settings(wanted.limits), seed=wanted.seed,
        fresh=wanted.fresh, make=made, tell=note,
    )  # fmt: skip


def configured_agents(config: Config) -> dict[str, dict[str, Any]]:
    """Give what `tapehub up` runs, as the role takes it."""
    return {
        name: Wanted(name, absolute(row.agent), row.parameters, config.agents.limits()).plain()
        for name, row in config.agents.run.items()
    }


def absolute(spec: str) -> str:
    """Make a path in an agent's spec absolute: a process elsewhere finds it too."""
    place, colon, name = spec.rpartition(":") if ":" in spec else (spec, "", "")
    return f"{Path(place).expanduser().absolute()}{colon}{name}" if place.endswith(".py") else spec


def values_of(words: list[str] | None) -> dict[str, Any]:
    """Read ``--set``: numbers, booleans and lists as JSON writes them, everything else as text."""
    values: dict[str, Any] = {}
    for word in words or ():
        name, sign, text = word.partition("=")
        if not sign or not name:
            raise ConfigError(f"--set {word}: expected name=value, as --set fast=8")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def limits_and_values(words: list[str] | None, configured: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell limits, whose names have a dot, from parameters."""
    values = values_of(words)
    limits = {name: dict(configured.get(name, {})) for name in _LIMITS}
    for name in [one for one in values if "." in one]:
        section, _, limit = name.partition(".")
        if section not in limits:
            raise ConfigError(f"--set {name}: {section} is none of {', '.join(_LIMITS)}, as in risk.spread_max_pips=2")
        limits[section][limit] = values.pop(name)
    return limits, values


# ---------------------------------------------------------------- commands

group.command("explain")(explain)


@group.command()
def run(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="my_agent.py:Momentum, or an installed one by name.")],
    set_: SetOption = None,
    listed_as: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Its name, and its account's. Default: the class's.")
    ] = "",
    seed: Annotated[int | None, typer.Option("--seed", help="Of its chance; drawn when not given.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin a new run, where an earlier one would go on.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Run an agent on paper, on the hub's data as they come. There is no broker but the paper one.

    Killed, it goes on where it was when it is started again. Ctrl-C or SIGTERM ends the run.
    """
    from tapehub.agents.finding import load

    log_to()
    spec = absolute(agent)
    limits, values = limits_and_values(set_, read_config(note).agents.limits())
    wanted = Wanted(listed_as or load(spec).label(), spec, values, limits, seed, fresh)
    with attach(hub, name, wanted.name) as opened, runner_of(opened, wanted) as runner, stopping() as stop:
        run_ = runner.run
        out.print(f"running [bold]{run_.id}[/] on {', '.join(run_.watched)}, account in {run_.settings.paper.currency}")
        note("paper orders only; Ctrl-C ends the run, what it did stays in the log")
        runner.serve(stop)
        view = runner.engine.account()
        out.print(
            f"ended: balance {view.balance} {view.currency}, equity {view.equity:.2f}, {len(view.positions)} open"
        )


@group.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """List the runs in the hub's log, newest first, and the agents that are installed."""
    from tapehub.agents.finding import installed

    with attach(hub, name, "agents") as opened:
        rows = list(_rows(opened))
    known = list(installed())
    if as_json:
        print_json({"runs": rows, "installed": known})
        return
    table = Table("run", "state", "began", "balance", "open", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["run"], row["state"], instant_text(row["began"]), row["balance"], str(row["open"]))
    out.print(table if rows else "no agent has run on this hub")
    note(f"installed: {', '.join(known) or 'none'}; a file works too: tapehub agent run my_agent.py:Momentum")


def _rows(hub: DataHub) -> list[dict[str, Any]]:
    """Describe the newest run of each agent."""
    from tapehub.agents.journal import read_run
    from tapehub.agents.records import AccountState
    from tapehub.agents.search import newest, runs
    from tapehub.model.records import Kind

    accounts: dict[str, AccountState] = {}
    for found in newest(hub, [Kind.ACCOUNT]):
        told = found.message
        if isinstance(told, AccountState):
            accounts.setdefault(told.account, told)
    rows, seen = [], set()
    for one in runs(hub):
        if one.agent in seen:
            continue
        seen.add(one.agent)
        pid = running(hub, one.agent)
        state = f"running, process {pid}" if pid else "ended" if read_run(hub, one).ended is not None else "not running"
        account = accounts.get(one.agent)
        balance = (
            f"{account.balance} {account.currency}"
            if account
            else f"{one.settings.paper.balance} {one.settings.paper.currency}"
        )
        rows.append(
            {"run": one.id, "agent": one.agent, "state": state, "began": one.started_ns, "balance": balance,
             "open": len(account.positions) if account else 0}
        )  # fmt: skip
    return rows


def running(hub: DataHub, agent: str) -> int | None:
    """Give the process that runs an agent, or None."""
    import fcntl

    path = hub.path / "agents" / f"{agent}.lock"
    try:
        held = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(held, 32, 0).decode().strip() or 0) or None
    finally:
        os.close(held)
    return None


@group.command()
def stop(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Its name, or the id of its run.")],
    reason: Annotated[str, typer.Option("--reason", help="Kept in the log.")] = "asked to by the command line",
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Let an agent end its run: at the next record it reads. What it holds stays open; "tapehub halt" closes it."""
    import time

    from tapehub.agents.journal import RunLog
    from tapehub.agents.records import AgentRecord, identity
    from tapehub.agents.runner import release_log
    from tapehub.agents.search import find_run
    from tapehub.model.records import Kind

    with attach(hub, name, "agents") as opened:
        found = find_run(opened, agent)
        if found is None:
            raise ConfigError(f"agent {agent}: no run of that name in {opened.path}; tapehub agent list shows them")
        pid = running(opened, found.agent)
        if pid is None:
            release_log(opened, found.agent)
            out.print(f"{found.id} does not run; the log it began with is no longer held back for it")
            raise typer.Exit(Exit.FAILED)
        told = AgentRecord(identity(found.number, 0, 0), found.agent, "end", reason)
        RunLog(opened, found, {}).write(Kind.AGENT, opened.now(), 0, "", told.encode())
        deadline = time.monotonic() + 10
        while running(opened, found.agent) == pid and time.monotonic() < deadline:
            time.sleep(0.05)
        if running(opened, found.agent) == pid:
            raise ConfigError(f"{found.id} (process {pid}) has not ended in 10 s: is it stopped, or far behind?")
        out.print(f"{found.id} has ended")
