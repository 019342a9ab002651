"""Idefics 3, SmolVLM and their kin: a decoder of any family behind a SigLIP tower.

Squares of patches are joined and pass one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers, vision
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_wrapper

_TOWERS = {"idefics3": "idefics3_vision", "smolvlm": "smolvlm_vision"}


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("vocab_size", "image_seq_len")
    return read_wrapper(c, "llama", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower, and the matrix from joined patches to the decoder's width."""
    kind = _TOWERS[c.model_type]
    v = FAMILY.part(c, "vision_config", kind)
    v.ignore("max_image_size", "size", "tie_word_embeddings", "use_base_siglip")
    merge = c.size("scale_factor")
    joined = vision.joined_width(v.size("hidden_size"), merge, "scale_factor")
    return towers.siglip(
        v,
        (kind, "idefics3", "idefics3_vision", "siglip_vision_model"),
        merge=merge,
        projector=[draft(s.Linear, inputs=joined, outputs=text["hidden_size"])],
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.clip_rows(tower, "model.vision_model.")
    yield from tensors.projector_rows(tower, "model.connector.modality_projection.proj")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(
        tensors.in_base(naming_of_decoder(a), "model.text_model"), prefix="", tower=_tower_rows
    )


_VISION = {
    "hidden_size": 1152,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
_WRAPPER = {"scale_factor": 2, "tie_word_embeddings": False}
FAMILY = Family(
    name="idefics3",
    title="Idefics 3 and SmolVLM",
    ref=modeling("idefics3"),
    refs={"smolvlm": modeling("smolvlm"), "smolvlm_vision": modeling("smolvlm")},
    read=read,
    naming=_naming,
    defaults={
        "idefics3": _WRAPPER,
        "smolvlm": _WRAPPER,
        "idefics3_vision": _VISION,
        "smolvlm_vision": _VISION,
    },
    config_class={
        "idefics3": "Idefics3Config",
        "smolvlm": "SmolVLMConfig",
        "idefics3_vision": "Idefics3VisionConfig",
        "smolvlm_vision": "SmolVLMVisionConfig",
    },
)
