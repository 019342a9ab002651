"""Read which mixer and which feed-forward block each layer has, in the spellings that configs have.

A pattern of layers is a Sourced: its value is a list of names, one for each layer, and its evidence
says where the pattern comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import ConfigError
from ..evidence import Sourced, derived, derived_from, same_evidence, unknown
from ..findings import (
    layer_number_too_high,
    quoted,
    read_by_some_engines,
    sliding_without_window,
)
from ..keys import ConfigKeys

OBEY_FREQUENCY = frozenset({"axk1", "axk2", "dots3_note"})
"""model_types whose classes in transformers 5.23.0 obey `moe_layer_freq`.

vLLM obeys it for all (commit 002d6073, models/deepseek_v2.py DeepseekV2DecoderLayer and
models/kimi_linear.py KimiDecoderLayer: `layer_idx % moe_layer_freq == 0`), and so does SGLang
(models/deepseek_v2.py).
"""

SLIDING = {"sliding_attention": "sliding", "full_attention": "full"}
HYBRID = {"linear_attention": "linear", "full_attention": "full"}
"""transformers' words in `layer_types`, and the names of the mixers."""


def every_layer(c: ConfigKeys, name: str, *keys: str) -> Sourced:
    """Return `name` for each layer of a model whose layers are all alike.

    keys: of the number of layers, by default `num_hidden_layers`.
    """
    layers = c.layer_count(*keys)
    return same_evidence([name] * layers.value, layers)


def pattern_of(c: ConfigKeys, rule: Callable[[int], str], source: Sourced) -> Sourced:
    """Return the name that `rule` gives each layer index, with the evidence of `source`."""
    return same_evidence([rule(i) for i in range(c.layer_count().value)], source)


def listed_layers(c: ConfigKeys, names: Mapping[str, str], *keys: str) -> Sourced:
    """Read a list with a word for each layer, by default `layer_types`, as names of blocks.

    The value is None if the config has no such list. Raises ConfigError for an unknown word.
    """
    keys = keys or ("layer_types",)
    words = c.items(*keys, default=None, length=c.layer_count().value, entry=str)
    if words.value is None:
        return words
    unknown_word = next((word for word in words.value if word not in names), None)
    if unknown_word is not None:
        raise ConfigError(
            f"{c.file}: {c.key(keys[0])} holds {quoted(unknown_word)};"
            f" {c.family} supports {', '.join(names)}"
        )
    return same_evidence([names[word] for word in words.value], words)


def sliding_layers(c: ConfigKeys, rule: Callable[[int], bool], reason: str) -> Sourced:
    """Read which layers are `sliding` and which are `full`, from layer_types or the class's rule.

    rule: whether the layer of an index slides.
    reason: the rule in words.
    """
    listed = listed_layers(c, SLIDING)
    if listed.value is not None:
        return listed
    return pattern_of(c, lambda i: "sliding" if rule(i) else "full", derived(None, reason))


def optionally_sliding_layers(
    c: ConfigKeys, window: Sourced, rule: Callable[[int], bool], reason: str
) -> Sourced:
    """Read which layers slide in a model whose layers do so only with `use_sliding_window`.

    window: the width, without which no layer slides.
    rule, reason: as for `sliding_layers`.
    """
    enabled = c.flag("use_sliding_window").value
    if enabled and window.value:
        return sliding_layers(c, rule, reason)
    disabled = "use_sliding_window is false: every layer is full"
    listed = sliding_layers(c, lambda i: False, disabled)
    if "sliding" in listed.value:
        sliding_without_window(c)
    count = len(listed.value)
    return same_evidence(["full"] * count, listed)


def rope_layers(c: ConfigKeys, *, empty_is_absent: bool = False) -> Sourced:
    """Read whether each layer has RoPE.

    `no_rope_layers` holds 1 for layers *with* RoPE, whatever its name; without it, all have RoPE
    but each `no_rope_layer_interval`-th. Llama 4 treats an empty list as absent.
    """
    layers = c.layer_count().value
    empty = empty_is_absent and c.data.get("no_rope_layers") == []
    flags = c.items("no_rope_layers", default=None, length=0 if empty else layers, entry=int)
    every = c.size("no_rope_layer_interval").value
    if flags.value:
        return same_evidence([bool(f) for f in flags.value], flags)
    reason = f"every {every}th layer has no RoPE (no_rope_layer_interval)"
    return derived([(i + 1) % every != 0 for i in range(layers)], reason)


def moe_layers(
    c: ConfigKeys,
    rule: Callable[[int], bool],
    source: Sourced,
    *,
    types: str = "mlp_layer_types",
    flags: str = "",
    indices: str = "",
) -> Sourced:
    """Read which layers are `moe` and which are `dense`, from the first of these that is given.

    types: the key of a list with a word for each layer; "sparse" means MoE.
    flags: the key of a list with 0 or 1 for each layer.
    indices: the key of a list of the indices of MoE layers, which may be a string with commas.
    rule: whether the layer of an index is MoE if the config has none of these lists.
    source: the evidence of the rule.
    """
    layers = c.layer_count().value
    readings = (
        _sparse_types(c, types, layers),
        _sparse_flags(c, flags, layers),
        _sparse_indices(c, indices, layers),
    )
    by_rule = same_evidence([rule(i) for i in range(layers)], source)
    sparse = next((r for r in readings if r.value is not None), by_rule)
    return same_evidence(["moe" if is_moe else "dense" for is_moe in sparse.value], sparse)


NOT_GIVEN = unknown("not in the config")


def _sparse_types(c: ConfigKeys, key: str, layers: int) -> Sourced:
    words = c.items(key, default=None, length=layers, entry=str) if key else NOT_GIVEN
    if words.value is None:
        return NOT_GIVEN
    return same_evidence([word == "sparse" for word in words.value], words)


def _sparse_flags(c: ConfigKeys, key: str, layers: int) -> Sourced:
    flags = c.items(key, default=None, length=layers, entry=int) if key else NOT_GIVEN
    if flags.value is None:
        return NOT_GIVEN
    return same_evidence([bool(flag) for flag in flags.value], flags)


def _sparse_indices(c: ConfigKeys, key: str, layers: int) -> Sourced:
    given = c.value(key, default=None) if key else NOT_GIVEN
    if given.value is None:
        return NOT_GIVEN
    entries: Any = given.value.split(",") if isinstance(given.value, str) else given.value
    try:
        indices = {int(i) for i in entries if str(i).strip()}
    except (TypeError, ValueError):
        raise ConfigError(f"{c.file}: {c.key(key)} is not a list of layer numbers") from None
    if indices:
        layer_number_too_high(c, given.evidence.ref, max(indices), layers)
    return same_evidence([i in indices for i in range(layers)], given)


def moe_after_dense_prefix(c: ConfigKeys) -> Sourced:
    """Read MoE layers from DeepSeek's keys.

    Layers are MoE from `first_k_dense_replace` on, every `moe_layer_freq`-th, unless
    `mlp_layer_types` lists them.
    """
    first = c.size("first_k_dense_replace", least=0).value
    every = c.size("moe_layer_freq", default=1).value
    if every > 1 and c.model_type not in OBEY_FREQUENCY:
        read_by_some_engines(
            c,
            "moe_layer_freq",
            "the published code, vLLM and SGLang obey it, transformers gives experts to all layers"
            " from first_k_dense_replace on",
        )
    source = derived(None, f"{c.key('first_k_dense_replace')}, {c.key('moe_layer_freq')}")
    return moe_layers(c, lambda i: i >= first and i % every == 0, source)


def moe_on_every_step(c: ConfigKeys) -> Sourced:
    """Read MoE layers from Qwen's keys.

    A layer is MoE if its number, from 1, is a multiple of `decoder_sparse_step` and its index is
    not in `mlp_only_layers`, which is empty unless the config or the class says otherwise.
    """
    layers = c.layer_count().value
    key = "mlp_only_layers"
    listed = c.layer_numbers(key, layers=layers, default=c.defaults.get(key, []))
    dense = set(listed.value)
    step = c.size("decoder_sparse_step").value
    source = derived(None, "decoder_sparse_step, mlp_only_layers")
    return moe_layers(c, lambda i: i not in dense and (i + 1) % step == 0, source, types="")


def shared_kv_layers(c: ConfigKeys, layers: Sourced) -> Sourced:
    """Mark the last `num_kv_shared_layers` of `layers` with the suffix `_shared`.

    Each reads the keys and values of the last layer of its kind before them. Raises ConfigError
    if there is none.
    """
    names: list[str] = layers.value
    shared = c.size("num_kv_shared_layers", least=0, most=len(names) - 1)
    if not shared.value:
        return layers
    first = len(names) - shared.value
    absent = next((name for name in names[first:] if name not in names[:first]), None)
    if absent is not None:
        raise ConfigError(
            f"{c.file}: {c.key('num_kv_shared_layers')} is {shared.value}, and no earlier layer"
            f" has {absent} keys and values to share"
        )
    marked = [f"{name}_shared" for name in names[first:]]
    return derived_from([*names[:first], *marked], layers, shared)
