"""What `show` and `memory` say first of a checkpoint that contradicts its config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.checkpoints import write
from helpers.figures import problems
from helpers.models import Config, Tensors, files, fixture, having, layers, resized, without
from helpers.program import Run

import llmarch
from llmarch.checkpoint.reading import Reading
from llmarch.layout.compose import drawing
from llmarch.layout.drawing import Label
from llmarch.views.figure import figure

WORDS = "the checkpoint contradicts its config"


class Change(NamedTuple):
    config: Callable[[Config], Config] = lambda c: c
    tensors: Callable[[Tensors], Tensors] = lambda t: t


CHANGES = {
    "fewer layers are stored": Change(tensors=layers(1)),
    "the vocabulary has grown": Change(tensors=resized(160)),
    "a tensor is missing": Change(tensors=without("layers.0.self_attn.o_proj")),
    "the config has other heads": Change(config=having(num_attention_heads=16)),
}
FIXTURE = "llama-3-8b"


def inspect(path: str) -> Reading:
    found = llmarch.inspect(path)
    assert isinstance(found, Reading)
    return found


def folder(tmp_path: Path, change: str = "") -> str:
    config, tensors = CHANGES.get(change, Change())
    return str(write(tmp_path / "model", files(FIXTURE, config, tensors)))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_both_figures_stand_first(run: Run, tmp_path: Path, change: str, form: str) -> None:
    path = folder(tmp_path, change)
    show, _ = run("show", path, "-f", form)
    memory, _ = run("memory", path, "-f", form)
    for out, figures in ((show, "Parameters"), (memory, "one copy")):
        assert WORDS in out and out.index(WORDS) < out.index(figures)
        assert " by the config, " in out and " stored, " in out
    assert "as the headers say" not in memory and "parameters by the config" in memory


@pytest.mark.parametrize("change", CHANGES)
def test_json_has_both_figures(run: Run, tmp_path: Path, change: str) -> None:
    path = folder(tmp_path, change)
    show = run.document("show", path)
    memory = run.document("memory", path)
    plan = memory["models"][0]
    assert plan["status"] == show["parameters"]["status"] == "conflict"
    assert plan["checkpoint"] == show["checkpoint"]
    _, tensors = fixture(FIXTURE)
    changed = CHANGES[change].tensors(tensors)
    stored = sum(rows * columns for rows, columns in map(two_sizes, changed.values()))
    assert show["checkpoint"]["weights"] == stored
    assert show["checkpoint"]["bytes"] == 2 * stored
    assert show["checkpoint"]["tensors"] == len(changed)


@pytest.mark.parametrize("change", CHANGES)
def test_whether_it_fits_is_not_known(run: Run, tmp_path: Path, change: str) -> None:
    """In every format, as in `fit`: a plan by the config is no answer for the checkpoint."""
    path = folder(tmp_path, change)
    options = ("--gpus", "H100", "--engine", "vllm", "--context", "512")
    assert run.document("memory", path, *options)["models"][0]["fits"] is None
    several = run.document("memory", path, *options, "--batch", "1,2")
    assert [row["fits"] for row in several["scenarios"]] == [None, None]
    rows = run("memory", path, *options, "-f", "csv")[0].splitlines()
    column = rows[0].split(",").index("fits")
    assert rows[1].split(",")[column] == ""
    for form in ("text", "markdown"):
        assert "by the config" in run("memory", path, *options, "-f", form)[0].lower()
    found = run.document("fit", path, *options)
    assert found["fits"] is None is found["plan"]["fits"]


def two_sizes(tensor: tuple[str, tuple[int, ...]]) -> tuple[int, int]:
    _, shape = tensor
    first, *others = shape
    return first, others[0] if others else 1


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_sound_checkpoint_has_no_conflict(run: Run, tmp_path: Path, form: str) -> None:
    path = folder(tmp_path)
    assert "onflict" not in run("show", path, "-f", form)[0]
    memory, _ = run("memory", path, "-f", form)
    assert "contradict" not in memory and "as the headers say" in memory


def test_a_sound_checkpoint_stores_what_the_config_says(run: Run, tmp_path: Path) -> None:
    show = run.json("show", folder(tmp_path))
    assert show["checkpoint"]["weights"] == show["parameters"]["total"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_figure_says_so_first_and_names_the_findings(
    run: Run, tmp_path: Path, change: str
) -> None:
    """In the picture and in its description, of one model and beside the untouched one."""
    broken = inspect(folder(tmp_path, change))
    whole = inspect(folder(tmp_path / "whole"))
    for readings in ([broken], [whole, broken], [whole, broken, whole]):
        f = figure(readings)
        assert WORDS in f.warnings[0] and WORDS in f.summary
        said = " ".join((*f.notes, f.summary, *(cell for _, v in f.matrix for cell in v.cells)))
        assert all(finding.path in said for finding in broken.findings)
        for narrow in (False, True):
            drawn = drawing(f, narrow=narrow)
            assert problems(drawn) == []
            labels = " ".join(shape.text for shape in drawn.shapes if isinstance(shape, Label))
            assert WORDS in labels
    assert not figure([whole, whole]).warnings


def test_what_differs_beside_the_architecture_is_in_the_figure(run: Run, tmp_path: Path) -> None:
    """Token ids and unread keys, as `diff` has rows of them."""
    a = inspect(folder(tmp_path / "a"))
    CHANGES["token"] = Change(config=having(bos_token_id=7, some_new_key=3))
    b = inspect(folder(tmp_path / "b", "token"))
    del CHANGES["token"]
    notes = "\n".join(figure([a, b]).notes)
    assert "bos_token_id: " in notes and "some_new_key: " in notes
    assert "0 differences" not in figure([a, b]).summary
    assert {v.label for _, v in figure([a, b, a]).matrix} >= {"bos_token_id", "some_new_key"}


def test_an_explained_fact_names_what_contradicts_it(run: Run, tmp_path: Path) -> None:
    path = folder(tmp_path, "the config has other heads")
    findings = [f for f in run.document("show", path)["findings"] if f["path"].startswith("mixers")]
    assert findings
    for finding in findings:
        for form in ("text", "markdown"):
            out, _ = run("show", path, "--explain", finding["path"], "-f", form, columns=4000)
            assert finding["rule"] in out
        fact = run.json("show", path, "--explain", finding["path"])[finding["path"]]
        assert finding in fact["findings"]


def test_changes_of_diff_have_the_finding_with_its_values(run: Run, tmp_path: Path) -> None:
    old, new = folder(tmp_path / "old"), folder(tmp_path / "new", "the vocabulary has grown")
    document = run.document("diff", old, new)
    judged = run.document("check", new, "--against", old, code=1)
    changes = document["changes"]
    found = {(c["rule"], c["path"]): c["finding"] for c in changes if c["finding"]}
    assert found and all(finding["new"] is not None for finding in found.values())
    verdict = judged["verdicts"][0]["changes"]
    assert found == {(c["rule"], c["path"]): c["finding"] for c in verdict if c["finding"]}
