"""The first screen of `show`: a model as titles and labelled lines. Renderers give it a form.

Nothing is escaped here. Mixers are in attention.py, feed-forward blocks in feed_forward.py, the
tables that are shown on request in tables.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from ..analyses.cache import Cache, compute_cache, shown_contexts
from ..analyses.parameters import Parameters, count_parameters
from ..architecture.dtypes import CONFIG_DTYPE_BITS
from ..architecture.schema import (
    Architecture,
    Conformer,
    ConvTower,
    Encoder,
    FeatureEmbedding,
    Norm,
    SpeechConformer,
    SpeechTower,
    Tower,
)
from ..architecture.wording.model import (
    head_word,
    norm_word,
    quantization_word,
    residual_word,
    tower_word,
)
from ..architecture.wording.names import name_title
from ..checkpoint.reading import Reading
from ..sources.raw import TensorTable
from . import numbers
from .attention import attention_lines, position_lines
from .conflict import conflict_lines, conflict_words
from .documents import Sheet
from .doubts import doubt_lines
from .feed_forward import dense_lines, moe_lines
from .headings import origin
from .layer_kinds import layer_words
from .numbers import number
from .remarks import remarks
from .wording import headline, layer_runs, norm_placements, pattern, state_word, stream_factors

if TYPE_CHECKING:
    from ..checkpoint.verify import Verification

Lines = list[tuple[str, list[str]]]
"""Labels, each with its lines."""

SHORT = 50
"""Columns that the recipe of the layers may fill on one line; a longer one has a line a kind."""


def model_sheet(r: Reading) -> Sheet:
    """Return the first screen about a model; labels without lines are left out."""
    a = r.architecture
    lines = [
        ("Conflict", conflict_lines(r)),
        ("Parameters", parameter_lines(r)),
        ("Layers", layer_lines(a)),
        ("Residual", residual_lines(a)),
        ("Attention", attention_lines(a)),
        ("Position", position_lines(a)),
        ("Norm", norm_lines(a)),
        ("MoE", moe_lines(a)),
        ("Feed-forward", dense_lines(a)),
        ("Vocabulary", vocabulary_lines(a)),
        ("Head", head_lines(a)),
        ("MTP", mtp_lines(r)),
        *((name.capitalize(), tower_lines(tower)) for name, tower in a.towers.items()),
        ("KV cache", cache_lines(a)),
        ("Weights", weight_lines(r)),
    ]
    shown = marked_lines(r, [(label, text) for label, text in lines if text])
    return Sheet(r.name, origin(r.raw, a.model_type), headline(a), shown, notes(r))


def marked_lines(r: Reading, lines: Lines) -> Lines:
    """Return labelled lines, each label with what is uncertain of its facts."""
    doubts = doubt_lines(r)
    marked = [(label, [*text, *doubts.pop(label, [])]) for label, text in lines]
    return [*marked, *doubts.items()]


# Sizes


def parameter_lines(r: Reading) -> list[str]:
    """Return total and active parameters, what the maker says, embedding, head and encoders."""
    a = r.architecture
    p = count_parameters(a)
    tied = a.embedding.tied and a.head.predicts_tokens
    total = numbers.count(p.total)
    lines = [f"{total} total"]
    if p.active != p.total - p.vision:
        lines = [*active_lines(p, tied), *stated_active_lines(p, r.raw.published)]
    embedding = numbers.count(p.embedding)
    head = numbers.count(p.head)
    parts = f"embedding {embedding}, head {head}, untied"
    if tied:
        parts = f"embedding {embedding}, tied with the head"
    elif not a.head.predicts_tokens:
        parts = f"embedding {embedding}, head {head}"
    if p.vision:
        encoder = numbers.count(p.vision)
        parts += f" · encoder {encoder} (in the total)"
    return [*lines, parts]


def active_lines(p: Parameters, tied: bool) -> list[str]:
    """Return the total and the active parameters by each convention.

    p: the counts.
    tied: whether the head is the embedding, so that it cannot be left out.
    """
    total = numbers.count(p.total)
    active = numbers.count(p.active)
    decoder = p.total - p.vision
    percent = 100 * p.active / decoder
    share = f"{active} active ({percent:.2g} %)"
    without_embedding = numbers.count(p.active_without_embedding)
    rest = f"{without_embedding} active without the input embedding"
    if not tied:
        without_head = numbers.count(p.active_without_embedding_and_head)
        rest += f", {without_head} without the head too"
    return [f"{total} total · {share}, embedding and head counted", rest]


def stated_active_lines(p: Parameters, published: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the active parameters that others state, and which of our counts they are.

    p: our counts.
    published: the figures of the spec, each with its source.
    """
    lines: list[str] = []
    for stated in published:
        if stated["figure"] != "card_active":
            continue
        who = "others say"
        if "maker" in stated["source"]:
            who = "the maker says"
        billions = stated["value"] / 10**9
        shown = f"{billions:g}"
        convention = convention_words(p, shown)
        lines.append(f"{who} {shown} B active: {convention}")
    return lines


def convention_words(p: Parameters, shown: str) -> str:
    """Return which counts of active parameters a rounded figure is, or which is the nearest.

    p: our counts.
    shown: the figure in billions, as it is stated: `37`, `5.1`.
    """
    counts = {
        "with embedding and head": p.active,
        "without the input embedding": p.active_without_embedding,
        "without embedding and head": p.active_without_embedding_and_head,
    }
    _, _, decimals = shown.partition(".")
    digits = len(decimals)
    fitting = [words for words, n in counts.items() if f"{n / 10**9:.{digits}f}" == shown]
    if len(fitting) == len(counts):
        return "the same by each count"
    if fitting:
        return " or ".join(fitting)
    stated = float(shown) * 10**9
    distances = {words: abs(n - stated) for words, n in counts.items()}
    nearest = min(distances, key=distances.__getitem__)
    count = numbers.count(counts[nearest])
    return f"nearest is {count} {nearest}"


def layer_lines(a: Architecture) -> list[str]:
    """Return how many layers of each kind there are, their pattern, and the hidden size."""
    lines: list[str] = []
    for n, word in layer_runs(layer_words(a)):
        lines.append(f"{n} × {word}")
    columns = sum(map(len, lines))
    if columns < SHORT:
        line = ", ".join(lines)
        lines = [line]
    alternation = pattern(a)
    if alternation:
        lines.append(f"pattern {alternation}")
    runs = {kind: a.layer_kinds[kind].runs for kind in dict.fromkeys(a.layers)}
    if any(n > 1 for n in runs.values()):
        words = [f"{name_title(kind)} {n} times" for kind, n in runs.items()]
        lines.append(f"run for a token: {', '.join(words)}")
    hidden = number(a.hidden_size)
    width = f"hidden size {hidden}"
    return [*lines, width]


def residual_lines(a: Architecture) -> list[str]:
    """Return how several residual streams are mixed; nothing for the usual single stream."""
    r = a.residual
    if r.kind == "plain":
        return []
    streams = residual_word(r)
    if r.kind == "altup":
        return [f"{streams}; layers work on stream {r.active} and correct the others"]
    epsilon = numbers.epsilon(r.eps or 0)
    if not r.mixing:
        return [streams, f"outputs × {r.write_scale:g}, ε {epsilon}"]
    steps = f"{r.iterations} Sinkhorn iterations, ε {epsilon}"
    mixing = f"mixing made doubly stochastic by {steps}"
    return [streams, mixing]


def norm_lines(a: Architecture) -> list[str]:
    """Return the kinds of norm, where they sit, and fixed factors on the residual stream."""
    norms = [norm_with_epsilon(norm) for norm in a.norms.values()]
    kinds = " / ".join(dict.fromkeys(norms))
    placement = norm_placements(a)
    lines = [f"{kinds}, {placement}"]
    factors = stream_factors(a)
    if factors:
        line = ", ".join(factors)
        lines.append(line)
    return lines


def norm_with_epsilon(n: Norm) -> str:
    """Return `RMSNorm (ε 1e-6)`."""
    word = norm_word(n)
    if n.eps is None:
        return word
    epsilon = numbers.epsilon(n.eps)
    return f"{word} (ε {epsilon})"


def vocabulary_lines(a: Architecture) -> list[str]:
    """Return the vocabulary, factors on embedding and logits, and a per-layer embedding."""
    embedding = a.embedding
    head = a.head
    words = [number(a.vocab_size)]
    if embedding.extra_rows:
        words.append(f"embedding of {number(a.embedding_rows)} rows")
    if embedding.scale:
        scale = round(embedding.scale, 4)
        words.append(f"embedding × {number(scale)}")
    if embedding.norm:
        words.append("norm on the embedding")
    if head.bias:
        words.append("bias on the head")
    if head.normalized:
        words.append(f"{head.normalized} of the head of length 1")
    if head.softcap:
        words.append(f"logits softcap {head.softcap:g}")
    if head.scale not in (None, 1):
        words.append(f"logits × {head.scale:g}")
    lines = [" · ".join(words)]
    if embedding.per_layer:
        counts = count_parameters(a).by_component
        size = numbers.count(counts["per_layer_embedding"])
        width = number(embedding.per_layer.width)
        lines.append(f"per-layer embedding of {width} for each layer and token, {size}")
    return lines


def head_lines(a: Architecture) -> list[str]:
    """Return what a head is for that is not a language model's, and its outputs."""
    head = a.head
    if head.kind == "language_model":
        return []
    words = [head_word(head.kind)]
    if head.outputs:
        words.append(numbers.plural(head.outputs, "output"))
    if head.inner_width:
        width = number(head.inner_width)
        words.append(f"hidden layer of {width}")
    if head.lm_head and head.kind != "value":
        words.append("beside the head of the language model")
    return [", ".join(words)]


def mtp_lines(r: Reading) -> list[str]:
    """Return the MTP modules that the config announces, and what the checkpoint stores of them."""
    a = r.architecture
    parameters = count_parameters(a).mtp
    if r.check:
        parameters = r.check.mtp
    size = numbers.count(parameters or 0)
    if a.mtp is None:
        if not parameters:
            return []
        return [f"{size} stored, not announced by the config (not in the total)"]
    modules = numbers.plural(a.mtp.modules, "module")
    if parameters:
        return [f"{modules}, {size} (not in the total)"]
    if r.check:
        return [f"{modules} announced by the config, none stored"]
    return [f"{modules} announced by the config; layout unknown, not counted"]


def tower_lines(t: Encoder) -> list[str]:
    """Return an encoder's size and what it reads."""
    words = [tower_word(t)]
    lines: list[str] = []
    match t:
        case ConvTower():
            if t.tokens:
                tokens = numbers.plural(t.tokens, "token")
                words.append(f"{tokens} an image")
        case FeatureEmbedding():
            if t.patch_size:
                words.append(f"patches of {number(t.patch_size)}")
        case SpeechConformer():
            words.append(numbers.plural(t.heads, "head"))
            words.append(f"convolutions of {number(t.conv_kernel)}")
            words.append(f"{number(t.mel_bins)} mel bins")
        case SpeechTower():
            words.append(numbers.plural(t.heads, "head"))
            words.append(f"{number(t.mel_bins)} mel bins")
            if t.merge > 1:
                words.append(f"{number(t.merge)} frames a token")
            if t.chunk:
                words.append(f"attention over {number(t.chunk)} frames")
        case Conformer():
            words.append(numbers.plural(t.heads, "head"))
            words.append(f"convolutions of {number(t.conv_kernel)}")
            frames = f"{number(t.chunk)} + {number(t.left_context)}"
            words.append(f"attention over {frames} frames")
        case Tower():
            words.append(numbers.plural(t.heads, "head"))
            words.append(f"patches of {number(t.patch_size)}")
            if t.image_size:
                words.append(f"images {number(t.image_size)} px")
            if t.tiles > 1:
                words.append(f"up to {number(t.tiles)} tiles")
            if t.global_layers:
                lines.append(f"{numbers.plural(t.global_layers, 'gated layer')} after the others")
            if t.features:
                layers = ", ".join(map(str, t.features))
                lines.append(f"features of layers {layers} feed the projector")
            if t.deepstack:
                layers = ", ".join(map(str, t.deepstack))
                lines.append(f"features of layers {layers} feed the first decoder layers too")
    return [", ".join(words), *lines]


# Cache and weights


def cache_lines(a: Architecture) -> list[str]:
    """Return bytes of a further token, what does not grow, and totals at some lengths.

    By the ideal convention: see docs/cache.md.
    """
    c = compute_cache(a)
    fixed: list[str] = []
    if c.window_bytes:
        size = numbers.size(c.window_bytes)
        fixed.append(f"full windows {size}")
    if c.state_bytes:
        size = numbers.size(c.state_bytes)
        dtype = c.state_dtype or c.convention.dtype
        fixed.append(f"{state_word(a)} {size} ({dtype})")
    lines = [growth_line(c)]
    if fixed:
        terms = " + ".join(fixed)
        lines.append(f"+ {terms} per sequence")
    totals: list[str] = []
    for tokens in shown_contexts(a):
        context = numbers.context(tokens)
        if tokens == a.context_length:
            context += " (max)"
        size = numbers.size(c.bytes_at(tokens))
        totals.append(f"{context} {size}")
    if totals:
        line = " · ".join(totals)
        lines.append(line)
    return lines


def growth_line(c: Cache) -> str:
    """Return `188 KiB per token (bf16)`, of which indexer keys, and before windows are full."""
    dtype = c.convention.words
    if not c.growing_bytes_per_token:
        if c.window_bytes:
            return f"no growth beyond the windows ({dtype})"
        return "none: no layer keeps keys and values"
    growing = numbers.size(ceil(c.growing_bytes_per_token))
    line = f"{growing} per token ({dtype})"
    if c.indexer_bytes_per_token:
        keys = numbers.size(ceil(c.indexer_bytes_per_token))
        keys_dtype = c.dtypes_of("index")
        line += f", of which {keys} indexer keys ({keys_dtype})"
    if c.window_bytes:
        filling = numbers.size(ceil(c.all_layers_bytes_per_token))
        line += f", {filling} until the windows are full"
    return line


def weight_lines(r: Reading) -> list[str]:
    """Return the bytes of the weights and the quantisation that the config declares.

    Bytes are those of the checkpoint, or of the config's dtype where no header was read.
    """
    a = r.architecture
    declared = quantization_words(a)
    if r.check is not None and r.raw.tensors is not None:
        return stored_lines(r.raw.tensors, r.check, declared)
    words: list[str] = []
    if declared:
        words.append(f"stored as {declared}")
    bits = CONFIG_DTYPE_BITS.get(a.dtype or "")
    if bits:
        size = numbers.size(count_parameters(a).total * bits / 8)
        unquantized = " unquantised" if declared else ""
        words.append(f"{a.dtype} {size}{unquantized}")
    if not words:
        words.append("dtype unknown: the config does not say")
    return [" · ".join(words)]


def quantization_words(a: Architecture) -> str:
    """Return `fp8 e4m3, 8 bits, blocks 128 × 128`, or nothing."""
    q = a.quantization
    if q is None:
        return ""
    words = quantization_word(q)
    if q.cache_dtype:
        words += f", KV cache {q.cache_dtype}"
    return words


def stored_lines(tensors: TensorTable, check: Verification, declared: str) -> list[str]:
    """Return the bytes that the checkpoint stores, bits per weight, and notes on its packing.

    tensors: the tensors of the checkpoint.
    check: what their headers were found to hold.
    declared: the words for the declared quantisation, or nothing.
    """
    tensor_count = number(len(tensors))
    if check.names_only:
        lines = [f"{tensor_count} tensors named; their headers were not read"]
        if declared:
            lines.append(f"declared {declared}")
        return lines
    size = numbers.size(tensors.bytes)
    line = f"{size} stored in {tensor_count} tensors"
    if declared and check.bits_per_weight:
        line += f", {check.bits_per_weight:.3g} bits per weight"
    if declared:
        line += f" · declared {declared}"
    return [line, *check.notes]


# Notes

STATUS = {
    "verified": "verified: every tensor of the checkpoint is explained, and none is missing",
    "partial": "partial: some of the checkpoint could not be read",
    "observed": "observed from tensor names and shapes; no family reads this model_type",
}


def notes(r: Reading) -> list[str]:
    """Return what was read, then `remarks`."""
    status = STATUS.get(r.status)
    if r.status == "conflict":
        words = conflict_words(r)
        status = f"conflict: {words}"
    elif status is None:
        file = r.raw.config_file
        status = f"computed from {file}; no tensor headers were read"
    return [status, *remarks(r)]
