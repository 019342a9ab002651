"""GPT-J and CodeGen: attention and MLP in parallel after one LayerNorm, RoPE on part of each head.

RoPE pairs neighbouring dims. The head has a bias, attention has none. CodeGen stores queries, keys
and values as one matrix.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("rotary", "scale_attn_weights")  # keys of the first code, without effect
    c.ignore("rope_parameters")  # the frequencies are written in the code
    layers = blocks.every_layer(c, "full", "n_layer", "num_hidden_layers")
    return blocks.decoder(
        c,
        hidden_size=c.size("n_embd", "hidden_size"),
        context_length=c.size("n_positions", "max_position_embeddings"),
        head=draft(s.Head, bias=True),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers={"full": _attention(c)},
        ffns={"dense": blocks.gpt_mlp(c, "n_inner", "n_embd", "hidden_size")},
        **blocks.parallel_wiring(layers, "dense", "layer"),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read MHA. Raises ConfigError if the heads do not divide the width."""
    mixer = blocks.divided_attention(
        c, ("n_embd", "hidden_size"), ("n_head", "num_attention_heads")
    )
    rotary = c.size("rotary_dim", most=mixer["head_dim"].value)
    if c.model_type == "codegen":
        rotary = _within_context(c, rotary)
    else:
        c.ignore("n_ctx")
    return mixer.replace(rope=draft(s.Rope, theta=10000.0, rotary_dim=rotary, interleaved=True))


def _within_context(c: ConfigKeys, rotary: Sourced) -> Sourced:
    """Return the rotated dimensions of CodeGen's class, which bounds them by `n_ctx` per head."""
    heads = c.size("n_head", "num_attention_heads").value
    most = c.size("n_ctx", default=2048).value // heads
    if rotary.value <= most:
        return rotary
    return derived(most, "n_ctx / n_head, rounded down")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    attention = tensors.split_attention_parts("attn", o="out_proj")
    if a.model_type == "codegen":
        attention = tensors.fused_attention_parts("attn", "qkv_proj", "out_proj")
    return tensors.Naming(
        embedding="transformer.wte.weight",
        layer="transformer.h.{}.",
        final_norm="transformer.ln_f",
        norms=("ln_1",),
        blocks={
            s.Attention: attention,
            s.Dense: tensors.dense_parts(up="fc_in", down="fc_out"),
        },
    )


_DEFAULTS = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "n_positions": 2048,
    "rotary_dim": 64,
    "tie_word_embeddings": False,
}
FAMILY = Family(
    name="gptj",
    title="GPT-J",
    ref=modeling("gptj"),
    refs={"codegen": modeling("codegen")},
    read=read,
    naming=_naming,
    conversions=dict.fromkeys(("gptj", "codegen"), tensors.Conversion(base="transformer")),
    defaults={"gptj": _DEFAULTS, "codegen": _DEFAULTS},
    config_class={"gptj": "GPTJConfig", "codegen": "CodeGenConfig"},
)
