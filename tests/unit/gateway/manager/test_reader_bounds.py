"""Reading pickles: how deep one may be, and how much it may ask for with few bytes."""

import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tapehub.gateway.manager.known import symbol_of
from tapehub.gateway.manager.reader import read
from tapehub.gateway.manager.settings import Limits
from tapehub.gateway.manager.values import BadPickle
from tests.models.pickles import costly, deep
from tests.servers.stock.market_data_models import Tick

WHEN = datetime(2026, 6, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", deep(1))
def test_what_is_nested_deep_is_refused_before_anything_hashes_or_compares_it(name: str) -> None:
    """In a process of its own: what this is about ends it with a segmentation fault."""
    code = (
        "import sys\nfrom tapehub.gateway.manager.known import symbol_of\n"
        "from tapehub.gateway.manager.reader import read\nfrom tapehub.gateway.manager.values import BadPickle\n"
        "try: read(sys.stdin.buffer.read(), symbol_of, objects_max=10_000_000)\n"
        "except BadPickle as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=deep(900_000)[name], capture_output=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr[-300:])
    assert b"nested deeper than 100" in done.stdout or b"inside another value" in done.stdout


@pytest.mark.parametrize(("name", "data"), deep(1).items())
def test_what_is_looked_up_is_asked_for_its_type_first(name: str, data: bytes) -> None:
    """A level deep, all that depth is found by is the type."""
    if name in ("key", "token", "deque", "latin1", "attribute") or " of a " in name:
        with pytest.raises(BadPickle):
            read(data, symbol_of, objects_max=1000)
    else:
        read(data, symbol_of, objects_max=1000)


@pytest.mark.parametrize("name", costly(1))
def test_a_few_bytes_that_ask_for_much_are_paid_for(name: str) -> None:
    with pytest.raises(BadPickle, match=r"more objects|values, expected a few|more than [\d,]+ (opcodes|attributes)"):
        read(costly(6_000)[name], symbol_of, objects_max=20_000, opcodes_max=200_000)


def test_what_holds_itself_is_refused() -> None:
    with pytest.raises(BadPickle, match="already inside another value"):
        read(b"\x80\x04]2a.", symbol_of, objects_max=100)


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_hundred_thousand_ticks_of_an_honest_client_are_within_the_bounds(protocol: int) -> None:
    """A hundredth of each, so that it is quick."""
    sent = [Tick("EUR_USD", 1.0 + n, 2.0 + n, timestamp=WHEN + timedelta(seconds=n)) for n in range(1000)]
    limits = Limits()
    found, _ = read(
        pickle.dumps(sent, protocol), symbol_of, objects_max=limits.objects // 100, opcodes_max=limits.opcodes // 100
    )
    assert len(found) == 1000
