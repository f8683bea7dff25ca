"""The REST session of one account: logged in once, kept alive, and renewed when IG says so.

How long tokens live is not known (6, 12 or 72 hours, by source), so they are renewed before an assumed expiry, checked
on every reconnect, and replaced on the 401 codes that mean "expired", with one login for each need, however many
callers notice it.

Source: IG Labs, REST trading API guide, "Login restrictions" and POST/GET/PUT /session; streaming guide (streaming
takes CST and XST, no OAuth token).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tapehub.errors import ConfigError, FeedError, VenueError
from tapehub.feeds.ig.allowance import Allowances, Limiter, allowances_of
from tapehub.feeds.ig.credentials import Credentials, keep_out_of_logs
from tapehub.feeds.ig.markets import Market, market_of
from tapehub.feeds.ig.refusals import Remedy, concerns_one, remedy_of
from tapehub.feeds.ig.rest import RestSession, service_class

if TYPE_CHECKING:
    from tapehub.feeds.ig.lending import BorrowedSession

__all__ = ["ASSUMED_LIFE_S", "LOGINS_PER_HOUR", "Account", "Login"]

ASSUMED_LIFE_S = 5 * 3600.0
"""Below the shortest life that any source gives (6 h)."""
_EPICS_MAX = 50  # in one GET /markets
LOGINS_PER_HOUR = 10
"""Whatever asks for them: the last resort, above what each caller allows itself."""
_FAILED_MAX = 3
"""Epics that fail one after the other before it is no longer theirs."""
_FOR_GOOD = (Remedy.MEND, Remedy.ENCRYPT, Remedy.NONE)
_SECOND = 1_000_000_000

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Hold what streaming, or other code of the same user, needs of a session; printing it hides the tokens.

    Attributes:
        account: the active one, which is also the streaming user.
        endpoint: the streaming server that IG gave this session.
        serial: counts renewals, to tell whether these tokens are still the latest.
    """

    account: str
    endpoint: str
    base_url: str
    cst: str
    security_token: str
    serial: int

    def __repr__(self) -> str:
        return f"Login({self.endpoint}, serial {self.serial}, account and tokens hidden)"

    @property
    def stream_password(self) -> str:
        """Give the password of the streaming connection."""
        return f"CST-{self.cst}|XST-{self.security_token}"


class Account:
    """Talk to IG's REST API. Any thread; calls block and take turns.

    Args:
        now: the hub clock, ns UTC, by which tokens age.
        base_url: of another server than IG's, such as the simulator.
        version: of the session: "2", or "3" (OAuth; needs the account number).
        reserved_share: part of each allowance left to the user's order code.
        barred_first_s, barred_ceiling_s: after a login that was refused for good no other is sent for so long, doubled
            each time; whoever asks is told the refusal again.
        monotonic: seconds, for the rate limit.
        borrow: gives the session of a collector that runs already, told of the one before when IG refused it: then
            nobody logs in here, and the credentials may be empty but for the key.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        now: Callable[[], int],
        base_url: str | None = None,
        version: str = "2",
        reserved_share: float = 0.25,
        assumed_life_s: float = ASSUMED_LIFE_S,
        barred_first_s: float = 600.0,
        barred_ceiling_s: float = 6 * 3600.0,
        monotonic: Callable[[], float] = time.monotonic,
        borrow: Callable[[BorrowedSession | None], BorrowedSession] | None = None,
    ) -> None:
        if version not in ("2", "3"):
            raise ConfigError(f"IG session version is {version!r}, expected 2 or 3")
        if version == "3" and not credentials.account:
            raise ConfigError("IG session version 3 needs IG_ACC_NUMBER, which is not set; set it, or use version 2")
        self._credentials = credentials
        self._now = now
        self._version = version
        self._life_ns = int(assumed_life_s * _SECOND)
        self.base_url = (base_url or credentials.account_type.value).rstrip("/")
        self.limiter = Limiter(reserved_share=reserved_share)
        self._monotonic = monotonic
        self._rest = RestSession(self.limiter, monotonic)
        self._service = service_class()(
            credentials.username,
            credentials.password,
            credentials.api_key,
            acc_type=credentials.account_type.name,
            acc_number=credentials.account or None,
            session=self._rest,
            return_dataframe=False,
            return_munch=False,
        )
        self._service.BASE_URL = self._service.crud_session.BASE_URL = self.base_url
        self._lock = threading.RLock()
        self._login: Login | None = None
        self._renewed_ns = 0
        self._encrypt = False
        self._borrow = borrow
        self._lent: BorrowedSession | None = None
        self._logins_at: deque[float] = deque()
        self._bar_s = (barred_first_s, barred_ceiling_s)
        self._refused: tuple[VenueError, float, float] | None = None  # for good; barred for so long, and until
        self.logins = 0
        keep_out_of_logs(credentials.secrets)

    @property
    def allowances(self) -> Allowances:
        """Give the limits as IG stated them; the smallest known until it did."""
        return self.limiter.allowances

    @property
    def current(self) -> Login | None:
        """Give the latest login; None before the first."""
        return self._login

    def tell_waits(self, tell: Callable[[str, float], None]) -> None:
        """Have it told, in any thread, when the allowance holds a request up: why, and for how many seconds."""
        self._rest.on_wait = tell

    def close(self) -> None:
        """Send nothing any more. The session stays valid at IG: other code of the user may have borrowed it."""
        self._rest.stop()
        self._rest.close()

    def due(self) -> bool:
        """Tell whether the tokens are near the end of their assumed life."""
        return self._login is None or self._now() - self._renewed_ns >= self._life_ns

    def login(self) -> Login:
        """Give the session there is, and log in when there is none."""
        with self._lock:
            return self._login or self._log_in()

    def fresh(self, used: Login | None = None, *, refused: bool = False) -> Login:
        """Give tokens that IG has just vouched for: for every reconnect, and before the assumed expiry.

        Asking is no login, and extends the life of tokens that still hold; only when they do not, one login follows.

        Args:
            used: those the caller has; when somebody renewed them since, the latest are given without asking.
            refused: the streaming server did not take them, whatever REST says: log in.

        Raises:
            VenueError: IG refused the login, or did not answer.
        """
        with self._lock:
            if self._login is None:
                return self._log_in()
            if used is not None and used.serial < self._login.serial:
                return self._login
            if refused:
                return self._log_in()
            try:
                self._service.read_session(fetch_session_tokens="true")
            except VenueError as error:
                if remedy_of(error.code, error.status) is not Remedy.LOGIN:
                    raise
                return self._log_in()
            return self._keep(self._login.account, self._login.endpoint)

    def markets(self, epics: Sequence[str]) -> tuple[dict[str, Market], dict[str, str]]:
        """Look the metadata of some epics up, fifty in a request.

        Returns:
            what is known, by epic; and why the others are not, by epic.

        Raises:
            VenueError: of what no single epic is to blame for, or when all that were asked for are refused.
        """
        found: dict[str, Market] = {}
        unknown: dict[str, str] = {}
        wanted, failed = list(dict.fromkeys(epics)), 0
        for begin in range(0, len(wanted), _EPICS_MAX):
            part = wanted[begin : begin + _EPICS_MAX]
            try:
                rows = self.call(lambda part=part: self._service.fetch_markets_by_epics(",".join(part)))  # type: ignore[misc]
            except VenueError as error:
                # A bad epic may refuse the whole request, or break it: then each is asked for by itself.
                if not concerns_one(error.code, error.status):
                    raise
                rows = []
            for row in rows:
                market = market_of(row)
                found[market.epic] = market
            for epic in part:
                if epic not in found:
                    try:
                        found[epic] = self.market(epic)
                    except VenueError as error:
                        if not concerns_one(error.code, error.status):
                            raise
                        unknown[epic] = str(error)
                        # IG itself is down: not forty requests to be told so, and no epic to be refused for it.
                        failed += remedy_of(error.code, error.status) is Remedy.RETRY
                        if failed >= min(_FAILED_MAX, len(wanted)) and not found:
                            raise
        return found, unknown

    def market(self, epic: str) -> Market:
        """Look the metadata of one epic up."""
        return market_of(self.call(lambda: self._service.fetch_market_by_epic(epic)), epic)

    def statuses(self, epics: Sequence[str]) -> dict[str, str]:
        """Ask for the market status alone, fifty epics in a request."""
        found: dict[str, str] = {}
        for begin in range(0, len(epics), _EPICS_MAX):
            part = ",".join(epics[begin : begin + _EPICS_MAX])
            rows = self.call(lambda part=part: self._service.fetch_markets_by_epics(part, detailed=False))  # type: ignore[misc]
            found |= {market.epic: market.status for market in map(market_of, rows)}
        return found

    def search(self, text: str) -> list[Market]:
        """Search markets by name."""
        rows = self.call(lambda: self._service.search_markets(text))["markets"]
        return [market_of(row) for row in rows]

    def watchlists(self) -> dict[str, str]:
        """List the watchlists: name by id."""
        rows = self.call(self._service.fetch_all_watchlists)["watchlists"]
        return {str(row["id"]): str(row["name"]) for row in rows}

    def watchlist(self, identifier: str) -> list[Market]:
        """List the markets of a watchlist."""
        rows = self.call(lambda: self._service.fetch_watchlist_markets(identifier))["markets"]
        return [market_of(row) for row in rows]

    def zone_ns(self) -> int:
        """Tell how far the account's local time is ahead of UTC, as the session says; 0 where it does not."""
        hours = self.call(self._service.read_session).get("timezoneOffset")
        return round(hours * 3600) * _SECOND if isinstance(hours, int | float) else 0

    def prices(self, epic: str, resolution: str, start: str, end: str, page_size: int = 0) -> dict[str, Any]:
        """Fetch candles from ``/prices`` v3; the reply as IG gives it, with its allowance.

        Args:
            resolution: IG's word, such as ``MINUTE``.
            start, end: ``2026-06-02T13:00:00``, in UTC or in the account's zone: see `prices.IgPrices`.
            page_size: 0 for all at once.
        """
        params = {"resolution": resolution, "from": start, "to": end, "pageSize": page_size}
        reply = self.call(lambda: self._service._req("read", f"/prices/{epic}", params, None, "3"))
        parsed: dict[str, Any] = reply.json()
        return parsed

    def call(self, request: Callable[[], Answer]) -> Answer:
        """Make a request of an open session; tokens that expired cost one login and one more try."""
        with self._lock:
            login = self.login()
            try:
                return request()
            except VenueError as error:
                if remedy_of(error.code, error.status) is not Remedy.LOGIN:
                    raise
                self.fresh(login, refused=True)
                return request()

    def _log_in(self) -> Login:
        """Log in, switch to the account that is asked for, and read the limits of the key; or borrow."""
        if self._borrow is not None:
            lent = self._lent = self._borrow(self._lent)
            self._rest.headers.update(lent.headers)
            login = self._keep(lent.account, lent.endpoint)
            self.read_allowances()
            return login
        for name in ("CST", "X-SECURITY-TOKEN", "Authorization"):
            self._rest.headers.pop(name, None)
        self._service._refresh_token = self._service._valid_until = None
        # The need that `create_session` with encryption has: the key is asked for in version 1.
        self._rest.headers.pop("VERSION", None)
        try:
            reply = self._create()
        except VenueError as error:
            if self._encrypt or remedy_of(error.code, error.status) is not Remedy.ENCRYPT:
                raise
            self._encrypt = True
            self._rest.headers.pop("VERSION", None)
            reply = self._create()
        account = str(reply.get("currentAccountId") or reply.get("accountId") or "")
        endpoint = str(reply.get("lightstreamerEndpoint") or "")
        if self._version == "3":
            # The header IG-ACCOUNT-ID has chosen the account already, and the reply says which.
            account = str(self._service.read_session(fetch_session_tokens="true").get("accountId") or account)
        wanted = self._credentials.account
        if wanted and wanted != account:
            known = [str(row.get("accountId")) for row in reply.get("accounts") or ()]
            if known and wanted not in known:
                raise ConfigError(f"IG_ACC_NUMBER names no account of this login, which has {len(known)}; correct it")
            self._service.switch_account(wanted, False)
            account = wanted
        if not endpoint:
            raise FeedError("IG's login reply names no lightstreamerEndpoint, expected one; streaming is not possible")
        login = self._keep(account, endpoint)
        self.read_allowances()
        return login

    def _create(self) -> dict[str, Any]:
        if self._refused is not None and self._monotonic() < self._refused[2]:
            raise self._refused[0].with_traceback(None)
        while self._logins_at and self._logins_at[0] <= self._monotonic() - 3600.0:
            self._logins_at.popleft()
        if len(self._logins_at) >= LOGINS_PER_HOUR:
            raise VenueError(
                f"not logged in: {LOGINS_PER_HOUR} logins within the hour are enough, since IG locks accounts for "
                "them; see why they do not last",
                status=429,
                at_login=True,
            )
        self.logins += 1
        try:
            reply: dict[str, Any] = self._service.create_session(encryption=self._encrypt, version=self._version)
        except VenueError as error:
            if 400 <= error.status < 500:  # a server that is down, or not there, counts none
                self._logins_at.append(self._monotonic())
            self._bar(error)
            raise
        self._refused = None
        self._logins_at.append(self._monotonic())
        return reply

    def _bar(self, error: VenueError) -> None:
        remedy = remedy_of(error.code, error.status, at_login=True)
        if remedy not in _FOR_GOOD or (remedy is Remedy.ENCRYPT and not self._encrypt):
            return
        first_s, ceiling_s = self._bar_s
        bar_s = first_s if self._refused is None else min(2.0 * self._refused[1], ceiling_s)
        self._refused = error, bar_s, self._monotonic() + bar_s

    def _keep(self, account: str, endpoint: str) -> Login:
        cst, security_token = (str(self._rest.headers.get(name) or "") for name in ("CST", "X-SECURITY-TOKEN"))
        if not (cst and security_token):
            raise FeedError("IG's reply has no CST and X-SECURITY-TOKEN headers, expected both: streaming needs them")
        keep_out_of_logs((cst, security_token, account))
        before = self._login
        self._renewed_ns = self._now()
        if before is not None and (before.cst, before.security_token) == (cst, security_token):
            return before
        serial = before.serial + 1 if before is not None else 1
        self._login = Login(account, endpoint, self.base_url, cst, security_token, serial)
        return self._login

    def read_allowances(self) -> None:
        """Read the limits, once; where they cannot be had, the least known are assumed: no reason to have no data."""
        with self._lock:
            if self.limiter.allowances.as_read:
                return
            try:
                rows = self._service.get_client_apps()
            except VenueError:
                return
            self.limiter.allowances = allowances_of(rows, self._credentials.api_key)
