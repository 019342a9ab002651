"""Qwen2-VL and Qwen2.5-VL: Qwen2's decoder with positions of three axes, behind a vision tower.

Both towers merge patches with a norm and an MLP. Qwen2.5-VL's has RMSNorm and SwiGLU, and attends
within windows but for some layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, derived, draft, same_evidence
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
    """Read a ViT with rotary positions of two axes, and its merger.

    Raises ConfigError if its output is not as wide as the decoder.
    """
    model_type = f"{c.model_type}_vision"
    v = FAMILY.part(c, "vision_config", model_type)
    kind = vision.encoder_kind(v, model_type, c.model_type)
    read_settings = _tower_of_2 if c.model_type == "qwen2_vl" else _tower_of_2_5
    facts = read_settings(v)
    hidden, width = facts.pop("hidden"), facts.pop("output")
    if width.value != text["hidden_size"].value:
        raise ConfigError(
            f"{c.file}: {width.evidence.ref} is {width.value:,}, but the decoder is"
            f" {text['hidden_size'].value:,} wide"
        )
    merge = v.size("spatial_merge_size")
    frames = v.size("temporal_patch_size")
    merged = derived(hidden.value * merge.value**2, "vision width * spatial_merge_size^2")
    channels = "in_channels"
    if "in_chans" in v.data:
        channels = "in_chans"
    v.ignore("in_channels", "in_chans", "spatial_patch_size")
    if c.model_type == "qwen2_vl":
        v.ignore("tokens_per_second")
    read_tower = vision.transformer(
        v,
        heads=("num_heads",),
        frames=frames,
        kind=same_evidence(model_type, kind),
        layers=v.layer_count("depth"),
        patch_embedding=vision.patch_embedding(v, hidden, channels, frames),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=width, bias=True),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([hidden.value], hidden),
        **facts,
    )
    return vision.with_rope(v, read_tower)


def _tower_of_2(v: ConfigKeys) -> dict[str, Any]:
    """Read what Qwen2-VL's tower has: LayerNorm and an ungated MLP."""
    hidden = v.size("embed_dim")
    width = derived(hidden.value * v.size("mlp_ratio").value, "embed_dim * mlp_ratio")
    return {
        "hidden": hidden,
        "hidden_size": hidden,
        "head_dim": _vision_head_dim(v, "embed_dim"),
        "output": v.size("hidden_size"),
        "ffn": vision.plain_mlp(v, width=width),
        "norm": draft(s.Norm, kind="layernorm", eps=1e-6, bias=True),
        "projector_norm_bias": True,
    }


def _tower_of_2_5(v: ConfigKeys) -> dict[str, Any]:
    """Read what Qwen2.5-VL's tower has: RMSNorm, SwiGLU, and windows in most layers."""
    hidden = v.size("hidden_size")
    return {
        "hidden": hidden,
        "output": v.size("out_hidden_size"),
        "ffn": blocks.dense(v, bias=True),
        "norm": draft(s.Norm, kind="rmsnorm", eps=1e-6),
        "tokens_per_second": v.size("tokens_per_second"),
        "window": v.size("window_size"),
        "full_layers": v.items("fullatt_block_indexes", entry=int),
    }


def _vision_head_dim(v: ConfigKeys, width: str) -> Any:
    """Divide the tower's width by its heads."""
    return blocks.divided_head_dim(v, (width,), ("num_heads",))


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its merger."""
    found = a.towers["vision"]
    assert isinstance(found, s.Tower)
    mlp = tensors.FC_MLP
    if found.ffn.gated:
        mlp = tensors.dense_parts()
    yield from tensors.patch_rows("visual.patch_embed.proj", found, video=True)
    yield from tensors.encoder_layer_rows(
        found,
        layer="visual.blocks.{}.",
        norms=("norm1", "norm2"),
        attention=tensors.fused_attention_parts("attn", "qkv", "proj"),
        ffn=mlp,
    )
    width = found.projector_norms[0]
    yield from tensors.norm_rows("visual.merger.ln_q", found.norm, width, (), "vision")
    yield from tensors.projector_rows(found, "visual.merger.mlp.0", "visual.merger.mlp.2")


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
_VISION: dict[str, Any] = {
    "depth": 32,
    "in_channels": 3,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
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
        "qwen2_vl_vision": _VISION
        | {"embed_dim": 1280, "hidden_act": "quick_gelu", "hidden_size": 3584, "mlp_ratio": 4},
        "qwen2_5_vl_vision": _VISION
        | {
            "fullatt_block_indexes": [7, 15, 23, 31],
            "hidden_act": "silu",
            "hidden_size": 3584,
            "intermediate_size": 3420,
            "out_hidden_size": 3584,
            "tokens_per_second": 4,
            "window_size": 112,
        },
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
