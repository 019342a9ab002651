"""LLaVA 1.5, NeXT (1.6), OneVision, ViP, Video-LLaVA: a decoder of any family behind a ViT.

Features of one layer or several of a CLIP or SigLIP tower pass an MLP of two layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers
from ..evidence import Draft, Sourced, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_in_language_model, read_wrapper

_DECODERS = {"llava_onevision": "qwen2"}
"""The decoder of a wrapper whose config does not say, where it is not Llama."""

_READERS = {
    "clip_vision_model": towers.clip,
    "siglip_vision_model": towers.siglip,
    "pixtral": towers.pixtral,
}
_ROWS = {
    "clip": tensors.clip_rows,
    "siglip": tensors.clip_rows,
    "pixtral": tensors.pixtral_rows,
}
_PREFIXES = {
    "clip": "vision_tower.vision_model.",
    "siglip": "vision_tower.vision_model.",
    "pixtral": "vision_tower.",
}
"""What reads a tower, what yields its tensors, and what their names begin with."""


_FIVE_VIEWS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
_VIEWS = {
    "llava_next": _FIVE_VIEWS,
    "llava_next_video": _FIVE_VIEWS,
    "llava_onevision": [[384 * i, 384 * j] for i in range(1, 7) for j in range(1, 7)],
}
"""The sizes to which images are scaled before they are cut into views, by class."""

_TIED_BY_EITHER = ("llava", "llava_next_video", "llava_onevision")
"""Types whose class takes the text part's flag where its own is off."""


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("image_seq_length", "vision_aspect_ratio", "vocab_size")
    c.ignore("use_image_newline_parameter", "video_seq_length", "hidden_size")
    _describe_views(c)
    default = _DECODERS.get(c.model_type, "llama")
    tied_by = "wrapper"
    if c.model_type in _TIED_BY_EITHER:
        tied_by = "either"
    whole = read_wrapper(c, default, _vision_tower, tied_by=tied_by)
    if c.model_type != "video_llava" or "vision" not in whole["towers"]:
        return whole
    seen = whole["towers"]["vision"]
    video = seen.replace(projector=[], projector_activation=None)  # it is that of images
    return whole.replace(towers={"vision": seen, "video": video})


def _describe_views(c: ConfigKeys) -> None:
    """Report how images are cut and videos are pooled, where it is not as in the class."""
    views = _VIEWS.get(c.model_type)
    if views is None:
        c.ignore("image_grid_pinpoints")
    else:
        c.describe_only("image_grid_pinpoints", views, "behaviour")
    if c.model_type == "llava_next_video":
        c.describe_only("spatial_pool_mode", "average", "behaviour")
        c.describe_only("spatial_pool_stride", 2, "behaviour")
    else:
        c.ignore("spatial_pool_mode", "spatial_pool_stride")


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and its projector."""
    usual = "siglip_vision_model" if c.model_type == "llava_onevision" else "clip_vision_model"
    kind = c.child("vision_config").word("model_type", default=usual).value
    v = FAMILY.part(c, "vision_config", kind)
    layers = towers.feature_layers(c, v.layer_count().value)
    facts: dict[str, Any] = {
        "features": layers,
        "projector": _projector(c, v.size("hidden_size"), text["hidden_size"], layers),
        "projector_activation": blocks.activation_name(c, "projector_hidden_act"),
        "newline": c.model_type in ("llava_next", "llava_next_video", "llava_onevision"),
    }
    if c.model_type == "vipllava":
        c.describe_only("projector_layernorm_eps", 1e-5, "behaviour")
        width = facts["projector"][0]["inputs"]
        facts["projector_norms"] = same_evidence([width.value], width)
        facts["projector_norm_bias"] = True
    c.ignore("vision_feature_select_strategy")
    return _READERS.get(kind, towers.clip)(v, **facts)


def _projector(c: ConfigKeys, hidden: Sourced, width: Sourced, layers: Sourced) -> list[Draft]:
    """Read the MLP from the tower's width, times the layers that feed it, to the decoder's."""
    bias: Any = True
    if c.model_type != "vipllava":
        bias = c.flag("multimodal_projector_bias")
    return towers.feature_mlp(hidden, width, layers, bias)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower, its projector, and the vector that ends a row of features."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    prefix = _PREFIXES[tower.kind]
    if a.model_type == "video_llava":
        prefix = "image_tower."
        yield from _video_rows(a)
    yield from _ROWS[tower.kind](tower, prefix)
    module = "multi_modal_projector."
    yield from tensors.projector_norm_rows(tower, f"{module}projector_layernorm")
    yield from tensors.projector_rows(tower, f"{module}linear_1", f"{module}linear_2")
    if tower.newline:
        width = tower.projector[-1].outputs
        facts = ("towers.vision.newline",)
        yield tensors.TensorRow("image_newline", (width,), (), "vision", facts)


def _video_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower of videos."""
    tower = a.towers["video"]
    assert isinstance(tower, s.Tower)
    rows = _ROWS[tower.kind](tower, "video_tower.")
    return tensors.of_tower(rows, "video")


_NEXT = ("llava_next", "llava_next_video", "llava_onevision")
_CONVERSION = tensors.Conversion(renames=(*tensors.LLAVA_RENAMES, tensors.CLIP_RENAME))
_NEXT_CONVERSION = tensors.Conversion(renames=(*tensors.LLAVA_NEXT_RENAMES, tensors.CLIP_RENAME))
_LLAVA = {
    "multimodal_projector_bias": True,
    "projector_hidden_act": "gelu",
    "tie_word_embeddings": False,
    "vision_feature_layer": -2,
}

FAMILY = Family(
    name="llava",
    title="LLaVA",
    ref=modeling("llava"),
    refs={
        "llava_next": modeling("llava_next"),
        "llava_next_video": modeling("llava_next_video"),
        "llava_onevision": modeling("llava_onevision"),
        "vipllava": modeling("vipllava"),
        "video_llava": modeling("video_llava"),
        **towers.REFS,
    },
    read=read,
    naming=naming_in_language_model(_tower_rows),
    conversions={
        "llava": _CONVERSION,
        "vipllava": _CONVERSION,
        **dict.fromkeys(_NEXT, _NEXT_CONVERSION),
        "video_llava": tensors.Conversion(
            renames=(
                tensors.Rename(r"^language_model.lm_head", "lm_head"),
                tensors.Rename(r"^language_model", "model.language_model"),
                tensors.Rename(r"^image_tower", "model.image_tower"),
                tensors.Rename(r"^video_tower", "model.video_tower"),
                tensors.Rename(r"^multi_modal_projector", "model.multi_modal_projector"),
                tensors.Rename(r"^language_model.model(?!\w)", "language_model", scope=""),
            )
        ),
    },
    defaults={
        "llava": _LLAVA,
        "llava_next": _LLAVA,
        "llava_next_video": _LLAVA,
        "llava_onevision": {**_LLAVA, "vision_feature_layer": -1},
        "video_llava": _LLAVA,
        "vipllava": {
            "projector_hidden_act": "gelu",
            "tie_word_embeddings": False,
            "vision_feature_layer": [-2, -5, -8, -11, 6],
        },
        "clip_vision_model": towers.CLIP,
        "siglip_vision_model": towers.SIGLIP,
        "pixtral": towers.PIXTRAL,
    },
    config_class={
        "llava": "LlavaConfig",
        "llava_next": "LlavaNextConfig",
        "llava_next_video": "LlavaNextVideoConfig",
        "llava_onevision": "LlavaOnevisionConfig",
        "vipllava": "VipLlavaConfig",
        "video_llava": "VideoLlavaConfig",
        **towers.CONFIG_CLASS,
    },
)
