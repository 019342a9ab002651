"""Index files: broken ones, and those that name files outside the repository, are refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmarch.errors import ConfigError
from llmarch.sources.file_names import is_safe_name
from llmarch.sources.index import parse_index


def test_index() -> None:
    weight_map = {"a": "y.safetensors", "b": "x.safetensors", "c": "y.safetensors"}
    document = {"metadata": {"total_size": 3}, "weight_map": weight_map}
    index = parse_index(json.dumps(document).encode(), file="i")
    assert index.shards == {"x.safetensors", "y.safetensors"}
    assert index.tensors_by_file == {"x.safetensors": ["b"], "y.safetensors": ["a", "c"]}
    assert index.metadata == {"total_size": 3}
    assert parse_index(b'{"weight_map": {}, "metadata": 3}', file="i").metadata == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no weight_map"),
        ('{"weight_map": []}', "has no weight_map"),
        ('{"weight_map": {"a": 1}}', r"weight_map\[a\] is a number, not a file name"),
        ('{"weight_map": {"a\\u001b": null}}', r"weight_map\[a\\x1b\] is null"),
        ('{"weight_map": {"a": "x.bin"}}', "names x.bin, which is not a .safetensors file"),
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
    assert all(map(is_safe_name, index.shards))


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    try:
        parse_index(data, file="f")
    except ConfigError as error:
        assert error.message.isprintable()


@pytest.mark.parametrize("spelling", ["./{}", ".//{}", "a/../{}", "././{}", "a/./{}", "a//{}"])
def test_paths_in_unusual_spellings(spelling: str) -> None:
    shard = spelling.format("x.safetensors")
    data = json.dumps({"weight_map": {"a": shard, "b": "y.safetensors"}}).encode()
    if ".." in shard:
        with pytest.raises(ConfigError):
            parse_index(data, file="i")
        return
    index = parse_index(data, file="i")
    assert index.shards == {shard.replace("./", "").replace("//", "/").lstrip("/"), "y.safetensors"}
    (finding,) = index.findings
    assert (finding.rule, finding.path) == ("weights-by-reader", "i")
    assert shard in finding.message
