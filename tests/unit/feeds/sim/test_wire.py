"""TLCP as text: what is written means to the official client what it should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightstreamer.client import ls_python_client_haxe as official

from tapehub.feeds.sim.wire import RequestError, encode_value, read_request, unchanged_line, update_line

Row = list[str | None]
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
values = st.none() | st.sampled_from(["", "#", "$", "^", "^3", "a|b", "100%", "a+b", "1,5", "\r\n", "ü€"]) | texts
rows = st.integers(1, 9).flatmap(lambda n: st.tuples(*(st.lists(values, min_size=n, max_size=n) for _ in range(2))))


def applied(line: str, before: Row) -> Row:
    """Read an update with the official client's parser, and apply it."""
    update = official.com_lightstreamer_client_internal__ParseTools_ParseTools_Fields_.parseUpdate(line)
    after = list(before)
    for i in range(len(before)):
        token = update.values.h.get(i + 1)
        assert token is not None, f"{line!r} does not account for field {i + 1}"
        if token.tag == "changed":
            after[i] = token.params[0]
    assert len(update.values.h) == len(before)
    return after


@given(rows)
def test_the_official_parser_reads_back_what_was_written(pair: tuple[Row, Row]) -> None:
    first, second = pair
    whole = update_line(3, 1, first, None)
    assert whole is not None
    assert applied(whole, [None] * len(first)) == first
    change = update_line(3, 1, second, first)
    assert (change is None) == (second == first)
    assert applied(change or unchanged_line(3, 1, len(first)), first) == second


def test_runs_of_unchanged_fields_are_written_both_ways() -> None:
    before: Row = ["1", "2", "3", "4", "5", "6"]
    assert update_line(1, 2, ["1", "2", "x", "4", "5", "6"], before) == "U,1,2,||x|^3"
    assert unchanged_line(1, 2, 6) == "U,1,2,^6"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "#"), ("", "$"), ("#", "%23"), ("a|b", "a%7Cb"), ("1,5", "1,5"), ("^2", "%5E2")]
)
def test_a_value_is_written_as(value: str | None, text: str) -> None:
    assert encode_value(value) == text


def test_a_batch_has_a_line_of_parameters_for_each_request() -> None:
    name, batch = read_request("control\r\nLS_reqId=1&LS_group=a%20b\r\nLS_reqId=2&LS_group=c+d")
    assert name == "control"
    assert batch == [{"LS_reqId": "1", "LS_group": "a b"}, {"LS_reqId": "2", "LS_group": "c+d"}]


@pytest.mark.parametrize("text", ["", "Two Words\r\n", "control\r\nno equals sign"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        read_request(text)
