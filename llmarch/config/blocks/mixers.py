"""Read attention from the keys that most families use: MHA, GQA and MQA, and DeepSeek's MLA."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any

from ...architecture import schema as s
from ...errors import ConfigError
from ..declared_fields import field_letters
from ..evidence import Draft, Sourced, derived, draft
from ..findings import refused_by_transformers
from ..keys import ConfigKeys
from .rotary import rope, rotary_dim

LATENT_EPS = 1e-6
"""eps of the norms on MLA's latents. transformers' classes do not pass them `rms_norm_eps`."""


def read_head_dim(c: ConfigKeys) -> Sourced:
    """Read `head_dim`, or divide hidden_size by num_attention_heads if it is absent or null.

    Raises ConfigError if that division leaves a rest.
    """
    absent = "head_dim" not in c.data
    if c.has("head_dim") or (absent and c.defaults.get("head_dim") is not None):
        return c.size("head_dim")
    hidden = c.size("hidden_size").value
    heads = c.size("num_attention_heads").value
    names = (c.key("hidden_size"), c.key("num_attention_heads"))
    if hidden % heads:
        raise ConfigError(
            f"{c.file}: {names[0]} {hidden:,} is not a multiple of {names[1]} {heads:,},"
            " and there is no head_dim"
        )
    return c.size("head_dim", default=derived(hidden // heads, " / ".join(names)))


def divided_head_dim(c: ConfigKeys, width: tuple[str, ...], heads: tuple[str, ...]) -> Sourced:
    """Divide the width of the stream by the number of heads, for classes without `head_dim`.

    width, heads: the keys of both, the first of which messages name. Raises ConfigError if the
    division leaves a rest.
    """
    total, count = c.size(*width).value, c.size(*heads).value
    if total % count:
        raise ConfigError(
            f"{c.file}: {width[0]} {total:,} is not a multiple of {heads[0]} {count:,}"
        )
    return derived(total // count, f"{width[0]} / {heads[0]}")


def divided_attention(
    c: ConfigKeys, width: tuple[str, ...], heads: tuple[str, ...], **facts: Any
) -> Draft:
    """Read MHA of a class without `head_dim`; without `rope` among the facts there is no RoPE.

    width, heads: as for `divided_head_dim`, which raises ConfigError.
    facts: fields of Attention that replace or add to these.
    """
    count, dim = c.size(*heads), divided_head_dim(c, width, heads)
    usual = {"heads": count, "kv_heads": count, "head_dim": dim, "v_head_dim": dim}
    return Draft(s.Attention, usual | facts)


def kv_heads(c: ConfigKeys) -> Sourced:
    """Read `num_key_value_heads`; if it is absent or null, every query head has its own.

    Raises ConfigError if the query heads are not a multiple of it.
    """
    key = "num_key_value_heads"
    heads = c.size("num_attention_heads").value
    heads_key = c.key("num_attention_heads")
    if not c.has(key) and (key in c.data or c.defaults.get(key) is None):
        return c.size(key, default=derived(heads, f"{heads_key}, as {c.key(key)} is absent"))
    groups = c.size(key)
    if heads % groups.value:
        raise ConfigError(
            f"{c.file}: {heads_key} {heads:,} is not a multiple of {c.key(key)} {groups.value:,}"
        )
    return groups


def attention(c: ConfigKeys, *, interleaved: bool = False, **facts: Any) -> Draft:
    """Read MHA, GQA or MQA from the usual keys.

    interleaved: whether RoPE pairs neighbouring dims, instead of dims half a head apart.
    facts: fields of Attention that replace or add to these. Without `rope` among them, RoPE is
    read from the config; `rope=None` means no RoPE.
    """
    dim = facts["head_dim"] if "head_dim" in facts else read_head_dim(c)
    usual: dict[str, Any] = {"heads": c.size("num_attention_heads")}
    if "kv_heads" in facts:
        c.ignore("num_key_value_heads")
    else:
        usual["kv_heads"] = kv_heads(c)
    usual |= {"head_dim": dim, "v_head_dim": dim}
    if "rope" not in facts:
        usual["rope"] = rope(c, rotary_dim(c, dim), interleaved=interleaved)
    return Draft(s.Attention, usual | facts)


def attention_biases(c: ConfigKeys, key: str = "attention_bias") -> dict[str, Any]:
    """Read one flag for the biases of all four projections of attention."""
    bias = c.flag(key)
    return {"qkv_bias": bias, "output_bias": bias}


def biases_beside_a_gate(c: ConfigKeys) -> dict[str, Any]:
    """Read the biases of attention whose gate for each element is a matrix without a bias.

    The facts cannot tell such a gate from one that is part of the queries' matrix and has their
    bias (Qwen3-Next). Raises ConfigError if the other projections have biases, which no published
    model has.
    """
    biases = attention_biases(c)
    if biases["qkv_bias"].value:
        raise ConfigError(
            f"{c.file}: {c.key('attention_bias')} is true, which is not supported beside a gate"
            " for each element that has no bias"
        )
    return biases


def windowed(full: Draft, window: Sourced) -> dict[str, Draft]:
    """Return attention named `full`, and the same with a window named `sliding`."""
    return {"full": full, "sliding": full.replace(window=window)}


def used(blocks: Mapping[str, Draft], layers: Sourced) -> dict[str, Draft]:
    """Return the `blocks` that the pattern of `layers` uses, in their own order."""
    return {name: block for name, block in blocks.items() if name in layers.value}


def latent_attention(c: ConfigKeys, *, obeys_kv_heads: bool = True, **facts: Any) -> Draft:
    """Read MLA from DeepSeek's keys, as transformers' deepseek_v3 and the classes after it do.

    obeys_kv_heads: whether the class fails with fewer KV heads, instead of setting their number.
    facts: fields of LatentAttention that replace or add to these; `rope=None` means no RoPE.
    """
    rope_dim = c.size("qk_rope_head_dim")
    usual: dict[str, Any] = {
        "heads": c.size("num_attention_heads"),
        "kv_lora_rank": c.size("kv_lora_rank"),
        "qk_nope_head_dim": c.size("qk_nope_head_dim"),
        "qk_rope_head_dim": rope_dim,
        "v_head_dim": c.size("v_head_dim"),
        "bias": c.flag("attention_bias", default=False),
        "norm_eps": LATENT_EPS,
    }
    if "q_lora_rank" not in facts:
        usual["q_lora_rank"] = c.optional(c.size, "q_lora_rank")
    if "rope_interleave" in c.defaults:
        interleaved = c.flag("rope_interleave")
    else:
        interleaved = c.expect("rope_interleave", True)
    if "rope" not in facts:
        usual["rope"] = rope(c, rope_dim, interleaved=interleaved)
    latent = Draft(s.LatentAttention, usual | facts)
    # The class computes both dims.
    c.ignore("num_key_value_heads", "head_dim")
    if obeys_kv_heads:
        check_latent_heads(c, usual["heads"].value)
    width = usual["qk_nope_head_dim"].value + rope_dim.value
    if "qk_head_dim" in field_letters(c.model_type):
        c.describe_only("qk_head_dim", width, "weights")
    else:
        c.expect("qk_head_dim", width)
    return latent.replace(scale=_yarn_softmax_scale(latent))


def check_latent_heads(c: ConfigKeys, heads: int) -> None:
    """Report a number of KV heads with which MLA's classes fail.

    One latent serves all heads, whatever num_key_value_heads says; but the classes repeat the keys
    of each head `heads // num_key_value_heads` times, which must not be several times.
    """
    groups = c.data.get("num_key_value_heads")
    if isinstance(groups, int) and (groups <= 0 or heads // groups > 1):
        problem = f"is {groups:,} for {heads:,} heads, which each have keys of their own"
        refused_by_transformers(c, "num_key_value_heads", problem, groups)


def _yarn_softmax_scale(latent: Draft) -> Sourced | None:
    """Return MLA's softmax scale under YaRN with `mscale_all_dim`, or None for the usual one.

    The usual scale is 1 / sqrt(qk head dim). transformers' DeepseekV3Attention multiplies it by
    (0.1 * mscale_all_dim * ln(factor) + 1)^2.
    """
    scaling = latent["rope"]["scaling"] if latent["rope"] else None
    if not isinstance(scaling, Draft) or "mscale_all_dim" not in scaling.fields:
        return None
    mscale = scaling["mscale_all_dim"].value
    if not mscale:
        return None
    factor = scaling["factor"].value
    dim = latent["qk_nope_head_dim"].value + latent["qk_rope_head_dim"].value
    correction = 0.1 * mscale * log(factor) + 1 if factor > 1 else 1.0
    scale = round(correction * correction * dim**-0.5, 9)
    return derived(scale, "(0.1 * mscale_all_dim * ln(factor) + 1)^2 / sqrt(qk head dim)")


def lightning_indexer(c: ConfigKeys, rope_dim: Sourced, *, interleaved: bool | Sourced) -> Draft:
    """Read DeepSeek's lightning indexer, which chooses the tokens that attention reads."""
    return draft(
        s.Indexer,
        heads=c.size("index_n_heads"),
        head_dim=c.size("index_head_dim"),
        top_k=c.size("index_topk"),
        rope_dim=rope_dim,
        rope_interleaved=interleaved,
    )
