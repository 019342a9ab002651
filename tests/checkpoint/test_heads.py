"""Classifiers, base models and reward models are verified, and nothing else passes for them.

tests/oracle/heads.py wrote the fixture: what every class of transformers without the head of a
language model stores, for tiny models of the bundled specs' types.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from helpers.checkpoint_fixtures import local_model
from helpers.paths import FIXTURES

from llmarch.analyses.parameters import count_parameters
from llmarch.checkpoint.reading import Reading, read_model
from llmarch.config.families import MODEL_TYPES
from llmarch.errors import ConfigError
from llmarch.sources.raw import TensorTable, unfold

ROWS_OF_TRANSFORMERS: dict[str, Any] = json.loads(
    gzip.decompress((FIXTURES / "heads.json.gz").read_bytes())
)["models"]
NOT_AS_PUBLISHED = {
    "mllama base 2": "its class names layers up to 38 for cross attention, of which it has 8",
    "olmo_hybrid base 2": "save_pretrained divides its joined convolution into equal parts",
    "qianfan_ocr base 2": "its class has other names of the projector than are published",
    "qwen3_omni_moe_thinker base 2": "its class defaults have heads of no whole number of dims",
    "vipllava base 2": "its class cannot take the features of layer -5 of a tower of 3 layers",
}
"""Rows of the fixture that no published model is like, and why."""
MODELS = {
    name: row
    for name, row in ROWS_OF_TRANSFORMERS.items()
    if name.split(" ")[0] in MODEL_TYPES and name not in NOT_AS_PUBLISHED
}
KINDS = {
    "sequence": "sequence_classification",
    "token": "token_classification",
    "question": "question_answering",
    "base": "none",
}
Tensors = dict[str, tuple[int, ...]]


def stored(row: dict[str, Any]) -> Tensors:
    """Return name and shape of the tensors of a row, which are folded by pattern and shape."""
    tensors: Tensors = {}
    for key, indices in row["tensors"].items():
        pattern, _, shape = key.partition(" ")
        for index in indices:
            tensors[unfold(pattern, tuple(index))] = tuple(json.loads(shape))
    return tensors


def read(config: dict[str, Any], tensors: Tensors, files: tuple[str, ...] = ()) -> Reading:
    """Read a config beside headers."""
    table = TensorTable.from_tensors([(n, "BF16", shape) for n, shape in tensors.items()])
    return read_model(local_model(config, table, "m", files=files))


@pytest.mark.parametrize("name", MODELS)
def test_what_a_class_stores_is_verified_and_counted(name: str) -> None:
    row = MODELS[name]
    reading = read(row["config"], stored(row))
    assert reading.status == "verified", reading.findings
    assert not [f for f in reading.findings if f.severity != "info"]
    head = reading.architecture.head
    assert head.kind == KINDS[row["head"]]
    assert head.outputs == (None if row["head"] == "base" else row["labels"])
    assert reading.check is not None
    stored_elements = row["elements"] - reading.check.buffers
    assert count_parameters(reading.architecture).total == stored_elements
    assert reading.evidence["head.kind"].ref == "architectures"


def test_what_is_not_as_published_is_not_verified() -> None:
    for name in NOT_AS_PUBLISHED:
        row = ROWS_OF_TRANSFORMERS[name]
        try:
            assert read(row["config"], stored(row)).status == "conflict", name
        except ConfigError as error:
            assert "vision_feature_layer" in str(error) or "head_dim" in str(error)


def test_the_fixture_covers_the_kinds() -> None:
    kinds = [row["head"] for row in MODELS.values()]
    assert {kind: kinds.count(kind) > 10 for kind in KINDS} == dict.fromkeys(KINDS, True)


# --- by hand ------------------------------------------------------------------------------------

CONFIG = {
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
LM_HEAD: Tensors = {"lm_head.weight": (128, 64)}
SCORE: Tensors = {"score.weight": (1, 64)}
TWO_LAYERS: Tensors = {
    "score.0.weight": (64, 64),
    "score.0.bias": (64,),
    "score.2.weight": (1, 64),
    "score.2.bias": (1,),
}
VALUE: Tensors = {"v_head.summary.weight": (1, 64), "v_head.summary.bias": (1,)}
BODY = 128 * 64 + 64 + 2 * (64 * 64 * 2 + 64 + 2 * (32 * 64 + 32) + 3 * 64 * 96 + 2 * 64)


def body() -> Tensors:
    """Return the tensors of the decoder of CONFIG."""
    tensors: Tensors = {"model.embed_tokens.weight": (128, 64), "model.norm.weight": (64,)}
    for i in range(2):
        layer = f"model.layers.{i}"
        for name, rows in (("q", 64), ("k", 32), ("v", 32)):
            tensors[f"{layer}.self_attn.{name}_proj.weight"] = (rows, 64)
            tensors[f"{layer}.self_attn.{name}_proj.bias"] = (rows,)
        tensors[f"{layer}.self_attn.o_proj.weight"] = (64, 64)
        for name in ("gate", "up"):
            tensors[f"{layer}.mlp.{name}_proj.weight"] = (96, 64)
        tensors[f"{layer}.mlp.down_proj.weight"] = (64, 96)
        tensors[f"{layer}.input_layernorm.weight"] = (64,)
        tensors[f"{layer}.post_attention_layernorm.weight"] = (64,)
    return tensors


ROWS: list[tuple[str | None, Tensors, str, str, int]] = [
    # class, its head, status, kind, parameters of the head
    ("Qwen2ForCausalLM", LM_HEAD, "verified", "language_model", 8192),
    ("Qwen2ForCausalLM", {}, "conflict", "language_model", 8192),
    ("Qwen2ForCausalLM", SCORE, "conflict", "language_model", 8192),
    ("Qwen2ForCausalLM", LM_HEAD | SCORE, "conflict", "language_model", 8192),
    ("Qwen2ForCausalLM", LM_HEAD | VALUE, "verified", "value", 8192 + 65),
    ("Qwen2ForCausalLM", VALUE, "conflict", "language_model", 8192),
    ("Qwen2ForSequenceClassification", {"score.weight": (2, 64)}, "verified", "", 128),
    ("Qwen2ForSequenceClassification", SCORE, "conflict", "sequence_classification", 128),
    ("Qwen2ForSequenceClassification", LM_HEAD, "conflict", "sequence_classification", 128),
    ("Qwen2ForSequenceClassification", {}, "conflict", "sequence_classification", 128),
    ("Qwen2ForSequenceClassification", {"v_head.weight": (2, 64)}, "conflict", "", 128),
    ("Qwen2Model", {}, "verified", "none", 0),
    ("Qwen2Model", LM_HEAD, "conflict", "none", 0),
    ("Qwen2Model", SCORE, "conflict", "none", 0),
    ("Qwen2ForRewardModel", TWO_LAYERS, "verified", "reward", 64 * 65 + 65),
    ("Qwen2ForRewardModel", TWO_LAYERS | LM_HEAD, "verified", "reward", 64 * 65 + 65),
    ("Qwen2ForRewardModel", LM_HEAD, "conflict", "reward", 64 * 65 + 65),
    ("Qwen2ForRewardModel", SCORE, "conflict", "reward", 64 * 65 + 65),
    ("OwnForRewardModel", {"v_head.weight": (1, 64)}, "verified", "reward", 64),
    ("EurusRewardModel", {"regression_head.weight": (1, 64)}, "verified", "reward", 64),
    ("EurusRewardModel", {}, "conflict", "reward", 64),
    ("Qwen2VLRewardModelBT", {"rm_head.weight": (3, 64)} | LM_HEAD, "verified", "reward", 8384),
    ("MyOwnClass", LM_HEAD, "verified", "language_model", 8192),
    ("MyOwnClass", SCORE, "verified", "sequence_classification", 64),
    (None, SCORE, "verified", "sequence_classification", 64),
    (None, {"classifier.weight": (2, 64), "classifier.bias": (2,)}, "verified", "", 130),
    (None, {}, "conflict", "language_model", 8192),
]


@pytest.mark.parametrize(("named", "head", "status", "kind", "parameters"), ROWS)
def test_class_and_stored_head(
    named: str | None, head: Tensors, status: str, kind: str, parameters: int
) -> None:
    reading = read(CONFIG | {"architectures": named and [named]}, body() | head)
    assert reading.status == status, reading.findings
    assert kind in ("", reading.architecture.head.kind)
    counted = count_parameters(reading.architecture)
    assert (counted.head, counted.total) == (parameters, BODY + parameters)
    assert reading.evidence["head.kind"].ref


def test_another_head_than_the_class_has_is_told_as_that() -> None:
    for named, head, old, new in (
        ("Qwen2ForCausalLM", SCORE, "language_model", "sequence_classification"),
        ("Qwen2ForSequenceClassification", LM_HEAD, "sequence_classification", "language_model"),
        ("Qwen2Model", LM_HEAD, "none", "language_model"),
    ):
        findings = read(CONFIG | {"architectures": [named]}, body() | head).findings
        told = [(f.path, f.old, f.new) for f in findings if f.rule == "fact-contradicted"]
        assert told == [("head.kind", old, new)]


def test_number_of_labels() -> None:
    config = CONFIG | {"architectures": ["Qwen2ForSequenceClassification"]}
    names = {"id2label": {"0": "bad", "1": "good", "2": "better"}}
    for keys, labels, source in (
        ({}, 2, "num_labels"),
        (names, 3, "id2label"),
        ({"num_labels": 5}, 5, "num_labels"),
    ):
        reading = read(config | keys, body() | {"score.weight": (labels, 64)})
        assert reading.status == "verified" and not reading.unread_keys
        assert reading.evidence["head.outputs"].ref.startswith(source)
    both = read(config | names | {"num_labels": 5}, body() | {"score.weight": (5, 64)})
    assert [f.rule for f in both.findings if f.severity == "behaviour"] == ["config-contradiction"]


def test_another_number_of_labels_is_told_as_that() -> None:
    config = CONFIG | {"architectures": ["Qwen2ForSequenceClassification"]}
    findings = read(config, body() | {"score.weight": (7, 64)}).findings
    assert ("head.outputs", 2, 7) in [(f.path, f.old, f.new) for f in findings]


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_model_has_no_head(tied: bool) -> None:
    config = CONFIG | {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": tied}
    base = {name.removeprefix("model."): shape for name, shape in body().items()}
    reading = read(config, base, files=("config.json", "modules.json"))
    assert (reading.status, reading.architecture.head.kind) == ("verified", "none")
    assert count_parameters(reading.architecture).total == BODY
    assert "head-from-tensors" in [f.rule for f in reading.findings]


def test_a_tied_language_model_may_have_a_value_head() -> None:
    config = CONFIG | {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True}
    reading = read(config, body() | VALUE)
    assert (reading.status, reading.architecture.head.kind) == ("verified", "value")
    assert count_parameters(reading.architecture).total == BODY + 65


def test_of_a_stored_tied_head_headers_tell_the_shape_alone() -> None:
    config = CONFIG | {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True}
    reading = read(config, body() | LM_HEAD)
    assert (reading.status, count_parameters(reading.architecture).total) == ("verified", BODY)
    told = [f.message for f in reading.findings if f.rule == "tied-copy-stored"]
    assert len(told) == 1 and "do not tell whether it is a copy" in told[0]
    assert "transformers 5" in told[0] and "vLLM" in told[0]
