"""LFM2-VL: an LFM2 decoder behind a SigLIP 2 tower for images of any size.

Squares of patches are joined, normed, and pass an MLP of two layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_wrapper

_IMAGE_KEYS = (
    "do_image_splitting downsample_image encoder_patch_size max_image_tokens max_num_patches"
    " max_pixels_tolerance max_tiles min_image_tokens min_tiles tile_size use_image_special_tokens"
    " use_thumbnail"
).split()
"""Keys that say how images are cut, which the processor reads."""


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore(*_IMAGE_KEYS)
    c.expect("vision_feature_layer", -1)
    return read_wrapper(c, "lfm2", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector."""
    v = FAMILY.part(c, "vision_config", "siglip2_vision_model")
    merge = c.size("downsample_factor")
    joined = vision.joined_width(v.size("hidden_size"), merge, "downsample_factor")
    inner, bias = c.size("projector_hidden_size"), c.flag("projector_bias")
    normed = c.flag("projector_use_layernorm")
    return towers.siglip2(
        v,
        merge=merge,
        projector=[
            draft(s.Linear, inputs=joined, outputs=inner, bias=bias),
            draft(s.Linear, inputs=inner, outputs=text["hidden_size"], bias=bias),
        ],
        projector_activation=blocks.activation_name(c, "projector_hidden_act"),
        projector_norms=same_evidence([joined.value] if normed.value else [], normed),
        projector_norm_bias=normed,
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.clip_rows(tower, "model.vision_tower.vision_model.", flat=True)
    module = "model.multi_modal_projector."
    yield from tensors.projector_norm_rows(tower, f"{module}layer_norm")
    yield from tensors.projector_rows(tower, f"{module}linear_1", f"{module}linear_2")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


FAMILY = Family(
    name="lfm2_vl",
    title="LFM2-VL",
    ref=modeling("lfm2_vl"),
    refs=towers.REFS,
    read=read,
    naming=_naming,
    conversions={"lfm2_vl": tensors.Conversion(renames=(tensors.CLIP_RENAME,))},
    defaults={
        "lfm2_vl": {
            "downsample_factor": 2,
            "projector_bias": True,
            "projector_hidden_act": "gelu",
            "projector_hidden_size": 2560,
            "projector_use_layernorm": True,
            "tie_word_embeddings": True,
        },
        "siglip2_vision_model": towers.SIGLIP2,
    },
    config_class={"lfm2_vl": "Lfm2VlConfig", **towers.CONFIG_CLASS},
)
