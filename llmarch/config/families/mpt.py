"""MPT: ALiBi, LayerNorm without biases, queries, keys and values in one matrix."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full", "n_layers", "num_hidden_layers")
    hidden = c.size("d_model", "hidden_size")
    c.expect("no_bias", True)
    c.ignore("expansion_ratio", "learned_pos_emb", "embedding_fraction", "init_device", "norm_type")
    c.ignore("logit_scale", "init_config", "verbose", "max_position_embeddings", "fc_type")
    four = derived(4 * hidden.value, "4 * d_model")
    return blocks.decoder(
        c,
        hidden_size=hidden,
        context_length=c.size("max_seq_len"),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon", bias=False)},
        final_norm="layer",
        mixers={"full": _attention(c)},
        ffns={"dense": draft(s.Dense, width=four, activation="gelu", gated=False)},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read MHA with ALiBi, whose settings are nested."""
    keys = c.child("attn_config", defaults=_ATTENTION, defaults_ref=c.defaults_ref)
    keys.expect("attn_type", "multihead_attention")
    keys.expect("alibi", True)
    for key in ("prefix_lm", "qk_ln", "attn_uses_sequence_id"):
        keys.expect(key, False)
    keys.ignore("attn_impl", "attn_pdrop", "model_type", "architectures", "dtype", "id2label")
    keys.ignore("label2id", "problem_type", "return_dict", "is_encoder_decoder", "_name_or_path")
    keys.ignore("chunk_size_feed_forward", "output_attentions", "output_hidden_states")
    return blocks.divided_attention(
        c,
        ("d_model", "hidden_size"),
        ("n_heads", "num_attention_heads"),
        scale=keys.optional(keys.number, "softmax_scale"),
        clip=keys.optional(keys.number, "clip_qkv"),
        alibi=keys.number("alibi_bias_max"),
    )


_ATTENTION = {
    "alibi": True,
    "alibi_bias_max": 8,
    "attn_type": "multihead_attention",
    "clip_qkv": None,
    "softmax_scale": None,
}
FAMILY = Family(
    name="mpt",
    title="MPT",
    ref=modeling("mpt"),
    read=read,
    naming=tensors.Naming(
        score_heads=tensors.CLASSIFIER_HEADS,
        embedding="transformer.wte.weight",
        layer="transformer.blocks.{}.",
        final_norm="transformer.norm_f",
        norms=("norm_1", "norm_2"),
        blocks={
            s.Attention: tensors.fused_attention_parts("attn", "Wqkv", "out_proj"),
            s.Dense: tensors.dense_parts("ffn", up="up_proj", down="down_proj"),
        },
    ),
    conversions={"mpt": tensors.Conversion(base="transformer")},
    defaults={
        "mpt": {
            "layer_norm_epsilon": 1e-5,
            "max_seq_len": 2048,
            "tie_word_embeddings": True,
        },
    },
    config_class={"mpt": "MptConfig"},
)
