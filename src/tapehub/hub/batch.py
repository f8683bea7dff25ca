"""What a read of many records returns: rows in one array, and doors to the libraries people use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from tapehub._native import Rows, set_array_types
from tapehub.errors import MissingExtra
from tapehub.model.records import CANDLE, TICK

if TYPE_CHECKING:
    # Spelt out: the method `pl` would hide the alias.
    import pandas  # noqa: ICN001
    import polars  # noqa: ICN001
    import pyarrow  # noqa: ICN001

    from tapehub._native import Candle, Tick

__all__ = ["Batch"]

_TIMES = ("timestamp", "ts_event", "ts_recv", "ts_publish", "ts_first", "ts_last", "ts_arrival")


class Batch(Rows):
    """Hold rows, oldest first. Immutable in use; indexing and ``len`` are numpy's; ``numpy()`` gives the array.

    Attributes:
        lost: records overwritten before a stream could read them, 0 elsewhere.
        records: the records of other kinds that a stream was asked for, in log order.
    """

    __slots__ = ()

    @property
    def symbols(self) -> dict[int, str]:
        """Instrument id to symbol, for the rows here."""
        if self._symbols is None:
            self._symbols = self._hub._symbols_of(self._rows)
        return self._symbols

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, key: str) -> npt.NDArray[Any]: ...
    @overload
    def __getitem__(self, key: Any) -> Any: ...
    def __getitem__(self, key: Any) -> Any:
        return self._rows[key]

    def __iter__(self) -> Iterator[Tick | Candle]:
        return iter(self.objects())

    def objects(self) -> list[Any]:
        """Give the rows as `Tick` or `Candle` objects."""
        raw = np.ascontiguousarray(self._rows).view(np.uint8)
        return self._hub._tick_objects(raw) if self._rows.dtype == TICK else self._hub._candle_objects(raw)

    # ------------------------------------------------------------ tables

    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        rows = self._rows
        columns: dict[str, npt.NDArray[Any]] = {}
        for name in rows.dtype.names or ():
            if name in {"crc32c", "instrument", "source", "timeframe"}:
                continue
            column = np.ascontiguousarray(rows[name])
            columns[name] = column.view("M8[ns]") if name in _TIMES else column
        names = np.array([self.symbols.get(i, "") for i in range(max(self.symbols, default=0) + 1)], dtype=object)
        columns["symbol"] = names[rows["instrument"]]
        sources = np.array(self._hub.sources or [""], dtype=object)
        columns["source"] = sources[np.minimum(rows["source"], len(sources) - 1)]
        return columns

    def df(self) -> pandas.DataFrame:
        """Give a pandas frame: UTC DatetimeIndex (``ts_event`` or the open time), lower-case columns.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtra("pandas", "frames", "Batch.df()") from None
        columns = self._columns()
        time = columns.pop("timestamp" if self._rows.dtype == CANDLE else "ts_event")
        for name in _TIMES:
            if name in columns:
                columns[name] = pd.DatetimeIndex(columns[name], tz="UTC")  # type: ignore[assignment]
        index = pd.DatetimeIndex(time, tz="UTC", name="timestamp")
        if self._rows.dtype == CANDLE:
            first = ["open", "high", "low", "close", "volume"]
        else:
            first = ["bid", "ask", "bid_size", "ask_size"]
        order = [*first, *(name for name in columns if name not in first)]
        return pd.DataFrame({name: columns[name] for name in order}, index=index)

    def pl(self) -> polars.DataFrame:
        """Give a polars frame with UTC datetimes.

        Raises:
            MissingExtra: polars is not installed.
        """
        try:
            import polars as pl
        except ImportError:
            raise MissingExtra("polars", "frames", "Batch.pl()") from None
        series = []
        for name, column in self._columns().items():
            if name in _TIMES:
                series.append(pl.Series(name, column.view("i8")).cast(pl.Datetime("ns", "UTC")))
            elif name in {"symbol", "source"}:
                series.append(pl.Series(name, column.tolist(), dtype=pl.String))
            else:
                series.append(pl.Series(name, column))
        return pl.DataFrame(series)

    def arrow(self) -> pyarrow.Table:
        """Give a pyarrow table with UTC timestamps in ns.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingExtra("pyarrow", "frames", "Batch.arrow()") from None
        arrays: dict[str, Any] = {}
        for name, column in self._columns().items():
            if name in _TIMES:
                arrays[name] = pa.array(column.view("i8"), type=pa.timestamp("ns", "UTC"))
            elif name in {"symbol", "source"}:
                arrays[name] = pa.array(column.tolist(), type=pa.string())
            else:
                arrays[name] = pa.array(column)
        return pa.table(arrays)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.arrow().__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        try:
            return str(self.df()._repr_html_())  # type: ignore[operator]
        except MissingExtra:
            return f"<pre>{self!r}</pre>"

    def __repr__(self) -> str:
        kind = "candles" if self._rows.dtype == CANDLE else "ticks"
        names = ", ".join(sorted(self.symbols.values())[:4]) + (", …" if len(self.symbols) > 4 else "")
        lost = f", {self.lost} lost" if self.lost else ""
        other = f", {len(self.records)} other records" if self.records else ""
        return f"<Batch of {len(self)} {kind}{' of ' + names if names else ''}{lost}{other}>"


set_array_types(TICK, CANDLE, Batch)
