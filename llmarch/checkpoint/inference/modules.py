"""Recognise a module by its tensors: a mixer, a feed-forward block or a norm.

A recogniser takes the tensors of one module of one layer and returns the facts that names and
arithmetic prove, under the schema's field names; what they leave open has the reason. Nothing is
guessed, and no family is known here.
"""

from __future__ import annotations

from collections.abc import Callable

from .feed_forward import (
    recognise_dense,
    recognise_low_rank,
    recognise_moe,
    recognise_per_layer_input,
)
from .latent import recognise_compressed_attention, recognise_latent_attention
from .recognised import ModuleTensors, Recognised
from .recurrent import (
    recognise_gated_deltanet,
    recognise_kda,
    recognise_lightning,
    recognise_linear_attention,
    recognise_mamba,
    recognise_short_conv,
)
from .softmax import recognise_attention, recognise_partial_attention


def recognise_norm(tensors: ModuleTensors) -> Recognised | None:
    """Recognise a norm of the hidden width. Its kind is certain only with a bias."""
    if not tensors.has("weight") or not set(tensors.shapes) <= {"weight", "bias"}:
        return None

    shape = tensors.shapes["weight"]
    if shape is not None and len(shape) != 1:
        return None
    if shape is not None and tensors.hidden is not None and shape[0] != tensors.hidden:
        return None

    found = Recognised("norms", tensors.name, "norms")
    found.prove_presence(tensors, "bias", "bias", neighbour="weight")
    if tensors.has("bias"):
        found.prove("kind", "layernorm", "bias")
    else:
        found.leave_open("kind", reason="RMSNorm and LayerNorm without bias have the same tensors")

    found.leave_open("offset", reason="the header does not show whether weights are stored minus 1")
    found.leave_open("eps", reason="an epsilon has no tensors")
    return found


RECOGNISERS: tuple[Callable[[ModuleTensors], Recognised | None], ...] = (
    recognise_latent_attention,
    recognise_kda,
    recognise_gated_deltanet,
    recognise_lightning,
    recognise_mamba,
    recognise_short_conv,
    recognise_compressed_attention,
    recognise_linear_attention,
    recognise_attention,
    recognise_partial_attention,
    recognise_moe,
    recognise_per_layer_input,
    recognise_low_rank,
    recognise_dense,
    recognise_norm,
)
"""Special recognisers before general ones: the first that returns a module is right."""


def recognise(tensors: ModuleTensors) -> Recognised | None:
    """Return the module that these tensors are, or None."""
    for recogniser in RECOGNISERS:
        found = recogniser(tensors)
        if found is not None:
            return found
    return None
