"""JSON files of a repository: broken ones are refused with file, line and column."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmarch.errors import ConfigError
from llmarch.sources import local
from llmarch.sources.file_names import CONFIG, INDEX, QUANTIZATION, QUANTIZE
from llmarch.sources.references import Reference
from llmarch.sources.strict_json import MAX_REPEATED, parse_object, repeated_keys


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


@pytest.mark.parametrize(
    ("text", "path", "first", "last"),
    [
        ('{"a": 1, "a": 2}', "a", 1, 2),
        ('{"a": null, "b": 0, "a": 2}', "a", None, 2),
        ('{"a": 1, "a": 2, "a": 2}', "a", 1, 2),
        ('{"x": {"y": [0, {"a": "m", "a": "n"}]}}', "x.y.1.a", "m", "n"),
        ('{"x": {"a": 1}, "x": {"a": 2}}', "x", "an object", "an object"),
        ('{"x": [1], "x": 1.5}', "x", "a list", 1.5),
        ('{"x": Infinity, "x": 3}', "x", "Infinity", 3),
    ],
)
def test_a_key_stated_twice(text: str, path: str, first: Any, last: Any) -> None:
    document = parse_object(text.encode(), file="config.json")
    (finding,) = repeated_keys("config.json", document, is_config=True)
    assert (finding.rule, finding.severity, finding.path) == (
        "key-stated-twice",
        "behaviour",
        path,
    )
    assert (finding.old, finding.new) == (first, last)
    assert document == json.loads(text), "the last value counts"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": 1}',
        '{"a": {"b": 1}, "c": {"b": 2}}',
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}, "a": 3, "a": 3}',
    ],
)
def test_a_key_stated_once(text: str) -> None:
    found = parse_object(text.encode(), file="x").repeated
    assert [key.path for key in found] == ["a"] * text.count('"a": 3, "a": 3')


def test_many_keys_stated_twice_cost_little() -> None:
    inner = ",".join(f'"k{i % 1000}": {i}' for i in range(300_000))
    text = '{"x": {' + inner + "}}"
    deep = '{"a": 1, "a": ' * 400 + "0" + "}" * 400
    started = time.perf_counter()
    for data in (text, deep):
        document = parse_object(data.encode(), file="config.json")
        findings = repeated_keys("config.json", document, is_config=True)
        assert len(findings) == MAX_REPEATED + 1
    assert time.perf_counter() - started < 5


FILES_WITH_KEYS = {
    CONFIG: '"hidden_size": 64, "hidden_size": 128',
    INDEX: '"weight_map": {"w": "a.safetensors", "w": "b.safetensors"}',
    QUANTIZATION: '"quantization": {"quant_algo": "FP8", "quant_algo": "NVFP4"}',
    **dict.fromkeys(QUANTIZE, '"bits": 4, "bits": 8'),
}


@pytest.mark.parametrize("file", FILES_WITH_KEYS)
def test_every_file_that_is_read(file: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text('{"model_type": "llama"}')
    (tmp_path / file).write_text("{" + FILES_WITH_KEYS[file] + "}")
    raw = local.open_folder(tmp_path, "x")
    (finding,) = [f for f in raw.findings if f.rule == "key-stated-twice"]
    assert "twice" in finding.message
    assert finding.path.startswith(f"{file}: ") == (file != CONFIG)
    assert file in finding.message


def test_a_config_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"model_type": "llama", "a": 1, "a": 2}')
    raw = local.open(Reference(text="x", kind="config", path=tmp_path / "mine.json"))
    assert [(f.rule, f.path) for f in raw.findings] == [("key-stated-twice", "a")]
