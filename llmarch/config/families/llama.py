"""Llama 2, 3, 3.1, 3.2 and the many models converted to it (Yi, Granite Code, InternLM): pre-norm, RoPE, MHA or GQA, SwiGLU."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, modeling


def read(c: ConfigKeys) -> Draft:
    layers = c.layer_count()
    bias = c.flag(
        "attention_bias", "bias"
    )  # `bias`: InternLM's key, kept by conversions; vLLM reads it too
    for key in ("rope_interleaved", "sliding_window", "use_sliding_window"):
        c.expect(key, False)
    full = blocks.attention(c, qkv_bias=bias, output_bias=bias)
    mlp = blocks.dense(c, bias=c.flag("mlp_bias"))
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"dense": mlp},
        **blocks.layer_wiring([("full", "dense")] * layers.value, layers),
    )


FAMILY = Family(
    name="llama",
    title="Llama",
    ref=modeling("llama"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "llama": {
            "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
        },
    },
    config_class={"llama": "LlamaConfig"},
)  # fmt: skip
