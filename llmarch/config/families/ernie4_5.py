"""ERNIE 4.5, dense and MoE: Llama whose RoPE pairs neighbouring dims, with one flag for all biases.

The MoE chooses among softmax scores with a bias for the choice, and has shared experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..findings import value_not_described
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    bias = c.flag("use_bias")
    layers = blocks.every_layer(c, "full")
    mixers = {"full": blocks.attention(c, interleaved=True, qkv_bias=bias, output_bias=bias)}
    if c.model_type == "ernie4_5":
        ffns = {"dense": blocks.dense(c, bias=bias)}
        return blocks.decoder(c, mixers=mixers, ffns=ffns, **blocks.layer_wiring(layers, "dense"))
    kinds = _moe_layers(c)

    def dense(c: ConfigKeys) -> Draft:
        return blocks.dense(c, bias=bias)

    ffns = blocks.read_used_blocks(c, {"dense": dense, "moe": _moe}, kinds.value)
    head = draft(s.Head, bias=bias)
    wiring = blocks.layer_wiring("full", kinds)
    return blocks.decoder(c, head=head, mixers=mixers, ffns=ffns, **wiring)


def _moe_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are MoE: those of an interval between a first and a last one.

    A last layer of -1 is the model's last. Layers are numbered from 1 for the interval.
    """
    first = c.size("moe_layer_start_index", least=0).value
    last = c.size("moe_layer_end_index", least=-1).value
    if last == -1:
        last = c.layer_count().value - 1
    every = c.size("moe_layer_interval").value
    source = derived(None, "moe_layer_start_index, moe_layer_end_index, moe_layer_interval")
    return blocks.moe_layers(
        c, lambda i: first <= i <= last and (i + 1) % every == 0, source, types=""
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE."""
    _check_least_sum(c)
    router = draft(s.Router, scoring="softmax", selection_bias=True, normalized=True)
    return blocks.moe(
        c,
        router,
        experts=("moe_num_experts", "num_experts"),
        active=("moe_k", "num_experts_per_tok"),
        shared_bias=c.flag("use_bias"),
        **blocks.shared_experts(c, "moe_num_shared_experts"),
    )


def _check_least_sum(c: ConfigKeys) -> None:
    """Report a least sum of the weights of chosen experts that such sums fall below.

    It is a bound against division by zero. The highest of n weights are together at least their
    share of n.
    """
    key = "moe_norm_min"
    least = c.number(key, default=1e-12).value
    share = c.size("moe_k", "num_experts_per_tok").value
    share /= c.size("moe_num_experts", "num_experts").value
    if least > share:
        value_not_described(c, key, 1e-12, "behaviour")


def _moe_parts(block: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the MoE; the bias for the choice is stored as [1, experts]."""
    bias = "moe_statics.e_score_correction_bias"
    parts = tensors.moe_parts(selection_bias=bias)
    for tensor in parts(block, hidden):
        if tensor.name.endswith(bias):
            tensor = replace(tensor, shape=(1, *tensor.shape))
        yield tensor


_DEFAULTS = {
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "use_bias": False,
}
FAMILY = Family(
    name="ernie4_5",
    title="ERNIE 4.5",
    ref=modeling("ernie4_5"),
    refs={"ernie4_5_moe": modeling("ernie4_5_moe")},
    read=read,
    naming=tensors.Naming(blocks={s.MoE: _moe_parts}),
    conversions={
        "ernie4_5_moe": tensors.Conversion(
            renames=(tensors.Rename(r"mlp\.(moe_statics\.)", r"mlp.gate.\1"),),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "ernie4_5": {**_DEFAULTS, "num_key_value_heads": 2, "head_dim": 128},
        "ernie4_5_moe": {
            **_DEFAULTS,
            "num_key_value_heads": 4,
            "moe_intermediate_size": 1536,
            "moe_k": 6,
            "moe_num_experts": 64,
            "moe_num_shared_experts": 2,
            "moe_layer_start_index": 1,
            "moe_layer_end_index": -1,
            "moe_layer_interval": 1,
        },
    },
    config_class={"ernie4_5": "Ernie4_5Config", "ernie4_5_moe": "Ernie4_5_MoeConfig"},
)
