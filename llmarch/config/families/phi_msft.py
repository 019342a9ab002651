"""Phi 1, 1.5 and 2 as first published (`phi-msft`): the Phi of transformers with other names.

Queries, keys and values are one matrix, and the vocabulary is rounded up to a multiple of 64.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, hard_coded
from ..vocabulary import ConfigKeys, Family

_HIDDEN = ("n_embd", "hidden_size")
_HEADS = ("n_head", "num_attention_heads")


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("flash_attn", "flash_rotary", "fused_dense", "img_processor", "architecture")
    layers = blocks.every_layer(c, "full", "n_layer", "num_hidden_layers")
    return blocks.decoder(
        c,
        hidden_size=c.size(*_HIDDEN),
        vocab_size=_rounded_vocabulary(c),
        context_length=c.size("n_positions", "max_position_embeddings"),
        head=draft(s.Head, bias=True),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers={"full": _attention(c)},
        ffns={"dense": blocks.gpt_mlp(c, "n_inner", *_HIDDEN)},
        **blocks.parallel_wiring(layers, "dense", "layer"),
    )


def _rounded_vocabulary(c: ConfigKeys) -> Sourced:
    """Return the rows of the embedding."""
    multiple = c.size("pad_vocab_size_multiple", default=hard_coded(64, c.ref)).value
    rows = c.size("vocab_size").value
    padded = -(-rows // multiple) * multiple
    return derived(padded, "vocab_size, up to a multiple of pad_vocab_size_multiple")


def _attention(c: ConfigKeys) -> Draft:
    """Read MHA or GQA. Raises ConfigError if the heads do not divide the width."""
    mixer = blocks.divided_attention(c, _HIDDEN, _HEADS, qkv_bias=True, output_bias=True)
    groups = c.optional(c.size, "n_head_kv")
    if groups.value:
        mixer = mixer.replace(kv_heads=groups)
    rotary = c.size("rotary_dim").value
    rotated = derived(min(rotary, mixer["head_dim"].value), "min(rotary_dim, n_embd / n_head)")
    return mixer.replace(rope=draft(s.Rope, theta=10000.0, rotary_dim=rotated))


FAMILY = Family(
    name="phi_msft",
    title="Phi (first code)",
    ref="microsoft/phi-2/modeling_phi.py",
    read=read,
    naming=tensors.Naming(
        embedding="transformer.embd.wte.weight",
        layer="transformer.h.{}.",
        final_norm="lm_head.ln",
        head="lm_head.linear",
        norms=("ln",),
        blocks={
            s.Attention: tensors.fused_attention_parts("mixer", "Wqkv", "out_proj"),
            s.Dense: tensors.dense_parts(up="fc1", down="fc2"),
        },
    ),
    conversions={"phi-msft": tensors.Conversion(base="transformer")},
    defaults={
        "phi-msft": {
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
            "n_head_kv": None,
            "n_positions": 2048,
            "rotary_dim": 32,
            "tie_word_embeddings": False,
        },
    },
    config_class={"phi-msft": "PhiConfig"},
)
