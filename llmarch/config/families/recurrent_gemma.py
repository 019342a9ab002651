"""RecurrentGemma (Griffin): two layers of RG-LRU for each one of attention with a window."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import FactError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence, unknown
from ..findings import refused_by_transformers
from ..vocabulary import ConfigKeys, Family, modeling

_LAYER_TYPES = {"recurrent": "linear", "attention": "sliding"}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("w_init_variance_scale", "final_w_init_variance_scale", "attention_dropout")
    c.expect("embeddings_scale_by_sqrt_dim", True)
    layers = _repeated_types(c)
    mixers = blocks.read_used_blocks(c, {"linear": _rg_lru, "sliding": _attention}, layers.value)
    half = derived(c.size("intermediate_size").value // 2, "intermediate_size / 2")
    activation = blocks.activation_name(c, "hidden_activation")
    root = derived(c.size("hidden_size").value ** 0.5, "sqrt(hidden_size)")
    return blocks.decoder(
        c,
        context_length=unknown("states and windows have no longest context; the config names none"),
        embedding=blocks.embedding(c, scale=root),
        head=draft(s.Head, softcap=c.number("logits_soft_cap")),
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mixers=mixers,
        ffns={"dense": draft(s.Dense, width=half, activation=activation, bias=True)},
        **blocks.layer_wiring(layers, "dense"),
    )


def _repeated_types(c: ConfigKeys) -> Sourced:
    """Read the mixer of each layer from a list that is repeated."""
    types = c.items("block_types", "_block_types", entry=str)
    unknown = {*types.value} - {*_LAYER_TYPES}
    if unknown or not types.value:
        raise FactError(f"{types.evidence.ref} is {types.value}; its words are {[*_LAYER_TYPES]}")
    names = [_LAYER_TYPES[word] for word in types.value]
    return blocks.pattern_of(c, lambda i: names[i % len(names)], types)


def _attention(c: ConfigKeys) -> Draft:
    """Read attention with a window, which rotates half of each head."""
    window = c.size("attention_window_size", "sliding_window")
    return blocks.attention(c, window=window, qkv_bias=c.flag("attention_bias"), output_bias=True)


def _rg_lru(c: ConfigKeys) -> Draft:
    """Read the recurrent block: conv and RG-LRU on one branch, times gelu of the other."""
    heads = c.size("num_attention_heads")
    width = c.size("lru_width", default=None)
    if width.value is None:
        width = same_evidence(c.size("hidden_size").value, width)
    if width.value % heads.value:
        problem = f"is {width.value:,}, which is not a multiple of the {heads.value} heads"
        refused_by_transformers(c, "lru_width", problem, width.value)
    formula = f"{width.evidence.ref} / num_attention_heads"
    gate = blocks.activation_name(c, "hidden_activation")
    return draft(
        s.LinearAttention,
        variant="rg_lru",
        value_heads=heads,
        value_head_dim=derived(width.value // heads.value, formula),
        key_heads=heads,
        key_head_dim=1,
        conv_kernel=c.size("conv1d_width"),
        conv_bias=True,
        bias=True,
        gate=gate,
    )


def _rg_lru_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the recurrent block."""
    module = tensors.Module("temporal_block", "attention")
    heads, dim = a.value_heads, a.value_head_dim
    channels = heads * dim
    for name in ("linear_y", "linear_x"):
        yield from module.linear(name, channels, hidden, "value_head_dim", bias=True)
    yield module.tensor("conv_1d.weight", (channels, 1, a.conv_kernel or 0), "conv_kernel")
    yield module.vector("conv_1d.bias", channels)
    for name in ("input_gate", "recurrent_gate"):
        yield module.tensor(f"rg_lru.{name}_weight", (heads, dim, dim), "value_heads")
        yield module.tensor(f"rg_lru.{name}_bias", (heads, dim))
    yield module.vector("rg_lru.recurrent_param", channels)
    yield from module.linear("linear_out", hidden, channels, bias=True)


FAMILY = Family(
    name="recurrent_gemma",
    title="RecurrentGemma",
    ref=modeling("recurrent_gemma"),
    read=read,
    naming=tensors.Naming(
        final_norm="model.final_norm",
        norms=("temporal_pre_norm", "channel_pre_norm"),
        blocks={
            s.Attention: tensors.split_attention_parts("temporal_block"),
            s.LinearAttention: _rg_lru_parts,
            s.Dense: tensors.dense_parts("mlp_block"),
        },
    ),
    defaults={
        "recurrent_gemma": {
            "attention_bias": False,
            "attention_window_size": 2048,
            "block_types": ["recurrent", "recurrent", "attention"],
            "conv1d_width": 4,
            "hidden_activation": "gelu_pytorch_tanh",
            "logits_soft_cap": 30.0,
            "partial_rotary_factor": 0.5,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
        },
    },
    config_class={"recurrent_gemma": "RecurrentGemmaConfig"},
)
