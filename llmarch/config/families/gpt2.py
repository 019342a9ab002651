"""GPT-2 and the first GPT: learned positions, LayerNorm, MHA, an ungated MLP, biases, tied.

GPT-2 norms before each block, GPT after each addition and not at the end.

Its matrices are Conv1D: stored as [inputs, outputs], unlike those of every other family. Queries,
keys and values are one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full", "n_layer", "num_hidden_layers")
    positions = c.size("n_positions", "max_position_embeddings")
    # keys of the first GPT-2 code, which nothing reads now
    c.ignore("n_ctx", "n_special", "predict_special_tokens", "output_past")
    c.describe_only("add_cross_attention", False, "weights")
    first = c.model_type == "openai-gpt"
    step = blocks.layer_norm_after if first else blocks.layer_norm_step
    return blocks.decoder(
        c,
        hidden_size=c.size("n_embd", "hidden_size"),
        context_length=positions,
        embedding=blocks.embedding(c, positions=positions),
        final_norm=None if first else "layer",
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        mixers={"full": _attention(c)},
        ffns={"dense": _mlp(c)},
        **blocks.layer_wiring(layers, "dense", step),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read MHA. Raises ConfigError if the heads do not divide the width."""
    mixer = blocks.divided_attention(
        c,
        ("n_embd", "hidden_size"),
        ("n_head", "num_attention_heads"),
        qkv_bias=True,
        output_bias=True,
    )
    if c.model_type == "openai-gpt":
        return mixer
    scaled = c.flag("scale_attn_weights")
    return mixer.replace(
        scale=None if scaled.value else same_evidence(1.0, scaled),
        scale_by_depth=c.flag("scale_attn_by_inverse_layer_idx"),
    )


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP."""
    if c.model_type == "openai-gpt":
        return _first_mlp(c)
    return blocks.gpt_mlp(c, "n_inner", "n_embd", "hidden_size")


def _first_mlp(c: ConfigKeys) -> Draft:
    """Read the MLP of the first GPT, whose `gelu` is the tanh form."""
    width = derived(4 * c.size("n_embd").value, "4 * n_embd")
    activation = blocks.activation_name(c, "afn")
    if activation.value == "gelu":
        activation = same_evidence("gelu_tanh", activation)
    return draft(s.Dense, width=width, activation=activation, gated=False, bias=True)


def _conv1d(
    m: tensors.Module, name: str, inputs: int, outputs: int, *proves: str
) -> Iterator[tensors.BlockTensor]:
    """Yield a matrix stored as [inputs, outputs], and its bias."""
    yield m.tensor(f"{name}.weight", (inputs, outputs), *proves)
    yield m.vector(f"{name}.bias", outputs)


def _attention_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of attention."""
    m = tensors.Module("attn", "attention")
    inner = a.heads * a.head_dim
    yield from _conv1d(m, "c_attn", hidden, 3 * inner, "heads", "kv_heads", "head_dim")
    yield from _conv1d(m, "c_proj", inner, hidden, "v_head_dim")


def _dense_parts(f: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the MLP."""
    m = tensors.Module("mlp", "mlp")
    yield from _conv1d(m, "c_fc", hidden, f.width, "width")
    yield from _conv1d(m, "c_proj", f.width, hidden, "width")


_BLOCKS = {s.Attention: _attention_parts, s.Dense: _dense_parts}
_GPT2 = tensors.Naming(
    embedding="wte.weight",
    positions="wpe.weight",
    layer="h.{}.",
    final_norm="ln_f",
    score_heads=tensors.CLASSIFIER_HEADS,
    norms=("ln_1", "ln_2"),
    blocks=_BLOCKS,
)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    if a.model_type != "openai-gpt":
        return _GPT2
    return replace(
        _GPT2,
        embedding="transformer.tokens_embed.weight",
        positions="transformer.positions_embed.weight",
        layer="transformer.h.{}.",
    )


_CLASS_DEFAULTS = {
    "n_positions": 1024,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
}
FAMILY = Family(
    name="gpt2",
    title="GPT-2",
    ref=modeling("gpt2"),
    read=read,
    naming=_naming,
    refs={"openai-gpt": modeling("openai")},
    conversions=dict.fromkeys(
        ("gpt2", "gpt-sw3", "openai-gpt"), tensors.Conversion(base="transformer")
    ),
    defaults={
        "gpt2": _CLASS_DEFAULTS,
        "gpt-sw3": _CLASS_DEFAULTS,
        "openai-gpt": {
            "afn": "gelu",
            "layer_norm_epsilon": 1e-5,
            "n_positions": 512,
            "tie_word_embeddings": True,
        },
    },
    config_class={
        "gpt2": "GPT2Config",
        "gpt-sw3": "GPT2Config",
        "openai-gpt": "OpenAIGPTConfig",
    },
)
