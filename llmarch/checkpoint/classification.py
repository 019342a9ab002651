"""Classify stored tensors that match no template row, and matches whose shapes differ.

A tensor is harmless by its name, belongs to an MTP module, is in a packing that llmarch does not
unpack, or is unexpected. unexpected.py reports the classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from ..architecture.paths import parent_path
from ..architecture.schema import Architecture, Attention, Quantization
from ..config.families import family_named
from .indices import Index, split_by_axes
from .layouts import fused_place
from .logical import LogicalTensor
from .matching import Match, Matching, MissingRow
from .method_loaders import is_known_method
from .packing import FORMATS, Unpacked
from .quantization import FLOATS, holds_integers
from .roles import HEAD_NAMES, LAYER_NAME, MTP_NAME, MTP_TENSOR, is_buffer

KEYS_AND_VALUES = re.compile(r"^layers\.\{\}\.self_attn\.(k_proj|v_proj|k_norm)\.")
_USUAL_HEAD = "lm_head.weight"

_Tensors = list[LogicalTensor]
_NamedTensors = list[tuple[str, LogicalTensor]]


@dataclass(slots=True)
class Classification:
    """Stored tensors that are not as the template says, by what they are."""

    wrong_shapes: list[Match] = field(default_factory=list[Match])
    """Matches that could be compared and do not fit."""
    not_comparable: _Tensors = field(default_factory=_Tensors)
    """Of matches that could not be compared."""
    copies: _Tensors = field(default_factory=_Tensors)
    """Of a head that is tied and stored all the same."""
    left_heads: _Tensors = field(default_factory=_Tensors)
    """Of a language model's head that a reward model was trained without."""
    buffers: _Tensors = field(default_factory=_Tensors)
    """Computed tables, which older library versions saved."""
    unused: _Tensors = field(default_factory=_Tensors)
    """Keys and values of layers that use those of another layer."""
    mtp: _Tensors = field(default_factory=_Tensors)
    """Of MTP modules that the template does not have."""
    further_layers: _Tensors = field(default_factory=_Tensors)
    """Of layers after the config's last."""
    packed: _Tensors = field(default_factory=_Tensors)
    """Of missing matrices, in a packing that llmarch does not unpack."""
    gptq_biases: _Tensors = field(default_factory=_Tensors)
    """Biases that GPTQ tools write beside every matrix."""
    unexpected: _NamedTensors = field(default_factory=_NamedTensors)
    """All others, with their canonical names."""

    @property
    def not_unpacked(self) -> list[LogicalTensor]:
        """Return the tensors that could not be compared."""
        return [*self.not_comparable, *self.packed]

    @property
    def uncertain(self) -> bool:
        """Return whether some tensor could not be compared."""
        return bool(self.not_unpacked)


def classify(
    a: Architecture, matching: Matching, unpacked: Unpacked, declared: Quantization | None
) -> Classification:
    """Return what the stored tensors are that are not as the template says.

    Rows that a classified tensor explains are missing from the matching no longer: those of a head
    that holds the embedding, and those of matrices in an unknown packing.

    a: the architecture by the config.
    matching: rows and tensors, matched as far as names and numbers allow.
    unpacked: all logical tensors, with the formats they are in.
    declared: the quantization that the config declares.
    """
    return _Classifier(a, matching, unpacked, declared).run()


class _Classifier:
    """Fills a Classification."""

    def __init__(
        self,
        a: Architecture,
        matching: Matching,
        unpacked: Unpacked,
        declared: Quantization | None,
    ) -> None:
        self.architecture = a
        self.matching = matching
        self.declared = declared
        self.result = Classification()

        self.companions: tuple[str, ...] = ()
        """Endings of scales and other companions of the formats that are stored or declared."""
        known = list(unpacked.formats.values())
        if declared is not None:
            known += [f for f in FORMATS if declared.method in f.methods]
        for packing_format in known:
            self.companions += packing_format.companions

        self.not_unpacked: set[str] = set()
        """Canonical names of matrices in a packing that llmarch does not unpack."""

        self.packings = _packings(matching)
        self.missing_parts = _missing_parts(matching)

    def run(self) -> Classification:
        """Classify all tensors; each step leaves fewer to the next."""
        self._classify_tied_heads()
        self._classify_left_heads()
        self._classify_matches()
        self._classify_extra()
        return self.result

    def _classify_tied_heads(self) -> None:
        """Classify a head that is stored although it is tied.

        It is a copy of the embedding, or the embedding itself if that is stored under the head's
        name only.
        """
        a = self.architecture
        if not a.embedding.tied or not a.head.predicts_tokens:
            return

        shape = (a.vocab_size, a.embedding_width)
        for key, heads in sorted(self._heads().items()):
            others: _Tensors = []
            for tensor in self.matching.extra[key]:
                if tensor not in heads or not tensor.fits(shape):
                    others.append(tensor)
                    continue
                is_embedding = self.matching.match_missing("embedding", shape, tensor)
                if not is_embedding:
                    self.result.copies.append(tensor)

            self.matching.extra[key] = others

    def _heads(self) -> dict[str, _Tensors]:
        """Return stored tensors without a row that loaders of the family take for a head.

        By their canonical name. A class that has another name for its head than most knows that
        name alone.
        """
        names = [key for key, tensors in self.matching.extra.items() if tensors and "{}" not in key]
        if not names:
            return {}
        a = self.architecture
        untied = replace(a, embedding=replace(a.embedding, tied=False))
        rows = family_named(a.family).template(untied)
        heads = [row.pattern for row in rows if row.component == "head" and not row.axes]
        conversion = self.matching.conversion
        own = conversion.parameters(heads)
        if any(name.endswith(_USUAL_HEAD) for name in own):
            return {key: self.matching.extra[key] for key in names if key in HEAD_NAMES}
        found: dict[str, _Tensors] = {}
        for key in names:
            tensors = self.matching.extra[key]
            known = [tensor for tensor in tensors if conversion.loads(tensor.pattern, own)]
            if known:
                found[key] = known
        return found

    def _classify_left_heads(self) -> None:
        """Classify a language model's head that is stored in a reward model.

        vLLM leaves it out (AutoWeightsLoader of models/qwen2_rm.py ignores `lm_head.`).
        """
        a = self.architecture
        if a.head.kind != "reward" or a.head.lm_head:
            return
        shape = (a.vocab_size, a.embedding_width)
        for key in sorted(HEAD_NAMES & self.matching.extra.keys()):
            tensors = self.matching.extra[key]
            self.result.left_heads += [x for x in tensors if x.fits(shape)]
            self.matching.extra[key] = [x for x in tensors if not x.fits(shape)]

    def _classify_matches(self) -> None:
        """Classify matches that could not be compared, or do not fit."""
        result = self.result
        for match in self.matching.matches:
            tensor = _not_comparable(match, self.declared)
            if tensor is not None:
                result.not_comparable.append(tensor)
                self.not_unpacked.add(match.key)
            elif not match.fits:
                result.wrong_shapes.append(match)

    def _classify_extra(self) -> None:
        """Classify tensors without a row; those that reach beyond the last layer are divided."""
        extra: _NamedTensors = []
        for key, tensors in self.matching.extra.items():
            extra += [(key, tensor) for tensor in tensors]

        layers = len(self.architecture.layers)
        surplus: set[LogicalTensor] = set()
        for key, tensor in extra:
            if LAYER_NAME.match(key) and _last_layer(tensor) >= layers:
                surplus.add(tensor)
        modules = mtp_layers(self.matching)

        # What a layer beyond the last has of a tensor is apart from what the others have.
        kv_sharing = kv_sharing_layers(self.architecture)
        for key, tensor in extra:
            own = tensor
            if tensor in surplus:
                after_last = [index for index in tensor.indices if index[0] >= layers]
                before = [index for index in tensor.indices if index[0] < layers]
                _add_part(self.result.mtp, tensor, [i for i in after_last if i[0] in modules])
                others = [i for i in after_last if i[0] not in modules]
                _add_part(self.result.further_layers, tensor, others)
                own = tensor.subset(before)
            if own.indices:
                self._classify_tensor(key, own, kv_sharing)

    def _classify_tensor(self, key: str, tensor: LogicalTensor, kv_sharing: set[int]) -> None:
        """Add a tensor without a row to the first class that it belongs to."""
        result = self.result
        if is_buffer(key, tensor):
            result.buffers.append(tensor)
        elif _is_unused(key, tensor, kv_sharing):
            result.unused.append(tensor)
        elif MTP_NAME.search(key):
            result.mtp.append(tensor)
        elif self._claim_packed(tensor):
            result.packed.append(tensor)
        elif self._is_gptq_bias(tensor):
            result.gptq_biases.append(tensor)
        else:
            result.unexpected.append((key, tensor))

    def _is_gptq_bias(self, tensor: LogicalTensor) -> bool:
        """Return whether a tensor is the bias of a matrix that is packed by GPTQ."""
        if not tensor.source.endswith(".bias"):
            return False

        stem = tensor.pattern.removesuffix("bias")
        matrix = self.matching.canonical_name(f"{stem}weight")
        packing = self.packings.get(matrix, "")
        return packing.startswith("gptq")

    # --- unknown packings ---

    def _claim_packed(self, tensor: LogicalTensor) -> bool:
        """Claim the missing matrix that a tensor in an unknown packing belongs to.

        The matrix is named by some leading part of the tensor's name. Return whether it was
        missing, or could not be compared itself.
        """
        if tensor.source.endswith(self.companions):
            return False
        is_known = self.declared is None or is_known_method(self.declared)
        if is_known and tensor.dtype in FLOATS:
            return False  # nothing hints at a packing, or at another than the declared one

        # The parts of a packed matrix are named after it (`q_proj.codes`), some of them deeper.
        stem = tensor.source
        while "." in stem:
            stem = parent_path(stem)
            key = self.matching.canonical_name(f"{stem}.weight")
            width = stem.count("{}")
            indices = {index[:width] for index in tensor.indices}
            if self._claim_missing(key, indices):
                return True
        return False

    def _claim_missing(self, key: str, indices: set[Index]) -> bool:
        """Claim a missing matrix, or the missing parts of a fused one, at these numbers.

        What is claimed counts as not unpacked, and is missing no longer. Return whether anything
        was claimed, or the matrix was known not to be unpacked.
        """
        if key in self.packings:
            return False
        place = fused_place(key)
        fused_key = ""
        if place is not None:
            fused_key = place.key
        names = [key]
        if key not in self.matching.rows:
            names = self.missing_parts.get(fused_key, [])

        claimed = key in self.not_unpacked or fused_key in self.not_unpacked
        for name in names:
            if self._claim_rows(name, indices):
                claimed = True
                self.not_unpacked.add(name)
        if claimed:
            self.not_unpacked.add(key)
        return claimed

    def _claim_rows(self, name: str, indices: set[Index]) -> bool:
        """Remove the missing rows of a name at these numbers, and return whether there were any."""
        claimed = False

        still_missing: list[MissingRow] = []
        for missing in self.matching.missing.get(name, []):
            found = _overlap(missing, indices)
            left: MissingRow | None = missing
            if found:
                claimed = True
                left = missing.without(found)
            if left is not None:
                still_missing.append(left)

        self.matching.missing[name] = still_missing
        return claimed


def kv_sharing_layers(a: Architecture) -> set[int]:
    """Return the layers that use the keys and values of another layer."""
    sharing: set[str] = set()
    for kind in a.layer_kinds:
        for block in a.blocks_of(kind):
            if isinstance(block, Attention) and block.kv_from:
                sharing.add(kind)

    numbers: set[int] = set()
    for number, kind in enumerate(a.layers):
        if kind in sharing:
            numbers.add(number)
    return numbers


def _is_unused(key: str, tensor: LogicalTensor, kv_sharing: set[int]) -> bool:
    """Return whether tensors are keys and values that no layer uses."""
    if not KEYS_AND_VALUES.match(key):
        return False
    layers = {index[0] for index in tensor.indices}
    return layers <= kv_sharing


def mtp_layers(matching: Matching) -> set[int]:
    """Return the numbers of stored layers that are MTP modules by what they hold."""
    layers: set[int] = set()
    for key, tensors in matching.stored.items():
        if LAYER_NAME.match(key) and MTP_TENSOR.search(key):
            for tensor in tensors:
                layers.update(index[0] for index in tensor.indices)
    return layers


def _add_part(tensors: _Tensors, tensor: LogicalTensor, indices: list[Index]) -> None:
    """Add the part of a tensor at these numbers, if there are any."""
    if indices:
        tensors.append(tensor.subset(indices))


def _last_layer(tensor: LogicalTensor) -> int:
    layers = (index[0] for index in tensor.indices)
    return max(layers)


def _packings(matching: Matching) -> dict[str, str]:
    """Return how matched matrices are packed, by canonical name."""
    packings: dict[str, str] = {}
    for match in matching.matches:
        for tensor in match.tensors:
            if tensor.packing:
                key = matching.canonical_name(tensor.pattern)
                packings[key] = tensor.packing
    return packings


def _missing_parts(matching: Matching) -> dict[str, list[str]]:
    """Return the names of missing rows by the fused tensor that they are a part of."""
    parts: dict[str, list[str]] = {}
    for key in matching.missing:
        place = fused_place(key)
        if place is not None:
            parts.setdefault(place.key, []).append(key)

    return parts


def _not_comparable(match: Match, declared: Quantization | None) -> LogicalTensor | None:
    """Return the tensor of a match that cannot be compared, if there is one.

    That is one whose format says so, or integers that no known packing explains: where a matrix of
    another shape is expected, and for unknown quantization methods regardless of shape.
    """
    for tensor in match.tensors:
        if tensor.not_comparable:
            return tensor
    first = match.tensors[0]
    if not holds_integers(first):
        return None
    unknown_method = declared is not None and not is_known_method(declared)
    if unknown_method or not match.fits:
        return first
    return None


def _overlap(missing: MissingRow, indices: set[Index]) -> set[Index]:
    """Return the numbers of a missing matrix that are among `indices`.

    Where `indices` leave out its expert number, so do the returned ones. Vectors are never packed,
    and have no overlap.
    """
    row = missing.row
    if len(row.shape) < 2:
        return set()

    # The name of a stack has no expert number, the row of its experts one more.
    given = len(next(iter(indices)))
    width = min(len(row.axes), given)
    leading = [index[:width] for index in indices]
    inside, _ = split_by_axes(leading, row.axes[:width])
    found = set(inside)

    # Without expert numbers a layer is claimed as a whole, also if some experts are matched.
    if width == len(row.axes):
        found.difference_update(missing.matched)
    return found
