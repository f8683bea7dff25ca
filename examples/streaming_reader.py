"""Follow every tick, in order, and say so if any was lost. Ctrl-C ends it, or a second argument: how many to read.

Start it beside a feed, such as ``tapehub replay FILE --speed 10``.
"""

import sys

import tapehub

hub = tapehub.connect(sys.argv[1] if len(sys.argv) > 1 else "my-hub")
wanted = int(sys.argv[2]) if len(sys.argv) > 2 else None
seen = 0
with hub.stream(start="oldest", name="example") as stream:
    while wanted is None or seen < wanted:
        batch = stream.poll(1000, timeout_s=1.0)  # waits without using the processor
        for tick in batch:
            print(f"{tick.timestamp:%H:%M:%S.%f} {tick.symbol} {tick.bid:.5f} {tick.ask:.5f} {tick.spread:.1f} pips")
        seen += len(batch)
        if batch.lost:
            print(f"{batch.lost} records were dropped before they could be read", file=sys.stderr)
