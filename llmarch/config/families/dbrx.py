"""DBRX: LayerNorm without biases, GQA whose values are clamped, a MoE in every layer."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full", "n_layers", "num_hidden_layers")
    c.ignore("resid_pdrop", "emb_pdrop")
    return blocks.decoder(
        c,
        hidden_size=c.size("d_model", "hidden_size"),
        context_length=c.size("max_seq_len", "max_position_embeddings"),
        embedding=blocks.untied_embedding(c),
        norms={"layer": draft(s.Norm, kind="layernorm", eps=1e-5)},
        final_norm="layer",
        mixers={"full": _attention(c)},
        ffns={"moe": _moe(c)},
        **blocks.layer_wiring(layers, "moe", blocks.layer_norm_step),
    )


def _part(c: ConfigKeys, key: str) -> ConfigKeys:
    """Return the nested settings of attention or of the MoE."""
    keys = c.child(key, defaults=_PARTS[key], defaults_ref=c.defaults_ref)
    keys.ignore("attn_pdrop", "moe_jitter_eps", "moe_loss_weight", "hidden_size", "model_type")
    return keys


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA. The base of its RoPE is nested; transformers 5 asks for it at the top alone."""
    keys = _part(c, "attn_config")
    c.ignore("num_key_value_heads")
    heads = ("n_heads", "num_attention_heads")
    dim = blocks.divided_head_dim(c, ("d_model", "hidden_size"), heads)
    theta = keys.number("rope_theta", default=c.defaults["rope_theta"])
    return draft(
        s.Attention,
        heads=c.size(*heads),
        kv_heads=keys.size("kv_n_heads"),
        head_dim=dim,
        v_head_dim=dim,
        clip=keys.optional(keys.number, "clip_qkv"),
        rope=blocks.rope(c, dim, theta=theta),
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose weights are divided by their norm of an order that the config names."""
    keys = _part(c, "ffn_config")
    order = keys.optional(keys.number, "moe_normalize_expert_weights")
    if order.value is not None:
        keys.describe_only("moe_normalize_expert_weights", 1.0, "behaviour")
    router = draft(
        s.Router,
        scoring="softmax",
        normalized=same_evidence(order.value is not None, order),
    )
    activation = keys.child("ffn_act_fn", defaults={"name": "silu"}, defaults_ref=c.defaults_ref)
    return blocks.moe(
        keys,
        router,
        experts=("moe_num_experts",),
        active=("moe_top_k",),
        width="ffn_hidden_size",
        activation=blocks.activation_name(activation, "name"),
    )


def _moe_parts(moe: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the router, and three matrices in which the experts stand one below the other."""
    router = tensors.Module("ffn.router", "router")
    experts = tensors.Module("ffn.experts.mlp", "experts")
    yield from router.linear("layer", moe.experts, hidden, "experts")
    rows = moe.experts * moe.expert_width
    for name in ("w1", "v1", "w2"):
        yield experts.tensor(name, (rows, hidden), "expert_width")


_PARTS = {
    "attn_config": {"clip_qkv": None, "kv_n_heads": 1},
    "ffn_config": {
        "ffn_hidden_size": 3584,
        "moe_normalize_expert_weights": 1.0,
        "moe_num_experts": 4,
        "moe_top_k": 1,
    },
}
FAMILY = Family(
    name="dbrx",
    title="DBRX",
    ref=modeling("dbrx"),
    read=read,
    naming=tensors.Naming(
        embedding="transformer.wte.weight",
        layer="transformer.blocks.{}.",
        final_norm="transformer.norm_f",
        norms=("norm_attn_norm.norm_1", "norm_attn_norm.norm_2"),
        blocks={
            s.Attention: tensors.fused_attention_parts("norm_attn_norm.attn", "Wqkv", "out_proj"),
            s.MoE: _moe_parts,
        },
    ),
    conversions={"dbrx": tensors.Conversion(base="transformer")},
    defaults={
        "dbrx": {
            "d_model": 2048,
            "max_seq_len": 2048,
            "n_heads": 16,
            "n_layers": 24,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "vocab_size": 32000,
        },
    },
    config_class={"dbrx": "DbrxConfig"},
)
