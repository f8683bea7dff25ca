"""When to send a message about trouble, and what it says: rules without clocks, hubs or destinations.

One message tells a trouble, one tells that it is over. A trouble counts when it has lasted, and is over when it has
stayed away; what comes together goes together. While a market is closed nothing is said of its instruments, and while
all are closed, nothing at all: what is left then is said when it opens. Above the ceiling of an hour messages are held
back, not lost: the next one says how things stand by then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from tapehub.app.console import span_text

__all__ = ["Desk", "Message", "Rules", "Trouble", "View"]

_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND
_NAMED_MAX, _REASONS_MAX = 12, 6
_KNOWN_MAX = 4096


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold the settings of ``[alerts]`` that decide: see `config.AlertsConfig`."""

    kinds: tuple[str, ...] = ("stale", "dead", "gap", "restart_loop")
    after_s: float = 10.0
    recovered_after_s: float = 10.0
    repeat_s: float = 3600.0
    together_s: float = 5.0
    per_hour: int = 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """Name what is wrong.

    Attributes:
        key: the same as long as it is the same trouble, also when a stale instrument becomes a dead one.
        kind: stale, dead, gap or restart_loop.
        name: of the instrument or the component, as people read it.
        symbol: whose market must be open for it to count; empty where all matter.
        why: its cause.
        lasts: it goes on; else it has happened, and is told once, as soon as what it belongs to is over.
    """

    key: str
    kind: str
    name: str
    symbol: str = ""
    why: str = ""
    lasts: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """Show how things stand at one instant.

    Attributes:
        troubles: all there are.
        states: how what is well now is called, by key: "live", "running".
        closed: symbols whose market is closed.
        all_closed: there are markets, and all of them are closed.
        unwatched: keys of which nobody can say how they are: no collector watches them any more, or not yet.
    """

    troubles: Sequence[Trouble] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    all_closed: bool = False
    unwatched: frozenset[str] = frozenset()

    def is_silent(self, trouble: Trouble) -> bool:
        """Tell whether nothing is to be said of it now."""
        closed = trouble.symbol in self.closed if trouble.symbol else self.all_closed
        return closed or trouble.key in self.unwatched


@dataclass(frozen=True, slots=True)
class Message:
    """Say something to people.

    Attributes:
        good: all that it tells is over.
    """

    title: str
    body: str
    good: bool


@dataclass(slots=True)
class _Known:
    """Keep a trouble: since when it is seen, when it was told, since when it is absent."""

    trouble: Trouble
    since_ns: int
    told_ns: int | None = None
    absent_ns: int | None = None


class Desk:
    """Decide what is told. One thread; any clock that is passed in, as ns UTC.

    Args:
        hub: its name, for the titles.
        known: what `plain` gave when an earlier desk of the same hub was left: nothing of it is told again.
    """

    def __init__(self, rules: Rules, hub: str, known: Iterable[Mapping[str, Any]] = ()) -> None:
        self._rules = rules
        self._hub = hub
        self._known: dict[str, _Known] = {}
        self._window_ns: int | None = None
        self._sent_ns: deque[int] = deque(maxlen=rules.per_hour)
        self._passed = 0  # that came and went while messages were held back
        self._was_held_back = False
        for row in known:
            trouble = Trouble(**row["trouble"])
            self._known[trouble.key] = _Known(trouble, int(row["since_ns"]), int(row["told_ns"]))

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def plain(self) -> list[dict[str, Any]]:
        """Give what was told and is not over, as JSON takes it."""
        return [
            {"trouble": asdict(one.trouble), "since_ns": one.since_ns, "told_ns": one.told_ns}
            for one in self._known.values()
            if one.told_ns is not None and one.trouble.lasts
        ]

    def look(self, view: View, now_ns: int) -> Message | None:
        """Take in how things stand, and give the message that is due, if one is."""
        self._take_in(view, now_ns)
        began, over, again = self._due(view, now_ns)
        if not (began or over or again):
            self._window_ns = None
            return None
        if self._window_ns is None:
            self._window_ns = now_ns
        if now_ns - self._window_ns < self._rules.together_s * _SECOND:
            return None
        if len(self._sent_ns) == self._rules.per_hour and now_ns - self._sent_ns[0] < _HOUR:
            self._was_held_back = True
            return None
        message = self._compose(view, began, over, again, now_ns)
        for one in (*began, *again):
            one.told_ns = now_ns
        for one in over:
            del self._known[one.trouble.key]
        self._sent_ns.append(now_ns)
        self._window_ns, self._passed, self._was_held_back = None, 0, False
        return message

    # ------------------------------------------------------------ what is due

    def _take_in(self, view: View, now_ns: int) -> None:
        present = {trouble.key: trouble for trouble in view.troubles if trouble.kind in self._rules.kinds}
        for key, trouble in present.items():
            one = self._known.get(key)
            if one is None:
                if len(self._known) < _KNOWN_MAX:
                    self._known[key] = _Known(trouble, now_ns)
            else:
                one.trouble, one.absent_ns = trouble, None
        for key, one in list(self._known.items()):
            if key in present:
                continue
            if one.told_ns is None:  # over before anybody heard of it
                self._passed += self._was_held_back and self._lasted(one, now_ns)
                del self._known[key]
            elif not one.trouble.lasts and key not in view.states:  # too long ago to be followed
                del self._known[key]
            elif view.is_silent(one.trouble):  # neither well nor ill: its market is closed
                one.absent_ns = None
            elif one.absent_ns is None:
                one.absent_ns = now_ns

    def _lasted(self, one: _Known, now_ns: int) -> bool:
        # What has happened is told together with what is over by it.
        after_s = self._rules.after_s if one.trouble.lasts else self._rules.recovered_after_s
        return now_ns - one.since_ns >= after_s * _SECOND

    def _due(self, view: View, now_ns: int) -> tuple[list[_Known], list[_Known], list[_Known]]:
        began, over, again = [], [], []
        for one in self._known.values():
            if view.is_silent(one.trouble):
                continue
            if one.told_ns is None:
                if self._lasted(one, now_ns):
                    began.append(one)
            elif one.absent_ns is not None:
                if now_ns - one.absent_ns >= self._rules.recovered_after_s * _SECOND:
                    over.append(one)
            elif one.trouble.lasts and 0 < self._rules.repeat_s * _SECOND <= now_ns - one.told_ns:
                again.append(one)
        return began, over, again

    # ------------------------------------------------------------ what it says

    def _compose(
        self, view: View, began: list[_Known], over: list[_Known], again: list[_Known], now_ns: int
    ) -> Message:
        lines = [f"{_names(group)} {_word(group[0])}{_why(group)} (since {_clock(group)})" for group in _groups(began)]
        lines += [f"still: {_names(group)} {_word(group[0])} for {_spans(group, now_ns)}{_why(group)}"
                  for group in _groups(again)]  # fmt: skip
        well: dict[tuple[str, str], list[_Known]] = {}
        for one in over:
            state = view.states.get(one.trouble.key, "well")
            well.setdefault((state, one.trouble.kind), []).append(one)
        for (state, kind), group in well.items():
            ends = [one.absent_ns or now_ns for one in group]
            spans = sorted((end - one.since_ns) / _SECOND for end, one in zip(ends, group, strict=True))
            took = f"after {span_text(spans[-1])}" if len(spans) == 1 else f"after up to {span_text(spans[-1])}"
            what = "gap of " if kind == "gap" else ""
            lines.append(f"{what}{_names(group)}: {state}{' again' if kind != 'gap' else ''}, {took}")
        left = sum(one.told_ns is not None and one not in over for one in self._known.values() if one.trouble.lasts)
        left -= len(again)
        if over and left > 0:
            lines.append(f"{left} told before {'is' if left == 1 else 'are'} not over yet")
        if self._was_held_back:
            passed = f", {self._passed} more came and went meanwhile" if self._passed else ""
            lines.append(f"held back until now, as {self._rules.per_hour} messages went out within an hour{passed}")
        return Message(f"tapehub {self._hub}: {_title(began, over, again)}", "\n".join(lines), not (began or again))


def _groups(known: list[_Known]) -> list[list[_Known]]:
    """Put together what is wrong in the same way for the same reason, or for any where there are too many."""
    found: dict[tuple[str, ...], list[_Known]] = {}
    reasons = {(one.trouble.kind, one.trouble.why) for one in known}
    for one in known:
        trouble = one.trouble
        why = (trouble.why,) if len(reasons) <= _REASONS_MAX else ()
        found.setdefault((trouble.kind, *why), []).append(one)
    return list(found.values())


def _title(began: list[_Known], over: list[_Known], again: list[_Known]) -> str:
    parts = []
    for group, form in ((began, "{}"), (again, "{} still"), (over, "{} well again")):
        if len(group) == 1:
            one = group[0].trouble
            name = one.name if group is over else f"{one.name} {_WORDS[one.kind]}"
            parts.append(form.format(name))
        elif group:
            parts.append(form.format(f"{len(group)} troubles" if group is not over else f"{len(group)}"))
    return ", ".join(parts)


_WORDS = {"stale": "STALE", "dead": "DEAD", "gap": "gap", "restart_loop": "in a restart loop"}


def _word(one: _Known) -> str:
    return _WORDS[one.trouble.kind]


def _why(group: list[_Known]) -> str:
    reasons = sorted({one.trouble.why for one in group} - {""})
    return f": {reasons[0]}{', and others' if len(reasons) > 1 else ''}" if reasons else ""


def _names(group: list[_Known]) -> str:
    names = list(dict.fromkeys(one.trouble.name for one in group))
    more = len(names) - _NAMED_MAX
    return ", ".join(names[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _clock(group: list[_Known]) -> str:
    return f"{datetime.fromtimestamp(min(one.since_ns for one in group) / _SECOND, UTC):%H:%M:%S} UTC"


def _spans(group: list[_Known], now_ns: int) -> str:
    return span_text((now_ns - min(one.since_ns for one in group)) / _SECOND)
