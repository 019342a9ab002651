"""Recognising a module by its tensors: attention, MLA, linear attention, feed-forward, experts, norms. Names and shapes, no family.

A recogniser takes the tensors of one module of one layer (names relative to the module) and says what they prove, under the schema's own
field names; a fact that they leave open is `Unknown` with the reason. Nothing is guessed: what is said follows from names and arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, NamedTuple

from ...architecture.frozen import Frozen, frozen
from ..logical import Shape

Group = Literal["mixers", "ffns", "norms"]


@frozen
class Unknown(Frozen):
    """A fact that names and shapes do not tell, and why."""

    why: str


@frozen
class Seen(Frozen):
    """A fact, and the tensors (relative names) that tell it. `ref`: how, where that is not plain; `key`: config keys that it rests on."""

    value: Any
    by: tuple[str, ...]
    ref: str = ""
    key: str = ""


Fact = Seen | Unknown


@dataclass(slots=True)
class Sighting:
    """What a module is, and the facts about it by field. `components`: which of its tensors count for what (the rest for `component`)."""

    group: Group
    name: str
    component: str
    facts: dict[str, Fact] = field(default_factory=dict[str, Fact])
    components: dict[str, str] = field(default_factory=dict[str, str])

    def see(self, path: str, value: Any, *by: str, ref: str = "", key: str = "") -> None:
        self.facts[path] = Seen(value, by, ref, key)

    def wonder(self, path: str, why: str) -> None:
        self.facts.setdefault(path, Unknown(why))


@frozen
class Heads(Frozen):
    """What a config says of heads under the usual keys: only taken where it fits the shapes."""

    heads: int
    kv_heads: int
    head_dim: int
    keys: str


@dataclass(slots=True)
class Module:
    """The tensors of one module: relative name -> shape (None: name only), and how many experts a name with `{}` has."""

    name: str
    tensors: Mapping[str, Shape | None]
    experts: Mapping[str, int]
    hidden: int | None
    heads: Heads | None

    def first(self, *names: str) -> str:
        """The first of these names that is there."""
        return next((n for n in names if n in self.tensors), "")

    def size(self, name: str, place: int) -> int | None:
        """A dimension of a tensor."""
        shape = self.tensors.get(name)
        return shape[place] if shape is not None and -len(shape) <= place < len(shape) else None

    def outputs(self, name: str) -> int | None:
        """Of a matrix from the hidden width, [out, hidden] or [hidden, out] (Conv1D), the other side."""
        shape = self.tensors.get(name)
        if shape is None or len(shape) != 2 or self.hidden is None:
            return None
        if shape[1] == self.hidden:
            return shape[0]
        return shape[1] if shape[0] == self.hidden else None

    def inputs(self, name: str) -> int | None:
        """Of a matrix to the hidden width, [hidden, in] or [in, hidden], the other side."""
        shape = self.tensors.get(name)
        if shape is None or len(shape) != 2 or self.hidden is None:
            return None
        if shape[0] == self.hidden:
            return shape[1]
        return shape[0] if shape[1] == self.hidden else None

    def has(self, *names: str) -> bool:
        return all(n in self.tensors for n in names)


# --- mixers -------------------------------------------------------------------------------------------------------


class Widths(NamedTuple):
    """Outputs of q, k and v, and inputs of the output projection."""

    q: int | None
    k: int | None
    v: int | None
    o: int | None


OUT = (
    "o_proj.weight",
    "out_proj.weight",
    "dense.weight",
    "c_proj.weight",
    "wo.weight",
    "proj.weight",
)


def latent_attention(m: Module) -> Sighting | None:
    """MLA in DeepSeek's names. Three products tell all: kv_b = H (nope + v), q = H (nope + rope), o = H v: H = (q - kv_b + o) / rope."""
    kv_b = m.first("kv_b_proj.weight", "embed_q.weight")
    out = m.first(*OUT)
    if not (m.has("kv_a_proj_with_mqa.weight", "kv_a_layernorm.weight") and out and kv_b):
        return None
    s = Sighting("mixers", "latent_attention", "attention")
    rank = m.size("kv_a_layernorm.weight", 0)
    wide = m.outputs("kv_a_proj_with_mqa.weight")
    q_a, q_norm = m.first("q_a_proj.weight"), m.first("q_a_layernorm.weight")
    q = "q_b_proj.weight" if q_a else "q_proj.weight"
    if rank is not None:
        s.see("kv_lora_rank", rank, "kv_a_layernorm.weight")
    if q_a and (q_rank := m.size(q_norm, 0)) is not None:
        s.see("q_lora_rank", q_rank, q_norm)
    rope = wide - rank if wide is not None and rank is not None else None
    if rope is not None:
        s.see("qk_rope_head_dim", rope, "kv_a_proj_with_mqa.weight", ref="rows beyond kv_lora_rank")
    _latent_heads(m, s, q, rope, out)
    if m.has("indexer.wk.weight", "indexer.weights_proj.weight"):
        s.see("indexer.head_dim", m.outputs("indexer.wk.weight"), "indexer.wk.weight")
        s.see(
            "indexer.heads", m.outputs("indexer.weights_proj.weight"), "indexer.weights_proj.weight"
        )
        s.wonder("indexer.top_k", "how many tokens sparse attention reads is not in the tensors")
    s.wonder("rope", "rotary positions have no tensors")
    return s


def _latent_heads(m: Module, s: Sighting, q: str, rope: int | None, matrix: str) -> None:
    out, queries = m.inputs(matrix), m.size(q, 0)
    absorbed = m.tensors.get("embed_q.weight")
    keys = m.size("kv_b_proj.weight", 0)
    if absorbed is not None and len(absorbed) == 3 and absorbed[0] > 0 and out is not None:
        heads, nope, v = absorbed[0], absorbed[2], out // absorbed[0]
    elif out is not None and queries is not None and keys is not None and rope:
        heads, rest = divmod(queries - keys + out, rope)
        if rest or heads <= 0 or out % heads or (keys - out) % heads:
            return
        nope, v = (keys - out) // heads, out // heads
    else:
        for f in ("heads", "qk_nope_head_dim", "v_head_dim"):
            s.wonder(f, "the shapes of q, kv_b and o are needed together")
        return
    by = (q, m.first("kv_b_proj.weight", "embed_q.weight"), matrix)
    s.see("heads", heads, *by, ref="(q - kv_b + o) / rope")
    s.see("qk_nope_head_dim", nope, *by)
    s.see("v_head_dim", v, *by)


def kda(m: Module) -> Sighting | None:
    """Kimi Delta Attention: convolutions for q, k and v, and low-rank decay and gate."""
    if not m.has(
        "A_log",
        "dt_bias",
        "f_a_proj.weight",
        "f_b_proj.weight",
        "g_a_proj.weight",
        "q_conv1d.weight",
        "o_norm.weight",
    ):
        return None
    return _delta(m, "kda", "o_norm.weight", "q_conv1d.weight", m.outputs("q_proj.weight"))


def gated_deltanet(m: Module) -> Sighting | None:
    """Gated DeltaNet: one projection for q, k, v, z (or four), one convolution, decay per value head."""
    if not (
        m.has("A_log", "dt_bias", "conv1d.weight", "norm.weight", "out_proj.weight")
        and m.first("in_proj_qkvz.weight", "in_proj_qkv.weight")
    ):
        return None
    heads, dim, conv = _elements(m, "A_log"), m.size("norm.weight", 0), m.size("conv1d.weight", 0)
    keys = (
        (conv - heads * dim) // 2
        if heads is not None and dim is not None and conv is not None
        else None
    )
    return _delta(m, "gated_deltanet", "norm.weight", "conv1d.weight", keys)


def _delta(m: Module, variant: str, norm: str, conv: str, keys: int | None) -> Sighting:
    s = Sighting("mixers", variant, "attention")
    s.see("variant", variant, "A_log", "dt_bias", conv)
    heads, dim = _elements(m, "A_log"), m.size(norm, 0)
    if heads is not None:
        s.see("value_heads", heads, "A_log")
    if dim is not None:
        s.see("value_head_dim", dim, norm)
    _kernel(m, s, conv)
    if variant == "kda" and heads and keys is not None and not keys % heads:
        s.see("key_heads", heads, "A_log")
        s.see("key_head_dim", keys // heads, "q_proj.weight", "A_log")
    else:
        width = f" ({keys:,} together)" if keys else ""
        s.wonder("key_heads", f"heads times head dim of the keys are one number{width}")
        s.wonder("key_head_dim", f"heads times head dim of the keys are one number{width}")
    return s


def _kernel(m: Module, s: Sighting, conv: str) -> None:
    """The width of a convolution [channels, 1, width], or [channels, width, 1]."""
    shape = m.tensors.get(conv)
    if shape is not None and len(shape) > 1:
        s.see("conv_kernel", max(shape[1:]), conv)


def _elements(m: Module, name: str) -> int | None:
    """Elements of a tensor, whatever its shape ([H] or [1, 1, H, 1])."""
    shape = m.tensors.get(name)
    return prod(shape) if shape is not None else None


def lightning(m: Module) -> Sighting | None:
    """MiniMax's lightning attention: a fused qkv, an output gate, and a norm over the whole width."""
    if not m.has("qkv_proj.weight", "output_gate.weight", "norm.weight", "out_proj.weight"):
        return None
    s = Sighting("mixers", "lightning", "attention")
    s.see("variant", "lightning", "qkv_proj.weight", "output_gate.weight", "norm.weight")
    why = "heads times head dim are one number: nothing of one head's width is stored"
    for f in ("key_heads", "value_heads", "key_head_dim", "value_head_dim"):
        s.wonder(f, why)
    return s


def mamba(m: Module) -> Sighting | None:
    """State-space layers: Mamba 2 has a norm or a dt_bias, Mamba 1 an x_proj."""
    if not (m.has("A_log", "D") and m.first("in_proj.weight") and m.first("conv1d.weight")):
        return None
    variant = "mamba" if m.first("x_proj.weight") else "mamba2" if m.first("dt_bias") else ""
    if not variant:
        return None
    s = Sighting("mixers", variant, "attention")
    s.see("variant", variant, "A_log", "D", "conv1d.weight")
    _kernel(m, s, "conv1d.weight")
    s.see("conv_bias", m.has("conv1d.bias"), m.first("conv1d.bias", "conv1d.weight"))
    if variant == "mamba2" and (heads := _elements(m, "A_log")) is not None:
        s.see("value_heads", heads, "A_log")
        _state(m, s, heads)
    return s


def _state(m: Module, s: Sighting, heads: int) -> None:
    """Mamba 2: conv = inner + 2 groups state, in = inner + conv + heads, out = inner, inner = heads * value_head_dim."""
    inner, conv, all_in = (
        m.inputs("out_proj.weight"),
        m.size("conv1d.weight", 0),
        m.outputs("in_proj.weight"),
    )
    if (
        inner is None
        or conv is None
        or inner + conv + heads != all_in
        or not heads
        or inner % heads
    ):
        return
    s.see(
        "value_head_dim",
        inner // heads,
        "out_proj.weight",
        "A_log",
        ref="inputs of out_proj by heads",
    )
    for f in ("key_heads", "key_head_dim"):
        s.wonder(f, f"groups times state size are one number ({(conv - inner) // 2:,})")


def short_conv(m: Module) -> Sighting | None:
    """A gated convolution alone: in [3 h, h], a convolution of every channel, out [h, h]."""
    conv = m.first("conv.weight", "conv1d.weight")
    if not conv or not m.has("in_proj.weight", "out_proj.weight"):
        return None
    if not {n.rpartition(".")[0] for n in m.tensors} <= {
        "in_proj",
        "out_proj",
        conv.rpartition(".")[0],
    }:
        return None
    if (
        m.hidden is None
        or m.tensors["in_proj.weight"] != (3 * m.hidden, m.hidden)
        or m.size(conv, 0) != m.hidden
    ):
        return None
    s = Sighting("mixers", "short_conv", "attention")
    s.see(
        "variant",
        "short_conv",
        conv,
        "in_proj.weight",
        "out_proj.weight",
        ref="a convolution with three projections, and no state",
    )
    _kernel(m, s, conv)
    bias = conv.removesuffix("weight") + "bias"
    s.see("conv_bias", m.has(bias), m.first(bias, conv))
    s.see("bias", m.has("in_proj.bias"), m.first("in_proj.bias", "in_proj.weight"))
    return s


COMPRESSED = (
    ("wq_a.weight", "q_a_proj.weight"),
    ("q_norm.weight", "q_a_norm.weight"),
    ("wq_b.weight", "q_b_proj.weight"),
    ("wkv.weight", "kv_proj.weight"),
    ("norm.weight", "kv_norm.weight"),
    ("wo_a.weight", "o_a_proj.weight"),
    ("wo_b.weight", "o_b_proj.weight"),
)
"""Compressed attention as DeepSeek publishes it, and as transformers writes it."""


def compressed_attention(m: Module) -> Sighting | None:
    """DeepSeek V4's: one latent is key and value (wkv), queries (wq_a, wq_b) and output (wo_a, wo_b) are of low rank."""
    names = [m.first(*both) for both in COMPRESSED]
    if not all(names):
        return None
    _, q_norm, q_b, _, kv_norm, _, _ = names
    s = Sighting("mixers", "compressed_attention", "attention")
    rank, dim, queries = m.size(q_norm, 0), m.size(kv_norm, 0), m.size(q_b, 0)
    if rank is not None:
        s.see("q_lora_rank", rank, q_norm)
    if dim is not None:
        s.see("head_dim", dim, kv_norm)
    if sinks := m.first("attn_sink", "sinks"):
        s.see("sinks", True, sinks)
        if dim and queries is not None and not queries % dim and m.size(sinks, 0) == queries // dim:
            s.see("heads", queries // dim, sinks, q_b)
    _low_rank_output(m, s, names, queries)
    _compressor(m, s, dim)
    norm = m.first("indexer.compressor.norm.weight", "compressor.indexer.kv_norm.weight")
    weights = m.first(
        "indexer.weights_proj.weight", "compressor.indexer.scorer.weights_proj.weight"
    )
    if norm and weights:
        s.see("indexer.head_dim", m.size(norm, 0), norm)
        s.see("indexer.heads", m.outputs(weights), weights)
        s.wonder("indexer.top_k", "how many entries sparse attention reads is not in the tensors")
    s.wonder("window", "a sliding window has no tensors")
    s.wonder("rope", "rotary positions have no tensors")
    return s


def _low_rank_output(m: Module, s: Sighting, names: list[str], values: int | None) -> None:
    """wo_a [groups * rank, values / groups], wo_b [hidden, groups * rank]."""
    q_b, o_a, o_b = names[2], names[5], names[6]
    rows, columns, inner = m.size(o_a, 0), m.size(o_a, 1), m.inputs(o_b)
    if (
        rows is None
        or not columns
        or values is None
        or values % columns
        or rows != inner
        or rows % (values // columns)
    ):
        return
    s.see("o_groups", values // columns, q_b, o_a, ref=f"outputs of {q_b} by inputs of {o_a}")
    s.see("o_lora_rank", rows // (values // columns), o_a)


def _compressor(m: Module, s: Sighting, dim: int | None) -> None:
    table = m.first("compressor.ape", "compressor.position_bias")
    ratio, width = m.size(table, 0), m.size(table, 1)
    if ratio is None or width is None or not dim or width % dim:
        s.wonder("ratio", "no compressor of keys and values is stored")
        return
    s.see("ratio", ratio, table)
    s.see("series", width // dim, table)


STATE = re.compile(
    r"(?:A_log|dt_bias|D|conv1d\.\w+|[qkv]_conv1d\.\w+|(?:\w+_)?decay|(?:\w+\.)*time_\w+)$"
)


def linear_attention(m: Module) -> Sighting | None:
    """Queries, keys and values beside a decay or a convolution: a state instead of a cache, of a rule that is not known here."""
    marks = [n for n in m.tensors if STATE.match(n)]
    if not marks or not m.has("q_proj.weight", "k_proj.weight", "v_proj.weight"):
        return None
    s = Sighting("mixers", "linear_attention", "attention")
    if conv := m.first("conv1d.weight", "q_conv1d.weight"):
        _kernel(m, s, conv)
    for f in ("variant", "key_heads", "value_heads", "key_head_dim", "value_head_dim"):
        s.wonder(f, f"{', '.join(marks[:3])} tell of a state, not of its rule")
    return s


def attention(m: Module) -> Sighting | None:
    """Softmax attention, q, k, v apart or in one; heads need something of one head's width: a QK-norm, sinks, a config that fits."""
    out = m.first(*OUT)
    apart = m.has("q_proj.weight", "k_proj.weight", "v_proj.weight")
    if not out or not (apart or m.has("qkv_proj.weight")):
        return None
    s = Sighting("mixers", "attention", "attention")
    o = m.inputs(out)
    if apart:
        q, k, v = (m.outputs(f"{n}_proj.weight") for n in "qkv")
        _heads(m, s, out, Widths(q, k, v, o))
        _biases(m, s, "qkv")
    else:
        whole = m.outputs("qkv_proj.weight")
        rest = whole - o if whole is not None and o is not None else 1
        kv = rest // 2 if rest > 0 and rest % 2 == 0 else None
        _heads(m, s, out, Widths(o, kv, kv, o))
        if m.has("qkv_proj.bias"):
            s.see("qkv_bias", True, "qkv_proj.bias")
        elif apart := m.first("q_proj.bias", "k_proj.bias", "v_proj.bias"):
            s.wonder("qkv_bias", f"{apart} stands beside a matrix of all three")
        else:
            s.see("qkv_bias", False, "qkv_proj.weight")
    s.see(
        "output_bias",
        m.has(out.removesuffix("weight") + "bias"),
        m.first(out.removesuffix("weight") + "bias", out),
    )
    s.see("sinks", m.has("sinks"), m.first("sinks", out))
    if not m.first("q_norm.weight", "q_layernorm.weight"):
        s.wonder(
            "qk_norm", "there is no weight of a QK-norm; one without weights would leave no trace"
        )
    s.wonder("rope", "rotary positions have no tensors")
    s.wonder("window", "a sliding window has no tensors")
    return s


def _biases(m: Module, s: Sighting, letters: str) -> None:
    """A bias of all projections, or of none; some have it on queries and values alone."""
    biased = [f"{n}_proj.bias" for n in letters if m.has(f"{n}_proj.bias")]
    if len(biased) in (0, len(letters)):
        s.see("qkv_bias", bool(biased), *(biased or [f"{n}_proj.weight" for n in letters]))
    else:
        s.wonder("qkv_bias", f"only {' and '.join(biased)} is stored")


PARTIAL = re.compile(
    r"(?:q_proj|k_proj|o_proj|out_proj|dense|wo|g_proj|gate_proj)\.(?:weight|bias)|[qk]_(?:layer)?norm\.weight|sinks"
)


def partial_attention(m: Module) -> Sighting | None:
    """Attention without values, or without keys and values, of its own."""
    out = m.first(*OUT)
    if not out or not m.has("q_proj.weight") or not all(PARTIAL.fullmatch(n) for n in m.tensors):
        return None
    s = Sighting("mixers", "attention", "attention")
    q, k, o = m.outputs("q_proj.weight"), m.outputs("k_proj.weight"), m.inputs(out)
    if m.has("k_proj.weight"):
        s.wonder(
            "values_from_keys",
            "no matrix of values is stored: values may be the keys, or another layer's",
        )
    else:
        s.wonder("kv_from", "neither keys nor values are stored: they may be another layer's")
    _partial_heads(m, s, Widths(q, k, None, o))
    for f in ("heads", "kv_heads", "head_dim", "v_head_dim"):
        s.wonder(f, "without a matrix of values the shapes do not settle it")
    _biases(m, s, "qk" if m.has("k_proj.weight") else "q")
    s.see(
        "output_bias",
        m.has(out.removesuffix("weight") + "bias"),
        m.first(out.removesuffix("weight") + "bias", out),
    )
    s.see("sinks", m.has("sinks"), m.first("sinks", out))
    s.wonder("rope", "rotary positions have no tensors")
    s.wonder("window", "a sliding window has no tensors")
    return s


def _partial_heads(m: Module, s: Sighting, w: Widths) -> None:
    """A QK-norm narrower than the queries is one head wide; queries as wide as the output's input have no gate among them."""
    norm, other = (
        m.first("q_norm.weight", "q_layernorm.weight"),
        m.first("k_norm.weight", "k_layernorm.weight"),
    )
    shape = m.tensors.get(norm)
    if (
        shape is None
        or len(shape) != 1
        or w.q is None
        or w.q != w.o
        or not 0 < shape[0] < w.q
        or w.q % shape[0]
    ):
        return
    dim = shape[0]
    s.see("qk_norm.scope", "head", norm)
    s.see("head_dim", dim, norm, ref="the QK-norm is one head wide")
    s.see("heads", w.q // dim, "q_proj.weight", norm)
    if w.k is not None and m.tensors.get(other) == shape and not w.k % dim:
        s.see("kv_heads", w.k // dim, "k_proj.weight", other)


def _heads(m: Module, s: Sighting, out: str, widths: Widths) -> None:
    """Heads, KV heads and head dims: o = heads * v_dim, k = kv * dim, v = kv * v_dim, q = heads * dim (twice that with a gate in it)."""
    q, k, v, o = widths
    dim, by, ref, key = _head_dim(m, s, out, widths)
    if (
        dim is None
        or k is None
        or v is None
        or o is None
        or v != k
        or o % dim
        or k % dim
        or (o and not k)
        or (k and o % k)
    ):
        why = "heads times head dim are one number" + (
            f" ({o:,} for queries, {k:,} for keys)" if o is not None and k is not None else ""
        )
        for f in ("heads", "kv_heads", "head_dim", "v_head_dim"):
            s.wonder(f, why if not by else f"{by[0]} does not settle the head dims")
        return
    s.see("heads", o // dim, out, *by, ref=ref, key=key)
    s.see(
        "kv_heads",
        k // dim,
        "k_proj.weight" if m.has("k_proj.weight") else "qkv_proj.weight",
        *by,
        ref=ref,
        key=key,
    )
    s.see("head_dim", dim, *(by or (out,)), ref=ref, key=key)
    s.see("v_head_dim", dim, *(by or (out,)), ref="k and v are equally wide", key=key)
    if q == 2 * o and by and by[0] == "q_norm.weight":
        s.see(
            "gate", "elementwise", "q_proj.weight", ref="q_proj is twice as wide as o_proj's input"
        )


class Told(NamedTuple):
    """A head dim, the tensors that tell it, how, and the config's keys that it rests on."""

    dim: int | None
    by: tuple[str, ...] = ()
    ref: str = ""
    key: str = ""


def _head_dim(m: Module, s: Sighting, out: str, widths: Widths) -> Told:
    """The width of one head: of a QK-norm, by the number of sinks, or the config's, if it fits the shapes."""
    norms = (("q_norm.weight", "k_norm.weight"), ("q_layernorm.weight", "k_layernorm.weight"))
    for told in (_by_norm(m, s, widths, *n) for n in norms):
        if told is not None:
            return told
    k, o, h = widths.k, widths.o, m.heads
    if o is None or k is None:
        return Told(None)
    sinks = m.size("sinks", 0)
    if sinks and o and widths.v == k and o % sinks == 0:
        return Told(o // sinks, ("sinks",), "one sink for each query head")
    if h and h.head_dim > 0 and o == h.heads * h.head_dim and k == h.kv_heads * h.head_dim:
        return Told(h.head_dim, (), f"{out} has {o:,} inputs, which the config's heads fit", h.keys)
    return Told(None)


def _by_norm(m: Module, s: Sighting, widths: Widths, norm: str, other: str) -> Told | None:
    """What a QK-norm tells: one head's width where it is narrower than the projections; else its own scope."""
    a, b = m.tensors.get(norm), m.tensors.get(other)
    q, k, _, o = widths
    if a is None or b is None or o is None or k is None:
        return None
    if len(a) == 2 and len(b) == 2 and 0 < a[1] == b[1] and (a[0] * a[1], b[0] * b[1]) == (o, k):
        s.wonder("qk_norm.scope", "every head has weights of its own")
        return Told(a[1], (norm, other), "the QK-norm has a row for each head")
    if len(a) == 1 and a == b and 0 < a[0] < o and k % a[0] == 0 and o % a[0] == 0:
        s.see("qk_norm.scope", "head", norm, other)
        return Told(a[0], (norm, other), "the QK-norm is one head wide")
    many = m.heads is not None and m.heads.heads > 1 and o == m.heads.heads * m.heads.head_dim
    if q is not None and a == (q,) and b == (k,) and (q != k or many):
        s.see("qk_norm.scope", "projection", norm, other)
    else:
        s.wonder("qk_norm.scope", f"{norm} is as wide as a head and as the projection may be")
    return None


# --- feed-forward -------------------------------------------------------------------------------------------------

UP = (
    "up_proj.weight",
    "c_fc.weight",
    "fc1.weight",
    "dense_h_to_4h.weight",
    "linear_fc1.weight",
    "fc_in.weight",
)
DOWN = (
    "down_proj.weight",
    "c_proj.weight",
    "fc2.weight",
    "dense_4h_to_h.weight",
    "linear_fc2.weight",
    "fc_out.weight",
)


def moe(m: Module) -> Sighting | None:
    """A router and experts, one by one or stacked; shared experts beside them."""
    router = m.first("gate.weight", "router.weight")
    one, stacked = m.first("experts.{}.down_proj.weight"), m.first("experts.down_proj")
    routed = router or next((n for n in m.tensors if n.startswith(("router.", "gate."))), "")
    if not routed or not (one or stacked):
        return None
    s = Sighting("ffns", "moe", "experts")
    _experts(m, s, router, one or stacked, m.experts.get(one) if one else m.size(stacked, 0))
    gate = m.first(
        "experts.{}.gate_proj.weight",
        "experts.gate_proj",
        "experts.gate_up_proj",
        "experts.{}.gate_up_proj.weight",
    )
    up = m.first("experts.{}.up_proj.weight", "experts.up_proj") or gate
    _gated(m, s, gate, up, Sides(_elements(m, up), _elements(m, one or stacked)))
    down = m.inputs(one) if one else _other(m.tensors.get(stacked), m.hidden)
    if down is not None:
        s.see("expert_width", down, one or stacked)
    else:
        s.wonder("expert_width", "the experts' matrices do not have the hidden width")
    parts = ("gate_proj", "up_proj", "gate_up_proj", "down_proj")
    _bias(m, s, [b for p in parts for w, b in _expert_names(p) if w in m.tensors], one or stacked)
    table = m.first("e_score_correction_bias", "gate.e_score_correction_bias")
    if not router:
        for f in ("router.bias", "router.selection_bias"):
            s.wonder(f, f"a router of several tensors ({routed}, ..) is not understood")
    elif m.has(own := router.removesuffix("weight") + "bias"):
        s.wonder(
            "router.bias", f"{own} may be added to the scores, or for the choice of experts alone"
        )
        s.wonder(
            "router.selection_bias",
            f"{own} may be added to the scores, or for the choice of experts alone",
        )
    else:
        s.see("router.selection_bias", bool(table), table or router)
        s.see("router.bias", False, router)
    for name in ("active", "router.scoring", "router.normalized", "router.groups"):
        s.wonder(name, "how experts are chosen is not in the tensors")
    s.wonder("activation", "an activation has no tensors")
    _shared(m, s)
    for name in m.tensors:
        s.components[name] = _moe_component(name)
    return s


def _expert_names(part: str) -> tuple[tuple[str, str], ...]:
    """A matrix of experts and its bias, one by one and stacked."""
    return (f"experts.{{}}.{part}.weight", f"experts.{{}}.{part}.bias"), (
        f"experts.{part}",
        f"experts.{part}_bias",
    )


def _bias(m: Module, s: Sighting, names: list[str], matrix: str) -> None:
    """All matrices have a bias, or none has."""
    there = [n for n in dict.fromkeys(names) if m.has(n)]
    if there and len(there) < len(set(names)):
        s.wonder(
            "bias", f"of the matrices only {there[0].rpartition('.')[0] or there[0]} has a bias"
        )
    else:
        s.see("bias", bool(there), *(there or (matrix,)))


def _experts(m: Module, s: Sighting, router: str, matrix: str, held: int | None) -> None:
    """As many experts as the router has outputs: where others are stored, some may be without tensors (zero experts), or missing."""
    if not router:
        for f in ("experts", "zero_experts"):
            s.wonder(
                f,
                f"no matrix of the router has an output for each expert ({held or 0:,} are stored)",
            )
        return
    outputs, shape = m.outputs(router), m.tensors[router]
    if outputs is None and shape is not None and held in shape:
        outputs = held
    if held is not None and shape is not None and outputs != held:
        for f in ("experts", "zero_experts"):
            s.wonder(
                f,
                f"{router} has {outputs or max(shape, default=0):,} outputs, and {held:,} experts are stored",
            )
    elif outputs is not None:
        s.see("experts", outputs, router, matrix)
    elif held is not None:
        s.see("experts", held, matrix, ref="as many are stored")


def _other(shape: Shape | None, hidden: int | None) -> int | None:
    """Of a stack of matrices to the hidden width, [E, a, b], the other side."""
    if shape is None or len(shape) != 3 or hidden not in shape[1:]:
        return None
    return shape[1] if shape[2] == hidden else shape[2]


def _shared(m: Module, s: Sighting) -> None:
    for at in ("shared_experts", "shared_expert"):
        if m.has(f"{at}.down_proj.weight"):
            if (width := m.inputs(f"{at}.down_proj.weight")) is not None:
                s.see("shared_width", width, f"{at}.down_proj.weight")
            gate = m.first("shared_expert_gate.weight", "shared_experts_gate.weight")
            s.see("shared_gate", bool(gate), gate or f"{at}.down_proj.weight")
            return
    s.see(
        "shared_width",
        0,
        m.first("gate.weight", "router.weight"),
        ref="no tensors of shared experts",
    )


def _moe_component(name: str) -> str:
    if name.startswith(("experts.",)):
        return "experts"
    if name.startswith("shared_expert"):
        return "shared_experts"
    return "latent_projections" if "latent" in name else "router"


class Sides(NamedTuple):
    """Elements, or outputs, of what goes up (gate included where they are one), and of what goes down."""

    up: int | None
    down: int | None


def _gated(m: Module, s: Sighting, gate: str, up: str, sides: Sides) -> None:
    """A gate by its name; or in the one matrix up, which then is twice as large as the one down."""
    double = (
        None
        if sides.up is None or sides.down is None
        else sides.up / sides.down
        if sides.down
        else 0
    )
    if gate and gate != up and up in m.tensors:
        s.see("gated", True, gate, up)
    elif double == 2:
        s.see("gated", True, up or gate, ref="it is twice as large as what goes down")
    elif double == 1 and not gate:
        s.see("gated", False, up)
    elif gate and "gate_up" in gate and double is None:
        s.see("gated", True, gate)
    else:
        s.wonder("gated", "names and shapes of the matrices do not settle it")


def dense(m: Module) -> Sighting | None:
    """A feed-forward block: gated where a gate matrix is stored, or the one up has twice the outputs that down takes."""
    down, fused = m.first(*DOWN), m.first("gate_up_proj.weight")
    up, gate = m.first(*UP), m.first("gate_proj.weight", "gate_up_proj.weight")
    if (
        not down
        and m.has("w1.weight", "w2.weight", "w3.weight")
        and m.tensors["w1.weight"] == m.tensors["w3.weight"]
    ):
        up, gate, down = "w3.weight", "w1.weight", "w2.weight"
    if (
        m.has("w1.weight", "w2.weight", "c_proj.weight")
        and m.tensors["w1.weight"] == m.tensors["w2.weight"]
    ):
        up, gate, down = "w1.weight", "w2.weight", "c_proj.weight"
    if not down or not (up or fused) or any(len(shape or ()) > 2 for shape in m.tensors.values()):
        return None
    s = Sighting("ffns", "dense", "mlp")
    width, outputs = m.inputs(down), m.outputs(up or fused)
    _gated(m, s, gate, up or fused, Sides(outputs, width))
    if width is not None and outputs is not None and outputs in (width, 2 * width):
        s.see("width", width, down)
    else:
        s.wonder("width", "the matrices do not have the hidden width")
    _bias(
        m,
        s,
        [n.removesuffix("weight") + "bias" for n in (up, gate, fused, down) if n in m.tensors],
        down,
    )
    s.wonder("activation", "an activation has no tensors")
    return s


def per_layer_input(m: Module) -> Sighting | None:
    """A block that multiplies the layer's slice of a per-layer embedding: gate [width, hidden], projection [hidden, width]."""
    if not m.has("gate.weight", "projection.weight") or len(m.tensors) > 2:
        return None
    s = Sighting("ffns", "per_layer_input", "mlp")
    s.see("per_layer", True, "gate.weight", "projection.weight")
    if (width := m.inputs("projection.weight")) is not None and width == m.outputs("gate.weight"):
        s.see("width", width, "projection.weight")
    s.wonder("activation", "an activation has no tensors")
    return s


def low_rank(m: Module) -> Sighting | None:
    """Two matrices of low rank around nothing: left [rank, hidden], right [hidden, rank]."""
    if set(m.tensors) != {"linear_left.weight", "linear_right.weight"}:
        return None
    s = Sighting("ffns", m.name, "mlp")
    if (width := m.inputs("linear_right.weight")) is not None and width == m.outputs(
        "linear_left.weight"
    ):
        s.see("width", width, "linear_right.weight")
    s.wonder("activation", "an activation has no tensors")
    return s


def norm(m: Module) -> Sighting | None:
    """A norm of the hidden width: its kind is certain only with a bias."""
    if not m.has("weight") or not set(m.tensors) <= {"weight", "bias"}:
        return None
    shape = m.tensors["weight"]
    if shape is not None and (len(shape) != 1 or (m.hidden is not None and shape[0] != m.hidden)):
        return None
    s = Sighting("norms", m.name, "norms")
    s.see("bias", m.has("bias"), m.first("bias", "weight"))
    if m.has("bias"):
        s.see("kind", "layernorm", "bias")
    else:
        s.wonder("kind", "RMSNorm and LayerNorm without bias have the same tensor")
    s.wonder("offset", "whether weights are stored less 1 is not in the header")
    s.wonder("eps", "an epsilon has no tensor")
    return s


RECOGNISERS: tuple[Callable[[Module], Sighting | None], ...] = (
    latent_attention,
    kda,
    gated_deltanet,
    lightning,
    mamba,
    short_conv,
    compressed_attention,
    linear_attention,
    attention,
    partial_attention,
    moe,
    per_layer_input,
    low_rank,
    dense,
    norm,
)
"""The more special before the more general."""


def recognise(m: Module) -> Sighting | None:
    return next((s for r in RECOGNISERS if (s := r(m)) is not None), None)
