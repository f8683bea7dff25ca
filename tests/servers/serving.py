"""A process that serves a hub over HTTP, tells its address, and ends when its input does: `processes.Process`."""

import json
import sys
from pathlib import Path

from tapehub import DataHub
from tapehub.gateway.serving import Gateway
from tapehub.gateway.settings import GatewaySettings


def main() -> None:
    """Serve until the input ends."""
    path, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    with DataHub.open(path, name="gateway") as hub, Gateway(hub, GatewaySettings(**options)) as gateway:
        print(json.dumps(gateway.url), flush=True)
        for _ in sys.stdin:
            pass


if __name__ == "__main__":
    main()
