"""JSON files of a repository: broken ones are refused with file, line and column."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmarch.errors import ConfigError
from llmarch.sources.strict_json import parse_object


def test_what_published_configs_hold() -> None:
    found = parse_object(
        '\ufeff{"a": [0.0, Infinity], "b": NaN, "c": "ü", "d": 1e400}'.encode(), file="config.json"
    )
    assert found["a"] == [0.0, math.inf]
    assert math.isnan(found["b"])
    assert list(found) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"", "not valid JSON at line 1, column 1", None),
        (b'{"a": 1,\n  "b": 2,\n}', r"not valid JSON at line (3, column 1|2, column 9)", None),
        (
            b'{"a": 1\n<<<<<<< HEAD\n,"b": 2\n=======\n>>>>>>> x\n}',
            "line 2 is a merge conflict marker",
            "resolve",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "Git LFS pointer",
            "git lfs pull",
        ),
        (b'{"a": ' + b"9" * 6000 + b"}", "contains a number of more than 4,300 digits$", None),
        (b"[1]", "contains a list, not a JSON object", None),
        (b'"x"', "contains a string, not a JSON object", None),
        (b"null", "contains null, not a JSON object", None),
        (b"true", "contains a boolean", None),
        (b"\xff{}", "not UTF-8 text", None),
        (b'{"a": "\\ud800"}', "unpaired surrogate", None),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits", None),
        (b'{"a":' * 100_000, "nested too deeply", None),
        (b" " * 1001, "1,001 bytes", None),
    ],
)
def test_broken(data: bytes, message: str, hint: str | None) -> None:
    limit = 1000 if data.isspace() else 10**6
    with pytest.raises(ConfigError, match=message) as error:
        parse_object(data, file="config.json", limit=limit)
    assert error.value.message.startswith("config.json: ")
    assert (hint or "") in (error.value.hint or "")


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    try:
        parse_object(data, file="f")
    except ConfigError as error:
        assert error.message.isprintable()


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_file_of_llmarchs_own_holds_only_json_numbers(constant: str) -> None:
    data = f'{{"a": [{constant}]}}'.encode()
    assert parse_object(data, file="config.json")["a"]
    with pytest.raises(ConfigError, match=f"x.lock: {constant} is not a JSON number"):
        parse_object(data, file="x.lock", is_own=True)
