"""Command A Vision and Aya Vision: a Cohere decoder behind a SigLIP tower.

Squares of patches are joined and pass a gated MLP; Aya norms them before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers, vision
from ..evidence import Draft, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_wrapper


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("vision_feature_select_strategy")
    c.expect("vision_feature_layer", -1)
    return read_wrapper(c, "cohere2", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector, whose first matrix gives gate and value together."""
    v = FAMILY.part(c, "vision_config", "siglip_vision_model")
    width = text["hidden_size"]
    merge = c.size("downsample_factor")
    joined = vision.joined_width(v.size("hidden_size"), merge, "downsample_factor")
    inner = c.size("alignment_intermediate_size", default=width)
    half = derived(inner.value // 2, "alignment_intermediate_size / 2")
    facts: dict[str, Any] = {
        "merge": merge,
        "projector": [
            draft(s.Linear, inputs=joined, outputs=inner, bias=True),
            draft(s.Linear, inputs=half, outputs=width, bias=True),
        ],
        "projector_activation": "swiglu",
    }
    if c.model_type == "aya_vision":
        c.describe_only("adapter_layer_norm_eps", 1e-6, "behaviour")
        facts["projector_norms"] = same_evidence([joined.value], joined)
        facts["projector_norm_bias"] = True
    return towers.siglip(v, **facts)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    prefix = "model." if a.model_type == "cohere2_vision" else ""
    yield from tensors.clip_rows(tower, f"{prefix}vision_tower.vision_model.")
    module = f"{prefix}multi_modal_projector."
    yield from tensors.projector_norm_rows(tower, f"{module}layernorm")
    yield from tensors.projector_rows(tower, f"{module}linear_1", f"{module}linear_2")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    names = replace(naming_of_decoder(a), tower=_tower_rows)
    if a.model_type == "cohere2_vision":
        return tensors.in_base(names, "model.language_model")
    return replace(names, prefix="language_model.")


FAMILY = Family(
    name="cohere2_vision",
    title="Cohere Vision",
    ref=modeling("cohere2_vision"),
    refs={"aya_vision": modeling("aya_vision"), **towers.REFS},
    read=read,
    naming=_naming,
    conversions={
        "aya_vision": tensors.Conversion(renames=(*tensors.LLAVA_RENAMES, tensors.CLIP_RENAME)),
        "cohere2_vision": tensors.Conversion(renames=(tensors.CLIP_RENAME,)),
    },
    defaults={
        "cohere2_vision": {
            "alignment_intermediate_size": 36864,
            "downsample_factor": 2,
            "tie_word_embeddings": True,
        },
        "aya_vision": {"downsample_factor": 2, "tie_word_embeddings": True},
        "siglip_vision_model": towers.SIGLIP,
    },
    config_class={
        "cohere2_vision": "Cohere2VisionConfig",
        "aya_vision": "AyaVisionConfig",
        **towers.CONFIG_CLASS,
    },
)
