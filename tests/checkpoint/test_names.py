"""Names: one canonical name for every accepted one, and whole checkpoints with other names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from helpers.checkpoint_fixtures import (
    Change,
    Tensors,
    both,
    check,
    drop,
    load,
    names_only,
    rename,
    table_of,
    tensors_of,
)

from llmarch.checkpoint.names import CANONICAL_RULES, canonical, wrapper_prefix

SAME = [
    (
        "model.layers.{}.mlp.gate_proj.weight",
        "layers.{}.mlp.gate_proj.weight",
        "transformer.layers.{}.mlp.gate_proj.weight",
    ),
    (
        "language_model.model.norm.weight",
        "model.language_model.norm.weight",
        "model.norm.weight",
        "model.language_model.model.norm.weight",
    ),
    ("lm_head.weight", "language_model.lm_head.weight", "model.lm_head.weight"),
    (
        "vision_tower.vision_model.post_layernorm.weight",
        "model.vision_tower.vision_model.post_layernorm.weight",
        "vision_tower.post_layernorm.weight",
    ),
    ("multi_modal_projector.linear_1.weight", "model.multi_modal_projector.linear_1.weight"),
    ("h.{}.attn.c_attn.weight", "transformer.h.{}.attn.c_attn.weight"),
    ("model.layers.{}.block_sparse_moe.gate.weight", "model.layers.{}.mlp.gate.weight"),
    (
        "model.layers.{}.block_sparse_moe.experts.{}.w1.weight",
        "model.layers.{}.mlp.experts.{}.gate_proj.weight",
        "language_model.model.layers.{}.mlp.experts.{}.w1.weight",
    ),
    ("model.layers.{}.mlp.experts.{}.w2.weight", "model.layers.{}.mlp.experts.{}.down_proj.weight"),
    ("model.layers.{}.mlp.experts.gate_up_proj", "model.layers.{}.mlp.experts.gate_up_proj.weight"),
    ("model.layers.{}.mlp.switch_mlp.down_proj.weight", "model.layers.{}.mlp.experts.down_proj"),
    (
        "model.layers.{}.self_attn.W_pack.weight",
        "model.layers.{}.self_attn.qkv_proj.weight",
        "model.layers.{}.self_attn.query_key_value.weight",
    ),
    (
        "model.layers.{}.mlp.gate.e_score_correction_bias",
        "model.layers.{}.block_sparse_moe.e_score_correction_bias",
    ),
]
OTHER = [
    ("vision_tower.transformer.layers.{}.attention_norm.weight", "layers.{}.attention_norm.weight"),
    ("model.layers.{}.mlp.experts.{}.w1.weight", "model.layers.{}.mlp.experts.{}.up_proj.weight"),
    (
        "model.layers.{}.mlp.shared_expert.gate_proj.weight",
        "model.layers.{}.mlp.experts.gate_proj.weight",
    ),
    ("mtp.layers.{}.input_layernorm.weight", "model.layers.{}.input_layernorm.weight"),
]


@pytest.mark.parametrize("names", SAME)
def test_names_of_one_tensor_have_one_canonical_name(names: tuple[str, ...]) -> None:
    assert len({canonical(n) for n in names}) == 1


def test_every_accepted_name_has_its_users() -> None:
    assert all(rule.used_by for rule in CANONICAL_RULES)


@pytest.mark.parametrize("names", OTHER)
def test_other_tensors_keep_other_names(names: tuple[str, ...]) -> None:
    assert len({canonical(n) for n in names}) == len(names)


# --- whole checkpoints ---

MOE, FUSED_MOE = "qwen3-30b-a3b-reduced", "qwen3-30b-a3b-reduced-fused"


def fuse(parts: tuple[str, ...], to: str) -> Change:
    """Concatenate matrices of the same module along their outputs."""

    def change(t: Tensors) -> Tensors:
        out: Tensors = {}
        for n, (d, s) in t.items():
            m = re.fullmatch(rf"(.*\.)({'|'.join(parts)})\.(weight|bias)", n)
            if m is None or s is None:
                out[n] = (d, s)
            elif m[2] == parts[0]:
                width = sum((t[f"{m[1]}{p}.{m[3]}"][1] or (0,))[0] for p in parts)
                out[f"{m[1]}{to}.{m[3]}"] = (d, (width, *s[1:]))
        return out

    return change


def stack(
    fixed: Callable[[str, str], str] = lambda at, name: f"{at}switch_mlp.{name}.weight",
) -> Change:
    """Stack experts one matrix at a time, as MLX does."""

    def change(t: Tensors) -> Tensors:
        out: Tensors = {}
        counts: dict[str, int] = {}
        for n, (d, s) in t.items():
            m = re.fullmatch(r"(.*\.)experts\.\d+\.(\w+)\.weight", n)
            name = fixed(m[1], m[2]) if m else n
            counts[name] = counts.get(name, 0) + 1
            out[name] = (d, (counts[name], *s) if m and s is not None else s)
        return out

    return change


def mlx_fc(at: str, name: str) -> str:
    """mlx-lm's switch_layers.SwitchMLP: two matrices, fc1 and fc2."""
    return f"{at}switch_mlp.{ {'up_proj': 'fc1', 'down_proj': 'fc2'}[name] }.weight"


def unstack(t: Tensors) -> Tensors:
    """Unstack gate_up_proj [E, in, 2I] and down_proj [E, I, out], as copies of Llama 4 do."""
    out: Tensors = {}
    for n, (d, s) in t.items():
        m = re.fullmatch(r"(.*\.experts\.)(gate_up_proj|down_proj)", n)
        if m is None or s is None:
            out[n] = (d, s)
            continue
        for e in range(s[0]):
            if m[2] == "down_proj":
                out[f"{m[1]}{e}.down_proj.weight"] = (d, (s[2], s[1]))
            else:
                out |= {
                    f"{m[1]}{e}.{p}.weight": (d, (s[2] // 2, s[1]))
                    for p in ("gate_proj", "up_proj")
                }
    return out


def absorb(t: Tensors) -> Tensors:
    """Absorb MLA as MLX does.

    kv_b_proj [H * (nope + v), rank] becomes embed_q [H, rank, nope] and unembed_out [H, v, rank].
    """
    out: Tensors = {}
    for n, (d, s) in t.items():
        if n.endswith("kv_b_proj.weight") and s is not None:
            heads, rank = s[0] // 256, s[1]
            out |= {
                n.replace("kv_b_proj", "embed_q"): (d, (heads, rank, 128)),
                n.replace("kv_b_proj", "unembed_out"): (d, (heads, 128, rank)),
            }
        else:
            out[n] = (d, s)
    return out


def split_gpt_oss(t: Tensors) -> Tensors:
    """mlx-lm's gpt-oss: gate and up apart, [E, I, in], biases under the module."""
    out: Tensors = {}
    for n, (d, s) in t.items():
        if s is not None and n.endswith("experts.gate_up_proj"):
            out |= {
                n.replace("gate_up_proj", f"{p}.weight"): (d, (s[0], s[2] // 2, s[1]))
                for p in ("gate_proj", "up_proj")
            }
        elif s is not None and n.endswith("experts.gate_up_proj_bias"):
            out |= {
                n.replace("gate_up_proj_bias", f"{p}.bias"): (d, (s[0], s[1] // 2))
                for p in ("gate_proj", "up_proj")
            }
        elif s is not None and n.endswith("experts.down_proj"):
            out[n + ".weight"] = (d, (s[0], s[2], s[1]))
        else:
            out[n.replace("experts.down_proj_bias", "experts.down_proj.bias")] = (d, s)
    return out


def channels_last(t: Tensors) -> Tensors:
    return {
        n: (d, (s[0], *s[2:], s[1]) if s is not None and len(s) > 2 else s)
        for n, (d, s) in t.items()
    }


def mlx_4bit(t: Tensors) -> Tensors:
    """Quantise every matrix as mlx does, groups of 64."""
    out: Tensors = {}
    for n, (d, s) in t.items():
        if s is None or len(s) < 2 or not n.endswith(".weight") or "norm" in n or s[-1] % 64:
            out[n] = (d, s)
            continue
        stem = n.removesuffix(".weight")
        out |= {
            n: ("U32", (*s[:-1], s[-1] // 8)),
            stem + ".scales": (d, (*s[:-1], s[-1] // 64)),
            stem + ".biases": (d, (*s[:-1], s[-1] // 64)),
        }
    return out


MLX = {"group_size": 64, "bits": 4}

RESAVED: list[tuple[str, str, Change, str]] = [
    ("without prefix", MOE, rename(r"^model\.", ""), "names begin with layers instead of model."),
    ("one prefix more", MOE, rename("^", "model."), ""),
    ("gpt2 with prefix", "gpt2-124m", rename("^", "transformer."), ""),
    (
        "mixtral by transformers 5",
        "mixtral-8x7b",
        rename("block_sparse_moe", "mlp"),
        "mlp instead of block_sparse_moe",
    ),
    ("stacked by MLX", MOE, stack(), "experts stacked as MLX does"),
    (
        "stacked without gates",
        "nemotron-3-nano-30b-reduced",
        stack(lambda at, name: f"{at}experts.{name}"),
        "experts fused",
    ),
    (
        "stacked without gates by MLX",
        "nemotron-3-nano-30b-reduced",
        stack(mlx_fc),
        "experts stacked as MLX does",
    ),
    ("gpt-oss by MLX", "gpt-oss-20b", split_gpt_oss, ""),
    ("absorbed MLA", "deepseek-v3-reduced", absorb, "kv_b_proj absorbed per head"),
    (
        "convolutions with channels last, as MLX has them",
        "qwen3-next-reduced-mtp",
        both(channels_last, stack()),
        "convolutions stored with channels last",
    ),
    (
        "all of MLX at once",
        "deepseek-v3-reduced",
        both(absorb, stack(), mlx_4bit),
        "kv_b_proj absorbed per head",
    ),
]

EXPERTS = "model.layers.{0-2}.mlp.experts"
NOT_LOADED: list[tuple[str, str, Change, set[str]]] = [
    ("in a wrapper", MOE, rename("^", "language_model."), {"language_model.*"}),
    (
        "in transformers 5's wrapper",
        MOE,
        rename(r"^model\.", "model.language_model."),
        {"model.language_model.*"},
    ),
    ("under another class's prefix", "qwen3-8b", rename("^", "transformer."), {"transformer.*"}),
    (
        "with the prefix three times",
        "qwen3-8b",
        rename("^model", "model.model.model"),
        {"model.model.model.*"},
    ),
    (
        "qkv fused",
        MOE,
        fuse(("q_proj", "k_proj", "v_proj"), "qkv_proj"),
        {"model.layers.{0-2}.self_attn.qkv_proj.weight"},
    ),
    (
        "qkv and biases fused",
        "qwen2.5-7b",
        fuse(("q_proj", "k_proj", "v_proj"), "W_pack"),
        {f"model.layers.{{0-27}}.self_attn.W_pack.{kind}" for kind in ("weight", "bias")},
    ),
    (
        "gate and up fused",
        "qwen3-8b",
        fuse(("gate_proj", "up_proj"), "gate_up_proj"),
        {"model.layers.{0-35}.mlp.gate_up_proj.weight"},
    ),
    (
        "gate and up fused in each expert",
        MOE,
        fuse(("gate_proj", "up_proj"), "gate_up_proj"),
        {f"{EXPERTS}.{{0-15}}.gate_up_proj.weight"},
    ),
    (
        "stacked as parameters of a module",
        FUSED_MOE,
        rename("(gate_up_proj|down_proj)$", r"\1.weight"),
        {f"{EXPERTS}.{part}_proj.weight" for part in ("gate_up", "down")},
    ),
    (
        "experts one by one",
        "llama-4-maverick-reduced",
        unstack,
        {f"language_model.model.layers.{i}.feed_forward.experts.{{0-7}}.*" for i in (1, 3)},
    ),
    (
        "one module of another class's name",
        MOE,
        rename(r"\.mlp\.", ".block_sparse_moe."),
        {
            "model.layers.{0-2}.block_sparse_moe.gate.weight",
            "model.layers.{0-2}.block_sparse_moe.experts.{0-15}.*",
        },
    ),
]


@pytest.mark.parametrize(
    ("name", "change", "paths"), [r[1:] for r in NOT_LOADED], ids=[r[0] for r in NOT_LOADED]
)
def test_names_of_another_class_do_not_load(name: str, change: Change, paths: set[str]) -> None:
    fixture = load(name)
    for names in (lambda t: t, names_only):
        c = check(name, both(change, names))
        findings = [f for f in c.findings if f.severity != "info"]
        assert c.status == "conflict"
        assert {(f.rule, f.path) for f in findings} == {("names-not-loaded", p) for p in paths}
        assert all("transformers" in f.message for f in findings)
    assert check(name, change).logical == fixture["params"] + fixture["about"]["router_bias"]


def test_packed_experts_may_be_one_by_one() -> None:
    """Quantisers and the engines that read what they write unstack what transformers stacks."""

    def packed(t: Tensors) -> Tensors:
        out: Tensors = {}
        for n, (d, s) in unstack(t).items():
            if re.search(r"experts\.\d+\.", n):
                scale = n.replace(".weight", ".weight_scale")
                out |= {n: ("F8_E4M3", s), scale: ("F32", (1,))}
            else:
                out[n] = (d, s)
        return out

    def declared(config: dict[str, Any]) -> None:
        config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "FP8"}

    c = check("llama-4-maverick-reduced", packed, declared)
    assert "names-not-loaded" not in {f.rule for f in c.findings}


@pytest.mark.parametrize(
    ("name", "change", "note"), [r[1:] for r in RESAVED], ids=[r[0] for r in RESAVED]
)
def test_a_checkpoint_with_other_names_is_the_same(name: str, change: Change, note: str) -> None:
    fixture = load(name)

    def mlx(config: dict[str, Any]) -> None:
        if any(d == "U32" for d, _ in change(tensors_of(fixture)).values()):
            config["quantization"] = MLX

    c = check(name, change, mlx)
    assert [f for f in c.findings if f.severity != "info"] == []
    assert c.status == "verified"
    assert c.logical == fixture["params"] + fixture["about"]["router_bias"]
    assert c.stored == sum(g.elements for g in table_of(change(tensors_of(fixture))))
    assert not note or note in c.notes


@pytest.mark.parametrize(("name", "change"), [r[1:3] for r in RESAVED], ids=[r[0] for r in RESAVED])
def test_its_names_alone_match_too(name: str, change: Change) -> None:
    c = check(name, both(change, names_only))
    assert [f for f in c.findings if f.severity != "info" and f.rule != "tensor-dtype"] == []


def test_one_wrong_part_of_a_fused_tensor_is_found() -> None:
    def wrong(t: Tensors) -> Tensors:
        t = stack()(t)
        d, s = t["model.layers.1.mlp.switch_mlp.up_proj.weight"]
        assert s is not None
        return {**t, "model.layers.1.mlp.switch_mlp.up_proj.weight": (d, (s[0], s[1] + 1, s[2]))}

    c = check(MOE, wrong)
    assert {f.rule for f in c.findings} == {"tensor-shape"}
    assert all("layers.1." in f.path for f in c.findings)


@pytest.mark.parametrize("expert", [3, 7])
def test_a_missing_expert_is_named_as_the_checkpoint_does(expert: int) -> None:
    c = check("llama-4-maverick-reduced", both(unstack, drop(rf"experts\.{expert}\.up")))
    path = f"language_model.model.layers.{{1,3}}.feed_forward.experts.{expert}.up_proj.weight"
    assert [(f.rule, f.path) for f in c.findings if f.rule != "names-not-loaded"] == [
        ("tensor-missing", path)
    ]


def test_layers_may_have_two_layouts() -> None:
    """Experts stacked in one layer and one by one in the others load, which is said."""

    def half(t: Tensors) -> Tensors:
        some = {n: v for n, v in t.items() if ".layers.0." in n}
        return {**{n: v for n, v in t.items() if n not in some}, **stacked_by_transformers(some)}

    c = check(MOE, half)
    assert c.status == "verified"
    assert {f.rule for f in c.findings} == {"names-mixed"}


def stacked_by_transformers(t: Tensors) -> Tensors:
    out: Tensors = {}
    for n, (d, s) in t.items():
        m = re.fullmatch(r"(.*\.experts)\.(\d+)\.(\w+)_proj\.weight", n)
        if m is None or s is None:
            out[n] = (d, s)
        elif m[3] == "down":
            out[f"{m[1]}.down_proj"] = (d, (int(m[2]) + 1, *s))
        else:
            out[f"{m[1]}.gate_up_proj"] = (d, (int(m[2]) + 1, 2 * s[0], s[1]))
    return out


def test_canonical_names_stay_as_they_are() -> None:
    for names in SAME:
        for n in names:
            assert canonical(canonical(n)) == canonical(n)
    assert wrapper_prefix("model.language_model.norm.weight") == "model.language_model."


def test_a_multimodal_model_as_mlx_lm_converts_it() -> None:
    """The text model of Mistral Small 4: MLA absorbed, experts stacked, 4 bits, no tower."""

    def mlx(t: Tensors) -> Tensors:
        out: Tensors = {}
        for n, (d, s) in absorb(drop("vision_tower|multi_modal")(t)).items():
            if s is not None and n.endswith("experts.gate_up_proj"):
                out |= {
                    n.replace("experts.gate_up_proj", f"switch_mlp.{p}.weight"): (
                        d,
                        (s[0], s[1] // 2, s[2]),
                    )
                    for p in ("gate_proj", "up_proj")
                }
            else:
                out[re.sub(r"experts\.down_proj$", "switch_mlp.down_proj.weight", n)] = (d, s)
        return mlx_4bit(out)

    def declared(config: dict[str, Any]) -> None:
        config["quantization"] = MLX

    for names in (lambda t: t, names_only):
        c = check("mistral-large-3-reduced-hf", both(mlx, names), declared)
        assert [(f.rule, f.path, f.severity) for f in c.findings] == [
            ("tower-missing", "towers.vision", "info")
        ]
    whole = check("mistral-large-3-reduced-hf")
    assert (
        check("mistral-large-3-reduced-hf", mlx, declared).logical
        == whole.logical - whole.by_component["vision"]
    )
