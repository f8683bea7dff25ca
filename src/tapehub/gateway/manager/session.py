"""One connection: prove the key, then answer what `multiprocessing.managers` asks.

A connection asks one thing of the server itself (`create`, `incref`, `decref`, …) and is over, or says
``accept_connection`` and then calls methods until it hangs up.

Source: CPython 3.13, Lib/multiprocessing/managers.py, `Server._handle_request`, `serve_client` and `BaseProxy`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tapehub.errors import ConfigError, InvalidRecord, TapehubError
from tapehub.gateway.manager.frames import BadFrame, Frames, TooLong
from tapehub.gateway.manager.handshake import MESSAGE_BYTES_MAX, admit
from tapehub.gateway.manager.known import Token, symbol_of
from tapehub.gateway.manager.methods import METHODS, PROPERTIES, WARM_START_ALL
from tapehub.gateway.manager.reader import read
from tapehub.gateway.manager.shapes import NotOfShape
from tapehub.gateway.manager.values import BadPickle
from tapehub.gateway.manager.writer import OwnWriter, Writer

if TYPE_CHECKING:
    from tapehub.gateway.manager.settings import ManagerSettings
    from tapehub.hub import DataHub

__all__ = ["HUB", "OWN_HUB", "OWN_NAME", "PLACE", "VALUE", "Counts", "Service", "Session"]

HUB: Final = "tapehub"
OWN_HUB: Final = "tapehub.own"
OWN_NAME: Final = "tapehub.DataHub"
"""The name under which tapehub's own client asks for the hub: it gets tapehub's own classes, with all they know."""
PLACE: Final = "#PLACE"
"""What tapehub's own client asks for to learn which hub this is: its directory and identity."""
VALUE: Final = "#VALUE"
"""What it asks for, with a name, to read a property of the hub."""

_SKIP_MAX = 256 << 20
_KEPT_BYTES_MAX = 256
_KEPT_MAX = 1024
_EXPOSED = tuple(METHODS)


class Counts:
    """Count what happened since the start."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.refused = 0
        self.wrong_keys = 0
        self.failed = 0


class Service:
    """Hold what all connections share: one hub, under two names.

    Args:
        remark: takes one line whenever something was refused; it is called for some of many alike.
    """

    def __init__(self, hub: DataHub, settings: ManagerSettings, remark: Callable[[str], None]) -> None:
        self.hub = hub
        self.settings = settings
        self.remark = remark
        self.counts = Counts()
        self.references = 0
        self.writers: dict[str, Writer] = {HUB: Writer(settings.module), OWN_HUB: OwnWriter()}
        self.lock = threading.Lock()
        self._kept: dict[bytes, tuple[str, str, list[Any]]] = {}
        self._large = threading.Semaphore(1)
        self.room = threading.Semaphore(settings.limits.large_at_once)

    def parse(self, body: bytes) -> tuple[Any, list[str]]:
        """Read a request; long ones come one after the other, so that they cannot add up.

        Each has its time: the last of those on their way waits for all others.
        """
        limits = self.settings.limits
        if len(body) <= limits.small_bytes:
            return read(body, symbol_of, objects_max=limits.objects, opcodes_max=limits.opcodes)
        if not self._large.acquire(timeout=limits.patience_s * limits.large_at_once):
            raise BadFrame("other long requests were being read for too long")
        try:
            return read(body, symbol_of, objects_max=limits.objects, opcodes_max=limits.opcodes)
        finally:
            self._large.release()

    def kept(self, body: bytes) -> tuple[str, str, list[Any]] | None:
        """Give what a request was found to mean before."""
        return self._kept.get(body)

    def keep(self, body: bytes, meaning: tuple[str, str, list[Any]]) -> None:
        """Keep what a request means: a caller that polls sends the same bytes again and again."""
        if len(body) <= _KEPT_BYTES_MAX:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[body] = meaning

    def refer(self, change: int) -> None:
        """Count a proxy more or less; the hub stays whatever the count."""
        with self.lock:
            self.references = max(0, self.references + change)


class Session:
    """Serve one connection. One thread."""

    def __init__(self, service: Service, frames: Frames, admitted: Callable[[], None]) -> None:
        self._service = service
        self._limits = service.settings.limits
        self._frames = frames
        self._admitted = admitted
        self._refusals = 0
        self._has_room = False

    def run(self) -> None:
        """Serve it until it is over.

        Raises:
            KeyRefused, BadFrame, BadPickle: the client does not hold the key, or speaks no sense.
            OSError: the connection is gone.
        """
        admit(self._frames.send, self._hear, self._service.settings.key, os.urandom, self._pause)
        self._admitted()
        try:
            body = self._receive(idle=False)
            if body is None:
                return
            function, args = self._asked(body)
        finally:
            self._leave_room()
        if function == "accept_connection":
            self._answer(HUB, "#RETURN", None)
            self._serve()
        else:
            self._answer(HUB, *self._administer(function, args))

    def _hear(self) -> bytes | None:
        return self._frames.receive(MESSAGE_BYTES_MAX)

    def _pause(self) -> None:
        time.sleep(self._limits.wrong_key_s)

    # ------------------------------------------------------------ of the server itself

    def _asked(self, body: bytes) -> tuple[str, tuple[Any, ...]]:
        try:
            (_, function, args, _), refused = self._service.parse(body)
        except BadPickle:
            raise
        except (TypeError, ValueError):
            raise BadPickle("a request that is not made of four parts") from None
        if refused or type(function) is not str or type(args) is not tuple:
            raise BadPickle(f"a request with {', '.join(refused) or 'a function that is no name'}")
        return function, args

    def _administer(self, function: str, args: tuple[Any, ...]) -> tuple[str, Any]:
        service = self._service
        match function, args:
            case "dummy", _:
                return "#RETURN", None
            case "create", (str(name), *rest):
                return self._create(name, rest)
            case (("incref" | "decref"), (str(ident),)) if ident in service.writers:
                service.refer(1 if function == "incref" else -1)
                return "#RETURN", None
            case "get_methods", (Token(state=(_, _, ident)),) if ident in (HUB, OWN_HUB):
                return "#RETURN", _EXPOSED
            case "number_of_objects", ():
                return "#RETURN", 1
            case "debug_info", ():
                return "#RETURN", f"  {HUB}:       refcount={service.references}\n    {service.hub!r}"
            case "shutdown", _:
                service.remark("a client asked to shut the hub down; it stays: other clients need it")
                return "#TRACEBACK", (
                    "RuntimeError: this hub is not the client's to end: others use it. Whoever runs it ends it, with "
                    'Ctrl-C or "tapehub down"; to leave it, drop the proxy'
                )
            case (("incref" | "decref" | "get_methods"), _):
                return "#TRACEBACK", f"KeyError: no such object; there is one, the hub, as {HUB!r}"
        return "#TRACEBACK", f"ValueError: {function[:64]!r} is no function of this server, or has other arguments"

    def _create(self, name: str, rest: list[Any]) -> tuple[str, Any]:
        names = self._service.settings.names
        if name != OWN_NAME and name not in names:
            return "#TRACEBACK", (
                f"KeyError: {name[:64]!r} is not what the hub is registered as, expected {' or '.join(names)}; "
                "add it to names in [manager] of tapehub.toml"
            )
        if rest:
            return "#TRACEBACK", f"TypeError: {name} takes no arguments: there is one hub, and everyone gets that one"
        self._service.refer(1)
        return "#RETURN", (OWN_HUB if name == OWN_NAME else HUB, _EXPOSED)

    # ------------------------------------------------------------ of the hub

    def _serve(self) -> None:
        service = self._service
        while True:
            try:
                body = self._receive(idle=True)
                if body is None:
                    return
                service.counts.requests += 1
                known = service.kept(body)
                if known is not None:
                    self._call(*known)
                else:
                    self._handle(body)
            except TooLong as error:
                self._answer(HUB, "#ERROR", ValueError(f"{error}; send less at a time"))
                self._count_refusal(str(error))
            finally:
                self._leave_room()

    def _receive(self, *, idle: bool) -> bytes | None:
        limits = self._limits
        return self._frames.receive(
            limits.message_bytes, idle=idle, skip_max=_SKIP_MAX, small=limits.small_bytes, make_room=self._make_room
        )

    def _make_room(self) -> None:
        """Wait until not too many long requests are on their way at once; short ones pass meanwhile.

        Every other connection may be waiting, too, and each that is served has its time.
        """
        limits = self._limits
        self._has_room = self._service.room.acquire(timeout=limits.patience_s * limits.connections)
        if not self._has_room:
            raise BadFrame(f"{self._limits.large_at_once} long requests were on their way for too long")

    def _leave_room(self) -> None:
        if self._has_room:
            self._has_room = False
            self._service.room.release()

    def _handle(self, body: bytes) -> None:
        service = self._service
        request, refused = service.parse(body)
        if type(request) is not tuple or len(request) != 4:
            raise BadPickle("a call that is not made of four parts")
        ident, name, args, named = request
        if type(ident) is not str or type(name) is not str or ident not in service.writers:
            self._answer(HUB, "#TRACEBACK", f"KeyError: no such object; there is one, the hub, as {HUB!r}")
            return
        if refused:
            self._refuse(ident, name, refused)
            return
        method = METHODS.get(name)
        if method is None:
            self._answer(ident, *self._fall_back(ident, name, args))
            return
        try:
            bound = method.bind(name, args, named)
        except (TypeError, ValueError, OverflowError) as error:
            self._answer(ident, "#ERROR", _builtin(ident, error))
            return
        if method.repeats:
            service.keep(body, (ident, name, bound))
        self._call(ident, name, bound)

    def _call(self, ident: str, name: str, bound: list[Any]) -> None:
        try:
            value = METHODS[name].call(self._service.hub, *bound)
        except Exception as error:  # whatever it is, it is the caller's to see
            self._answer(ident, "#ERROR", _builtin(ident, error))
        else:
            self._answer(ident, "#RETURN", value)

    def _fall_back(self, ident: str, name: str, args: Any) -> tuple[str, Any]:
        if name == VALUE and ident == OWN_HUB:
            return self._value_of(args)
        if name == PLACE and ident == OWN_HUB:
            return "#RETURN", (str(self._service.hub.path), self._service.hub.hub_id)
        if name in ("__str__", "__repr__"):
            return "#RETURN", repr(self._service.hub)
        if name == "#GETVALUE":
            return "#TRACEBACK", "TypeError: a hub cannot be copied to the client; call its methods"
        return "#TRACEBACK", f"AttributeError: the hub has no method {name[:64]!r} here; it has {', '.join(_EXPOSED)}"

    def _value_of(self, args: Any) -> tuple[str, Any]:
        match args:
            case (str(name),) if name in PROPERTIES:
                try:
                    return "#RETURN", PROPERTIES[name](self._service.hub)
                except TapehubError as error:
                    return "#ERROR", error
        return "#TRACEBACK", f"AttributeError: a hub is read one property of {', '.join(PROPERTIES)}"

    def _refuse(self, ident: str, method: str, names: list[str]) -> None:
        """Refuse a request that names what is not accepted; nothing of it was looked up, let alone called."""
        shown = ", ".join(names)
        if method == "warm_start_all":
            text = f"{WARM_START_ALL} (refused: {shown})"
        else:
            text = (
                f"{method[:64]} was sent {shown}, which is not accepted: expected texts, numbers, times, lists, "
                "dictionaries, and classes called Tick, Candle or OrderFlowMetrics"
            )
        self._count_refusal(f"refused, never executed: {shown} in {method[:64]!r}")
        self._answer(ident, "#ERROR", _builtin(ident, TypeError(text)))

    def _count_refusal(self, text: str) -> None:
        self._service.counts.refused += 1
        self._service.remark(text)
        self._refusals += 1
        if self._refusals > self._limits.refusals:
            raise BadPickle(f"{self._refusals} requests of one connection had to be refused")

    def _answer(self, ident: str, kind: str, value: Any) -> None:
        writer = self._service.writers[ident]
        try:
            reply = writer.reply(kind, value)
        except TypeError as error:
            reply = writer.reply("#UNSERIALIZABLE", f"TypeError: {error}")
        self._frames.send(reply)


def _builtin(ident: str, error: Exception) -> Exception:
    """Turn an error into one that every Python has, with what it said."""
    if ident == OWN_HUB:
        return error
    if isinstance(error, InvalidRecord | ConfigError):
        return ValueError(str(error))
    if isinstance(error, NotOfShape):
        return TypeError(str(error))
    if type(error).__module__ == "builtins":
        return type(error)(str(error)) if type(error) in _SIMPLE else RuntimeError(f"{type(error).__name__}: {error}")
    return RuntimeError(f"{type(error).__name__}: {error}")


_SIMPLE = (ValueError, TypeError, KeyError, LookupError, OverflowError, MemoryError, RuntimeError, OSError)
