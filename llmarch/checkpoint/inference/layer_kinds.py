"""Infer the kinds of layers: what modules a layer has, and where its norms stand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

from ...architecture.frozen import Frozen, frozen
from ..logical import LogicalTensor, Shape
from .collector import Collector
from .layers import LayerTensor, join_layers, split_layers, split_modules
from .modules import recognise
from .recognised import ConfigHeads, ModuleTensors, Open, Proved, Recognised
from .stacks import NamedTensor

NOT_READ = "some headers could not be read"

_MAX_DEPTH = 2
"""Modules within modules that are looked into."""

_UNDERSTOOD = re.compile(
    r"(?:q|k|v|qkv|o|out|c|gate|up|down|gate_up|c_fc|dense|wo|w[123])(?:_proj)?\.(?:weight|bias)"
    r"|(?:c_fc|c_proj|proj|proj_[12]|fc[12]|fc_in|fc_out)\.(?:weight|bias)"
    r"|(?:dense_h_to_4h|dense_4h_to_h|router|router\.weight)\.(?:weight|bias)"
    r"|[qk]_(?:layer)?norm\.(?:weight|bias)"
    r"|sinks"
    r"|(?:gate\.)?e_score_correction_bias"
    r"|experts\.(?:\{\}\.)?(?:gate|up|down|gate_up)_proj(?:_bias|\.weight|\.bias)?"
    r"|shared_experts?\.(?:gate|up|down|gate_up)_proj\.(?:weight|bias)"
    r"|shared_experts?_gate\.weight"
)
"""Names in attention and feed-forward modules whose meaning is certain.

If another tensor is stored, it may be what seems to be absent: absence then proves nothing.
"""

_COMPONENTS = (
    (re.compile(r"hc_|\w+_hc\.|altup"), "residual"),
    (re.compile(r"(?:input|post_\w+|pre_\w+)_residual(?:_scale|_gate)?(?:\.|$)"), "residual"),
    (re.compile(r"layer_scal(?:ar|e)s?$"), "layer_scales"),
    (re.compile(r"embed_tokens_per_layer\."), "per_layer_embedding"),
    (re.compile(r"per_layer_(?:model_)?projection(?:_norm)?\."), "per_layer_projection"),
    (re.compile(r"midlayer\.self_attn\."), "attention"),
    (re.compile(r"midlayer\.mlp\."), "mlp"),
    (re.compile(r"fc\.(?:weight|bias)$"), "draft_projection"),
    (re.compile(r"(?:d2t|t2d)$"), "vocabulary_map"),
)
"""Components of tensors in no block, by name: residual streams and what mixes them, learned scales
of layers, per-layer embeddings, the parts of EAGLE draft heads."""

_SANDWICH = {
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
}
_POST = {"post_attention_layernorm", "post_feedforward_layernorm"}


@frozen
class InferredLayerKind(Frozen):
    """One kind of layer: its blocks and norms, as paths of their facts."""

    blocks: tuple[str, ...]
    norms: tuple[str, ...]
    placement: str | None
    """Where the norms stand (`sandwich`, `post`), None where that is open."""
    unrecognised: tuple[str, ...] = ()
    """Stored names of tensors that nothing is known of."""


class InferredLayers(NamedTuple):
    """The kinds of layers by name, and the kind of each layer."""

    kinds: dict[str, InferredLayerKind]
    layers: tuple[str, ...]


_Signature = frozenset[tuple[str, Shape | None, int]]
"""Name, shape and number of each tensor of a layer."""


class _LayerModule(NamedTuple):
    """A module of a layer, with what it was recognised as."""

    name: str
    parts: list[NamedTensor]
    found: Recognised | None

    def component(self, part: str) -> str:
        """Return what a tensor of the module counts for."""
        if self.found is not None:
            return self.found.components.get(part, self.found.component)
        full_name = f"{self.name}.{part}"
        return component_by_name(full_name.strip("."))

    def understands(self, part: str) -> bool:
        """Return whether the meaning of a tensor of the module is certain."""
        if self.found is None:
            return self.component(part) != "other"
        if self.found.name not in ("attention", "moe", "dense"):
            return True
        return self.found.group == "norms" or _UNDERSTOOD.fullmatch(part) is not None


class LayerInference:
    """One model's layers: run infers their kinds and adds the facts to a collector."""

    def __init__(
        self,
        collector: Collector,
        hidden: int | None,
        heads: ConfigHeads | None,
        partial: bool,
    ) -> None:
        """Start without layers.

        hidden: the hidden size, None where it is not known.
        heads: the heads that the config declares.
        partial: whether some headers could not be read, so that absence proves nothing.
        """
        self.collector = collector
        self.hidden = hidden
        self.heads = heads
        self.partial = partial
        self.kinds: dict[str, InferredLayerKind] = {}

    def run(self, tensors: list[NamedTensor]) -> InferredLayers:
        """Infer the kinds: layers that hold the same tensors are of one kind."""
        layers = split_layers(tensors)
        alike: dict[_Signature, list[int]] = {}
        for number in sorted(layers):
            signature = _signature(layers[number])
            alike.setdefault(signature, []).append(number)

        kind_of: dict[int, str] = {}
        for numbers in alike.values():
            together = join_layers([layers[number] for number in numbers])
            kind = self._infer_kind(together)
            for number in numbers:
                kind_of[number] = kind

        kinds = [kind_of[number] for number in sorted(kind_of)]
        return InferredLayers(self.kinds, tuple(kinds))

    def _infer_kind(self, tensors: list[NamedTensor]) -> str:
        """Recognise the modules of one kind of layer, and add the kind. Return its name."""
        modules = [
            module
            for name, parts in split_modules(tensors).items()
            for module in self._recognise_modules(name, parts)
        ]
        self._doubt_facts(modules)
        blocks: list[str] = []
        norms: list[str] = []
        for module in modules:
            if module.found is None:
                continue
            path = self.collector.add_module(module.found, _by_name(module.parts))
            if module.found.group == "norms":
                norms.append(path)
            else:
                blocks.append(path)

        unrecognised = self._count_parameters(modules)
        blocks.sort(key=lambda path: not path.startswith("mixers."))
        name = self._kind_name(blocks)
        self.kinds[name] = InferredLayerKind(
            blocks=tuple(blocks),
            norms=tuple(norms),
            placement=self._infer_placement(name, norms, not unrecognised),
            unrecognised=tuple(tensor.source for tensor in unrecognised),
        )
        return name

    # --- modules ---

    def _recognise_modules(
        self, name: str, parts: list[NamedTensor], depth: int = 0
    ) -> list[_LayerModule]:
        """Recognise a module, or the blocks that it holds.

        A module that is nothing itself may hold blocks: `shared_transformer.self_attn`.
        """
        tensors = ModuleTensors.from_logical(name, _by_name(parts), self.hidden, self.heads)
        found = recognise(tensors)
        if found is None and depth < _MAX_DEPTH:
            inner: list[_LayerModule] = []
            for inner_name, inner_parts in split_modules(parts).items():
                inner_path = f"{name}_{inner_name}"
                inner += self._recognise_modules(inner_path, inner_parts, depth + 1)
            if any(m.found is not None and m.found.group != "norms" for m in inner):
                return inner

        return [_LayerModule(name, parts, found)]

    def _doubt_facts(self, modules: list[_LayerModule]) -> None:
        """Open the facts that other tensors of the layer, or unread ones, may contradict."""
        found = [module.found for module in modules if module.found is not None]
        if any(block.name == "dense" for block in found):
            _doubt_shared_experts(found)

        if self.partial:
            for block in found:
                _doubt_unread(block)
            return

        unknown = _first_not_understood(modules)
        if unknown is None:
            return

        for block in found:
            if block.group != "norms":
                block.doubt_absence(f"{unknown.source} is not understood, and may be it")

    def _count_parameters(self, modules: list[_LayerModule]) -> list[LogicalTensor]:
        """Count the tensors of a layer; report and return those that nothing is known of."""
        unrecognised: list[LogicalTensor] = []
        for module in modules:
            for name, tensor in module.parts:
                component = module.component(name)
                self.collector.count(component, tensor)
                if component == "other":
                    unrecognised.append(tensor)

        self.collector.report_unrecognised(unrecognised, " in the layers")
        return unrecognised

    # --- the kind ---

    def _kind_name(self, blocks: list[str]) -> str:
        """Return a name that no kind has yet: `attention_moe`, `attention_moe_2`, ..."""
        base = "_".join(block.partition(".")[2] for block in blocks) or "empty"
        name = base
        for number in count(2):
            if name not in self.kinds:
                break
            name = f"{base}_{number}"
        return name

    def _infer_placement(self, kind: str, norms: list[str], complete: bool) -> str | None:
        """Infer where the norms stand, and add it as a fact.

        complete: whether all tensors of the layer are recognised.
        """
        names = [path.partition(".")[2] for path in norms]
        placement = inferred_placement(names, complete=complete and not self.partial)
        path = f"layer_kinds.{kind}.placement"
        if placement is not None:
            self.collector.prove(path, placement, f"the norms' names: {', '.join(names)}")
        else:
            reason = "the names of the norms do not show where they stand"
            self.collector.leave_open(path, reason=reason)

        return placement


def inferred_placement(names: Iterable[str], *, complete: bool) -> str | None:
    """Return where norms stand if their names settle it.

    Four norms are a sandwich. Two after attention and feed-forward, with none before, are inside
    the residual (OLMo 2). Llama's two names are also those of parallel and of post-norm models.

    complete: whether no other norm can be there.
    """
    distinct = set(names)
    if distinct == _SANDWICH:
        return "sandwich"
    if distinct == _POST and complete:
        return "post"
    return None


def component_by_name(name: str) -> str:
    """Return the component of a tensor that is part of no block, or `other`."""
    for pattern, component in _COMPONENTS:
        if pattern.match(name):
            return component
    return "other"


def _signature(layer: list[LayerTensor]) -> _Signature:
    """Return what layers of one kind have in common."""
    return frozenset((part.name, part.tensor.shape, len(part.indices)) for part in layer)


def _by_name(parts: list[NamedTensor]) -> dict[str, LogicalTensor]:
    """Return the parts of a module by name; of two with one name the first."""
    return dict(reversed(parts))


def _first_not_understood(modules: list[_LayerModule]) -> LogicalTensor | None:
    for module in modules:
        for name, tensor in module.parts:
            if not module.understands(name):
                return tensor
    return None


def _doubt_shared_experts(found: list[Recognised]) -> None:
    """Open the width of shared experts where a dense block stands beside the experts.

    Such a block may be called shared or not.
    """
    for block in found:
        width = block.facts.get("shared_width")
        if block.name == "moe" and isinstance(width, Proved) and width.value == 0:
            block.facts["shared_width"] = Open("a feed-forward block stands beside the experts")


def _doubt_unread(found: Recognised) -> None:
    """Open what unread tensors may change: absences, and a number of experts without a router."""
    found.doubt_absence(NOT_READ)
    experts = found.facts.get("experts")
    if isinstance(experts, Proved) and len(experts.tensors) < 2:
        found.facts["experts"] = Open(NOT_READ)
