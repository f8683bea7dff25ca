"""What a reader of a remote stream is told: records, what is gone, and that nobody answers."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tapehub import ConfigError, HubClosed, HubNotRunning, Lapped
from tapehub.hub.remote import stream as stream_module
from tapehub.hub.remote.following import Following, Lost
from tapehub.hub.remote.stream import RemoteStream
from tapehub.model.policies import OnLap

TICK = {
    "kind": "tick", "symbol": "EUR_USD", "source": "ig", "bid": 1.1, "ask": 1.2, "bid_size": 0.0, "ask_size": None,
    "flags": 0, "ts_event": "2026-06-02T12:00:00.000000005Z", "ts_recv": None,
    "ts_publish": "2026-06-02T12:00:00.000000007Z",
}  # fmt: skip


class Receiver:
    """Stand where the socket is."""

    def __init__(self, address: Any, following: Following) -> None:
        self.following = following
        self.changed = threading.Condition()
        self.down_since_s: float | None = None
        self.why_down = ""
        self.refused: Exception | None = None
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Hub:
    """Know the names."""

    url, address, closed = "http://hub", None, False

    def __init__(self) -> None:
        self._streams: set[Any] = set()
        self.forgot = 0

    def _numbers(self, symbols: Any, sources: Any) -> Any:
        return {"EUR_USD": 7}, {"ig": 3}

    def _pip_size(self, symbol: str) -> float:
        return 0.0001

    def _symbols_of(self, rows: Any) -> dict[int, str]:
        return {7: "EUR_USD"} if len(rows) else {}

    def _forget(self) -> None:
        self.forgot += 1


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(stream_module, "Receiver", Receiver)

    def make(on_lap: OnLap = OnLap.SKIP) -> SimpleNamespace:
        hub: Any = Hub()
        stream = RemoteStream(hub, None, ["tick", "note"], "now", on_lap, "1m")
        receiver: Any = stream._receiver
        return SimpleNamespace(hub=hub, stream=stream, receiver=receiver, items=stream._following.items)

    return make


def test_what_is_lost_is_told_where_it_was_lost(made: Any) -> None:
    one = made()
    one.items.extend([{**TICK, "seq": 5}, Lost(40), {**TICK, "seq": 50}])
    batches = [one.stream.poll() for _ in range(4)]
    assert [(len(batch), batch.lost) for batch in batches] == [(1, 0), (0, 40), (1, 0), (0, 0)]
    assert one.stream.lost == 40
    row = batches[0].numpy()[0]
    assert (row["seq"], row["instrument"], row["source"], row["ts_event"] % 10) == (5, 7, 3, 5)
    assert row["crc32c"] != 0


def test_reader_that_asked_for_it_gets_an_exception_and_goes_on(made: Any) -> None:
    one = made(OnLap.RAISE)
    one.items.extend([Lost(40), {**TICK, "seq": 50}])
    with pytest.raises(Lapped, match="40 records were dropped") as caught:
        one.stream.poll()
    assert (caught.value.lost, caught.value.oldest) == (40, 50)
    assert next(one.stream).seq == 50
    one.items.extend([Lost(2), {**TICK, "seq": 60}])
    with pytest.raises(Lapped):
        next(one.stream)
    assert next(one.stream).seq == 60


def test_gateway_that_stays_away_is_told_once_and_waited_for(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, now_s = made(), 1000.0
    monkeypatch.setattr(stream_module.time, "monotonic", lambda: now_s)
    one.receiver.down_since_s, one.receiver.why_down = 999.0, "no stream from http://hub"
    assert not one.stream.connected
    assert len(one.stream.poll()) == 0
    now_s += stream_module.PATIENCE_S
    with pytest.raises(HubNotRunning, match="no stream from http://hub; away for 31 s"):
        one.stream.poll()
    assert len(one.stream.poll()) == 0
    one.items.append({**TICK, "seq": 5})
    one.receiver.down_since_s = None
    assert len(one.stream.poll()) == 1


def test_refusal_is_told_after_what_had_come(made: Any) -> None:
    one = made()
    one.items.append({**TICK, "seq": 5})
    one.receiver.refused = ConfigError("revoked")
    assert next(one.stream).seq == 5
    for _ in range(2):
        with pytest.raises(ConfigError, match="revoked"):
            one.stream.poll(timeout_s=5)


def test_names_are_read_anew_in_another_history(made: Any) -> None:
    one = made()
    one.items.extend([{**TICK, "seq": 5}, {**TICK, "seq": 6}])
    next(one.stream)
    assert one.hub.forgot == 0
    one.stream._following.histories += 1
    next(one.stream)
    assert one.hub.forgot == 1


def test_closed_stream_says_so_and_has_closed_its_socket(made: Any) -> None:
    one = made()
    with one.stream as stream:
        assert one.hub._streams == {stream}
    assert not one.receiver.is_open
    assert not one.hub._streams
    with pytest.raises(HubClosed):
        stream.poll()
