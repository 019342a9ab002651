"""The reader of GGUF headers, held against files that the `gguf` package writes."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from helpers.gguf_files import headers_of, write_header

from llmarch.errors import HeaderError
from llmarch.sources.gguf import GgufHeader, read_gguf
from llmarch.sources.gguf.header import FIRST_READ, nested, shortest_float
from llmarch.sources.gguf.tensor_types import GGML_TYPES, ggml_row_bytes
from llmarch.sources.raw import GGML_BLOCKS, stored_bits


def parse(data: bytes, size: int | None = None) -> GgufHeader:
    return read_gguf(
        lambda start, count: data[start : start + count],
        file="x.gguf",
        file_size=len(data) if size is None else size,
    )


def test_types_are_those_of_the_package() -> None:
    theirs = {member.value: member.name for member in gguf.GGMLQuantizationType}
    ours = {number: name for number, name in GGML_TYPES.items() if number in theirs}
    assert ours == theirs
    for member, (elements, size) in gguf.GGML_QUANT_SIZES.items():
        assert ggml_row_bytes(member.name, elements * 3) == size * 3
        assert stored_bits(elements * 3, member.name) == size * 3 * 8
        if elements > 1:
            assert GGML_BLOCKS[member.name] == (elements, size)
            assert ggml_row_bytes(member.name, elements + 1) is None


def test_values_of_every_type_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    values: dict[str, tuple[Any, gguf.GGUFValueType]] = {
        "a.u8": (255, gguf.GGUFValueType.UINT8),
        "a.i8": (-128, gguf.GGUFValueType.INT8),
        "a.u16": (65535, gguf.GGUFValueType.UINT16),
        "a.i16": (-32768, gguf.GGUFValueType.INT16),
        "a.u32": (2**32 - 1, gguf.GGUFValueType.UINT32),
        "a.i32": (-(2**31), gguf.GGUFValueType.INT32),
        "a.f32": (1e-6, gguf.GGUFValueType.FLOAT32),
        "a.bool": (True, gguf.GGUFValueType.BOOL),
        "a.str": ("ä\x1b[31m", gguf.GGUFValueType.STRING),
        "a.u64": (2**64 - 1, gguf.GGUFValueType.UINT64),
        "a.i64": (-(2**63), gguf.GGUFValueType.INT64),
        "a.f64": (0.1, gguf.GGUFValueType.FLOAT64),
    }
    for key, (value, kind) in values.items():
        writer.add_key_value(key, value, kind)
    writer.add_array("a.numbers", [1, 2, 3])
    writer.add_array("a.words", ["x", ""])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b" * 300, ""])
    writer.add_chat_template("{{ x }}" * 1000)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    metadata = parse(path.read_bytes()).metadata
    assert {key: metadata[key] for key in values} == {k: v for k, (v, _) in values.items()}
    assert metadata["a.numbers"] == [1, 2, 3]
    assert metadata["a.words"] == ["x", ""]
    assert metadata["tokenizer.ggml.tokens"] == {"type": "string array", "length": 3}
    assert nested(metadata)["tokenizer"] == {
        "ggml": {"tokens": {"type": "string array", "length": 3}}
    }


@pytest.mark.parametrize("endian", [gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG])
def test_both_byte_orders_are_read(tmp_path: Path, endian: gguf.GGUFEndian) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
    writer.add_block_count(3)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = parse(path.read_bytes())
    assert header.metadata["llama.block_count"] == 3
    assert (header.names, header.kinds) == (["token_embd.weight"], [("F32", (4, 32))])
    assert header.data_size == 4 * 32 * 4


@pytest.mark.parametrize("value", [1e-6, 1e-5, 0.1, 2.446, 1e6, 1 / 3, 3.4028234663852886e38])
def test_floats_have_the_fewest_digits(value: float) -> None:
    stored = struct.unpack("<f", struct.pack("<f", value))[0]
    short = shortest_float(stored)
    assert struct.pack("<f", short) == struct.pack("<f", value)
    assert len(repr(short)) <= len(repr(stored))


def small_file(tmp_path: Path) -> bytes:
    header = next(headers_of("qwen3"))
    tensors = [(n, s, k) for n, s, k in header.tensors if n.startswith(("blk.0", "output_n"))]
    path = write_header(tmp_path / "x.gguf", header.keys, tensors, tokens=50)
    with path.open("rb") as file:
        return file.read(8000)


def test_a_long_vocabulary_is_read_in_parts(tmp_path: Path) -> None:
    header = next(headers_of("qwen3"))
    path = write_header(tmp_path / "x.gguf", header.keys, header.tensors, tokens=120_000)
    reads: list[tuple[int, int]] = []
    with path.open("rb") as file:

        def read(start: int, count: int) -> bytes:
            reads.append((start, count))
            file.seek(start)
            return file.read(count)

        found = read_gguf(read, file="x.gguf", file_size=path.stat().st_size)
    assert len(found.names) == len(header.tensors)
    assert found.size > FIRST_READ
    assert [start for start, _ in reads] == sorted({start for start, _ in reads})
    assert sum(count for _, count in reads) <= 4 * found.size


def refused(data: bytes, size: int | None = None) -> str:
    with pytest.raises(HeaderError) as error:
        parse(data, size)
    assert error.value.message.startswith("x.gguf: ")
    assert error.value.message.isprintable()
    return error.value.message


KEY = struct.pack("<Q", 1) + b"k"


def opening(tensors: int, keys: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def tensor(
    name: bytes = b"t", dims: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0
) -> bytes:
    sizes = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return struct.pack("<Q", len(name)) + name + sizes + struct.pack("<IQ", kind, offset)


HUGE = 2**63
WRONG_HEADERS = {
    "no magic": (b"GGML" + bytes(20), "does not begin with GGUF"),
    "empty": (b"", "truncated"),
    "version 1": (opening(0, 0, 1), "version 1"),
    "version 9": (opening(0, 0, 9), "version 9"),
    "many tensors": (opening(HUGE, 0), "tensors"),
    "many keys": (opening(0, HUGE), "keys"),
    "more keys than the file": (opening(0, 60_000), "truncated"),
    "long key": (opening(0, 1) + struct.pack("<Q", HUGE) + bytes(40), "bytes"),
    "unknown type": (opening(0, 1) + KEY + struct.pack("<IQ", 77, 0), "type 77"),
    "array of arrays": (opening(0, 1) + KEY + struct.pack("<IIQ", 9, 9, 1), "array of arrays"),
    "array of nothing known": (opening(0, 1) + KEY + struct.pack("<IIQ", 9, 99, 1), "type 99"),
    "long array": (opening(0, 1) + KEY + struct.pack("<IIQ", 9, 4, HUGE), "items"),
    "long strings": (opening(0, 1) + KEY + struct.pack("<IIQ", 9, 8, 1 << 27), "truncated"),
    "not UTF-8": (opening(0, 1) + KEY + struct.pack("<IQ", 8, 2) + b"\xff\xfe", "UTF-8"),
    "twice": (opening(0, 2) + (KEY + struct.pack("<IB", 0, 1)) * 2 + bytes(8), "two values"),
    "two tensors": (opening(2, 0) + tensor() + tensor(offset=128), "two tensors"),
    "no dims": (opening(1, 0) + tensor(dims=()) + bytes(9), "0 dimensions"),
    "five dims": (opening(1, 0) + tensor(dims=(1,) * 5), "5 dimensions"),
    "removed type": (opening(1, 0) + tensor(kind=4), "type 4"),
    "no size": (opening(1, 0) + tensor(dims=(0,)), "a shape"),
    "too large": (opening(1, 0) + tensor(dims=(HUGE, HUGE)), "a shape"),
    "half a block": (opening(1, 0) + tensor(dims=(100,), kind=12), "whole blocks"),
    "hole": (opening(1, 0) + tensor(offset=64), "begins at byte 64"),
    "cut": (opening(1, 0) + tensor(), "truncated"),
    "control characters": (opening(1, 0) + tensor(name=b"\x1b[2J", kind=4), "type 4"),
}


@pytest.mark.parametrize("name", WRONG_HEADERS)
def test_wrong_headers_are_refused(name: str) -> None:
    data, words = WRONG_HEADERS[name]
    assert words in refused(data)


def test_an_alignment_that_is_no_power_of_two_is_refused() -> None:
    key = b"general.alignment"
    value = struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, 33)
    assert "33" in refused(opening(0, 1) + value)


def test_every_cut_is_an_error(tmp_path: Path) -> None:
    data = small_file(tmp_path)
    size = parse(data, 1 << 40).size
    for end in [*range(0, size, 7), size - 1]:
        assert "truncated" in refused(data[:end])


def test_mutated_headers_are_read_or_refused(tmp_path: Path) -> None:
    data = small_file(tmp_path)
    size = parse(data, 1 << 40).size
    chance = random.Random(22)
    for _ in range(2000):
        mutated = bytearray(data[: size + 64])
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(mutated))
            length = chance.choice((1, 1, 8))
            value = chance.choice((0, 1, 255, chance.randrange(256)))
            mutated[place : place + length] = bytes([value]) * length
        try:
            parse(bytes(mutated), 1 << 40)
        except HeaderError as error:
            assert error.message.isprintable()
