"""DeepSeek-VL: a Llama decoder behind a SigLIP tower and an MLP of two layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_wrapper


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    return read_wrapper(c, "llama", _vision_tower)


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


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.clip_rows(tower, "model.vision_model.")
    yield from tensors.projector_rows(tower, "model.aligner.linear1", "model.aligner.linear2")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


FAMILY = Family(
    name="deepseek_vl",
    title="DeepSeek-VL",
    ref=modeling("deepseek_vl"),
    refs=towers.REFS,
    read=read,
    naming=_naming,
    defaults={
        "deepseek_vl": {"tie_word_embeddings": True},
        "siglip_vision_model": towers.SIGLIP,
    },
    config_class={"deepseek_vl": "DeepseekVLConfig", **towers.CONFIG_CLASS},
)
