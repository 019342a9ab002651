"""Prefixes that nobody loads, anywhere in a name, and dimensions that nobody takes swapped."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from helpers.checkpoint_fixtures import (
    Change,
    Tensors,
    both,
    check,
    load,
    local_model,
    rename,
    table_of,
    tensors_of,
)

from llmarch.architecture.schema import Finding
from llmarch.checkpoint.foreign_names import WRITERS
from llmarch.checkpoint.reading import Reading, read_model

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

MODELS = ("qwen3-8b", "qwen3-30b-a3b-reduced", "gpt2-124m", "gemma-3-4b", "llama-3.2-1b-tied-copy")
UNKNOWN = ("llm.", "policy.actor.")
PLACES: dict[str, Callable[[str], Change]] = {
    "before all names": lambda part: rename(r"^", part),
    "after the first part": lambda part: rename(r"^(model|transformer)\.", rf"\1.{part}"),
    "in each layer": lambda part: rename(r"((?:layers|h)\.\d+\.)", rf"\1{part}"),
    "in each block": lambda part: rename(r"((?:mlp|self_attn|attn)\.)", rf"\1{part}"),
    "in one layer": lambda part: rename(r"((?:layers|h)\.1\.)", rf"\1{part}"),
}


def serious(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.severity != "info"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("place", PLACES)
def test_a_wrapper_of_training_code_is_named(name: str, place: str) -> None:
    for part, writer in WRITERS.items():
        change = PLACES[place](part)
        if change(tensors_of(load(name))) == tensors_of(load(name)):
            continue
        c = check(name, change)
        findings = serious(c.findings)
        assert c.status == "conflict"
        named = [f for f in findings if f.rule == "names-not-loaded"]
        assert named and all(part in f.path and writer in f.message for f in named), part
        assert {f.rule for f in findings} <= {"names-not-loaded", "tensor-unexpected"}, part


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("prefix", UNKNOWN)
def test_a_prefix_that_nobody_knows_is_named(name: str, prefix: str) -> None:
    for pattern in (r"^", r"^(?=.*(?:layers|h)\.1\.)"):
        c = check(name, rename(pattern, prefix))
        assert c.status == "conflict"
        findings = serious(c.findings)
        named = [f for f in findings if f.rule == "names-not-loaded"]
        assert named and all(f.path == f"{prefix}*" for f in named)
        assert "fact-contradicted" not in {f.rule for f in findings}


def test_a_second_model_is_no_prefix() -> None:
    """Another decoder beside a complete one is not taken for the one under another name."""

    def beside(t: Tensors) -> Tensors:
        draft = {f"draft.{n}": v for n, v in t.items() if ".layers.0." in n}
        return {**t, **draft}

    c = check("qwen3-8b", beside)
    assert {f.rule for f in serious(c.findings)} == {"tensor-unexpected"}


# --- orientation ---------------------------------------------------------------------------------

CONVOLUTIONS = (
    "qwen3-next-reduced-mtp",
    "qwen3.5-0.8b-reduced-mtp",
    "lfm2-1.2b",
    "kimi-linear-48b",
    "nemotron-3-nano-30b-reduced",
)


def channels_last(pattern: str) -> Change:
    """Return the change that puts the channels of convolutions last."""

    def change(t: Tensors) -> Tensors:
        return {
            n: (d, (s[0], *s[2:], s[1]) if s is not None and re.search(pattern, n) else s)
            for n, (d, s) in t.items()
        }

    return change


def reading_of(name: str, change: Change, writer: str) -> Reading:
    """Read a fixture with changed tensors, in files that a library wrote."""
    fixture = load(name)
    table = table_of(change(tensors_of(fixture)))
    table.writer = writer
    return read_model(local_model(fixture["config"], table, name))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_with_channels_last_are_mlx_files_alone(name: str) -> None:
    every, one = r"conv(1d)?\.weight$", r"\.\d+\..*conv(1d)?\.weight$"
    first = next(n for n in tensors_of(load(name)) if re.search(one, n))
    for writer in ("", "pt"):
        reading = reading_of(name, channels_last(every), writer)
        assert reading.status == "conflict"
        assert "layout-not-loaded" in {f.rule for f in reading.findings}
    assert reading_of(name, channels_last(every), "mlx").status == "verified"
    assert reading_of(name, channels_last(re.escape(first)), "mlx").status == "conflict"
    assert reading_of(name, lambda t: t, "pt").status == "verified"


@pytest.mark.parametrize("name", ["gpt2-124m"])
def test_matrices_with_inputs_first_stay_so(name: str) -> None:
    def turned(pattern: str) -> Change:
        def change(t: Tensors) -> Tensors:
            return {
                n: (d, s[::-1] if s and len(s) == 2 and re.search(pattern, n) else s)
                for n, (d, s) in t.items()
            }

        return change

    for pattern in (r"h\.\d+\..*weight$", r"c_attn", r"h\.0\.mlp\.c_fc"):
        assert check(name, both(turned(pattern))).status == "conflict"
