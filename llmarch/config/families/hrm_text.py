"""HRM-Text: two stacks of layers that run in turns, each on the sum of both states.

The low stack runs several times for each run of the high one. Norms have no weights; attention has
a gate for each element.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("L_bp_cycles")  # of training
    high, low = c.size("H_cycles"), c.size("L_cycles")
    both = derived(high.value * low.value, "H_cycles * L_cycles")
    stack = _stack(c)
    layers = same_evidence(["low"] * stack.value + ["high"] * stack.value, stack)
    kind = blocks.layer_kind("full", "dense")
    sees = None
    if c.flag("prefix_lm").value:
        sees = "prefix"
    full = blocks.attention(
        c,
        kv_heads=c.size("num_attention_heads"),
        gate="elementwise",
        sees_ahead=same_evidence(sees, c.flag("prefix_lm")),
        **blocks.attention_biases(c),
    )
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, scale=_embedding_scale(c)),
        norms={"rms": blocks.rms_norm(c).replace(weight=False)},
        mixers={"full": full},
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        layer_kinds={
            "low": kind.replace(runs=both, initial_state=True),
            "high": kind.replace(runs=high),
        },
        layers=layers,
    )


def _stack(c: ConfigKeys) -> Sourced:
    """Read the number of layers of each stack.

    transformers writes it beside `num_hidden_layers`, which then counts all runs.
    """
    if c.has("num_layers_per_stack"):
        c.ignore("num_hidden_layers")
        return c.layer_count("num_layers_per_stack")
    c.ignore("num_layers_per_stack")
    return c.layer_count()


def _embedding_scale(c: ConfigKeys) -> Sourced:
    """Read the factor of the embedding; without it 1 / initializer_range."""
    given = c.number("embedding_scale", default=None)
    if given.value is not None:
        return given
    spread = c.number("initializer_range", default=0.02).value
    return derived(1 / spread, "1 / initializer_range")


def _attention_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield gate, queries, keys and values in one matrix, and their biases apart."""
    module = tensors.Module("attn", "attention")
    biases = tensors.Module("self_attn", "attention")
    width = a.heads * a.head_dim
    yield from module.linear("gqkv_proj", 4 * width, hidden, "heads", "head_dim", "gate")
    yield from module.linear("o_proj", hidden, width, bias=a.output_bias)
    if a.qkv_bias:
        for name in ("gate_proj", "q_proj", "k_proj", "v_proj"):
            yield biases.vector(f"{name}.bias", width, "qkv_bias")


def _mlp_parts(mlp: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield gate and up in one matrix, and their biases apart."""
    module = tensors.Module("mlp", "mlp")
    yield from module.linear("gate_up_proj", 2 * mlp.width, hidden, "width")
    yield from module.linear("down_proj", hidden, mlp.width, bias=mlp.bias)
    if mlp.bias:
        for name in ("gate_proj", "up_proj"):
            yield module.vector(f"{name}.bias", mlp.width, "bias")


FAMILY = Family(
    name="hrm_text",
    title="HRM-Text",
    ref=modeling("hrm_text"),
    read=read,
    naming=tensors.Naming(
        kind_layers={
            "low": "model.L_module.layers.{}.",
            "high": "model.H_module.layers.{}.",
        },
        initial_state="model.z_L_init",
        blocks={s.Attention: _attention_parts, s.Dense: _mlp_parts},
    ),
    conversions={
        "hrm_text": tensors.Conversion(
            renames=(tensors.Rename(r"\.attn\.o_proj\.", ".self_attn.o_proj."),),
            merges=(
                tensors.Merge(
                    (r"mlp\.gate_up_proj\.weight",),
                    ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
                ),
                tensors.Merge(
                    (r"attn\.gqkv_proj\.weight",),
                    tuple(f"self_attn.{name}_proj.weight" for name in ("gate", "q", "k", "v")),
                ),
            ),
        )
    },
    defaults={
        "hrm_text": {
            "H_cycles": 2,
            "L_cycles": 3,
            "attention_bias": False,
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 1536,
            "intermediate_size": 4096,
            "max_position_embeddings": 2048,
            "mlp_bias": False,
            "num_attention_heads": 12,
            "num_hidden_layers": 16,
            "prefix_lm": True,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "vocab_size": 151808,
        },
    },
    config_class={"hrm_text": "HrmTextConfig"},
)
