"""GPT-Neo: GPT-2's layers with plain matrices; every other layer reads a window.

Scores are not divided by the root of the head dim.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import FactError
from .. import blocks
from ..evidence import Draft, Sourced, same_evidence
from ..keys import MAX_LAYERS
from ..vocabulary import ConfigKeys, Family, modeling

_LAYER_TYPES = {"global": "full", "local": "sliding"}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    positions = c.size("max_position_embeddings")
    layers = _attention_layers(c)
    full = blocks.divided_attention(
        c, ("hidden_size",), ("num_heads",), output_bias=True, scale=1.0
    )
    mlp = blocks.gpt_mlp(c, "intermediate_size", "hidden_size")
    mixers = blocks.windowed(full, c.size("window_size"))
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, positions=positions),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers=blocks.used(mixers, layers),
        ffns={"dense": mlp},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide, from a list of them or from repeated patterns.

    The first token of a pattern is a list of types, the second how often they follow each other.
    """
    repeated = c.items("attention_types", default=[])
    if c.has("attention_layers"):
        return _mixers_of_words(
            c, c.items("attention_layers", length=c.layer_count("num_layers").value)
        )
    if not all(map(_is_pattern, repeated.value)):
        raise FactError(f"{repeated.evidence.ref} are not types with a count")
    words: list[Any] = [word for types, times in repeated.value for word in types * times]
    return _mixers_of_words(c, same_evidence(words, repeated))


def _is_pattern(entry: Any) -> bool:
    """Return whether an entry is a list of types and how often they follow each other."""
    match entry:
        case [[*types], int(times)]:
            return 0 <= times <= MAX_LAYERS and all(isinstance(word, str) for word in types)
        case _:
            return False


def _mixers_of_words(c: ConfigKeys, words: Sourced) -> Sourced:
    """Return the names of the layers' mixers for words, one for each layer."""
    unknown = {*map(str, words.value)} - {*_LAYER_TYPES}
    if unknown:
        raise FactError(f"{words.evidence.ref} has {sorted(unknown)}; known are {[*_LAYER_TYPES]}")
    names = [_LAYER_TYPES[word] for word in words.value]
    depth = c.layer_count("num_layers").value
    if len(names) != depth:
        raise FactError(f"attention_types has {len(names)} layers of {depth}")
    return same_evidence(names, words)


FAMILY = Family(
    name="gpt_neo",
    title="GPT-Neo",
    ref=modeling("gpt_neo"),
    read=read,
    naming=tensors.Naming(
        embedding="transformer.wte.weight",
        positions="transformer.wpe.weight",
        layer="transformer.h.{}.",
        final_norm="transformer.ln_f",
        score_heads=tensors.CLASSIFIER_HEADS,
        norms=("ln_1", "ln_2"),
        blocks={
            s.Attention: tensors.split_attention_parts("attn.attention", o="out_proj"),
            s.Dense: tensors.dense_parts(up="c_fc", down="c_proj"),
        },
    ),
    conversions={"gpt_neo": tensors.Conversion(base="transformer")},
    defaults={
        "gpt_neo": {
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": True,
            "window_size": 256,
        },
    },
    config_class={"gpt_neo": "GPTNeoConfig"},
)
