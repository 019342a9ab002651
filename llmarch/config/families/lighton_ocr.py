"""LightOnOCR: a Qwen3 decoder behind a Pixtral tower, whose patches are normed and merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers, vision
from ..evidence import Draft, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_wrapper


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    return read_wrapper(c, "qwen3", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector: a matrix that merges patches, then two more."""
    v = FAMILY.part(c, "vision_config", "pixtral")
    hidden, width = v.size("hidden_size"), text["hidden_size"]
    merge = c.size("spatial_merge_size")
    merged = vision.joined_width(hidden, merge, "spatial_merge_size")
    return towers.pixtral(
        v,
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=hidden),
            draft(s.Linear, inputs=hidden, outputs=width),
            draft(s.Linear, inputs=width, outputs=width),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([hidden.value], hidden),
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.pixtral_rows(tower, "model.vision_encoder.")
    module = "model.vision_projection."
    yield from tensors.projector_norm_rows(tower, f"{module}norm")
    names = ("patch_merger.merging_layer", "linear_1", "linear_2")
    yield from tensors.projector_rows(tower, *(module + name for name in names))


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


FAMILY = Family(
    name="lighton_ocr",
    title="LightOnOCR",
    ref=modeling("lighton_ocr"),
    refs=towers.REFS,
    read=read,
    naming=_naming,
    defaults={
        "lighton_ocr": {"spatial_merge_size": 2, "tie_word_embeddings": True},
        "pixtral": towers.PIXTRAL,
    },
    config_class={"lighton_ocr": "LightOnOcrConfig", **towers.CONFIG_CLASS},
)
