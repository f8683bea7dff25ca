"""List the peers: one module each, in the order of the table's columns."""

from __future__ import annotations

from benchmarks.peers import basemanager, iceoryx2, nats, redis, shm, tapehub, zmq
from benchmarks.peers.base import Peer

__all__ = ["HUB", "PEERS", "peer"]

HUB = "tapehub"
PEERS: dict[str, Peer] = {
    module.PEER.name: module.PEER for module in (tapehub, basemanager, shm, redis, nats, zmq, iceoryx2)
}


def peer(name: str) -> Peer:
    """Return the peer of this name."""
    return PEERS[name]
