"""Read RoPE in each spelling: flat keys, `rope_scaling`, transformers 5's `rope_parameters`."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

from ...architecture import schema as s
from ...errors import ConfigError
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..keys import ConfigKeys, quoted

UNSCALED = ("default", "mrope", "axial", None)
"""RoPE types that change no frequency. The last two are default frequencies over several axes."""
SCALED = ("linear", "dynamic", "llama3", "yarn", "longrope")
NEEDS_ORIGINAL_CONTEXT = ("llama3", "yarn", "longrope")
ORIGINAL_CONTEXT = "original_max_position_embeddings"
SCALING_KEYS = {
    "original_context": ORIGINAL_CONTEXT,
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
"""Fields of RopeScaling that are one number, and their keys."""


def rope(
    c: ConfigKeys,
    rotary: Sourced,
    *,
    interleaved: bool | Sourced = False,
    layer_type: str | None = None,
    theta: Sourced | None = None,
    scaled: bool = True,
) -> Draft:
    """Read RoPE from `rope_theta` and `rope_scaling`, or from `rope_parameters`.

    rotary: the number of rotated dims of a head.
    interleaved: whether neighbouring dims are a pair, instead of dims half a head apart.
    layer_type: the entry of `rope_parameters` to read, if that has one for each layer type.
    theta: the base that replaces the config's own (Gemma 3's local base).
    scaled: whether the config's scaling applies.
    The config's entry for `layer_type` takes precedence over `theta` and `scaled`.
    """
    keys = rope_keys(c)
    if layer_type is not None and any(isinstance(v, dict) for v in keys.data.values()):
        if keys.has(layer_type):
            keys = keys.child(layer_type)
            theta = None
            scaled = True
        elif theta is None:
            raise ConfigError(f"{c.file}: {keys.prefix[:-1]} has no entry for {layer_type}")
    if theta is None:
        theta = keys.number("rope_theta") if keys.is_known("rope_theta") else c.number("rope_theta")
    c.value("rope_theta", default=None)
    keys.value("rope_type", "type", "partial_rotary_factor", "rope_theta", default=None)
    scaling = rope_scaling(keys) if scaled else None
    if scaling is not None:
        scaling = _with_original_context(c, scaling)
    return draft(s.Rope, theta=theta, rotary_dim=rotary, interleaved=interleaved, scaling=scaling)


def _with_original_context(c: ConfigKeys, scaling: Draft) -> Draft:
    """Fill in the original context that `scaling` needs and does not give itself."""
    known = "original_context" in scaling.fields
    if known or scaling["kind"].value not in NEEDS_ORIGINAL_CONTEXT:
        return scaling
    key = ORIGINAL_CONTEXT if c.has(ORIGINAL_CONTEXT) else "max_position_embeddings"
    return scaling.replace(original_context=c.size(key))


def rope_keys(c: ConfigKeys) -> ConfigKeys:
    """Return the nested keys of RoPE.

    These are `rope_scaling`, which transformers prefers if a config has both, `rope_parameters`,
    or the class default of the latter.
    """
    for key in ("rope_parameters", "rope_scaling"):
        if not c.data.get(key):
            c.ignore(key)
    if c.data.get("rope_scaling"):
        return c.child("rope_scaling")
    if c.has("rope_parameters") or "rope_parameters" not in c.defaults:
        return c.child("rope_parameters")
    defaults = c.defaults["rope_parameters"]
    return c.child("rope_parameters", defaults=defaults, defaults_ref=c.defaults_ref)


def rope_scaling(keys: ConfigKeys) -> Draft | None:
    """Read the scaling that the nested keys of RoPE describe. Return None for plain RoPE.

    Raises ConfigError for a type that llmarch does not know.
    """
    kind = keys.word(
        "rope_type", "type", default=MISSING if "rope_type" in keys.defaults else "default"
    )
    keys.value("rope_theta", "mrope_section", "mrope_interleaved", "finetuned", default=None)
    if kind.value in UNSCALED:
        for key in SCALING_KEYS.values():
            keys.value(key, default=None)
        return None
    if kind.value == "su":  # Phi-3's first files
        kind = same_evidence("longrope", kind)
    if kind.value not in SCALED:
        raise ConfigError(
            f"{keys.file}: the type {quoted(kind.value)} of {keys.prefix[:-1]} is not supported",
            f"Supported: {', '.join(SCALED)}.",
        )
    facts: dict[str, Any] = {"kind": kind}
    for name, key in SCALING_KEYS.items():
        if not keys.is_known(key):
            keys.value(key, default=None)
        elif name == "original_context":
            facts[name] = keys.size(key)
        else:
            facts[name] = keys.number(key)
    if keys.has("truncate"):
        facts["truncate"] = keys.flag("truncate")
    for name in ("short_factor", "long_factor"):
        if keys.has(name):
            facts[name] = keys.items(name, entry=(int, float))
    return Draft(s.RopeScaling, facts)


def query_scaling(c: ConfigKeys) -> Draft | None:
    """Read Llama 4's query scaling from Mistral's keys, which stand among those of RoPE."""
    keys = rope_keys(c)
    keys.ignore("llama_4_scaling_beta", "max_position_embeddings")
    if not keys.is_known("llama_4_scaling_beta"):
        return None
    nested = keys.is_known(ORIGINAL_CONTEXT)
    context = keys.size(ORIGINAL_CONTEXT) if nested else c.size("max_position_embeddings")
    beta = keys.number("llama_4_scaling_beta")
    if not beta.value:
        return None
    return draft(s.QueryScaling, beta=beta, original_context=context)


def share_of_head(dim: Sourced, share: Sourced) -> Sourced:
    """Return the rotated dims of a head: int(dim * share), as transformers computes them."""
    return derived(int(dim.value * share.value), f"int(head_dim * {share.evidence.ref})")


def all_of_head(dim: Sourced) -> Sourced:
    """Return the number of rotated dims of a head of which every dim is rotated."""
    return derived(dim.value, "all of head_dim")


def rotary_dim(c: ConfigKeys, dim: Sourced) -> Sourced:
    """Read how many of the `dim` dims of a head are rotated, from `partial_rotary_factor`."""
    keys = rope_keys(c)
    key = "partial_rotary_factor"
    if keys.has(key):
        share = keys.number(key)
        if keys is not c:
            c.expect(key, share.value)  # files saved by transformers 5 may give it twice
    else:
        share = c.number(key, default=c.defaults.get(key, 1.0))
    if share.value == 1.0 and share.evidence.kind != "config":
        return all_of_head(dim)
    return share_of_head(dim, share)


def rope_of_type(
    c: ConfigKeys,
    dim: Sourced,
    layer_type: str,
    *,
    theta: Sourced,
    share: Sourced,
    scaled: bool = True,
) -> Draft:
    """Read RoPE of one layer type, each of which may have its own base and rotated share.

    dim: the dims of a head.
    theta, share: the base and the rotated share of a head for a config without an entry for
    `layer_type` in `rope_parameters`.
    """
    keys = rope_keys(c)
    if keys.has(layer_type):
        entry = keys.child(layer_type)
        share = entry.number("partial_rotary_factor", default=hard_coded(1.0, c.ref))
    rotary = same_evidence(dim.value, share) if share.value == 1 else share_of_head(dim, share)
    return rope(c, rotary, layer_type=layer_type, theta=theta, scaled=scaled)
