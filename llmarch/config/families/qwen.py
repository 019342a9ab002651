"""Qwen (1): a Llama with biases on q, k and v, which are one matrix.

The MLP has half of the width that the config says. Beyond `seq_length` tokens the base of RoPE
grows in steps (`use_dynamic_ntk`: dynamic NTK of factor 2, for that length times a power of two),
and queries are multiplied by the logarithm of their position to the base `seq_length`
(`use_logn_attn`).
"""

from __future__ import annotations

from math import log
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family

_HIDDEN = ("hidden_size", "n_embd")
_LAYERS = ("num_hidden_layers", "n_layer")
_WIDTH = ("intermediate_size", "ffn_hidden_size")
"""Names of keys in Qwen's later classes and in its first ones."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder. Raises UnknownFamily for Qwen-VL and Qwen-Audio."""
    blocks.refuse_kin(c, {"visual": "Qwen-VL", "audio": "Qwen-Audio"})
    c.expect("apply_residual_connection_post_layernorm", False)
    c.expect("pos_emb", "rotary")
    c.expect("scale_attn_weights", True)
    c.ignore(
        "attn_dropout_prob",
        "emb_dropout_prob",
        "bf16",
        "fp16",
        "fp32",
        "onnx_safe",
        "use_flash_attn",
    )
    c.ignore("params_dtype", "bias_dropout_fusion", "tokenizer_type")
    c.ignore("activation", "n_positions", "n_inner")
    c.ignore("softmax_in_fp32", "use_cache_quantization", "use_cache_kernel")
    c.expect("padded_vocab_size", c.size("vocab_size").value)
    c.expect("rope_theta", c.number("rotary_emb_base").value)
    bias = derived(not c.flag("no_bias").value, "not no_bias")
    return blocks.decoder(
        c,
        hidden_size=c.size(*_HIDDEN),
        context_length=c.size("max_position_embeddings", default=c.size("seq_length")),
        norms={"rms": blocks.rms_norm(c, "layer_norm_epsilon")},
        mixers={"full": _attention(c, bias)},
        ffns={"dense": draft(s.Dense, width=_half_width(c), activation="silu", bias=bias)},
        **blocks.layer_wiring(blocks.every_layer(c, "full", *_LAYERS), "dense"),
    )


def _half_width(c: ConfigKeys) -> Sourced:
    """Return half of the width that the config says, which is that of gate and up together."""
    both = c.size(*_WIDTH).value
    return derived(both // 2, f"{_WIDTH[0]} / 2")


def _attention(c: ConfigKeys, bias: Sourced) -> Draft:
    """Read MHA with RoPE and the scaling of queries.

    Raises ConfigError if the heads together are not as wide as the stream, which the class needs.
    """
    heads = c.size("num_attention_heads", "n_head")
    dim = c.size("kv_channels")
    hidden = c.size(*_HIDDEN).value
    if heads.value * dim.value != hidden:
        raise ConfigError(
            f"{c.file}: {heads.value} heads of {dim.value} dims (kv_channels) are not the"
            f" hidden_size {hidden:,}"
        )
    share = c.number("rotary_pct")
    rotary = derived(int(dim.value * share.value), "kv_channels * rotary_pct")
    rope = draft(s.Rope, theta=c.number("rotary_emb_base"), rotary_dim=rotary, scaling=_scaling(c))
    return draft(
        s.Attention,
        heads=heads,
        kv_heads=heads,
        head_dim=dim,
        v_head_dim=dim,
        qkv_bias=True,
        output_bias=bias,
        rope=rope,
        query_scaling=_query_scaling(c),
    )


def _scaling(c: ConfigKeys) -> Draft | None:
    """Return the growth of RoPE's base, if it is on."""
    if not c.flag("use_dynamic_ntk").value:
        return None
    length = c.size("seq_length")
    return draft(s.RopeScaling, kind="dynamic", factor=2.0, original_context=length)


def _query_scaling(c: ConfigKeys) -> Draft | None:
    """Return the scaling of queries by the logarithm of their position, if it is on."""
    if not c.flag("use_logn_attn").value:
        return None
    length = c.size("seq_length")
    if length.value < 2:
        raise ConfigError(f"{c.file}: a seq_length of 1 cannot be the base of a logarithm")
    beta = derived(round(1 / log(length.value), 9), "1 / ln(seq_length)")
    facts: dict[str, Any] = {"beta": beta, "original_context": length, "shift": 1}
    return draft(s.QueryScaling, smooth=True, **facts)


FAMILY = Family(
    name="qwen",
    title="Qwen",
    ref="Qwen/Qwen-7B/modeling_qwen.py",
    read=read,
    naming=tensors.Naming(
        embedding="transformer.wte.weight",
        layer="transformer.h.{}.",
        final_norm="transformer.ln_f",
        norms=("ln_1", "ln_2"),
        blocks={
            s.Attention: tensors.fused_attention_parts("attn", "c_attn", "c_proj"),
            s.Dense: tensors.dense_parts(gate="w2", up="w1", down="c_proj"),
        },
    ),
    conversions={"qwen": tensors.Conversion(base="transformer")},
    defaults={
        "qwen": {
            "kv_channels": 128,
            "layer_norm_epsilon": 1e-6,
            "no_bias": True,
            "rotary_emb_base": 10000,
            "rotary_pct": 1.0,
            "scale_attn_weights": True,
            "tie_word_embeddings": False,
            "use_dynamic_ntk": True,
            "use_logn_attn": True,
        },
    },
    config_class={"qwen": "QWenConfig"},
)
