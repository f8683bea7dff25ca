"""A program that uses a hub through `multiprocessing.managers.BaseManager`, with the standard library alone.

    python -S -I stock_client.py HOST PORT KEY auto|explicit

Answers each line of Python expression with a line: its repr, or the error. `hub` is the proxy, `manager` the manager.
"""

# ruff: noqa: UP017 - Python 3.10 has such programs too

import importlib.util
import sys
from datetime import datetime, timedelta, timezone
from multiprocessing.managers import BaseManager, BaseProxy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
assert importlib.util.find_spec("tapehub") is None, "this program must know nothing of tapehub"
assert importlib.util.find_spec("numpy") is None, "nor of any library"

from market_data_models import Candle, OrderFlowMetrics, Tick  # noqa: E402, F401 - for the lines that come


class HubProxy(BaseProxy):
    """A proxy as programs write it themselves."""

    _exposed_ = ("update_tick", "get_latest_tick", "get_latest_candles", "get_status")

    def update_tick(self, tick):  # type: ignore[no-untyped-def]
        return self._callmethod("update_tick", (tick,))

    def get_latest_tick(self, symbol):  # type: ignore[no-untyped-def]
        return self._callmethod("get_latest_tick", (symbol,))

    def get_latest_candles(self, symbol, limit=100):  # type: ignore[no-untyped-def]
        return self._callmethod("get_latest_candles", (symbol,), {"limit": limit})

    def get_status(self):  # type: ignore[no-untyped-def]
        return self._callmethod("get_status")


class Manager(BaseManager):
    """The manager of the program."""


def fetch(symbol, limit):  # type: ignore[no-untyped-def]
    """Load candles from somewhere, as `warm_start_all` is given it."""
    return candles(symbol, limit)


def candles(symbol, count):  # type: ignore[no-untyped-def]
    """Make candles of consecutive minutes."""
    first = datetime(2026, 6, 2, 12, tzinfo=timezone.utc)
    return [Candle(symbol, first + timedelta(minutes=n), 1.1, 1.3, 1.0, 1.2, float(n)) for n in range(count)]


def main():  # type: ignore[no-untyped-def]
    host, port, key, form = sys.argv[1:]
    if form == "explicit":
        Manager.register("DataHub", proxytype=HubProxy)
    else:
        Manager.register("DataHub")
    Manager.register("Unknown")

    def connect():  # type: ignore[no-untyped-def]
        manager = Manager(address=(host, int(port)), authkey=key.encode())
        manager.connect()
        return manager

    names = {**globals(), "connect": connect}
    for line in sys.stdin:
        try:
            try:
                answer = repr(eval(line, names))
            except SyntaxError:
                exec(line, names)
                answer = "None"
        except Exception as error:
            answer = f"! {type(error).__name__}: {error}".replace("\n", " | ")
        print(answer, flush=True)


if __name__ == "__main__":
    main()
