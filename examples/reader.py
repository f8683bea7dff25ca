"""Read the latest tick and the newest ones as an array in ten lines. Run `publisher.py` first."""

import sys

import tapehub

hub = tapehub.connect(sys.argv[1] if len(sys.argv) > 1 else "my-hub")
tick = hub.get_latest_tick("EUR_USD")
if tick is None:
    sys.exit("no EUR_USD in this hub yet: run publisher.py")
print(f"{tick.symbol} {tick.mid:.5f}, {tick.spread:.1f} pips, {hub.state(tick.symbol)}")
print(hub.ticks("EUR_USD", limit=3).numpy()[["bid", "ask"]])
