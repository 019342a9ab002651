"""LFM2: gated short convolutions on most layers, GQA with QK-norm on the others, each with an MLP."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling


def read(c: ConfigKeys) -> Draft:
    of, how = layer_kinds(c, c.layer_count().value)
    # said twice, or true of every model of the class
    hidden, eps, heads = (
        c.size("hidden_size").value,
        c.number("norm_eps").value,
        c.size("num_attention_heads").value,
    )
    for key, value in {
        "block_dim": hidden,
        "conv_dim": hidden,
        "conv_dim_out": hidden,
        "block_norm_eps": eps,
        "num_heads": heads,
    }.items():
        c.expect(key, value)
    for key in ("block_use_swiglu", "use_pos_enc"):
        c.expect(key, True)
    c.ignore(
        "block_mlp_init_scale",
        "block_out_init_scale",
        "block_use_xavier_init",
        "conv_use_xavier_init",
        "theta",
    )
    full = blocks.attention(c, qk_norm=draft(s.QKNorm, scope="head"))
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": lambda _: full, "linear": short_conv}, of),
        ffns={"dense": draft(s.Dense, width=width(c), activation="silu")},
        norms={"rms": blocks.rms_norm(c, "norm_eps")},
        embedding=draft(s.Embedding, tied=c.flag("tie_embedding", "tie_word_embeddings")),
        **blocks.layer_wiring([(m, "dense") for m in of], how),
    )


def layer_kinds(c: ConfigKeys, n: int) -> tuple[list[str], Sourced]:
    types, full = (
        c.items("layer_types", default=None, length=n, of=str),
        c.items("full_attn_idxs", default=None, of=int),
    )
    if types.value is not None:
        odd = next((t for t in types.value if t not in ("conv", "full_attention")), None)
        if odd is not None:
            raise ConfigError(
                f"{c.file}: {c.key('layer_types')} holds {odd!r}; {c.family} knows conv and full_attention"
            )
        return ["linear" if t == "conv" else "full" for t in types.value], types
    if full.value is None:
        return ["full"] * n, derived(
            None, "neither layer_types nor full_attn_idxs: every layer is full"
        )
    return ["full" if i in full.value else "linear" for i in range(n)], full


def short_conv(c: ConfigKeys) -> Draft:
    """Of three projections B, C and x: C * conv(B * x), without an activation."""
    hidden, bias = c.size("hidden_size"), c.flag("conv_bias")
    return draft(
        s.LinearAttention,
        variant="short_conv",
        key_heads=1,
        value_heads=1,
        key_head_dim=hidden,
        value_head_dim=hidden,
        conv_kernel=c.size("conv_L_cache"),
        conv_bias=bias,
        bias=bias,
    )


def width(c: ConfigKeys) -> Sourced:
    """block_ff_dim, or intermediate_size; by default two thirds of it, times a factor, rounded up."""
    whole, adjusted = (
        c.size("block_ff_dim", "intermediate_size"),
        c.flag("block_auto_adjust_ff_dim"),
    )
    factor, multiple = c.number("block_ffn_dim_multiplier"), c.size("block_multiple_of")
    if not adjusted.value:
        return whole
    part = int(factor.value * int(2 * whole.value / 3))
    rounded = multiple.value * -(-part // multiple.value)
    return derived(rounded, f"2/3 of {whole.evidence.ref}, rounded up to block_multiple_of")


def short_conv_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    at, part = "conv", "attention"
    yield from tensors.linear(f"{at}.in_proj", 3 * hidden, hidden, part, (), a.bias)
    yield tensors.BlockTensor(
        f"{at}.conv.weight", (hidden, 1, a.conv_kernel or 0), part, ("conv_kernel",)
    )
    if a.conv_bias:
        yield tensors.BlockTensor(f"{at}.conv.bias", (hidden,), part, ("conv_bias",))
    yield from tensors.linear(f"{at}.out_proj", hidden, hidden, part, (), a.bias)


FAMILY = Family(
    name="lfm2",
    title="LFM2",
    ref=modeling("lfm2"),
    read=read,
    naming=tensors.Naming(
        final_norm="model.embedding_norm",
        norms=("operator_norm", "ffn_norm"),
        blocks={
            s.Attention: tensors.attention_parts(o="out_proj", q_norm="q_layernorm", k_norm="k_layernorm"),
            s.LinearAttention: short_conv_parts,
            s.Dense: tensors.dense_parts("feed_forward", "w1", "w3", "w2"),
        },
    ),
    defaults={
        "lfm2": {
            "vocab_size": 65536, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 128000, "norm_eps": 1e-5,
            "rope_theta": 1000000.0, "tie_word_embeddings": True, "conv_bias": False, "conv_L_cache": 3, "block_multiple_of": 256,
            "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True,
        },
    },
    config_class={"lfm2": "Lfm2Config"},
)  # fmt: skip
