"""VideoLLaMA 3: a Qwen2 decoder behind a SigLIP tower with rotary positions of two axes.

Features are averaged by squares, as each input says, and pass an MLP of two layers.
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


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    return read_wrapper(c, "qwen2", _vision_tower, tied_by="either")


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector."""
    v = FAMILY.part(c, "vision_config", _KIND)
    width = text["hidden_size"]
    tower = towers.siglip(
        v,
        (_KIND,),
        positions=0,
        image_size=None,
        projector=[
            draft(s.Linear, inputs=v.size("hidden_size"), outputs=width, bias=True),
            draft(s.Linear, inputs=width, outputs=width, bias=True),
        ],
        projector_activation="gelu",
    )
    return vision.with_rope(v, tower)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.clip_rows(tower, "model.vision_model.")
    names = ("model.projector.readout.0", "model.projector.readout.2")
    yield from tensors.projector_rows(tower, *names)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


_KIND = "video_llama_3_vision"
FAMILY = Family(
    name="video_llama_3",
    title="VideoLLaMA 3",
    ref=modeling("video_llama_3"),
    read=read,
    naming=_naming,
    defaults={
        "video_llama_3": {"tie_word_embeddings": False},
        _KIND: {
            key: value
            for key, value in towers.SIGLIP.items()
            if key not in ("image_size", "vision_use_head")
        },
    },
    config_class={"video_llama_3": "VideoLlama3Config", _KIND: "VideoLlama3VisionConfig"},
)
