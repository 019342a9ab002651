"""Granite 3 (`granite`, `granitemoe`) and 4 (`granitemoehybrid`): Llama's blocks, multiplied.

The `_swa` types have sliding layers, sinks and a RoPE base for each layer.

Embeddings, attention scores and each block's output are multiplied, logits divided. Granite 4 H
has Mamba-2 on most layers and attention without positions on the others, each with experts and a
shared MLP, or with the shared MLP alone.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_LAYER_TYPES = {
    "mamba": "linear",
    "linear_attention": "linear",
    "attention": "full",
    "full_attention": "full",
}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    if c.model_type == "granitemoehybrid":
        return _hybrid(c)
    mixers = {"full": _attention(c)}
    layers = blocks.every_layer(c, "full")
    if c.model_type.endswith("_swa"):
        mixers, layers = _sliding_mixers(c)
    if c.model_type == "granitemoe":
        return _multiplied(c, mixers, layers, moe=_moe(c))
    if c.model_type.startswith("granitemoe"):
        return _multiplied(c, mixers, layers, moe=_moe(c, **_shared_mlp(c)))
    return _multiplied(c, mixers, layers, dense=blocks.dense(c, bias=c.flag("mlp_bias")))


def _sliding_mixers(c: ConfigKeys) -> tuple[dict[str, Draft], Sourced]:
    """Read the mixers of a model with sliding layers and a RoPE base for each layer.

    Return them by name, and the name of each layer's. A base of 0 stands for no RoPE.
    """
    layers = blocks.sliding_layers(c, lambda i: i % 4 != 0, "every fourth layer is full")
    depth = len(layers.value)
    usual = blocks.rope_keys(c).number("rope_theta", default=c.defaults["rope_theta"])
    bases = c.items("layer_rope_theta", default=None, length=depth, entry=(int, float))
    thetas: list[float] = [float(base) for base in bases.value or [usual.value] * depth]
    evidence = bases if bases.value else usual
    full = _attention(c).replace(sinks=True)
    variants = blocks.windowed(full, c.optional(c.size, "sliding_window"))
    mixers: dict[str, Draft] = {}
    names: dict[tuple[str, float], str] = {}
    for layer, theta in zip(layers.value, thetas, strict=True):
        if (layer, theta) in names:
            continue
        rope = variants[layer]["rope"].replace(theta=same_evidence(theta, evidence))
        same_type = sum(other == layer for other, _ in names)
        name = f"{layer}_{same_type + 1}" if same_type else layer
        names[layer, theta] = name
        mixers[name] = variants[layer].replace(rope=rope if theta else same_evidence(None, bases))
    pattern = [names[pair] for pair in zip(layers.value, thetas, strict=True)]
    return mixers, same_evidence(pattern, layers)


def _shared_mlp(c: ConfigKeys) -> dict[str, Any]:
    """Read the shared MLP beside the experts, which a width of 0 leaves out."""
    width = c.size("shared_intermediate_size", least=0)
    return {"shared_experts": same_evidence(int(width.value > 0), width), "shared_width": width}


def _hybrid(c: ConfigKeys) -> Draft:
    """Read Granite 4."""
    c.expect("normalization_function", "rmsnorm")
    c.ignore("init_method")
    layers = blocks.listed_layers(c, _LAYER_TYPES, "layer_types", "layers_block_type")
    if layers.value is None:
        reason = "no layer_types: every layer is Mamba-2"
        layers = derived(["linear"] * c.layer_count().value, reason)
    readers = {"full": _attention_without_positions, "linear": _mamba2}
    mixers = blocks.read_used_blocks(c, readers, layers.value)
    if c.size("num_local_experts", least=0).value:
        return _multiplied(c, mixers, layers, moe=_moe(c, **_shared_mlp(c)))
    c.ignore("intermediate_size", "num_experts_per_tok")
    return _multiplied(c, mixers, layers, dense=blocks.dense(c, "shared_intermediate_size"))


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA, with a factor on scores of its own."""
    factor = c.number("attention_multiplier")
    return blocks.attention(c, scale=factor, **blocks.attention_biases(c))


def _attention_without_positions(c: ConfigKeys) -> Draft:
    """Read Granite 4's attention, which has RoPE only if position_embedding_type says so."""
    positions = c.word("position_embedding_type", default=None)
    if positions.value == "rope":
        return _attention(c)
    if not c.has("rope_theta"):  # null is checked by nobody, unlike the scaling
        c.ignore("rope_theta")
        c = c.with_data({key: value for key, value in c.data.items() if key != "rope_theta"})
    return _attention(c).replace(rope=same_evidence(None, positions))


def _mamba2(c: ConfigKeys) -> Draft:
    """Read Mamba-2."""
    return blocks.mamba2(c, blocks.expanded_width(c))


def _moe(c: ConfigKeys, **facts: Any) -> Draft:
    """Read the MoE. `facts`: its shared MLP, if it has one."""
    router = draft(s.Router, scoring="softmax_chosen", normalized=True)
    return blocks.moe(c, router, experts=("num_local_experts",), width="intermediate_size", **facts)


def _multiplied(c: ConfigKeys, mixers: dict[str, Draft], layers: Sourced, **ffn: Draft) -> Draft:
    """Read what all Granites share: the multipliers. `ffn`: the one feed-forward block, by name."""
    (name,) = ffn
    factor = c.number("residual_multiplier")
    divisor = c.positive("logits_scaling")
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffn,
        embedding=blocks.embedding(c, scale=c.number("embedding_multiplier")),
        head=draft(s.Head, scale=derived(1 / divisor.value, f"1 / {divisor.evidence.ref}")),
        **blocks.layer_wiring(layers, name, blocks.multiplied_step(factor)),
    )


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, which are Llama's without experts and Mamba-2."""
    shared = tensors.fused_dense_parts("shared_mlp", "input_linear", "output_linear")
    router, gate_up, down = "router.layer", "input_linear.weight", "output_linear.weight"
    if a.model_type == "granitemoe_swa":
        router, gate_up, down = "router", "experts.gate_up_proj", "experts.down_proj"
    experts = tensors.fused_moe_parts(
        "block_sparse_moe",
        router,
        shared=shared,
        gate_up=gate_up,
        down=down,
        outputs_first=True,
    )
    blocks: dict[Any, Any] = {s.MoE: experts, s.LinearAttention: tensors.mamba2_parts("mamba")}
    if a.model_type == "granitemoehybrid":
        blocks["ffns.dense"] = shared
    return tensors.Naming(blocks=blocks)


_MULTIPLIED: dict[str, Any] = {
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "embedding_multiplier": 1.0,
    "logits_scaling": 1.0,
    "residual_multiplier": 1.0,
    "attention_multiplier": 1.0,
}
_SPARSE = {"num_local_experts": 8, "num_experts_per_tok": 2}

_GRANITE_MOE_CONVERSION = tensors.Conversion(
    renames=(
        tensors.Rename(r"(moe)\.input_linear\.weight(?!\w)", r"\1.experts.gate_up_proj"),
        tensors.Rename(r"(moe)\.output_linear\.weight(?!\w)", r"\1.experts.down_proj"),
        tensors.Rename(r"(moe)\.router\.layer\.weight(?!\w)", r"\1.router.weight"),
    )
)
"""`granitemoe`: how transformers 5 renames stacked experts and the router."""


_KINDS = {
    "granite_swa": "GraniteSWAConfig",
    "granitemoe": "GraniteMoeConfig",
    "granitemoe_swa": "GraniteMoeSWAConfig",
    "granitemoehybrid": "GraniteMoeHybridConfig",
    "granitemoeshared": "GraniteMoeSharedConfig",
}
"""The configuration class of each model type but the first."""

FAMILY = Family(
    name="granite",
    title="Granite",
    ref=modeling("granite"),
    refs={name: modeling(name) for name in _KINDS},
    read=read,
    naming=_naming,
    conversions=dict.fromkeys(
        ("granitemoe", "granitemoehybrid", "granitemoeshared"), _GRANITE_MOE_CONVERSION
    ),
    defaults={
        "granite": _MULTIPLIED | {"mlp_bias": False},
        "granitemoe": _MULTIPLIED | _SPARSE,
        "granitemoeshared": _MULTIPLIED | _SPARSE | {"shared_intermediate_size": 0},
        "granitemoe_swa": _MULTIPLIED
        | _SPARSE
        | {"shared_intermediate_size": 0, "sliding_window": 128},
        "granite_swa": _MULTIPLIED
        | {
            "max_position_embeddings": 8192,
            "mlp_bias": False,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-5,
            "sliding_window": 128,
            "tie_word_embeddings": True,
        },
        "granitemoehybrid": _MULTIPLIED
        | _SPARSE
        | {
            "shared_intermediate_size": 1024,
            "mamba_n_heads": 128,
            "mamba_n_groups": 1,
            "mamba_d_state": 256,
            "mamba_d_head": "auto",
            "mamba_d_conv": 4,
            "mamba_expand": 2,
            "mamba_conv_bias": True,
            "mamba_proj_bias": False,
        },
    },
    config_class={"granite": "GraniteConfig", **_KINDS},
)
