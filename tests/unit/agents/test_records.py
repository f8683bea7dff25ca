"""What earlier versions have written is read, and written again byte for byte: a replay of an old run is one."""

import json

from tapehub.agents import AccountState
from tapehub.agents.records import AgentRecord, decode
from tapehub.agents.run import Run
from tapehub.model.records import Kind

# As version 4532485 has written them.
ACCOUNT = (
    b'{"id":"abc.5.1","account":"mine","currency":"USD","balance":"9990.00","why":"minute","positions":[{"id":"abc.4.1",'
    b'"symbol":"EUR_USD","side":"buy","units":10000.0,"price":1.1002,"opened":1780387200000000000,"stop":1.0992,'
    b'"swap":"-0.75","order":"abc.3.0","agent":"mine","earned":"-0.75","stopped":true}],"day":1780347600000000000,'
    b'"day_equity":10000.0,"trades":3,"losing":5,"paused":1780389000000000000,"stopped":1780347600000000000,'
    b'"equity":9989.0,"margin":366.66,"marks":{"EUR_USD":[1.1001,1.1002]},"owed":1780434000000000000}'
)
START = (
    b'{"id":"000000abcdef.0.0","agent":"mine","what":"start","data":{"number":"000000abcdef","members":[{"spec":"mine.py",'
    b'"parameters":{}}],"seed":7,"warm":64,"started":1780387200000000000,"watched":{"EUR_USD":"ig"},"definitions":{},'
    b'"basis":0,"grace_ns":500000000,"by_ticks":false,"settings":{},"opening":{},"halted":"","flatten":false,"code":"12"}}'
)


def test_account_of_an_earlier_version_is_read_and_written_as_it_was() -> None:
    told = decode(Kind.ACCOUNT, ACCOUNT)
    assert isinstance(told, AccountState)
    assert told.encode() == ACCOUNT
    assert (told.day_ns, told.paused_ns) == (1780347600000000000, 1780389000000000000)
    assert (told.stopped_ns, told.owed_ns) == (1780347600000000000, 1780434000000000000)
    (position,) = told.positions
    assert (position.opened_ns, position.stopped) == (1780387200000000000, True)
    assert decode(Kind.ACCOUNT, json.dumps(told.plain()).encode()) == told


def test_run_of_an_earlier_version_is_read_and_its_own_keys_stay() -> None:
    told = decode(Kind.AGENT, START)
    assert isinstance(told, AgentRecord)
    run = Run.read(told.agent, 99, told.data)
    assert (run.begin_seq, run.warm_seq, run.started_ns) == (99, 64, 1780387200000000000)
    assert run.calendars is None
    again = run.plain()
    assert {name: again[name] for name in told.data if name != "settings"} == {
        name: value for name, value in told.data.items() if name != "settings"
    }
    assert Run.read("mine", 99, again) == run
