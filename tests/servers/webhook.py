"""A webhook on a port of this machine: keeps what it is sent, and can be told to refuse or to hang."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """Take messages as apprise's json:// sends them."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        self.hangs = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.hangs.is_set():
                    hook.released.wait(30)
                if hook.status == 200:
                    hook.messages.append(body)
                hook.paths.append(self.path)
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                return

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def address(self) -> str:
        """Give host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def text(self) -> str:
        """Give all that came, as one text."""
        return "\n".join(f"{one['title']}\n{one['message']}" for one in list(self.messages))

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Open one, and close it afterwards."""
    hook = Webhook()
    try:
        yield hook
    finally:
        hook.close()
