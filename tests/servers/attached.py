"""A process attached to a hub, which does what it reads on its standard input: see `processes.Process`."""

import json
import os
import sys
import threading
import time
from typing import Any

import tapehub
from tapehub import DataHub
from tapehub.hub.server import HubServer
from tests.models.market import EUR, quotes, tick


class Attached:
    """The commands, one method each."""

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        self.path = path
        self.server: HubServer | None = None
        self.hub = DataHub.open(path, **options) if options else tapehub.connect(path)

    def who(self) -> dict[str, Any]:
        """Say which hub this is and what it counts."""
        ledger = self.hub.ledger()
        return {
            "pid": os.getpid(),
            "hub_id": self.hub.hub_id,
            "epoch": self.hub.epoch,
            "head": self.hub.head,
            "records": ledger["records"],
            "ticks": ledger["ticks"],
            "instruments": ledger["instruments"],
        }

    def publish(self, seconds: list[float], symbol: str = EUR) -> int:
        """Publish a batch."""
        return self.hub.publish(quotes(seconds), symbol=symbol)

    def update(self, second: float, bid: float = 1.1, symbol: str = EUR) -> int:
        """Publish one tick."""
        return int(self.hub.update_tick(tick(second, bid, symbol)))

    def attempt(self, second: float) -> dict[str, Any]:
        """Publish one tick, or say which error came of it after how long."""
        began = time.monotonic()
        try:
            return {"seq": self.update(second), "took_s": time.monotonic() - began}
        except tapehub.TapehubError as error:
            return {"error": type(error).__name__, "message": str(error), "took_s": time.monotonic() - began}

    def publish_for_ever(self, symbol: str, from_s: float = 0.0) -> None:
        """Publish batches until killed, from that second on."""
        rows = quotes([from_s + n / 1_000 for n in range(2_000)])
        while True:
            self.hub.publish(rows, symbol=symbol)
            rows["ts_event"] += 2 * 10**9

    def bid(self, symbol: str = EUR) -> float | str | None:
        """Give the latest bid, or the name of the error."""
        try:
            latest = self.hub.get_latest_tick(symbol)
            return None if latest is None else latest.bid
        except tapehub.TapehubError as error:
            return type(error).__name__

    def hours(self, symbol: str, ts: int) -> list[bool | int | None]:
        """Say whether a symbol's market is open at an instant, and when that changes."""
        hours = self.hub.calendar(symbol)
        is_open = hours.is_open(ts)
        return [is_open, hours.next_close(ts) if is_open else hours.next_open(ts)]

    def serve(self) -> dict[str, Any]:
        """Become the server, or say why not."""
        try:
            self.server = HubServer(self.path)
        except tapehub.HubError as error:
            return {"error": type(error).__name__, "message": str(error)}
        return {"pid": os.getpid(), "started": self.server.started.isoformat()}

    def unserve(self) -> bool:
        """Stop being the server."""
        assert self.server is not None
        self.server.close()
        return True

    def set_clock(self, mode: str) -> int:
        """Set the hub clock."""
        return self.hub.set_clock(mode)

    def follow(self, count: int) -> list[int]:
        """Read so many ticks from the oldest on, waiting for them."""
        with self.hub.stream(start="oldest") as stream:
            return [next(stream).seq for _ in range(count)]

    def connections(self) -> list[bool]:
        """Connect from several threads at once; tell whether all got the same object."""
        got: list[DataHub] = []
        threads = [threading.Thread(target=lambda: got.append(tapehub.connect(self.path))) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return [one is got[0] for one in got]

    def close(self) -> bool:
        """Detach."""
        self.hub.close()
        return True


def main() -> None:
    """Answer until the input ends."""
    path, options = sys.argv[1], json.loads(sys.argv[2])
    attached = Attached(path, options)
    for line in sys.stdin:
        what, arguments = json.loads(line)
        print(json.dumps(getattr(attached, what)(**arguments)), flush=True)


if __name__ == "__main__":
    main()
