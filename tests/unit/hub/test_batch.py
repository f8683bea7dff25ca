"""What a read of many records returns, and its doors to pandas, polars and Arrow."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tapehub import CANDLE, TICK, Batch, Candle, DataHub, Tick
from tapehub.errors import MissingExtra
from tests.models.market import EUR, GBP, NINE, moment, quotes, tick


@pytest.fixture
def filled(hub: DataHub) -> DataHub:
    hub.publish(quotes([0.5, 1, 61, 122], [1.1, 1.2, 1.15, 1.3]), symbol=EUR)
    return hub


def test_a_batch_is_its_array(filled: DataHub) -> None:
    batch = filled.ticks(EUR)
    assert isinstance(batch, Batch)
    assert batch.numpy().dtype == TICK
    assert len(batch) == 4
    assert batch["bid"].tolist() == [1.1, 1.2, 1.15, 1.3]
    assert batch[-1]["ask"] == pytest.approx(1.3002)
    assert batch[1:3]["bid"].tolist() == [1.2, 1.15]
    assert (batch.lost, tuple(batch.records)) == (0, ())
    assert batch.symbols == {0: EUR}
    assert filled.candles(EUR).numpy().dtype == CANDLE


def test_iterating_gives_objects(filled: DataHub) -> None:
    ticks = list(filled.ticks(EUR))
    assert all(isinstance(one, Tick) for one in ticks)
    assert ticks[1] == tick(1, 1.2)
    candles = filled.candles(EUR, "1m").objects()
    assert all(isinstance(one, Candle) for one in candles)
    assert candles == filled.get_latest_candles(EUR)


def test_pandas_gets_a_utc_index_and_lower_case_prices(filled: DataHub) -> None:
    frame = filled.candles(EUR, "1m").df()
    assert list(frame.columns[:5]) == ["open", "high", "low", "close", "volume"]
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert frame.index.name == "timestamp"
    assert list(frame.index) == [moment(0), moment(60)]
    assert frame["open"].dtype == np.float64
    assert frame["high"].tolist() == [pytest.approx(1.2001), pytest.approx(1.1501)]
    assert set(frame["symbol"]) == {EUR}
    ticks = filled.ticks(EUR).df()
    assert list(ticks.columns[:4]) == ["bid", "ask", "bid_size", "ask_size"]
    assert list(ticks.index) == [moment(0.5), moment(1), moment(61), moment(122)]
    assert str(ticks["ts_publish"].dtype) == "datetime64[ns, UTC]"


def test_polars_and_arrow_have_the_same_columns_and_times(filled: DataHub) -> None:
    for batch in (filled.candles(EUR, "1m"), filled.ticks(EUR)):
        table, frame = batch.arrow(), batch.pl()
        time = "timestamp" if "timestamp" in frame.columns else "ts_event"
        assert frame[time].dtype == pl.Datetime("ns", "UTC")
        assert table.schema.field(time).type == pa.timestamp("ns", "UTC")
        assert table.column_names == frame.columns
        assert frame.height == table.num_rows == len(batch)
        assert frame[time].to_list() == [one.to_pydatetime() for one in batch.df().index]
        assert frame.equals(pl.from_arrow(table))
        assert frame["source"].to_list() == ["direct"] * len(batch)


def test_libraries_that_take_arrow_take_a_batch(filled: DataHub) -> None:
    batch = filled.candles(EUR, "1m")
    assert pl.DataFrame(batch).equals(batch.pl())
    assert pa.table(batch).equals(batch.arrow())
    assert pa.RecordBatchReader.from_stream(batch).read_all().num_rows == 2


def test_nothing_is_a_table_without_rows_but_with_columns(filled: DataHub) -> None:
    for batch in (filled.candles(GBP), filled.ticks(GBP), filled.candles(EUR, limit=0), filled.ticks(EUR, 0)):
        assert len(batch) == 0
        assert list(batch) == []
        assert len(batch.df()) == len(batch.pl()) == batch.arrow().num_rows == 0
        assert set(batch.pl().columns) >= {"bid"} or set(batch.pl().columns) >= {"open"}
        assert (
            batch.pl().schema == filled.candles(EUR).pl().schema or batch.pl().schema == filled.ticks(EUR).pl().schema
        )
        repr(batch), batch._repr_html_()


def test_repr_says_what_it_holds(filled: DataHub) -> None:
    assert repr(filled.ticks(EUR)) == "<Batch of 4 ticks of EUR_USD>"
    assert repr(filled.candles(EUR)) == "<Batch of 2 candles of EUR_USD>"
    assert repr(filled.candles(GBP)) == "<Batch of 0 candles>"
    assert "<table" in filled.candles(EUR)._repr_html_()


def test_a_batch_of_several_symbols_names_each_row(filled: DataHub) -> None:
    filled.update_tick(tick(200, 1.5, GBP))
    with filled.stream(start="oldest") as stream:
        batch = stream.poll()
    assert batch.symbols == {0: EUR, 1: GBP}
    assert batch.df()["symbol"].tolist() == [EUR] * 4 + [GBP]
    assert batch.pl()["symbol"].to_list() == [EUR] * 4 + [GBP]
    assert [one.symbol for one in batch] == [EUR] * 4 + [GBP]


@pytest.mark.parametrize(("library", "door"), [("pandas", "df"), ("polars", "pl"), ("pyarrow", "arrow")])
def test_a_missing_library_is_an_error_that_names_the_extra(
    filled: DataHub, monkeypatch: pytest.MonkeyPatch, library: str, door: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{library} is not installed.*pip install 'tapehub\[frames\]'"):
        getattr(filled.ticks(EUR), door)()
    filled.ticks(EUR)._repr_html_()


def test_a_batch_does_not_change_when_the_hub_goes_on(filled: DataHub) -> None:
    before: Any = filled.candles(EUR, "1m", forming=True)
    kept = before.numpy().copy()
    filled.publish(quotes([123, 500], 9.0), symbol=EUR)
    assert (before.numpy() == kept).all()
    assert before["timestamp"][0] == NINE
