"""GGUF headers as llama.cpp's converter makes them: the facts are those of the config, and every
tensor is explained.

tests/oracle/gguf_headers.py wrote the fixture.
"""

from __future__ import annotations

import gzip
import json
import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import pytest
from helpers.gguf_files import FileHeader, headers_of, read_fixture, write_header
from helpers.paths import FIXTURES
from helpers.type_fixtures import read_fixture as read_type

import llmarch
from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.reading import Reading, read_or_infer
from llmarch.compare.unstated import unstated_paths
from llmarch.config.gguf.architectures import ARCHITECTURES
from llmarch.errors import InternalError, LlmarchError, UnknownFamily
from llmarch.sources.gguf.files import tensor_infos
from llmarch.sources.gguf.header import nested
from llmarch.sources.raw import GGUF_WRITER, TENSOR_INFOS, RawModel, TensorTable

NAMES = sorted(read_fixture()["types"])
FILE_TYPES = {member.value: member.name for member in gguf.LlamaFileType}

NOT_IN_A_DECODER = (
    "towers",
    "mtp",
    "layer_kinds.mtp",
    "family",
    "model_type",
    "decoder_type",
    "dtype",
)
"""What a decoder's file does not hold: towers are in a file of their own (mmproj), and modules of
multi-token prediction are left out by most converters."""
DROPPED = {"sees_ahead": "which tokens images let see ahead is with the vision tower"}
"""Ends of paths of facts that no file of a decoder has, and why."""
OTHERWISE: dict[str, dict[str, str]] = {
    "afmoe": {"embedding.scale": "llama.cpp scales always, the class's default is not to"},
    "gemma3n_text": {"embedding.per_layer.vocab_size": "filled up to the vocabulary"},
    "glm": {
        "context_length": "the converter writes the width for it",
        "norms.rms.eps": "the converter looks for the key of another model",
    },
    "laguna": {
        "layers": "llama.cpp has a window on three of four layers where there is one",
        "mixers.sliding": "the same",
        "layer_kinds.sliding_dense": "the same",
        "layer_kinds.sliding_moe": "the same",
        "mixers.full": "the same",
        "layer_kinds.full_moe": "the same",
    },
    "mistral": {
        "mixers": "llama.cpp's llama has no window",
        "layers": "the same",
        "layer_kinds": "the same",
    },
    "headers/mistral-7b-v0.1": {
        "mixers": "llama.cpp's llama has no window",
        "layers": "the same",
        "layer_kinds": "the same",
    },
    "qwen3_moe": {"ffns.moe.router.normalized": "llama.cpp normalises always"},
    "qwen3_vl_moe": {"ffns.moe.router.normalized": "llama.cpp normalises always"},
    "mellum": {"ffns.moe.router.normalized": "llama.cpp normalises always"},
    "qwen2_moe": {"ffns.moe.router.normalized": "llama.cpp never normalises"},
    "solar_open": {"mixers.full.rope.rotary_dim": "the converter takes half for granted"},
}
"""Facts that are others in the file than in the config, by model, and why."""


@cache
def files(name: str) -> list[FileHeader]:
    return [*headers_of(name)]


def config_of(header: FileHeader) -> dict[str, Any]:
    """Return the config that the converter was given."""
    if "/" in header.model_type:
        data = (FIXTURES / f"{header.model_type}.json.gz").read_bytes()
        return json.loads(gzip.decompress(data))["config"]
    fixture = read_type(header.model_type)
    first, *_ = fixture["rows"]
    row = next(row for row in fixture["rows"] if row["set"] == header.changed)
    return {**first["saved"], **row["saved"]}


def read_config(config: dict[str, Any]) -> Reading:
    raw = RawModel(
        reference="config.json",
        kind="local",
        name="config",
        config=config,
        config_file="config.json",
    )
    reading = read_or_infer(raw)
    assert isinstance(reading, Reading)
    return reading


def facts(a: Architecture) -> dict[str, Any]:
    return dict(leaves(a, ""))


def leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if is_dataclass(node):
        for f in fields(node):
            yield from leaves(getattr(node, f.name), f"{path}.{f.name}")
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}")
    else:
        yield path.removeprefix("."), node


def is_same(a: Any, b: Any) -> bool:
    """Return whether two facts are equal as far as 32-bit floats can be."""
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("<f", a) == struct.pack("<f", b) or abs(a - b) <= 1e-6 * abs(a)
    return a == b


def is_expected(name: str, path: str, unstated: Iterable[str] = ()) -> bool:
    if path.startswith((*NOT_IN_A_DECODER, *unstated)):
        return True
    parts = f".{path}."
    if any(f".{end}." in parts for end in DROPPED):
        return True
    return any(path == p or path.startswith(f"{p}.") for p in OTHERWISE.get(name, ()))


def test_many_architectures_are_covered() -> None:
    covered = {files(name)[0].keys["general.architecture"][2] for name in NAMES}
    assert covered == {*ARCHITECTURES}
    assert len(covered) >= 70


@pytest.mark.covered
@pytest.mark.parametrize("name", NAMES)
def test_facts_are_those_of_the_config(name: str, tmp_path: Path) -> None:
    for header in files(name):
        path = write_header(tmp_path / "x.gguf", header.keys, header.tensors, file_type=32)
        reading = llmarch.load(str(path))
        expected = read_config(config_of(header)).architecture
        ours, theirs = facts(reading.architecture), facts(expected)
        unstated = unstated_paths(reading)
        different = {
            fact: (theirs.get(fact), ours.get(fact))
            for fact in {**ours, **theirs}
            if not is_same(theirs.get(fact), ours.get(fact))
            and not is_expected(name, fact, unstated)
        }
        assert not different, header.changed
        assert reading.status == "verified", [f.message for f in reading.findings]
        assert not reading.unread_keys
        assert reading.architecture.dtype == "bfloat16"
        check = reading.check
        assert check is not None
        counts = count_parameters(reading.architecture)
        in_metadata = 4 * len(reading.architecture.layers)
        if "xielu.alpha_n" not in header.keys:
            in_metadata = 0
        assert check.logical == counts.total - in_metadata
        if "embedding.per_layer.vocab_size" not in OTHERWISE.get(name, {}):
            decoder = counts.by_component
            wanted = count_parameters(expected).by_component
            assert decoder == {part: wanted.get(part) for part in decoder}


def quantised(header: FileHeader) -> list[tuple[str, tuple[int, ...], str]]:
    """Return the tensors with matrices in blocks of ggml, as a Q4_K_M file has them."""
    tensors: list[tuple[str, tuple[int, ...], str]] = []
    for name, shape, kind in header.tensors:
        if kind == "BF16" and len(shape) > 1 and shape[-1] % 256 == 0:
            kind = "Q6_K" if "ffn_down" in name or "attn_v" in name else "Q4_K"
        tensors.append((name, shape, kind))
    return tensors


@pytest.mark.parametrize("name", ["qwen3", "deepseek_v3", "gpt_oss", "granitemoehybrid"])
def test_bits_are_those_of_the_package(name: str, tmp_path: Path) -> None:
    header = files(name)[0]
    tensors = quantised(header)
    path = write_header(tmp_path / "x-Q4_K_M.gguf", header.keys, tensors, file_type=15)
    reading = llmarch.load(str(path))
    check = reading.check
    assert check is not None
    assert reading.status == "verified"
    elements = bits = 0
    for _, shape, kind in tensors:
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
        count = 1
        for length in shape:
            count *= length
        elements += count
        bits += count // block * size * 8
    assert check.bits_per_weight == pytest.approx(bits / elements, rel=1e-12)
    assert check.stored == elements
    quantization = reading.architecture.quantization
    assert quantization is not None
    assert (quantization.method, quantization.format) == ("gguf", "Q4_K_M")
    plain = write_header(tmp_path / "x.gguf", header.keys, header.tensors, file_type=32)
    changes = llmarch.diff(llmarch.load(str(plain)), reading)
    assert {change.severity for change in changes} <= {"quantization", "info"}


def test_evidence_names_keys_and_tensors(tmp_path: Path) -> None:
    header = files("qwen3")[0]
    path = write_header(tmp_path / "x.gguf", header.keys, header.tensors, file_type=32)
    evidence = llmarch.load(str(path)).evidence
    assert evidence["mixers.full.heads"].ref == "qwen3.attention.head_count"
    assert evidence["embedding.tied"].kind == "tensor"
    assert evidence["embedding.tied"].ref == "output.weight"
    assert evidence["dtype"].ref == "general.file_type"


def test_a_wrong_tensor_is_a_conflict(tmp_path: Path) -> None:
    header = files("qwen3")[0]
    tensors = [
        (name, (shape[0] * 2, *shape[1:]) if name == "blk.3.ffn_up.weight" else shape, kind)
        for name, shape, kind in header.tensors
        if name != "blk.2.attn_q_norm.weight"
    ]
    path = write_header(tmp_path / "x.gguf", header.keys, tensors, file_type=32)
    reading = llmarch.load(str(path))
    assert reading.status == "conflict"
    messages = " ".join(f"{f.path} {f.message}" for f in reading.findings)
    assert "blk.3.ffn_up.weight" in messages
    assert "layers.2.self_attn.q_norm.weight" in messages


def test_an_unknown_architecture_is_observed(tmp_path: Path) -> None:
    header = files("deepseek_v3")[0]
    keys = {k.replace("deepseek2.", "novel."): v for k, v in header.keys.items()}
    keys["general.architecture"] = ["STRING", "", "novel"]
    path = write_header(tmp_path / "x.gguf", keys, header.tensors, file_type=32)
    with pytest.raises(UnknownFamily, match="novel"):
        llmarch.load(str(path))
    observation = llmarch.inspect(str(path))
    assert observation.status == "observed"
    assert not [f for f in observation.findings if f.rule == "tensor-unrecognised"]


def test_a_file_of_any_name_is_recognised(tmp_path: Path) -> None:
    header = files("llama")[0]
    path = write_header(tmp_path / "sha256-0123", header.keys, header.tensors, file_type=32)
    assert llmarch.load(str(path)).status == "verified"


PAIRS = [name for name in NAMES if name.startswith("headers/")]


def written(name: str, folder: Path) -> tuple[str, str]:
    """Write a published config and the GGUF file that is made of it; return both references."""
    header = files(name)[0]
    config = folder / "config.json"
    config.write_text(json.dumps(config_of(header)))
    path = write_header(folder / "x-Q4_K_M.gguf", header.keys, quantised(header), file_type=15)
    return str(config), str(path)


CHANGED_BY_CONVERSION = ("mtp", "towers", "layer_kinds.mtp", "model_type", "family", "decoder_type")


@pytest.mark.sweep
@pytest.mark.parametrize("name", PAIRS)
def test_a_difference_is_of_quantisation_alone(name: str, tmp_path: Path) -> None:
    """What a conversion drops is told, and is no change of the model."""
    config, path = written(name, tmp_path)
    changes = llmarch.diff(config, path)
    told = [
        (change.path, change.old, change.new)
        for change in changes
        if change.severity not in ("quantization", "info")
        and not change.path.startswith(CHANGED_BY_CONVERSION)
        and not is_expected(name, change.path)
    ]
    assert told == []


def test_check_fails_for_no_fact_that_a_file_does_not_state(tmp_path: Path) -> None:
    config, path = written("headers/llama-3.2-1b", tmp_path)
    report = llmarch.check(path, against=config)
    assert report.exit_code == 0, report
    reading = llmarch.load(path)
    assert reading.evidence["mixers.full.rope.scaling"].kind == "unknown"
    assert "rope_freqs.weight" in reading.evidence["mixers.full.rope.scaling"].ref


JUNK = (0, -1, 3, 2**63, 1e38, float("inf"), float("nan"), "x", "", True, None, [], [0], ["a"])


def test_hostile_metadata_is_read_or_refused() -> None:
    """Values of other types and sizes, lists of other lengths, keys that are not there."""
    chance = random.Random(22)
    for name in chance.sample(NAMES, 40):
        header = files(name)[0]
        table = TensorTable.from_tensors((n, kind, shape) for n, shape, kind in header.tensors)
        table.writer = GGUF_WRITER
        for _ in range(4):
            keys = {key: value for key, (_, _, value) in header.keys.items()}
            for key in chance.sample([*keys], 2):
                keys[key] = chance.choice(JUNK)
            raw = RawModel(
                reference="x.gguf",
                kind="local",
                name="x",
                config={**nested(keys), TENSOR_INFOS: tensor_infos(table)},
                config_file="x.gguf",
                tensors=table,
            )
            try:
                read_or_infer(raw)
            except InternalError:
                raise
            except LlmarchError as error:
                assert error.message.isprintable()


# --- single changes, none of which llama.cpp loads ------------------------------------------------

NO_WEIGHTS = ("I8", "I16", "I32", "I64", "F64", "Q8_K")


def turned(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape with its first two dimensions swapped, None if that is the same."""
    if len(shape) < 2 or shape[0] == shape[1]:
        return None
    return (shape[1], shape[0], *shape[2:])


def damaged(header: FileHeader, chance: random.Random) -> Iterator[tuple[str, list[Any]]]:
    """Yield what was done to one tensor of a file, and the tensors of that file."""
    tensors = header.tensors
    layers = [row for row in tensors if row[0].startswith("blk.") and ".nextn." not in row[0]]
    matrices = [row for row in tensors if turned(row[1])]
    vectors = [row for row in tensors if len(row[1]) == 1]
    name, shape, _ = row = chance.choice(tensors)
    dtype = chance.choice(NO_WEIGHTS)
    yield f"{name} {dtype}", [(name, shape, dtype) if r is row else r for r in tensors]
    if vectors:
        name, shape, _ = row = chance.choice(vectors)
        yield f"{name} Q4_K", [(name, shape, "Q4_K") if r is row else r for r in tensors]
    if matrices:
        name, shape, dtype = row = chance.choice(matrices)
        changed = (name, turned(shape), dtype)
        yield f"{name} turned", [changed if r is row else r for r in tensors]
    module = [row for row in tensors if ".nextn.eh_proj" in row[0] or ".nextn.enorm" in row[0]]
    if module and "deepseek" in header.model_type:
        yield module[0][0], [r for r in tensors if r is not module[0]]
    name, shape, dtype = chance.choice(layers)
    further = f"blk.999.{name.split('.', 2)[2]}"
    yield further, [*tensors, (further, shape, dtype)]
    foreign = f"block.{name.removeprefix('blk.')}"
    yield foreign, [*tensors, (foreign, shape, dtype)]


def read_header(header: FileHeader, tensors: Iterable[Any]) -> Any:
    """Return the reading of a file of these tensors."""
    table = TensorTable.from_tensors((name, kind, shape) for name, shape, kind in tensors)
    table.writer = GGUF_WRITER
    keys = {key: value for key, (_, _, value) in header.keys.items()}
    raw = RawModel(
        reference="x.gguf",
        kind="local",
        name="x",
        config={**nested(keys), TENSOR_INFOS: tensor_infos(table)},
        config_file="x.gguf",
        tensors=table,
    )
    return read_or_infer(raw)


UNUSED = frozenset(
    """
    bamba granitemoehybrid headers/granite-4.0-h-350m headers/granite-4.0-h-small-reduced
    headers/kimi-linear-48b headers/nemotron-3-nano-30b-reduced
    headers/nemotron-3-super-120b-reduced-mtp headers/nemotron-h-56b-reduced gemma4_text
    headers/gemma-4-26b-a4b-reduced
    headers/gemma-4-31b headers/gemma-4-e2b-reduced glm
    """.split()
)
"""Files with keys of RoPE and no RoPE, and those of which the converter writes another thing."""


@pytest.mark.sweep
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_tensor_is_a_conflict(name: str) -> None:
    chance = random.Random(name)
    header = files(name)[0]
    if read_header(header, header.tensors).status != "verified":
        return
    for what, tensors in damaged(header, chance):
        assert read_header(header, tensors).status == "conflict", what


CHANGED_KEYS = (
    ("attention.value_length", "weights"),
    ("attention.key_length", "weights"),
    ("rope.dimension_count", "behaviour"),
    ("rope.freq_base", "behaviour"),
)


@pytest.mark.sweep
@pytest.mark.parametrize("name", NAMES)
def test_a_changed_number_is_a_fact_or_told(name: str) -> None:
    """llama.cpp reads these keys for every architecture."""
    header = files(name)[0]
    before = read_header(header, header.tensors)
    if before.status != "verified":
        return
    assert not [f for f in before.findings if f.rule == "config-contradiction"]
    for end, _ in CHANGED_KEYS:
        for key, (kind, item, value) in header.keys.items():
            if not key.endswith(f".{end}") or isinstance(value, list) or name in UNUSED:
                continue
            keys = {**header.keys, key: (kind, item, 3 * value)}
            try:
                after = read_header(header._replace(keys=keys), header.tensors)
            except LlmarchError:
                continue
            differs = after.architecture != before.architecture
            assert differs or after.status == "conflict", key


@pytest.mark.parametrize("model_type", ["gpt2", "qwen3_moe"])
def test_damaged_tensors_are_named(model_type: str) -> None:
    header = files(model_type)[0]
    for what, tensors in damaged(header, random.Random(1)):
        findings = read_header(header, tensors).findings
        assert [f for f in findings if what.split()[0] in f.path and f.severity == "weights"], what
