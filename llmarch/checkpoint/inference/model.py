"""Headers without a family: what names and shapes alone tell of an architecture, each fact with the tensors that tell it.

Facts stand under the schema's own paths (`mixers.attention.kv_heads`, `ffns.moe.experts`); one that is left open is None, and its evidence
(`unknown`) says why. Counts are exact: sums over the tensors. Nothing is read as another family would read it: of the config only the
usual keys for heads, the tie and the quantisation are used, and heads only where the shapes bear them out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, cast

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Evidence, Finding, Quantization
from ...config.quantization import quantization
from ...config.vocabulary import ConfigKeys, build
from ...errors import ConfigError
from ...sources.raw import TensorTable
from .. import names as spelling
from ..findings import limit_findings
from ..grouping import group_by_module, stored_sets
from ..indices import Index, folded_names
from ..logical import LogicalTensor, Shape
from ..packing import unpack
from ..quantization import holds_integers
from ..roles import HEAD_NAMES, MTP_NAME, MTP_TENSOR, TOWER_NAME, is_buffer
from .modules import Heads, Module, Seen, Sighting, Unknown, recognise

LAYERS = re.compile(r"^(.*?)\b(layers|layer|h|blocks|block)\.\{\}\.")
EMBEDDING = re.compile(
    r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|tokens_embed|embed_in|token_embedding|embedding|embeddings|embed)\.weight$"
)
POSITIONS = re.compile(r"(^|\.)(wpe|embed_positions|position_embeddings|positions_embed)\.weight$")
FINAL_NORM = re.compile(
    r"(^|\.)(norm|ln_f|norm_f|final_norm|final_layernorm|final_layer_norm)\.(weight|bias)$"
)
NORM_NAME = re.compile(r"(?:norm|ln)(?:_\w+)?\.(?:weight|bias)$")
AUDIO = re.compile(
    r"^audio|^embed_audio|^speech|^apm\.|\.(?:audio|speech)_(?:encoder|model|tower|embed)\b"
)
TOWER_PARTS = re.compile(
    r"(?:^|.*\.)(?:image|vision|audio|speech)_(?:encoder|model|tower|embed)\.|^(?:embed_(?:vision|audio)|patch_merg\w*|vit\w*|img_\w+|image_\w+|vpm|apm|qformer|vqmodel|sam_model|resampler\w*|connector|aligner|mlp1|modality_projection"
    r"|(?:vision_|visual_|image_|audio_|speech_)?projector)\."
)
"""Encoders of other modalities and what joins them to the decoder, beside those of TOWER_NAME."""
UNDERSTOOD = re.compile(
    r"(?:q|k|v|qkv|o|out|c|gate|up|down|gate_up|c_fc|dense|wo|w[123])(?:_proj)?\.(?:weight|bias)"
    r"|(?:c_fc|c_proj|proj|fc[12]|fc_in|fc_out|dense_h_to_4h|dense_4h_to_h|router|router\.weight)\.(?:weight|bias)"
    r"|[qk]_(?:layer)?norm\.(?:weight|bias)|sinks|(?:gate\.)?e_score_correction_bias"
    r"|experts\.(?:\{\}\.)?(?:gate|up|down|gate_up)_proj(?:_bias|\.weight|\.bias)?"
    r"|shared_experts?\.(?:gate|up|down|gate_up)_proj\.(?:weight|bias)|shared_experts?_gate\.weight"
)
"""Names, within attention and feed-forward modules, whose meaning is plain. Beside others, that something is absent proves nothing."""

BLOCKS = re.compile(r"(?:^|\.)blocks\.\{\}\.")
NOT_READ = "some headers could not be read"
STACKED = re.compile(r"((?:gate|up|down|gate_up)_proj)(?:\.weight)?")
MOST_REPEATED = 4
DEEPEST = 2
RIVAL = 10
"""Layers elsewhere that hold more than one part in this many of the whole leave the number of layers open."""
BY_NAME = (
    (re.compile(r"hc_|\w+_hc\.|altup"), "residual"),
    (re.compile(r"(?:input|post_\w+|pre_\w+)_residual(?:_scale|_gate)?(?:\.|$)"), "residual"),
    (re.compile(r"layer_scal(?:ar|e)s?$"), "layer_scales"),
    (re.compile(r"embed_tokens_per_layer\."), "per_layer_embedding"),
    (re.compile(r"per_layer_(?:model_)?projection(?:_norm)?\."), "per_layer_projection"),
)
"""What stands in no block, by its name: streams of the residual and what mixes them, learned scales of layers, per-layer embeddings."""


@frozen
class ObservedKind(Frozen):
    """One kind of layer: its blocks and norms, as paths of the facts, and tensors that were not recognised."""

    blocks: tuple[str, ...]
    norms: tuple[str, ...]
    placement: str | None
    unrecognised: tuple[str, ...] = ()


@frozen
class Observed(Frozen):
    """An architecture as far as it shows. `facts`: path -> value, None where open; `evidence`: path -> where it comes from or why it is
    open; `layers` names a kind for each layer. Counts are elements: `total` of the main model (None where a packing leaves sizes open or
    there are names only), `mtp`, `scales`, `stored` as in `checkpoint.join.Check`.
    """

    facts: dict[str, Any]
    evidence: dict[str, Evidence]
    kinds: dict[str, ObservedKind]
    layers: tuple[str, ...]
    total: int | None
    by_component: dict[str, int]
    mtp: int
    scales: int
    stored: int
    copies: int = 0
    buffers: int = 0
    bits_per_weight: float | None = None
    bits_by_component: dict[str, float] = field(default_factory=dict[str, float])
    findings: list[Finding] = field(default_factory=list[Finding])
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The facts as nested objects, as an Architecture would be written; what is open is null."""
        out: dict[str, Any] = {}
        for path, value in self.facts.items():
            *parents, last = path.split(".")
            at = out
            for p in parents:
                at = at.setdefault(p, {})
            at[last] = value
        kinds = {
            n: {"blocks": list(k.blocks), "norms": list(k.norms), "placement": k.placement}
            for n, k in self.kinds.items()
        }
        return {**out, "layer_kinds": kinds, "layers": list(self.layers)}


def observe(
    table: TensorTable, config: Mapping[str, Any] | None = None, *, partial: bool = False
) -> Observed:
    """What the headers of an unknown architecture tell. `config`: of a model_type that no family reads, if there is one; `partial`: some
    headers could not be read, so that there is no total."""
    return _Observer(table, config or {}, partial).run()


class _Observer:
    def __init__(self, table: TensorTable, config: Mapping[str, Any], partial: bool) -> None:
        self.table, self.config, self.partial = table, config, partial
        self.text = text_of(config)
        unpacked = unpack(table, declared(config))
        spell = spelling.canonicalizer({x.pattern for x in unpacked.logical})
        self.tensors = apart([(spell(x.pattern), x) for x in unpacked.logical])
        self.unpacked = unpacked
        self.facts: dict[str, Any] = {}
        self.evidence: dict[str, Evidence] = {}
        self.findings = list(unpacked.findings)
        self.named: Counter[str] = Counter()
        """Kinds of layers, by the blocks that they are named after."""
        self.parts: Counter[str] = Counter()
        self.bits: Counter[str] = Counter()
        self.mtp = self.copies = self.buffers = 0
        self.hidden: int | None = None
        self.words: LogicalTensor | None = None
        """The token embedding."""

    def run(self) -> Observed:
        at = layer_prefix(self.tensors)
        inside = [(key[len(at) :], x) for key, x in self.tensors if at and key.startswith(at)]
        root = at[: m.end(1)] if (m := LAYERS.match(at)) else ""
        outside = [
            (key.removeprefix(root), x)
            for key, x in self.tensors
            if not (at and key.startswith(at))
        ]
        self.embedding(outside, inside)
        self.buffers += sum(x.total_elements for k, x in inside if is_buffer(k, x))
        main, beyond = without_mtp([(k, x) for k, x in inside if not is_buffer(k, x)])
        kinds, layers = self.layer_kinds(main)
        self.around(outside)
        for _, x in beyond:
            self.count("mtp", x)
        known = self.all_known()
        self.mtp = self.parts.pop("mtp", 0)
        bits = sum(n for c, n in self.bits.items() if c != "mtp")
        total = sum(self.parts.values())
        self.unknowable()
        self.layer_count(
            at, len(layers), {i[0] for _, x in main for i in x.indices}, stacks(outside)
        )
        return Observed(
            facts=self.facts,
            evidence=self.evidence,
            kinds=kinds,
            layers=layers,
            total=total if known else None,
            by_component=dict(self.parts),
            mtp=self.mtp,
            scales=self.unpacked.scales,
            stored=self.table.elements,
            copies=self.copies,
            buffers=self.buffers,
            bits_per_weight=bits / total if known and total else None,
            bits_by_component={c: self.bits[c] / n for c, n in self.parts.items() if n and known},
            findings=limit_findings(self.findings),
            notes=tuple(dict.fromkeys(x.packing for _, x in self.tensors if x.packing)),
        )

    def all_known(self) -> bool:
        """Whether every tensor's size is certain; packings that are not unpacked are named. (64-bit integers are tables, not packed.)"""
        odd = [
            x
            for key, x in self.tensors
            if x.not_comparable
            or (holds_integers(x) and x.dtype != "I64" and not is_buffer(key, x))
        ]
        for g in group_by_module(stored_sets(odd)):
            why = (
                odd[g.sets[0].position].not_comparable
                or "integers in a packing that llmarch does not unpack"
            )
            self.findings.append(Finding(rule="not-comparable", path=g.path, message=f"{g}: {why}"))
        sizes = all(
            (x.shape is not None or x.elements is not None) and not x.uncertain
            for _, x in self.tensors
        )
        return sizes and not odd and not self.partial

    # --- saying ---

    def say(self, path: str, value: Any, kind: Any, ref: str, by: Iterable[str] = ()) -> None:
        self.facts[path] = value
        self.evidence[path] = Evidence(kind=kind, ref=ref, confirmed_by=tuple(by))

    def seen(self, path: str, value: Any, x: LogicalTensor, ref: str = "") -> None:
        self.say(path, value, "tensor", ref or folded_names(x.source, x.indices)[0])

    def unknown(self, path: str, why: str) -> None:
        self.say(path, None, "unknown", why)

    def count(self, component: str, x: LogicalTensor) -> None:
        self.parts[component] += x.total_elements
        self.bits[component] += x.bits * len(x.indices)

    # --- outside the layers ---

    def embedding(
        self, outside: list[tuple[str, LogicalTensor]], inside: list[tuple[str, LogicalTensor]]
    ) -> None:
        """Vocabulary and hidden size, from the token embedding (or, where that stands under the head's name alone, from the head).
        The layers must have a vector of that width: some models embed in fewer dimensions."""
        names = [
            (k, x)
            for k, x in outside
            if EMBEDDING.search(k) and not is_tower(k) and not MTP_NAME.search(k)
        ]
        found = names or [(k, x) for k, x in outside if is_head(k)]
        x = nearest(found, {y.shape for _, y in inside})
        self.words = x if names else None
        if x is None or x.shape is None or x.uncertain:
            for path in ("hidden_size", "vocab_size"):
                self.unknown(
                    path,
                    "no token embedding was found"
                    if x is None
                    else f"{x.source}: its shape is not in the header",
                )
            return
        self.seen("vocab_size", x.shape[0], x)
        if inside and not any(y.shape == (x.shape[1],) for _, y in inside):
            self.unknown(
                "hidden_size",
                f"{x.source} has {x.shape[1]:,} dimensions, but no vector of the layers is as wide",
            )
            return
        self.hidden = x.shape[1]
        self.seen("hidden_size", x.shape[1], x)

    def around(self, outside: list[tuple[str, LogicalTensor]]) -> None:
        """Everything that is in no layer."""
        heads: list[LogicalTensor] = []
        embedding: list[LogicalTensor] = []
        other: list[LogicalTensor] = []
        final: list[tuple[str, LogicalTensor]] = []
        towers: dict[str, list[tuple[str, LogicalTensor]]] = {}
        for key, x in outside:
            if is_buffer(key, x):
                self.buffers += x.total_elements
            elif MTP_NAME.search(key):
                self.count("mtp", x)
            elif tower := is_tower(key):
                towers.setdefault(tower, []).append((key, x))
            elif is_head(key):
                heads.append(x)
            elif EMBEDDING.search(key) and (
                x is self.words or (not embedding and self.words is None)
            ):
                embedding.append(x)
                self.count("embedding", x)
            elif POSITIONS.search(key):
                self.count("embedding", x)
                if x.shape:
                    self.seen("embedding.positions", x.shape[0], x)
            elif FINAL_NORM.search(key):
                final.append((key.rpartition(".")[2], x))
            elif is_head(key.removesuffix("bias") + "weight"):
                self.count("head", x)
                self.seen("head.bias", True, x)
            else:
                component = self.outside(key, x)
                self.count(component, x)
                if component == "other":
                    other.append(x)
        self.head(heads, embedding, other)
        self.rows(heads, embedding)
        self.final_norm(final)
        for tower, tensors in towers.items():
            self.tower(tower, tensors)
        self.unrecognised(other)

    def outside(self, key: str, x: LogicalTensor) -> str:
        """What a tensor in no layer counts for."""
        vector = x.shape is not None and x.shape == (self.hidden,)
        return "norms" if vector and NORM_NAME.search(key) else by_name(key)

    def head(
        self, heads: list[LogicalTensor], embedding: list[LogicalTensor], other: list[LogicalTensor]
    ) -> None:
        """No head stored: it is the embedding. A head stored may still be a copy of it; only a config can tell."""
        said = self.tie()
        alone = bool(heads) and not embedding
        matrix = next((x.source for x in other if x.shape is None or len(x.shape) > 1), "")
        if not heads or alone:
            missing, why = "embedding" if alone else "head", ""
            if self.partial:
                why = NOT_READ
            elif matrix or said is False:
                why = (
                    f"{matrix} is not recognised, and may be it"
                    if matrix
                    else "the config says that they are two"
                )
            if why:
                self.unknown(
                    "embedding.tied", f"no {missing} is stored under its usual names, but {why}"
                )
            else:
                ref = (
                    "embedding and head are one tensor"
                    if alone
                    else "no head is stored: it is the embedding"
                )
                self.say("embedding.tied", True, "tensor", ref)
        elif said is not None:
            self.say("embedding.tied", said, "config", "tie_word_embeddings", [heads[0].source])
        else:
            self.unknown(
                "embedding.tied",
                f"{heads[0].source} is stored; whether it is a copy of the embedding is not in the header",
            )
        for x in heads:
            if said is True and embedding:
                self.copies += x.total_elements
                message = "a copy of the token embedding, which the head is tied to; not counted"
                self.findings.append(
                    Finding(rule="tied-copy-stored", path=x.source, message=message)
                )
            else:
                self.count("embedding" if alone else "head", x)

    def rows(self, heads: list[LogicalTensor], embedding: list[LogicalTensor]) -> None:
        """Where the head has other rows than the embedding, either may be the vocabulary."""
        for x in heads:
            here, there = x.shape, embedding[0].shape if embedding else None
            if here and there and not x.uncertain and here[0] != there[0]:
                self.unknown(
                    "vocab_size",
                    f"the embedding has {there[0]:,} rows, and {x.source} has {here[0]:,}",
                )

    def tie(self) -> bool | None:
        """What the config says of the tie; nothing where its parts disagree."""
        said = {
            part["tie_word_embeddings"]
            for part in (self.config, self.text)
            if isinstance(part.get("tie_word_embeddings"), bool)
        }
        return said.pop() if len(said) == 1 else None

    def final_norm(self, tensors: list[tuple[str, LogicalTensor]]) -> None:
        for _, x in tensors:
            self.count("norms", x)
        parts = dict(tensors)
        if tensors and (sighting := recognise(self.module("final", parts))) is not None:
            if self.partial:
                doubt(sighting, NOT_READ)
            self.note(sighting, parts)
            self.seen("final_norm", "final", tensors[-1][1])

    def layer_count(self, at: str, n: int, numbers: set[int], others: Counter[str]) -> None:
        other = next(
            (p for p, elements in others.items() if elements * RIVAL > sum(self.parts.values())), ""
        )
        if self.partial or other:
            self.unknown(
                "layers",
                NOT_READ
                if self.partial
                else f"{at}* and {other}* are layers, and may be parts of one stack",
            )
        elif numbers == set(range(n)) and n:
            self.say(
                "layers", n, "tensor", f"{at.replace('{}.', '')}{{0-{n - 1}}}" if n > 1 else at
            )
        else:
            self.unknown(
                "layers",
                "some numbers of layers are missing" if n else "no numbered layers were found",
            )

    def tower(self, name: str, tensors: list[tuple[str, LogicalTensor]]) -> None:
        """An encoder of another modality: its layers and its size."""
        layers = {
            (m[0], i[0]) for k, x in tensors if (m := LAYERS.match(k)) for i in x.indices if i
        }
        for _, x in tensors:
            self.count(name, x)
        first = folded_names(tensors[0][1].source, tensors[0][1].indices)[0]
        deepest = Counter(at for at, _ in layers).most_common(1)
        if self.partial:
            self.unknown(f"towers.{name}.layers", NOT_READ)
            self.unknown(f"towers.{name}.parameters", NOT_READ)
            return
        if deepest:
            self.say(f"towers.{name}.layers", deepest[0][1], "tensor", first)
        else:
            self.unknown(f"towers.{name}.layers", "its tensors are not numbered as layers are")
        self.say(f"towers.{name}.parameters", self.parts[name], "tensor", first)

    def unrecognised(self, other: list[LogicalTensor], where: str = "") -> None:
        for g in group_by_module(stored_sets(other)):
            self.findings.append(
                Finding(
                    rule="tensor-unrecognised",
                    path=g.path,
                    message=f"{g}{where}: counted, but not recognised",
                )
            )

    def unknowable(self) -> None:
        """What no header tells."""
        self.unknown("context_length", "a context length has no tensors")
        if "embedding.positions" in self.facts:
            self.say(
                "context_length",
                self.facts["embedding.positions"],
                "tensor",
                "as many positions are learned",
            )

    # --- layers ---

    def layer_kinds(
        self, tensors: list[tuple[str, LogicalTensor]]
    ) -> tuple[dict[str, ObservedKind], tuple[str, ...]]:
        """Layers with the same tensors are one kind."""
        held = by_layer(tensors)
        alike: dict[frozenset[tuple[str, Shape | None, int]], list[int]] = {}
        for number in sorted(held):
            signature = frozenset((key, x.shape, len(indices)) for key, x, indices in held[number])
            alike.setdefault(signature, []).append(number)
        kinds: dict[str, ObservedKind] = {}
        of: dict[int, str] = {}
        for numbers in alike.values():
            name, kind = self.layer_kind(merged(held[n] for n in numbers), kinds)
            kinds[name] = kind
            of.update(dict.fromkeys(numbers, name))
        return kinds, tuple(of[i] for i in sorted(of))

    def layer_kind(
        self, tensors: list[tuple[str, LogicalTensor]], kinds: Mapping[str, ObservedKind]
    ) -> tuple[str, ObservedKind]:
        """Recognise the modules of one kind of layer, note their facts, and count their tensors."""
        blocks: list[str] = []
        norms: list[str] = []
        lost: list[LogicalTensor] = []
        found = [
            each
            for name, parts in modules(tensors).items()
            for each in self.recognised(name, parts)
        ]
        strange = next(
            (x for at, parts, s in found for name, x in parts if not understood(s, at, name)), None
        )
        beside_experts([s for _, _, s in found if s is not None])
        for at, parts, sighting in found:
            relative = dict(reversed(parts))
            if sighting is not None:
                if self.partial:
                    doubt(sighting, NOT_READ)
                elif strange is not None and sighting.group != "norms":
                    doubt(sighting, f"{strange.source} is not understood, and may be it")
                (norms if sighting.group == "norms" else blocks).append(
                    self.note(sighting, relative)
                )
            for name, x in parts:
                component = (
                    sighting.components.get(name, sighting.component)
                    if sighting
                    else by_name(f"{at}.{name}".strip("."))
                )
                self.count(component, x)
                if component == "other":
                    lost.append(x)
        self.unrecognised(lost, " in the layers")
        blocks.sort(key=lambda path: not path.startswith("mixers."))
        name, at = (
            self.kind_name(blocks, kinds),
            placement(norms, complete=not lost and not self.partial),
        )
        if at is None:
            self.unknown(
                f"layer_kinds.{name}.placement",
                "the names of a layer's norms do not say where they stand",
            )
        else:
            self.say(
                f"layer_kinds.{name}.placement",
                at,
                "tensor",
                "the norms' names: " + ", ".join(n.partition(".")[2] for n in norms),
            )
        return name, ObservedKind(tuple(blocks), tuple(norms), at, tuple(x.source for x in lost))

    def kind_name(self, blocks: list[str], kinds: Mapping[str, ObservedKind]) -> str:
        """`attention_moe`, `attention_moe_2`, and so on."""
        base = "_".join(b.partition(".")[2] for b in blocks) or "empty"
        self.named[base] += 1
        name = base if self.named[base] == 1 else f"{base}_{self.named[base]}"
        return self.kind_name(blocks, kinds) if name in kinds else name

    def recognised(
        self, name: str, parts: Parts, depth: int = 0
    ) -> list[tuple[str, Parts, Sighting | None]]:
        """What a module is; one that is nothing itself may hold blocks (`shared_transformer.self_attn`, `attn.attention`)."""
        sighting = recognise(self.module(name, dict(reversed(parts))))
        if sighting is None and depth < DEEPEST:
            inner = [
                each
                for n, some in modules(parts).items()
                for each in self.recognised(f"{name}_{n}", some, depth + 1)
            ]
            if any(s is not None and s.group != "norms" for _, _, s in inner):
                return inner
        return [(name, parts, sighting)]

    def module(self, name: str, tensors: Mapping[str, LogicalTensor]) -> Module:
        shapes = {k: x.shape if not x.uncertain else None for k, x in tensors.items()}
        experts = {k: len({i[-1] for i in x.indices}) for k, x in tensors.items() if "{}" in k}
        return Module(name, shapes, experts, self.hidden, heads_of(self.text, self.hidden))

    def note(self, s: Sighting, tensors: Mapping[str, LogicalTensor]) -> str:
        """Put a module's facts under a path; modules alike in their facts share it."""
        told = {f: (v.value if isinstance(v, Seen) else None) for f, v in s.facts.items()}
        n = 1
        path = f"{s.group}.{s.name}"
        while (
            any(p.startswith(path + ".") for p in self.facts)
            and {p[len(path) + 1 :]: v for p, v in self.facts.items() if p.startswith(path + ".")}
            != told
        ):
            n += 1
            path = f"{s.group}.{s.name}_{n}"
        for f, fact in s.facts.items():
            self.fact(f"{path}.{f}", fact, tensors)
        return path

    def fact(self, path: str, fact: Seen | Unknown, tensors: Mapping[str, LogicalTensor]) -> None:
        if isinstance(fact, Unknown):
            self.unknown(path, fact.why)
            return
        names = [
            folded_names(x.source, x.indices)[0]
            for name in fact.by
            if (x := tensors.get(name)) is not None
        ]
        before = self.evidence[path].confirmed_by if self.facts.get(path) is not None else ()
        how = (
            f"{fact.key}: {fact.ref}"
            if fact.key
            else fact.ref or f"shape of {names[0]}"
            if names
            else ""
        )
        self.say(
            path,
            fact.value,
            "config" if fact.key else "tensor",
            how,
            dict.fromkeys((*before, *names)),
        )


def understood(s: Sighting | None, module: str, name: str) -> bool:
    """Whether a tensor is one whose meaning is plain."""
    if s is None:
        return by_name(f"{module}.{name}".strip(".")) != "other"
    return (
        s.group == "norms"
        or s.name not in ("attention", "moe", "dense")
        or UNDERSTOOD.fullmatch(name) is not None
    )


def beside_experts(sightings: list[Sighting]) -> None:
    """A dense block in one layer with experts may be called shared, or not."""
    if any(s.name == "dense" for s in sightings):
        for s in sightings:
            if (
                s.name == "moe"
                and isinstance(width := s.facts.get("shared_width"), Seen)
                and width.value == 0
            ):
                s.facts["shared_width"] = Unknown("a feed-forward block stands beside the experts")


def doubt(s: Sighting, why: str) -> None:
    """Take back what was concluded from something's absence, as it may be there under another name, or where nothing was read."""
    for path, fact in s.facts.items():
        if isinstance(fact, Seen) and (
            fact.value in (False, 0) or (why == NOT_READ and path == "experts" and len(fact.by) < 2)
        ):
            s.facts[path] = Unknown(why)


# --- helpers ------------------------------------------------------------------------------------------------------


def text_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that is about the language model."""
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(key), dict):
            return cast("dict[str, Any]", config[key])
    return config


def declared(config: Mapping[str, Any]) -> Quantization | None:
    """The quantisation that a config declares, whatever its family."""
    for part in (config, text_of(config)):
        try:
            tree = quantization(ConfigKeys(part, file="config.json", family="no family", ref=""))
        except ConfigError:
            continue
        if tree is not None:
            return build(tree, "", {})
    return None


def heads_of(config: Mapping[str, Any], hidden: int | None) -> Heads | None:
    """Heads under their usual keys; nothing where a value is not a plain positive number."""

    def number(key: str) -> int | None:
        value = config.get(key)
        return (
            value
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**7
            else None
        )

    heads, kv, dim = (
        number("num_attention_heads"),
        number("num_key_value_heads"),
        number("head_dim"),
    )
    keys = "num_attention_heads, num_key_value_heads" + (", head_dim" if dim else ", hidden_size")
    if heads is None or (dim is None and (hidden is None or hidden % heads)):
        return None
    return Heads(heads, kv or heads, dim or (hidden or 0) // heads, keys)


def is_head(key: str) -> bool:
    return key in HEAD_NAMES or key in ("output_layer.weight", "unembed.weight")


def nearest(
    found: list[tuple[str, LogicalTensor]], vectors: set[Shape | None]
) -> LogicalTensor | None:
    """Of several embeddings the one that is as wide as vectors of the layers, and with the fewest modules around it."""
    fitting = [(k, x) for k, x in found if x.shape is None or len(x.shape) == 2]
    wide = [(k, x) for k, x in fitting if x.shape is not None and (x.shape[1],) in vectors]
    return min(wide or fitting, key=lambda kx: kx[0].count("."), default=("", None))[1]


def apart(tensors: list[tuple[str, LogicalTensor]]) -> list[tuple[str, LogicalTensor]]:
    """`blocks` are written as `layers`, but where both are there they are two stacks."""
    blocks = {
        x.pattern for key, x in tensors if key.startswith("layers.{}.") and BLOCKS.search(x.pattern)
    }
    if not any(key.startswith("layers.{}.") and x.pattern not in blocks for key, x in tensors):
        return tensors
    return [(f"blocks.{key[7:]}" if x.pattern in blocks else key, x) for key, x in tensors]


def layer_prefix(tensors: Iterable[tuple[str, LogicalTensor]]) -> str:
    """What the decoder's layers start with: of the numbered modules outside towers, those that hold most."""
    weight = stacks(tensors)
    return max(weight, key=lambda p: (weight[p], p), default="")


def stacks(tensors: Iterable[tuple[str, LogicalTensor]]) -> Counter[str]:
    """What numbered modules outside towers start with, and the elements they hold."""
    weight: Counter[str] = Counter()
    for key, x in tensors:
        m = LAYERS.match(key)
        if m and not is_tower(key) and not MTP_NAME.search(key):
            weight[m[0]] += max(x.total_elements, len(x.indices))
    return weight


def is_tower(key: str) -> str:
    """`vision` or `audio` by the first part of the name; empty for anything else."""
    if not TOWER_NAME.match(key) and not TOWER_PARTS.match(key):
        return ""
    return "audio" if AUDIO.match(key) else "vision"


def without_mtp(
    tensors: list[tuple[str, LogicalTensor]],
) -> tuple[list[tuple[str, LogicalTensor]], list[tuple[str, LogicalTensor]]]:
    """Layers that are MTP modules by their tensors (eh_proj, enorm, ..), apart from the others."""
    numbers = {i[0] for key, x in tensors if MTP_TENSOR.search("." + key) for i in x.indices}
    if not numbers:
        return tensors, []
    main = [(k, x.subset([i for i in x.indices if i[0] not in numbers])) for k, x in tensors]
    mtp = [(k, x.subset([i for i in x.indices if i[0] in numbers])) for k, x in tensors]
    return [(k, x) for k, x in main if x.indices], [(k, x) for k, x in mtp if x.indices]


def by_layer(
    tensors: Iterable[tuple[str, LogicalTensor]],
) -> dict[int, list[tuple[str, LogicalTensor, list[Index]]]]:
    """What each layer holds."""
    out: dict[int, list[tuple[str, LogicalTensor, list[Index]]]] = {}
    for key, x in tensors:
        here: dict[int, list[Index]] = {}
        for i in x.indices:
            here.setdefault(i[0], []).append(i)
        for number, indices in here.items():
            out.setdefault(number, []).append((key, x, indices))
    return out


def merged(
    layers: Iterable[list[tuple[str, LogicalTensor, list[Index]]]],
) -> list[tuple[str, LogicalTensor]]:
    """The tensors of several layers together."""
    found: dict[tuple[str, int], tuple[LogicalTensor, list[Index]]] = {}
    for layer in layers:
        for key, x, indices in layer:
            found.setdefault((key, id(x)), (x, []))[1].extend(indices)
    return [(key, x.subset(indices)) for (key, _), (x, indices) in found.items()]


Parts = list[tuple[str, LogicalTensor]]
"""The tensors of a module, by their names within it."""


def modules(tensors: Iterable[tuple[str, LogicalTensor]]) -> dict[str, Parts]:
    """A layer's tensors by module, the first part of the name; a module that is there several times (`self_attn.0`) is as many; and what
    belongs to experts but stands beside them (a router, shared experts) is with them."""
    out: dict[str, Parts] = {}
    for key, x in tensors:
        module, _, rest = spelling.canonical_in_layer(key).partition(".")
        for name, part, some in repeated(module, rest, x):
            out.setdefault(name, []).append(
                (part if name == "experts" else stacked(part, some), some)
            )
    return with_experts(out)


def repeated(module: str, rest: str, x: LogicalTensor) -> list[tuple[str, str, LogicalTensor]]:
    """`self_attn.{}.q_proj` apart as self_attn_0 and self_attn_1, where there are few, and they are not experts."""
    numbers = sorted({i[1] for i in x.indices}) if rest.startswith("{}.") else []
    if not numbers or len(numbers) > MOST_REPEATED or "expert" in module or "moe" in module:
        return [(module, rest, x)]
    return [
        (f"{module}_{n}", rest[3:], x.subset([i for i in x.indices if i[1] == n])) for n in numbers
    ]


def stacked(name: str, x: LogicalTensor) -> str:
    """Matrices with three dimensions are those of experts, under whatever name (`moe.up_proj.weight`)."""
    m = STACKED.fullmatch(name)
    return f"experts.{m[1]}" if m and x.shape is not None and len(x.shape) == 3 else name


def with_experts(found: dict[str, Parts]) -> dict[str, Parts]:
    """Experts as a module of the layer become one with their router; shared experts beside a module with experts become its own. Two
    matrices without a module (fc1 and fc2) are one."""
    if "experts" in found:
        parts = [(f"experts.{rest}", x) for rest, x in found.pop("experts")]
        found["moe"] = [
            *found.pop("moe", []),
            *parts,
            *((f"router.{rest}", x) for rest, x in found.pop("router", [])),
        ]
    if "fc1" in found and "fc2" in found:
        found["ffn"] = [
            (f"{name}.{rest}", x) for name in ("fc1", "fc2") for rest, x in found.pop(name)
        ]
    beside = "shared_experts"
    home = next(
        (
            name
            for name, parts in found.items()
            if name != beside and any(rest.startswith("experts.") for rest, _ in parts)
        ),
        "",
    )
    if home and beside in found:
        shared = found.pop(beside)
        found[home] += [(f"{beside}.{rest}", x) for rest, x in shared]
    return found


def by_name(name: str) -> str:
    """The component that a tensor of no block counts for, where its name tells; else `other`."""
    return next((component for pattern, component in BY_NAME if pattern.match(name)), "other")


def placement(norms: Iterable[str], *, complete: bool) -> str | None:
    """Where the norms stand, where their names settle it: four are a sandwich, post_attention with post_feedforward and nothing before
    are inside the residual (OLMo 2). Llama's two names are also those of parallel and post-norm models."""
    names = {n.partition(".")[2] for n in norms}
    if names == {
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    }:
        return "sandwich"
    return (
        "post"
        if complete and names == {"post_attention_layernorm", "post_feedforward_layernorm"}
        else None
    )
