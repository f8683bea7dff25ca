"""Every exception that reaches a caller of tapehub, by what the caller can do about it.

::

    TapehubError
    ├── ConfigError            a setting, option or argument: fix it
    │   ├── UnknownTimeframe   (also a ValueError)
    │   └── MissingExtra       an optional library is absent: install the extra it names (also an ImportError)
    ├── InvalidRecord          a record no hub may hold: fix the producer (also a ValueError)
    ├── FeedError              a venue or a recording: a live feed reconnects by itself
    │   ├── AllowanceExceeded  the venue's historical allowance is too small: wait until it renews, or ask for less
    │   ├── RecordingError     a file cannot be read: mend the file, or pass the option it names
    │   └── VenueError         a venue refused a request: `code` is its own word for why
    └── HubError               the hub itself: restart or rebuild it
        ├── HubClosed          this handle was closed
        ├── HubNotRunning      no hub, or no server, at that path
        ├── HubHeld            another server holds the directory
        ├── HubStalled         the writer holding the lock is alive but stopped: continue or end that process
        ├── HubFormatError     another format version: use the tapehub that wrote it
        ├── HubCorrupt         checksums or structure are wrong: "tapehub verify" says where
        ├── Diverged           a run of agents, decided again, is not what the log holds: begin a new run
        ├── NotOffered         a connection does not offer what was asked of it (also an AttributeError)
        ├── Lapped             a stream that asked to be told lost records: go on from `oldest`
        └── StaleDataError     the data are older than the caller accepts

A message gives the value, what was expected, the place and the remedy. A batch that failed part way says in
`published` how many of its records are in the log.

An exception that one part of a protocol raises for another (`BadFrame`, `BadPickle`, `KeyRefused`, `Busy`, `Refused`)
stands where it is used, and is private to its folder: whoever calls that folder never has to catch it.
"""

from __future__ import annotations

__all__ = [
    "AllowanceExceeded",
    "ConfigError",
    "Diverged",
    "FeedError",
    "HubClosed",
    "HubCorrupt",
    "HubError",
    "HubFormatError",
    "HubHeld",
    "HubNotRunning",
    "HubStalled",
    "InvalidRecord",
    "Lapped",
    "MissingExtra",
    "NotOffered",
    "RecordingError",
    "StaleDataError",
    "TapehubError",
    "UnknownTimeframe",
    "VenueError",
]


class TapehubError(Exception):
    """Catch everything tapehub raises on purpose."""

    published: int = 0
    """Records of the failed call that are in the log all the same (batches are published in chunks)."""


class ConfigError(TapehubError):
    """Report a setting, option or argument that cannot work."""


class UnknownTimeframe(ConfigError, ValueError):
    """Report a timeframe that is not in the table."""


class MissingExtra(ConfigError, ImportError):
    """Report an optional library that is not installed, and the extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{library} is not installed, {purpose} needs it: pip install 'tapehub[{extra}]'")
        self.library = library
        self.extra = extra


class InvalidRecord(TapehubError, ValueError):
    """Report a record that no hub may hold, such as a price that is not finite."""


class FeedError(TapehubError):
    """Report what went wrong between a venue, or a recording, and its feed."""


class AllowanceExceeded(FeedError):
    """Report a request for history that the venue's allowance does not reach for.

    Attributes:
        needed: points the request costs.
        available: points that may be spent now.
        renews_ns: when the venue grants its allowance anew, ns UTC; 0 when not known.
    """

    def __init__(self, message: str, *, needed: int = 0, available: int = 0, renews_ns: int = 0) -> None:
        super().__init__(message)
        self.needed = needed
        self.available = available
        self.renews_ns = renews_ns


class RecordingError(FeedError):
    """Report a recording that cannot be read as it is."""


class VenueError(FeedError):
    """Report a request that a venue refused, or did not answer.

    Attributes:
        code: the venue's error code; empty when it gave none.
        status: of HTTP; 0 when no answer came.
        at_login: the login itself was refused, so that logging in again is no remedy.
    """

    def __init__(self, message: str, *, code: str = "", status: int = 0, at_login: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.at_login = at_login


class HubError(TapehubError):
    """Report a fault of the hub itself."""


class HubClosed(HubError):
    """Report a call on a hub that this process has closed."""


class HubNotRunning(HubError):
    """Report that there is no hub, or no server, where one was expected."""


class HubHeld(HubError):
    """Report that another server already holds the directory."""


class Diverged(HubError):
    """Report that a run of agents, decided again, comes to something else than the log holds."""


class NotOffered(HubError, AttributeError):
    """Report a name that a hub has, perhaps, but not over this connection; to `hasattr` it is not there."""


class HubStalled(HubError):
    """Report that the process holding the write lock is alive but stopped."""


class HubFormatError(HubError):
    """Report a log of a format version that this tapehub does not read."""


class HubCorrupt(HubError):
    """Report bytes of a hub that contradict their checksum or each other."""


class Lapped(HubError):
    """Report records a stream lost, to a caller that asked for an exception.

    Attributes:
        lost: records overwritten before they were read.
        oldest: the oldest sequence that can still be read.
    """

    def __init__(self, message: str, *, lost: int = 0, oldest: int = 0) -> None:
        super().__init__(message)
        self.lost = lost
        self.oldest = oldest


class StaleDataError(HubError):
    """Report data older than the caller accepts."""
