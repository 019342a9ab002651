"""Differences by path: nothing against itself, mirrored, and each with a rule."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

import llmarch
from llmarch.changes import diff
from llmarch.reference import catalog
from llmarch.rules import RULES, SEVERITIES, rule_for
from llmarch.schema import Architecture

ALL = sorted(catalog())


def architecture(alias: str) -> Architecture:
    return llmarch.load(alias).architecture


@pytest.mark.parametrize("alias", ALL)
def test_nothing_differs_from_itself(alias: str) -> None:
    assert diff(architecture(alias), architecture(alias)) == []


@pytest.mark.parametrize(("old", "new"), [(a, b) for a, b in zip(ALL, ALL[7:] + ALL[:7], strict=True)])
def test_the_other_way_round_is_the_mirror(old: str, new: str) -> None:
    there, back = diff(architecture(old), architecture(new)), diff(architecture(new), architecture(old))
    assert {(c.path, repr(c.old), repr(c.new)) for c in there} == {(c.path, repr(c.new), repr(c.old)) for c in back}
    assert [SEVERITIES.index(c.severity) for c in there] == sorted(SEVERITIES.index(c.severity) for c in there)


ROWS = [
    ({"context_length": 32768}, "context-changed", "capacity"),
    ({"dtype": "float16"}, "dtype-changed", "quantization"),
    ({"vocab_size": 151_937}, "vocabulary-changed", "weights"),
    ({"hidden_size": 1}, "hidden-size-changed", "weights"),
    ({"layers": ("full",) * 35}, "layers-changed", "weights"),
    ({"mixers.full.rope.theta": 1e4}, "rope-theta-changed", "behaviour"),
    ({"mixers.full.rope": None}, "rope-changed", "behaviour"),
    ({"mixers.full.rope.interleaved": True}, "rope-pairing-changed", "behaviour"),
    ({"mixers.full.window": 4096}, "window-changed", "behaviour"),
    ({"mixers.full.kv_heads": 4}, "kv-heads-changed", "weights"),
    ({"mixers.full.head_dim": 64}, "head-dim-changed", "weights"),
    ({"mixers.full.qk_norm": None}, "qk-norm-changed", "weights"),
    ({"mixers.full.sinks": True}, "sinks-changed", "weights"),
    ({"mixers.full.scale": 0.5}, "softmax-scale-changed", "behaviour"),
    ({"mixers.full.output_bias": True}, "attention-bias-changed", "weights"),
    ({"ffns.dense.width": 1}, "mlp-width-changed", "weights"),
    ({"ffns.dense.activation": "gelu"}, "activation-changed", "behaviour"),
    ({"norms.rms.eps": 1e-5}, "norm-eps-changed", "behaviour"),
    ({"norms.rms.offset": 1}, "norm-offset-changed", "behaviour"),
    ({"embedding.tied": True}, "tied-embedding-changed", "weights"),
]


def changed(node: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    if isinstance(node, dict):
        return {**node, name: changed(node[name], rest, value) if rest else value}
    return replace(node, **{name: changed(getattr(node, name), rest, value) if rest else value})


@pytest.mark.parametrize(("change", "rule", "severity"), ROWS, ids=[r[1] for r in ROWS])
def test_a_change_has_its_rule(change: dict[str, Any], rule: str, severity: str) -> None:
    old = architecture("qwen3-8b")
    ((path, value),) = change.items()
    (found,) = diff(old, changed(old, path, value))
    assert (found.rule, found.path, found.severity) == (rule, path, severity)


def leaves(cls: Any, at: str) -> list[str]:
    out: list[str] = []
    for f in fields(cls):
        out.append(f"{at}.{f.name}" if at else f.name)
    return out


def test_every_fact_has_a_rule_and_ids_are_used_once() -> None:
    from llmarch import schema

    blocks = {"mixers.full": (schema.Attention, schema.LatentAttention, schema.LinearAttention), "ffns.x": (schema.Dense, schema.MoE)}
    more = {"norms.x": schema.Norm, "layer_kinds.x": schema.LayerKind, "towers.vision": schema.Tower, "quantization": schema.Quantization}
    paths = leaves(schema.Architecture, "") + [p for at, classes in blocks.items() for c in classes for p in leaves(c, at)]
    paths += [p for at, c in more.items() for p in leaves(c, at)] + ["other.x.count", "mtp.modules", "embedding.scale", "head.softcap"]
    containers = {"mixers", "ffns", "norms", "layer_kinds", "towers", "other", "embedding", "head"}
    for path in paths:
        if path not in containers:
            assert rule_for(path).severity in SEVERITIES, path
    assert len({r.id for r in RULES}) == len(RULES)
    assert is_dataclass(schema.Architecture)
