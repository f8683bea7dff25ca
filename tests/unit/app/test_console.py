"""What commands say: numbers for people, one-line errors, exit codes."""

import pytest

from tapehub.app.console import Exit, age_text, bytes_text, complain, exit_of, span_text
from tapehub.errors import (
    ConfigError,
    HubError,
    HubFormatError,
    HubHeld,
    HubNotRunning,
    HubStalled,
    RecordingError,
    UnknownTimeframe,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0432, "43 ms"),
        (1.23, "1.2 s"),
        (59.96, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86_400 * 12, "12 d"),
        (-1.5, "-1.5 s"),
    ],
)
def test_spans_are_written_in_their_largest_units(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize("exponent", range(-4, 10))
def test_an_age_in_a_table_is_at_most_seven_characters_wide(exponent: int) -> None:
    assert all(len(age_text(digit * 10.0**exponent)) <= 7 for digit in (1, 2, 5, 9, 9.96))


def test_an_age_before_the_clock_is_none() -> None:
    assert age_text(-3.0) == "0 ms"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (64 << 20, "64.0 MiB"), (10 << 30, "10.0 GiB"), (1 << 41, "2.0 TiB")],
)
def test_sizes_are_written_in_binary_units(size: int, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), Exit.USAGE),
        (UnknownTimeframe("x"), Exit.USAGE),
        (HubNotRunning("x"), Exit.NOT_RUNNING),
        (HubHeld("x"), Exit.REFUSED),
        (HubStalled("x"), Exit.REFUSED),
        (HubFormatError("x"), Exit.REFUSED),
        (HubError("/net/hub is on nfs, a network file system"), Exit.REFUSED),
        (RecordingError("x"), Exit.FAILED),
        (HubError("disk full"), Exit.FAILED),
        (FileNotFoundError(2, "No such file or directory", "x"), Exit.FAILED),
    ],
)
def test_an_exit_code_tells_what_the_caller_can_do(error: Exception, code: Exit) -> None:
    assert exit_of(error) is code


def test_an_error_is_one_line_and_its_brackets_stay(capsys: pytest.CaptureFixture[str]) -> None:
    complain(ConfigError("got [bold]x[/]:\n  expected y"))
    said = capsys.readouterr().err
    assert said == "tapehub: got [bold]x[/]: expected y\n"


def test_a_system_error_names_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    complain(PermissionError(13, "Permission denied", "some/file"))
    assert capsys.readouterr().err == "tapehub: some/file: Permission denied\n"


def test_what_is_quoted_in_an_error_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A line of colons held a name of a pictogram, which was printed in its place."""
    complain(RecordingError("/tmp/[a] begins with b'root:x:0:0': expected ticks"))
    assert capsys.readouterr().err == "tapehub: /tmp/[a] begins with b'root:x:0:0': expected ticks\n"
