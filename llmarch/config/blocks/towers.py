"""Read the vision towers that several families wrap: CLIP, SigLIP, SigLIP 2, Pixtral, InternViT.

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
