"""Read the head of a model from the class that its config names in `architectures`.

transformers builds the class that the caller asks for and writes its name into the config; vLLM and
SGLang pick class, head and task by that name. Names: transformers 5.23.0 modeling_layers.py
(Generic... classes) and models/gpt2; vLLM model_executor/models/qwen2_rm.py (Qwen's reward models).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

from ..architecture import schema as s
from ..architecture.schema import Evidence, Finding
from .evidence import Draft, Sourced, derived, draft, same_evidence
from .findings import add, shown
from .keys import ConfigKeys

HEAD = "head.kind"
"""Key in `ConfigKeys.unsettled` of a head whose kind or module the stored tensors tell."""

CLASS_KEY = "architectures"
DEFAULT_LABELS = 2
"""Outputs of a classifier whose config counts no labels (PreTrainedConfig.num_labels)."""

LANGUAGE_MODELS = (
    "ForCausalLM",
    "ForConditionalGeneration",
    "ForImageTextToText",
    "ForVision2Seq",
    "ForMultimodalLM",
    "LMHeadModel",
    "ChatGLMModel",  # whose module `output_layer` is in the base model
)
"""What the names of classes with the head of a language model end with."""

REWARD = r"(Reward|Score|Value|Critic|PRM|Prm|RM)(Model\w*)?$"
"""Classes of reward models, which are code of their repositories."""

HEAD_CLASSES: dict[str, dict[str, Any]] = {
    r"ForSequenceClassification$": {"kind": "sequence_classification"},
    r"ForTokenClassification$": {"kind": "token_classification", "bias": True},
    r"ForQuestionAnswering$": {"kind": "question_answering", "outputs": 2, "bias": True},
    r"^Qwen\d\w*ForRewardModel$": {"kind": "reward", "outputs": 1, "bias": True},
    r"^Qwen\d\w*ForProcessRewardModel$": {"kind": "reward", "outputs": 2, "bias": True},
}
"""What a class builds as its head, by a pattern of its name; without `outputs` one for each label.
"""


def add_head(c: ConfigKeys, tree: Draft, config_classes: Iterable[str]) -> Draft:
    """Return the draft of an architecture with the head that the config's class has.

    tree: what a family read, with the head of a language model.
    config_classes: names of the family's config classes.
    What only the stored tensors can tell is noted in `c.unsettled`.
    """
    named = model_class(c)
    if named is None:
        c.unsettled[HEAD] = None
        ref = f"AutoModelForCausalLM: {c.key(CLASS_KEY)} names no class"
        return _with_kind(tree, Sourced("language_model", Evidence(kind="default", ref=ref)))

    kind = Sourced("language_model", Evidence(kind="config", ref=c.key(CLASS_KEY)))
    if named.endswith(LANGUAGE_MODELS):
        return _with_kind(tree, kind)
    if _is_base_model(named, [*config_classes, c.model_type]):
        return tree.replace(head=draft(s.Head, kind=same_evidence("none", kind)))
    for pattern, built in HEAD_CLASSES.items():
        if re.search(pattern, named):
            return tree.replace(head=_read_head(c, tree, built, kind))

    c.unsettled[HEAD] = named
    if re.search(REWARD, named):
        outputs = derived(1, f"a reward, as {named} is called")
        return tree.replace(head=draft(s.Head, kind=same_evidence("reward", kind), outputs=outputs))
    message = f"{c.key(CLASS_KEY)} names {shown(named)}, whose head llmarch does not know"
    add(
        c,
        Finding(
            rule="head-unknown",
            path=c.key(CLASS_KEY),
            message=f"{message}: read as a language model, unless stored tensors say otherwise",
        ),
    )
    ref = f"{c.key(CLASS_KEY)} names {named}, whose head is not known: read as a language model's"
    return _with_kind(tree, derived("language_model", ref))


def model_class(c: ConfigKeys) -> str | None:
    """Return the first class that the config names; None where it names none."""
    if isinstance(c.data.get(CLASS_KEY), str):
        return c.word(CLASS_KEY, default=None).value
    names = c.items(CLASS_KEY, default=None, entry=str).value
    return names[0] if names else None


def has_known_head(named: str) -> bool:
    """Return whether the name of a class tells its head as transformers' names do."""
    if named.endswith(LANGUAGE_MODELS):
        return True
    return any(re.search(pattern, named) for pattern in HEAD_CLASSES)


def _with_kind(tree: Draft, kind: Sourced) -> Draft:
    return tree.replace(head=tree["head"].replace(kind=kind))


def _is_base_model(named: str, owners: Iterable[str]) -> bool:
    """Return whether a class is one of the family's without a head: `LlamaModel`.

    owners: names of config classes and model types, which have the same stem.
    """
    stem = named.removesuffix("Model")
    if stem == named:
        return False
    stems = {owner.removesuffix("Config").replace("_", "").lower() for owner in owners}
    return stem.replace("_", "").lower() in stems


def _read_head(c: ConfigKeys, tree: Draft, built: dict[str, Any], kind: Sourced) -> Draft:
    """Read the head of a classifier, a question answerer or a known reward model."""
    name = built["kind"]
    facts: dict[str, Any] = {
        "kind": same_evidence(name, kind),
        "bias": built.get("bias", False),
    }
    if "outputs" in built:
        facts["outputs"] = same_evidence(built["outputs"], kind)
    else:
        facts["outputs"] = count_labels(c)
    if name == "token_classification":
        facts["bias"] = c.flag("token_classification_bias", default=same_evidence(True, kind))
    if name == "reward":
        facts["inner_width"] = tree["hidden_size"]
    return draft(s.Head, **facts)


def count_labels(c: ConfigKeys) -> Sourced:
    """Return how many labels a classifier has, one output each.

    `num_labels` goes before the number of names in `id2label`, as in PreTrainedConfig.
    """
    c.ignore("label2id", "problem_type")
    names = c.value("id2label", default=None)
    table: Any = names.value
    named: int | None = None
    if isinstance(table, dict):
        named = len(cast("dict[str, Any]", table))
    if c.has("num_labels"):
        labels = c.size("num_labels")
        if named is not None and named != labels.value:
            _report_label_names(c, labels.value, named)
        return labels
    if named:
        return same_evidence(named, names)
    ref = "num_labels, transformers 5.23.0 PreTrainedConfig"
    return Sourced(DEFAULT_LABELS, Evidence(kind="default", ref=ref))


def _report_label_names(c: ConfigKeys, labels: int, named: int) -> None:
    path, other = c.key("num_labels"), c.key("id2label")
    message = f"{path} is {labels}, but {other} names {named}: transformers obeys the former"
    add(
        c,
        Finding(
            rule="config-contradiction",
            path=other,
            message=message,
            severity="behaviour",
            old=named,
            new=labels,
        ),
    )
