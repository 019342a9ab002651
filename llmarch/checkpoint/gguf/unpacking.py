"""Name the tensors of a GGUF file as the template of their architecture does.

llama.cpp stores what the Hub has, under names of its own: experts are stacked, kv_b_proj is split
by what it makes, a few tensors have no dimensions of 1. What is left without a name on the Hub
keeps its own, and is reported as any other tensor that the template does not have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import NamedTuple

from ...architecture.frozen import Frozen, frozen
from ...sources.raw import GGML_BLOCKS, TensorGroup, TensorTable, stored_bits, unfold
from ...tensors.template import TensorRow
from ..indices import Index
from ..logical import LogicalTensor, Shape
from ..packing.unpacking import Unpacked
from .names import FURTHER_LAYERS, FUSED_INTO, MODULES_INSIDE, MODULES_OUTSIDE, MTP_LAYER

_BLOCK = "blk.{}."
_MTP_MODULES = f"{_BLOCK}nextn."
_LEAVES = (".weight", ".bias")
_EXPERTS = re.compile(r"\.experts\.\{\}\.(\w+)\.(weight|bias)$")
_ROPE_TABLES = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Factors of RoPE's frequencies, which a config has as numbers: no weights of the model."""
_GENERIC_LAYER = "model.layers.{}."
_LAST_LAYERS = 8
"""Layers among which one is of the kind of MTP modules."""
_MAX_STACK = 64
"""Matrices of a stack outside of the layers (AltUp has 3)."""
_HALVES = "shared_mlp.input_linear.weight"
"""A matrix of gate and up that llama.cpp stores as two."""
_IN_METADATA = tuple(f"mlp.act_fn.{name}" for name in ("alpha_p", "alpha_n", "beta", "eps"))
"""Parameters that llama.cpp keeps as numbers in the metadata: xIELU's slopes."""
_RESHAPED = ("blk.{}.ssm_norm.weight",)
"""Vectors that llama.cpp stores as [groups, rest]; there are fewer groups than numbers in one."""
_TURNED = re.compile(
    r"(?:^|\.)h\.\{\}\.(?:attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$"
)
"""GPT-2's matrices, which the Hub has as [inputs, outputs], and StarCoder's, which it has not."""


class _Place(NamedTuple):
    """Where the template has a tensor: the name to give it, and the row, if it is whole."""

    pattern: str
    row: TensorRow | None


@frozen
class _LayerRows(Frozen):
    """The rows of one layer by the end of their names after the layer's prefix."""

    prefix: str
    rows: dict[str, TensorRow]


def unpack_gguf(table: TensorTable, rows: Iterable[TensorRow]) -> Unpacked:
    """Return the logical tensors of a GGUF file under the names of a template.

    table: its tensors, under llama.cpp's names.
    rows: the template of the architecture.
    """
    rows = [*rows]
    namer = _Namer(rows, _further_layers(table))
    width = _embedding_width(rows)
    result = Unpacked()
    for group in table:
        if group.pattern in _ROPE_TABLES:
            continue
        for place, indices in namer.places(group).items():
            result.logical.append(_logical(group, place, indices, width))
    result.logical = _joined_halves(result.logical)
    return result


def _embedding_width(rows: Iterable[TensorRow]) -> int:
    """Return the width of the token embedding; 0 if the template has none."""
    return next((row.shape[-1] for row in rows if row.component == "embedding"), 0)


def _further_layers(table: TensorTable) -> set[int]:
    """Return the numbers of the layers that hold what only modules of MTP have."""
    return {
        index[0]
        for group in table
        if group.pattern.startswith(_MTP_MODULES)
        for index in group.indices
    }


def rows_of_file(rows: Iterable[TensorRow]) -> list[TensorRow]:
    """Return the rows of a template that a GGUF file has tensors for: some are in its metadata."""
    return [row for row in rows if not row.pattern.endswith(_IN_METADATA)]


def _joined_halves(tensors: list[LogicalTensor]) -> list[LogicalTensor]:
    """Return the tensors with gate and up joined where the template has one matrix for both."""
    joined: list[LogicalTensor] = []
    halves: dict[tuple[str, Index], LogicalTensor] = {}
    for tensor in tensors:
        if not tensor.pattern.endswith(_HALVES) or tensor.shape is None:
            joined.append(tensor)
            continue
        for index in tensor.indices:
            one = tensor.subset([index])
            other = halves.pop((tensor.pattern, index), None)
            if other is None or not _go_together(other, one):
                halves[tensor.pattern, index] = one
            else:
                joined.append(_both(other, one))
    return [*joined, *halves.values()]


def _go_together(first: LogicalTensor, second: LogicalTensor) -> bool:
    """Return whether two matrices have the same inputs."""
    return first.shape is not None and first.shape[1:] == (second.shape or ())[1:]


def _both(first: LogicalTensor, second: LogicalTensor) -> LogicalTensor:
    """Return two matrices as one, one below the other."""
    shape = first.shape
    if first.shape is not None and second.shape is not None:
        shape = (first.shape[0] + second.shape[0], *first.shape[1:])
    return replace(first, shape=shape, bits=first.bits + second.bits)


def generic_table(table: TensorTable) -> TensorTable:
    """Return the tensors of a GGUF file under the usual names on the Hub.

    It is for an architecture that no family reads: nothing tells which of several names a module
    has.
    """
    renamed = TensorTable()
    for group in table:
        pattern = _generic_name(group.pattern)
        for index in group.indices:
            name = unfold(pattern, index) if pattern.count("{}") == len(index) else pattern
            renamed.add(name, group.dtype, group.shape)
    renamed.writer = table.writer
    return renamed


def _generic_name(pattern: str) -> str:
    inside = pattern.startswith(_BLOCK)
    module, leaf = _split_leaf(pattern.removeprefix(_BLOCK))
    known = (MODULES_INSIDE if inside else MODULES_OUTSIDE).get(module)
    if known is None:
        return pattern
    name = known[0].partition(">")[2] or known[0]
    if not inside:
        return f"{'' if module == 'output' else 'model.'}{name.removeprefix('model.')}{leaf}"
    if module.startswith("attn_") and module != "attn_norm" and "." not in name:
        name = f"self_attn.{name}"
    if name.startswith(("experts.", "gate.")):
        return f"{_GENERIC_LAYER}mlp.{name}"
    return f"{_GENERIC_LAYER}{name}{leaf}"


def _split_leaf(name: str) -> tuple[str, str]:
    """Return the module and the leaf of a name: `attn_q` and `.weight`."""
    for leaf in _LEAVES:
        if name.endswith(leaf):
            return name.removesuffix(leaf), leaf
    return name, ""


class _Namer:
    """Finds the rows that stored tensors are of."""

    def __init__(self, rows: Iterable[TensorRow], further: set[int]) -> None:
        """Sort the rows by layer.

        further: the numbers of layers that are modules of multi-token prediction.
        """
        rows = [*rows]
        self._further_numbers = further
        self.outside: dict[str, TensorRow] = {}
        self.layers: dict[int, _LayerRows] = {}
        prefixes = Counter(row.pattern.partition(".{}.")[0] for row in rows if row.axes)
        self._prefix = ""
        for prefix, _ in prefixes.most_common(1):
            self._prefix = f"{prefix}.{{}}."
        for row in rows:
            self._add(row)

    def _add(self, row: TensorRow) -> None:
        if not self._prefix or not row.pattern.startswith(self._prefix):
            self.outside[row.pattern] = row
            return
        end = _EXPERTS.sub(_stacked_end, row.pattern.removeprefix(self._prefix))
        for layer in row.axes[0]:
            found = self.layers.setdefault(layer, _LayerRows(self._prefix, {}))
            found.rows[end] = row

    def places(self, group: TensorGroup) -> dict[_Place, list[Index]]:
        """Return under which names a template has the tensors of a group."""
        pattern = group.pattern
        if not pattern.startswith(_BLOCK):
            return {self._outside(pattern, group): group.indices}
        module, leaf = _split_leaf(pattern.removeprefix(_BLOCK))
        candidates = MODULES_INSIDE.get(module, ())
        places: dict[_Place, list[Index]] = {}
        known: dict[int, _Place] = {}
        for index in group.indices:
            layer = self.layers.get(index[0]) if index else None
            place = _Place(pattern, None)
            if layer is None and index and self.layers:
                place, index = self._further(module, leaf, pattern, index[0])
            if layer is not None:
                at = id(layer.rows)
                if at not in known:
                    known[at] = _find(layer, candidates, leaf, pattern)
                place = known[at]
            places.setdefault(place, []).append(index)
        return places

    def _further(self, module: str, leaf: str, pattern: str, number: int) -> tuple[_Place, Index]:
        """Return the place and the index of a tensor in a layer beyond those of the template.

        That is a module of multi-token prediction, whose layer is like one of the model's last.
        Other layers keep llama.cpp's names: nothing reads them.
        """
        if number not in self._further_numbers:
            return _Place(pattern, None), (number,)
        last = max(self.layers)
        outside = FURTHER_LAYERS.get(module)
        if outside is not None:
            return _Place(outside + leaf, None), ()
        for layer in sorted(self.layers, reverse=True)[:_LAST_LAYERS]:
            found = _find(self.layers[layer], MODULES_INSIDE.get(module, ()), leaf, pattern)
            if found.pattern != pattern:
                name = MTP_LAYER + found.pattern.removeprefix(self._prefix)
                return _Place(name, None), (number - last - 1,)
        return _Place(pattern, None), (number,)

    def _outside(self, pattern: str, group: TensorGroup) -> _Place:
        module, leaf = _split_leaf(pattern)
        for end in MODULES_OUTSIDE.get(module, ()):
            for name, row in self.outside.items():
                if _ends_with(name, end + leaf) or _ends_with(name, end):
                    return _Place(name, row)
        if module == "output":  # a head that is tied by the facts
            return _Place(f"lm_head{leaf}", None)
        return _Place(pattern, None)


def _stacked_end(match: re.Match[str]) -> str:
    """Return the end of a name of one expert's tensor as that of the stacked ones."""
    suffix = "" if match[2] == "weight" else "_bias"
    names = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
    return f".experts.{names.get(match[1], match[1])}{suffix}"


def _find(layer: _LayerRows, candidates: tuple[str, ...], leaf: str, pattern: str) -> _Place:
    """Return where a layer of the template has a module, its own name if nowhere."""
    for candidate in candidates:
        end, _, part = candidate.partition(">")
        for name, row in layer.rows.items():
            if not _is_leaf_of(name, end, leaf):
                continue
            if part:
                return _Place(f"{layer.prefix}{_sibling(name, end, part)}", None)
            return _Place(layer.prefix + name, row)
    for candidate in candidates:
        for fused in FUSED_INTO.get(candidate, ()):
            for name in layer.rows:
                if _is_leaf_of(name, fused, leaf):
                    return _Place(f"{layer.prefix}{_sibling(name, fused, candidate)}", None)
    return _Place(pattern, None)


def _sibling(name: str, end: str, part: str) -> str:
    """Return the name with another module at its end: `mlp.gate_proj.weight`."""
    before, _, after = name.rpartition(end)
    return before + part + after


def _is_leaf_of(name: str, end: str, leaf: str) -> bool:
    """Return whether a row is the leaf of a module: weight, bias, or the parameter itself."""
    if _ends_with(name, end + leaf) or (not leaf and _ends_with(name, f"{end}.weight")):
        return True
    if leaf == ".bias":
        return _ends_with(name, f"{end}_bias") or (end.endswith("bias") and _ends_with(name, end))
    return _ends_with(name, end)


def _ends_with(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _logical(group: TensorGroup, place: _Place, indices: list[Index], width: int) -> LogicalTensor:
    """Return the logical tensor of stored ones.

    width: of the token embedding.
    """
    shape = group.shape
    row = place.row
    source = group.pattern
    if indices is not group.indices and not {*indices} <= {*group.indices}:
        source = place.pattern  # stored under another number
    if shape is not None and row is not None:
        if not indices[0] and len(row.axes) == 1:
            return _unstacked(group, row, shape)
        shape = _template_shape(group.pattern, shape, row, width)
    return _of_type(group.dtype, prod(group.shape or ()), place.pattern, shape, indices, source)


def _unstacked(group: TensorGroup, row: TensorRow, shape: Shape) -> LogicalTensor:
    """Return the tensors that a stack of them stands for."""
    count, *rest = shape
    one = (*rest,)
    indices = [(number,) for number in range(min(count, _MAX_STACK))]
    return _of_type(group.dtype, prod(one), row.pattern, one, indices, f"{group.pattern}[{{}}]")


def _of_type(
    dtype: str,
    elements: int,
    pattern: str,
    shape: Shape | None,
    indices: list[Index],
    source: str,
) -> LogicalTensor:
    """Return logical tensors of one of ggml's types.

    elements: of one tensor.
    pattern, shape, indices: under which a template has them.
    source: the name under which they are stored.
    """
    bits = stored_bits(elements, dtype)
    return LogicalTensor(
        pattern=pattern,
        dtype=dtype,
        shape=shape,
        indices=indices,
        source=source,
        packing=dtype if dtype in GGML_BLOCKS else "",
        width=bits / elements if elements else 0,
        bits=bits,
    )


def _template_shape(stored_as: str, shape: Shape, row: TensorRow, width: int) -> Shape:
    """Return the shape in the template of a tensor that llama.cpp stores in another one.

    It leaves out dimensions of 1, has outputs first everywhere, groups a few vectors, and stores
    others as columns.
    """
    if _TURNED.search(row.pattern) and _has_inputs_first(row, width):
        return shape[::-1]
    if shape == row.shape or prod(shape) != prod(row.shape):
        return shape
    if stored_as in _RESHAPED:
        return row.shape if shape[0] <= shape[-1] else shape
    is_row_vector = len(row.shape) == 1 and shape[0] == 1
    is_turned = is_row_vector or len(row.shape) == len(shape)
    if _without_ones(shape) == _without_ones(row.shape) and not is_turned:
        return row.shape
    return shape


def _has_inputs_first(row: TensorRow, width: int) -> bool:
    """Return whether a matrix of GPT-2's names is [inputs, outputs], which StarCoder's is not."""
    if row.pattern.endswith("c_proj.weight"):
        return row.shape[-1] == width
    return row.shape[0] == width


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
