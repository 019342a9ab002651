"""What llama.cpp does not load of a GGUF file: types without arithmetic, turned stacks, more.

llama.cpp (src/llama-model-loader.cpp) compares every dimension of a tensor with what it creates
(`check_tensor_dims`), and refuses files that hold tensors that it does not create
(`done_getting_tensors`). Kernels for matrices take floating-point and quantised types
(ggml/src/ggml-cpu/ggml-cpu.c, `type_traits_cpu`), those that multiply and add vectors
floating-point ones alone (binary-ops.cpp).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...architecture.schema import Finding
from ...sources.raw import GGML_BLOCKS, TensorTable
from ..classification import Classification
from ..findings import weights_finding
from ..indices import folded_names
from ..loaders import is_transposed
from ..matching import Match, Matching
from .names import MTP_ROOT

_NO_WEIGHTS = frozenset({"I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K"})
"""Types of counters and of intermediate results: no kernel takes them as weights."""

_TOKEN_IDS = frozenset({"blk.{}.ffn_gate_tid2eid.weight", "blk.{}.ffn_gate_tid2eid"})
"""Tables of integers."""
_OPTIONAL = (
    "embed_tokens.weight",
    "shared_head.head.weight",
    "shared_head.norm.weight",
    "final_layernorm.weight",
    "mtp.norm.weight",
)
"""Ends of names of tensors that modules of multi-token prediction may do without."""


def llama_cpp_findings(
    table: TensorTable, matching: Matching, classified: Classification
) -> list[Finding]:
    """Return what keeps llama.cpp from loading a file, apart from what any loader needs.

    table: the tensors of the file.
    matching: rows of the template and the tensors stored for them.
    classified: the tensors that have no row.
    """
    return [
        *_type_findings(table),
        *_layout_findings(matching.matches),
        *_foreign_findings(classified),
        *_missing_modules(matching),
    ]


def _type_findings(table: TensorTable) -> Iterator[Finding]:
    """Yield a finding for each group of tensors of a type that llama.cpp cannot compute with."""
    for group in table:
        why = ""
        if group.dtype in _NO_WEIGHTS and group.pattern not in _TOKEN_IDS:
            why = "a type of no weights"
        elif group.dtype in GGML_BLOCKS and len(group.shape or ()) == 1:
            why = "a quantised vector"
        if why:
            name = folded_names(group.pattern, group.indices)[0]
            message = f"stored as {group.dtype}, {why}: llama.cpp has no arithmetic for it"
            yield weights_finding("tensor-dtype", name, message, new=group.dtype)


def _layout_findings(matches: Iterable[Match]) -> Iterator[Finding]:
    """Yield a finding for each stack of experts whose inputs and outputs are swapped.

    llama.cpp has outputs before inputs. Where a template has stacks in the order of the Hub, which
    differs from family to family, layers are compared with each other.
    """
    alike: dict[str, list[Match]] = {}
    for match in matches:
        shape = match.expected_shape
        if ".experts." not in match.key or not match.fits or shape[-1] == shape[-2]:
            continue
        if all(len(row.shape) == 2 for row in match.rows):
            if is_transposed(match):
                yield _layout_finding(match)
        else:
            alike.setdefault(match.key, []).append(match)
    for group in alike.values():
        turned = [match for match in group if is_transposed(match)]
        if len(turned) < len(group):
            yield from map(_layout_finding, turned)


def _layout_finding(match: Match) -> Finding:
    return weights_finding(
        "layout-not-loaded",
        match.tensors[0].stored_name,
        "two dimensions are swapped: llama.cpp has outputs before inputs",
        old=list(match.expected_shape),
        new=list(match.stored_shape or ()),
    )


def _foreign_findings(classified: Classification) -> Iterator[Finding]:
    """Yield a finding for each group of tensors that llama.cpp does not ask for.

    They keep the names of the file, and are not where modules of MTP are.
    """
    for tensor in (*classified.mtp, *classified.buffers, *classified.unused):
        is_renamed = tensor.pattern != tensor.source
        if not is_renamed and not tensor.pattern.startswith(MTP_ROOT):
            message = (
                "llama.cpp has no such tensor, and refuses a file with one that it does not read"
            )
            yield weights_finding("tensor-unexpected", tensor.stored_name, message)


def _missing_modules(matching: Matching) -> Iterator[Finding]:
    """Yield a finding for each tensor that a stored module of multi-token prediction lacks.

    llama.cpp makes them all, but for copies of embedding, head and norm.
    """
    if not any(match.rows[0].component == "mtp" for match in matching.matches):
        return
    for rows in matching.missing.values():
        for missing in rows:
            pattern = missing.row.pattern
            if missing.row.component == "mtp" and not pattern.endswith(_OPTIONAL):
                message = "a module of multi-token prediction lacks it: llama.cpp refuses the file"
                yield weights_finding("tensor-missing", pattern, message)
