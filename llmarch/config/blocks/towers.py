"""Read the vision towers that several families wrap: CLIP, SigLIP, Pixtral, SAM, Qwen2-VL's.

Each reader takes the keys of the tower, and fields of Tower that replace or add to its own, such as
the projector, which is the wrapper's.
"""

from __future__ import annotations

from typing import Any

from ...architecture import schema as s
from ...errors import ConfigError
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..findings import another_value, quoted
from ..vocabulary import ConfigKeys, modeling
from . import vision
from .ffns import dense
from .rotary import rope
from .wiring import layer_norm

CLIP: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
SIGLIP: dict[str, Any] = {
    **CLIP,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
    "vision_use_head": True,
}
SIGLIP2: dict[str, Any] = {
    **{key: value for key, value in SIGLIP.items() if key != "image_size"},
    "num_patches": 256,
}
PIXTRAL: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 1024,
    "patch_size": 16,
    "hidden_act": "gelu",
    "rope_theta": 10000.0,
}
SAM: dict[str, Any] = {
    "global_attn_indexes": [2, 5, 8, 11],
    "hidden_act": "gelu",
    "hidden_size": 768,
    "image_size": 1024,
    "layer_norm_eps": 1e-6,
    "mlp_ratio": 4.0,
    "num_attention_heads": 12,
    "num_channels": 3,
    "num_hidden_layers": 12,
    "output_channels": 256,
    "patch_size": 16,
    "qkv_bias": True,
    "use_abs_pos": True,
    "use_rel_pos": True,
    "window_size": 14,
}
QWEN_VIT: dict[str, Any] = {
    "depth": 32,
    "in_channels": 3,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
QWEN2_5_VIT: dict[str, Any] = {
    **QWEN_VIT,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 3420,
    "out_hidden_size": 3584,
    "tokens_per_second": 4,
    "window_size": 112,
}
"""Class defaults of the towers."""

CONFIG_CLASS = {
    "siglip2_vision_model": "Siglip2VisionConfig",
    "clip_vision_model": "CLIPVisionConfig",
    "siglip_vision_model": "SiglipVisionConfig",
    "pixtral": "PixtralVisionConfig",
}
REFS = {
    "siglip2_vision_model": modeling("siglip2"),
    "clip_vision_model": modeling("clip"),
    "siglip_vision_model": modeling("siglip"),
    "pixtral": modeling("pixtral"),
}
"""The configuration class and the modelling code of towers that several wrappers share."""


def clip(v: ConfigKeys, **facts: Any) -> Draft:
    """Read CLIP's tower: a class token, norms before and after the layers."""
    kind = vision.encoder_kind(v, "clip_vision_model")
    v.ignore("projection_dim", "vocab_size")
    grid = vision.grid_positions(v)
    return vision.transformer(
        v,
        kind=same_evidence("clip", kind),
        norm=layer_norm(v, "layer_norm_eps"),
        outer_norms=2,
        image_size=v.size("image_size"),
        positions=derived(grid.value + 1, f"{grid.evidence.ref} + 1"),
        class_token=True,
        **facts,
    )


def siglip(v: ConfigKeys, kinds: tuple[str, ...] = ("siglip_vision_model",), **facts: Any) -> Draft:
    """Read SigLIP's tower: a norm after the layers, and a pooling head if the config has one.

    kinds: the model_types that it may have.
    """
    kind = vision.encoder_kind(v, *kinds)
    v.ignore("projection_dim", "vocab_size")
    usual: dict[str, Any] = {
        "image_size": v.size("image_size", default=None),
        "pooling_head": v.flag("vision_use_head", default=v.defaults.get("vision_use_head", False)),
    }
    if "positions" not in facts:
        usual["positions"] = vision.grid_positions(v)
    return vision.transformer(
        v,
        kind=same_evidence("siglip", kind),
        norm=layer_norm(v, "layer_norm_eps"),
        outer_norms=1,
        patch_embedding=vision.patch_embedding(v, v.size("hidden_size"), bias=True),
        **(usual | facts),
    )


def siglip2(v: ConfigKeys, **facts: Any) -> Draft:
    """Read SigLIP 2's tower for images of any size, whose positions are interpolated."""
    return siglip(
        v, ("siglip2_vision_model",), positions=v.size("num_patches"), image_size=None, **facts
    )


def pixtral(v: ConfigKeys, **facts: Any) -> Draft:
    """Read Pixtral's tower: RMSNorm, gated MLPs, rotary positions of two axes."""
    kind = vision.encoder_kind(v, "pixtral")
    v.ignore("head_dim", "vocab_size")  # the class divides; a left-over
    tower = vision.transformer(
        v,
        kind=kind,
        attention_bias=False,
        ffn=dense(v),
        norm=draft(s.Norm, kind="rmsnorm", eps=1e-5),
        outer_norms=1,
        image_size=v.size("image_size"),
        **facts,
    )
    dim = tower["head_dim"]
    another_value(v, "head_dim", dim.value, dim.evidence.ref)
    return tower.replace(rope=rope(v, dim))


def sam(v: ConfigKeys, kinds: tuple[str, ...], **facts: Any) -> Draft:
    """Read SAM's tower: windows in most layers, relative positions, and a neck of convolutions.

    kinds: the model_types that it may have.
    """
    kind = vision.encoder_kind(v, *kinds)
    v.ignore("num_pos_feats", "scale")
    layers, patch = v.layer_count(), v.size("patch_size").value
    full = v.items("global_attn_indexes", entry=int)
    window = v.size("window_size")
    hidden = v.size("hidden_size")
    positions = vision.grid_positions(v)
    if not v.flag("use_abs_pos").value:
        positions = same_evidence(0, v.flag("use_abs_pos"))
    return vision.transformer(
        v,
        kind=same_evidence("sam", kind),
        attention_bias=v.flag("qkv_bias"),
        output_bias=True,
        ffn=vision.plain_mlp(v, width=_sam_width(v, hidden)),
        norm=layer_norm(v, "layer_norm_eps"),
        image_size=v.size("image_size"),
        patch_embedding=vision.patch_embedding(v, hidden, bias=True),
        positions=positions,
        relative_positions=v.flag("use_rel_pos"),
        window=derived(window.value * patch, "window_size * patch_size"),
        full_layers=same_evidence([i for i in full.value if i < layers.value], full),
        neck=v.size("output_channels"),
        **facts,
    )


def _sam_width(v: ConfigKeys, hidden: Sourced) -> Sourced:
    """Read the width of SAM's MLPs; without one, `mlp_ratio` tells it."""
    if "mlp_ratio" not in v.defaults:
        return v.size("mlp_dim")
    ratio = v.positive("mlp_ratio").value
    usual = derived(int(hidden.value * ratio), "hidden_size * mlp_ratio")
    return v.size("mlp_dim", default=usual)


def reduced(channels: Sourced, outputs: list[Sourced]) -> list[Draft]:
    """Return convolutions 3 × 3 with stride 2 as matrices over nine patches.

    channels: those of the first one's input.
    outputs: the channels that each of them gives.
    """
    matrices: list[Draft] = []
    for output in outputs:
        inputs = derived(9 * channels.value, f"9 * {channels.evidence.ref}")
        matrices.append(draft(s.Linear, inputs=inputs, outputs=output))
        channels = output
    return matrices


def qwen_vit(
    v: ConfigKeys,
    kinds: tuple[str, ...],
    hidden: Sourced,
    merged_width: Sourced,
    decoder_width: Sourced | None,
    **facts: Any,
) -> Draft:
    """Read Qwen2-VL's tower: rotary positions of two axes, and a merger with a norm and an MLP.

    kinds: the model_types that it may have; the first one is its name.
    hidden, merged_width: the widths of its stream and of what the merger gives.
    decoder_width: the width that the latter must have, if the merger feeds the decoder itself.
    Raises ConfigError if it has another one.
    """
    kind = vision.encoder_kind(v, *kinds)
    if decoder_width is not None:
        check_output(v, merged_width, decoder_width)
    merge = v.size("spatial_merge_size")
    frames = v.size("temporal_patch_size")
    merged = derived(hidden.value * merge.value**2, "vision width * spatial_merge_size^2")
    channels = "in_channels"
    if "in_chans" in v.data:
        channels = "in_chans"
    v.ignore("in_channels", "in_chans", "spatial_patch_size")
    if "tokens_per_second" not in v.defaults:
        v.ignore("tokens_per_second")
    tower = vision.transformer(
        v,
        heads=("num_heads",),
        frames=frames,
        kind=same_evidence(kinds[0], kind),
        layers=v.layer_count("depth"),
        patch_embedding=vision.patch_embedding(v, hidden, channels, frames),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=merged_width, bias=True),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([hidden.value], hidden),
        **facts,
    )
    return vision.with_rope(v, tower)


def check_output(v: ConfigKeys, output: Sourced, decoder_width: Sourced) -> None:
    """Raise ConfigError if the output of an encoder is not as wide as the decoder."""
    if output.value != decoder_width.value:
        raise ConfigError(
            f"{v.file}: {output.evidence.ref} is {output.value:,}, but the decoder is"
            f" {decoder_width.value:,} wide"
        )


def check_input(v: ConfigKeys, features: Sourced, hidden: Sourced) -> None:
    """Raise ConfigError if an encoder is not as wide as the features of another that it reads."""
    if features.value != hidden.value:
        raise ConfigError(
            f"{v.file}: {features.evidence.ref} is {features.value:,}, but the encoder of these"
            f" features is {hidden.value:,} wide"
        )


def qwen2_5_vit(
    v: ConfigKeys, kinds: tuple[str, ...], decoder_width: Sourced | None, **facts: Any
) -> Draft:
    """Read Qwen2.5-VL's tower: RMSNorm, SwiGLU, and windows in most layers (see `qwen_vit`)."""
    hidden = v.size("hidden_size")
    if "tokens_per_second" not in facts:
        facts["tokens_per_second"] = v.size("tokens_per_second")
    return qwen_vit(
        v,
        kinds,
        hidden,
        merged_width=v.size("out_hidden_size"),
        decoder_width=decoder_width,
        ffn=dense(v, bias=True),
        norm=draft(s.Norm, kind="rmsnorm", eps=1e-6),
        window=v.size("window_size"),
        full_layers=v.items("fullatt_block_indexes", entry=int),
        **facts,
    )


def feature_mlp(hidden: Sourced, width: Sourced, layers: Sourced, bias: Any) -> list[Draft]:
    """Return the MLP of two layers from a tower's features to the decoder's width.

    hidden, width: the widths of tower and decoder.
    layers: the layers of the tower whose features it reads together; none for the last one.
    """
    formula = "vision hidden_size * layers in vision_feature_layer"
    features = derived(hidden.value * max(1, len(layers.value)), formula)
    return [
        draft(s.Linear, inputs=features, outputs=width, bias=bias),
        draft(s.Linear, inputs=width, outputs=width, bias=bias),
    ]


def feature_layers(c: ConfigKeys, depth: int) -> Sourced:
    """Read which of `depth` layers feed the projector: an empty list for the last one alone.

    The config has one number or a list; negative ones count from the end, as in Python. Raises
    ConfigError for a layer that does not exist.
    """
    key = "vision_feature_layer"
    given = c.value(key)
    entries: list[Any] = [given.value]
    if isinstance(given.value, list):
        entries = c.items(key).value
    layers: list[int] = []
    for entry in entries:
        if not isinstance(entry, int) or not -depth <= entry + 1 <= depth + 1:
            raise ConfigError(f"{c.file}: {c.key(key)} is {quoted(entry)} of {depth} layers")
        layers.append(entry if entry >= 0 else depth + 1 + entry)
    return same_evidence([] if layers == [depth] else layers, given)
