"""North Micro Vision (Cohere Compass): Cohere 2's parallel layers behind Qwen3-VL's tower.

The kinds of layers have RoPE of their own, or none; positions have three axes.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, draft
from ..vocabulary import ConfigKeys, Family, modeling
from .qwen3_vl import VISION, tower_rows, wrapper


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "cohere_compass":
        return wrapper(c, FAMILY, "cohere_compass_text")
    c.ignore("pooling")  # of classifiers
    layers = _layers(c)
    readers = {"full": _full, "sliding": _sliding}
    return blocks.decoder(
        c,
        head=draft(s.Head, scale=c.optional(c.number, "logit_scale")),
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps", bias=False)},
        final_norm="layer",
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns={"dense": blocks.dense(c)},
        **blocks.parallel_wiring(layers, "dense", "layer"),
    )


def _layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide; without a list all are full."""
    return blocks.sliding_layers(c, lambda i: False, "every layer is full")


def _rope(c: ConfigKeys, layer_type: str) -> Draft | None:
    """Read the RoPE of a type of layers, None for one whose entry is null."""
    keys = blocks.rope_keys(c)
    if layer_type in keys.data and keys.data[layer_type] is None:
        keys.ignore(layer_type)
        return None
    dim = blocks.all_of_head(blocks.read_head_dim(c))
    rope = blocks.rope(c, dim, layer_type=layer_type)
    own = keys.child(layer_type)
    sections = own.items("mrope_section", default=[24, 20, 20], entry=int)
    own.ignore("mrope_interleaved")
    return rope.replace(sections=sections, sections_interleaved=True)


def _full(c: ConfigKeys) -> Draft:
    """Read attention without a window."""
    biases = blocks.attention_biases(c)
    return blocks.attention(c, rope=_rope(c, "full_attention"), **biases)


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    window = c.optional(c.size, "sliding_window")
    biases = blocks.attention_biases(c)
    return blocks.attention(c, rope=_rope(c, "sliding_attention"), window=window, **biases)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names; the decoder of a wrapper is a module of it."""
    own = tensors.Naming(norms=("input_layernorm",), tower=tower_rows)
    if a.model_type == "cohere_compass":
        return tensors.in_base(own, "model.language_model")
    return own


FAMILY = Family(
    name="cohere_compass",
    title="Cohere Compass",
    ref=modeling("cohere_compass"),
    read=read,
    naming=_naming,
    defaults={
        "cohere_compass": {"tie_word_embeddings": False},
        "cohere_compass_text": {
            "attention_bias": False,
            "hidden_act": "silu",
            "hidden_size": 8192,
            "intermediate_size": 22528,
            "layer_norm_eps": 1e-5,
            "logit_scale": None,
            "max_position_embeddings": 8192,
            "num_attention_heads": 64,
            "num_hidden_layers": 40,
            "sliding_window": 4096,
            "tie_word_embeddings": True,
            "vocab_size": 256000,
        },
        "cohere_compass_vision": VISION | {"deepstack_visual_indexes": [8, 16, 24]},
    },
    config_class={
        "cohere_compass": "CohereCompassConfig",
        "cohere_compass_text": "CohereCompassTextConfig",
        "cohere_compass_vision": "CohereCompassVisionConfig",
    },
)
