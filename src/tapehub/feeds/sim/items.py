"""The items the simulated venue streams: their names, modes, fields and values.

Source: IG's streaming guide and Java sample for CHART and ACCOUNT; trading-ig (commit d7f444f) for PRICE, which took
the place of MARKET on 2026-05-08. `UTM` of a candle is its beginning: the sources show no capture that would tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tapehub.feeds.sim.contracts import Contract
from tapehub.feeds.sim.market import FRAMES, Candle, Market, Tick
from tapehub.feeds.sim.settings import Settings
from tapehub.feeds.sim.streams import StreamItem, Values
from tapehub.feeds.sim.subscribing import Refusal

__all__ = ["HEARTBEAT", "Items", "candle_values", "price_values", "tick_values"]

HEARTBEAT = "TRADE:HB.U.HEARTBEAT.IP"
_DAY = "DAY_OPEN_MID DAY_NET_CHG_MID DAY_PERC_CHG_MID DAY_HIGH DAY_LOW"
_SIDES = ("OFR", "BID", "LTP")
_TICK_FIELDS = frozenset(f"BID OFR LTP LTV TTV UTM {_DAY}".split())
_CANDLE_FIELDS = frozenset(
    f"LTV TTV UTM {_DAY} CONS_END CONS_TICK_COUNT".split()
    + [f"{side}_{part}" for side in _SIDES for part in ("OPEN", "HIGH", "LOW", "CLOSE")]
)
_PRICE_FIELDS = frozenset(
    "MID_OPEN HIGH LOW BIDQUOTEID ASKQUOTEID TIMESTAMP NET_CHG NET_CHG_(%) DLG_FLAG CURRENCY0".split()
    + [f"{side}{what}{level}" for side in ("BID", "ASK") for what in ("PRICE", "SIZE") for level in range(1, 6)]
    + [f"CURRENCY{level}" for level in range(1, 6)]
)
_ACCOUNT_FIELDS = frozenset(
    "PNL DEPOSIT AVAILABLE_CASH PNL_LR PNL_NLR FUNDS MARGIN MARGIN_LR MARGIN_NLR AVAILABLE_TO_DEAL EQUITY "
    "EQUITY_USED".split()
)
_TRADE_FIELDS = frozenset("CONFIRMS OPU WOU".split())
_GONE = ("MARKET:", "L1:")
_BAD_GROUP = "Invalid group"


class Items:
    """Find items by name; each is made once and shared by all who watch it."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        market: Market,
        settings: Settings,
        state: Callable[[Contract], str],
        muted: Callable[[StreamItem], bool],
    ) -> None:
        self._muted = muted
        self._contracts = contracts
        self._market = market
        self._settings = settings
        self._state = state
        self.items: dict[str, StreamItem] = {}
        self.ticks: dict[str, list[tuple[StreamItem, Contract]]] = {}
        self.prices: dict[str, list[tuple[StreamItem, Contract]]] = {}
        self.candles: dict[tuple[str, str], list[tuple[StreamItem, Contract]]] = {}

    def find(
        self, account: str, group: str, schema: Sequence[str], mode: str, adapter: str, unknown: Callable[[str], bool]
    ) -> list[StreamItem]:
        """Find all items of a subscription.

        Args:
            unknown: whether an epic is unknown for the moment.

        Raises:
            Refusal: of one, so of all.
        """
        if adapter not in ("", "DEFAULT", "Pricing"):
            raise Refusal(17, "Bad Data Adapter name")
        names = group.split()
        if not names:
            raise Refusal(21, _BAD_GROUP)
        found = []
        for name in names:
            kind, _, rest = name.partition(":")
            if (kind == "PRICE") != (adapter == "Pricing") or name.startswith(_GONE):
                raise Refusal(21, _BAD_GROUP)
            item_mode, fields = self._shape(account, kind, rest, name, unknown)
            if mode != item_mode:
                raise Refusal(24, "Subscription mode not allowed for an Item")
            if not fields.issuperset(schema):
                raise Refusal(23, "Invalid schema")
            found.append(self.items.get(name) or self._make(name, kind, rest, mode))
        return found

    def _shape(
        self, account: str, kind: str, rest: str, name: str, unknown: Callable[[str], bool]
    ) -> tuple[str, frozenset[str]]:
        if name == HEARTBEAT:
            return "MERGE", frozenset({"HEARTBEAT"})
        if kind in ("ACCOUNT", "TRADE"):
            if rest != account:
                raise Refusal(-1, "Invalid account type")
            return ("MERGE", _ACCOUNT_FIELDS) if kind == "ACCOUNT" else ("DISTINCT", _TRADE_FIELDS)
        first, _, last = rest.rpartition(":")
        epic = last if kind == "PRICE" else first
        if kind not in ("CHART", "PRICE") or epic not in self._contracts or unknown(epic):
            raise Refusal(21, _BAD_GROUP)
        if kind == "PRICE":
            if first != account:
                raise Refusal(-1, "Invalid account type")
            return "MERGE", _PRICE_FIELDS
        if last == "TICK":
            return "DISTINCT", _TICK_FIELDS
        if last not in FRAMES:
            raise Refusal(21, _BAD_GROUP)
        return "MERGE", _CANDLE_FIELDS

    def _make(self, name: str, kind: str, rest: str, mode: str) -> StreamItem:
        first, _, last = rest.rpartition(":")
        contract = self._contracts.get(last if kind == "PRICE" else first)
        names = (name,) if contract is None else (name, contract.epic, contract.symbol)
        item = StreamItem(name, mode, names, _nothing)
        if contract is None:
            if kind == "ACCOUNT":
                item.snapshot = lambda: self._funds(rest)
        elif kind == "PRICE":
            item.snapshot = lambda: self._price(contract)
            self.prices.setdefault(contract.symbol, []).append((item, contract))
        elif last == "TICK":
            item.snapshot = lambda: self._tick(contract)
            self.ticks.setdefault(contract.symbol, []).append((item, contract))
        else:
            self._market.follow(contract.symbol, last)
            item.snapshot = lambda: self._candle(contract, last)
            self.candles.setdefault((contract.symbol, last), []).append((item, contract))
        said = item.snapshot
        item.snapshot = lambda: None if self._muted(item) else said()  # mute is mute for a new subscription too
        self.items[name] = item
        return item

    def _tick(self, contract: Contract) -> Values | None:
        last = self._market.last(contract.symbol)
        return None if last is None else tick_values(contract, self._market, last)

    def _price(self, contract: Contract) -> Values | None:
        last = self._market.last(contract.symbol)
        return None if last is None else price_values(contract, self._market, last, self._state(contract))

    def _candle(self, contract: Contract, frame: str) -> Values | None:
        candle = self._market.candle(contract.symbol, frame)
        return None if candle is None else candle_values(contract, self._market, candle, ended=False)

    def _funds(self, account_id: str) -> Values:
        account = self._settings.account(account_id)
        balance = f"{account.balance if account else 0:.2f}"
        full = dict.fromkeys(("FUNDS", "EQUITY", "AVAILABLE_CASH", "AVAILABLE_TO_DEAL"), balance)
        return dict.fromkeys(_ACCOUNT_FIELDS, "0.00") | full


def tick_values(contract: Contract, market: Market, tick: Tick) -> dict[str, str | None]:
    """Say a quote as ``CHART:{epic}:TICK`` does; nothing is traded on a book, so LTP, LTV and TTV are null."""
    return {
        "BID": contract.text(tick.bid),
        "OFR": contract.text(tick.ask),
        "LTP": None,
        "LTV": None,
        "TTV": None,
        "UTM": str(tick.ts_event // 1_000_000),
    } | _day_values(contract, market, tick)


def candle_values(contract: Contract, market: Market, candle: Candle, *, ended: bool) -> dict[str, str | None]:
    """Say a candle as ``CHART:{epic}:1MINUTE`` does."""
    values: dict[str, str | None] = {
        "UTM": str(candle.start_ns // 1_000_000),
        "CONS_END": "1" if ended else "0",
        "CONS_TICK_COUNT": str(candle.ticks),
    }
    for side, prices in (("BID", candle.bid), ("OFR", candle.ask)):
        for part, price in zip(("OPEN", "HIGH", "LOW", "CLOSE"), prices, strict=True):
            values[f"{side}_{part}"] = contract.text(price)
    last = Tick(contract.symbol, candle.end_ns, candle.bid[3], candle.ask[3])
    return values | _day_values(contract, market, last)


def price_values(contract: Contract, market: Market, tick: Tick, state: str) -> dict[str, str | None]:
    """Say a quote as ``PRICE:{account}:{epic}`` does, with one level of the ladder."""
    day = market.day(contract.symbol)
    mid = (tick.bid + tick.ask) / 2
    stamp = str(tick.ts_event // 1_000_000)
    values: dict[str, str | None] = {
        "BIDPRICE1": contract.text(tick.bid),
        "ASKPRICE1": contract.text(tick.ask),
        "BIDSIZE1": f"{tick.bid_size:g}" if tick.bid_size else None,
        "ASKSIZE1": f"{tick.ask_size:g}" if tick.ask_size else None,
        "BIDQUOTEID": f"B{stamp}",
        "ASKQUOTEID": f"A{stamp}",
        "CURRENCY0": contract.currency,
        "TIMESTAMP": stamp,
        "DLG_FLAG": state,
    }
    if day is not None:
        values |= {
            "MID_OPEN": contract.text(day.open),
            "HIGH": contract.text(day.high),
            "LOW": contract.text(day.low),
            "NET_CHG": contract.text(mid - day.open),
            "NET_CHG_(%)": f"{(mid / day.open - 1) * 100:.2f}",
        }
    return values


def _day_values(contract: Contract, market: Market, tick: Tick) -> dict[str, str | None]:
    day = market.day(contract.symbol)
    if day is None:
        return {}
    mid = (tick.bid + tick.ask) / 2
    return {
        "DAY_OPEN_MID": contract.text(day.open),
        "DAY_NET_CHG_MID": contract.text(mid - day.open),
        "DAY_PERC_CHG_MID": f"{(mid / day.open - 1) * 100:.2f}",
        "DAY_HIGH": contract.text(day.high),
        "DAY_LOW": contract.text(day.low),
    }


def _nothing() -> Values | None:
    return None
