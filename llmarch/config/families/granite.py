"""Granite 3 (`granite`, `granitemoe`) and 4 (`granitemoehybrid`): Llama's blocks, multiplied.

Embeddings, attention scores and each block's output are multiplied, logits divided. Granite 4 H
has Mamba-2 on most layers and attention without positions on the others, each with experts and a
shared MLP, or with the shared MLP alone.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

LAYER_TYPES = {
    "mamba": "linear",
    "linear_attention": "linear",
    "attention": "full",
    "full_attention": "full",
}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    if c.model_type == "granitemoehybrid":
        return hybrid(c)
    mixers = {"full": attention(c)}
    layers = blocks.every_layer(c, "full")
    if c.model_type == "granitemoe":
        return multiplied(c, mixers, layers, moe=moe(c))
    return multiplied(c, mixers, layers, dense=blocks.dense(c, bias=c.flag("mlp_bias")))


def hybrid(c: ConfigKeys) -> Draft:
    """Read Granite 4."""
    c.expect("normalization_function", "rmsnorm")
    c.ignore("init_method")
    layers = blocks.listed_layers(c, LAYER_TYPES, "layer_types", "layers_block_type")
    if layers.value is None:
        reason = "no layer_types: every layer is Mamba-2"
        layers = derived(["linear"] * c.layer_count().value, reason)
    readers = {"full": attention_without_positions, "linear": mamba2}
    mixers = blocks.read_used_blocks(c, readers, layers.value)
    shared_width = "shared_intermediate_size"
    if c.size("num_local_experts", least=0).value:
        shared: dict[str, Any] = {"shared_experts": 1, "shared_width": c.size(shared_width)}
        return multiplied(c, mixers, layers, moe=moe(c, **shared))
    c.ignore("intermediate_size", "num_experts_per_tok")
    return multiplied(c, mixers, layers, dense=blocks.dense(c, shared_width))


def attention(c: ConfigKeys) -> Draft:
    """Read GQA, with a factor on scores of its own."""
    factor = c.number("attention_multiplier")
    return blocks.attention(c, scale=factor, **blocks.attention_biases(c))


def attention_without_positions(c: ConfigKeys) -> Draft:
    """Read Granite 4's attention, which has RoPE only if position_embedding_type says so."""
    positions = c.word("position_embedding_type", default=None)
    full = attention(c)
    return full if positions.value == "rope" else full.replace(rope=same_evidence(None, positions))


def mamba2(c: ConfigKeys) -> Draft:
    """Read Mamba-2, whose output is multiplied by silu(gate), then normed in groups.

    Raises ConfigError if the heads do not add up to mamba_expand * hidden_size.
    """
    inner = c.size("mamba_expand").value * c.size("hidden_size").value
    heads = c.size("mamba_n_heads")
    if c.value("mamba_d_head").value == "auto":
        formula = "mamba_expand * hidden_size / mamba_n_heads"
        dim = derived(inner // heads.value, formula)
    else:
        dim = c.size("mamba_d_head")
    width = dim.value * heads.value
    if width != inner:
        raise ConfigError(
            f"{c.file}: {c.key('mamba_n_heads')} * mamba_d_head is {width:,}, but"
            f" mamba_expand * hidden_size is {inner:,}"
        )
    c.ignore("mamba_chunk_size", "time_step_limit")
    return draft(
        s.LinearAttention,
        variant="mamba2",
        value_heads=heads,
        value_head_dim=dim,
        key_heads=c.size("mamba_n_groups"),
        key_head_dim=c.size("mamba_d_state"),
        conv_kernel=c.size("mamba_d_conv"),
        conv_bias=c.flag("mamba_conv_bias"),
        bias=c.flag("mamba_proj_bias"),
        gate="silu",
        gate_first=True,
        norm_groups=c.size("mamba_n_groups"),
    )


def moe(c: ConfigKeys, **facts: Any) -> Draft:
    """Read the MoE. `facts`: its shared MLP, if it has one."""
    router = draft(s.Router, scoring="softmax_chosen", normalized=True)
    return blocks.moe(c, router, experts=("num_local_experts",), width="intermediate_size", **facts)


def multiplied(c: ConfigKeys, mixers: dict[str, Draft], layers: Sourced, **ffn: Draft) -> Draft:
    """Read what all Granites share: the multipliers. `ffn`: the one feed-forward block, by name."""
    (name,) = ffn
    factor = c.number("residual_multiplier")
    divisor = c.number("logits_scaling")

    def step(block: str) -> Draft:
        branch = draft(s.Branch, block=block, pre_norm="rms", scale=factor)
        return draft(s.Step, branches=[branch])

    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffn,
        embedding=blocks.embedding(c, scale=c.number("embedding_multiplier")),
        head=draft(s.Head, scale=derived(1 / divisor.value, f"1 / {divisor.evidence.ref}")),
        **blocks.layer_wiring(layers, name, step),
    )


def naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, which are Llama's without experts and Mamba-2."""
    shared = tensors.fused_dense_parts("shared_mlp", "input_linear", "output_linear")
    experts = tensors.fused_moe_parts(
        "block_sparse_moe",
        "router.layer",
        shared,
        gate_up="input_linear.weight",
        down="output_linear.weight",
        outputs_first=True,
    )
    blocks: dict[Any, Any] = {s.MoE: experts, s.LinearAttention: tensors.mamba2_parts("mamba")}
    if a.model_type == "granitemoehybrid":
        blocks["ffns.dense"] = shared
    return tensors.Naming(blocks=blocks)


MULTIPLIED: dict[str, Any] = {
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
SPARSE = {"num_local_experts": 8, "num_experts_per_tok": 2}

GRANITE_MOE_CONVERSION = tensors.Conversion(
    renames=(
        tensors.Rename(r"(moe)\.input_linear\.weight(?!\w)", r"\1.experts.gate_up_proj"),
        tensors.Rename(r"(moe)\.output_linear\.weight(?!\w)", r"\1.experts.down_proj"),
        tensors.Rename(r"(moe)\.router\.layer\.weight(?!\w)", r"\1.router.weight"),
    )
)
"""`granitemoe`: how transformers 5 renames stacked experts and the router."""


FAMILY = Family(
    name="granite",
    title="Granite",
    ref=modeling("granite"),
    refs={"granitemoe": modeling("granitemoe"), "granitemoehybrid": modeling("granitemoehybrid")},
    read=read,
    naming=naming,
    conversions=dict.fromkeys(("granitemoe", "granitemoehybrid"), GRANITE_MOE_CONVERSION),
    defaults={
        "granite": MULTIPLIED | {"mlp_bias": False},
        "granitemoe": MULTIPLIED | SPARSE,
        "granitemoehybrid": MULTIPLIED
        | SPARSE
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
    config_class={
        "granite": "GraniteConfig",
        "granitemoe": "GraniteMoeConfig",
        "granitemoehybrid": "GraniteMoeHybridConfig",
    },
)
