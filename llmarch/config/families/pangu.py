"""openPangu Embedded 1B and 7B: a Llama with biases on attention's projections."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c, **blocks.attention_biases(c, "bias"))},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="pangu",
    title="openPangu",
    ref="FreedomIntelligence/openPangu-Embedded-7B-V1.1/modeling_openpangu_dense.py",
    read=read,
    naming=tensors.Naming(),
)
