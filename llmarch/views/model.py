"""The first screen of `show`: a model as titles and labelled lines. Renderers give it a form.

Nothing is escaped here. Mixers are in attention.py, feed-forward blocks in feed_forward.py, the
tables that are shown on request in tables.py.
"""

from __future__ import annotations

from math import ceil

from ..analyses.cache import Cache, compute_cache, shown_contexts
from ..analyses.parameters import Parameters, count_parameters
from ..architecture.schema import Architecture, Conformer, ConvTower, Norm, Tower
from ..checkpoint.reading import Reading
from ..sources.raw import RawModel
from . import numbers
from .attention import attention_lines, position_lines
from .documents import Sheet
from .fact_rows import quantized
from .feed_forward import dense_lines, moe_lines
from .findings import finding_line
from .numbers import number
from .wording import (
    headline,
    multiplied,
    norm_word,
    pattern,
    placement,
    recipe,
    residual_word,
    state_word,
    tower_word,
)

SHORT = 50
"""Columns that the recipe of the layers may fill on one line; a longer one has a line a kind."""
DTYPE_BITS = {"bfloat16": 16, "float16": 16, "float32": 32, "float8_e4m3fn": 8}


def sheet(r: Reading) -> Sheet:
    """Return the first screen about a model; labels without lines are left out."""
    a = r.architecture
    lines = [
        ("Parameters", parameter_lines(a)),
        ("Layers", layer_lines(a)),
        ("Residual", residual_lines(a)),
        ("Attention", attention_lines(a)),
        ("Position", position_lines(a)),
        ("Norm", norm_lines(a)),
        ("MoE", moe_lines(a)),
        ("Feed-forward", dense_lines(a)),
        ("Vocabulary", vocabulary_lines(a)),
        ("MTP", mtp_lines(r)),
        *((name.capitalize(), tower_lines(a.towers[name])) for name in a.towers),
        ("KV cache", cache_lines(a)),
        ("Weights", weight_lines(r)),
    ]
    shown = [(label, text) for label, text in lines if text]
    return Sheet(r.name, origin(r.raw, a.model_type), headline(a), shown, notes(r))


def origin(raw: RawModel, model_type: str) -> str:
    """Return where a model was read: `Qwen/Qwen3-8B@v1 · qwen3 · Hub 1a2b3c4`."""
    source = {"spec": "bundled spec", "local": "local", "hub": "Hub"}[raw.kind]
    repository = raw.repo_id or raw.reference
    if raw.revision and raw.revision != "main":
        repository += f"@{raw.revision}"
    if raw.commit:
        source += f" {raw.commit[:7]}"
    return f"{repository} · {model_type} · {source}"


# Sizes


def parameter_lines(a: Architecture) -> list[str]:
    """Return total and active parameters, then embedding, head and encoders."""
    p = count_parameters(a)
    lines = [f"{numbers.count(p.total)} total"]
    if p.active != p.total - p.vision:
        lines = active_lines(p, tied=a.embedding.tied)
    parts = f"embedding {numbers.count(p.embedding)}"
    if a.embedding.tied:
        parts += ", tied with the head"
    else:
        parts += f", head {numbers.count(p.head)}, untied"
    if p.vision:
        parts += f" · encoder {numbers.count(p.vision)} (in the total)"
    return [*lines, parts]


def active_lines(p: Parameters, tied: bool) -> list[str]:
    """Return the total and the active parameters by each convention.

    p: the counts.
    tied: whether the head is the embedding, so that it cannot be left out.
    """
    total, active = numbers.count(p.total), numbers.count(p.active)
    share = f"{100 * p.active / (p.total - p.vision):.2g} %"
    rest = f"{numbers.count(p.active_without_embedding)} active without the input embedding"
    if not tied:
        rest += f", {numbers.count(p.active_without_embedding_and_head)} without the head too"
    return [f"{total} total · {active} active ({share}), embedding and head counted", rest]


def layer_lines(a: Architecture) -> list[str]:
    """Return how many layers of each kind there are, their pattern, and the hidden size."""
    runs = [f"{n} × {word}" for n, word in recipe(a)]
    lines = [", ".join(runs)] if sum(map(len, runs)) < SHORT else runs
    alternation = pattern(a)
    if alternation:
        lines.append(f"pattern {alternation}")
    return [*lines, f"hidden size {number(a.hidden_size)}"]


def residual_lines(a: Architecture) -> list[str]:
    """Return how several residual streams are mixed; nothing for the usual single stream."""
    r = a.residual
    if r.kind == "plain":
        return []
    if r.kind == "altup":
        return [f"{residual_word(r)}; layers work on stream {r.active} and correct the others"]
    steps = f"{r.iterations} Sinkhorn iterations, ε {numbers.epsilon(r.eps or 0)}"
    return [residual_word(r), f"mixing made doubly stochastic by {steps}"]


def norm_lines(a: Architecture) -> list[str]:
    """Return the kinds of norm, where they sit, and fixed factors on the residual stream."""
    kinds = " / ".join(dict.fromkeys(map(norm_with_epsilon, a.norms.values())))
    factors = multiplied(a)
    return [f"{kinds}, {placement(a)}", *([", ".join(factors)] if factors else [])]


def norm_with_epsilon(n: Norm) -> str:
    """Return `RMSNorm (ε 1e-6)`."""
    word = norm_word(n)
    return word if n.eps is None else f"{word} (ε {numbers.epsilon(n.eps)})"


def vocabulary_lines(a: Architecture) -> list[str]:
    """Return the vocabulary, factors on embedding and logits, and a per-layer embedding."""
    words = [number(a.vocab_size)]
    if a.embedding.scale:
        words.append(f"embedding × {number(round(a.embedding.scale, 4))}")
    if a.embedding.norm:
        words.append("norm on the embedding")
    if a.head.bias:
        words.append("bias on the head")
    if a.head.softcap:
        words.append(f"logits softcap {a.head.softcap:g}")
    if a.head.scale not in (None, 1):
        words.append(f"logits × {a.head.scale:g}")
    lines = [" · ".join(words)]
    per_layer = a.embedding.per_layer
    if per_layer:
        size = numbers.count(count_parameters(a).by_component["per_layer_embedding"])
        width = number(per_layer.width)
        lines.append(f"per-layer embedding of {width} for each layer and token, {size}")
    return lines


def mtp_lines(r: Reading) -> list[str]:
    """Return the MTP modules that the config announces, and what the checkpoint stores of them."""
    mtp, computed = r.architecture.mtp, count_parameters(r.architecture).mtp
    stored = r.check.mtp if r.check else 0
    if mtp is None:
        if not stored:
            return []
        size = numbers.count(stored)
        return [f"{size} stored, not announced by the config (not in the total)"]
    modules = f"{mtp.modules} module{'s' if mtp.modules > 1 else ''}"
    if r.check and not stored:
        return [f"{modules} announced by the config, none stored"]
    if stored or computed:
        return [f"{modules}, {numbers.count(stored or computed or 0)} (not in the total)"]
    return [f"{modules} announced by the config; layout unknown, not counted"]


def tower_lines(t: Tower | Conformer | ConvTower) -> list[str]:
    """Return an encoder's size and what it reads."""
    first = tower_word(t)
    match t:
        case ConvTower():
            return [first + (f", {t.tokens} tokens an image" if t.tokens else "")]
        case Conformer():
            window = f"attention over {t.chunk} + {t.left_context} frames"
            return [f"{first}, {t.heads} heads, convolutions of {t.conv_kernel}, {window}"]
        case Tower():
            first += f", {t.heads} heads, patches of {t.patch_size}"
            if t.image_size:
                first += f", images {t.image_size} px"
            if not t.deepstack:
                return [first]
            layers = ", ".join(map(str, t.deepstack))
            return [first, f"features of layers {layers} feed the first decoder layers too"]


# Cache and weights


def cache_lines(a: Architecture) -> list[str]:
    """Return bytes of a further token, what does not grow, and totals at some lengths.

    By the ideal convention: see docs/cache.md.
    """
    c = compute_cache(a)
    lines = [growth_line(c)]
    fixed: list[str] = []
    if c.window_bytes:
        fixed.append(f"full windows {numbers.size(c.window_bytes)}")
    if c.state_bytes:
        fixed.append(f"{state_word(a)} {numbers.size(c.state_bytes)} ({c.state_dtype})")
    if fixed:
        lines.append(f"+ {' + '.join(fixed)} per sequence")
    totals: list[str] = []
    for tokens in shown_contexts(a):
        longest = " (max)" if tokens == a.context_length else ""
        totals.append(f"{numbers.context(tokens)}{longest} {numbers.size(c.bytes_at(tokens))}")
    if totals:
        lines.append(" · ".join(totals))
    return lines


def growth_line(c: Cache) -> str:
    """Return `188 KiB per token (bf16)`, of which indexer keys, and before windows are full."""
    dtype = c.convention.dtype
    if not c.growing_bytes_per_token:
        if c.window_bytes:
            return f"no growth beyond the windows ({dtype})"
        return "none: no layer keeps keys and values"
    line = f"{numbers.size(ceil(c.growing_bytes_per_token))} per token ({dtype})"
    if c.indexer_bytes_per_token:
        keys = numbers.size(ceil(c.indexer_bytes_per_token))
        line += f", of which {keys} indexer keys ({c.dtypes_of('index')})"
    if c.window_bytes:
        filling = numbers.size(ceil(c.all_layers_bytes_per_token))
        line += f", {filling} until the windows are full"
    return line


def weight_lines(r: Reading) -> list[str]:
    """Return the bytes of the weights and the quantisation that the config declares.

    Bytes are those of the checkpoint, or of the config's dtype where no header was read.
    """
    declared = declared_quantization(r.architecture)
    if r.check is not None and r.raw.tensors is not None:
        return stored_lines(r, declared)
    dtype = r.architecture.dtype or ""
    plain = ""
    if dtype in DTYPE_BITS:
        size = numbers.size(count_parameters(r.architecture).total * DTYPE_BITS[dtype] / 8)
        plain = f"{dtype} {size}"
    if not declared:
        return [plain or "dtype unknown: the config does not say"]
    return [f"stored as {declared}" + (f" · {plain} unquantised" if plain else "")]


def declared_quantization(a: Architecture) -> str:
    """Return `fp8 e4m3, 8 bits, blocks 128 × 128`, or nothing."""
    q = a.quantization
    return quantized(q.method, q.bits, q.format, q.block, q.group_size) if q else ""


def stored_lines(r: Reading, declared: str) -> list[str]:
    """Return the bytes that the checkpoint stores, bits per weight, and how names are spelled.

    r: a reading whose tensor names are known.
    declared: the words for the declared quantisation, or nothing.
    """
    assert r.check is not None
    assert r.raw.tensors is not None
    tensors = f"{number(len(r.raw.tensors))} tensors"
    if r.check.names_only:
        named = f"{tensors} named; their headers were not read"
        return [named, f"declared {declared}"] if declared else [named]
    size = numbers.size(sum(group.bits for group in r.raw.tensors) // 8)
    line = f"{size} stored in {tensors}"
    if declared and r.check.bits_per_weight:
        line += f", {r.check.bits_per_weight:.3g} bits per weight"
    if declared:
        line += f" · declared {declared}"
    return [line, *r.check.notes]


# Notes

STATUS = {
    "verified": "verified: every tensor of the checkpoint is explained, and none is missing",
    "partial": "partial: some of the checkpoint could not be read",
    "conflict": "conflict: the checkpoint is not what its config says",
    "observed": "observed from tensor names and shapes; no family reads this model_type",
}
RECONSTRUCTED = (
    "the config is reconstructed: no published copy was found; each value's source is in the spec"
    " (--format json)"
)
INCOMPLETE = "the copy of the config is not complete; absent keys took class defaults"


def notes(r: Reading) -> list[str]:
    """Return what was read, then `remarks`."""
    computed = f"computed from {r.raw.config_file}; no tensor headers were read"
    return [STATUS.get(r.status, computed), *remarks(r)]


def remarks(r: Reading) -> list[str]:
    """Return what a reader must know: the config's state, findings, and keys without a use."""
    lines: list[str] = []
    provenance = r.raw.provenance or {}
    if provenance.get("state") == "reconstructed":
        lines.append(RECONSTRUCTED)
    elif provenance.get("complete") is False:
        lines.append(INCOMPLETE)
    lines += map(finding_line, r.findings)
    if r.unread_keys:
        lines.append("keys that llmarch does not read: " + ", ".join(r.unread_keys))
    return lines
