"""Nemotron-H, Nemotron 3 Nano, Super and Ultra: one block a layer (Mamba-2, attention, MLP or MoE), so layers count sub-layers.

Attention has no positions (the class defines a rotary helper and never calls it); MLPs and experts are squared ReLU without a gate; Super's
and Ultra's routed experts work in a latent narrower than the stream. MTP is an attention layer and a MoE layer under mtp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, draft, modeling, same_evidence
from .deepseek import v3_router

BLOCKS = {"M": "mixers.linear", "*": "mixers.full", "E": "ffns.moe", "-": "ffns.dense"}
WORDS = {
    "mamba": "M",
    "linear_attention": "M",
    "attention": "*",
    "full_attention": "*",
    "moe": "E",
    "mlp": "-",
}


def read(c: ConfigKeys) -> Draft:
    layers = layer_letters(c, "layers_block_type", "hybrid_override_pattern")
    drafts = layer_letters(c, "mtp_layers_block_type", "mtp_hybrid_override_pattern")
    modules = c.size("num_nextn_predict_layers", least=0)
    stated_count(c, len(layers.value))
    of: list[str] = [*layers.value, *(drafts.value if modules.value else [])]
    kinds = {
        name_of(b): draft(s.LayerKind, steps=[blocks.pre_norm_step(BLOCKS[b])])
        for b in dict.fromkeys(layers.value)
    }
    if modules.value:
        kinds["mtp"] = draft(
            s.LayerKind, steps=[blocks.pre_norm_step(BLOCKS[b]) for b in drafts.value]
        )
    mtp = (
        draft(s.MTP, modules=modules, layer_kind=same_evidence("mtp", drafts), norms=3)
        if modules.value
        else None
    )
    named = [name_of(b) for b in of]
    # keys of a rotary helper that nothing calls; numerics, initialisation and kernels
    c.ignore(
        "rope_theta",
        "partial_rotary_factor",
        "residual_in_fp32",
        "rescale_prenorm_residual",
        "num_logits_to_keep",
        "use_mamba_kernels",
    )
    c.ignore("moe_shared_expert_overlap", "intermediate_size", "mlp_hidden_act", "sliding_window")
    for key in (
        "norm_eps",
        "rms_norm_eps",
    ):  # Nemotron-H's own configs say it so; the class reads neither
        c.expect(key, c.number("layer_norm_epsilon").value)
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": nope, "linear": mamba2}, named),
        ffns=blocks.read_used_blocks(c, {"dense": mlp, "moe": moe}, named),
        norms={"rms": blocks.rms_norm(c, "layer_norm_epsilon")},
        mtp=mtp,
        layer_kinds=kinds,
        layers=same_evidence([name_of(b) for b in layers.value], layers),
    )


def name_of(block: str) -> str:
    return BLOCKS[block].partition(".")[2]


def layer_letters(c: ConfigKeys, words: str, letters: str) -> Sourced:
    """A letter for each layer, from the list of words or the pattern of letters."""
    listed, pattern = c.items(words, default=None, of=str), c.word(letters, default=None)
    if listed.value is not None:
        bad = next((w for w in listed.value if w not in WORDS), None)
        if bad is not None:
            raise ConfigError(
                f"{c.file}: {c.key(words)} holds {bad!r}; {c.family} knows {', '.join(WORDS)}"
            )
        return same_evidence([WORDS[w] for w in listed.value], listed)
    if pattern.value is None:
        return (
            c.value(words, default=same_evidence(["*", "E"], pattern))
            if words.startswith("mtp")
            else c.value(words)
        )
    bad = next((b for b in pattern.value if b not in BLOCKS), None)
    if bad is not None:
        raise ConfigError(
            f"{c.file}: {c.key(letters)} holds {bad!r}; {c.family} knows {', '.join(BLOCKS)}"
        )
    return same_evidence(list(pattern.value), pattern)


def stated_count(c: ConfigKeys, n: int) -> None:
    """num_hidden_layers says again how long the list is; the class ignores it."""
    given = c.layer_count(default=None).value
    if given is not None and given != n:
        raise ConfigError(
            f"{c.file}: {c.key('num_hidden_layers')} is {given}, and the pattern of layers has {n}"
        )


def nope(c: ConfigKeys) -> Draft:
    """`attention_head_dim` is the first files' spelling, which the class does not know."""
    bias, dim = c.flag("attention_bias"), c.size("head_dim", "attention_head_dim")
    return blocks.attention(
        c, head_dim=dim, v_head_dim=dim, qkv_bias=bias, output_bias=bias, rope=None
    )


def mamba2(c: ConfigKeys) -> Draft:
    """The output is times silu(gate), then normed in as many groups as B and C have. The width is heads * head dim, whatever `expand`."""
    c.ignore(
        "expand",
        "chunk_size",
        "time_step_min",
        "time_step_max",
        "time_step_floor",
        "time_step_limit",
        "time_step_rank",
        "mamba_proj_bias",
    )
    return draft(
        s.LinearAttention,
        variant="mamba2",
        value_heads=c.size("mamba_num_heads"),
        value_head_dim=c.size("mamba_head_dim"),
        key_heads=c.size("n_groups", "mamba_n_groups"),
        key_head_dim=c.size("ssm_state_size", "mamba_state_dim"),
        conv_kernel=c.size("conv_kernel", "mamba_d_conv"),
        conv_bias=c.flag("use_conv_bias", "mamba_conv_bias"),
        bias=c.flag("use_bias"),
        gate=c.word("mamba_hidden_act"),
        gate_first=True,
        norm_groups=c.size("n_groups", "mamba_n_groups"),
        state_dtype=c.word("mamba_ssm_cache_dtype"),
    )


def mlp(c: ConfigKeys) -> Draft:
    return draft(
        s.Dense,
        width=c.size("intermediate_size"),
        activation=blocks.activation(c, "mlp_hidden_act"),
        gated=False,
        bias=c.flag("mlp_bias"),
    )


def moe(c: ConfigKeys) -> Draft:
    c.expect("mlp_bias", False)
    return draft(
        s.MoE,
        experts=c.size("n_routed_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("moe_intermediate_size"),
        activation=blocks.activation(c, "mlp_hidden_act"),
        gated=False,
        shared_experts=c.size("n_shared_experts", least=0),
        shared_width=c.size("moe_shared_expert_intermediate_size"),
        latent_width=c.optional(c.size, "moe_latent_size"),
        router=v3_router(c),
    )


def mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    """One layer each for attention and MoE; the first has the projection, the last the final norm."""
    assert a.mtp and a.mtp.layer_kind
    steps, h, at = a.layer_kinds[a.mtp.layer_kind].steps, a.hidden_size, "mtp.layers."
    for i, step in enumerate(steps):
        one = replace(a, layer_kinds={"mtp": s.LayerKind(steps=(step,))})
        yield from tensors.layer_rows(one, "mtp", (i,), f"{at}{{}}.", naming, "mtp")
    for i, name in ((0, "enorm"), (0, "hnorm"), (len(steps) - 1, "final_layernorm")):
        yield tensors.TensorRow(f"{at}{{}}.{name}.weight", (h,), ((i,),), "mtp")
    yield tensors.TensorRow(
        f"{at}{{}}.eh_proj.weight", (h, 2 * h), ((0,),), "mtp", ("mtp.modules",)
    )


FAMILY = Family(
    name="nemotron_h",
    title="Nemotron-H",
    ref=modeling("nemotron_h"),
    read=read,
    naming=tensors.Naming(
        embedding="backbone.embeddings.weight",
        layer="backbone.layers.{}.",
        final_norm="backbone.norm_f",
        norms=("norm",),
        blocks={
            s.Attention: tensors.attention_parts("mixer"),
            s.LinearAttention: tensors.mamba2_parts("mixer"),
            s.Dense: tensors.dense_parts("mixer"),
            s.MoE: tensors.moe_parts("mixer"),
        },
        mtp=mtp_rows,
    ),
    defaults={
        "nemotron_h": {
            "vocab_size": 131072, "tie_word_embeddings": False, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
            "max_position_embeddings": 4096, "attention_bias": False, "intermediate_size": 21504, "mlp_hidden_act": "relu2",
            "mlp_bias": False, "ssm_state_size": 128, "mamba_num_heads": 128, "mamba_head_dim": 64, "mamba_hidden_act": "silu",
            "n_groups": 8, "conv_kernel": 4, "use_conv_bias": True, "mamba_ssm_cache_dtype": "float32", "n_shared_experts": 1,
            "moe_shared_expert_intermediate_size": 7688, "moe_latent_size": None, "num_experts_per_tok": 2, "routed_scaling_factor": 1.0,
            "n_group": 1, "topk_group": 1, "norm_topk_prob": True, "num_nextn_predict_layers": 0, "use_bias": False,
            "layer_norm_epsilon": 1e-5,
        },
    },
    config_class={"nemotron_h": "NemotronHConfig"},
)  # fmt: skip
