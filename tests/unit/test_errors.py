"""The exception tree is the one that is drawn, and each class is what its callers catch."""

import re

from tapehub import errors


def test_the_tree_is_the_one_drawn() -> None:
    assert errors.__doc__ is not None
    drawn: dict[str, str] = {}
    stack = ["Exception"]
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?:\s{2,}|$)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            stack[depth:] = [match[2]]
            drawn[match[2]] = stack[depth - 1]
    actual = {name: getattr(errors, name).__bases__[0].__name__ for name in errors.__all__}
    assert drawn == actual


def test_a_missing_extra_is_an_import_error_with_the_remedy() -> None:
    error = errors.MissingExtra("pyarrow", "frames", "reading x.parquet")
    assert isinstance(error, ImportError)
    assert str(error) == "pyarrow is not installed, reading x.parquet needs it: pip install 'tapehub[frames]'"


def test_an_invalid_record_is_a_value_error() -> None:
    assert issubclass(errors.InvalidRecord, ValueError)
    assert errors.TapehubError("x").published == 0
