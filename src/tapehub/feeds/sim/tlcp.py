"""The streaming server, without sockets: requests in, lines out, both as text; time is told, never read.

Source: TLCP 2.5.0 (2.4.0 differs in nothing that is used here), chapters "Requests" and "Notifications", appendices A
and B for the codes; the order of lines is what the official clients were seen to accept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tapehub.feeds.sim.settings import Settings
from tapehub.feeds.sim.streams import Channel, Session
from tapehub.feeds.sim.subscribing import Adapter, Refusal, add, remove, subscription_of
from tapehub.feeds.sim.wire import Params, RequestError, encode_value, number_of, read_params, read_request

__all__ = ["Tlcp"]

_MS = 1_000_000
_SYNC_NS = 20_000 * _MS
_REQUESTS = ("create_session", "bind_session", "control", "msg", "heartbeat")


class Tlcp:
    """Serve any number of sessions. Not locked: one thread, or one event loop."""

    def __init__(self, adapter: Adapter, settings: Settings, steady: Callable[[], int]) -> None:
        self.sessions: dict[str, Session] = {}
        self.channels: list[Channel] = []
        self._adapter = adapter
        self._settings = settings
        self._steady = steady
        self._count = 0

    # ------------------------------------------------------------ connections

    def open(self, kind: str, protocol: str) -> Channel:
        """Take a connection."""
        channel = Channel(kind, protocol.removesuffix(".lightstreamer.com"), self._steady)
        self.channels.append(channel)
        return channel

    def close(self, channel: Channel) -> None:
        """Be told that a connection is gone; its session waits to be bound again."""
        if channel in self.channels:
            self.channels.remove(channel)
        if channel.session is not None:
            self._unbind(channel.session)

    def receive(self, channel: Channel, text: str) -> None:
        """Take a message of a WebSocket."""
        if channel.frozen or channel.cut:
            channel.unread.append(text)
            return
        try:
            name, batch = read_request(text)
            if name == "wsok":
                channel.write("WSOK")
                return
            self._handle(channel, name, batch)
        except RequestError as error:
            channel.write(f"ERROR,67,Malformed request: {encode_value(str(error))}")

    def post(self, request: str, protocol: str, query: str, body: str) -> Channel:
        """Take an HTTP request, ``<request>.txt``: its answer, or the stream, is on the channel returned."""
        channel = self.open("http", protocol)
        try:
            given = read_params(query)
            batch = [given | read_params(line) for line in body.split("\r\n") if line] or [given]
            self._handle(channel, request, batch)
        except RequestError as error:
            channel.write(f"ERROR,67,Malformed request: {encode_value(str(error))}")
        if channel.session is None:
            channel.done = True
        return channel

    def thaw(self, channel: Channel) -> None:
        """Let a frozen connection go on."""
        channel.frozen = False
        unread, channel.unread = channel.unread, []
        for text in unread:
            self.receive(channel, text)
        if channel.session is not None:
            channel.session.flush()
        channel.wake()

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Do what time demands: probes, synchronisation, polls and sessions that have expired."""
        now = self._steady()
        for session in list(self.sessions.values()):
            channel = session.channel
            if session.overflowed:
                self.end(session, 33, "Too many updates wait for the client")
            elif channel is None:
                if now - session.unbound_ns > self._settings.session_timeout_ms * _MS:
                    self._forget(session)
                    self._adapter.said("session timed out", session.id)
            else:
                self._look_after(session, channel, now)

    def _look_after(self, session: Session, channel: Channel, now: int) -> None:
        if session.inactivity_ms and now - session.heard_ns > (session.inactivity_ms + 1_000) * _MS:
            self._adapter.said("client fell silent", session.id)
            channel.cut = "close"
            channel.wake()
            self._unbind(session)
            return
        if session.poll_until_ns is not None:
            if session.sent > session.poll_from or now >= session.poll_until_ns:
                self._loop(session, session.poll_ms)
            return
        if channel.budget is not None and channel.budget < 1_000:
            self._loop(session, 0)
            return
        if now - channel.said_ns >= session.keepalive_ms * _MS:
            session.control("PROBE")
        if session.send_sync and now - session.synced_ns >= _SYNC_NS:
            session.control(f"SYNC,{(now - session.began_ns) // (1000 * _MS)}")
            session.synced_ns = now

    # ------------------------------------------------------------ the server's own will

    def end(self, session: Session, code: int, text: str) -> None:
        """Close a session."""
        channel = session.channel
        session.control(f"END,{code},{encode_value(text)}")
        self._forget(session)
        if channel is not None and channel.kind == "http":
            channel.done = True
            channel.wake()
        self._adapter.said("session ended", f"{session.id} {code}")

    def drop(self, channel: Channel, how: str) -> None:
        """Cut a connection: ``close`` or ``reset``; the session stays, for as long as it may."""
        channel.cut = how
        if channel.session is not None:
            self._unbind(channel.session)
        channel.wake()

    def forget_all(self) -> None:
        """Lose every session, as a server that was restarted has."""
        for session in list(self.sessions.values()):
            self._forget(session)

    # ------------------------------------------------------------ requests

    def _handle(self, channel: Channel, name: str, batch: Sequence[Params]) -> None:
        if name not in _REQUESTS:
            raise RequestError(f"unknown request {name}")
        now = self._steady()
        for params in batch:
            session = self._session_of(channel, params)
            if session is not None:
                session.heard_ns = now
            if name == "create_session":
                self._create(channel, params, now)
            elif name == "bind_session":
                self._bind(channel, params, now)
            elif name == "heartbeat":
                if channel.kind == "http":
                    channel.write("REQOK")
            elif session is None:
                channel.write(f"REQERR,{params.get('LS_reqId', '0')},20,Session not found")
            elif name == "control":
                self._control(channel, session, params)
            else:
                self._message(channel, session, params)

    def _session_of(self, channel: Channel, params: Params) -> Session | None:
        name = params.get("LS_session")
        return self.sessions.get(channel.last if name is None else name)

    def _create(self, channel: Channel, params: Params, now: int) -> None:
        user = params.get("LS_user", "")
        try:
            if channel.session is not None:
                raise Refusal(69, "Streaming request on a WebSocket not allowed, as a streaming is already in place")
            self._adapter.admit(user, params.get("LS_password", ""), channel.protocol)
        except Refusal as refusal:
            channel.write(f"CONERR,{refusal.code},{encode_value(refusal.text)}")
            self._adapter.said("stream refused", f"{user} {refusal.code}")
            return
        old = self.sessions.get(params.get("LS_old_session", ""))
        if old is not None:
            self._forget(old)
        if self._settings.one_session_per_user:
            for other in [other for other in self.sessions.values() if other.user == user]:
                self.end(other, 35, "The session was replaced by a new session of the same user")
        self._count += 1
        settings = self._settings
        session = Session(
            f"S{self._count:06x}", user, channel.protocol, settings.recovery_history, settings.pending_max
        )
        session.began_ns = session.synced_ns = now
        self.sessions[session.id] = session
        self._adapter.said("session created", session.id)
        self._start(session, channel, params, now)
        self._settle(session, params, now)

    def _bind(self, channel: Channel, params: Params, now: int) -> None:
        session = self.sessions.get(params.get("LS_session", channel.last))
        if session is None:
            channel.write("CONERR,20,Specified session not found")
            self._adapter.said("bind refused", "20")
            return
        if session.protocol != channel.protocol:
            channel.write("CONERR,3,The session was initiated with a different protocol version")
            return
        again: Sequence[str] = ()
        first: int | None = None
        if "LS_recovery_from" in params:
            asked = int(params["LS_recovery_from"]) if params["LS_recovery_from"].isdigit() else -1
            first = max(asked - self._settings.recovery_overlap, 0)
            kept = session.since(first)
            if kept is None:
                first, kept = asked, session.since(asked)
            if kept is None:
                channel.write("CONERR,4,The progressive to recover from has not been kept")
                self._adapter.said("recovery refused", f"{session.id} {asked} of {session.sent}")
                self._forget(session)
                return
            again = kept
            self._adapter.said("session recovered", f"{session.id} from {asked}")
        else:
            self._adapter.said("session bound", session.id)
        if session.channel is not None and session.channel is not channel:
            session.channel.done = True
            session.channel.wake()
        self._start(session, channel, params, now)
        if first is not None:
            channel.write(f"PROG,{first}")
        for line in again:
            channel.write(line)
        session.flush()
        self._settle(session, params, now, answered=bool(again))

    def _start(self, session: Session, channel: Channel, params: Params, now: int) -> None:
        settings = self._settings
        session.bind(channel)
        wanted = number_of(params, "LS_keepalive_millis")
        session.keepalive_ms = min(wanted, settings.keepalive_ms) if wanted else settings.keepalive_ms
        session.inactivity_ms = number_of(params, "LS_inactivity_millis")
        session.send_sync = params.get("LS_send_sync") != "false"
        session.heard_ns = now
        if channel.kind == "http":
            channel.budget = number_of(params, "LS_content_length") or None
        channel.write(f"CONOK,{session.id},{settings.request_bytes_max},{session.keepalive_ms},*")
        if params.get("LS_reduce_head") != "true":
            channel.write("SERVNAME,tapehub simulator")
            channel.write("CLIENTIP,127.0.0.1")
            if channel.kind == "ws":
                channel.write("NOOP,sending no data")
            channel.write("CONS,unlimited")

    def _settle(self, session: Session, params: Params, now: int, *, answered: bool = False) -> None:
        """Let a poll end at once when there is something to say, or no time to wait."""
        if params.get("LS_polling") != "true":
            return
        session.poll_ms = number_of(params, "LS_polling_millis")
        session.poll_until_ns = now + number_of(params, "LS_idle_millis") * _MS
        session.poll_from = session.sent
        if answered or session.poll_until_ns <= now:
            self._loop(session, session.poll_ms)

    def _loop(self, session: Session, delay_ms: int) -> None:
        channel = session.channel
        session.control(f"LOOP,{delay_ms}")
        self._unbind(session)
        if channel is not None and channel.kind == "http":
            channel.done = True
            channel.wake()

    def _control(self, channel: Channel, session: Session, params: Params) -> None:
        request, operation = params.get("LS_reqId", "0"), params.get("LS_op", "")
        acknowledged = channel.kind == "http" or params.get("LS_ack") != "false"
        try:
            if operation == "add":
                subscription = subscription_of(session, params, self._adapter, self._settings)
                if acknowledged:
                    channel.write(f"REQOK,{request}")
                add(session, subscription, params, self._adapter, self._settings)
                return
            if operation == "delete":
                number = number_of(params, "LS_subId")
                if number not in session.subscriptions:
                    raise Refusal(19, "Specified subscription not found")
                if acknowledged:
                    channel.write(f"REQOK,{request}")
                remove(session, number)
                session.notify(f"UNSUB,{number}")
                return
            if operation not in ("destroy", "force_rebind", "constrain", "reconf"):
                raise Refusal(65, f"Unknown operation {operation}")
        except Refusal as refusal:
            channel.write(f"REQERR,{request},{refusal.code},{encode_value(refusal.text)}")
            self._adapter.said("subscription refused", f"{params.get('LS_group', '')} {refusal.code}")
            return
        channel.write(f"REQOK,{request}")
        if operation == "destroy":
            stream = session.channel
            self.end(session, 31, "The session was closed by the client")
            if stream is not None and params.get("LS_close_socket") == "true":
                stream.done = True
        elif operation == "force_rebind":
            stream = session.channel
            if stream is not None:
                self._loop(session, number_of(params, "LS_polling_millis"))
                if params.get("LS_close_socket") == "true":
                    stream.done = True
        elif operation == "constrain":
            session.control("CONS,unlimited")
        else:
            session.notify(f"CONF,{number_of(params, 'LS_subId')},unlimited,filtered")

    def _message(self, channel: Channel, session: Session, params: Params) -> None:
        # IG's adapter takes no messages; the protocol wants an answer all the same.
        if params.get("LS_ack") != "false" or channel.kind == "http":
            channel.write(f"REQOK,{params.get('LS_reqId', '0')}")
        sequence, progressive = params.get("LS_sequence", "*"), params.get("LS_msg_prog", "0")
        session.notify(f"MSGFAIL,{sequence},{progressive},34,Messages are not taken")

    # ------------------------------------------------------------ sessions

    def _unbind(self, session: Session) -> None:
        session.unbind()
        session.unbound_ns = self._steady()

    def _forget(self, session: Session) -> None:
        for number in list(session.subscriptions):
            remove(session, number)
        session.unbind()
        self.sessions.pop(session.id, None)
