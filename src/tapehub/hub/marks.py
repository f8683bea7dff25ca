"""What is logged about the data besides the data: states, gaps, quarantine, comparisons, and what feeds report.

A record's two numbers (`fixed`) and its payload mean, by kind:

========== ==================================== ======================== =========================================
kind       first number                         second number            payload
========== ==================================== ======================== =========================================
state      `State`; above its low byte: slot    event time since when    the cause, as text
           and attachment of who says so        data are not good
gap        start, event time                    end, or start while it   JSON: end, cause, status
                                                lasts
quarantine `Reason` number                      quotes of that kind not  length of a JSON text (u16), the text, then
                                                stored since the last    a quote's numbers or the raw bytes
comparison start of the candle                  timeframe index          JSON
ledger     what it is: 0 or 1; above the low    -                        0, JSON: what a feed received and did with it
           byte as with a state                                          1, JSON: how its connection stands
ledger     2                                    quotes that are lost     JSON: the process that died, or left, with
                                                                         them in hand; written by the native core
========== ==================================== ======================== =========================================
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

from tapehub.hub import blobs, reading, scanning
from tapehub.hub.arguments import check_limit, check_source
from tapehub.hub.naming import symbol_of
from tapehub.hub.witness import witness
from tapehub.model.records import NO_INSTRUMENT, GapFlag, Kind
from tapehub.model.states import GapStatus, State

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = [
    "GAP_FIELDS", "comparison", "comparisons", "feed_link", "feed_report", "feed_reports", "gap", "gap_row", "gaps",
    "quarantine", "quarantined", "read_quarantine", "signed", "state",
]  # fmt: skip

GAP_FIELDS: Final = ("start", "end", "cause", "status", "seq")
"""Of a row of `gaps`."""

RAW_FLAG: Final = 1
"""Of a quarantine record: its payload ends in the bytes of a message, not in a quote."""

_QUOTE = struct.Struct("<qqddff")
_QUOTE_FIELDS = ("ts_event", "ts_recv", "bid", "ask", "bid_size", "ask_size")
_RAW_BYTES_MAX = 3_000
LINK: Final = 1
"""Low byte of the first number of a ledger record that says how a feed's connection stands."""

LOSS: Final = 2
"""That of one which says what was lost with a process: see `kLedgerLoss` in layout.hpp."""

_REPORT_SEGMENTS = 2  # reports come once a minute: older segments are not searched for one


def signed(number: int) -> int:
    """Read one of a record's two numbers, which are 64 bits without a sign, as a time."""
    return int(number) - (1 << 64) * (int(number) >> 63)


# ---------------------------------------------------------------- states


def state(
    hub: DataHub, symbol: str, source: str, found: State, cause: str, at_ns: int, since_ns: int | None = None
) -> int:
    """Log that the state of an instrument's feed has changed. Returns the sequence number.

    The process that says so answers for it: when it is gone, its word is no longer believed (see `reading.state`).
    """
    instrument, number = _place(hub, symbol, source)
    return hub._publish_record(
        int(Kind.STATE),
        at_ns,
        fixed1=int(found) | witness(hub),
        fixed2=max(0, at_ns if since_ns is None else since_ns),
        instrument=instrument,
        source=number,
        payload=cause.encode()[:1000],
    )


# ---------------------------------------------------------------- gaps


def gap(
    hub: DataHub,
    symbol: str,
    source: str,
    start: int,
    end: int | None,
    cause: str,
    status: GapStatus = GapStatus.OPEN,
    *,
    noted: bool = False,
    at_ns: int | None = None,
) -> int:
    """Log a span without a live feed, or news of one. Returns the sequence number.

    Args:
        start: ns UTC; the same start is the same gap, of which the last record holds.
        end: None while it lasts. The record that gives the end lowers the coverage of the candles in the span.
        noted: the span is in the log already, only the status is new.
        at_ns: when it became known; default is the end.
    """
    instrument, number = _place(hub, symbol, source)
    body = json.dumps({"end": end, "cause": cause[:1000], "status": int(status)}).encode()
    flags = GapFlag.NOTED if noted else GapFlag.LASTS if end is None else 0
    return hub._publish_record(
        int(Kind.GAP),
        at_ns if at_ns is not None else start if end is None else end,
        fixed1=start,
        fixed2=start if end is None else end,
        instrument=instrument,
        source=number,
        flags=int(flags),
        payload=body,
    )


def gaps(hub: DataHub, symbol: str, source: str | None = None) -> list[dict[str, Any]]:
    """Read the gaps of a symbol back from the log: one row each, as its last record tells it, oldest first."""
    check_source(source)
    channel = reading.find_channel(hub, symbol, source)
    if channel is None:
        return []
    mask = bytes(channel) + b"\x01"
    rows: dict[int, dict[str, Any]] = {}
    for seq, record in scanning.between(hub, 1 << Kind.GAP, int(hub._hub_state()["oldest"]), hub.head, mask):
        row = gap_row(seq, record)
        row["seq"] = rows.get(row["start"], row)["seq"]
        rows[row["start"]] = row
    return [rows[start] for start in sorted(rows)]


def gap_row(seq: int, record: Any) -> dict[str, Any]:
    """Read what one record says of a gap."""
    start, end = signed(record[5]), signed(record[6])
    text = record[10].decode(errors="replace")
    try:
        told = json.loads(text)
        end, cause, status = told["end"], told["cause"], GapStatus(told["status"])
    except (ValueError, KeyError, TypeError):  # from before there was a status: the cause alone
        cause, status = text, GapStatus.OPEN
    return {"start": start, "end": end, "cause": cause, "status": status.label, "seq": seq}


# ---------------------------------------------------------------- quarantine


def quarantine(
    hub: DataHub,
    symbol: str,
    source: str,
    reason: int,
    at_ns: int,
    *,
    quote: tuple[int, int, float, float, float, float] | None = None,
    raw: bytes = b"",
    detail: str = "",
    not_stored: int = 0,
) -> int:
    """Log what was refused, and why. Returns the sequence number.

    Args:
        symbol: may be unknown: nothing is defined for it. Empty where the message tells none.
        reason: number of a `quality.Reason`.
        quote: ts_event, ts_recv, bid, ask, bid_size, ask_size as they came; or
        raw: a message that could not be read, of which the first 3,000 bytes are kept.
        not_stored: how many of the same instrument, source and reason were counted and not logged since the last.
    """
    found = hub._find(hub._names.canonical(symbol)) if symbol else None
    instrument, number = NO_INSTRUMENT, hub._define_source(source[:31])
    if found and (found[0], number) in hub._channels():
        instrument = found[0]
    told: dict[str, Any] = {"symbol": symbol, "source": source, "detail": detail[:500]}
    if len(raw) > _RAW_BYTES_MAX:
        told["bytes"] = len(raw)
    text = json.dumps(told).encode()
    body = raw[:_RAW_BYTES_MAX] if quote is None else _QUOTE.pack(*quote)
    return hub._publish_record(
        int(Kind.QUARANTINE),
        at_ns,
        fixed1=reason,
        fixed2=not_stored,
        instrument=instrument,
        source=number,
        flags=RAW_FLAG if quote is None else 0,
        payload=struct.pack("<H", len(text)) + text + body,
    )


def quarantined(hub: DataHub, symbol: str | None, limit: int) -> list[dict[str, Any]]:
    """Read back what was refused, newest ``limit``, oldest first."""
    limit = _limit(limit)
    name = None if symbol is None else hub._names.canonical(symbol)
    rows: list[dict[str, Any]] = []
    for seq, record in scanning.newest(hub, 1 << Kind.QUARANTINE):
        if len(rows) >= limit:
            break
        told = read_quarantine(record[9], record[10])
        if name is not None and (not told["symbol"] or hub._names.canonical(told["symbol"]) != name):
            continue
        row: dict[str, Any] = {"seq": seq, "ts": record[2], "reason": int(record[5]), "not_stored": int(record[6])}
        rows.append(row | told)
    return rows[::-1]


def read_quarantine(flags: int, payload: bytes) -> dict[str, Any]:
    """Read what a record says of something that was refused.

    The flag alone tells its two forms apart: a message may have any reason, and be as long as a quote is.

    Returns:
        ``symbol``, ``source``, ``detail``, and either ``raw`` with, where it was cut, ``bytes``, or a quote's
        ``ts_event``, ``ts_recv``, ``bid``, ``ask``, ``bid_size``, ``ask_size``.

    Raises:
        ValueError: the payload is of another version, or damaged.
    """
    try:
        (size,) = struct.unpack_from("<H", payload)
        told: dict[str, Any] = json.loads(payload[2 : 2 + size])
        body = payload[2 + size :]
        if flags & RAW_FLAG:
            return {**told, "raw": body}
        return {**told, **dict(zip(_QUOTE_FIELDS, _QUOTE.unpack(body), strict=True))}
    except struct.error as error:
        raise ValueError(f"a record of quarantine that cannot be read: {error}") from None


# ---------------------------------------------------------------- comparisons and reports


def comparison(
    hub: DataHub, symbol: str, source: str, start: int, timeframe: int, told: dict[str, Any], at_ns: int
) -> int:
    """Log how a candle differs from the venue's own. Returns the sequence number."""
    instrument, number = _place(hub, symbol, source)
    return hub._publish_record(
        int(Kind.COMPARISON),
        at_ns,
        fixed1=start,
        fixed2=timeframe,
        instrument=instrument,
        source=number,
        payload=json.dumps(told).encode(),
    )


def comparisons(hub: DataHub, symbol: str | None, limit: int) -> list[dict[str, Any]]:
    """Read back how candles differed, newest ``limit``, oldest first."""
    limit = _limit(limit)
    name = None if symbol is None else hub._names.canonical(symbol)
    rows: list[dict[str, Any]] = []
    for seq, record in scanning.newest(hub, 1 << Kind.COMPARISON):
        of = symbol_of(hub, record[7])
        if len(rows) >= limit:
            break
        if name is None or of == name:
            told = json.loads(record[10])
            rows.append({"seq": seq, "symbol": of, "source": hub.sources[record[8]], "start": int(record[5]), **told})
    return rows[::-1]


def feed_report(hub: DataHub, source: str, told: dict[str, Any], at_ns: int) -> int:
    """Log what a feed received and what became of it, in total since its process began. Returns the sequence number."""
    return _ledger(hub, source, json.dumps({"feed": source, **told}), at_ns)


def feed_reports(hub: DataHub) -> dict[str, dict[str, Any]]:
    """Give the newest report of each feed."""
    lines = int(hub._hub_state()["segment_lines"])
    found: dict[str, dict[str, Any]] = {}
    oldest = max(0, hub.head // lines - _REPORT_SEGMENTS + 1) * lines
    for seq, record in scanning.newest(hub, 1 << Kind.LEDGER, oldest):
        if int(record[5]) & 0xFF in (LINK, LOSS):
            continue
        told = json.loads(blobs.load(hub, record[9], record[10]))
        found.setdefault(told.pop("feed"), {"seq": seq, "ts": record[2], **told})
    return found


def feed_link(hub: DataHub, source: str, told: dict[str, Any], at_ns: int) -> int:
    """Log how a feed's connection stands; this process answers for it. Returns the sequence number."""
    return _ledger(hub, source, json.dumps({"feed": source, **told}, separators=(",", ":")), at_ns, link=True)


def _ledger(hub: DataHub, source: str, text: str, at_ns: int, *, link: bool = False) -> int:
    def publish(flags: int, payload: bytes, incarnation: int) -> int:
        return hub._publish_record(
            int(Kind.LEDGER), at_ns, fixed1=LINK | witness(hub) if link else 0, flags=flags, payload=payload,
            source=hub._define_source(source[:31]), incarnation=incarnation,
        )  # fmt: skip

    return blobs.keep(hub, text.encode(), publish)


def _limit(limit: int | None) -> int:
    found = check_limit(limit)
    return 100 if found is None else found


def _place(hub: DataHub, symbol: str, source: str) -> tuple[int, int]:
    """Give the ids of an instrument and a source, defining what is missing."""
    channel = hub._names.channel(symbol, source)
    return hub._channels()[channel]
