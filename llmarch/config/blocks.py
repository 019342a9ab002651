"""Facts that many families read alike: norms, RoPE in its spellings, attention, feed-forward blocks, wiring, the decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING
from typing import Any

from ..architecture.schema import (
    Architecture,
    Attention,
    Branch,
    Dense,
    Embedding,
    Head,
    LatentAttention,
    LayerKind,
    Norm,
    QueryScaling,
    Residual,
    Rope,
    RopeScaling,
    Step,
)
from ..errors import ConfigError
from .evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence, unknown
from .keys import ConfigKeys, quoted


def rms_norm(c: ConfigKeys, *keys: str, offset: int = 0) -> Draft:
    return draft(Norm, kind="rmsnorm", eps=c.number(*(keys or ("rms_norm_eps",))), offset=offset)


def layer_norm(c: ConfigKeys, *keys: str, bias: bool = True) -> Draft:
    return draft(Norm, kind="layernorm", eps=c.number(*keys), bias=bias)


def head_dim(
    c: ConfigKeys, hidden: str = "hidden_size", heads: str = "num_attention_heads"
) -> Sourced:
    """`head_dim`, or hidden_size / num_attention_heads where the config has none (or null)."""
    if c.has("head_dim") or ("head_dim" not in c.data and c.defaults.get("head_dim") is not None):
        return c.size("head_dim")
    c.value("head_dim", default=None)
    h, n = c.size(hidden).value, c.size(heads).value
    if h % n:
        raise ConfigError(
            f"{c.file}: {c.key(hidden)} {h:,} is not a multiple of {c.key(heads)} {n:,}, and there is no head_dim"
        )
    return derived(h // n, f"{c.key(hidden)} / {c.key(heads)}")


def kv_heads(
    c: ConfigKeys, heads: str = "num_attention_heads", key: str = "num_key_value_heads"
) -> Sourced:
    """`num_key_value_heads`; without it (or null) every query head has its own."""
    if c.has(key) or (key not in c.data and c.defaults.get(key) is not None):
        n, h = c.size(key), c.size(heads).value
        if h % n.value:
            raise ConfigError(
                f"{c.file}: {c.key(heads)} {h:,} is not a multiple of {c.key(key)} {n.value:,}"
            )
        return n
    c.value(key, default=None)
    return same_evidence(
        c.size(heads).value, derived(None, f"{c.key(heads)}, as {c.key(key)} is absent")
    )


def rotary_dim(c: ConfigKeys, dim: Sourced, default: float = 1.0) -> Sourced:
    """How many of a head's dims turn: int(head_dim * partial_rotary_factor)."""
    at = rope_keys(c)
    if at.has("partial_rotary_factor"):
        factor = at.number("partial_rotary_factor")
        if at is not c:
            c.expect("partial_rotary_factor", factor.value)  # files of transformers 5 say it twice
    else:
        factor = c.number(
            "partial_rotary_factor", default=c.defaults.get("partial_rotary_factor", default)
        )
    if factor.value == 1.0 and factor.evidence.kind != "config":
        return derived(dim.value, "all of head_dim")
    return derived(int(dim.value * factor.value), f"int(head_dim * {factor.evidence.ref})")


def rope(
    c: ConfigKeys,
    rotary: Sourced,
    *,
    interleaved: bool | Sourced = False,
    layer_type: str | None = None,
    theta: Sourced | None = None,
    scaled: bool = True,
) -> Draft:
    """RoPE in any of its spellings: `rope_theta` + `rope_scaling`, or transformers 5's `rope_parameters`, flat or by layer type.

    `theta` takes the place of the config's own (Gemma 3's local base), and `scaled` False leaves the scaling out, both unless the config
    has an entry for `layer_type`.
    """
    at = rope_keys(c)
    if layer_type is not None and any(isinstance(v, dict) for v in at.data.values()):
        if at.has(layer_type):
            at, theta, scaled = at.child(layer_type), None, True
        elif theta is None:
            raise ConfigError(f"{c.file}: {at.at[:-1]} has no entry for {layer_type}")
    if theta is None:
        theta = at.number("rope_theta") if at.knows("rope_theta") else c.number("rope_theta")
    c.value("rope_theta", default=None)
    at.value("rope_type", "type", "partial_rotary_factor", "rope_theta", default=None)
    scaling = scaling_of(at) if scaled else None
    if (
        scaling is not None
        and "original_context" not in scaling.fields
        and scaling["kind"].value in ("llama3", "yarn", "longrope")
    ):
        key = (
            "original_max_position_embeddings"
            if c.has("original_max_position_embeddings")
            else "max_position_embeddings"
        )
        scaling = scaling.replace(original_context=c.size(key))
    return draft(Rope, theta=theta, rotary_dim=rotary, interleaved=interleaved, scaling=scaling)


def typed_rope(
    c: ConfigKeys,
    dim: Sourced,
    layer_type: str,
    theta: Sourced,
    share: Sourced,
    scaled: bool = True,
) -> Draft:
    """RoPE of one type of layers: its entry in rope_parameters, or else `theta` and the `share` of a head's dims that turns."""
    at = rope_keys(c)
    if at.has(layer_type):
        share = at.child(layer_type).number("partial_rotary_factor", default=hard_coded(1.0, c.ref))
    turned = (
        derived(int(dim.value * share.value), f"int(head_dim * {share.evidence.ref})")
        if share.value != 1
        else same_evidence(dim.value, share)
    )
    return rope(c, turned, layer_type=layer_type, theta=theta, scaled=scaled)


def rope_keys(c: ConfigKeys) -> ConfigKeys:
    """Where the keys of RoPE are: `rope_scaling`, which transformers prefers if a config has both, `rope_parameters`, or their default."""
    for key in ("rope_parameters", "rope_scaling"):
        if not c.data.get(key):
            c.ignore(key)
    if c.data.get("rope_scaling"):
        return c.child("rope_scaling")
    if c.has("rope_parameters") or "rope_parameters" not in c.defaults:
        return c.child("rope_parameters")
    return c.child(
        "rope_parameters", defaults=c.defaults["rope_parameters"], defaults_ref=c.defaults_ref
    )


def query_scaling(c: ConfigKeys) -> Draft | None:
    """Mistral's spelling of Llama 4's query scaling: beta and the original context stand among the keys of RoPE."""
    at = rope_keys(c)
    at.ignore("llama_4_scaling_beta", "max_position_embeddings")
    if not at.knows("llama_4_scaling_beta"):
        return None
    original = "original_max_position_embeddings"
    context = at.size(original) if at.knows(original) else c.size("max_position_embeddings")
    beta = at.number("llama_4_scaling_beta")
    return draft(QueryScaling, beta=beta, original_context=context) if beta.value else None


def scaling_of(c: ConfigKeys) -> Draft | None:
    """The scaling that `rope_scaling` or `rope_parameters` describes; None for the plain kinds (default, and those of several axes)."""
    kind = c.word("rope_type", "type", default=MISSING if "rope_type" in c.defaults else "default")
    number = {
        "original_context": "original_max_position_embeddings",
        "low_freq_factor": "low_freq_factor",
        "high_freq_factor": "high_freq_factor",
        "beta_fast": "beta_fast",
        "beta_slow": "beta_slow",
        "mscale": "mscale",
        "mscale_all_dim": "mscale_all_dim",
        "attention_factor": "attention_factor",
        "alpha": "alpha",
        "factor": "factor",
    }
    c.value("rope_theta", "mrope_section", "mrope_interleaved", "finetuned", default=None)
    if kind.value in ("default", "mrope", "axial", None):
        for key in number.values():
            c.value(key, default=None)
        return None
    if kind.value == "su":
        kind = same_evidence("longrope", kind)
    if kind.value not in ("linear", "dynamic", "llama3", "yarn", "longrope"):
        raise ConfigError(
            f"{c.file}: {c.at[:-1]} is of type {quoted(kind.value)}, which llmarch does not know",
            "Known: linear, dynamic, llama3, yarn, longrope.",
        )
    facts: dict[str, Any] = {"kind": kind}
    for name, key in number.items():
        if c.knows(key):
            facts[name] = c.size(key) if name == "original_context" else c.number(key)
        else:
            c.value(key, default=None)
    if c.has("truncate"):
        facts["truncate"] = c.flag("truncate")
    for name in ("short_factor", "long_factor"):
        if c.has(name):
            facts[name] = c.items(name, of=(int, float))
    return Draft(RopeScaling, facts)


def attention(c: ConfigKeys, **overrides: Any) -> Draft:
    """MHA / GQA / MQA from the usual keys; without `rope` among the overrides, RoPE as the config has it (None: no RoPE)."""
    dim = overrides["head_dim"] if "head_dim" in overrides else head_dim(c)
    facts: dict[str, Any] = {
        "heads": c.size("num_attention_heads"),
        "kv_heads": kv_heads(c),
        "head_dim": dim,
        "v_head_dim": dim,
    }
    if "rope" not in overrides:
        facts["rope"] = rope(c, rotary_dim(c, dim))
    return Draft(Attention, facts | overrides)


def latent_attention(
    c: ConfigKeys, *, interleaved: bool | Sourced = True, **overrides: Any
) -> Draft:
    """MLA from DeepSeek's keys."""
    dim = c.size("qk_rope_head_dim")
    facts: dict[str, Any] = {
        "heads": c.size("num_attention_heads"),
        "q_lora_rank": c.size("q_lora_rank", default=None)
        if not c.defaults.get("q_lora_rank") or "q_lora_rank" in c.data
        else c.size("q_lora_rank"),
        "kv_lora_rank": c.size("kv_lora_rank"),
        "qk_nope_head_dim": c.size("qk_nope_head_dim"),
        "qk_rope_head_dim": dim,
        "v_head_dim": c.size("v_head_dim"),
        "bias": c.flag("attention_bias", default=False),
    }
    if "rope" not in overrides:
        facts["rope"] = rope(c, dim, interleaved=interleaved)
    return Draft(LatentAttention, facts | overrides)


def dense(c: ConfigKeys, width: str = "intermediate_size", **overrides: Any) -> Draft:
    """A gated MLP from the usual keys."""
    return Draft(Dense, {"width": c.size(width), "activation": activation(c), **overrides})


def activation(c: ConfigKeys, *keys: str) -> Sourced:
    """The activation under one name for one function: transformers' `gelu_pytorch_tanh`, `gelu_new` and `gelu_fast` are GELU(tanh)."""
    fact = c.word(*(keys or ("hidden_act",)))
    names = {
        "gelu_pytorch_tanh": "gelu_tanh",
        "gelu_new": "gelu_tanh",
        "gelu_fast": "gelu_tanh",
        "swish": "silu",
    }
    return same_evidence(names.get(fact.value, fact.value), fact)


def read_used_blocks(
    c: ConfigKeys, blocks: Mapping[str, Callable[[ConfigKeys], Draft]], names: Iterable[str]
) -> dict[str, Draft]:
    """The blocks that layers use, by name; the keys of the others (experts, where every layer is dense) are read without effect."""
    out: dict[str, Draft] = {}
    wanted = set(names)
    for name, read in blocks.items():
        if name in wanted:
            out[name] = read(c)
        else:
            with suppress(ConfigError):
                read(c)
    return out


def pre_norm_step(block: str, norm: str = "rms") -> Draft:
    """One step: norm, block, add."""
    return draft(Step, branches=[draft(Branch, block=block, pre_norm=norm)])


def post_norm_step(block: str, norm: str = "rms") -> Draft:
    """One step: block, norm, add (OLMo 2)."""
    return draft(Step, branches=[draft(Branch, block=block, post_norm=norm)])


def sandwich_step(block: str, norm: str = "rms") -> Draft:
    """One step: norm, block, norm, add (Gemma 2 and later)."""
    return draft(Step, branches=[draft(Branch, block=block, pre_norm=norm, post_norm=norm)])


def layer_wiring(
    layers: Sequence[tuple[str, str]], how: Sourced, step: Callable[[str], Draft] = pre_norm_step
) -> dict[str, Any]:
    """`layer_kinds` and `layers` for decoders whose layers are a mixer and then an FFN: pairs of names in `mixers` and `ffns`.

    A kind is called after its mixer, or `mixer_ffn` where one mixer meets several FFNs in the model. `how` is the evidence of the pattern.
    """
    several = len({f for _, f in layers}) > 1
    name = {pair: f"{pair[0]}_{pair[1]}" if several else pair[0] for pair in dict.fromkeys(layers)}
    kinds = {
        name[m, f]: draft(LayerKind, steps=[step(f"mixers.{m}"), step(f"ffns.{f}")])
        for m, f in name
    }
    return {"layer_kinds": kinds, "layers": same_evidence([name[pair] for pair in layers], how)}


def sliding_layers(
    c: ConfigKeys, n: int, rule: Callable[[int], bool], how: str
) -> tuple[list[str], Sourced]:
    """The mixer of each layer, `sliding` or `full`: as layer_types says, or by the class's `rule`, which `how` puts into words."""
    types = c.items("layer_types", default=None, length=n, of=str)
    if types.value is None:
        return ["sliding" if rule(i) else "full" for i in range(n)], derived(None, how)
    names = {"sliding_attention": "sliding", "full_attention": "full"}
    odd = next((t for t in types.value if t not in names), None)
    if odd is not None:
        raise ConfigError(
            f"{c.file}: {c.key('layer_types')} holds {quoted(odd)}; {c.family} knows {' and '.join(names)}"
        )
    return [names[t] for t in types.value], types


def dtype_of(c: ConfigKeys) -> Sourced:
    fact = c.value("dtype", "torch_dtype", default=unknown("the config names no dtype"))
    value = fact.value
    return same_evidence(value.removeprefix("torch.") if isinstance(value, str) else None, fact)


def decoder(c: ConfigKeys, **parts: Any) -> Draft:
    """The Architecture of a decoder with the usual keys; `parts` give the blocks and wiring and may replace anything."""
    usual: dict[str, Callable[[], Any]] = {
        "family": lambda: c.family,
        "model_type": lambda: c.word("model_type", default=c.family),
        "hidden_size": lambda: c.size("hidden_size"),
        "vocab_size": lambda: c.size("vocab_size"),
        "context_length": lambda: c.size("max_position_embeddings"),
        "dtype": lambda: dtype_of(c),
        "embedding": lambda: draft(Embedding, tied=c.flag("tie_word_embeddings")),
        "head": lambda: draft(Head),
        "final_norm": lambda: "rms",
        "norms": lambda: {"rms": rms_norm(c)},
        "residual": lambda: draft(Residual, kind="plain"),
    }
    return Draft(Architecture, {k: v() for k, v in usual.items() if k not in parts} | parts, c.ref)


def wrapped(c: ConfigKeys, part: ConfigKeys, text: Draft, towers: dict[str, Draft]) -> Draft:
    """A decoder inside a multimodal wrapper: `text` was read from the wrapper's `part`; family and model_type are the wrapper's own.

    Both may say tie_word_embeddings, and disagree: files saved by transformers 5 spell out every default, and those of wrappers and
    text parts differ. Then the head is untied. The text part's default holds where neither says.
    """
    tied, key = text["embedding"]["tied"], "tie_word_embeddings"
    outer = c.flag(key, default=None)
    if c.has(key) and not (outer.value and part.has(key)):
        tied = outer
    return text.replace(
        family=c.family,
        model_type=c.word("model_type", default=c.family),
        dtype=dtype_of(c if c.has("dtype") or c.has("torch_dtype") else part),
        embedding=text["embedding"].replace(tied=tied),
        towers=towers,
    )
