"""Readings and comparisons as neutral documents: titles, labelled lines, tables. Renderers give them a form; nothing is escaped here."""

from __future__ import annotations

from collections import Counter
from math import ceil

from ..analyses.cache import compute_cache, shown_contexts
from ..analyses.parameters import count_parameters
from ..architecture.layers import mixer_names
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    Conformer,
    ConvTower,
    Dense,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
)
from ..checkpoint.reading import Reading
from ..sources.raw import RawModel
from ..tensors.folding import axes_folded
from . import numbers
from .documents import Sheet, Table
from .fact_rows import (
    SCORING,
    nope_layers,
    quantized,
    query_scaling,
    rotary,
    scaling,
    shared,
    softmax,
)
from .numbers import number
from .wording import (
    LINEAR,
    activation_word,
    block_word,
    clamp_word,
    compression,
    ffn_word,
    headline,
    kind_word,
    linear_dims,
    linear_heads,
    moe_of,
    multiplied,
    norm_word,
    pattern,
    placement,
    recipe,
    residual_word,
    router_words,
    sharing,
    state_word,
    tower_word,
    values_scale_word,
    values_word,
)

# --- show ---------------------------------------------------------------------------------------------------------


def sheet(r: Reading) -> Sheet:
    """What the first screen says about a model."""
    a = r.architecture
    lines = [
        ("Parameters", parameter_lines(r)),
        ("Layers", layer_lines(a)),
        ("Residual", residual_lines(a)),
        ("Attention", attention_lines(a)),
        ("Position", position_lines(a)),
        ("Norm", norm_lines(a)),
        ("MoE", moe_lines(a)),
        ("Feed-forward", dense_lines(a)),
        ("Vocabulary", vocabulary_lines(a)),
        ("MTP", mtp_lines(r)),
        *((name.capitalize(), tower_lines(a, name)) for name in a.towers),
        ("KV cache", cache_lines(a)),
        ("Weights", weight_lines(r)),
    ]
    return Sheet(
        r.name, origin(r), headline(a), [(label, text) for label, text in lines if text], notes(r)
    )


def origin(r: Reading) -> str:
    return origin_of(r.raw, r.architecture.model_type)


def origin_of(raw: RawModel, model_type: str) -> str:
    """Where a model was read: `Qwen/Qwen3-8B@v1 · qwen3 · Hub 1a2b3c4`."""
    where = {"spec": "bundled spec", "local": "local", "hub": "Hub"}[raw.kind]
    at = raw.repo_id or raw.reference
    if raw.revision and raw.revision != "main":
        at += f"@{raw.revision}"
    return f"{at} · {model_type} · {where}" + (f" {raw.commit[:7]}" if raw.commit else "")


def parameter_lines(r: Reading) -> list[str]:
    a, p = r.architecture, count_parameters(r.architecture)
    text = p.total - p.vision
    first = [f"{numbers.count(p.total)} total"]
    if p.active != text:
        first = [
            f"{first[0]} · {numbers.count(p.active)} active ({100 * p.active / text:.2g} %), embedding and head counted"
        ]
        less = f"{numbers.count(p.active_without_embedding)} active without the input embedding"
        less += (
            ""
            if a.embedding.tied
            else f", {numbers.count(p.active_without_embedding_and_head)} without the head too"
        )
        first.append(less)
    second = f"embedding {numbers.count(p.embedding)}"
    second += (
        ", tied with the head" if a.embedding.tied else f", head {numbers.count(p.head)}, untied"
    )
    if p.vision:
        second += f" · encoder {numbers.count(p.vision)} (in the total)"
    return [*first, second]


def layer_lines(a: Architecture) -> list[str]:
    runs = recipe(a)
    text = [f"{n} × {w}" for n, w in runs]
    lines = [", ".join(text)] if sum(map(len, text)) < 50 else text
    if p := pattern(a):
        lines.append(f"pattern {p}")
    lines.append(f"hidden size {number(a.hidden_size)}")
    return lines


def residual_lines(a: Architecture) -> list[str]:
    """Nothing is said of the one stream that most models have."""
    r = a.residual
    if r.kind == "plain":
        return []
    if r.kind == "altup":
        return [f"{residual_word(r)}; layers work on stream {r.active} and correct the others"]
    return [
        residual_word(r),
        f"mixing made doubly stochastic by {r.iterations} Sinkhorn iterations, ε {numbers.epsilon(r.eps or 0)}",
    ]


def layers_by_mixer(a: Architecture) -> Counter[str]:
    return Counter(m for k in a.layers for m in mixer_names(a, k))


def attention_lines(a: Architecture) -> list[str]:
    """One line for mixers that differ only in what they see, then what each sees; QK-norm and the rest below."""
    used = layers_by_mixer(a)
    lines: list[str] = []
    described: dict[str, list[str]] = {}
    for name in used:
        described.setdefault(mixer_line(a.mixers[name]), []).append(name)
    for text, names in described.items():
        lines.append(
            text if len(described) == 1 else f"{text} · {sum(used[n] for n in names)} layers"
        )
        lines.extend(detail_lines(a.mixers[names[0]]))
        softmax_like = {
            n: m for n, m in ((n, a.mixers[n]) for n in names) if not isinstance(m, LinearAttention)
        }
        shared = {
            n: " with shared KV"
            for n, m in softmax_like.items()
            if isinstance(m, Attention) and m.kv_from
        }
        reach = [
            f"{reach_word(a, m)} on {used[n]} layers{shared.get(n, '')}"
            for n, m in softmax_like.items()
        ]
        if any(isinstance(m, CompressedAttention) for m in softmax_like.values()):
            lines.extend(reach)
        elif len(reach) > 1 or any(
            isinstance(m, Attention) and (m.window or m.chunk) for m in softmax_like.values()
        ):
            lines.append(" · ".join(reach))
    return lines


def mixer_line(m: Mixer) -> str:
    match m:
        case Attention():
            dim = (
                number(m.head_dim)
                if m.head_dim == m.v_head_dim
                else f"K {m.head_dim}, V {m.v_head_dim}"
            )
            heads = (
                f"{m.heads} heads"
                if m.heads == m.kv_heads
                else f"{m.heads} query : {m.kv_heads} KV heads"
            )
            biased = {
                (True, True): "bias on q, k, v, o",
                (True, False): "bias on q, k, v",
                (False, True): "bias on o",
                (False, False): "no bias",
            }
            return f"{sharing(m)}, {heads}, head dim {dim}, {biased[m.qkv_bias, m.output_bias]}"
        case LatentAttention():
            q = f"q {number(m.q_lora_rank)}, " if m.q_lora_rank else "q full rank, "
            sparse = "sparse MLA" if m.indexer or m.index_from else "MLA"
            return f"{sparse}, {m.heads} heads · latent ranks {q}kv {number(m.kv_lora_rank)}"
        case CompressedAttention():
            dims = f"head dim {m.head_dim}, the last {m.rope_dim} rotary"
            return f"{m.heads} query heads over one latent that is key and value, {dims} · q rank {number(m.q_lora_rank)}"
        case LinearAttention():
            gate = (
                f", {m.gate} output gate" + (" before the norm" if m.gate_first else "")
                if m.gate
                else ""
            )
            conv = f", short conv {m.conv_kernel}" if m.conv_kernel else ""
            if m.variant == "short_conv":
                return f"{LINEAR[m.variant]} of {m.conv_kernel} tokens, {linear_dims(m)} channels"
            if m.variant == "mamba2":
                return f"{LINEAR[m.variant]}, {linear_heads(m).replace(',', ' heads')}, head dim {linear_dims(m)}{conv}{gate}"
            heads = (
                f"{m.value_heads} heads"
                if m.key_heads == m.value_heads
                else f"{m.key_heads} key : {m.value_heads} value heads"
            )
            return f"{LINEAR[m.variant]}, {heads}, head dim {linear_dims(m)}{conv}{gate}"


def detail_lines(m: Mixer) -> list[str]:
    """QK-norm, gates, sinks, caps: what a mixer has besides heads."""
    out: list[str] = []
    if isinstance(m, LatentAttention):
        out.append(
            f"head dims: {m.qk_nope_head_dim} + {m.qk_rope_head_dim} {'rotary' if m.rope else 'shared'} for q and k, {m.v_head_dim} for v"
        )
        if m.indexer:
            out.append(
                f"lightning indexer: {m.indexer.heads} heads × {m.indexer.head_dim}, reads the best {number(m.indexer.top_k)} tokens"
            )
    if isinstance(m, CompressedAttention):
        sinks = " · one attention sink per query head" if m.sinks else ""
        out.append(
            f"output projection in {m.o_groups} groups of rank {number(m.o_lora_rank)}{sinks}"
        )
    if not isinstance(m, (LinearAttention, CompressedAttention)) and (
        factors := values_scale_word(m)
    ):
        out.append(factors)
    if isinstance(m, Attention):
        if n := m.qk_norm:
            scope = "per head" if n.scope == "head" else "over the whole projection"
            order = "after RoPE" if n.after_rope else "before RoPE" if m.rope else ""
            words = [
                f"QK-norm: RMSNorm {scope}",
                order,
                "no weight" if not n.weight else "weight + 1" if n.offset else "",
            ]
            out.append(", ".join(w for w in words if w))
        extras = [
            f"{m.gate} output gate ({m.gate_activation})" if m.gate else "",
            "one attention sink per query head" if m.sinks else "",
            f"score softcap {m.softcap:g}" if m.softcap else "",
            f"q, k, v cut at ±{m.clip:g}" if m.clip else "",
            f"values: {values}" if (values := values_word(m)) else "",
            "tokens of one image see each other" if m.sees_ahead else "",
        ]
        if any(extras):
            out.append(" · ".join(e for e in extras if e))
    if not isinstance(m, (LinearAttention, CompressedAttention)):
        if m.scale is not None:
            out.append(f"softmax scale {number(m.scale)}")
        if q := query_scaling(m):
            out.append(f"queries × {q}")
    return out


def reach_word(a: Architecture, m: Mixer) -> str:
    if isinstance(m, Attention) and m.window:
        return f"sliding window {number(m.window)}"
    if isinstance(m, Attention) and m.chunk:
        return f"chunks of {number(m.chunk)}"
    if isinstance(m, Attention) and m.block_index:
        return f"the best {m.block_index.top_blocks} blocks of {m.block_index.block}"
    if isinstance(m, LatentAttention) and (m.indexer or m.index_from):
        return "own index" if m.indexer else "an earlier layer's index"
    if isinstance(m, CompressedAttention):
        return f"window {number(m.window)}" + (f" + {beyond}" if (beyond := compression(m)) else "")
    return "NoPE" if "NoPE" in block_word(a, m) else "full"


def position_lines(a: Architecture) -> list[str]:
    mixers = softmax(a)
    ctx = f"context {number(a.context_length)}" if a.context_length else "context unknown"
    ropes = {n: m.rope for n, m in mixers.items() if m.rope}
    if a.embedding.positions:
        return [f"learned, {number(a.embedding.positions)} positions · {ctx}"]
    if not ropes:
        return [f"NoPE: no positional encoding in attention · {ctx}" if mixers else ctx]
    described: dict[str, list[str]] = {}
    for name, rope in ropes.items():
        text = f"RoPE θ {numbers.theta(rope.theta)}, {rotary(rope, mixers[name])}" + (
            f", {scaling(rope.scaling)}" if rope.scaling else ""
        )
        text += f", {len(rope.sections)} axes" if rope.sections else ""
        described.setdefault(text, []).append(name)
    lines = [
        t if len(described) == 1 else f"{' and '.join(names)}: {t}"
        for t, names in described.items()
    ]
    missing = nope_layers(a)
    where = (
        f"NoPE on {missing} layers"
        if missing
        else "every attention layer"
        if len(described) == 1
        else ""
    )
    lines[-1] += f" · {where}" if where else ""
    return [*lines, ctx]


def norm_lines(a: Architecture) -> list[str]:
    kinds = dict.fromkeys(
        f"{norm_word(n)} (ε {numbers.epsilon(n.eps)})" if n.eps is not None else norm_word(n)
        for n in a.norms.values()
    )
    return [
        f"{' / '.join(kinds)}, {placement(a)}",
        *([", ".join(multiplied(a))] if multiplied(a) else []),
    ]


def moe_lines(a: Architecture) -> list[str]:
    f = moe_of(a)
    if f is None:
        return []
    r = f.router
    first = f"{f.experts} routed, top-{f.active}, width {number(f.expert_width)} · "
    first += f"{shared(f)} shared" if f.shared_width else "no shared expert"
    if f.shared_width:
        first = f"{f.experts} routed, top-{f.active}, width {number(f.expert_width)} · shared: {shared(f)}"
    scoring = (
        "router with softmax over the chosen"
        if r.scoring == "softmax_chosen"
        else f"{SCORING[r.scoring]} router"
    )
    scoring += f" softcapped at {r.softcap:g}" if r.softcap else ""
    words = [
        scoring
        + (" with selection bias" if r.selection_bias else "")
        + (" with bias" if r.bias else "")
    ]
    words += [f"best {r.active_groups} of {r.groups} groups"] if r.groups > 1 else []
    words += (
        [f"weights of the chosen {f.active} renormalised"]
        if r.normalized and r.scoring != "softmax_chosen" and f.active > 1
        else []
    )
    words += [f"× {r.scale:g}"] if r.scale != 1 else []
    words += ["weighting the expert's input"] if r.weights == "input" else []
    words += router_words(f)
    if f.latent_width:
        first += f" · in a latent of {number(f.latent_width)}"
    lines = [
        first,
        ", ".join(words),
        *([expert_line(f)] if f.bias or f.clamp or f.activation != "silu" else []),
    ]
    used = Counter(b.block for k in a.layers for s in a.layer_kinds[k].steps for b in s.branches)
    for name, other in a.ffns.items():
        if not isinstance(other, MoE) or other is f:
            continue
        n = used[f"ffns.{name}"]
        if other.router.token_table:
            lines.append(
                f"{n} layers look the {other.active} experts up by token id, and weight them by their scores"
            )
        elif clamp_word(other) != clamp_word(f):
            lines.append(f"{n} layers clamp at {clamp_word(other)}")
    return lines


def expert_line(f: MoE) -> str:
    return (
        f"experts: {activation_word(f)}"
        + (", with bias" if f.bias else "")
        + (f", clamped at {clamp_word(f)}" if clamp_word(f) else "")
    )


def dense_lines(a: Architecture) -> list[str]:
    lines: list[str] = []
    for f in a.ffns.values():
        if isinstance(f, Dense):
            if f.own_skip:
                lines.append(
                    f"{ffn_word(f)}: two matrices of rank {number(f.width)} beside attention, added to their input"
                )
                continue
            what = "per-layer input: " if f.per_layer else ""
            sparse = (
                f", only the highest {100 * (1 - f.sparsity):.2g} % of the gate pass"
                if f.sparsity
                else ""
            )
            lines.append(
                f"{what}{activation_word(f)}, width {number(f.width)}"
                + (", with bias" if f.bias else "")
                + sparse
            )
    return lines


def vocabulary_lines(a: Architecture) -> list[str]:
    more = [f"embedding × {number(round(a.embedding.scale, 4))}"] if a.embedding.scale else []
    more += [f"logits softcap {a.head.softcap:g}"] if a.head.softcap else []
    more += [f"logits × {a.head.scale:g}"] if a.head.scale not in (None, 1) else []
    first = " · ".join([number(a.vocab_size), *more])
    if (e := a.embedding.per_layer) is None:
        return [first]
    held = numbers.count(count_parameters(a).by_component["per_layer_embedding"])
    return [first, f"per-layer embedding of {number(e.width)} for each layer and token, {held}"]


def mtp_lines(r: Reading) -> list[str]:
    """What the config announces, and what the checkpoint stores."""
    a, n = r.architecture, count_parameters(r.architecture).mtp
    stored = r.check.mtp if r.check else 0
    if a.mtp is None:
        return (
            [f"{numbers.count(stored)} stored, not announced by the config (not in the total)"]
            if stored
            else []
        )
    modules = f"{a.mtp.modules} module{'s' if a.mtp.modules > 1 else ''}"
    if r.check and not stored:
        return [f"{modules} announced by the config, none stored"]
    if stored or n:
        return [f"{modules}, {numbers.count(stored or n or 0)} (not in the total)"]
    return [f"{modules} announced by the config; layout unknown, not counted"]


def tower_lines(a: Architecture, name: str) -> list[str]:
    t = a.towers[name]
    if isinstance(t, ConvTower):
        return [tower_word(t) + (f", {t.tokens} tokens an image" if t.tokens else "")]
    first = f"{tower_word(t)}, {t.heads} heads"
    if isinstance(t, Conformer):
        return [
            f"{first}, convolutions of {t.conv_kernel}, attention over {t.chunk} + {t.left_context} frames"
        ]
    image = f", images {t.image_size} px" if t.image_size else ""
    more = (
        [f"features of layers {', '.join(map(str, t.deepstack))} feed the first decoder layers too"]
        if t.deepstack
        else []
    )
    return [f"{first}, patches of {t.patch_size}{image}", *more]


def cache_lines(a: Architecture) -> list[str]:
    """Bytes a further token takes, what does not grow, and totals at some lengths, by the ideal convention."""
    c = compute_cache(a)
    dtype = c.convention.dtype
    lines: list[str] = []
    grows = f"{numbers.size(ceil(c.growing_bytes_per_token))} per token ({dtype})"
    if c.indexer_bytes_per_token:
        grows += f", of which {numbers.size(ceil(c.indexer_bytes_per_token))} indexer keys ({c.dtypes_of('index')})"
    if c.window_bytes:
        grows += f", {numbers.size(ceil(c.all_layers_bytes_per_token))} until the windows are full"
    lines.append(
        grows
        if c.growing_bytes_per_token
        else f"no growth beyond the windows ({dtype})"
        if c.window_bytes
        else "none: no layer keeps keys and values"
    )
    fixed: list[str] = []
    if c.window_bytes:
        fixed.append(f"full windows {numbers.size(c.window_bytes)}")
    if c.state_bytes:
        fixed.append(f"{state_word(a)} {numbers.size(c.state_bytes)} ({c.state_dtype})")
    if fixed:
        lines.append("+ " + " + ".join(fixed) + " per sequence")
    shown = [
        f"{numbers.context(t)}{' (max)' if t == a.context_length else ''} {numbers.size(c.bytes_at(t))}"
        for t in shown_contexts(a)
    ]
    return [*lines, " · ".join(shown)] if shown else lines


def weight_lines(r: Reading) -> list[str]:
    """Bytes as the checkpoint stores them, or as the config's dtype would; and what quantisation the config declares."""
    a = r.architecture
    declared = (
        quantized(q.method, q.bits, q.format, q.block, q.group_size)
        if (q := a.quantization)
        else ""
    )
    if r.check is not None and r.raw.tensors is not None:
        if r.check.names_only:
            return [
                f"{number(len(r.raw.tensors))} tensors named; their headers were not read",
                *([f"declared {declared}"] if declared else []),
            ]
        stored = numbers.size(sum(g.bits for g in r.raw.tensors) // 8)
        per = (
            f", {r.check.bits_per_weight:.3g} bits per weight"
            if declared and r.check.bits_per_weight
            else ""
        )
        first = f"{stored} stored in {number(len(r.raw.tensors))} tensors{per}" + (
            f" · declared {declared}" if declared else ""
        )
        return [first, *r.check.notes]
    bits = {"bfloat16": 16, "float16": 16, "float32": 32, "float8_e4m3fn": 8}.get(a.dtype or "")
    plain = f"{a.dtype} {numbers.size(count_parameters(a).total * bits / 8)}" if bits else ""
    if declared:
        return [f"stored as {declared}" + (f" · {plain} unquantised" if plain else "")]
    return [plain or "dtype unknown: the config does not say"]


def notes(r: Reading) -> list[str]:
    """What was read, what was found, and what nobody could use."""
    words = {
        "computed": f"computed from {r.raw.config_file}; no tensor headers were read",
        "verified": "verified: every tensor of the checkpoint is explained, and none is missing",
        "partial": "partial: some of the checkpoint could not be read",
        "conflict": "conflict: the checkpoint is not what its config says",
        "observed": "observed from tensor names and shapes; no family reads this model_type",
    }
    out = [words[r.status]]
    p = r.raw.provenance
    if p and p.get("state") == "reconstructed":
        out.append(
            "the config is reconstructed: no published copy was found; each value's source is in the spec (--format json)"
        )
    elif p and p.get("complete") is False:
        out.append("the copy of the config is not complete; absent keys took class defaults")
    out += [f"{f.rule}: {f.message}" for f in r.findings]
    if r.unread_keys:
        out.append("keys that llmarch does not read: " + ", ".join(r.unread_keys))
    return out


def layer_table(r: Reading) -> Table:
    """Every layer: its number, what it is, what it sees, its positions."""
    a = r.architecture
    rows: list[list[str]] = []
    for i, kind in enumerate(a.layers):
        mixers = [a.mixers[m] for m in mixer_names(a, kind)]
        sees = " / ".join(
            dict.fromkeys(
                "state"
                if isinstance(m, LinearAttention)
                else reach_word(a, m).replace("NoPE", "full")
                for m in mixers
            )
        )
        turns = " / ".join(dict.fromkeys(layer_position(a, m) for m in mixers))
        rows.append([str(i), kind_word(a, kind), sees, turns, kind])
    return Table(["layer", "blocks", "sees", "positions", "kind"], rows, title="Layers")


def layer_position(a: Architecture, m: Mixer) -> str:
    if isinstance(m, LinearAttention):
        return "-"
    if m.rope:
        return f"RoPE θ {numbers.theta(m.rope.theta)}"
    return "learned" if a.embedding.positions else "NoPE"


def tensor_table(r: Reading) -> Table:
    """The template folded by pattern: `model.layers.{3-60}.mlp.experts.{0-255}.down_proj.weight  [7168, 2048]`."""
    rows: list[list[str]] = []
    for t in r.rows:
        rows.append(
            [
                axes_folded(t.pattern, t.axes),
                f"[{', '.join(map(str, t.shape))}]",
                number(t.count),
                number(t.parameters),
                t.component,
            ]
        )
    return Table(["tensor", "shape", "tensors", "parameters", "component"], rows, title="Tensors")
