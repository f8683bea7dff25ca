"""Who logs in to IG: taken from the environment, a ``.env`` file or the keyring, and never shown.

Names are those of this project (``IG_USERNAME``) and, second, those of trading-ig (``IG_SERVICE_USERNAME``). The first
place that knows a name wins, so a ``.env`` fills what the environment leaves open. DEMO unless LIVE is asked for, since
the mistake of a wrong default costs money one way and nothing the other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tapehub.errors import ConfigError, MissingExtra
from tapehub.hub.paths import config_home

__all__ = ["KEYRING_SERVICE", "NAMES", "AccountType", "Credentials", "find_credentials", "keep_out_of_logs"]

KEYRING_SERVICE = "tapehub-ig"
NAMES: Mapping[str, tuple[str, ...]] = {
    "username": ("IG_USERNAME", "IG_SERVICE_USERNAME"),
    "password": ("IG_PASSWORD", "IG_SERVICE_PASSWORD"),
    "api_key": ("IG_API_KEY", "IG_SERVICE_API_KEY"),
    "account": ("IG_ACC_NUMBER", "IG_SERVICE_ACC_NUMBER"),
    "type": ("IG_ACC_TYPE", "IG_SERVICE_ACC_TYPE"),
    "demo": ("IG_DEMO",),
}
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
_TALKATIVE = ("trading_ig", "trading_ig.rest", "urllib3.connectionpool", "requests", "lightstreamer", "aiohttp.client")


class AccountType(Enum):
    """Choose between pretended and real money; the value is the REST API's base address.

    Source: IG Labs, REST trading API guide, "Base URLs".
    """

    DEMO = "https://demo-api.ig.com/gateway/deal"
    LIVE = "https://api.ig.com/gateway/deal"


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Hold what a login needs; printing it shows the account type alone.

    Attributes:
        account: the account to be active; empty for the one IG prefers.
    """

    username: str
    password: str
    api_key: str
    account: str = ""
    account_type: AccountType = AccountType.DEMO

    def __repr__(self) -> str:
        return f"Credentials({self.account_type.name}, hidden)"

    @property
    def secrets(self) -> tuple[str, ...]:
        """List what must appear in no output."""
        return tuple(word for word in (self.password, self.api_key, self.username, self.account) if word)


def find_credentials(
    environ: Mapping[str, str] | None = None,
    *,
    dotenv: Sequence[Path] | None = None,
    keyring: Callable[[str, str], str | None] | None = None,
) -> Credentials:
    """Look the credentials up; nothing is written anywhere, `os.environ` included.

    Args:
        environ: `os.environ` when None.
        dotenv: files to read, the first that knows a name wins; ``.env`` in the working directory and beside
            ``tapehub.toml`` when None.
        keyring: ``get_password(service, name)``; the system's when None, if the library is installed.

    Raises:
        ConfigError: something is missing, or says two things; the message names what and where it was looked for.
    """
    environ = os.environ if environ is None else environ
    files = _default_dotenv(environ) if dotenv is None else list(dotenv)
    places: list[Callable[[str], str | None]] = [environ.get]
    places += [values.get for values in map(_read_dotenv, files) if values]
    places.append(_from_keyring(keyring))
    found = {field: _first(places, names) for field, names in NAMES.items()}
    missing = [NAMES[field][0] for field in ("username", "password", "api_key") if not found[field]]
    if missing:
        raise ConfigError(
            f"IG credentials: {', '.join(missing)} not found: looked in the environment, in "
            f"{' and '.join(str(path) for path in files) or 'no .env file'} and in the keyring (service "
            f'"{KEYRING_SERVICE}"); set them there, or try without an account: --feed sim'
        )
    return Credentials(
        found["username"] or "",
        found["password"] or "",
        found["api_key"] or "",
        found["account"] or "",
        _type_of(found["type"], found["demo"]),
    )


def keep_out_of_logs(secrets: Iterable[str]) -> None:
    """Put asterisks over these words in whatever the libraries underneath log.

    trading-ig logs the user's name with every login; urllib3 logs every address at DEBUG.
    """
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        cover = next((one for one in logger.filters if isinstance(one, _Cover)), None)
        if cover is None:
            cover = _Cover()
            logger.addFilter(cover)
        cover.words |= {word for word in secrets if word}


class _Cover(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.words: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        covered = text
        for word in sorted(self.words, key=len, reverse=True):
            covered = covered.replace(word, "***")
        if covered != text:
            record.msg, record.args = covered, None
        return True


def _first(places: Iterable[Callable[[str], str | None]], names: Sequence[str]) -> str | None:
    for place in places:
        for name in names:
            if value := (place(name) or "").strip():
                return value
    return None


def _default_dotenv(environ: Mapping[str, str]) -> list[Path]:
    config = environ.get("TAPEHUB_CONFIG")
    beside = Path(config).expanduser().parent if config else config_home(environ) / "tapehub"
    return list(dict.fromkeys([Path.cwd() / ".env", beside / ".env"]))


def _read_dotenv(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    try:
        from dotenv import dotenv_values
    except ImportError as error:
        raise MissingExtra("python-dotenv", "ig", f"reading {path}") from error
    # Without interpolation: a password may hold a dollar sign.
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}


def _from_keyring(get: Callable[[str, str], str | None] | None) -> Callable[[str], str | None]:
    def look_up(name: str) -> str | None:
        try:
            if get is not None:
                return get(KEYRING_SERVICE, name)
            import keyring

            return keyring.get_password(KEYRING_SERVICE, name)
        except Exception:
            # No keyring library, no backend, a locked one: each a reason to look no further, none to fail.
            return None

    return look_up


def _type_of(word: str | None, demo: str | None) -> AccountType:
    by_word = AccountType.__members__.get((word or "DEMO").upper())
    if by_word is None:
        raise ConfigError(f"IG_ACC_TYPE is {word!r}, expected DEMO or LIVE")
    if demo is None:
        return by_word
    if demo.lower() not in _TRUE | _FALSE:
        raise ConfigError(f"IG_DEMO is {demo!r}, expected true or false")
    by_flag = AccountType.DEMO if demo.lower() in _TRUE else AccountType.LIVE
    if word is not None and by_flag is not by_word:
        raise ConfigError(f"IG_DEMO={demo} asks for {by_flag.name}, IG_ACC_TYPE={word} for {by_word.name}; drop one")
    return by_flag
