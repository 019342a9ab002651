"""LongCat-Flash: two MLA blocks and two dense MLPs a layer, and an MoE that reads after the first attention and joins at the layer's end.

The router chooses among experts that compute and zero experts that return their input, so how much serves a token varies. The latents are
multiplied after their norms. The published files hold an MTP module, one attention and one MLP with an embedding of its own, which the
config does not announce.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..vocabulary import (
    MTP,
    PRE_NORMS,
    Architecture,
    Branch,
    Config,
    Dense,
    Fact,
    Family,
    LatentAttention,
    LayerKind,
    MoE,
    Naming,
    Node,
    Router,
    Row,
    Step,
    activation,
    decoder,
    dense,
    dense_parts,
    derived,
    latent_parts,
    layer_rows,
    like,
    make,
    modeling,
    moe_parts,
    pre,
    unknown,
)
from .deepseek import mla


def read(c: Config) -> Node:
    layers = c.layer_count("num_layers")
    c.stated("num_hidden_layers", layers.value * 2)
    c.stated("attention_method", "MLA")
    shortcut = make(Step, branches=[make(Branch, block="ffns.moe")], skip_from=1)
    # the MoE reads what the first MLP reads, the attention's output normed once for both
    first = make(Step, branches=[make(Branch, block="ffns.dense")], pre_norm="rms")
    steps = [pre("mixers.full"), first, pre("mixers.full"), pre("ffns.dense"), shortcut]
    return decoder(
        c,
        mixers={"full": latent(c)},
        ffns={"dense": dense(c, "ffn_hidden_size"), "moe": moe(c)},
        layer_kinds={"double": make(LayerKind, steps=steps), "single": make(LayerKind, steps=[pre("mixers.full"), pre("ffns.dense")])},
        layers=like(["double"] * layers.value, layers),
        mtp=unknown("the config does not tell: tensors named model.mtp.* must"),
    )


def latent(c: Config) -> Node:
    c.stated("mla_scale_q_lora", True)
    c.stated("mla_scale_kv_lora", True)
    full = mla(c)
    return full.but(q_scale=root(c, full["q_lora_rank"]), kv_scale=root(c, full["kv_lora_rank"]))


def root(c: Config, rank: Fact) -> Fact:
    hidden = c.size("hidden_size")
    return derived((hidden.value / rank.value) ** 0.5, f"sqrt({hidden.evidence.ref} / {rank.evidence.ref})")


def moe(c: Config) -> Node:
    c.stated("zero_expert_type", "identity")
    c.stated("router_dtype", "float32")
    router = make(
        Router,
        scoring="softmax",
        selection_bias=True,
        bias=c.stated("router_bias", False),
        normalized=c.stated("norm_topk_prob", False),
        scale=c.number("routed_scaling_factor"),
    )
    return make(
        MoE,
        experts=c.size("n_routed_experts", "num_local_experts"),
        active=c.size("moe_topk"),
        expert_width=c.size("expert_ffn_hidden_size"),
        activation=activation(c),
        zero_experts=c.size("zero_expert_num", least=0),
        router=router,
    )


def mtp_layouts(a: Architecture) -> Iterator[MTP]:
    yield MTP(modules=1, layer_kind="single", norms=3, own_embedding=True)


def mtp_rows(a: Architecture, naming: Naming) -> Iterator[Row]:
    assert a.mtp and a.mtp.layer_kind
    h, numbers, at = a.hidden_size, tuple(range(a.mtp.modules)), "model.mtp.layers.{}."
    own = replace(naming, norms=PRE_NORMS, blocks={LatentAttention: latent_parts(), Dense: dense_parts("transformer_layer.mlp")})
    yield from layer_rows(a, a.mtp.layer_kind, numbers, at, own, "mtp")
    for norm in ("enorm.m", "hnorm.m"):
        yield Row(f"{at}{norm}.weight", (h,), (numbers,), "mtp")
    yield Row(f"{at}eh_proj.weight", (h, 2 * h), (numbers,), "mtp", ("mtp.modules",))
    yield Row("model.mtp.norm.weight", (h,), (), "mtp")
    yield Row("model.mtp.embed_tokens.weight", (a.vocab_size, h), (), "mtp", ("mtp.own_embedding",))


FAMILY = Family(
    name="longcat_flash",
    title="LongCat-Flash",
    ref=modeling("longcat_flash"),
    read=read,
    naming=Naming(
        norms=("input_layernorm.0", "post_attention_layernorm.0", "input_layernorm.1", "post_attention_layernorm.1"),
        blocks={
            LatentAttention: latent_parts("self_attn.#"),
            Dense: dense_parts("mlps.#"),
            MoE: moe_parts(router="router.classifier", selection_bias="router.e_score_correction_bias"),
        },
        mtp=mtp_rows,
    ),
    defaults={
        "longcat_flash": {
            "rms_norm_eps": 1e-5, "rope_theta": 10000000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 131072, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
            "v_head_dim": 128, "ffn_hidden_size": 12288, "expert_ffn_hidden_size": 2048, "n_routed_experts": 512, "moe_topk": 12,
            "zero_expert_num": 256, "routed_scaling_factor": 6.0,
        },
    },
    config_class={"longcat_flash": "LongcatFlashConfig"},
    mtp_layouts=mtp_layouts,
)  # fmt: skip
