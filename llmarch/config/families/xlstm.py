"""xLSTM: an mLSTM and a gated MLP in each layer, soft caps on gates and logits."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, hard_coded, unknown
from ..vocabulary import ConfigKeys, Family, modeling

_KERNELS = (
    "add_out_norm autocast_kernel_dtype chunk_size chunkwise_kernel max_inference_chunksize mode"
    " norm_reduction_force_float32 return_last_states sequence_kernel step_kernel"
    " inference_state_dtype"
).split()
"""Keys that choose how the same thing is computed."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder. Raises ConfigError for an embedding of another width than the stream."""
    c.ignore(*_KERNELS, "tie_word_embeddings")
    c.describe_only("weight_mode", "single", "weights")
    hidden = c.size("hidden_size")
    width = c.size("embedding_dim", default=hidden).value
    if width != hidden.value:
        raise ConfigError(f"{c.file}: embedding_dim is {width:,}, hidden_size {hidden.value:,}")
    layers = blocks.every_layer(c, "linear", "num_blocks", "num_hidden_layers")
    bias = c.flag("use_bias")
    multiple = c.size("ffn_round_up_to_multiple_of")
    width = _rounded(c, "ffn_proj_factor", multiple.value)
    inner = blocks.rms_norm(c, "norm_eps").replace(bias=bias)
    return blocks.decoder(
        c,
        context_length=unknown("a state has no longest context, and the config names none"),
        embedding=draft(s.Embedding, tied=hard_coded(False, c.ref)),
        head=draft(s.Head, softcap=c.number("output_logit_soft_cap")),
        norms={"rms": inner, "final": blocks.rms_norm(c, "norm_eps")},
        final_norm="final",
        mixers={"linear": _mlstm(c, bias)},
        ffns={"dense": draft(s.Dense, width=width, activation="silu", bias=bias)},
        **blocks.layer_wiring(layers, "dense"),
    )


def _rounded(c: ConfigKeys, key: str, multiple: int) -> Sourced:
    """Return hidden_size times a factor, rounded up to a multiple."""
    size = c.size("hidden_size").value * c.positive(key).value
    steps = int((size + multiple - 1) // multiple)
    return derived(steps * multiple, f"hidden_size * {key}, rounded up to {multiple}")


def _share(c: ConfigKeys, key: str) -> Sourced:
    """Return hidden_size times a factor; only the class's properties round it up."""
    width = int(c.size("hidden_size").value * c.positive(key).value)
    return derived(width, f"hidden_size * {key}")


def _mlstm(c: ConfigKeys, bias: Sourced) -> Draft:
    """Read the mixer."""
    heads = c.size("num_heads")
    keys = _share(c, "qk_dim_factor")
    values = _share(c, "v_dim_factor")
    c.describe_only("eps", 1e-6, "behaviour")  # of the norm of states
    return draft(
        s.LinearAttention,
        variant="mlstm",
        key_heads=heads,
        value_heads=heads,
        key_head_dim=derived(keys.value // heads.value, f"{keys.evidence.ref} / num_heads"),
        value_head_dim=derived(values.value // heads.value, f"{values.evidence.ref} / num_heads"),
        bias=bias,
        gate="sigmoid",
        gate_softcap=c.number("gate_soft_cap"),
    )


def _mlstm_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the mixer."""
    module = tensors.Module("mlstm_layer", "attention")
    keys, values = a.key_heads * a.key_head_dim, a.value_heads * a.value_head_dim
    for name, rows in {"q": keys, "k": keys, "v": values, "ogate_preact": values}.items():
        yield from module.linear(name, rows, hidden, "key_head_dim", bias=a.bias)
    for name in ("igate_preact", "fgate_preact"):
        yield from module.linear(name, a.value_heads, hidden, "value_heads", bias=True)
    yield module.vector("multihead_norm.weight", values)
    if a.bias:
        yield module.vector("multihead_norm.bias", values)
    yield from module.linear("out_proj", hidden, values, bias=a.bias)


FAMILY = Family(
    name="xlstm",
    title="xLSTM",
    ref=modeling("xlstm"),
    read=read,
    naming=tensors.Naming(
        embedding="backbone.embeddings.weight",
        layer="backbone.blocks.{}.",
        final_norm="backbone.out_norm",
        norms=("norm_mlstm", "norm_ffn"),
        blocks={
            s.LinearAttention: _mlstm_parts,
            s.Dense: tensors.dense_parts("ffn", "proj_up_gate", "proj_up", "proj_down"),
        },
    ),
    conversions={"xlstm": tensors.Conversion(base="backbone")},
    defaults={
        "xlstm": {
            "ffn_proj_factor": 2.667,
            "ffn_round_up_to_multiple_of": 64,
            "gate_soft_cap": 15.0,
            "norm_eps": 1e-6,
            "num_heads": 8,
            "output_logit_soft_cap": 30.0,
            "qk_dim_factor": 0.5,
            "use_bias": False,
            "v_dim_factor": 1.0,
        },
    },
    config_class={"xlstm": "xLSTMConfig"},
)
