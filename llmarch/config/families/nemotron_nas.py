"""Nemotron 49B, 51B and 253B (NAS): Llama's layers, each with widths of its own or without a block.

`block_configs` has a block for each layer: how many query heads share a KV head, the width of the
MLP as a multiple, and which of both are left out (`no_op`).
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError, UnknownFamily
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family

_ROUNDED_TO = 256
"""What widths are rounded up to a multiple of."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder. Raises UnknownFamily for layers with one matrix in place of a block."""
    c.ignore("intermediate_size", "num_key_value_heads")
    count = c.layer_count().value
    given = c.items("block_configs", length=count, entry=dict)
    mixers: dict[str, Draft] = {}
    ffns: dict[str, Draft] = {}
    kinds: dict[str, Draft] = {}
    layers: list[str] = []
    for i, block in enumerate(given.value):
        keys = c.with_data(block, prefix=f"{c.key('block_configs')}.{i}.")
        mixer = _add_mixer(c, keys.child("attention"), mixers)
        ffn = _add_ffn(c, keys.child("ffn"), ffns)
        names = [name for name in (mixer, ffn) if name]
        kind = "_".join(names) or "empty"
        paths = [f"mixers.{mixer}"] if mixer else []
        paths += [f"ffns.{ffn}"] if ffn else []
        steps = [blocks.pre_norm_step(path) for path in paths]
        kinds.setdefault(kind, draft(s.LayerKind, steps=steps))
        layers.append(kind)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffns,
        layer_kinds=kinds,
        layers=derived(layers, "block_configs"),
    )


def _left_out(keys: ConfigKeys) -> bool:
    """Return whether the layer is without this block. Raises UnknownFamily for one matrix."""
    if keys.flag("replace_with_linear", default=False).value:
        name = keys.key("replace_with_linear")
        raise UnknownFamily(f"{keys.file}: {name} is true, and one matrix is not supported")
    keys.ignore("sparsify", "unshifted_sink", "use_prefill_window_in_sink_attention")
    return keys.flag("no_op", default=False).value


def _name_of(word: str, known: dict[str, Draft], field: str, value: int) -> str:
    """Return the name of the block with this value of a field, or of a further one.

    Blocks are numbered in the order in which layers have them: `dense`, `dense_2`.
    """
    for name, block in known.items():
        if block[field].value == value:
            return name
    return f"{word}_{len(known) + 1}" if known else word


def _add_mixer(c: ConfigKeys, keys: ConfigKeys, mixers: dict[str, Draft]) -> str | None:
    """Add the attention of a layer to the mixers, unless it is there. Return its name."""
    heads = c.size("num_attention_heads").value
    group = keys.size("n_heads_in_group", default=None).value
    stated = keys.size("num_key_value_heads", default=None).value
    for key in ("window_length", "num_sink_tokens"):
        keys.expect(key, None)
    if _left_out(keys):
        return None
    count = stated or heads
    if group and heads % group:
        raise ConfigError(
            f"{c.file}: num_attention_heads {heads:,} is not a multiple of"
            f" {keys.key('n_heads_in_group')} {group:,}"
        )
    if group:
        count = heads // group
    name = _name_of("full", mixers, "kv_heads", count)
    if name not in mixers:
        groups = derived(count, "num_attention_heads / n_heads_in_group (block_configs)")
        biases = blocks.attention_biases(c)
        dim = blocks.divided_head_dim(c, ("hidden_size",), ("num_attention_heads",))
        mixers[name] = blocks.attention(c, kv_heads=groups, head_dim=dim, **biases)
    return name


def _add_ffn(c: ConfigKeys, keys: ConfigKeys, ffns: dict[str, Draft]) -> str | None:
    """Add the MLP of a layer to the feed-forward blocks, unless it is there. Return its name."""
    facts: dict[str, Any] = {"bias": c.flag("mlp_bias")}
    facts["activation"] = blocks.activation_name(c)
    multiple = keys.number("ffn_mult", default=None)
    if _left_out(keys):
        keys.ignore("intermediate_size")
        return None
    width = _width(c, keys, multiple)
    name = _name_of("dense", ffns, "width", width.value)
    ffns.setdefault(name, draft(s.Dense, width=width, **facts))
    return name


def _width(c: ConfigKeys, keys: ConfigKeys, multiple: Sourced) -> Sourced:
    """Return the width of an MLP, which stands there or is a multiple of the stream's."""
    if multiple.value is None:
        return keys.size("intermediate_size")
    keys.ignore("intermediate_size")
    hidden = c.size("hidden_size").value
    width = int(2 * multiple.value * hidden / 3)
    rounded = -(-width // _ROUNDED_TO) * _ROUNDED_TO
    return derived(rounded, f"2/3 * ffn_mult * hidden_size, up to a multiple of {_ROUNDED_TO}")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: a layer without attention has the second norm alone."""
    own: dict[str, tuple[str, ...]] = {}
    for name, kind in a.layer_kinds.items():
        blocks_of_kind = [step.branches[0].block for step in kind.steps]
        norms = {"mixers": tensors.PRE_NORMS[0], "ffns": tensors.PRE_NORMS[1]}
        own[name] = tuple(norms[path.partition(".")[0]] for path in blocks_of_kind)
    return tensors.Naming(kind_norms=own)


FAMILY = Family(
    name="nemotron_nas",
    title="Nemotron (NAS)",
    ref="nvidia/Llama-3_3-Nemotron-Super-49B-v1/modeling_decilm.py",
    read=read,
    naming=_naming,
    defaults={
        "nemotron-nas": {
            "attention_bias": False,
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "mlp_bias": False,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"nemotron-nas": "DeciLMConfig"},
    other_classes={"nemotron-nas": ("DeciLM",)},
)
