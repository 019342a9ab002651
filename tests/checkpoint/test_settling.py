"""The stored head settles whether it is tied where wrapper and text part say different things."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.checkpoint_fixtures import Tensors, load, table_of, tensors_of

from llmarch.checkpoint.reading import Reading, read_model
from llmarch.sources.raw import RawModel

Config = dict[str, Any]
KEY = "tie_word_embeddings"
HEAD = "lm_head.weight"


def reading(name: str, top: bool | None, nested: bool | None, *, stored: bool) -> Reading:
    fixture = load(name)
    config = fixture["config"]
    text = {k: v for k, v in config["text_config"].items() if k != KEY}
    if nested is not None:
        text[KEY] = nested
    config = {k: v for k, v in config.items() if k != KEY} | {"text_config": text}
    if top is not None:
        config[KEY] = top
    tensors: Tensors = {k: v for k, v in tensors_of(fixture).items() if not k.endswith(HEAD)}
    if stored:
        table = next(v for k, v in tensors.items() if k.endswith("embed_tokens.weight"))
        prefix = "language_model." if config["model_type"] == "mistral3" else ""
        tensors[prefix + HEAD] = table
    raw = RawModel("x", "local", "x", config, "config.json", tensors=table_of(tensors))
    return read_model(raw)


NAMES = ("gemma-3-4b", "mistral-small-3.1-reduced-v5-names")


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("flags", [(True, False), (False, True)])
@pytest.mark.parametrize("name", NAMES)
def test_flags_that_disagree(name: str, flags: tuple[bool, bool], stored: bool) -> None:
    """transformers obeys the wrapper: it does harm where that one is wrong."""
    result = reading(name, *flags, stored=stored)
    assert result.architecture.embedding.tied is not stored
    assert result.evidence["embedding.tied"].kind == "tensor"
    (finding,) = [f for f in result.findings if f.rule == "config-contradiction"]
    harmless = flags[0] is not stored
    assert finding.severity == ("info" if harmless else "behaviour")
    assert result.status == ("verified" if harmless else "conflict")
    rules = {f.rule for f in result.findings}
    assert rules & {"untied-head-missing", "tied-copy-stored"} == set()


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("nested", [None, False])
def test_class_defaults_that_disagree(nested: bool | None, stored: bool) -> None:
    """Mistral Small 3.1 has no flags: its wrapper's class ties, its text part's does not."""
    result = reading("mistral-small-3.1-reduced-v5-names", None, nested, stored=stored)
    assert result.status == "verified"
    assert result.architecture.embedding.tied is not stored
    assert result.findings == ()


def test_flags_that_agree_are_held_against_the_tensors() -> None:
    wrong = reading("gemma-3-4b", False, False, stored=False)
    assert wrong.status == "conflict"
    assert {f.rule for f in wrong.findings} == {"untied-head-missing"}
