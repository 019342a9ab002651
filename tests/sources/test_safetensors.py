"""safetensors headers: what a loader accepts is read.

Everything else is a HeaderError that names file and tensor.
"""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from math import prod
from typing import Any

import pytest
from helpers.checkpoints import BYTES, llama, safetensors, with_header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from llmarch.errors import HeaderError
from llmarch.sources.raw import DTYPE_BITS
from llmarch.sources.safetensors import (
    MAX_HEADER,
    Header,
    header_length,
    irregular,
    parse_header,
    parse_headers_document,
    regular,
)

pytestmark = pytest.mark.covered

ENTRY = '"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}'


def parse(text: str | bytes, data_size: int = 2, *, known_size: bool = True) -> Header:
    data = text.encode() if isinstance(text, str) else text
    size = 8 + len(data) + data_size
    return parse_header(
        struct.pack("<Q", len(data)) + data,
        file="f.safetensors",
        file_size=size if known_size else None,
    )


def test_a_header() -> None:
    file = safetensors(llama(), {"format": "pt"})
    header = parse_header(file.head, file="f", file_size=file.size)
    assert {n: (d, s) for n, d, s in header.tensors} == llama()
    assert header.metadata == {"format": "pt"}
    assert (header.size, header.data_size) == (len(file.head), file.size - len(file.head))


@pytest.mark.parametrize(
    "text",
    [
        "{" + ENTRY + "}",
        "{" + ENTRY + "}     ",
        "{ " + ENTRY + " }\n",
        '{"a": {"data_offsets": [0, 2], "shape": [2], "dtype": "U8"}}',
        '{"\\u0061":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
        '{"__metadata__":{"k":"}]}\\"{"},' + ENTRY + "}",
        "{" + ENTRY + ',"__metadata__":{"k":"v"}}',
        '{"__metadata__":{},' + ENTRY + "}",
        '{"__metadata__":{"k":"\\u00e9\\ud83d\\ude00"},' + ENTRY + "}",
        '{"__metadata__":null,' + ENTRY + "}",
    ],
)
def test_other_ways_to_write_it(text: str) -> None:
    assert list(parse(text).tensors) == [("a", "U8", (2,))]


@pytest.mark.parametrize("text", ["{}", '{"__metadata__":{"format":"pt"}}', "{}   "])
def test_no_tensors(text: str) -> None:
    assert list(parse(text, 0).tensors) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("{" + ENTRY, "not JSON"),
        ("{" + ENTRY + "}x", "not JSON"),
        ("{" + ENTRY + "}}", "not JSON"),
        ("{" + ENTRY + ",}", "not JSON"),
        ("{" + ENTRY + '}"b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("{" + ENTRY + "," + ENTRY + "}", "tensor a: named twice"),
        ("{" + ENTRY + ", " + ENTRY + "}", "tensor a: named twice"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
         '"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
         "tensor a: named twice"),
        ('{"a":{"dtype":"U9","shape":[2],"data_offsets":[0,2]}}', "tensor a: unknown dtype U9"),
        ('{"a":{"dtype":7,"shape":[2],"data_offsets":[0,2]}}', "tensor a: dtype"),
        ('{"a":{"shape":[2],"data_offsets":[0,2]}}', "tensor a: dtype"),
        ('{"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
         "tensor a: its entry contains a field twice"),
        ('{"a":{"dtype":"U8","shape":[-2],"data_offsets":[0,2]}}', "tensor a: a negative size"),
        ('{"a":{"dtype":"U8","shape":[2.0],"data_offsets":[0,2]}}', "tensor a: shape"),
        ('{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}', "tensor a: shape"),
        ('{"a":{"dtype":"U8","shape":["2"],"data_offsets":[0,2]}}', "tensor a: shape"),
        ('{"a":{"dtype":"U8","shape":2,"data_offsets":[0,2]}}', "tensor a: shape"),
        ('{"a":{"dtype":"U8","shape":[2,],"data_offsets":[0,2]}}', "not JSON"),
        ('{"a":{"dtype":"U8","shape":[02],"data_offsets":[0,2]}}', None),
        ('{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,2]}}', "not JSON"),
        ('{"a":{"dtype":"U8","shape":[' + "9" * 5000 + '],"data_offsets":[0,2]}}',
         "not JSON|shape"),
        ('{"a":{"dtype":"U8","shape":[' + "1," * 99 + '2],"data_offsets":[0,2]}}',
         "100 dimensions"),
        ('{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,2]}}',
         "larger than any file"),
        ('{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}', "whole byte"),
        ('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}',
         "tensor a: dtype and shape take 2 bytes, but its offsets 0 to 1 span 1"),
        ('{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}}',
         "tensor a: dtype and shape take 2 bytes"),
        ('{"a":{"dtype":"U8","shape":[2],"data_offsets":[-1,1]}}', "overlap|offsets"),
        ('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2,4]}}', "data_offsets"),
        ('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0.0,2]}}', "data_offsets"),
        ('{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
         "tensor a: its offsets 1 to 3 leave a hole of 1 bytes"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
         '"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
         "tensor b: its offsets 0 to 1 overlap"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
         "its tensors take 1 bytes, but 2 follow"),
        ('{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}',
         "its tensors take 3 bytes, but 2 follow"),
        ('{"a":[]}', "tensor a: its entry is not a JSON object"),
        ('{"a\\ud800":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', "not valid Unicode"),
        ('{"__metadata__":{"a":1},' + ENTRY + "}", "__metadata__ is not an object of strings"),
        ('{"__metadata__":{"k\\ud800":"v"},' + ENTRY + "}", "__metadata__ is not valid Unicode"),
        ('{"__metadata__":[],' + ENTRY + "}", "__metadata__ is not an object of strings"),
        ('{"__metadata__":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
         "__metadata__ is not an object of strings"),
        ('{"__metadata__":{"a":"b"},' + ENTRY + ',"__metadata__":{"a":"b"}}',
         "__metadata__ occurs twice"),
    ],
)  # fmt: skip
def test_what_is_wrong(text: str | bytes, message: str | None) -> None:
    if message is None:  # a leading zero is no JSON, but means the same number
        try:
            assert list(parse(text).tensors) == [("a", "U8", (2,))]
        except HeaderError as error:
            assert "not JSON" in error.message
        return
    with pytest.raises(HeaderError, match=message) as error:
        parse(text)
    assert error.value.message.startswith("f.safetensors: ")
    assert error.value.message.isprintable()


def test_order_in_the_file_is_free() -> None:
    first = '"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}'
    second = '"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    assert parse(f"{{{first},{second}}}").names == ["a", "b"]


@pytest.mark.parametrize("data", [b"", b"\1", b"\0" * 7])
def test_too_short_for_a_length(data: bytes) -> None:
    with pytest.raises(HeaderError, match="truncated"):
        header_length(data, file="f", file_size=len(data))


def test_length_beyond_the_file_and_the_format() -> None:
    with pytest.raises(
        HeaderError, match="truncated, it claims a header of 100 bytes in a file of 50"
    ):
        header_length(struct.pack("<Q", 100), file="f", file_size=50)
    with pytest.raises(HeaderError, match="the format allows 100,000,000"):
        header_length(struct.pack("<Q", MAX_HEADER + 1), file="f", file_size=10**12)
    with pytest.raises(HeaderError, match="truncated, 2 of 50 header bytes"):
        parse_header(struct.pack("<Q", 50) + b"{}", file="f")


@pytest.mark.parametrize(
    ("start", "hint"),
    [(b"version https://git-lfs", "git lfs pull"), (b"<!DOCTYPE html>", "web page")],
)
def test_files_that_are_something_else(start: bytes, hint: str) -> None:
    with pytest.raises(HeaderError) as error:
        header_length(start, file="f", file_size=10**6)
    assert hint in (error.value.hint or "")


def test_bounds_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(irregular, "MAX_IRREGULAR", 1000)
    with pytest.raises(HeaderError, match="not written as the safetensors library writes them"):
        parse('{"a":[' + "[]," * 1000 + "[]]}")
    monkeypatch.setattr(regular, "MAX_TENSORS", 3)
    with pytest.raises(HeaderError, match="more than 3 tensors"):
        file = safetensors(llama())
        parse_header(file.head, file="f")


def test_every_dtype_of_the_library() -> None:
    for dtype, bits in DTYPE_BITS.items():
        file = with_header(
            f'{{"a":{{"dtype":"{dtype}","shape":[8],"data_offsets":[0,{bits}]}}}}', bits
        )
        assert list(parse_header(file.head, file="f", file_size=file.size).tensors) == [
            ("a", dtype, (8,))
        ]
        assert [t[0] for t in deserialize(file.read(0, file.size))] == ["a"]


# The Hub's answer with all headers


def document(files: dict[str, Any], **separators: Any) -> str:
    return json.dumps(
        {"index": {"metadata": {"total_size": 1}}, "headers": files},
        **(separators or {"separators": (",", ":")}),
    )


def header_of(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
    file = safetensors(tensors, {"format": "pt"})
    return json.loads(file.head[8:])


@pytest.mark.parametrize("separators", [{}, {"indent": 1}])
def test_all_headers_in_one_document(separators: dict[str, Any]) -> None:
    files = {
        f"model-{i}.safetensors": {f"layers.{i}.w": ("BF16", (2, 3)), "]}}": ("U8", (1,))}
        for i in range(3)
    }
    files["plain.safetensors"] = {"x": ("BF16", (4,))}
    parsed = parse_headers_document(
        document({f: header_of(t) for f, t in files.items()}, **separators)
    )
    assert parsed is not None
    assert {h.file: {n: (d, s) for n, d, s in h.tensors} for h in parsed} == files


def test_headers_have_the_size_that_they_have_in_the_file() -> None:
    files = {
        f"f{i}.safetensors": safetensors({"a" * i: ("BF16", (4,))}, {"format": "pt"})
        for i in range(1, 20)
    }
    parsed = parse_headers_document(
        document({name: json.loads(file.head[8:]) for name, file in files.items()})
    )
    assert parsed is not None
    assert [h.size for h in parsed] == [len(f.head) for f in files.values()]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"headers":[]}',
        '{"index":null,"headers":{',
        "x" * 100,
        "[" * 100_000,
    ],
)
def test_other_documents_are_not_taken(text: str) -> None:
    assert parse_headers_document(text) is None


def test_a_wrong_header_in_the_document_names_its_file() -> None:
    with pytest.raises(HeaderError, match="two: tensor a: unknown dtype"):
        parse_headers_document(
            document(
                {
                    "one": header_of(llama()),
                    "two": {"a": {"dtype": "U9", "shape": [], "data_offsets": [0, 1]}},
                }
            )
        )


# Properties

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
TENSORS = st.dictionaries(
    NAMES.filter(lambda n: n != "__metadata__"),
    st.tuples(st.sampled_from(sorted(BYTES)), SHAPES),
    max_size=8,
)


@given(
    TENSORS,
    st.none() | st.dictionaries(NAMES, NAMES, max_size=3),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_what_is_written_is_read(
    tensors: Any, metadata: Any, ascii_only: bool, separators: tuple[str, str]
) -> None:
    header = {**({"__metadata__": metadata} if metadata is not None else {})}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    parsed = parse(json.dumps(header, ensure_ascii=ascii_only, separators=separators), at)
    assert {n: (d, s) for n, d, s in parsed.tensors} == tensors
    assert parsed.metadata == (metadata or {})


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_is_a_header_error_or_harmless(data: st.DataObject) -> None:
    file = safetensors(llama(1, 4), {"format": "pt"})
    damaged = bytearray(file.read(0, file.size))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file.head) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                damaged[at] = data.draw(st.integers(0, 255))
            case 1:
                del damaged[at : at + data.draw(st.integers(1, 50))]
            case 2:
                damaged[at:at] = data.draw(st.binary(min_size=1, max_size=8))
            case _:
                piece = data.draw(
                    st.sampled_from(
                        [
                            b'"',
                            b"{",
                            b"}",
                            b"[",
                            b",",
                            b"-1",
                            b"9" * 20,
                            b"null",
                            b"1e9",
                            b"\\ud800",
                            b"\0",
                        ]
                    )
                )
                damaged[at : at + len(piece)] = piece
    try:
        ours = parse_header(bytes(damaged), file="f", file_size=len(damaged))
    except HeaderError as error:
        assert error.message.isprintable()
        return
    try:
        theirs = deserialize(bytes(damaged))
    except SafetensorError as error:
        pytest.fail(f"taken by llmarch, but not by safetensors: {error}")
    expected = [(name, t["dtype"], tuple(t["shape"])) for name, t in theirs]  # type: ignore
    assert sorted(expected) == sorted(ours.tensors)


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for known in (len(data), None):
        with suppress(HeaderError):
            parse_header(data, file="f", file_size=known)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "dtype", "shape", "data_offsets", "__metadata__"]), x, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json(value: Any) -> None:
    text = json.dumps(value)
    with suppress(HeaderError):
        parse(text, 0, known_size=False)
    with suppress(HeaderError):
        parse_headers_document(
            json.dumps({"index": value, "headers": {"f": value}}, separators=(",", ":"))
        )
