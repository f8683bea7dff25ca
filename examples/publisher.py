"""Publish a few ticks in ten lines. Any number of processes may do so at a time, and no server has to run."""

import sys

from tapehub import DataHub, Tick

hub = DataHub.open(sys.argv[1] if len(sys.argv) > 1 else "my-hub", create=True)
for bid in (1.15150, 1.15154, 1.15149):
    sequence = hub.update_tick(Tick("EUR_USD", bid, bid + 0.00006))
    print(f"published {bid:.5f} as record {sequence}")
hub.close()
