"""A process with everything imported that forks producers, readers, collectors and servers in milliseconds each."""

import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tapehub import DataHub, HubError, Tick
from tapehub.hub.server import HubServer
from tests.models.market import NINE
from tests.servers.collecting import collect

ACK = struct.Struct("<qqqqq")  # first id, count, sequence (0: a batch), ns the call took, ns of them it had no CPU
QUANTUM = 1 / (1 << 26)  # ids are told by prices too, without rounding
BATCH = 300
SYMBOLS = ("EUR_USD", "GBP_USD")


def price_of(number: int | np.ndarray) -> Any:
    """Give the bid of an id; the ask is one quantum above."""
    return 1 + number * QUANTUM


def time_of(number: int | np.ndarray) -> Any:
    """Give the event time of an id."""
    return NINE + number * 1_000_000


def produce(path: str, source: str, first: int, acks: str) -> None:
    """Publish ids from `first` on until killed, and note in a file each call that returned before making the next."""
    hub = DataHub.open(path, name=source, segment_lines=1 << 16)
    file = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    starved_ns = runqueue_clock()
    batch = np.zeros(BATCH, [("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8"), ("instrument", "<u2")])
    number = first
    while True:
        began, starved = time.monotonic_ns(), starved_ns()
        if number % 16 == 0:
            ids = np.arange(number, number + BATCH)
            batch["ts_event"], batch["bid"], batch["instrument"] = time_of(ids), price_of(ids), ids % 2
            batch["ask"] = batch["bid"] + QUANTUM
            done, seq = hub.publish(batch, symbols=SYMBOLS, source=source), 0
        else:
            bid = price_of(number)
            tick = Tick(SYMBOLS[number % 2], bid, bid + QUANTUM, timestamp=time_of(number), source=source)
            done, seq = 1, hub.update_tick(tick)
        took = time.monotonic_ns() - began
        os.write(file, ACK.pack(number, done, seq, took, starved_ns() - starved))
        number += done


def runqueue_clock() -> Callable[[], int]:
    """Tell how long this thread was ready to run and did not, where the kernel counts that: no fault of any hub."""
    try:
        file = os.open("/proc/self/schedstat", os.O_RDONLY)
    except OSError:
        return lambda: 0
    return lambda: int(os.pread(file, 64, 0).split()[1])


def read(path: str, report: str) -> None:
    """Follow the log until SIGTERM, look at each tick and at the views, and write down what was seen."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    hub = DataHub.open(path, name="reader")
    seen = torn = bad_order = 0
    last_seq = -1
    with hub.stream(start="oldest") as stream:
        while True:
            batch = stream.poll(1 << 14, timeout_s=0 if stopping else 0.02)
            if stopping and not len(batch) and stream.position == hub.head:
                break
            rows = batch.numpy()
            seen += len(rows)
            if len(rows):
                torn += count_torn(rows, [hub.instruments.get(symbol, {}).get("id", -1) for symbol in SYMBOLS])
                sequences = rows["seq"].astype(np.int64)
                bad_order += int((np.diff(sequences) <= 0).sum()) + int(sequences[0] <= last_seq)
                last_seq = int(sequences[-1])
            torn += look_at_the_views(hub)
    with Path(report).open("w") as file:
        json.dump({"seen": seen, "torn": torn, "bad_order": bad_order, "lost": stream.lost, "head": hub.head}, file)
    hub.close()


def count_torn(rows: np.ndarray, instruments: list[int]) -> int:
    """Count ticks whose fields do not belong together."""
    numbers = (rows["ts_event"] - NINE) // 1_000_000
    whole = (rows["bid"] == price_of(numbers)) & (rows["ask"] == rows["bid"] + QUANTUM)
    return int((~whole | (rows["instrument"] != np.array(instruments)[numbers % 2])).sum())


def look_at_the_views(hub: DataHub) -> int:
    """Count contradictions between a latest tick's own fields and within candles."""
    wrong = 0
    for symbol in SYMBOLS:
        tick = hub.get_latest_tick(symbol)
        if tick is not None:
            wrong += tick.bid != price_of((tick.ts_event - NINE) // 1_000_000)
        for candle in hub.get_latest_candles(symbol, 20, "1s"):
            # Prices rise with time, so that a candle of whole ticks opens at its low and closes at its high.
            wrong += not (candle.open == candle.low <= candle.high == candle.close and candle.volume > 0)
        shown = hub.snapshot(symbol, "1d", 2)
        if shown.tick is not None and shown.candles:
            wrong += shown.candles[-1].close != shown.tick.mid
    return wrong


def serve(path: str) -> None:
    """Be the hub's server until killed."""
    HubServer(path).run(threading.Event())


def main() -> None:
    """Fork what is asked for, line by line, and answer with the pid."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        what, arguments = json.loads(line)
        if what == "end":
            break
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            os.close(1)
            try:
                {"produce": produce, "read": read, "collect": collect, "serve": serve}[what](**arguments)
            except HubError as error:
                sys.stderr.write(f"{what}: {error!r}\n")
                os._exit(3)
            os._exit(0)
        print(json.dumps(pid), flush=True)


if __name__ == "__main__":
    main()
