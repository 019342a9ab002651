"""config.json and index files: broken ones are refused with file, line and column."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmarch.errors import ConfigError
from llmarch.sources.documents import parse_index, parse_object, safe_name


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
        (b"[1]", "holds a list, not a JSON object", None),
        (b'"x"', "holds a string, not a JSON object", None),
        (b"null", "holds null, not a JSON object", None),
        (b"true", "holds a boolean", None),
        (b"\xff{}", "not UTF-8 text", None),
        (b'{"a": "\\ud800"}', "half of a surrogate pair", None),
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


def test_index() -> None:
    index = parse_index(
        b'{"metadata": {"total_size": 3}, "weight_map": {"a": "y.safetensors", "b": "x.safetensors", "c": "y.safetensors"}}',
        file="i",
    )
    assert index.shards == {"x.safetensors", "y.safetensors"}
    assert index.tensors_of == {"x.safetensors": ["b"], "y.safetensors": ["a", "c"]}
    assert index.metadata == {"total_size": 3}
    assert parse_index(b'{"weight_map": {}, "metadata": 3}', file="i").metadata == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no weight_map"),
        ('{"weight_map": []}', "has no weight_map"),
        ('{"weight_map": {"a": 1}}', r"weight_map\[a\] is a number, not a file name"),
        ('{"weight_map": {"a\\u001b": null}}', r"weight_map\[a\\x1b\] is null"),
        ('{"weight_map": {"a": "x.bin"}}', "names x.bin, which is no .safetensors file"),
        ('{"weight_map": {"a": ""}}', "outside"),
        ('{"weight_map": {"a": "model-1-of-' + "9" * 5000 + '.safetensors"}}', "outside"),
        ('{"weight_map": {"a": "../x.safetensors"}}', "outside"),
        ('{"weight_map": {"a": "a/../../x.safetensors"}}', "outside"),
        ('{"weight_map": {"a": "~/x.safetensors"}}', "outside"),
        ('{"weight_map": {"a": "\\u0000.safetensors"}}', "outside"),
    ],
)
def test_broken_index(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parse_index(text.encode(), file="i.json")
    assert error.value.message.isprintable()


@pytest.mark.parametrize("name", ["a.json", "a/b.json", "..a/b..json", "ä.json", "a b.json"])
def test_safe_names(name: str) -> None:
    assert safe_name(name)


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    for parse in (parse_object, parse_index):
        try:
            parse(data, file="f")
        except ConfigError as error:
            assert error.message.isprintable()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda x: st.lists(x) | st.dictionaries(st.text(max_size=6), x),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["weight_map", "metadata"]), VALUES))
def test_any_index(value: object) -> None:
    try:
        index = parse_index(json.dumps(value).encode(), file="f")
    except ConfigError:
        return
    assert all(map(safe_name, index.shards))
