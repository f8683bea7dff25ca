"""Kraken's ticker over WebSocket v2: best bid and ask with sizes, without a key."""

from __future__ import annotations

from tapehub.feeds.kraken.feed import KrakenFeed
from tapehub.feeds.kraken.protocol import Protocol

__all__ = ["KrakenFeed", "Protocol"]
