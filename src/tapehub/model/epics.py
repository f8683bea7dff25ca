"""IG's names of markets: what an epic stands for, in every process, whether it has anything to do with IG or not.

Source: the CFD forms of EUR/USD and EUR/GBP, gold, France 40, Germany 40 and Wall Street stand in captured replies of
IG; the other forms follow IG's naming in trading-ig's samples and third-party tables, and were not seen captured.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FORMS", "TABLE", "symbol_of"]

FORMS = ("CFD", "MINI", "TODAY")
_PAIRS = """
    EUR_USD GBP_USD USD_JPY AUD_USD USD_CAD USD_CHF NZD_USD EUR_GBP EUR_JPY GBP_JPY EUR_CHF AUD_JPY EUR_AUD EUR_CAD
    GBP_CHF GBP_AUD GBP_CAD CAD_JPY CHF_JPY AUD_NZD AUD_CAD EUR_NZD GBP_NZD NZD_JPY
"""
_OTHERS = """
    XAU_USD CS.D.CFDGOLD.CFDGC.IP   CS.D.CFDGOLD.BMU.IP     CS.D.USCGC.TODAY.IP
    XAG_USD CS.D.CFDSILVER.CFDSI.IP CS.D.CFDSILVER.BMU.IP   CS.D.USCSI.TODAY.IP
    US500   IX.D.SPTRD.IFS.IP       IX.D.SPTRD.IFMM.IP      IX.D.SPTRD.DAILY.IP
    US30    IX.D.DOW.IDF.IP         IX.D.DOW.IMF.IP         IX.D.DOW.DAILY.IP
    NAS100  IX.D.NASDAQ.IFS.IP      IX.D.NASDAQ.IFMM.IP     IX.D.NASDAQ.CASH.IP
    DE40    IX.D.DAX.IDF.IP         IX.D.DAX.IMF.IP         IX.D.DAX.DAILY.IP
    UK100   IX.D.FTSE.CFD.IP        IX.D.FTSE.IFM.IP        IX.D.FTSE.DAILY.IP
    FR40    IX.D.CAC.IDF.IP         IX.D.CAC.IMF.IP         IX.D.CAC.DAILY.IP
    JP225   IX.D.NIKKEI.IFD.IP      IX.D.NIKKEI.IFM.IP      IX.D.NIKKEI.DAILY.IP
"""


def _table() -> dict[str, dict[str, str]]:
    rows = {pair: {form: f"CS.D.{pair.replace('_', '')}.{form}.IP" for form in FORMS} for pair in _PAIRS.split()}
    words = _OTHERS.split()
    for begin in range(0, len(words), 4):
        rows[words[begin]] = dict(zip(FORMS, words[begin + 1 : begin + 4], strict=True))
    return rows


TABLE: Mapping[str, Mapping[str, str]] = _table()

_SYMBOLS = {epic: symbol for symbol, forms in TABLE.items() for epic in forms.values()}


def symbol_of(epic: str) -> str | None:
    """Name the symbol that an epic of the table stands for."""
    return _SYMBOLS.get(epic)
