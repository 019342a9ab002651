"""HyperCLOVA X SEED Think with vision: a HyperCLOVA X decoder behind Qwen2.5-VL's tower.

A further matrix joins the tower's merger to the decoder's width.
"""

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
    return read_wrapper(c, "hyperclovax", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower, and the matrix to the decoder's width."""
    v = FAMILY.part(c, "vision_config", _KIND)
    matrix = draft(
        s.Linear, inputs=v.size("out_hidden_size"), outputs=text["hidden_size"], bias=True
    )
    return towers.qwen2_5_vit(v, (_KIND, "qwen2_5_vl"), decoder_width=None, output=matrix)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    attention = tensors.fused_attention_parts("attn", "qkv", "proj")
    yield from tensors.qwen_vit_rows(tower, "model.vision_model.", attention)
    yield from tensors.matrix_rows("model.vision_projector", tower.output)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


_KIND = "qwen2_5_vl_vision"
FAMILY = Family(
    name="hyperclovax_vision",
    title="HyperCLOVA X vision",
    ref=modeling("hyperclovax_vision_v2"),
    refs={_KIND: modeling("qwen2_5_vl")},
    read=read,
    naming=_naming,
    conversions={
        "hyperclovax_vision_v2": tensors.Conversion(
            renames=(
                tensors.Rename(r"^model.language_model.lm_head", "lm_head"),
                tensors.Rename(r"^model.vision_projector", "model.projector"),
                tensors.Rename(r"^model.language_model.model\.", "model.language_model."),
            )
        )
    },
    defaults={
        "hyperclovax_vision_v2": {"tie_word_embeddings": True},
        _KIND: towers.QWEN2_5_VIT,
    },
    config_class={
        "hyperclovax_vision_v2": "HyperCLOVAXVisionV2Config",
        _KIND: "Qwen2_5_VLVisionConfig",
    },
)
