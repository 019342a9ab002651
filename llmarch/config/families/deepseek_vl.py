"""DeepSeek-VL: a Llama decoder behind a SigLIP tower and an MLP of two layers.

The 7B (`deepseek_vl_hybrid`) has SAM's tower too, for images of high resolution. A matrix for each
halves the decoder's width; a second one reads both halves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_wrapper


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    if c.model_type == "deepseek_vl":
        return read_wrapper(c, "llama", _vision_tower)
    whole = read_wrapper(c, "llama", _half_vision_tower)
    width = whole["hidden_size"]
    sam = FAMILY.part_or_defaults(c, "high_res_vision_config", "sam_vision_model")
    found = {"vision": _half_vision_tower(c, whole), "high_res_vision": _sam_tower(sam, width)}
    return whole.replace(towers=found)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector."""
    v = FAMILY.part(c, "vision_config", "siglip_vision_model")
    width = text["hidden_size"]
    return towers.siglip(
        v,
        projector=[
            draft(s.Linear, inputs=v.size("hidden_size"), outputs=width, bias=True),
            draft(s.Linear, inputs=width, outputs=width, bias=True),
        ],
        projector_activation="gelu",
    )


def _half_vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower, the matrix to half of the decoder's width, and the one over both halves."""
    v = FAMILY.part_or_defaults(c, "vision_config", "siglip_vision_model")
    width = text["hidden_size"]
    return towers.siglip(
        v,
        projector=[
            draft(s.Linear, inputs=v.size("hidden_size"), outputs=_half(width), bias=True),
            draft(s.Linear, inputs=width, outputs=width, bias=True),
        ],
        projector_activation="gelu",
    )


def _half(width: Sourced) -> Sourced:
    """Return half of the decoder's width."""
    return derived(width.value // 2, f"{width.evidence.ref} / 2")


def _sam_tower(v: ConfigKeys, width: Sourced) -> Draft:
    """Read SAM's tower, the convolutions behind it and the matrix to half of the width."""
    channels = v.size("output_channels")
    doubled = derived(2 * channels.value, "2 * output_channels")
    last = derived(4 * channels.value, "4 * output_channels")
    return towers.sam(
        v,
        ("sam_vision_model",),
        second_neck=True,
        projector=[
            *towers.reduced(channels, [doubled, last]),
            draft(s.Linear, inputs=last, outputs=_half(width), bias=True),
        ],
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.clip_rows(tower, "model.vision_model.")
    names = ("linear1", "linear2")
    if a.model_type == "deepseek_vl_hybrid":
        names = ("vision_proj", "proj")
        yield from tensors.of_tower(_sam_rows(a.towers["high_res_vision"]), "high_res_vision")
    yield from tensors.projector_rows(tower, *(f"model.aligner.{name}" for name in names))


def _sam_rows(tower: s.Encoder) -> Iterator[tensors.TensorRow]:
    """Yield SAM's tower, its second neck and its projector."""
    assert isinstance(tower, s.Tower)
    yield from tensors.sam_rows(tower, "model.high_res_vision_model.vision_encoder.")
    yield from tensors.neck_rows(tower, "model.high_res_vision_")
    facts = ("towers.vision.second_neck",)
    yield tensors.TensorRow("model.high_res_vision_alpha", (1,), (), "vision", facts)
    module = "model.high_res_vision_proj."
    yield from tensors.reducing_rows(tower, f"{module}conv1", f"{module}conv2")
    yield from tensors.matrix_rows("model.aligner.high_res_vision_proj", tower.projector[-1])


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


FAMILY = Family(
    name="deepseek_vl",
    title="DeepSeek-VL",
    ref=modeling("deepseek_vl"),
    refs={
        "deepseek_vl_hybrid": modeling("deepseek_vl_hybrid"),
        "sam_vision_model": modeling("sam"),
        **towers.REFS,
    },
    read=read,
    naming=_naming,
    defaults={
        "deepseek_vl": {"tie_word_embeddings": True},
        "deepseek_vl_hybrid": {"tie_word_embeddings": True},
        "siglip_vision_model": towers.SIGLIP,
        "sam_vision_model": towers.SAM,
    },
    config_class={
        "deepseek_vl": "DeepseekVLConfig",
        "deepseek_vl_hybrid": "DeepseekVLHybridConfig",
        "sam_vision_model": "SamVisionConfig",
        **towers.CONFIG_CLASS,
    },
)
