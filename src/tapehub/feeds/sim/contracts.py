"""What the simulated venue deals in: epics, how each is quoted, and the words IG describes it with.

CFD and MINI contracts of a pair are quoted as the market does (1.15402), bets (``TODAY``) in points: 11540.2, which is
the price times 10,000, or times 100 for yen. `scalingFactor` is 10,000 for a CFD too, so it does not tell which.
Sources: the captures of EUR/USD CFD and MINI and of the popular-markets watchlist for the shape and the words; public
epic tables for the bets (no capture is known).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tapehub.errors import ConfigError
from tapehub.model.calendars import CalendarId
from tapehub.model.instruments import TABLE, InstrumentBook, meant

__all__ = ["CONTRACTS", "Contract", "contracts_for"]


@dataclass(frozen=True, slots=True)
class Contract:
    """Describe one thing to deal in.

    Attributes:
        symbol: whose price it is, such as ``EUR_USD``.
        factor: the venue quotes price times this.
        decimals: digits after the point of the venue's quote.
        scaling_factor: what `snapshot.scalingFactor` says.
        pip_value, pip_means, contract_size: texts of `instrument`; None where IG gives none.
    """

    epic: str
    symbol: str
    name: str
    market_id: str
    factor: float = 1.0
    decimals: int = 5
    scaling_factor: int = 1
    expiry: str = "-"
    unit: str = "CONTRACTS"
    type: str = "CURRENCIES"
    lot_size: float = 1.0
    currency: str = "USD"
    pip_value: str | None = None
    pip_means: str | None = None
    contract_size: str | None = None
    node: str = "Forex"

    def quoted(self, price: float) -> float:
        """Turn a price in market units into the venue's quote."""
        return round(price * self.factor, self.decimals) + 0.0  # never -0.0

    def text(self, price: float) -> str:
        """Write a price as the stream does: no more digits than the quote has, no trailing zeros."""
        return (
            format(self.quoted(price), f".{self.decimals}f").rstrip("0").rstrip(".")
            if self.decimals
            else format(self.quoted(price), ".0f")
        )


def _pair(symbol: str) -> Iterable[Contract]:
    base, quote = symbol.split("_")
    code, name = base + quote, f"{base}/{quote}"
    row = TABLE[symbol]
    factor = round(1 / row.pip_size)
    means = f"{row.pip_size:g} {quote}/{base}"
    # Captured for EUR/USD: 100,000 and 10.00 for the CFD, a tenth of both for the mini.
    value, small = ("10.00", "1.00") if row.pip_size < 0.01 else ("1000", "100")
    yield Contract(
        f"CS.D.{code}.CFD.IP", symbol, f"{name} ", code, 1.0, row.decimals, factor, lot_size=10.0, currency=quote,
        pip_value=value, pip_means=means, contract_size="100000",
    )  # fmt: skip
    yield Contract(
        f"CS.D.{code}.MINI.IP", symbol, f"{name} Mini", code, 1.0, row.decimals, factor, currency=quote,
        pip_value=small, pip_means=means, contract_size="10000", node="Forex (mini)",
    )  # fmt: skip
    yield Contract(
        f"CS.D.{code}.TODAY.IP", symbol, name, code, float(factor), 1, factor, expiry="DFB", unit="AMOUNT",
        currency="GBP",
    )  # fmt: skip


_OTHERS = (
    Contract("CS.D.USCGC.TODAY.IP", "XAU_USD", "Spot Gold", "GOLD", 1.0, 2, 1, "DFB", "AMOUNT", "COMMODITIES",
             currency="GBP", node="Commodities"),
    Contract("CS.D.CFDGOLD.CFDGC.IP", "XAU_USD", "Spot Gold ($100)", "GOLD", 1.0, 2, 1, type="COMMODITIES",
             pip_value="100.00", pip_means="1 USD", contract_size="100", node="Commodities"),
    Contract("IX.D.DAX.IDF.IP", "DE40", "Germany 40 Cash (€25)", "DE30", 1.0, 1, 1, type="INDICES", lot_size=25.0,
             currency="EUR", pip_value="25.00", pip_means="1 Index Point", contract_size="25", node="Indices"),
    Contract("IX.D.SPTRD.DAILY.IP", "US500", "US 500", "US500", 1.0, 1, 1, "DFB", "AMOUNT", "INDICES",
             currency="GBP", node="Indices"),
    Contract("IX.D.FTSE.DAILY.IP", "UK100", "FTSE 100", "FT100", 1.0, 1, 1, "DFB", "AMOUNT", "INDICES",
             currency="GBP", node="Indices"),
)  # fmt: skip
_PAIRS = "EUR_USD GBP_USD USD_JPY AUD_USD USD_CAD USD_CHF NZD_USD EUR_GBP EUR_JPY GBP_JPY"

CONTRACTS: Mapping[str, Contract] = {
    contract.epic: contract
    for contract in (*(contract for symbol in _PAIRS.split() for contract in _pair(symbol)), *_OTHERS)
}


def contracts_for(symbols: Iterable[str], book: InstrumentBook | None = None) -> dict[str, Contract]:
    """Pick the contracts on these symbols; a pair that the table lacks gets its three.

    Raises:
        ConfigError: nothing is dealt on a symbol.
    """
    book = book or InstrumentBook()
    found: dict[str, Contract] = {}
    for symbol in dict.fromkeys(book.name(symbol) for symbol in symbols):
        rows = [contract for contract in CONTRACTS.values() if contract.symbol == symbol]
        if not rows and symbol in TABLE and TABLE[symbol].calendar is CalendarId.FX:
            rows = list(_pair(symbol))
        if not rows:
            known = ", ".join(sorted({contract.symbol for contract in CONTRACTS.values()}))
            raise ConfigError(
                f"the simulator deals in no contract on {symbol!r}: expected a pair of the table or "
                f"{known}{meant(symbol)}"
            )
        found |= {contract.epic: contract for contract in rows}
    return found
