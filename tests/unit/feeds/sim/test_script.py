"""Scripts of faults: what is read, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapehub.errors import ConfigError
from tapehub.feeds.sim import Fault, FaultKind, fault_from, read_script, timed

TOML = """
[[fault]]
at = "+20s"
kind = "mute"
item = "CHART:CS.D.EURUSD.CFD.IP:TICK"
for = "1m30s"

[[fault]]
at = 2026-06-05T20:30:00Z
kind = "delay"
seconds = 0.25
share = 0.5

[[fault]]
at = "2026-06-06T00:00"
kind = "end_sessions"
code = 48
"""
START = 1_000_000_000_000
EXPECTED = [
    (START + 20 * 10**9, Fault(FaultKind.MUTE, "CHART:CS.D.EURUSD.CFD.IP:TICK", duration_s=90)),
    (1_780_691_400 * 10**9, Fault(FaultKind.DELAY, seconds=0.25, share=0.5)),
    (1_780_704_000 * 10**9, Fault(FaultKind.END_SESSIONS, code="48")),
]


def test_a_script_is_read_as_toml_and_as_json(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(TOML)
    assert timed(read_script(path), START) == EXPECTED
    path = tmp_path / "faults.json"
    path.write_text(json.dumps({"fault": [{"at": "+1h", "kind": "unmute"}, {"at": "+90", "kind": "cut"}]}))
    with pytest.raises(ConfigError, match="90"):
        read_script(path)
    path.write_text(json.dumps({"fault": [{"at": "+1h", "kind": "unmute"}]}))
    assert timed(read_script(path), 0) == [(3600 * 10**9, Fault(FaultKind.CLEAR, code="mute"))]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "explode"}, "explode"),
        ({}, "None"),
        ({"kind": "mute", "whom": "x"}, "whom"),
        ({"kind": "mute", "for": "soon"}, "soon"),
        ({"kind": "mute", "for": -1}, "-1"),
        ({"kind": "mute", "item": 3}, "item is 3"),
        ({"kind": "mute", "share": 2}, "share 2"),
        ({"kind": "mute", "count": 0}, "count 0"),
        ({"kind": "mute", "count": True}, "True"),
        ({"kind": "cut", "how": "softly"}, "softly"),
        ({"kind": "allowance", "code": "water"}, "water"),
        ({"kind": "clear", "code": "sky"}, "sky"),
        ({"kind": "end_sessions", "code": "now"}, "now"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fault_from(fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[fault]]\nkind = 'mute'", "fault 1 does not say when"),
        ("[[fault]]\nat = 'tea time'\nkind = 'mute'", "fault 1.*tea time"),
        ("[[faults]]\nat = '+1s'", r"\[\[fault\]\]"),
        ("not toml at all", "expected TOML"),
    ],
)
def test_a_script_that_cannot_be_read_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_script(path)
    assert str(path) in str(caught.value)
