"""Trading agents: one small class, the same in replay, on paper and on live data.

    from tapehub.agents import Agent

    class Momentum(Agent):
        symbols = ("EUR_USD",)

        def on_candle(self, ctx, candle):
            if candle.close > candle.open:
                ctx.order(candle.symbol, "buy", stop_pips=5, target_pips=5, reason="it rose")

See docs/tutorial/first-agent.md.
"""

from tapehub.agents.agent import Agent
from tapehub.agents.context import Context
from tapehub.agents.gate import Verdict
from tapehub.agents.market import StateChange
from tapehub.agents.records import AccountState, Fill, Opinion, Order, Position, Signal
from tapehub.agents.runner import Runner
from tapehub.agents.scripts import Script, attach
from tapehub.agents.settings import GateLimits, PaperSettings, RiskLimits, RunSettings

__all__ = [
    "AccountState",
    "Agent",
    "Context",
    "Fill",
    "GateLimits",
    "Opinion",
    "Order",
    "PaperSettings",
    "Position",
    "RiskLimits",
    "RunSettings",
    "Runner",
    "Script",
    "Signal",
    "StateChange",
    "Verdict",
    "attach",
]
