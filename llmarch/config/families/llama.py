"""Llama 2, 3, 3.1, 3.2 and models with its code (Yi, Granite Code, InternLM, IQuest, XVERSE).

Pre-norm, RoPE, MHA or GQA, SwiGLU.
"""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    # `bias` is InternLM's key, which conversions keep; vLLM reads it too
    bias = c.flag("attention_bias", "qkv_bias", "bias")
    for key in ("rope_interleaved", "sliding_window", "use_sliding_window"):
        c.expect(key, False)
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c, qkv_bias=bias, output_bias=bias)},
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


_LLAMA = {
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
}
FAMILY = Family(
    name="llama",
    title="Llama",
    ref=modeling("llama"),
    refs={"xverse": "vLLM 0.9.2 model_executor/models/llama.py"},
    read=read,
    naming=tensors.Naming(),
    defaults={
        "llama": _LLAMA,
        "xverse": _LLAMA,
        "internlm3": {
            "hidden_act": "silu",
            "head_dim": 128,
            "max_position_embeddings": 32768,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
        },
        "iquestcoder": {
            "hidden_act": "silu",
            "head_dim": 128,
            "max_position_embeddings": 131072,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
        },
    },
    other_classes={
        "llama": ("Aquila", "InternLM", "Xverse"),
        "internlm3": ("Llama",),
        "iquestcoder": ("Llama",),
    },
    config_class={
        "llama": "LlamaConfig",
        "xverse": "LlamaConfig",
        "internlm3": "InternLM3Config",
        "iquestcoder": "IQuestCoderConfig",
    },
)
