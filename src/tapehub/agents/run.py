"""A run: everything that what an agent does is a function of, besides the log. It is the run's first record."""

from __future__ import annotations

import hashlib
import inspect
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tapehub.agents.records import AccountState, decode
from tapehub.agents.settings import RunSettings, read_settings
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.agents.agent import Agent

__all__ = ["Run", "fingerprint", "new_number"]

_FIELDS: Final = {"warm": "warm_seq", "started": "started_ns"}
"""By their names in the log, which stay: older runs are read, too."""


@dataclass(frozen=True, slots=True)
class Run:
    """Describe a run.

    Attributes:
        number: 48 bits, its identity.
        agent: the name it is listed under, and that of its account.
        members: how each agent is made: ``spec`` (see `finding`) and ``parameters``.
        seed: of `ctx.random`.
        begin_seq: sequence of its first record; callbacks begin behind it.
        warm_seq: sequence from which candles are built.
        started_ns: log time at which it began.
        watched: every instrument whose ticks are read, with its source ("" until its first tick tells).
        definitions: what is known of each instrument, so that a replay does not depend on today's configuration.
        basis: price of candles: 0 mid, 1 bid, 2 ask.
        grace_ns: of the hub.
        by_ticks: no server writes marks when the run begins.
        opening: the account it begins with, as an account record holds it; empty for a new one.
        halted: why the kill switch was on; empty when it was not.
        flatten: it was thrown to close what is open, too, and perhaps while no run was there to do it.
        code: fingerprint of the agents' source.
        calendars: names of the session tables in force when it began, by calendar; None was written by a version that
            judged by the weekly hours alone, and is replayed so.
    """

    number: int
    agent: str
    members: tuple[dict[str, Any], ...]
    seed: int
    begin_seq: int
    warm_seq: int
    started_ns: int
    watched: dict[str, str]
    definitions: dict[str, dict[str, Any]]
    basis: int = 0
    grace_ns: int = 500_000_000
    by_ticks: bool = False
    settings: RunSettings = field(default_factory=RunSettings)
    opening: dict[str, Any] = field(default_factory=dict)
    halted: str = ""
    flatten: bool = False
    code: str = ""
    calendars: dict[str, str] | None = None

    @property
    def id(self) -> str:
        """Give the name people use."""
        return f"{self.agent}-{self.number:012x}"

    @property
    def account(self) -> AccountState | None:
        """Give the account it begins with; None for a new one."""
        if not self.opening:
            return None
        told = decode(Kind.ACCOUNT, json.dumps(self.opening).encode())
        assert isinstance(told, AccountState)
        return told

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return {
            "number": f"{self.number:012x}",
            "members": list(self.members),
            "seed": self.seed,
            "warm": self.warm_seq,
            "started": self.started_ns,
            "watched": self.watched,
            "definitions": self.definitions,
            "basis": self.basis,
            "grace_ns": self.grace_ns,
            "by_ticks": self.by_ticks,
            "settings": self.settings.model_dump(mode="json"),
            "opening": self.opening,
            "halted": self.halted,
            "flatten": self.flatten,
            "code": self.code,
            "calendars": self.calendars,
        }

    @classmethod
    def read(cls, agent: str, begin_seq: int, told: dict[str, Any]) -> Run:
        """Take up what `plain` gave, and the sequence of the record that held it."""
        rest = {
            _FIELDS.get(name, name): value
            for name, value in told.items()
            if name not in ("number", "members", "settings")
        }
        return cls(
            number=int(told["number"], 16),
            agent=agent,
            members=tuple(told["members"]),
            begin_seq=begin_seq,
            settings=read_settings(told["settings"]),
            **rest,
        )


def new_number(rng: random.Random) -> int:
    """Draw the number of a new run."""
    return rng.getrandbits(48)


def fingerprint(agents: Sequence[Agent]) -> str:
    """Sum up the source of some agents: the files their classes stand in.

    A class typed into an interpreter has no file, and counts by its name alone.
    """
    digest = hashlib.sha256()
    for text in sorted({_source(type(one)) for one in agents}):
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def _source(made: type) -> str:
    try:
        path = inspect.getsourcefile(made)
    except (TypeError, OSError):
        path = None
    return Path(path).read_text(encoding="utf-8") if path and Path(path).is_file() else made.__qualname__
