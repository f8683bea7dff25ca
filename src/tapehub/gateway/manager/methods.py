"""The methods of the hub that callers reach through the endpoint, with the arguments of each checked by type.

Checked here, because the hub's own messages show the value they refuse, and a value may be built so that showing it
takes for ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tapehub.gateway.manager.shapes import NotOfShape, candle_of, order_flow_of, tick_of

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["METHODS", "PROPERTIES", "WARM_START_ALL", "Method"]

_LIMIT_MAX = 100_000
_REQUIRED: Final = object()

WARM_START_ALL: Final = (
    "warm_start_all cannot run your function in the hub: functions are never accepted over this connection. Call it "
    "where you are and send the candles: for symbol in symbols: hub.warm_start_candles(symbol, fetch(symbol, limit))"
)


@dataclass(frozen=True, slots=True)
class Method:
    """Describe one method.

    Attributes:
        call: takes the hub and the checked arguments.
        parameters: name, check, default of each.
        repeats: what it does depends on its arguments alone, and it is called so often that they are worth keeping.
    """

    call: Callable[..., Any]
    parameters: tuple[tuple[str, Callable[[Any], Any], Any], ...] = ()
    repeats: bool = False

    def bind(self, name: str, args: Any, named: Any) -> list[Any]:
        """Check arguments as a call of the method would, and by type.

        Raises:
            NotOfShape: too many, too few, or of another type.
        """
        if type(args) not in (tuple, list) or type(named) is not dict:
            raise NotOfShape(f"{name}: the arguments are no tuple and dictionary")
        names = [parameter[0] for parameter in self.parameters]
        if len(args) > len(names):
            raise NotOfShape(f"{name} takes {', '.join(names) or 'no arguments'}, got {len(args)} arguments")
        given = dict(zip(names, args, strict=False))
        for key, value in named.items():
            if key not in names or key in given:
                shown = key[:64] if isinstance(key, str) else type(key).__name__
                raise NotOfShape(f"{name} got {shown!r}, expected each of {', '.join(names)} once")
            given[key] = value
        bound = []
        for key, check, default in self.parameters:
            if key in given:
                bound.append(check(given[key]))
            elif default is _REQUIRED:
                raise NotOfShape(f"{name} lacks {key}; it takes {', '.join(names)}")
            else:
                bound.append(default)
        return bound


def _symbol(value: Any) -> str:
    if type(value) is not str or len(value) > 64:
        raise NotOfShape(f"a symbol is a text of at most 64 characters, got a {type(value).__name__}")
    return value


def _limit(value: Any) -> int:
    if type(value) is not int:
        raise NotOfShape(f"limit is a whole number, got a {type(value).__name__}")
    return min(value, _LIMIT_MAX)


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise NotOfShape(f"an age in seconds is a number, got a {type(value).__name__}")
    return float(value)


def _ages(value: Any) -> dict[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or len(value) > 16 or not all(type(key) is str for key in value):
        raise NotOfShape("max_age_seconds is a dictionary such as {'tick': 2, 'candle': 120, 'order_flow': 5}")
    return {key[:64]: _seconds(age) for key, age in value.items()}


def _candles(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise NotOfShape(f"candles are a list, got a {type(value).__name__}")
    if len(value) > _LIMIT_MAX:  # one candle of the memo is sent again with two bytes, and becomes 200 here
        raise NotOfShape(f"{len(value):,} candles at once, expected at most {_LIMIT_MAX:,}; send them in parts")
    return [candle_of(one) for one in value]


def _symbols(value: Any) -> list[str]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise NotOfShape(f"symbols are a list, got a {type(value).__name__}")
    if len(value) > _LIMIT_MAX:
        raise NotOfShape(f"{len(value):,} symbols, expected at most {_LIMIT_MAX:,}")
    return [_symbol(one) for one in value]


def _any(value: Any) -> Any:
    return value


def _refused(hub: DataHub, symbols: Iterable[str], fetch: Any, limit: int) -> int:
    raise NotOfShape(WARM_START_ALL)


_OF_SYMBOL = (("symbol", _symbol, _REQUIRED),)

METHODS: Final[Mapping[str, Method]] = {
    "update_tick": Method(lambda hub, tick: hub.update_tick(tick), (("tick", tick_of, _REQUIRED),)),
    "update_candle_1m": Method(lambda hub, candle: hub.update_candle_1m(candle), (("candle", candle_of, _REQUIRED),)),
    "update_order_flow": Method(
        lambda hub, metrics: hub.update_order_flow(metrics), (("metrics", order_flow_of, _REQUIRED),)
    ),
    "get_latest_tick": Method(lambda hub, symbol: hub.get_latest_tick(symbol), _OF_SYMBOL, repeats=True),
    "get_latest_candles": Method(
        lambda hub, symbol, limit: hub.get_latest_candles(symbol, limit),
        (*_OF_SYMBOL, ("limit", _limit, 100)),
        repeats=True,
    ),
    "get_latest_order_flow": Method(lambda hub, symbol: hub.get_latest_order_flow(symbol), _OF_SYMBOL, repeats=True),
    "warm_start_candles": Method(
        lambda hub, symbol, candles: hub.warm_start_candles(symbol, candles),
        (*_OF_SYMBOL, ("candles", _candles, _REQUIRED)),
    ),
    "warm_start_all": Method(
        _refused, (("symbols", _symbols, _REQUIRED), ("db_fetch_func", _any, _REQUIRED), ("limit", _limit, 100))
    ),
    "get_status": Method(lambda hub: hub.get_status()),
    "check_staleness": Method(
        lambda hub, symbol, ages: hub.check_staleness(symbol, ages), (*_OF_SYMBOL, ("max_age_seconds", _ages, None))
    ),
    "clear_symbol": Method(lambda hub, symbol: hub.clear_symbol(symbol), _OF_SYMBOL),
    "clear_all": Method(lambda hub: hub.clear_all()),
    # Since the first release: the same questions a caller may ask in the hub's own process.
    "state": Method(lambda hub, symbol: hub.state(symbol), _OF_SYMBOL),
    "require_fresh": Method(
        lambda hub, symbol, max_age_s: hub.require_fresh(symbol, max_age_s),
        (*_OF_SYMBOL, ("max_age_s", _seconds, _REQUIRED)),
    ),
    "gaps": Method(lambda hub, symbol: hub.gaps(symbol), _OF_SYMBOL),
    "ledger": Method(lambda hub: hub.ledger()),
}

PROPERTIES: Final[Mapping[str, Callable[[DataHub], Any]]] = {
    "epoch": lambda hub: hub.epoch,
    "head": lambda hub: hub.head,
    "hub_id": lambda hub: hub.hub_id,
    "instruments": lambda hub: hub.instruments,
    "path": lambda hub: hub.path,
    "sources": lambda hub: hub.sources,
}
"""What the hub is, rather than does: tapehub's own client reads them as values; a stock proxy knows methods alone."""
