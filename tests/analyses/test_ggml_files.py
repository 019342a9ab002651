"""Bytes of GGUF files of every file type, against llama.cpp's quantiser and published files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import FIXTURES

import llmarch
from llmarch.analyses.ggml_files import GGML_BITS, GGML_FILES, component_bits, file_matrices
from llmarch.analyses.gguf_names import format_of_file_type, format_of_name
from llmarch.analyses.parameters import count_parameters
from llmarch.analyses.weight_formats import WEIGHT_FORMATS, resolve_weights
from llmarch.architecture.schema import Architecture
from llmarch.sources.aliases import bundled_models

ROWS: list[dict[str, Any]] = json.loads((FIXTURES / "ggml_files.json").read_text(encoding="utf-8"))
"""Written by tests/oracle/ggml_files.py."""
PUBLISHED = {
    "q2_k": 3.18,
    "q3_k_s": 3.66,
    "q3_k_m": 4.02,
    "q3_k_l": 4.32,
    "q4_0": 4.66,
    "q4_k_s": 4.69,
    "q4_k_m": 4.92,
    "q5_k_s": 5.60,
    "q5_k_m": 5.73,
    "q6_k": 6.60,
    "q8_0": 8.54,
    "iq4_xs": 4.45,
    "iq4_nl": 4.68,
    "iq3_m": 3.78,
    "iq3_xs": 3.52,
    "iq2_m": 2.95,
}
"""GB of the files of Llama 3.1 8B Instruct at huggingface.co/bartowski."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Architecture]:
    folder = tmp_path_factory.mktemp("models")
    return [read(folder / f"{i}.json", row["config"]) for i, row in enumerate(ROWS)]


def read(path: Path, config: dict[str, Any]) -> Architecture:
    path.write_text(json.dumps(config))
    return llmarch.load(str(path)).architecture


@pytest.mark.parametrize("file_type", list(GGML_FILES))
def test_bytes_are_those_of_the_quantiser(file_type: str, models: list[Architecture]) -> None:
    for row, a in zip(ROWS, models, strict=True):
        bits = component_bits(a, file_type)
        sizes = dict.fromkeys(bits, 0.0)
        for matrix in file_matrices(a):
            sizes[matrix.component] += matrix.parameters * bits[matrix.component] / 8
        rounded = {name: round(size) for name, size in sizes.items()}
        assert rounded == row["bytes"][file_type]


def test_every_file_type_was_run() -> None:
    assert all(set(row["bytes"]) == set(GGML_FILES) for row in ROWS)


@pytest.mark.parametrize(("file_type", "gigabytes"), PUBLISHED.items())
def test_published_files(file_type: str, gigabytes: float) -> None:
    a = llmarch.load("llama3.1-8b").architecture
    weights = resolve_weights(a, file_type)
    size = weights.bytes_of(count_parameters(a).by_component) / 1e9
    assert size == pytest.approx(gigabytes, rel=0.005)


@pytest.mark.parametrize("alias", sorted(bundled_models())[::7])
def test_all_matrices_of_a_model_are_counted(alias: str) -> None:
    """What is no matrix of a file is small beside those that are: norms, biases, convolutions.

    Tables of positions stay as they are stored, whatever the type of the file (llama-quant.cpp).
    """
    a = llmarch.load(alias).architecture
    counted = dict(count_parameters(a).by_component)
    if a.embedding.positions:
        counted["embedding"] -= a.embedding.positions * a.hidden_size
    listed = dict.fromkeys(counted, 0)
    for matrix in file_matrices(a):
        listed[matrix.component] += matrix.parameters
    for component in ("attention", "mlp", "experts", "shared_experts", "embedding", "head"):
        if counted.get(component):
            assert listed[component] == pytest.approx(counted[component], rel=0.03)


@pytest.mark.parametrize("file_type", list(GGML_FILES))
def test_the_name_of_a_file_says_its_format(file_type: str) -> None:
    for name in (f"/m/Model-8B-{file_type.upper()}.gguf", f"org/Model-GGUF:{file_type.upper()}"):
        assert format_of_name(name) == (file_type, "")
    dynamic = format_of_name(f"Model-8B-UD-{file_type.upper()}-00001-of-00002.gguf")
    assert dynamic.format == file_type and dynamic.note


@pytest.mark.parametrize(
    ("words", "format"),
    [
        ("Q4_K - Medium", "q4_k_m"),
        ("Q2_K - Medium", "q2_k"),
        ("Q3_K - Large", "q3_k_l"),
        ("(guessed) Q8_0", "q8_0"),
        ("IQ3_S mix - 3.66 bpw", "iq3_m"),
        ("IQ4_XS - 4.25 bpw", "iq4_xs"),
        ("TQ1_0 - 1.69 bpw ternary", "tq1_0"),
        ("MXFP4 MoE", "mxfp4_moe"),
        ("all F32", "fp32"),
        ("F16", "fp16"),
        ("unknown, may not work", None),
    ],
)
def test_logged_file_types(words: str, format: str | None) -> None:
    assert format_of_file_type(words) == format


@pytest.mark.parametrize(
    ("name", "format", "noted"),
    [
        ("a-Q4_K.gguf", "q4_k_m", False),
        ("a-UD-Q4_K_XL.gguf", "q4_k_m", True),
        ("a-Q2_K_L.gguf", "q2_k", True),
        ("a-F16.gguf", "fp16", False),
        ("a-IQ5_K.gguf", None, True),
        ("Qwen/Qwen3-8B", None, False),
    ],
)
def test_other_names(name: str, format: str | None, noted: bool) -> None:
    found = format_of_name(name)
    assert (found.format, bool(found.note)) == (format, noted)


def test_larger_types_take_more() -> None:
    """Of one model, no mix takes less than its smallest type in all of its layers."""
    a = llmarch.load("qwen3-8b").architecture
    parameters = count_parameters(a).by_component
    for name, default in GGML_FILES.items():
        assert name in WEIGHT_FORMATS
        size = resolve_weights(a, name).bytes_of(parameters)
        least = sum(parameters.values()) * GGML_BITS[default] / 8
        assert size > 0.94 * least
