"""What is left of a venue's historical allowance, kept on disk for every process of this machine.

IG grants some points a week and refuses everything once they are gone, for days. So points are booked before a request
leaves, and what the reply says corrects the book: a process killed in between has spent its points as far as anyone
knows, until a later reply tells.

The file is JSON, replaced whole (written aside, synced, renamed), beside it a lock file that whoever changes it holds;
both are for whoever may read the hub.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tapehub.errors import AllowanceExceeded, ConfigError
from tapehub.feeds.prices import AllowanceNote
from tapehub.hub.paths import make_own, replace_file

__all__ = ["FILE_NAME", "Allowance", "Booking", "Ledger"]

FILE_NAME = "allowance-{venue}.json"
_FORMAT = 1
_SECOND = 1_000_000_000
_TERM_NS = 7 * 86_400 * _SECOND  # the term IG has been seen to have
_ORPHAN_NS = 600 * _SECOND  # no request takes ten minutes: what was booked before that is in the venue's number
_SAME_TERM_NS = 3600 * _SECOND  # two replies of one term put its end at the same time, but for what they took


@dataclass(frozen=True, slots=True)
class Booking:
    """Points that a request may have spent, whose reply has not been seen."""

    number: int
    points: int
    booked_ns: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """Tell what may be spent.

    Attributes:
        remaining: points the venue last said are left.
        total: points it grants a term.
        expires_ns: when it grants them anew, ns UTC; 0 when not known.
        reserve: points never to be spent.
        booked: points of requests whose reply has not been seen.
        as_read: False while no reply was ever seen and `total` is an assumption.
    """

    remaining: int
    total: int
    expires_ns: int = 0
    reserve: int = 0
    booked: int = 0
    as_read: bool = True

    @property
    def available(self) -> int:
        """Give the points that may be spent now."""
        return max(0, self.remaining - self.reserve - self.booked)

    def __str__(self) -> str:
        parts = [f"{self.remaining:,} of {self.total:,} points remain"]
        if self.booked:
            parts.append(f"{self.booked:,} are booked")
        if self.reserve:
            parts.append(f"{self.reserve:,} are reserved")
        if not self.as_read:
            parts.append("assumed, no reply was seen yet")
        return ", ".join(parts) + f": {self.available:,} to spend"

    def renewal(self) -> str:
        """Say when it is granted anew."""
        if not self.expires_ns:
            return "the next term (its beginning is not known before the first reply)"
        return datetime.fromtimestamp(self.expires_ns // _SECOND, UTC).strftime("%Y-%m-%d %H:%M UTC")


class Ledger:
    """Keep one venue's historical allowance. Any number of processes and threads.

    Args:
        path: the file; it is made with the first booking.
        clock: ns UTC, of this machine's wall.
        reserve: points never to be spent; the one chosen last time when None, else the share.
        reserved_share: part of the total that is left to the user's order code, where no reserve was ever chosen.
        total_assumed: what to go by until the first reply.

    Raises:
        ConfigError: a reserve that cannot be, or (from every call) a file that is no such ledger.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], int],
        *,
        reserve: int | None = None,
        reserved_share: float = 0.0,
        total_assumed: int = 10_000,
    ) -> None:
        if (reserve or 0) < 0 or total_assumed < 0:
            raise ConfigError(f"reserve {reserve}, allowance {total_assumed}: expected 0 points or more")
        if not 0 <= reserved_share < 1:
            raise ConfigError(f"reserved_share is {reserved_share}, expected 0 up to 1: the part left for orders")
        self._path = path
        self._clock = clock
        self._reserve = reserve
        self._reserved_share = reserved_share
        self._total_assumed = total_assumed

    def read(self) -> Allowance:
        """Tell what may be spent now; takes no lock."""
        return self._allowance(self._load())

    def book(self, points: int) -> Booking:
        """Set points aside for one request, on disk before this returns.

        Raises:
            AllowanceExceeded: they are not there; nothing was booked.
        """
        with self._locked():
            book = self._load()
            have = self._allowance(book)
            if points > have.available:
                raise AllowanceExceeded(
                    f"a request needs {points:,} points: {have}; ask for less, or wait until {have.renewal()}: "
                    f"{self._path}",
                    needed=points,
                    available=have.available,
                    renews_ns=have.expires_ns,
                )
            booking = Booking(book.next_number, points, self._clock())
            old = tuple(row for row in book.bookings if row.booked_ns > booking.booked_ns - _TERM_NS)
            self._save(replace(book, next_number=booking.number + 1, bookings=(*old, booking)))
            return booking

    def settle(self, booking: Booking, note: AllowanceNote | None) -> Allowance:
        """Put the venue's own number in the place of a booking.

        Without one (no reply came, or it did not say) the points stay booked, until the reply to a later request tells.
        """
        with self._locked():
            book, now_ns = self._load(), self._clock()
            if note is None:
                return self._allowance(book)
            expires_ns = now_ns + note.expires_in_s * _SECOND
            same = abs(expires_ns - book.expires_ns) <= _SAME_TERM_NS and note.total == book.total
            # Within a term it only falls; a reply that was overtaken by a later one would raise it.
            remaining = min(book.remaining, note.remaining) if same else note.remaining
            others = tuple(
                other
                for other in book.bookings
                if other.number != booking.number and other.booked_ns > booking.booked_ns - _ORPHAN_NS
            )
            book = replace(book, remaining=remaining, total=note.total, expires_ns=expires_ns, bookings=others)
            self._save(book)
            return self._allowance(book)

    def release(self, booking: Booking) -> None:
        """Take a booking back: its request never left."""
        with self._locked():
            book = self._load()
            self._save(replace(book, bookings=tuple(row for row in book.bookings if row.number != booking.number)))

    def exhausted(self, booking: Booking) -> Allowance:
        """Write down that the venue refused a request because nothing is left."""
        with self._locked():
            book = self._load()
            others = tuple(other for other in book.bookings if other.number != booking.number)
            known = self._allowance(book)
            expires_ns = known.expires_ns or self._clock() + _TERM_NS
            book = replace(book, remaining=0, total=known.total, expires_ns=expires_ns, bookings=others)
            self._save(book)
            return self._allowance(book)

    # ------------------------------------------------------------ the file

    def _allowance(self, book: _Book) -> Allowance:
        remaining, total, expires_ns, bookings = book.remaining, book.total, book.expires_ns, book.bookings
        now_ns = self._clock()
        if not total:  # nothing is known
            remaining = total = self._total_assumed
        elif now_ns >= expires_ns:  # a new term, which the first request of it begins
            remaining, bookings = total, tuple(row for row in bookings if row.booked_ns >= expires_ns)
            expires_ns = 0
        booked = sum(row.points for row in bookings if row.booked_ns > now_ns - _TERM_NS)
        reserve = self._reserve_of(book, total)
        return Allowance(remaining, total, expires_ns, reserve, booked, bool(book.total))

    def _reserve_of(self, book: _Book, total: int) -> int:
        if self._reserve is not None:
            return self._reserve
        if book.chosen or not self._reserved_share:
            return book.reserve
        return math.ceil(total * self._reserved_share)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A file of its own: the ledger is replaced, and a lock on a file that was replaced excludes nobody.
        handle = os.open(make_own(self._path.with_suffix(".lock")), os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _load(self) -> _Book:
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return _Book()
        try:
            return _Book.parse(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"{self._path} is no allowance ledger of format {_FORMAT} ({type(error).__name__}: {error}); "
                f"remove it if the points spent this week may be forgotten"
            ) from None

    def _save(self, book: _Book) -> None:
        # Written down in either case, for whoever reads the file without the configuration.
        reserve = self._reserve_of(book, book.total or self._total_assumed)
        book = replace(book, reserve=reserve, chosen=book.chosen or self._reserve is not None)
        text = json.dumps({"format": _FORMAT, **asdict(book)}, indent=2) + "\n"
        replace_file(self._path, text, durable=True)


@dataclass(frozen=True, slots=True)
class _Book:
    """Hold what the file holds.

    Attributes:
        chosen: somebody named the reserve; else it is a share of the total.
    """

    remaining: int = 0
    total: int = 0
    expires_ns: int = 0
    reserve: int = 0
    chosen: bool = False
    next_number: int = 1
    bookings: tuple[Booking, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> _Book:
        if value["format"] != _FORMAT:
            raise ValueError(f"format is {value['format']!r}")
        numbers = {name: value[name] for name in ("remaining", "total", "expires_ns", "reserve", "next_number")}
        bookings = tuple(Booking(**row) for row in value["bookings"])
        every = [*numbers.values(), *(number for row in bookings for number in (row.number, row.points, row.booked_ns))]
        if not all(type(number) is int and number >= 0 for number in every):
            raise ValueError(f"numbers are {every}, expected integers from 0")
        # A file of before there was a share: what is above 0 was chosen.
        return cls(**numbers, chosen=bool(value.get("chosen", numbers["reserve"] > 0)), bookings=bookings)
