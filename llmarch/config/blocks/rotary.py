"""Read RoPE in each spelling: flat keys, `rope_scaling`, transformers 5's `rope_parameters`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

from ...architecture import schema as s
from ...architecture.scaling_factors import longrope_factor, yarn_factor
from ...architecture.schema import Evidence
from ...errors import ConfigError, FactError
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..findings import quoted, refused_by_transformers
from ..keys import ConfigKeys
from ..vocabulary import TRANSFORMERS
from .rope_statements import check_statements, has_entries, main_entry

PLAIN_TYPES = ("default", "mrope", "axial", None)
"""RoPE types that change no frequency. The last two are default frequencies over several axes."""
ORIGINAL_CONTEXT = "original_max_position_embeddings"
CONTEXT = "max_position_embeddings"
ROUNDED = hard_coded(True, f"{TRANSFORMERS} modeling_rope_utils.py")
"""YaRN's range in classes with RoPE by layer type, where no config can say otherwise."""
SCALING_KEYS = (
    "factor",
    "alpha",
    "low_freq_factor",
    "high_freq_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "attention_factor",
    "truncate",
    "short_factor",
    "long_factor",
)
"""Keys of all kinds of scaling. Each kind has some of them; the others have no effect on it."""


def rope(
    c: ConfigKeys,
    rotary: Sourced,
    *,
    interleaved: bool | Sourced = False,
    layer_type: str | None = None,
    theta: Sourced | None = None,
    scaled: bool = True,
    attention_factor: float | None = None,
) -> Draft:
    """Read RoPE from `rope_theta` and `rope_scaling`, or from `rope_parameters`.

    rotary: the number of rotated dims of a head.
    interleaved: whether neighbouring dims are a pair, instead of dims half a head apart.
    layer_type: the entry of `rope_parameters` to read, if that has one for each layer type.
    theta: the base that replaces the config's own (Gemma 3's local base).
    scaled: whether the config's scaling applies.
    attention_factor: what the class takes for YaRN's factor of queries and keys if the config has
    none; None: the usual formula.
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
        holder = c
        if keys.is_known("rope_theta"):
            holder = keys
        theta = holder.number("rope_theta")
        refuse_null(holder, "rope_theta")
        if not c.has("rope_theta"):
            refuse_null(keys, "rope_theta")
    c.ignore("rope_theta")
    keys.ignore("rope_type", "type", "partial_rotary_factor", "rope_theta")
    scaling: Draft | Sourced | None = None
    if scaled:
        scaling = rope_scaling(c, keys, attention_factor)
    if layer_type is not None and isinstance(scaling, Draft) and "truncate" in scaling.fields:
        scaling = scaling.replace(truncate=ROUNDED)  # looked up beside the entries of the types
    return draft(s.Rope, theta=theta, rotary_dim=rotary, interleaved=interleaved, scaling=scaling)


def rope_keys(c: ConfigKeys) -> ConfigKeys:
    """Return the nested keys of RoPE.

    These are `rope_scaling`, which transformers prefers if a config has both, `rope_parameters`,
    or the class default of the latter. Of a config with both, the types of layers have their
    entries, and the scaling is for one of them.
    """
    check_statements(c)
    for key in ("rope_parameters", "rope_scaling"):
        if not c.data.get(key):
            c.ignore(key)
    if c.data.get("rope_scaling"):
        scaling, parameters = c.child("rope_scaling"), c.child("rope_parameters")
        return scaled_entries(scaling, parameters) if has_entries(parameters) else scaling
    if c.has("rope_parameters") or "rope_parameters" not in c.defaults:
        return c.child("rope_parameters")
    defaults = c.defaults["rope_parameters"]
    return c.child("rope_parameters", defaults=defaults, defaults_ref=c.defaults_ref)


def scaled_entries(scaling: ConfigKeys, parameters: ConfigKeys) -> ConfigKeys:
    """Return the entries for types of layers, that of full attention with the keys of rope_scaling.

    transformers 5.23.0 (Gemma3TextConfig.convert_rope_params_to_dict) updates it so.
    """
    main = main_entry(parameters)
    name = main.prefix.removeprefix(parameters.prefix).removesuffix(".")
    if not name:
        return scaling
    given = {f"{main.prefix}{key}": scaling.key(key) for key in scaling.data}
    scaling.ignore(*scaling.data)
    return parameters.with_data(
        {**parameters.data, name: {**main.data, **scaling.data}},
        native_keys={**parameters.native_keys, **given},
    )


def rope_scaling(
    c: ConfigKeys, keys: ConfigKeys, attention_factor: float | None = None
) -> Draft | Sourced | None:
    """Read the scaling that the nested keys of RoPE describe, as far as it changes frequencies.

    What the config leaves out gets the value that transformers 5.23.0 takes for it
    (modeling_rope_utils.py). Raises ConfigError for a type that llmarch does not know.

    c: the keys around the nested ones.
    attention_factor: see `rope`.
    """
    class_default: Any = MISSING
    if "rope_type" not in keys.defaults:
        class_default = "default"
    kind = keys.word("rope_type", "type", default=class_default)
    refuse_null(keys, "rope_type", "type")
    keys.ignore("rope_theta", "mrope_section", "mrope_interleaved", "finetuned", *SCALING_KEYS)
    if kind.value in PLAIN_TYPES:
        keys.ignore(ORIGINAL_CONTEXT)
        return None
    if kind.value == "su":  # Phi-3's first files
        kind = same_evidence("longrope", kind)
    if kind.value not in SCALINGS:
        raise ConfigError(
            f"{keys.file}: the type {quoted(kind.value)} of {keys.prefix[:-1]} is not supported",
            f"Supported: {', '.join(SCALINGS)}.",
        )
    scaling = SCALINGS[kind.value](c, keys)
    if kind.value == "yarn" and attention_factor and not keys.has("attention_factor"):
        scaling["attention_factor"] = hard_coded(attention_factor, c.ref)
    if kind.value == "linear" and scaling["factor"].value == 1:
        return same_evidence(None, scaling["factor"])
    return Draft(s.RopeScaling, {"kind": kind, **scaling})


Facts = dict[str, Any]


def linear(c: ConfigKeys, keys: ConfigKeys) -> Facts:
    """Read linear scaling."""
    keys.ignore(ORIGINAL_CONTEXT)
    return {"factor": keys.number("factor")}


def dynamic_ntk(c: ConfigKeys, keys: ConfigKeys) -> Facts:
    """Read dynamic NTK, which grows from the context of the config, whatever the keys state.

    With Hunyuan's `alpha` the base has one value for all lengths.
    """
    if keys.has("alpha"):
        keys.ignore(ORIGINAL_CONTEXT)
        alpha = keys.number("alpha")
        return {"alpha": alpha}
    context = c.size(CONTEXT)
    keys.expect(ORIGINAL_CONTEXT, context.value)
    factor = keys.number("factor")
    return {"factor": factor, "original_context": context}


def llama3(c: ConfigKeys, keys: ConfigKeys) -> Facts:
    """Read Llama 3.1's scaling."""
    return {
        "factor": keys.number("factor"),
        "original_context": original_context(c, keys),
        "low_freq_factor": keys.number("low_freq_factor"),
        "high_freq_factor": keys.number("high_freq_factor"),
    }


def yarn(c: ConfigKeys, keys: ConfigKeys) -> Facts:
    """Read YaRN."""
    original = original_context(c, keys)
    factor = extension(c, keys, original)
    facts: Facts = {}
    computed = derived(yarn_factor(factor.value), "0.1 * ln(factor) + 1")
    mscale = optional_number(keys, "mscale")
    mscale_all_dim = optional_number(keys, "mscale_all_dim")
    if mscale is not None and mscale_all_dim is not None and mscale.value and mscale_all_dim.value:
        facts = {"mscale": mscale, "mscale_all_dim": mscale_all_dim}
        both = yarn_factor(factor.value, mscale.value, mscale_all_dim.value)
        computed = derived(both, "factor, mscale, mscale_all_dim")
    if "factor" not in keys.data and not keys.is_known("factor"):
        refused_by_transformers(keys, "factor", "is missing; YaRN needs it", None)
    elif c.is_known("kv_lora_rank") and mscale_all_dim is not None and mscale_all_dim.value:
        refuse_null(keys, "factor")  # latent attention computes its scale from it
    stated = optional_number(keys, "attention_factor")
    if stated is not None:
        computed = stated
    return facts | {
        "factor": factor,
        "original_context": original,
        "beta_fast": number_or(keys, "beta_fast", 32.0),
        "beta_slow": number_or(keys, "beta_slow", 1.0),
        "attention_factor": computed,
        "truncate": keys.flag("truncate", default=keys.defaults.get("truncate", True)),
    }


def longrope(c: ConfigKeys, keys: ConfigKeys) -> Facts:
    """Read LongRoPE, whose factors depend on the context of the config unless they are stated."""
    original = original_context(c, keys)
    facts: Facts = {"attention_factor": optional_number(keys, "attention_factor")}
    if facts["attention_factor"] is None:
        if original.value < 2:
            raise FactError(f"{original.evidence.ref} is {original.value}: its logarithm divides")
        factor = extension(c, keys, original)
        computed = longrope_factor(factor.value, original.value)
        formula = "sqrt(1 + ln(factor) / ln(original context))"
        facts = {"factor": factor, "attention_factor": derived(computed, formula)}
    return facts | {
        "original_context": original,
        "short_factor": keys.items("short_factor", entry=(int, float)),
        "long_factor": keys.items("long_factor", entry=(int, float)),
    }


SCALINGS: dict[str, Callable[[ConfigKeys, ConfigKeys], Facts]] = {
    "linear": linear,
    "dynamic": dynamic_ntk,
    "llama3": llama3,
    "yarn": yarn,
    "longrope": longrope,
}
"""What reads each kind of scaling, from the keys around the nested ones and these."""


def original_context(c: ConfigKeys, keys: ConfigKeys) -> Sourced:
    """Read the context before the extension.

    It is the key beside the nested ones (Phi-3), the nested one, or the context of the config.
    """
    refuse_null(keys, ORIGINAL_CONTEXT)
    if c.is_known(ORIGINAL_CONTEXT):
        keys.ignore(ORIGINAL_CONTEXT)
        return c.size(ORIGINAL_CONTEXT)
    if keys.is_known(ORIGINAL_CONTEXT):
        return keys.size(ORIGINAL_CONTEXT)
    return c.size(CONTEXT)


def extension(c: ConfigKeys, keys: ConfigKeys, original: Sourced) -> Sourced:
    """Read the ratio of the extended context to the original one."""
    if keys.is_known("factor"):
        refuse_null(keys, "factor")
        return keys.number("factor")
    context = c.size(CONTEXT)
    formula = f"{context.evidence.ref} / {original.evidence.ref}"
    return derived(context.value / original.value, formula)


def refuse_null(keys: ConfigKeys, *names: str) -> None:
    """Report keys of RoPE that are null, unless another of the names has a value."""
    if any(keys.has(name) for name in names):
        return
    for name in names:
        if name in keys.data:
            refused_by_transformers(keys, name, "is null; a value is needed", None)


def optional_number(keys: ConfigKeys, key: str) -> Sourced | None:
    """Read a number that means nothing where it is null, or absent without a class default."""
    if keys.is_known(key):
        return keys.number(key)
    return None


def number_or(keys: ConfigKeys, key: str, value: float) -> Sourced:
    """Read a number, in whose place transformers takes `value` if it is absent, null or 0."""
    given = optional_number(keys, key)
    if given is not None and given.value:
        return given
    ref = f"{keys.key(key)}, {ROUNDED.evidence.ref}"
    return Sourced(value, Evidence(kind="default", ref=ref))


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
    refuse_null(keys, key)
    if keys.has(key):
        share = keys.number(key)
        if keys is not c:
            c.expect(key, share.value)  # files saved by transformers 5 may give it twice
    elif key in c.data:
        share = c.number(key, default=1.0)  # null: the whole head, whatever the class default
    else:
        share = c.number(key, default=c.defaults.get(key, 1.0))
    if share.value == 1.0 and share.evidence.kind != "config":
        return all_of_head(dim)
    return share_of_head(dim, share)


def proportional_rope(c: ConfigKeys, dim: Sourced, layer_type: str) -> Draft:
    """Read RoPE of a layer type that may be `proportional`.

    Then frequencies and pairs are laid out as for the whole head, of which the first share is
    rotated. The defaults of the class hold only where the config has no RoPE keys at all: what it
    leaves out beside others is neither proportional nor a share.

    dim: the dims of a head.
    """
    keys = rope_keys(c)
    if keys.data:
        entry = keys.child(layer_type, defaults_ref=c.defaults_ref)
        if entry.word("rope_type", default="default").value != "proportional":
            return rope(c, all_of_head(dim), layer_type=layer_type)
    else:
        defaults: Any = keys.defaults.get(layer_type)
        entry = keys.child(layer_type, defaults=defaults, defaults_ref=c.defaults_ref)
        if entry.word("rope_type").value != "proportional":
            return draft(s.Rope, theta=entry.number("rope_theta"), rotary_dim=dim)
    key = "partial_rotary_factor"
    if entry.is_known(key):
        share = entry.number(key)
    else:
        share = entry.number(key, default=1.0)
    rotary = 2 * int(share.value * dim.value // 2)
    return draft(
        s.Rope,
        theta=entry.number("rope_theta"),
        rotary_dim=derived(rotary, f"head_dim * {share.evidence.ref}"),
        span=dim,
    )


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
