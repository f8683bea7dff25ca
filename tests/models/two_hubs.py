"""One hub, reached in two ways: by its memory, and through a gateway in a process of its own."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tapehub
from tapehub import Batch, DataHub
from tests.servers.processes import Process

WAYS = ("local", "remote")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_names = itertools.product(_LETTERS, repeat=3)


@dataclass
class TwoWays:
    """The hub by its memory, and through the gateway."""

    local: DataHub
    remote: Any
    url: str
    token_file: Path

    def by(self, way: str) -> Any:
        return self.local if way == "local" else self.remote


@contextmanager
def two_ways(folder: Path, **options: Any) -> Iterator[TwoWays]:
    """Make a hub on an event clock, and a gateway to it."""
    path = folder / "hub"
    with DataHub.open(path, create=True, segment_lines=1 << 14) as hub:
        hub.set_clock("event")
        with Process(path, role="serving", **{"port": 0, **options}) as gateway:
            url = gateway.answer()
            token_file = path / "access" / "owner.token"
            with tapehub.connect(url, token_file=token_file, timeout_s=20.0) as remote:
                yield TwoWays(hub, remote, url, token_file)


def fresh_symbol() -> str:
    """Name a pair that no other test has."""
    return f"{''.join(next(_names))}_USD"


def plain(value: Any) -> Any:
    """Give what two answers are compared by: rows to the last bit, objects by all they hold."""
    if isinstance(value, Batch):
        return value.numpy().tobytes(), value.symbols, value.lost, plain(list(value.objects())), plain(value.records)
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if hasattr(value, "to_dict"):
        held = value.to_dict()
        if "window_seconds" in held:  # what a gateway does not tell, and no comparison of two looks at
            held.pop("ts_recv", None)
        return type(value).__name__, {name: repr(one) for name, one in held.items()}
    if hasattr(value, "__dataclass_fields__"):
        return type(value).__name__, {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def outcome(call: Callable[[], Any]) -> Any:
    """Give what a call returns, or the class and the words of its error."""
    try:
        return plain(call())
    except tapehub.TapehubError as error:
        return type(error).__name__, str(error), error.published
