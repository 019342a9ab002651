"""Command R, R+, R7B, A and Aya: LayerNorm, attention and MLP in parallel, scaled logits.

RoPE pairs neighbouring dims. Command R7B and later slide in three of four layers, and
the fourth has no RoPE.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full")
    if c.model_type == "cohere2":
        layers = _sliding_layers(c)
    mixers = blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value)
    return blocks.decoder(
        c,
        head=draft(s.Head, scale=c.number("logit_scale")),
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps", bias=False)},
        final_norm="layer",
        mixers=mixers,
        ffns={"dense": blocks.dense(c)},
        **blocks.parallel_wiring(layers, "dense", "layer"),
    )


def _sliding_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide: all but each `sliding_window_pattern`-th."""
    every = c.size("sliding_window_pattern", default=4).value
    reason = f"every {every}th layer is full, the others slide"
    return blocks.sliding_layers(c, lambda i: (i + 1) % every != 0, reason)


def _full(c: ConfigKeys) -> Draft:
    """Read attention without a window, which has no RoPE in Cohere 2."""
    biases = blocks.attention_biases(c)
    if c.model_type == "cohere2":
        return blocks.attention(c, rope=None, **biases)
    norm = None
    if c.flag("use_qk_norm").value:
        norm = draft(s.QKNorm, norm_kind="layernorm", scope="own_head")
    return blocks.attention(c, interleaved=True, qk_norm=norm, **biases)


def _sliding(c: ConfigKeys) -> Draft:
    """Read Cohere 2's attention with a window."""
    window = c.optional(c.size, "sliding_window")
    biases = blocks.attention_biases(c)
    return blocks.attention(c, interleaved=True, window=window, **biases)


_DEFAULTS = {
    "hidden_act": "silu",
    "layer_norm_eps": 1e-5,
    "logit_scale": 0.0625,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "attention_bias": False,
}
FAMILY = Family(
    name="cohere",
    title="Cohere",
    ref=modeling("cohere"),
    refs={"cohere2": modeling("cohere2")},
    read=read,
    naming=tensors.Naming(norms=("input_layernorm",)),
    defaults={
        "cohere": {**_DEFAULTS, "rope_theta": 500000.0, "use_qk_norm": False},
        "cohere2": {**_DEFAULTS, "rope_theta": 10000.0, "sliding_window": 4096},
    },
    config_class={"cohere": "CohereConfig", "cohere2": "Cohere2Config"},
)
