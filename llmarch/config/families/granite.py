"""Granite 3 dense (`granite`), MoE (`granitemoe`) and Granite 4 (`granitemoehybrid`): Llama's blocks with four multipliers.

Embeddings, attention scores and each block's output are multiplied, logits divided. Granite 4 H has Mamba-2 on most layers and attention
without positions on the others, each with experts and a shared MLP, or with the shared MLP alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, same_evidence


def read(c: ConfigKeys) -> Draft:
    if c.model_type == "granitemoehybrid":
        return hybrid(c)
    layers = c.layer_count()
    ffn = (
        {"moe": moe(c)}
        if c.model_type == "granitemoe"
        else {"dense": blocks.dense(c, bias=c.flag("mlp_bias"))}
    )
    return multiplied(c, {"full": softmax(c)}, ffn, ["full"] * layers.value, layers)


def hybrid(c: ConfigKeys) -> Draft:
    c.expect("normalization_function", "rmsnorm")
    c.ignore("init_method")
    types = c.items(
        "layer_types", "layers_block_type", length=c.layer_count().value, of=str, default=None
    )
    names = {
        "mamba": "linear",
        "linear_attention": "linear",
        "attention": "full",
        "full_attention": "full",
    }
    if types.value is None:
        types = derived(["mamba"] * c.layer_count().value, "no layer_types: every layer is Mamba-2")
    odd = next((t for t in types.value if t not in names), None)
    if odd is not None:
        raise ConfigError(
            f"{c.file}: {c.key('layer_types')} holds {odd!r}; {c.family} knows {', '.join(names)}"
        )
    of = [names[t] for t in types.value]
    place = c.word("position_embedding_type", default=None)
    full = (
        softmax(c) if place.value == "rope" else softmax(c).replace(rope=same_evidence(None, place))
    )
    mixers = blocks.read_used_blocks(c, {"full": lambda _: full, "linear": mamba2}, of)
    if c.size("num_local_experts", least=0).value:
        ffns = {
            "moe": moe(c).replace(shared_experts=1, shared_width=c.size("shared_intermediate_size"))
        }
    else:
        c.ignore("intermediate_size", "num_experts_per_tok")
        ffns = {"dense": blocks.dense(c, "shared_intermediate_size")}
    return multiplied(c, mixers, ffns, of, types)


def softmax(c: ConfigKeys) -> Draft:
    bias = c.flag("attention_bias")
    return blocks.attention(
        c, qkv_bias=bias, output_bias=bias, scale=c.number("attention_multiplier")
    )


def mamba2(c: ConfigKeys) -> Draft:
    """The output is times silu(gate), then normed in groups."""
    inner = derived(
        c.size("mamba_expand").value * c.size("hidden_size").value, "mamba_expand * hidden_size"
    )
    heads = c.size("mamba_n_heads")
    dim = c.value("mamba_d_head")
    dim = (
        derived(inner.value // heads.value, "mamba_expand * hidden_size / mamba_n_heads")
        if dim.value == "auto"
        else c.size("mamba_d_head")
    )
    if dim.value * heads.value != inner.value:
        said = f"{c.key('mamba_n_heads')} * mamba_d_head is {dim.value * heads.value:,}"
        raise ConfigError(f"{c.file}: {said}, and mamba_expand * hidden_size {inner.value:,}")
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


def moe(c: ConfigKeys) -> Draft:
    return draft(
        s.MoE,
        experts=c.size("num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("intermediate_size"),
        activation=blocks.activation(c),
        router=draft(s.Router, scoring="softmax_chosen", normalized=True),
    )


def multiplied(
    c: ConfigKeys, mixers: dict[str, Draft], ffns: dict[str, Draft], of: list[str], how: Sourced
) -> Draft:
    (ffn,) = ffns
    divided = c.number("logits_scaling")
    parts: dict[str, Any] = blocks.layer_wiring([(m, ffn) for m in of], how, step_of(c))
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffns,
        embedding=draft(
            s.Embedding, tied=c.flag("tie_word_embeddings"), scale=c.number("embedding_multiplier")
        ),
        head=draft(s.Head, scale=derived(1 / divided.value, f"1 / {divided.evidence.ref}")),
        **parts,
    )


def step_of(c: ConfigKeys) -> Callable[[str], Draft]:
    scale = c.number("residual_multiplier")
    return lambda block: draft(
        s.Step, branches=[draft(s.Branch, block=block, pre_norm="rms", scale=scale)]
    )


def naming(a: s.Architecture) -> tensors.Naming:
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
    return tensors.Naming(
        blocks=blocks | ({"ffns.dense": shared} if a.model_type == "granitemoehybrid" else {})
    )


MULTIPLIED: dict[str, Any] = {
    "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": False,
    "attention_bias": False, "embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0,
}  # fmt: skip
SPARSE = {"num_local_experts": 8, "num_experts_per_tok": 2}

FAMILY = Family(
    name="granite",
    title="Granite",
    ref=modeling("granite"),
    refs={"granitemoe": modeling("granitemoe"), "granitemoehybrid": modeling("granitemoehybrid")},
    read=read,
    naming=naming,
    defaults={
        "granite": MULTIPLIED | {"mlp_bias": False},
        "granitemoe": MULTIPLIED | SPARSE,
        "granitemoehybrid": MULTIPLIED
        | SPARSE
        | {
            "shared_intermediate_size": 1024, "mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_head": "auto",
            "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": True, "mamba_proj_bias": False,
        },
    },
    config_class={"granite": "GraniteConfig", "granitemoe": "GraniteMoeConfig", "granitemoehybrid": "GraniteMoeHybridConfig"},
)  # fmt: skip
