"""The bodies of the simulated venue's REST replies, key for key as captured.

Sources: captures of IG's replies (markets v2 and v3, watchlists, accounts, application, session v2), labs.ig.com for
what none was captured of (session v3, market search). Numbers that IG writes as text are text here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tapehub.feeds.sim.contracts import Contract
from tapehub.feeds.sim.market import Market
from tapehub.feeds.sim.settings import Account, Settings
from tapehub.feeds.sim.tokens import Login

__all__ = ["Bodies"]

Body = dict[str, Any]
_INSTRUMENT_KEYS = (
    "epic", "expiry", "name", "forceOpenAllowed", "stopsLimitsAllowed", "lotSize", "unit", "type",
    "controlledRiskAllowed", "streamingPricesAvailable", "marketId", "currencies", "sprintMarketsMinimumExpiryTime",
    "sprintMarketsMaximumExpiryTime", "marginDepositBands", "marginFactor", "marginFactorUnit", "slippageFactor",
    "limitedRiskPremium", "openingHours", "expiryDetails", "rolloverDetails", "newsCode", "chartCode", "country",
    "valueOfOnePip", "onePipMeans", "contractSize", "specialInfo",
)  # fmt: skip
_FLAGS = ("forceOpenAllowed", "stopsLimitsAllowed", "controlledRiskAllowed", "streamingPricesAvailable")
_SYMBOLS = {"USD": "$", "GBP": "£", "EUR": "E", "JPY": "Y"}


class Bodies:
    """Write replies about the market as it is."""

    def __init__(self, market: Market, settings: Settings, state: Callable[[Contract], str]) -> None:
        self._market = market
        self._settings = settings
        self._state = state
        self._offset = timedelta(hours=settings.timezone_offset_h)

    def market(self, contract: Contract, *, snapshot_only: bool = False) -> Body:
        """Describe a market: `GET /markets/{epic}` v3, and one of `marketDetails` of v2."""
        if snapshot_only:
            return {"instrument": _nothing_of(contract), "dealingRules": None, "snapshot": self._snapshot(contract)}
        return {"instrument": _instrument(contract), "dealingRules": _rules(), "snapshot": self._snapshot(contract)}

    def row(self, contract: Contract) -> Body:
        """Describe a market in a line: watchlists, navigation, search."""
        snapshot = self._snapshot(contract)
        return {
            "instrumentName": contract.name,
            "expiry": contract.expiry,
            "epic": contract.epic,
            "instrumentType": contract.type,
            "marketStatus": snapshot["marketStatus"],
            "lotSize": contract.lot_size,
            "high": snapshot["high"],
            "low": snapshot["low"],
            "percentageChange": snapshot["percentageChange"],
            "netChange": snapshot["netChange"],
            "bid": snapshot["bid"],
            "offer": snapshot["offer"],
            "updateTime": snapshot["updateTime"],
            "updateTimeUTC": self._time(contract, timedelta()),
            "delayTime": 0,
            "streamingPricesAvailable": True,
            "scalingFactor": contract.scaling_factor,
        }

    def accounts(self) -> Body:
        """List the accounts: `GET /accounts` v1."""
        rows = [
            {
                "accountId": account.id,
                "accountName": account.name,
                "accountAlias": None,
                "status": "ENABLED",
                "accountType": account.type,
                "preferred": account is self._settings.accounts[0],
                "balance": _balance(account),
                "currency": account.currency,
                "canTransferFrom": True,
                "canTransferTo": True,
            }
            for account in self._settings.accounts
        ]
        return {"accounts": rows}

    def application(self) -> list[Body]:
        """List the user's applications and their limits: `GET /operations/application` v1."""
        settings = self._settings
        return [
            {
                "name": "tapehub simulator",
                "apiKey": settings.api_key,
                "status": "ENABLED",
                "allowanceApplicationOverall": settings.allowance_application,
                "allowanceAccountTrading": settings.allowance_trading,
                "allowanceAccountOverall": settings.allowance_account,
                "allowanceAccountHistoricalData": settings.history_points,
                "concurrentSubscriptionsLimit": settings.subscription_limit,
                "allowEquities": False,
                "allowQuoteOrders": False,
                "createdDate": "2021-03-04",
            }
        ]

    def session_v2(self, account: Account, endpoint: str) -> Body:
        """Answer a login of version 1 or 2."""
        settings = self._settings
        return {
            "accountType": account.type,
            "accountInfo": _balance(account),
            "currencyIsoCode": account.currency,
            "currencySymbol": _SYMBOLS.get(account.currency, account.currency),
            "currentAccountId": account.id,
            "lightstreamerEndpoint": endpoint,
            "accounts": [
                {
                    "accountId": row.id,
                    "accountName": row.name,
                    "preferred": row is settings.accounts[0],
                    "accountType": row.type,
                }
                for row in settings.accounts
            ],
            "clientId": settings.client_id,
            "timezoneOffset": settings.timezone_offset_h,
            "hasActiveDemoAccounts": True,
            "hasActiveLiveAccounts": False,
            "trailingStopsEnabled": True,
            "reroutingEnvironment": None,
            "dealingEnabled": True,
        }

    def session_v3(self, account: Account, endpoint: str, login: Login) -> Body:
        """Answer a login of version 3."""
        return {
            "clientId": self._settings.client_id,
            "accountId": account.id,
            "timezoneOffset": self._settings.timezone_offset_h,
            "lightstreamerEndpoint": endpoint,
            "oauthToken": self.oauth(login),
        }

    def oauth(self, login: Login) -> Body:
        """Describe OAuth tokens; how long they live is a text."""
        return {
            "access_token": login.access,
            "refresh_token": login.refresh,
            "scope": "profile",
            "token_type": "Bearer",
            "expires_in": str(max(round(self._settings.oauth_life_s), 1)),
        }

    def session(self, account: Account, endpoint: str) -> Body:
        """Describe the session: `GET /session` v1."""
        return {
            "clientId": self._settings.client_id,
            "accountId": account.id,
            "timezoneOffset": self._settings.timezone_offset_h,
            "locale": "en_GB",
            "currency": account.currency,
            "lightstreamerEndpoint": endpoint,
        }

    def switched(self) -> Body:
        """Answer a change of account: `PUT /session` v1."""
        return {
            "trailingStopsEnabled": True,
            "dealingEnabled": True,
            "hasActiveDemoAccounts": True,
            "hasActiveLiveAccounts": False,
        }

    def _snapshot(self, contract: Contract) -> Body:
        last, day = self._market.last(contract.symbol), self._market.day(contract.symbol)
        prices: Mapping[str, float | None] = dict.fromkeys(
            ("netChange", "percentageChange", "bid", "offer", "high", "low")
        )
        if last is not None and day is not None:
            mid = (last.bid + last.ask) / 2
            prices = {
                "netChange": contract.quoted(mid - day.open),
                "percentageChange": round((mid / day.open - 1) * 100, 2) + 0.0,
                "bid": contract.quoted(last.bid),
                "offer": contract.quoted(last.ask),
                "high": contract.quoted(day.high),
                "low": contract.quoted(day.low),
            }
        return {
            "marketStatus": self._state(contract),
            "netChange": prices["netChange"],
            "percentageChange": prices["percentageChange"],
            "updateTime": self._time(contract, self._offset),
            "delayTime": 0,
            "bid": prices["bid"],
            "offer": prices["offer"],
            "high": prices["high"],
            "low": prices["low"],
            "binaryOdds": None,
            "decimalPlacesFactor": contract.decimals,
            "scalingFactor": contract.scaling_factor,
            "controlledRiskExtraSpread": 2,
        }

    def _time(self, contract: Contract, offset: timedelta) -> str | None:
        """Write the time of the last quote: hours, minutes and seconds, without a date."""
        last = self._market.last(contract.symbol)
        if last is None:
            return None
        return (datetime.fromtimestamp(last.ts_event // 1_000_000_000, UTC) + offset).strftime("%H:%M:%S")


def _instrument(contract: Contract) -> Body:
    known: Body = {
        "epic": contract.epic,
        "expiry": contract.expiry,
        "name": contract.name,
        "lotSize": contract.lot_size,
        "unit": contract.unit,
        "type": contract.type,
        "marketId": contract.market_id,
        "currencies": [
            {
                "code": contract.currency,
                "symbol": _SYMBOLS.get(contract.currency, contract.currency),
                "baseExchangeRate": 1.0,
                "exchangeRate": 1.0,
                "isDefault": True,
            }
        ],
        "marginDepositBands": [{"min": 0, "max": None, "margin": 3.33, "currency": contract.currency}],
        "marginFactor": 3.33,
        "marginFactorUnit": "PERCENTAGE",
        "slippageFactor": {"unit": "pct", "value": 50.0},
        "limitedRiskPremium": {"value": 1.2, "unit": "POINTS"},
        "chartCode": contract.market_id,
        "valueOfOnePip": contract.pip_value,
        "onePipMeans": contract.pip_means,
        "contractSize": contract.contract_size,
        "specialInfo": ["DEFAULT KNOCK OUT LEVEL DISTANCE"],
    }
    return {key: True if key in _FLAGS else known.get(key) for key in _INSTRUMENT_KEYS}


def _nothing_of(contract: Contract) -> Body:
    """Describe an instrument as `filter=SNAPSHOT_ONLY` does: epic, type, and keys without values."""
    kept: Body = {"epic": contract.epic, "type": contract.type}
    return {key: False if key in _FLAGS else kept.get(key) for key in _INSTRUMENT_KEYS}


def _rules() -> Body:
    return {
        "minStepDistance": {"unit": "POINTS", "value": 5.0},
        "minDealSize": {"unit": "POINTS", "value": 1.0},
        "minControlledRiskStopDistance": {"unit": "POINTS", "value": 5.0},
        "minNormalStopOrLimitDistance": {"unit": "POINTS", "value": 2.0},
        "maxStopOrLimitDistance": {"unit": "PERCENTAGE", "value": 75.0},
        "controlledRiskSpacing": {"unit": "POINTS", "value": 20.0},
        "marketOrderPreference": "AVAILABLE_DEFAULT_OFF",
        "trailingStopsPreference": "AVAILABLE",
    }


def _balance(account: Account) -> Body:
    return {"balance": account.balance, "deposit": 0.0, "profitLoss": 0.0, "available": account.balance}
