"""What the official client is asked for, and the one place where we reach into it."""

from typing import Any

import pytest

from tapehub.feeds.ig import client as ours
from tapehub.feeds.ig.client import make_client


def test_the_client_still_has_the_coroutine_that_is_wrapped() -> None:
    make_client("http://127.0.0.1:9", "ABC12", "CST-a|XST-b")
    wrapped = ours.com_lightstreamer_net.WsClientPy._connectAsync
    assert wrapped.reports_closing


def test_it_is_wrapped_once_however_many_clients_there_are() -> None:
    make_client("http://127.0.0.1:9", "ABC12", "CST-a|XST-b")
    before = ours.com_lightstreamer_net.WsClientPy._connectAsync
    make_client("http://127.0.0.1:9", "ABC12", "CST-a|XST-b")
    assert ours.com_lightstreamer_net.WsClientPy._connectAsync is before


def test_a_client_without_that_coroutine_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        pass

    net: Any = ours.com_lightstreamer_net
    monkeypatch.setattr(net, "WsClientPy", Other)
    made = make_client("http://127.0.0.1:9", "ABC12", "CST-a|XST-b")
    assert made.connectionOptions.getKeepaliveInterval() == ours.KEEPALIVE_MS
    assert not hasattr(Other, "_connectAsync")
