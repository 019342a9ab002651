"""Infer what is outside of the layers: embedding, head, final norm and towers."""

from __future__ import annotations

import re

from ...architecture.paths import last_part, parent_path
from ...architecture.schema import Finding
from ..findings import TIED_HEAD
from ..logical import LogicalTensor
from ..roles import HEAD_NAMES, MTP_NAME, is_buffer
from .collector import Collector
from .layer_kinds import NOT_READ, component_by_name
from .modules import recognise
from .recognised import ModuleTensors
from .stacks import LAYERS, NamedTensor, Stack
from .towers import tower_of

_EMBEDDING = re.compile(
    r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|tokens_embed|embed_in"
    r"|token_embeddings?|embedding|embeddings|embed)\.weight$"
)
_POSITIONS = re.compile(r"(^|\.)(wpe|embed_positions|position_embeddings|positions_embed)\.weight$")
_FINAL_NORM = re.compile(
    r"(^|\.)(norm|ln_f|norm_f|final_norm|final_layernorm|final_layer_norm)\.(weight|bias)$"
)
_ROLE_PATTERNS = (
    (_EMBEDDING, "embedding"),
    (_POSITIONS, "positions"),
    (_FINAL_NORM, "final_norm"),
)
_NORM = re.compile(r"(?:norm|ln)(?:_\w+)?\.(?:weight|bias)$")
_OTHER_HEADS = frozenset({"output_layer.weight", "unembed.weight"})
"""Names of the head that no family here has."""

_TOWERS = ("vision", "audio")


class OutsideInference:
    """What is outside of one model's layers: run infers it and adds it to a collector."""

    def __init__(self, collector: Collector, tied: bool | None, partial: bool) -> None:
        """Start without an embedding.

        tied: whether the config ties head and embedding; None where it does not say.
        partial: whether some headers could not be read, so that absence proves nothing.
        """
        self.collector = collector
        self.tied = tied
        self.partial = partial
        self.hidden: int | None = None
        self._embedding: LogicalTensor | None = None

    def infer_embedding(self, stack: Stack) -> int | None:
        """Infer vocabulary and hidden size from the token embedding; return the hidden size.

        Where the embedding is stored under the head's name alone, the head gives them. The layers
        must have a vector of the hidden size: some models embed in fewer dimensions.
        """
        named = [t for t in stack.outside if _EMBEDDING.search(t.name)]
        embeddings = [t for t in named if not tower_of(t.name) and not MTP_NAME.search(t.name)]
        heads = [t for t in stack.outside if is_output_head(t.name)]
        vectors = {tensor.shape for _, tensor in stack.inside}
        tensor = _decoder_embedding(embeddings or heads, vectors)
        if embeddings:
            self._embedding = tensor

        if tensor is None or tensor.shape is None or tensor.uncertain:
            reason = "no token embedding was found"
            if tensor is not None:
                reason = f"the shape of {tensor.source} is not in the header"
            self.collector.leave_open("hidden_size", "vocab_size", reason=reason)
            return None

        vocab_size, hidden = tensor.shape
        self.collector.prove_by(tensor, "vocab_size", vocab_size)
        if stack.inside and (hidden,) not in vectors:
            reason = (
                f"{tensor.source} has {hidden:,} dimensions, but no vector of the layers is as wide"
            )
            self.collector.leave_open("hidden_size", reason=reason)
            return None

        self.hidden = hidden
        self.collector.prove_by(tensor, "hidden_size", hidden)
        return hidden

    def run(self, outside: list[NamedTensor]) -> None:
        """Count all tensors outside of the layers, and infer what they are."""
        roles = self._split_by_role(outside)
        for _, tensor in roles.get("buffer", []):
            self.collector.buffers += tensor.total_elements

        for _, tensor in roles.get("mtp", []):
            self.collector.count("mtp", tensor)

        heads = [tensor for _, tensor in roles.get("head", [])]
        embeddings = [tensor for _, tensor in roles.get("embedding", [])]
        embedding = embeddings[0] if embeddings else None
        if embedding is not None:
            self.collector.count("embedding", embedding)

        self._infer_positions(roles.get("positions", []))
        self._infer_head_bias(roles.get("head_bias", []))
        others = self._count_others(roles.get("other", []))
        self._infer_tie(heads, embedding, others)
        self._count_heads(heads, embedding)
        self._compare_rows(heads, embedding)
        self._infer_final_norm(roles.get("final_norm", []))
        for role, tensors in roles.items():
            if role in _TOWERS:
                self._infer_tower(role, tensors)

        self.collector.report_unrecognised(others)

    def _split_by_role(self, outside: list[NamedTensor]) -> dict[str, list[NamedTensor]]:
        """Split tensors by role. Embeddings other than the decoder's are `other`."""
        roles: dict[str, list[NamedTensor]] = {}
        embedding = self._embedding
        for named in outside:
            role = _role_of(named)
            if role == "embedding":
                embedding = embedding or named.tensor
                if named.tensor is not embedding:
                    role = "other"
            roles.setdefault(role, []).append(named)

        norms = roles.get("final_norm", [])
        final = _final_norm_of(norms)
        roles["other"] = [
            *roles.get("other", []),
            *(named for named in norms if named not in final),
        ]
        roles["final_norm"] = final
        return roles

    # --- embedding and head ---

    def _infer_positions(self, positions: list[NamedTensor]) -> None:
        collector = self.collector
        for _, tensor in positions:
            collector.count("embedding", tensor)
            if tensor.shape:
                collector.prove_by(tensor, "embedding.positions", tensor.shape[0])

    def _infer_head_bias(self, biases: list[NamedTensor]) -> None:
        collector = self.collector
        for _, tensor in biases:
            collector.count("head", tensor)
            collector.prove_by(tensor, "head.bias", True)

    def _infer_tie(
        self,
        heads: list[LogicalTensor],
        embedding: LogicalTensor | None,
        others: list[LogicalTensor],
    ) -> None:
        """Infer whether head and embedding are tied.

        They are if only one of them is stored and no other tensor may be the second. If both are
        stored, one may be a copy of the other, which only a config shows.
        """
        path = "embedding.tied"
        if not heads or embedding is None:
            self._infer_tie_of_one(heads, others)
        elif self.tied is not None:
            self.collector.prove(
                path,
                self.tied,
                "tie_word_embeddings",
                kind="config",
                confirmed_by=[heads[0].source],
            )
        else:
            reason = (
                f"{heads[0].source} is stored; whether it is a copy of the embedding is not in the "
                f"header"
            )
            self.collector.leave_open(path, reason=reason)

    def _infer_tie_of_one(self, heads: list[LogicalTensor], others: list[LogicalTensor]) -> None:
        """Infer the tie where head or embedding is not stored under a usual name."""
        missing = "embedding" if heads else "head"
        matrices = [t.source for t in others if t.shape is None or len(t.shape) > 1]
        if self.partial:
            doubt = NOT_READ
        elif matrices:
            doubt = f"{matrices[0]} is not recognised, and may be it"
        elif self.tied is False:
            doubt = "the config says that they are two"
        else:
            ref = "no head is stored: it is the embedding"
            if heads:
                ref = "embedding and head are one tensor"
            self.collector.prove("embedding.tied", True, ref)
            return

        reason = f"no {missing} is stored under its usual names, but {doubt}"
        self.collector.leave_open("embedding.tied", reason=reason)

    def _count_heads(self, heads: list[LogicalTensor], embedding: LogicalTensor | None) -> None:
        """Count heads; a head that the config ties to a stored embedding is a copy."""
        component = "head" if embedding is not None else "embedding"
        for head in heads:
            if embedding is None or self.tied is not True:
                self.collector.count(component, head)
                continue
            self.collector.copies += head.total_elements
            self.collector.findings.append(
                Finding(
                    rule="tied-copy-stored",
                    path=head.source,
                    message=TIED_HEAD,
                )
            )

    def _compare_rows(self, heads: list[LogicalTensor], embedding: LogicalTensor | None) -> None:
        """Open the vocabulary where head and embedding differ in rows: either may be it."""
        if embedding is None or not embedding.shape:
            return

        rows = embedding.shape[0]
        for head in heads:
            if not head.shape or head.uncertain:
                continue
            head_rows = head.shape[0]
            if head_rows == rows:
                continue
            reason = f"the embedding has {rows:,} rows, but {head.source} has {head_rows:,}"
            self.collector.leave_open("vocab_size", reason=reason)

    def _count_others(self, others: list[NamedTensor]) -> list[LogicalTensor]:
        """Count tensors of no other role; return those that nothing is known of."""
        unrecognised: list[LogicalTensor] = []
        for name, tensor in others:
            component = component_by_name(name)
            if tensor.shape is not None and tensor.shape == (self.hidden,) and _NORM.search(name):
                component = "norms"
            self.collector.count(component, tensor)
            if component == "other":
                unrecognised.append(tensor)

        return unrecognised

    # --- final norm and towers ---

    def _infer_final_norm(self, norms: list[NamedTensor]) -> None:
        for _, tensor in norms:
            self.collector.count("norms", tensor)

        parts = {last_part(name): tensor for name, tensor in norms}
        if not parts:
            return

        found = recognise(ModuleTensors.from_logical("final", parts, self.hidden))
        if found is None:
            return

        if self.partial:
            found.doubt_absence(NOT_READ)

        self.collector.add_module(found, parts)
        self.collector.prove_by(norms[-1].tensor, "final_norm", "final")

    def _infer_tower(self, name: str, tensors: list[NamedTensor]) -> None:
        """Infer the size of an encoder of another modality, and its number of layers."""
        for _, tensor in tensors:
            self.collector.count(name, tensor)

        layers, parameters = f"towers.{name}.layers", f"towers.{name}.parameters"
        if self.partial:
            self.collector.leave_open(layers, parameters, reason=NOT_READ)
            return

        number = _longest_stack(tensors)
        first = tensors[0].tensor.stored_name
        if number:
            self.collector.prove(layers, number, first)
        else:
            reason = "its tensors are not numbered as layers are"
            self.collector.leave_open(layers, reason=reason)

        self.collector.prove(parameters, self.collector.parameters[name], first)


def is_output_head(name: str) -> bool:
    """Return whether a name is one that heads have."""
    return name in HEAD_NAMES or name in _OTHER_HEADS


def _role_of(named: NamedTensor) -> str:
    """Return the role of a tensor outside of the layers by its name, or `other`."""
    name, tensor = named
    if is_buffer(name, tensor):
        return "buffer"
    if MTP_NAME.search(name):
        return "mtp"

    tower = tower_of(name)
    if tower:
        return tower
    if is_output_head(name):
        return "head"

    for pattern, role in _ROLE_PATTERNS:
        if pattern.search(name):
            return role

    if is_output_head(name.removesuffix("bias") + "weight"):
        return "head_bias"
    return "other"


def _final_norm_of(norms: list[NamedTensor]) -> list[NamedTensor]:
    """Return the tensors of the norm after the layers: those of one module, the outermost.

    A projector or pooler may have a module called `norm` of its own.
    """
    modules = [parent_path(named.name) for named in norms]
    if not modules:
        return []
    outermost = min(modules, key=lambda module: module.count("."))
    return [named for named, module in zip(norms, modules, strict=True) if module == outermost]


def _decoder_embedding(
    found: list[NamedTensor], vectors: set[tuple[int, ...] | None]
) -> LogicalTensor | None:
    """Return the embedding that is the decoder's, of several.

    It is as wide as vectors of the layers, if any is, and the one in the fewest modules.

    vectors: the shapes of the tensors in the layers.
    """
    fitting: list[NamedTensor] = []
    wide: list[NamedTensor] = []
    for named in found:
        shape = named.tensor.shape
        if shape is None or len(shape) == 2:
            fitting.append(named)
        if shape is not None and len(shape) == 2 and shape[1:] in vectors:
            wide.append(named)

    if not fitting:
        return None

    nearest = min(wide or fitting, key=lambda named: named.name.count("."))
    return nearest.tensor


def _longest_stack(tensors: list[NamedTensor]) -> int:
    """Return the number of layers of the longest stack, 0 without any."""
    numbers: dict[str, set[int]] = {}
    for name, tensor in tensors:
        match = LAYERS.match(name)
        if match is not None:
            stack = numbers.setdefault(match[0], set())
            stack.update(index[0] for index in tensor.indices if index)
    return max(map(len, numbers.values()), default=0)
