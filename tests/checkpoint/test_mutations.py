"""Single mutations of clean checkpoints, plain and packed: none is verified, no clean one refused.

Damage is what no loader of the model takes: names wrapped, moved or misspelt, matrices fused that
the family has apart, dimensions swapped, tensors missing, of another shape or of another type.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from helpers.checkpoint_fixtures import Tensors, load, read, table_of, tensors_of, verify_headers

from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.verify import Verification
from llmarch.tensors.template import TensorRow

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

CHECKPOINTS = (
    "deepseek-v3-reduced",
    "deepseek-v4-flash-reduced-mtp-fp4",
    "gemma-3-4b-reduced-v5-names",
    "gemma-4-26b-a4b-reduced",
    "glm-5.2-reduced-nvfp4",
    "gpt-oss-20b-mxfp4",
    "gpt2-124m",
    "granite-3.1-1b-a400m",
    "kimi-k2-thinking-reduced-compressed-int4",
    "lfm2-1.2b",
    "llama-3.2-1b",
    "llama-4-scout-reduced",
    "mimo-v2-flash-reduced-fp8-block",
    "minimax-m2-reduced-fp8-block",
    "mistral-large-3-reduced-native-fp8",
    "nemotron-3-nano-30b-reduced",
    "phi-4-mini",
    "qwen2.5-7b-reduced-gptq",
    "qwen3-0.6b-reduced-awq",
    "qwen3-0.6b-reduced-bnb-int8",
    "qwen3-0.6b-reduced-bnb-nf4",
    "qwen3-0.6b-reduced-mlx-4bit",
    "qwen3-30b-a3b-reduced-fused",
    "qwen3-30b-a3b-reduced-nvfp4",
    "qwen3-next-reduced-mtp",
    "qwen3.5-35b-a3b-reduced-mtp",
)
ROUNDS = 10
"""Mutations of each kind and checkpoint."""

FOREIGN = ("module.", "_orig_mod.", "transformer.", "text_model.", "language_model.", "backbone.")
"""Prefixes that other classes or tools write."""

OWN = {
    "gemma-3-4b-reduced-v5-names": {"language_model."},
    "gpt2-124m": {"transformer."},
    "nemotron-3-nano-30b-reduced": {"backbone."},
}
"""Prefixes that the class has: one of them too many is no damage, or is what it reads."""


class Checkpoint:
    """A clean checkpoint: what its config says, and its tensors."""

    def __init__(self, name: str) -> None:
        fixture = load(name)
        self.name = name
        self.facts: tuple[Architecture, list[TensorRow]] = read(fixture["config"])
        self.tensors = tensors_of(fixture)

    def verify(self, tensors: Tensors) -> Verification:
        return verify_headers(*self.facts, table_of(tensors))

    def sample(self, kind: str, names: Iterator[str] | list[str]) -> list[str]:
        """Return some names, the same ones each time."""
        chosen = sorted(names)
        return random.Random(self.name + kind).sample(chosen, min(ROUNDS, len(chosen)))

    @property
    def main(self) -> list[str]:
        """Return the tensors of the main model's layers that are values, not companions."""
        count = len(self.facts[0].layers)
        found: list[str] = []
        for name, (_, shape) in self.tensors.items():
            m = LAYER.search(name)
            if m is None or name.startswith(("mtp.", "model.mtp", "vision", "model.vision")):
                continue
            if int(m[1]) < count and name.endswith((".weight", ".qweight", "_proj")) and shape:
                found.append(name)
        return found


LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


@pytest.fixture(scope="module", params=CHECKPOINTS)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return Checkpoint(request.param)


def assert_damaged(checkpoint: Checkpoint, tensors: Tensors, what: str) -> None:
    """Check that the status is a conflict for a finding that fails a gate at its default level."""
    result = checkpoint.verify(tensors)
    assert result.status == "conflict", what
    assert {"weights", "behaviour"} & {f.severity for f in result.findings}, what


def test_clean(checkpoint: Checkpoint) -> None:
    result = checkpoint.verify(checkpoint.tensors)
    assert [f for f in result.findings if f.severity != "info"] == []
    assert result.status == "verified"


def foreign(checkpoint: Checkpoint) -> list[str]:
    return [p for p in FOREIGN if p not in OWN.get(checkpoint.name, set())]


def test_all_names_wrapped(checkpoint: Checkpoint) -> None:
    for prefix in foreign(checkpoint):
        tensors = {prefix + n: t for n, t in checkpoint.tensors.items()}
        assert_damaged(checkpoint, tensors, f"wrapped in {prefix}")


def test_one_module_wrapped(checkpoint: Checkpoint) -> None:
    for prefix in foreign(checkpoint):
        for name in checkpoint.sample(f"wrap {prefix}", checkpoint.main)[:3]:
            module = name.rpartition(".")[0]
            tensors = {
                prefix + n if n.startswith(f"{module}.") else n: t
                for n, t in checkpoint.tensors.items()
            }
            assert_damaged(checkpoint, tensors, f"{module} wrapped in {prefix}")


def test_one_part_of_a_name_changed(checkpoint: Checkpoint) -> None:
    for name in checkpoint.sample("rename", checkpoint.main):
        parts = name.split(".")
        places = [i for i, part in enumerate(parts) if not part.isdigit() and part != "model"]
        place = random.Random(name).choice(places)
        for word in (parts[place] + "_x", "x" + parts[place], "other"):
            changed = ".".join([*parts[:place], word, *parts[place + 1 :]])
            stem, other = name.rpartition(".")[0], changed.rpartition(".")[0]
            renamed = {name: changed}
            if stem != other:
                renamed |= {
                    n: other + n.removeprefix(stem)
                    for n in checkpoint.tensors
                    if n.startswith(f"{stem}.")
                }
            tensors = {renamed.get(n, n): t for n, t in checkpoint.tensors.items()}
            if stem != other:
                assert_damaged(checkpoint, tensors, f"{name} -> {changed}")
            else:
                # An ending that is not known may be of a packing that is not known.
                assert checkpoint.verify(tensors).status != "verified"


def test_tensor_missing(checkpoint: Checkpoint) -> None:
    for name in checkpoint.sample("drop", checkpoint.main):
        tensors = {n: t for n, t in checkpoint.tensors.items() if n != name}
        assert_damaged(checkpoint, tensors, f"without {name}")


def test_tensor_of_another_shape(checkpoint: Checkpoint) -> None:
    for name in checkpoint.sample("reshape", checkpoint.main):
        dtype, shape = checkpoint.tensors[name]
        assert shape
        for axis in range(len(shape)):
            other = (*shape[:axis], shape[axis] + 8, *shape[axis + 1 :])
            assert_damaged(
                checkpoint, {**checkpoint.tensors, name: (dtype, other)}, f"{name} {other}"
            )


def test_tensor_of_integers(checkpoint: Checkpoint) -> None:
    for name in checkpoint.sample("retype", checkpoint.main):
        dtype, shape = checkpoint.tensors[name]
        if dtype in ("BF16", "F16", "F32"):
            tensors = {**checkpoint.tensors, name: ("I64", shape)}
            assert_damaged(checkpoint, tensors, f"{name} of integers")


def turned(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1])


def swappable(checkpoint: Checkpoint) -> list[str]:
    return [
        n
        for n, (d, s) in checkpoint.tensors.items()
        if s
        and len(s) == 3
        and turned(s) != s
        and d in ("BF16", "F16", "F32")
        and LAYER.search(n)
        and ("conv" in n or "experts" in n or "_linear" in n)
    ]


def test_one_tensor_turned(checkpoint: Checkpoint) -> None:
    names = swappable(checkpoint)
    for name in checkpoint.sample("turn", names):
        dtype, shape = checkpoint.tensors[name]
        assert shape
        tensors = {**checkpoint.tensors, name: (dtype, turned(shape))}
        assert_damaged(checkpoint, tensors, f"{name} turned")


def test_all_experts_turned(checkpoint: Checkpoint) -> None:
    names = [n for n in swappable(checkpoint) if "conv" not in n]
    if not names:
        return
    tensors = dict(checkpoint.tensors)
    for name in names:
        dtype, shape = tensors[name]
        assert shape
        tensors[name] = (dtype, turned(shape))
    assert_damaged(checkpoint, tensors, "all experts turned")


FUSIONS = (
    (("gate_proj", "up_proj"), "gate_up_proj"),
    (("q_proj", "k_proj", "v_proj"), "qkv_proj"),
)


@pytest.mark.parametrize(("parts", "whole"), FUSIONS, ids=["gate_up", "qkv"])
def test_one_module_fused(checkpoint: Checkpoint, parts: tuple[str, ...], whole: str) -> None:
    """Of single experts too; where a file is packed, with the scales as they are."""
    first = [n for n in checkpoint.main if n.endswith(f".{parts[0]}.weight")]
    for name in checkpoint.sample(whole, first):
        stem = name.removesuffix(f"{parts[0]}.weight")
        sources = [f"{stem}{part}.weight" for part in parts]
        if not all(n in checkpoint.tensors for n in sources):
            continue
        shapes = [checkpoint.tensors[n][1] or () for n in sources]
        rows = sum(shape[0] for shape in shapes)
        tensors = {n: t for n, t in checkpoint.tensors.items() if n not in sources}
        tensors[f"{stem}{whole}.weight"] = (checkpoint.tensors[name][0], (rows, *shapes[0][1:]))
        assert_damaged(checkpoint, tensors, f"{stem}{whole}")
