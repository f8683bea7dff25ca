"""The account's limits are kept at the very tick that reaches them, however prices and rates move between."""

import random

from hypothesis import given
from hypothesis import settings as at_most
from hypothesis import strategies as st

from tapehub.model.records import Kind
from tests.models.paper import Desktop

PRICES = {"EUR_USD": 1.1, "GBP_USD": 1.25, "USD_JPY": 150.0, "EUR_JPY": 165.0, "AUD_USD": 0.65}
LAX = {"spread_max_pips": 1e6, "positions_per_symbol": 9, "pause_after_losses": 0, "session_start": "",
       "session_end": "", "hold_max_min": 0, "stop_required": False}  # fmt: skip
BALANCES = {"USD": 10_000, "GBP": 8_000, "JPY": 1_500_000}


@at_most(max_examples=60)
@given(
    st.integers(0, 1 << 32),
    st.sampled_from(sorted(BALANCES)),
    st.sampled_from([1.5, 4.0, 100.0]),
    st.sampled_from([2e-5, 2e-4, 2e-3]),
    st.floats(0.0, 1.0),
)
def test_limit_is_kept_at_the_tick_that_reaches_it(
    seed: int, currency: str, daily_loss_pct: float, step: float, drift: float
) -> None:
    desk = Desktop(
        symbols=tuple(PRICES),
        risk={**LAX, "daily_loss_pct": daily_loss_pct},
        paper={"currency": currency, "balance": str(BALANCES[currency]), "latency_ms": 0},
        gate={"frozen_s": 1e6, "max_age_s": 1e6, "blown_pips": 1e6},
    )
    rng, prices, risk = random.Random(seed), dict(PRICES), desk.engine.desk.risk
    sides = {symbol: rng.choice(["buy", "sell"]) for symbol in PRICES}

    def quote(symbol: str, spread: float = 1e-5) -> None:
        desk.tick(prices[symbol], prices[symbol] * (1.0 + spread), symbol=symbol, after_s=0.001)

    for symbol in PRICES:
        quote(symbol)
    for number in range(250):
        symbol = rng.choice(list(PRICES))
        against = -1.0 if sides[symbol] == "buy" else 1.0
        if number < 60:  # first they win, so that each is opened with another equity
            against = -against
        prices[symbol] *= 1.0 + step * (drift * against + rng.gauss(0.0, 1.0 - drift / 2))
        quote(symbol, rng.choice([1e-5, 1e-5, step]))
        reached = risk.is_margin_called() or risk.is_day_lost()
        closing = [one.closing for one in desk.engine.desk.account.positions.values()]
        assert not reached or all(closing), desk.ctx.account
        if reached or any(closing):
            break
        if number % 12 == 0:
            desk.ctx.order(symbol, sides[symbol], 60_000)
    assert not [one for one in desk.told(Kind.ORDER) if one.code == "unvalued"]
