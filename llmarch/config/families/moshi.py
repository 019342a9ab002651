"""Moshi: the text decoder of a speech model. Its codec and its depth decoder are not read."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError, UnknownFamily
from .. import blocks
from ..evidence import Draft, derived, draft
from ..head import model_class
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder.

    Raises UnknownFamily for a class that holds the audio codec and the depth decoder too.
    """
    if model_class(c) == "MoshiForConditionalGeneration":
        raise UnknownFamily(
            f"{c.file}: MoshiForConditionalGeneration is not supported",
            "Its codec and depth decoder are not read; MoshiForCausalLM is.",
        )
    c.ignore("audio_encoder_config", "depth_decoder_config", "audio_vocab_size", "num_codebooks")
    full = blocks.attention(c, window=c.size("sliding_window"))
    return blocks.decoder(
        c,
        embedding=blocks.untied_embedding(c).replace(extra_rows=1),
        mixers={"full": full},
        ffns={"dense": _mlp(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP; the key of its width counts gate and up together.

    Raises ConfigError for an odd number.
    """
    both = c.size("ffn_dim")
    if both.value % 2:
        raise ConfigError(f"{c.file}: {c.key('ffn_dim')} is {both.value:,}, which is odd")
    activation = blocks.activation_name(c)
    return draft(s.Dense, width=derived(both.value // 2, "ffn_dim / 2"), activation=activation)


_LINEAR = tensors.split_attention_parts(
    q="q_proj.linear", k="k_proj.linear", v="v_proj.linear", o="o_proj.linear"
)
FAMILY = Family(
    name="moshi",
    title="Moshi",
    ref=modeling("moshi"),
    read=read,
    naming=tensors.Naming(
        blocks={s.Attention: _LINEAR, s.Dense: tensors.fused_dense_parts("mlp", "fc1", "fc2")}
    ),
    defaults={
        "moshi": {
            "ffn_dim": 22528,
            "hidden_act": "silu",
            "hidden_size": 4096,
            "max_position_embeddings": 3000,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "rms_norm_eps": 1e-8,
            "rope_theta": 10000.0,
            "sliding_window": 3000,
            "tie_word_embeddings": False,
            "vocab_size": 32000,
        },
    },
    config_class={"moshi": "MoshiConfig"},
)
