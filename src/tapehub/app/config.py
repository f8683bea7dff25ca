"""`tapehub.toml`: read with its types checked, written with everything kept that stands in it.

``TAPEHUB_CONFIG`` names the file, else it is ``tapehub/tapehub.toml`` in ``XDG_CONFIG_HOME`` or ``~/.config``; none is
needed. An environment variable overrides a setting: ``TAPEHUB_IG__FORM=MINI`` for ``form`` in ``[ig]``. A broker's
credentials do not belong here, and are refused.

A section is a class: what it says of a setting under ``Attributes`` is what `tapehub init` writes beside it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tapehub.app.misfits import of_environment, of_setting, sections_in_doubt
from tapehub.app.sections import (
    AgentsConfig,
    AlertsConfig,
    CalendarConfig,
    HubConfig,
    IgConfig,
    LogsConfig,
    ManagerConfig,
    UpConfig,
)
from tapehub.errors import ConfigError, MissingExtra
from tapehub.gateway.settings import GatewaySettings
from tapehub.hub.paths import config_home, replace_file
from tapehub.model.calendars import Calendar, calendar_of
from tapehub.model.instruments import InstrumentBook
from tapehub.model.sessions import CalendarId

try:
    import tomlkit
    from pydantic import Field, ValidationError
    from pydantic_settings import (
        BaseSettings,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
        SettingsError,
        TomlConfigSettingsSource,
    )
    from tomlkit.exceptions import TOMLKitError
except ImportError as error:
    raise MissingExtra(error.name or "pydantic-settings", "cli", "tapehub.toml") from error

__all__ = ["Config", "add_epics", "config_path", "oddities", "read_config", "write_config"]


class Config(BaseSettings):
    """Hold what `tapehub.toml` says; sections that this version does not know are left to those who do.

    Attributes:
        calendars: the holidays of each calendar.
        instruments: what is overridden of each, as in `InstrumentBook.declare`: [instruments.DE40], pip_size = 0.1.
    """

    model_config = SettingsConfigDict(
        env_prefix="TAPEHUB_", env_nested_delimiter="__", extra="ignore", frozen=True, toml_file=None
    )

    hub: HubConfig = HubConfig()
    up: UpConfig = UpConfig()
    ig: IgConfig = IgConfig()
    logs: LogsConfig = LogsConfig()
    alerts: AlertsConfig = AlertsConfig()
    manager: ManagerConfig = ManagerConfig()
    agents: AgentsConfig = AgentsConfig()
    gateway: GatewaySettings = GatewaySettings()
    calendars: dict[str, CalendarConfig] = Field(default_factory=dict)
    instruments: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment come before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_path())

    def book(self) -> InstrumentBook:
        """Make the instruments as configured.

        Raises:
            ConfigError: an override cannot be.
        """
        return InstrumentBook(self.instruments)

    def sessions(self) -> list[Calendar]:
        """Work out the hours of all markets, holidays included.

        Raises:
            ConfigError: a calendar that there is none of, or a holiday that cannot be read.
        """
        given = {name.lower(): section.holidays for name, section in self.calendars.items()}
        try:
            named = {calendar.id: calendar for calendar in (calendar_of(*pair) for pair in given.items())}
        except ConfigError as error:
            raise ConfigError(f"{config_path()}: [calendars]: {error}") from None
        return [named.get(identifier) or Calendar(identifier) for identifier in CalendarId]


def config_path() -> Path:
    """Give the file that is read and written; it need not exist."""
    named = os.environ.get("TAPEHUB_CONFIG")
    return Path(named).expanduser() if named else config_home(os.environ) / "tapehub" / "tapehub.toml"


def read_config(remark: Callable[[str], None] | None = None) -> Config:
    """Read the configuration; the defaults where nothing is set.

    Args:
        remark: takes what is odd and no error; none in the processes that a command starts, which has said it.

    Raises:
        ConfigError: ``TAPEHUB_CONFIG`` names no file, the file is no TOML, or a setting cannot be; the message names
            the setting, and the file or the variable that it comes from.
    """
    path = config_path()
    if named := os.environ.get("TAPEHUB_CONFIG"):  # who names one does not mean the defaults
        if path.is_dir():
            raise ConfigError(f"TAPEHUB_CONFIG is {named!r}: it is a directory: expected a file in it; name that")
        if not path.exists():
            raise ConfigError(
                f"TAPEHUB_CONFIG is {named!r}: expected a file that is there; correct it, or let tapehub init write one"
            )
    try:
        config = Config()
    except ValidationError as error:
        raise ConfigError(of_setting(error, Config, path)) from None
    except SettingsError as error:
        raise ConfigError(of_environment(Config) or f"the environment: {error}; correct it there") from None
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path}: {error}: expected TOML; correct it there") from error
    if remark is not None:
        for text in oddities():
            remark(text)
    return config


def oddities() -> list[str]:
    """Say what is odd about the configuration and no error: a mistyped section, a file that lies where none is read."""
    path, here = config_path(), Path("tapehub.toml")
    found = sections_in_doubt(path, Config)
    if not path.exists() and here.is_file():
        found.append(
            f"{here.absolute()} is not read: expected {path}; move it there, or set TAPEHUB_CONFIG={here.absolute()}"
        )
    return found


def add_epics(epics: Mapping[str, str], path: Path | None = None, *, replace: bool = False) -> dict[str, str]:
    """Write epics into ``[ig.epics]``; comments, order and all other settings stay as they are.

    Args:
        replace: an epic that stands there already for the same symbol.

    Returns:
        those that were left as they stood, by symbol.

    Raises:
        ConfigError: the file is no TOML.
    """
    path = path or config_path()
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        section = document.setdefault("ig", tomlkit.table(is_super_table=True))
        table = section.setdefault("epics", tomlkit.table())
        kept = {}
        for symbol, epic in epics.items():
            if symbol in table and table[symbol] != epic and not replace:
                kept[symbol] = str(table[symbol])
            else:
                table[symbol] = epic
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}: expected TOML with a table [ig.epics]; correct it there") from error
    write_config(path, tomlkit.dumps(document))
    return kept


def write_config(path: Path, text: str) -> None:
    """Replace a file at once, so that a reader sees the old one or the new one; a new one is 0600."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    replace_file(path, text, durable=True, mode=mode)
