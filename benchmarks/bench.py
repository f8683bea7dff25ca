"""Hold one run: what is asked for, which peers take part, and how a row starts and asks them."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import probe
from benchmarks.measure import Measurement
from benchmarks.peers import HUB, PEERS
from benchmarks.peers.base import Address, Feature
from benchmarks.workers import Worker

__all__ = ["Bench", "Errors", "Size"]

Errors = dict[str, str]
_T = TypeVar("_T")


class Size(IntEnum):
    """Say how long a run may take: under a minute, under ten, or as long as 100 M records need."""

    QUICK = 0
    NORMAL = 1
    FULL = 2


@dataclass(slots=True)
class Bench:
    """Start the chosen peers for a row, drive their roles in alternating rounds, and take everything down again."""

    names: Sequence[str]
    size: Size
    work: Path
    probe_missing: str | None = None
    _rooms: int = field(default=0)

    def pick(self, quick: _T, normal: _T, full: _T | None = None) -> _T:
        """Return the value for this size of run."""
        if self.size is Size.QUICK:
            return quick
        return full if self.size is Size.FULL and full is not None else normal

    def room(self, name: str) -> Path:
        """Return a fresh directory."""
        self._rooms += 1
        path = self.work / f"{self._rooms:02d}-{name}"
        path.mkdir()
        return path

    def wants(self, name: str) -> bool:
        """Return whether a contestant takes part in this run."""
        return name in self.names

    def having(self, *features: Feature, among: Iterable[str] | None = None) -> list[str]:
        """Return the contestants that offer all these features."""
        pool = self.names if among is None else [name for name in among if name in self.names]
        return [name for name in pool if name in PEERS and PEERS[name].features >= set(features)]

    @contextmanager
    def started(self, names: Sequence[str], errors: Errors) -> Iterator[dict[str, Address]]:
        """Start these peers, each in a directory of its own, and stop them at the end."""
        with ExitStack() as stack:
            addresses: dict[str, Address] = {}
            for name in names:
                try:
                    addresses[name] = PEERS[name].start(self.room(name))
                except Exception:
                    errors[name] = traceback.format_exc()
                stack.callback(PEERS[name].stop)
            yield addresses

    @contextmanager
    def crew(
        self, role: Callable[..., None], jobs: Mapping[str, tuple[Any, ...]], errors: Errors
    ) -> Iterator[dict[str, Worker]]:
        """Start one role for each contestant and wait until those that can are ready."""
        with ExitStack() as stack:
            workers = {name: stack.enter_context(Worker(role, *job)) for name, job in jobs.items()}
            guarded(workers, Worker.receive, errors)
            yield workers

    def rounds(self, workers: dict[str, Worker], request: Any, count: int, errors: Errors) -> dict[str, list[Any]]:
        """Ask every contestant for one round after the other, ``count`` times: A B C A B C and so on."""
        answers: dict[str, list[Any]] = {name: [] for name in workers}
        for _ in range(count):
            for name, answer in guarded(workers, lambda worker: worker.ask(request), errors).items():
                answers[name].append(answer)
        return {name: found for name, found in answers.items() if name in workers}

    def limit(self, *words: str | int, key: str, scale: float = 1.0, p99: str = "") -> Measurement | None:
        """Run the C++ probe and return one of its numbers; None when it cannot be built."""
        if self.probe_missing:
            return None
        found = probe.run(*words)
        return Measurement(
            found[key] * scale, found[p99] * scale if p99 else None, note=f"probe {' '.join(map(str, words))}"
        )

    def say(self, text: str) -> None:
        """Show progress on standard error."""
        print(text, file=sys.stderr, flush=True)

    @property
    def hub(self) -> bool:
        """Return whether this hub takes part."""
        return HUB in self.names


def guarded(workers: dict[str, Worker], act: Callable[[Worker], _T], errors: Errors) -> Any:
    """Act on every worker; one that fails is noted, and dropped from ``workers``."""
    done: dict[str, Any] = {}
    for name, worker in list(workers.items()):
        try:
            done[name] = act(worker)
        except Exception as error:
            errors[name] = str(error) or traceback.format_exc()
            del workers[name]
    return done
