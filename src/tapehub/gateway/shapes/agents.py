"""What is said of agents, and to them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tapehub.gateway.shapes.base import Asked, InstantText, Shape

__all__ = ["AgentsAnswer", "ExplainAnswer", "Halt", "PositionsAnswer", "Resume", "SignalsAnswer"]


class AgentRow(Shape):
    """The newest run of an agent; `behind_records` is null while nobody runs it."""

    agent: str
    run: str
    members: list[str]
    symbols: list[str]
    began: InstantText
    ended: bool
    reading: bool
    behind_records: int | None
    balance: str
    currency: str
    trades: int
    open: int


class AgentsAnswer(Shape):
    """Agents by name; `halt` tells of the kill switch, null when it is off."""

    now: InstantText
    agents: list[AgentRow]
    halt: dict[str, Any] | None


class SignalRow(Shape):
    """A setup and what came of it."""

    id: str
    seq: int
    at: InstantText
    agent: str
    symbol: str
    side: str
    confidence: float
    reason: str
    result: dict[str, Any]


class RejectionRow(Shape):
    """What the validator made nothing of; `data` holds the rule."""

    id: str
    seq: int
    at: InstantText
    agent: str
    symbol: str
    reason: str
    data: dict[str, Any]


class SignalsAnswer(Shape):
    """Newest first."""

    signals: list[SignalRow]
    rejections: list[RejectionRow]


class PositionRow(Shape):
    """An open position; `pips` at the latest quote, null without one."""

    account: str
    currency: str
    id: str
    symbol: str
    side: str
    units: float
    price: float
    opened: InstantText
    pips: float | None


class PositionsAnswer(Shape):
    """Oldest first."""

    positions: list[PositionRow]


class ExplainAnswer(Shape):
    """A debate as a tree: each step may have `steps` of its own, oldest first."""

    asked: str
    id: str
    symbol: str
    title: str
    result: dict[str, Any]
    steps: list[dict[str, Any]]


class Halt(Asked):
    """Why all agents are to stop ordering; `flatten` closes what is open, too."""

    reason: str = Field(min_length=1, max_length=500, examples=["central bank at 14:00"])
    flatten: bool = False


class Resume(Asked):
    """Why they may go on."""

    reason: str = Field(default="", max_length=500)
