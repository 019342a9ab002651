"""Say how stored tensors differ: a phrase for each kind of difference, and none where none is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoint_fixtures import table_of
from helpers.checkpoints import write
from helpers.models import Tensors, files, fixture, with_dtype, with_prefix
from helpers.program import Run

from llmarch.compare.stored import StoredRow, stored_differences, stored_rows

MODELS = ("qwen3-0.6b", "qwen3-30b-a3b-reduced", "deepseek-v2-lite-reduced", "gemma-3-4b")


def rows(tensors: Tensors) -> tuple[StoredRow, ...]:
    return stored_rows(table_of(tensors))


def with_swapped(t: Tensors) -> Tensors:
    return {
        name: (d, s[::-1]) if name.endswith("down_proj.weight") else (d, s)
        for name, (d, s) in t.items()
    }


def with_split_norms(t: Tensors) -> Tensors:
    """The down projections in two halves."""
    changed: Tensors = {}
    for name, (d, s) in t.items():
        if name.endswith("down_proj.weight"):
            half = (s[0] // 2, *s[1:])
            changed |= {f"{name}_a": (d, half), f"{name}_b": (d, half)}
        else:
            changed[name] = (d, s)
    return changed


def with_one_more(t: Tensors) -> Tensors:
    return t | {"model.extra.weight": ("BF16", (3,))}


def with_one_fewer(t: Tensors) -> Tensors:
    return dict(list(t.items())[:-1])


EDITS: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "dtype": (with_dtype("F32"), "BF16 → F32 in {n} tensors"),
    "prefix": (
        with_prefix("", "wrapped."),
        "names begin with wrapped. instead of nothing in {n} tensors",
    ),
    "swapped": (with_swapped, "dimensions swapped in "),
    "split": (with_split_norms, "with as many elements: "),
    "more": (with_one_more, "1 tensor more: model.extra.weight"),
    "fewer": (with_one_fewer, "1 tensor fewer: "),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("edit", EDITS)
def test_what_differs_is_said(model: str, edit: str) -> None:
    _, tensors = fixture(model)
    change, phrase = EDITS[edit]
    before, after = rows(tensors), rows(change(tensors))
    assert stored_differences(before, before) == []
    (said,) = stored_differences(before, after)
    assert phrase.format(n=f"{len(tensors):,}") in said
    assert len(stored_differences(after, before)) == 1


def test_several_differences_are_several_phrases() -> None:
    _, tensors = fixture("qwen3-0.6b")
    said = stored_differences(rows(tensors), rows(with_one_more(with_dtype("F32")(tensors))))
    assert len(said) == 2 and said[1] == "1 tensor more: model.extra.weight"
    shapes = {name: (d, (*s, 1)) for name, (d, s) in tensors.items()}
    (said,) = stored_differences(rows(tensors), rows(shapes))
    assert said.startswith("other shapes: ") and said.endswith(" more")


def test_a_buffer_that_was_added_hides_no_other_prefix(run: Run, tmp_path: Path) -> None:
    """Findings of tensors that are stored besides explain nothing of the others."""
    folder = tmp_path / "model"
    write(folder, files("qwen3-0.6b"))
    lock = str(tmp_path / "llmarch.lock")
    run("lock", str(folder), "-o", lock)

    def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
        found = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
        return found | {"layers.0.self_attn.rotary_emb.inv_freq": ("F32", (64,))}

    write(folder, files("qwen3-0.6b", tensors=renamed))
    document = run.json("check", "--lock", lock)
    rules = [change["rule"] for change in document["verdicts"][0]["changes"]]
    assert {"buffers-stored", "stored-tensors-changed"} <= {*rules}
