"""LFM2: gated short convolutions on most layers, GQA with QK-norm on the others, MLPs.

LFM2 MoE has experts after its first layers.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling

_LAYER_TYPES = {"conv": "linear", "full_attention": "full"}
_REPEATED = {
    "block_dim": "hidden_size",
    "conv_dim": "hidden_size",
    "conv_dim_out": "hidden_size",
    "num_heads": "num_attention_heads",
    "block_norm_eps": "norm_eps",
}
"""Keys that repeat another one."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    for key, original in _REPEATED.items():
        value = c.number(original).value
        c.expect(key, value)

    for key in ("block_use_swiglu", "use_pos_enc"):
        c.expect(key, True)
    c.ignore("block_mlp_init_scale", "block_out_init_scale", "theta")
    c.ignore("block_use_xavier_init", "conv_use_xavier_init")

    layers = _attention_layers(c)
    readers = {"full": _attention, "linear": blocks.short_conv}
    mixers = blocks.read_used_blocks(c, readers, layers.value)
    ffns, wiring = _feed_forward(c, layers)
    tied = c.flag("tie_embedding", "tie_word_embeddings")
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffns,
        norms={"rms": blocks.rms_norm(c, "norm_eps")},
        embedding=draft(s.Embedding, tied=tied),
        **wiring,
    )


def _feed_forward(c: ConfigKeys, layers: Sourced) -> tuple[dict[str, Draft], blocks.Wiring]:
    """Read the feed-forward blocks by name, and the wiring of layers with these mixers."""
    if c.model_type == "lfm2":
        mlp = draft(s.Dense, width=_mlp_width(c), activation="silu")
        return {"dense": mlp}, blocks.layer_wiring(layers, "dense")
    first = c.size("num_dense_layers", least=0)
    ffns = blocks.moe_layers(c, lambda i: i >= first.value, first, types="")
    readers = {"dense": _plain_mlp, "moe": _moe}
    read_blocks = blocks.read_used_blocks(c, readers, ffns.value)
    return read_blocks, blocks.layer_wiring(layers, ffns)


def _plain_mlp(c: ConfigKeys) -> Draft:
    """Read the MLP of LFM2 MoE's first layers."""
    return blocks.dense(c, activation="silu")


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose experts are chosen by sigmoid and a bias."""
    router = draft(
        s.Router,
        scoring="sigmoid",
        selection_bias=c.flag("use_expert_bias"),
        normalized=c.flag("norm_topk_prob"),
        scale=c.number("routed_scaling_factor"),
    )
    return blocks.moe(c, router, activation="silu")


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read the mixer of each layer, from layer_types or from the list of full layers."""
    listed = blocks.listed_layers(c, _LAYER_TYPES)
    layers = c.layer_count().value
    full = c.layer_numbers("full_attn_idxs", layers=layers, default=None)
    if listed.value is not None:
        return listed

    if full.value is None:
        reason = derived(None, "neither layer_types nor full_attn_idxs: every layer is full")
        return blocks.pattern_of(c, lambda i: "full", reason)

    names = dict.fromkeys(full.value, "full")
    return blocks.pattern_of(c, lambda i: names.get(i, "linear"), full)


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA with QK-norm."""
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(c, qk_norm=norm)


def _mlp_width(c: ConfigKeys) -> Sourced:
    """Read the width of the MLPs.

    It is block_ff_dim, or intermediate_size; unless block_auto_adjust_ff_dim is false, two thirds
    of that, times a factor, rounded up.
    """
    key = "intermediate_size"
    if c.has("block_ff_dim"):
        c.ignore(key)  # another number in published files, which the class overwrites
        key = "block_ff_dim"
    whole = c.size(key)
    factor = c.positive("block_ffn_dim_multiplier").value
    multiple = c.size("block_multiple_of").value
    if not c.flag("block_auto_adjust_ff_dim").value:
        return whole

    two_thirds = int(2 * whole.value / 3)
    part = int(factor * two_thirds)
    multiples = -(-part // multiple)
    rounded = multiple * multiples
    return derived(rounded, f"2/3 of {whole.evidence.ref}, rounded up to block_multiple_of")


_MERGED = tensors.merged_experts("feed_forward", parts=("w1", "w3", "w2"))

FAMILY = Family(
    name="lfm2",
    title="LFM2",
    ref=modeling("lfm2"),
    refs={"lfm2_moe": modeling("lfm2_moe")},
    read=read,
    conversions={"lfm2_moe": tensors.Conversion(merges=_MERGED)},
    naming=tensors.Naming(
        linear_router=True,
        final_norm="model.embedding_norm",
        norms=("operator_norm", "ffn_norm"),
        blocks={
            s.Attention: tensors.split_attention_parts(
                o="out_proj", q_norm="q_layernorm", k_norm="k_layernorm"
            ),
            s.LinearAttention: tensors.short_conv_parts,
            s.Dense: tensors.dense_parts("feed_forward", "w1", "w3", "w2"),
            s.MoE: tensors.moe_parts(
                "feed_forward",
                selection_bias="expert_bias",
                gate="w1",
                up="w3",
                down="w2",
            ),
        },
    ),
    defaults={
        "lfm2": {
            "vocab_size": 65536,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 128000,
            "norm_eps": 1e-5,
            "rope_theta": 1000000.0,
            "tie_word_embeddings": True,
            "conv_bias": False,
            "conv_L_cache": 3,
            "block_multiple_of": 256,
            "block_ffn_dim_multiplier": 1.0,
            "block_auto_adjust_ff_dim": True,
        },
        "lfm2_moe": {
            "vocab_size": 65536,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 128000,
            "norm_eps": 1e-5,
            "rope_theta": 1000000.0,
            "tie_word_embeddings": True,
            "conv_bias": False,
            "conv_L_cache": 3,
            "moe_intermediate_size": 1792,
            "norm_topk_prob": True,
            "num_dense_layers": 2,
            "num_experts": 32,
            "num_experts_per_tok": 4,
            "routed_scaling_factor": 1.0,
            "use_expert_bias": True,
        },
    },
    config_class={"lfm2": "Lfm2Config", "lfm2_moe": "Lfm2MoeConfig"},
)
