"""Qwen2-VL and Qwen2.5-VL: Qwen2's decoder with positions of three axes, behind a vision tower.

Both towers merge patches with a norm and an MLP. Qwen2.5-VL's has RMSNorm and SwiGLU, and attends
within windows but for some layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling

_WRAPPERS = ("qwen2_vl", "qwen2_5_vl")


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type in _WRAPPERS:
        return _wrapper(c)
    first = c.size("max_window_layers", least=0).value
    window = c.optional(c.size, "sliding_window", least=0)
    layers = blocks.optionally_sliding_layers(
        c, window, lambda i: i >= first, "sliding from layer max_window_layers on"
    )
    mixers = blocks.windowed(_attention(c), window)
    tied = c.flag("tie_word_embeddings", default=False)  # without the key the wrapper decides
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns={"dense": blocks.dense(c)},
        embedding=draft(s.Embedding, tied=tied),
        **blocks.layer_wiring(layers, "dense"),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA with biases on q, k and v, and a block of rotary pairs for each axis."""
    dim = blocks.read_head_dim(c)
    rope = blocks.rope(c, blocks.rotary_dim(c, dim))
    sections = blocks.rope_keys(c).items("mrope_section", default=[16, 24, 24], entry=int)
    return blocks.attention(c, head_dim=dim, qkv_bias=True, rope=rope.replace(sections=sections))


def _wrapper(c: ConfigKeys) -> Draft:
    """Read the wrapper, whose first files have the decoder's keys beside its own."""
    part = FAMILY.part(c, "text_config", f"{c.model_type}_text")
    return blocks.wrapped(c, part, FAMILY.read_layers(part), tied_by="either", vision=_tower)


def _tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower, whose output is as wide as the decoder."""
    model_type = f"{c.model_type}_vision"
    v = FAMILY.part(c, "vision_config", model_type)
    reader = towers.qwen2_5_vit
    if c.model_type == "qwen2_vl":
        reader = _tower_of_2
    return reader(v, (model_type, c.model_type), decoder_width=text["hidden_size"])


def _tower_of_2(v: ConfigKeys, kinds: tuple[str, ...], decoder_width: Sourced) -> Draft:
    """Read Qwen2-VL's tower: LayerNorm and an ungated MLP."""
    hidden = v.size("embed_dim")
    width = derived(hidden.value * v.size("mlp_ratio").value, "embed_dim * mlp_ratio")
    return towers.qwen_vit(
        v,
        kinds,
        hidden,
        merged_width=v.size("hidden_size"),
        decoder_width=decoder_width,
        hidden_size=hidden,
        head_dim=blocks.divided_head_dim(v, ("embed_dim",), ("num_heads",)),
        ffn=vision.plain_mlp(v, width=width),
        norm=draft(s.Norm, kind="layernorm", eps=1e-6, bias=True),
        projector_norm_bias=True,
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its merger."""
    found = a.towers["vision"]
    assert isinstance(found, s.Tower)
    attention = tensors.fused_attention_parts("attn", "qkv", "proj")
    return tensors.qwen_vit_rows(found, "visual.", attention)


_CONVERSION = tensors.Conversion(
    renames=(
        tensors.Rename(r"^visual", "model.visual"),
        tensors.Rename(r"^model(?!\.(language_model|visual))", "model.language_model"),
    )
)
_TEXT: dict[str, Any] = {
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "max_window_layers": 80,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "sliding_window": 4096,
    "use_sliding_window": False,
}
FAMILY = Family(
    name="qwen2_vl",
    title="Qwen2-VL",
    ref=modeling("qwen2_vl"),
    refs=dict.fromkeys(
        ("qwen2_5_vl", "qwen2_5_vl_text", "qwen2_5_vl_vision"), modeling("qwen2_5_vl")
    ),
    read=read,
    naming=tensors.Naming(tower=_tower_rows),
    conversions={"qwen2_vl": _CONVERSION, "qwen2_5_vl": _CONVERSION},
    defaults={
        "qwen2_vl": {"tie_word_embeddings": False},
        "qwen2_5_vl": {"tie_word_embeddings": False},
        "qwen2_vl_text": _TEXT,
        "qwen2_5_vl_text": _TEXT,
        "qwen2_vl_vision": towers.QWEN_VIT
        | {"embed_dim": 1280, "hidden_act": "quick_gelu", "hidden_size": 3584, "mlp_ratio": 4},
        "qwen2_5_vl_vision": towers.QWEN2_5_VIT,
    },
    config_class={
        "qwen2_vl": "Qwen2VLConfig",
        "qwen2_vl_text": "Qwen2VLTextConfig",
        "qwen2_vl_vision": "Qwen2VLVisionConfig",
        "qwen2_5_vl": "Qwen2_5_VLConfig",
        "qwen2_5_vl_text": "Qwen2_5_VLTextConfig",
        "qwen2_5_vl_vision": "Qwen2_5_VLVisionConfig",
    },
)
