"""Fuyu: a Persimmon decoder that reads patches of an image through one matrix."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_in_language_model, read_text_part


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder, whose keys may be its own."""
    c.ignore("image_size", "text_model_type")
    part, text = read_text_part(c, "persimmon")
    whole = blocks.wrapped(c, part, text)
    matrix = vision.patch_embedding(c, text["hidden_size"], bias=True)
    embedding = draft(
        s.FeatureEmbedding, kind="fuyu", patch_size=c.size("patch_size"), projector=[matrix]
    )
    return whole.replace(decoder_type=text["model_type"], towers={"vision": embedding})


def _embedding_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the matrix of patches."""
    (matrix,) = a.towers["vision"].projector
    facts = ("towers.vision.patch_size",)
    yield from tensors.matrix_rows("vision_embed_tokens", matrix, proves=facts)


FAMILY = Family(
    name="fuyu",
    title="Fuyu",
    ref=modeling("fuyu"),
    read=read,
    naming=naming_in_language_model(_embedding_rows),
    conversions={
        "fuyu": tensors.Conversion(
            renames=(
                tensors.Rename(r"^language_model.lm_head(?!\w)", "lm_head"),
                tensors.Rename(r"^language_model(?!\w)", "model.language_model"),
                tensors.Rename(r"^vision_embed_tokens(?!\w)", "model.vision_embed_tokens"),
                tensors.Rename(r"^language_model.model(?!\w)", "language_model", scope=""),
            )
        )
    },
    defaults={
        "fuyu": {
            "num_channels": 3,
            "patch_size": 30,
            "rope_theta": 25000.0,
            "tie_word_embeddings": False,
        }
    },
    config_class={"fuyu": "FuyuConfig"},
)
