"""Infer an architecture from tensor headers alone: what names and shapes prove, without a family.

Facts have the paths of the schema (`mixers.attention.kv_heads`, `ffns.moe.experts`). A fact that
stays open is None, and its evidence (`unknown`) gives the reason. Counts are exact: sums over the
tensors. Nothing is read as another family would read it; see config_hints.py for the few config
keys that are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, NamedTuple

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Evidence, Finding
from ...sources.raw import TensorTable
from ...tensors.conversion import Conversion
from .. import names as spelling
from ..findings import limit_findings
from ..grouping import group_by_module, stored_sets
from ..logical import LogicalTensor
from ..packing import unpack
from ..quantization import holds_integers
from ..roles import is_buffer
from .collector import Collector
from .config_hints import find_declared_heads, find_declared_quantization, find_declared_tie
from .layer_kinds import NOT_READ, InferredLayerKind, InferredLayers, LayerInference
from .outside import OutsideInference
from .stacks import (
    NamedTensor,
    Stack,
    find_stack,
    separate_blocks,
    separate_experts,
    split_mtp,
    stack_sizes,
)

_RIVAL_FACTOR = 10
"""A second stack with more than one part in this many of all parameters may be layers as well."""


@frozen
class InferredModel(Frozen):
    """An architecture as far as tensor names and shapes show it. Counts are elements."""

    facts: dict[str, Any]
    """Values by path, None where open."""
    evidence: dict[str, Evidence]
    """By path, where a fact comes from or why it is open."""
    kinds: dict[str, InferredLayerKind]
    layers: tuple[str, ...]
    """The name of a kind for each layer."""
    total: int | None
    """Of the main model; None where a packing leaves sizes open or only names are known."""
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
    """The packings that were found."""

    @property
    def weights(self) -> int:
        """Return the elements of the weights whose sizes are known."""
        return sum(self.by_component.values())

    def document(self) -> dict[str, Any]:
        """Return the facts as nested objects, as an Architecture has them; None where open."""
        document: dict[str, Any] = {}
        for path, value in self.facts.items():
            *parents, last = path.split(".")
            inner = document
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[last] = value

        document["layer_kinds"] = {
            name: {
                "blocks": list(kind.blocks),
                "norms": list(kind.norms),
                "placement": kind.placement,
            }
            for name, kind in self.kinds.items()
        }
        document["layers"] = list(self.layers)
        return document


def infer_model(
    table: TensorTable, config: Mapping[str, Any] | None = None, *, partial: bool = False
) -> InferredModel:
    """Infer what the headers of an unknown architecture show.

    table: the stored tensors.
    config: the config of a model_type that no family reads, if there is one.
    partial: whether some headers could not be read, so that there is no total.
    """
    return _ModelInference(table, config or {}, partial).run()


class _Layers(NamedTuple):
    inferred: InferredLayers
    numbers: set[int]
    """The numbers that the layers have in the names of tensors."""


class _ModelInference:
    """One run of `infer_model`."""

    def __init__(self, table: TensorTable, config: Mapping[str, Any], partial: bool) -> None:
        self.table = table
        self.config = config
        self.partial = partial
        declared = find_declared_quantization(config)
        self.unpacked = unpack(table, declared)
        self.tensors = self._canonical_tensors()
        self.collector = Collector(self.unpacked.findings)

    def _canonical_tensors(self) -> list[NamedTensor]:
        tensors = self.unpacked.logical
        patterns = {tensor.pattern for tensor in tensors}
        _, canonical = spelling.canonicalizer(patterns, Conversion())
        named = [NamedTensor(canonical(tensor.pattern), tensor) for tensor in tensors]
        return separate_experts(separate_blocks(named))

    def run(self) -> InferredModel:
        """Infer the embedding first: recognising the layers needs the hidden size."""
        stack = find_stack(self.tensors)
        outside = OutsideInference(self.collector, find_declared_tie(self.config), self.partial)
        hidden = outside.infer_embedding(stack)
        layers = self._infer_layers(stack, hidden)
        outside.run(stack.outside)
        self._infer_context_length()
        self._infer_layer_count(stack, layers)
        self.collector.finish()
        return self._result(layers.inferred)

    def _infer_layers(self, stack: Stack, hidden: int | None) -> _Layers:
        """Infer the kinds of layers; count buffers and MTP modules among them."""
        collector = self.collector
        tensors: list[NamedTensor] = []
        for named in stack.inside:
            if is_buffer(*named):
                collector.buffers += named.tensor.total_elements
            else:
                tensors.append(named)

        split = split_mtp(tensors)
        heads = find_declared_heads(self.config, hidden)
        inference = LayerInference(collector, hidden, heads, self.partial)
        inferred = inference.run(split.layers)
        for _, tensor in split.mtp:
            collector.count("mtp", tensor)

        numbers = {index[0] for _, tensor in split.layers for index in tensor.indices}
        return _Layers(inferred, numbers)

    def _infer_context_length(self) -> None:
        path = "context_length"
        positions = self.collector.facts.get("embedding.positions")
        if positions is not None:
            self.collector.prove(path, positions, "as many positions are learned")
        else:
            self.collector.leave_open(path, reason="a context length has no tensors")

    def _infer_layer_count(self, stack: Stack, layers: _Layers) -> None:
        number = len(layers.inferred.layers)
        reason = ""
        rival = self._rival_stack(stack)
        if self.partial:
            reason = NOT_READ
        elif rival:
            reason = f"{stack.prefix}* and {rival}* are layers, and may be parts of one stack"
        elif not number:
            reason = "no numbered layers were found"
        elif layers.numbers != set(range(number)):
            reason = "some numbers of layers are missing"

        if reason:
            self.collector.leave_open("layers", reason=reason)
            return

        ref = stack.prefix
        if number > 1:
            ref = f"{stack.prefix.replace('{}.', '')}{{0-{number - 1}}}"

        self.collector.prove("layers", number, ref)

    def _rival_stack(self, stack: Stack) -> str:
        """Return the prefix of another stack that is too large to be something else, or ""."""
        parameters = self.collector.parameters
        total = parameters.total() - parameters["mtp"]
        sizes = stack_sizes(stack.outside)
        for prefix, elements in sizes.items():
            if elements * _RIVAL_FACTOR > total:
                return prefix
        return ""

    def _report_not_comparable(self, tensors: list[LogicalTensor]) -> None:
        for group in group_by_module(stored_sets(tensors)):
            first = tensors[group.sets[0].position]
            reason = first.not_comparable or "integers in a packing that llmarch does not unpack"
            finding = Finding(
                rule="not-comparable",
                path=group.path,
                message=f"{group}: {reason}",
            )
            self.collector.findings.append(finding)

    def _has_all_sizes(self) -> bool:
        """Return whether the size of every tensor is certain."""
        if self.partial:
            return False
        return all(tensor.has_size and not tensor.uncertain for _, tensor in self.tensors)

    def _result(self, layers: InferredLayers) -> InferredModel:
        collector = self.collector
        not_comparable = [named.tensor for named in self.tensors if _is_not_comparable(named)]
        self._report_not_comparable(not_comparable)
        sizes_known = self._has_all_sizes() and not not_comparable
        mtp = collector.parameters.pop("mtp", 0)
        collector.bits.pop("mtp", 0)
        total = collector.parameters.total()
        bits_per_weight = None
        bits_by_component: dict[str, float] = {}
        if sizes_known and total:
            bits_per_weight = collector.bits.total() / total
            bits_by_component = {
                component: collector.bits[component] / elements
                for component, elements in collector.parameters.items()
                if elements
            }

        return InferredModel(
            facts=collector.facts,
            evidence=collector.evidence,
            kinds=layers.kinds,
            layers=layers.layers,
            total=total if sizes_known else None,
            by_component=dict(collector.parameters),
            mtp=mtp,
            scales=self.unpacked.scales,
            stored=self.table.elements,
            copies=collector.copies,
            buffers=collector.buffers,
            bits_per_weight=bits_per_weight,
            bits_by_component=bits_by_component,
            findings=limit_findings(collector.findings),
            notes=tuple(dict.fromkeys(t.packing for _, t in self.tensors if t.packing)),
        )


def _is_not_comparable(named: NamedTensor) -> bool:
    """Return whether a tensor is in a packing that llmarch does not unpack.

    Integers are, except buffers, 64-bit integers, which are tables, and booleans, which are masks.
    """
    name, tensor = named
    if tensor.not_comparable:
        return True
    is_packed = holds_integers(tensor) and tensor.dtype not in ("I64", "BOOL")
    return is_packed and not is_buffer(name, tensor)
