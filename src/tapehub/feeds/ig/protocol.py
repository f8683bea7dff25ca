"""Item updates in, events out: no socket, no clock, no thread.

An update carries the fields that changed. They are merged per item, and the merge begins anew with every subscription
that the server confirms, so a bid from before a reconnection is never paired with an ask from after it.

Source: IG Labs, streaming API reference, CHART and PRICE items; TLCP specification 2.5.0, "Real-time update".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from tapehub.feeds.feed import Event, Malformed, MarketStatus, Quotes, Status, StatusKind, VenueCandle
from tapehub.feeds.ig.budget import Item, Role, shown
from tapehub.feeds.ig.markets import is_halted, is_open
from tapehub.feeds.ig.scaling import Scaler, WrongScale
from tapehub.feeds.quotes import Row

__all__ = ["Changes", "Protocol"]

Changes = Mapping[str, str | None]

_MS = 1_000_000
_UTM_MAX = (1 << 63) // _MS - 1
_SCALE_TRIES = 3
"""One odd price is that price's fault; as many in a row are the scale's."""
_GATE_SEES = 20.0
"""The quality gate quarantines a price so many times off, with a better reason than any here."""
_BID = ("BID_OPEN", "BID_HIGH", "BID_LOW", "BID_CLOSE")
_ASK = ("OFR_OPEN", "OFR_HIGH", "OFR_LOW", "OFR_CLOSE")


class _Merged:
    """Keep what is known of one item."""

    __slots__ = ("candle_done", "fields", "index", "item", "misfits", "scaler", "step", "symbol", "word")

    def __init__(self, item: Item, index: int, scaler: Scaler | None) -> None:
        self.item = item
        self.symbol = item.symbol
        self.index = index
        self.scaler = scaler
        self.step: Callable[[_Merged, Changes, int], None]
        self.clear()

    def clear(self) -> None:
        self.fields: dict[str, str | None] = {}
        self.misfits = 0
        self.word = ""
        self.candle_done = 0


class Protocol:
    """Turn IG's item updates into events. One thread.

    Every update of a tick item becomes exactly one quote or one `Malformed`.

    Args:
        symbols: of the feed; a quote's `instrument` is an index into them.
        source: who quotes, as the hub shall know it.
    """

    def __init__(self, symbols: tuple[str, ...], source: str = "ig") -> None:
        self._symbols = symbols
        self._sources = (source,) * len(symbols)
        self._source = source
        self._items: dict[str, _Merged] = {}
        self._events: list[Event] = []
        self._rows: list[Row] = []
        self.received: Counter[str] = Counter()
        self.passed_over: Counter[str] = Counter()
        """Updates that are no quotes and came too late to mean anything, by item."""

    def assign(self, items: Iterable[Item], scalers: Mapping[str, Scaler]) -> None:
        """Take a plan's items in place of those before; what is merged of an item that stays is kept."""
        steps = {
            Role.TICK: self._tick, Role.HEARTBEAT: self._heartbeat, Role.PRICE: self._state, Role.CANDLE: self._candle,
        }  # fmt: skip
        before, self._items = self._items, {}
        for item in items:
            known = before.get(item.name)
            if known is not None and known.item == item and known.scaler is scalers.get(item.symbol):
                self._items[item.name] = known
                continue
            index = self._symbols.index(item.symbol) if item.symbol else -1
            merged = _Merged(item, index, scalers.get(item.symbol))
            merged.step = steps[item.role]
            self._items[item.name] = merged

    def subscribed(self, name: str) -> None:
        """Begin an item anew: the server confirmed a subscription, of this session or of another one."""
        merged = self._items.get(name)
        if merged is None:
            return
        merged.clear()
        if merged.scaler is not None and merged.item.role is Role.TICK:
            merged.scaler.forget()

    def update(self, name: str, changes: Changes, ts_recv: int, symbol: str = "") -> None:
        """Take one update; `take` gives what came of it.

        Args:
            symbol: whose quote it is, where the stream knows, for an item that has left the plan since.
        """
        merged = self._items.get(name)
        if merged is None:
            self._malformed(name, changes, "an item that was not asked for", ts_recv, symbol)
            return
        merged.fields.update(changes)
        merged.step(merged, changes, ts_recv)

    def late(self, name: str, changes: Changes, ts_recv: int, symbol: str = "") -> None:
        """Take an update of a subscription that is over: a quote that is not published, or nothing at all."""
        if symbol:
            self._malformed(name, changes, "an update of a subscription that is over", ts_recv, symbol)
        else:
            self.passed_over[shown(name)] += 1

    def lose(self, symbol: str, count: int, why: str, ts_recv: int) -> None:
        """Account for quotes that came and were not kept."""
        if symbol:
            self.received[symbol] += count
            self.say(Malformed(b"", why, ts_recv, symbol, count))
        else:
            self.passed_over["no room"] += count

    def say(self, event: Event) -> None:
        """Put an event of the transport in its place among the others."""
        self._flush()
        self._events.append(event)

    @property
    def pending(self) -> int:
        """Count what waits to be taken."""
        return len(self._events) + len(self._rows)

    def take(self) -> list[Event]:
        """Hand over the events so far, in the order they came; quotes are batched between other events."""
        self._flush()
        events, self._events = self._events, []
        return events

    # ---------------------------------------------------------------- one item each

    def _tick(self, merged: _Merged, changes: Changes, ts_recv: int) -> None:
        fields, scaler = merged.fields, merged.scaler
        try:
            suffix = scaler.suffix  # type: ignore[union-attr]
            if suffix is None:
                self._unsettled(merged, changes, ts_recv)
                return
            # The text is read with its exponent appended: exact, and faster than a division after it.
            bid = float(fields["BID"] + suffix)  # type: ignore[operator]
            ask = float(fields["OFR"] + suffix)  # type: ignore[operator]
            utm = int(fields["UTM"])  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, AttributeError):
            self._malformed(merged.item.name, changes, _why(fields), ts_recv, merged.item.symbol)
            return
        # What nearly all are; `_quote` says what is wrong with the others.
        if 0 <= utm <= _UTM_MAX and scaler.low < bid < scaler.high and not merged.misfits:  # type: ignore[union-attr]
            self.received[merged.symbol] += 1
            self._rows.append((utm * _MS, ts_recv, bid, ask, 0.0, 0.0, merged.index))
        else:
            self._quote(merged, changes, bid, ask, utm, ts_recv)

    def _unsettled(self, merged: _Merged, changes: Changes, ts_recv: int) -> None:
        """Read a quote whose divisor is not decided, or is no power of ten."""
        fields, scaler = merged.fields, merged.scaler
        assert scaler is not None
        bid_text, ask_text = fields["BID"], fields["OFR"]
        if bid_text is None or ask_text is None:
            raise ValueError
        utm = int(fields["UTM"])  # type: ignore[arg-type]
        try:
            scaler.settle((float(bid_text) + float(ask_text)) / 2)
        except WrongScale as error:
            self._malformed(merged.item.name, changes, str(error), ts_recv, merged.item.symbol)
            self._count_misfit(merged, str(error), ts_recv)
            return
        self._quote(merged, changes, scaler.price(bid_text), scaler.price(ask_text), utm, ts_recv)

    def _quote(self, merged: _Merged, changes: Changes, bid: float, ask: float, utm: int, ts_recv: int) -> None:
        if not 0 <= utm <= _UTM_MAX:
            self._malformed(merged.item.name, changes, f"UTM {utm} is no time in ms", ts_recv, merged.item.symbol)
            return
        if not merged.scaler.low < bid < merged.scaler.high:  # type: ignore[union-attr]
            if self._misfit(merged, changes, bid, ts_recv):
                return
        elif merged.misfits:
            self._fits_again(merged, ts_recv)
        self.received[merged.symbol] += 1
        self._rows.append((utm * _MS, ts_recv, bid, ask, 0.0, 0.0, merged.index))

    def _misfit(self, merged: _Merged, changes: Changes, bid: float, ts_recv: int) -> bool:
        """Keep a price back whose magnitude changed in mid-stream; True when it is kept back.

        Zeros and prices 20 times off go on: the quality gate has reasons of their own for them.
        """
        assert merged.scaler is not None
        if not bid > 0:
            return False
        why = f"{merged.item.name}: {bid:g} is of another magnitude than before ({merged.scaler.reference:g})"
        self._count_misfit(merged, f"{why}; not published until they agree", ts_recv)
        if not merged.scaler.reference / _GATE_SEES < bid < merged.scaler.reference * _GATE_SEES:
            return False
        self._malformed(merged.item.name, changes, why, ts_recv, merged.item.symbol)
        return True

    def _count_misfit(self, merged: _Merged, why: str, ts_recv: int) -> None:
        merged.misfits += 1
        if merged.misfits == _SCALE_TRIES:
            self.say(Status(StatusKind.REFUSED, (merged.item.symbol,), ts_recv, f"{merged.item.symbol}: {why}"))

    def _fits_again(self, merged: _Merged, ts_recv: int) -> None:
        refused, merged.misfits = merged.misfits >= _SCALE_TRIES, 0
        if refused:
            self.say(Status(StatusKind.SUBSCRIBED, (merged.item.symbol,), ts_recv, "prices are of one magnitude again"))

    def _heartbeat(self, merged: _Merged, changes: Changes, ts_recv: int) -> None:
        self.say(Status(StatusKind.HEARTBEAT, (), ts_recv, changes.get("HEARTBEAT") or ""))

    def _state(self, merged: _Merged, changes: Changes, ts_recv: int) -> None:
        """Pass the market state on when it changes; the prices of this item are conflated, and not used."""
        word = (merged.fields.get("DLG_FLAG") or "").strip()
        if word and word != merged.word:
            merged.word = word
            self.say(MarketStatus((merged.item.symbol,), is_open(word), ts_recv, word, is_halted(word)))

    def _candle(self, merged: _Merged, changes: Changes, ts_recv: int) -> None:
        """Give a candle when the venue says it is complete, or else when the next one begins.

        The fields before this update are put together again for that, since the update has overwritten some.
        """
        fields = merged.fields
        previous = fields.get("_UTM")
        now = fields.get("UTM")
        if previous is not None and now != previous:
            if merged.candle_done != 1:
                self._emit_candle(merged, {name: fields.get(f"_{name}") for name in merged.item.fields}, ts_recv, False)
            merged.candle_done = 0
            if "CONS_END" not in changes:
                fields["CONS_END"] = "0"  # the mark of the candle before
        for name in merged.item.fields:
            fields[f"_{name}"] = fields.get(name)
        if fields.get("CONS_END") == "1" and merged.candle_done != 1:
            merged.candle_done = 1
            self._emit_candle(merged, fields, ts_recv, True)

    def _emit_candle(self, merged: _Merged, fields: Mapping[str, str | None], ts_recv: int, confirmed: bool) -> None:
        scaler, symbol = merged.scaler, merged.item.symbol
        try:
            texts = [fields.get(name) or "" for name in (*_BID, *_ASK)]
            if not any(texts):  # a minute without a trade has no prices
                return
            assert scaler is not None
            scaler.settle(float(texts[3]))
            prices = [scaler.price(text) for text in texts]
            start = int(fields.get("UTM") or "") * _MS
            ticks = int(fields.get("CONS_TICK_COUNT") or 0)
        except WrongScale as error:
            self._malformed(merged.item.name, fields, str(error), ts_recv)
            return
        except (KeyError, TypeError, ValueError):
            self._malformed(merged.item.name, fields, "a candle with a field that is no number", ts_recv)
            return
        bid = (prices[0], prices[1], prices[2], prices[3])
        ask = (prices[4], prices[5], prices[6], prices[7])
        self.say(VenueCandle(symbol, self._source, "1m", start, bid, ask, ticks, ts_recv, confirmed))

    # ---------------------------------------------------------------- what is kept until `take`

    def _malformed(self, name: str, fields: Changes, why: str, ts_recv: int, symbol: str = "") -> None:
        if symbol:
            self.received[symbol] += 1
        said = {key: value for key, value in fields.items() if not key.startswith("_")}
        raw = json.dumps({"item": shown(name), "fields": said}).encode()
        self.say(Malformed(raw, why, ts_recv, symbol))

    def _flush(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            self._events.append(Quotes(rows, self._symbols, self._sources))


def _why(fields: Changes) -> str:
    missing = [name for name in ("BID", "OFR", "UTM") if fields.get(name) is None]
    if missing:
        return f"a tick without {', '.join(missing)}"
    return "a tick whose BID, OFR or UTM is no number"
