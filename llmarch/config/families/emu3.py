"""Emu3: a Llama decoder of text and image tokens. Its image tokenizer is not read."""

from __future__ import annotations

from ... import tensors
from ...errors import UnknownFamily
from .. import blocks
from ..evidence import Draft
from ..head import model_class
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the text part of a wrapper.

    Raises UnknownFamily for a class that holds the image tokenizer (VQ-GAN) too.
    """
    if c.model_type == "emu3_text_model":
        return _decoder(c)
    if model_class(c) == "Emu3ForConditionalGeneration":
        raise UnknownFamily(
            f"{c.file}: Emu3ForConditionalGeneration is not supported",
            "Its image tokenizer is not read; Emu3ForCausalLM is.",
        )
    part = FAMILY.part(c, "text_config", "emu3_text_model")
    c.ignore("vq_config", "vocabulary_map")  # of the image tokenizer
    return blocks.wrapped(c, part, FAMILY.read_layers(part), tied_by="part")


def _decoder(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c)},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="emu3",
    title="Emu3",
    ref=modeling("emu3"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "emu3": {"tie_word_embeddings": False},
        "emu3_text_model": {
            "hidden_act": "silu",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "max_position_embeddings": 9216,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1000000.0,
            "tie_word_embeddings": False,
            "vocab_size": 184622,
        },
    },
    config_class={"emu3": "Emu3Config", "emu3_text_model": "Emu3TextConfig"},
)
