"""Helium (Kyutai): Llama whose RoPE pairs neighbouring dims."""

from __future__ import annotations

from ... import tensors
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    _check_heads(c)
    biases = {"qkv_bias": c.flag("attention_bias")}
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c, interleaved=True, **biases)},
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


def _check_heads(c: ConfigKeys) -> None:
    """Raise ConfigError if the heads together are not as wide as the stream.

    The output projection of the class is [hidden, hidden].
    """
    heads, dim = c.size("num_attention_heads").value, blocks.read_head_dim(c).value
    hidden = c.size("hidden_size").value
    if heads * dim != hidden:
        raise ConfigError(
            f"{c.file}: {heads} heads of {dim} dims are not the hidden_size {hidden:,}"
        )


FAMILY = Family(
    name="helium",
    title="Helium",
    ref=modeling("helium"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "helium": {
            "hidden_act": "silu",
            "head_dim": 128,
            "max_position_embeddings": 4096,
            "num_key_value_heads": 20,
            "rms_norm_eps": 1e-8,
            "rope_theta": 100000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "mlp_bias": False,
        },
    },
    config_class={"helium": "HeliumConfig"},
)
