"""Files of torch.save: what torch itself wrote, what it would refuse, and anything else."""

from __future__ import annotations

import base64
import functools
import gzip
import io
import json
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any, cast

import pytest
from helpers.checkpoints import write
from helpers.loopback import Hub
from helpers.paths import FIXTURES
from helpers.program import Run

import llmarch
from llmarch.errors import HeaderError
from llmarch.sources.safetensors import Header
from llmarch.sources.torch_files import read_torch_file

DOCUMENT = json.loads(gzip.decompress((FIXTURES / "torch_files.json.gz").read_bytes()))
FILES = DOCUMENT["files"]


def data_of(row: dict[str, Any]) -> bytes:
    return base64.b64decode(row["data"])


def read(data: bytes, name: str = "pytorch_model.bin") -> Header:
    return read_torch_file(lambda s, n: data[s : s + n], file=name, file_size=len(data))


@pytest.mark.parametrize("name", FILES)
def test_tensors_are_those_that_torch_loads(name: str) -> None:
    row = FILES[name]
    header = read(data_of(row))
    found = {n: [dtype, list(shape or ())] for n, dtype, shape in header.tensors}
    assert found == row["tensors"]
    assert header.metadata == {"format": "pt"}


@pytest.mark.parametrize("way", ["zip", "stream"])
@pytest.mark.parametrize("model", DOCUMENT["models"])
def test_a_model_is_verified(tmp_path: Path, model: str, way: str) -> None:
    row = DOCUMENT["models"][model]
    config = json.dumps(row["config"]).encode()
    write(tmp_path, {"config.json": config, "pytorch_model.bin": data_of(row[way])})
    reading = llmarch.load(str(tmp_path))
    assert reading.status == "verified"
    assert not [f for f in reading.findings if f.rule in ("other-weights", "weights-by-reader")]


def shards_of(model: str) -> dict[str, bytes]:
    """A model in two files with an index, each of which is the whole model's, renamed."""
    row = DOCUMENT["models"][model]
    names = list(row["zip"]["tensors"])
    first, second = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"
    weight_map = dict.fromkeys(names[:5], first) | dict.fromkeys(names[5:], second)
    index = {"metadata": {}, "weight_map": weight_map}
    return {
        "config.json": json.dumps(row["config"]).encode(),
        "pytorch_model.bin.index.json": json.dumps(index).encode(),
        first: archive({n: row["zip"]["tensors"][n] for n in names[:5]}),
        second: archive({n: row["zip"]["tensors"][n] for n in names[5:]}),
    }


class Storage:
    """Pickled as torch pickles a storage."""

    def __init__(self, name: str, key: str, elements: int) -> None:
        self.tuple = ("storage", Global("torch", name), key, "cpu", elements)


class Global:
    """Pickled as a global, whatever module it is of."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Pickled as a call of a global."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.function, self.arguments = Global(module, name), arguments


KINDS = {"F32": ("FloatStorage", 4), "BF16": ("BFloat16Storage", 2)}


def pickled(value: Any) -> bytes:
    """Return a pickle of plain values and of the three above, by its instructions."""
    match value:
        case Global():
            return f"c{value.module}\n{value.name}\n".encode()
        case Call():
            return pickled(value.function) + pickled(value.arguments) + b"R"
        case Storage():
            return pickled(value.tuple) + b"Q"
        case tuple():
            return b"(" + joined([*cast("tuple[Any, ...]", value)]) + b"t"
        case list():
            return b"](" + joined(cast("list[Any]", value)) + b"e"
        case dict():
            items = cast("dict[Any, Any]", value).items()
            return b"}(" + joined([part for item in items for part in item]) + b"u"
        case str():
            return b"X" + struct.pack("<I", len(value)) + value.encode()
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
        case _:
            return pickle.dumps(value, 2)[2:-1]


def joined(values: list[Any]) -> bytes:
    """Return the pickles of values, one after the other."""
    return b"".join(map(pickled, values))


def tensor(key: str, dtype: str, shape: tuple[int, ...], elements: int) -> Call:
    storage = Storage(KINDS[dtype][0], key, elements)
    return Call("torch._utils", "_rebuild_tensor_v2", storage, 0, shape, shape, False, {})


def archive(tensors: dict[str, Any], *, state: Any = None, packing: int = 0) -> bytes:
    """Return what torch.save writes of tensors, or of another state."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packing) as out:
        made: dict[str, Any] = {}
        sizes: dict[str, int] = {}
        for number, (name, (dtype, shape)) in enumerate(tensors.items()):
            elements = 1
            for size in shape:
                elements *= size
            made[name] = tensor(str(number), dtype, tuple(shape), elements)
            sizes[str(number)] = elements * KINDS[dtype][1]
        pickle_of = b"\x80\x02" + pickled(made if state is None else state) + b"."
        out.writestr("archive/data.pkl", pickle_of)
        for key, size in sizes.items():
            out.writestr(f"archive/data/{key}", bytes(size))
    return content.getvalue()


def test_shards_and_their_index(tmp_path: Path, run: Run) -> None:
    files = shards_of("llama")
    assert llmarch.load(str(write(tmp_path / "a", files))).status == "verified"
    broken = {n: b"broken" if n.endswith(".bin") else data for n, data in files.items()}
    reading = llmarch.load(str(write(tmp_path / "b", broken)))
    assert reading.status == "partial"
    assert reading.check is not None
    assert reading.check.names_only
    assert [f.rule for f in reading.findings][:1] == ["pickle-unreadable"]
    out, _ = run("show", str(tmp_path / "b"), code=4)
    assert "tensors named; their headers were not read" in out
    first = "pytorch_model-00001-of-00002.bin"
    some = files | {first: b"broken"}
    assert llmarch.load(str(write(tmp_path / "c", some))).status == "partial"
    del some[first]
    reading = llmarch.load(str(write(tmp_path / "d", some) / "config.json"))
    assert reading.status == "computed"


def test_a_file_that_cannot_be_read_leaves_the_config(tmp_path: Path) -> None:
    row = DOCUMENT["models"]["llama"]
    config = json.dumps(row["config"]).encode()
    write(tmp_path, {"config.json": config, "pytorch_model.bin": b"version https://git-lfs"})
    reading = llmarch.load(str(tmp_path))
    assert reading.status == "computed"
    assert [f.rule for f in reading.findings][:1] == ["pickle-unreadable"]


@pytest.mark.parametrize("way", ["zip", "stream"])
def test_on_the_hub_by_ranges(hub: Hub, way: str) -> None:
    row = DOCUMENT["models"]["llama"]
    files = {
        "config.json": json.dumps(row["config"]).encode(),
        "pytorch_model.bin": data_of(row[way]),
    }
    hub.add("acme/model", files)
    for _ in range(2):
        assert llmarch.load("acme/model").status == "verified"
    assert len(hub.asked("pytorch_model.bin", cdn=False)) <= 4
    hub.add("acme/shards", shards_of("llama"))
    assert llmarch.load("acme/shards").status == "verified"
    hub.add("acme/broken", files | {"pytorch_model.bin": b"x" * 100})
    assert llmarch.load("acme/broken").status == "computed"


EVIL = Call("os", "system", "touch /tmp/llmarch-was-here")


def test_nothing_of_a_pickle_is_run(tmp_path: Path) -> None:
    good = tensor("0", "F32", (1,), 1)
    data = archive({"a": ("F32", [1])}, state={"a": good, "b": EVIL, "c": [EVIL], "d": {"e": EVIL}})
    header = read(data)
    assert list(header.tensors) == [("a", "F32", (1,))]
    assert header.metadata["globals"] == "os.system"
    assert not Path("/tmp/llmarch-was-here").exists()
    row = DOCUMENT["models"]["llama"]
    tensors = row["zip"]["tensors"]
    state = {n: tensor("0", d, tuple(s), 0) for n, (d, s) in tensors.items()} | {"x": EVIL}
    plain = archive({"a": ("BF16", [0])}, state=state)
    config = json.dumps(row["config"]).encode()
    write(tmp_path, {"config.json": config, "pytorch_model.bin": plain})
    reading = llmarch.load(str(tmp_path))
    assert reading.status == "conflict"
    assert "pickle-globals" in [f.rule for f in reading.findings]


def test_a_tensor_of_another_class_has_a_name_alone() -> None:
    state = {"a": Call("torch._utils", "_rebuild_sparse_tensor", 0, ())}
    assert list(read(archive({}, state=state)).tensors) == [("a", "", None)]


A = {"a": ("F32", [2])}
WRONG = {
    "no archive and no pickle": b"\x00\x00\x00\x00",
    "an archive without data.pkl": archive(A).replace(b"data.pkl", b"data.pkx"),
    "a packed pickle": archive({}, state={"a" * 1000: 1}, packing=zipfile.ZIP_DEFLATED),
    "a storage that is not there": archive({}, state={"a": tensor("7", "F32", (2,), 2)}),
    "a storage of another size": archive(A, state={"a": tensor("0", "F32", (2,), 3)}),
    "a negative size": archive(A, state={"a": tensor("0", "F32", (-2,), 2)}),
    "a size beyond all": archive(A, state={"a": tensor("0", "F32", (1 << 61, 8), 2)}),
    "no shape": archive(A, state={"a": Call("torch._utils", "_rebuild_tensor_v2", 1)}),
    "no storage": archive(A, state={"a": Call("torch._utils", "_rebuild_tensor_v2", 1, 0, (), ())}),
    "a pickle of another program": pickle.dumps({"a": 1}, 2),
    "an empty file": b"",
    "half a file": archive(A)[:150],
}


@pytest.mark.parametrize("name", WRONG)
def test_what_torch_does_not_write_is_refused(name: str) -> None:
    with pytest.raises(HeaderError, match=r"^pytorch_model\.bin: "):
        read(WRONG[name])


BOMBS = {
    "many tuples": b"\x80\x02" + b"(" * 200 + b"t" * 200 + b".",
    "a list in itself": b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
    "doubling": b"\x80\x02]" + b"2\x86" * 60 + b".",
    "a long string": b"\x80\x02X\xff\xff\xff\x7f.",
    "a long number": b"\x80\x02\x8b\xff\xff\x00\x00.",
    "marks": b"\x80\x02" + b"(" * 100_000 + b"1" * 100_000 + b"N.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_nothing(name: str) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as out:
        out.writestr("archive/data.pkl", BOMBS[name])
    try:
        assert list(read(content.getvalue()).tensors) == []
    except HeaderError as error:
        assert error.message.isprintable()


@functools.cache
def seeds() -> list[bytes]:
    return [data_of(row) for row in FILES.values()]


def spoiled(chance: random.Random, data: bytes) -> bytes:
    """Return a file with some bytes changed, cut out, or put in."""
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(spoilt) + 1)
        match chance.randrange(5):
            case 0 if spoilt:
                spoilt[place % len(spoilt)] = chance.randrange(256)
            case 1:
                del spoilt[place : place + chance.choice((1, 4, 40))]
            case 2:
                spoilt[place:place] = chance.randbytes(chance.choice((1, 4)))
            case 3:
                spoilt[place : place + 4] = chance.choice(
                    (b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f")
                )
            case _:
                spoilt[place : place + 1] = chance.choice(PICKLE_CODES)
    return bytes(spoilt)


LETTERS = b"(.0122NKMJGXUTCB]}){tuldaesbcRQqrhj"
PICKLE_CODES = [bytes([code]) for code in LETTERS + bytes(range(128, 150))]
"""Instructions of pickles."""


def test_any_bytes_give_tensors_or_a_clean_error() -> None:
    chance = random.Random(22)
    read_well = refused = 0
    for _ in range(2_500):
        data = spoiled(chance, chance.choice(seeds()))
        try:
            header = read(data)
        except HeaderError as error:
            refused += 1
            assert error.message.isprintable()
        else:
            read_well += 1
            assert all(n for n, _, _ in header.tensors)
    assert min(read_well, refused) > 200
