"""The sections of `tapehub.toml`, a class each: every setting with its type, its default and its bounds.

The docstring of a class says what each setting means; `tapehub init` writes it into the file.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from tapehub.errors import MissingExtra

try:
    from pydantic import BaseModel, ConfigDict, Field, SecretStr
except ImportError as error:
    raise MissingExtra(error.name or "pydantic", "cli", "tapehub.toml") from error

__all__ = [
    "AgentConfig",
    "AgentsConfig",
    "AlertsConfig",
    "CalendarConfig",
    "HubConfig",
    "IgConfig",
    "LogsConfig",
    "ManagerConfig",
    "UpConfig",
]


class HubConfig(BaseModel):
    """Hold the section ``[hub]``: how much of the log is kept. A server sets it in the hub when it starts.

    Attributes:
        retention_bytes: the oldest segments go when the log is larger; where not set, what the hub has: 10 GiB in a new
            one.
        retention_days: the oldest segments go when they are older; where not set, what the hub has: 14 in a new one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    retention_bytes: int | None = Field(default=None, ge=1 << 26)
    retention_days: float | None = Field(default=None, gt=0, le=36_525)


class IgConfig(BaseModel):
    """Hold the section ``[ig]``.

    Attributes:
        epics: the epic of each symbol, in ``[ig.epics]``.
        form: of the built-in epics: CFD, MINI or TODAY.
        reserved_share: part of each REST allowance left to order code.
        subscriptions_max: a limit below IG's own.
        session_version: of the REST session, 2 or 3.
        base_url: another REST API than IG's: the simulator's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epics: dict[str, str] = Field(default_factory=dict)
    form: str = "CFD"
    reserved_share: float = Field(default=0.25, ge=0, lt=1)
    subscriptions_max: int | None = Field(default=None, ge=1)
    session_version: int = Field(default=2, ge=2, le=3)
    base_url: str | None = None


class UpConfig(BaseModel):
    """Hold the section ``[up]``: what `tapehub up` runs where its command line does not say.

    Attributes:
        feed: ig, sim, kraken, synthetic, replay, one of an installed package, or none for a hub without a collector.
        symbols: what is collected; empty for all of [ig.epics] with ig, else for three major pairs.
        paths: recorded files or directories, of the feed replay.
        sim: REST address of a simulator that runs already, of the feed sim; empty to start one.
        seed: of made-up quotes.
        rate: made-up ticks a second of each instrument, on average.
        group: the group of users that a new hub is shared with; empty for yours alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    feed: str = "none"
    symbols: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    sim: str = ""
    seed: int = 1
    rate: float = Field(default=1.0, gt=0)
    group: str = ""


class LogsConfig(BaseModel):
    """Hold the section ``[logs]``: the JSON files in logs/ of the hub's directory, one for each component.

    Attributes:
        file_mib: a file is rotated when it has grown to so many MiB.
        files_kept: older files that are kept of each component.
        level: the least that is logged: debug, info, warning or error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file_mib: int = Field(default=10, ge=1)
    files_kept: int = Field(default=5, ge=1)
    level: Literal["debug", "info", "warning", "error"] = "info"


class AlertsConfig(BaseModel):
    """Hold the section ``[alerts]``: messages to your phone or mailbox when data are missing.

    Attributes:
        urls: where messages go, in the notation of apprise, such as tgram://, mailtos:// or jsons://; empty for no
            alerts. They hold passwords: keep this file to yourself, or set TAPEHUB_ALERTS__URLS.
        kinds: what is told, of stale, dead, gap and restart_loop.
        after_s: seconds that a trouble must last before it is told.
        recovered_after_s: seconds without it before it counts as over.
        repeat_s: seconds after which a trouble that lasts is told again; 0 for once.
        gap_s: a gap shorter than this, in seconds, is not told.
        together_s: seconds in which what comes together goes into one message.
        per_hour: messages in an hour at most; what does not fit is summed up in a later one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    urls: tuple[SecretStr, ...] = ()
    kinds: tuple[Literal["stale", "dead", "gap", "restart_loop"], ...] = ("stale", "dead", "gap", "restart_loop")
    after_s: float = Field(default=10.0, ge=0)
    recovered_after_s: float = Field(default=10.0, ge=0)
    repeat_s: float = Field(default=3600.0, ge=0)
    gap_s: float = Field(default=10.0, ge=0)
    together_s: float = Field(default=5.0, ge=0)
    per_hour: int = Field(default=20, ge=1)


class ManagerConfig(BaseModel):
    """Hold the section ``[manager]``: the endpoint for programs written for BaseManager.

    Attributes:
        authkey: opens the endpoint, as ``DATA_HUB_AUTHKEY`` does, which comes first; then the file must be yours alone.
        host: where it listens, unless ``DATA_HUB_HOST`` says otherwise.
        port: the same, ``DATA_HUB_PORT``.
        allow_remote: an address may be one that other machines reach.
        module: of the classes that replies are pickled as.
        names: what programs may have registered the hub as.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    authkey: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=50_000, ge=1, le=65_535)
    allow_remote: bool = False
    module: str = "market_data_models"
    names: tuple[str, ...] = ("DataHub",)


class CalendarConfig(BaseModel):
    """Hold a section ``[calendars.fx]``, of metals, or of always.

    Attributes:
        holidays: when this calendar's markets are closed beside their weekly hours: ``2026-12-25`` is that trading day,
            ``2026-12-24T13:00/2026-12-25T18:00`` that span of New York wall time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    holidays: tuple[str | date, ...] = ()


class AgentConfig(BaseModel):
    """Hold the section ``[agents.run.NAME]``: an agent that `tapehub up` runs.

    Attributes:
        agent: how it is found: ``my_agent.py:Momentum``, or the name of an installed one.
        parameters: what it is made with; ``symbols``, ``timeframes`` and ``warmup`` among them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class AgentsConfig(BaseModel):
    """Hold the section ``[agents]``.

    Attributes:
        gate, risk, paper: limits of all runs; see `tapehub.agents.settings`.
        run: the agents that `tapehub up` runs, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate: dict[str, Any] = Field(default_factory=dict)
    risk: dict[str, Any] = Field(default_factory=dict)
    paper: dict[str, Any] = Field(default_factory=dict)
    run: dict[str, AgentConfig] = Field(default_factory=dict)

    def limits(self) -> dict[str, Any]:
        """Give the limits as `read_settings` takes them."""
        return {"gate": self.gate, "risk": self.risk, "paper": self.paper}
