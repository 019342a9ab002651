"""PaliGemma 1 and 2: a Gemma decoder behind a SigLIP tower and one matrix.

Tokens of the prompt attend to each other in both directions.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers
from ..evidence import Draft, draft, hard_coded
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_in_language_model, read_wrapper


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("hidden_size", "vocab_size", "projection_dim", "num_image_tokens")
    decoder = c.child("text_config")
    decoder.ignore("use_bidirectional_attention", "num_image_tokens")
    causal = {k: v for k, v in decoder.data.items() if k != "use_bidirectional_attention"}
    c.data = {**c.data, "text_config": causal}  # of the class, whose mask is that of a prefix
    whole = read_wrapper(c, "gemma", _vision_tower)
    sees = hard_coded("prefix", c.ref)
    mixers = {name: mixer.replace(sees_ahead=sees) for name, mixer in whole["mixers"].items()}
    return whole.replace(mixers=mixers)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector, as wide as the wrapper's `projection_dim` says."""
    v = FAMILY.part(c, "vision_config", "siglip_vision_model")
    v.ignore("num_image_tokens", "num_positions", "projector_hidden_act")
    outputs = c.size("projection_dim")
    matrix = draft(s.Linear, inputs=v.size("hidden_size"), outputs=outputs, bias=True)
    return towers.siglip(v, projector=[matrix])


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.clip_rows(tower, "vision_tower.vision_model.")
    yield from tensors.projector_rows(tower, "multi_modal_projector.linear")


FAMILY = Family(
    name="paligemma",
    title="PaliGemma",
    ref=modeling("paligemma"),
    refs=towers.REFS,
    read=read,
    naming=naming_in_language_model(_tower_rows),
    conversions={
        "paligemma": tensors.Conversion(renames=(*tensors.LLAVA_RENAMES, tensors.CLIP_RENAME))
    },
    defaults={
        "paligemma": {"projection_dim": 2048, "tie_word_embeddings": True},
        "siglip_vision_model": towers.SIGLIP,
    },
    config_class={"paligemma": "PaliGemmaConfig", **towers.CONFIG_CLASS},
)
