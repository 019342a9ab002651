"""OLMo Hybrid: Gated DeltaNet on three of four layers, OLMo 3's attention on the fourth.

The linear layers norm the input of each block, the others its output.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_INITIAL = (
    "linear_a_log_max linear_a_log_min linear_dt_init_floor linear_dt_max linear_dt_min".split()
)
"""Keys of initial values."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore(*_INITIAL)
    layers = _attention_layers(c)
    used = dict.fromkeys(layers.value)
    steps = {"linear": blocks.pre_norm_step, "full": blocks.post_norm_step}
    kinds = {name: blocks.layer_kind(name, "dense", steps[name]) for name in used}
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": _full, "linear": _delta_net}, layers.value),
        ffns={"dense": blocks.dense(c)},
        layer_kinds=kinds,
        layers=layers,
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are linear; without a list every fourth is full, or the last."""
    listed = blocks.listed_layers(c, blocks.HYBRID)
    if listed.value is not None:
        return listed
    depth = c.layer_count().value
    last = depth - 1 if depth < 4 else 3
    rule = derived(None, "every fourth layer is full, of fewer than four the last")
    return blocks.pattern_of(c, lambda i: "full" if i % 4 == 3 or i == last else "linear", rule)


def _full(c: ConfigKeys) -> Draft:
    """Read attention with QK-norm over the whole projections; a null base stands for no RoPE."""
    norm = draft(s.QKNorm, scope="projection")
    keys = blocks.rope_keys(c)
    if "rope_theta" in keys.data and keys.data["rope_theta"] is None:
        absent = keys.value("rope_theta", default=None)
        rope = same_evidence(None, absent)
        return blocks.attention(c, qk_norm=norm, rope=rope, **blocks.attention_biases(c))
    return blocks.attention(c, qk_norm=norm, **blocks.attention_biases(c))


def _delta_net(c: ConfigKeys) -> Draft:
    """Read Gated DeltaNet, whose sizes follow from the model's unless they are given."""
    heads = c.size("num_attention_heads")
    key_heads = c.size("linear_num_key_heads", default=heads)
    formula = "0.75 * hidden_size / linear_num_key_heads"
    three_quarters = derived(int(0.75 * c.size("hidden_size").value / key_heads.value), formula)
    key_dim = c.size("linear_key_head_dim", default=three_quarters)
    double = derived(2 * key_dim.value, "2 * linear_key_head_dim")
    negative = c.flag("linear_allow_neg_eigval")
    return draft(
        s.LinearAttention,
        variant="gated_deltanet",
        key_heads=key_heads,
        value_heads=c.size("linear_num_value_heads", default=heads),
        key_head_dim=key_dim,
        value_head_dim=c.size("linear_value_head_dim", default=double),
        conv_kernel=c.size("linear_conv_kernel_dim"),
        gate="silu",
        beta_scale=same_evidence(2.0 if negative.value else 1.0, negative),
    )


def _delta_net_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of Gated DeltaNet with a matrix for each of its inputs."""
    module = tensors.Module("linear_attn", "attention")
    keys, values = a.key_heads * a.key_head_dim, a.value_heads * a.value_head_dim
    for name, rows in {"q": keys, "k": keys, "v": values}.items():
        yield from module.linear(f"{name}_proj", rows, hidden, "key_heads", "key_head_dim")
        yield module.tensor(f"{name}_conv1d.weight", (rows, 1, a.conv_kernel or 0), "conv_kernel")
    for name in ("a_proj", "b_proj"):
        yield from module.linear(name, a.value_heads, hidden, "value_heads")
    yield from module.linear("g_proj", values, hidden, "gate")
    for name in ("A_log", "dt_bias"):
        yield module.vector(name, a.value_heads)
    yield module.vector("o_norm.weight", a.value_head_dim, "value_head_dim")
    yield from module.linear("o_proj", hidden, values)


FAMILY = Family(
    name="olmo_hybrid",
    title="OLMo Hybrid",
    ref=modeling("olmo_hybrid"),
    read=read,
    naming=tensors.Naming(
        norms=tensors.POST_NORMS,
        kind_norms={"linear": ("attention_layer_norm", "feedforward_layer_norm")},
        blocks={s.LinearAttention: _delta_net_parts},
    ),
    conversions={
        "olmo_hybrid": tensors.Conversion(
            renames=(
                tensors.Rename(r"attention_layer_norm", "input_layernorm"),
                tensors.Rename(r"feedforward_layer_norm", "post_attention_layernorm"),
            ),
            merges=(
                tensors.Merge(
                    tuple(rf"linear_attn\.{x}_conv1d\.weight(?!\w)" for x in "qkv"),
                    ("linear_attn.conv1d.weight",),
                ),
            ),
        )
    },
    defaults={
        "olmo_hybrid": {
            "attention_bias": False,
            "hidden_act": "silu",
            "linear_allow_neg_eigval": True,
            "linear_conv_kernel_dim": 4,
            "max_position_embeddings": 65536,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"olmo_hybrid": "OlmoHybridConfig"},
)
