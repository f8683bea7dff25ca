"""A hub server with its endpoint, or an endpoint alone where a server runs: started by `tapehub.compat`.

    python -m tapehub.gateway.manager

The first line of its input says what to do, so that the key is never on a command line; it answers with a line that
names its address, or why there is none, and ends when its input does: it leaves nothing behind when its parent dies.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tapehub.errors import HubHeld, TapehubError
from tapehub.gateway.manager.endpoint import ManagerEndpoint
from tapehub.gateway.manager.settings import ManagerSettings
from tapehub.hub import DataHub
from tapehub.hub.server import HubServer
from tapehub.stopping import stopping

__all__ = ["main"]


def main() -> int:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the parent's terminal is the parent's
    wanted = json.loads(sys.stdin.readline())
    with stopping(signal.SIGTERM) as stop, ExitStack() as stack:
        try:
            hub, server = _opened(stack, Path(wanted["hub"]))
            settings = ManagerSettings(key=bytes.fromhex(wanted["key"]), host=wanted["host"], port=wanted["port"])
            endpoint = stack.enter_context(ManagerEndpoint(hub, settings))
        except (TapehubError, OSError) as error:
            _say(error=str(error), of=type(error).__name__)
            return 1
        _say(address=list(endpoint.address), serves=server is not None)
        threading.Thread(target=_until_input_ends, args=(stop,), daemon=True).start()
        if server is not None:
            server.run(stop)
        else:
            stop.wait()
    return 0


def _opened(stack: ExitStack, where: Path) -> tuple[DataHub, HubServer | None]:
    try:
        server = stack.enter_context(HubServer(where, name="data hub manager"))
    except HubHeld:
        return stack.enter_context(DataHub.open(where, name="data hub manager")), None
    return server.hub, server


def _until_input_ends(stop: threading.Event) -> None:
    # By bytes: a daemon thread that holds the lock of sys.stdin at exit would abort the interpreter.
    with open(0, "rb", buffering=0, closefd=False) as source:
        while source.read(4096):
            pass
    stop.set()


def _say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.exit(main())
