"""Compare the packings of stored tensors with the quantization that the config declares.

Every finding of this file comes from `packing_finding`, which sets rule and severity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..architecture.quantization import MAX_PATTERN_LENGTH, compile_pattern
from ..architecture.schema import Finding, Quantization, Severity
from ..sources.raw import fold, unfold
from .indices import Index, folded_names
from .logical import LogicalTensor
from .names import canonical
from .packing import FORMATS, Unpacked
from .packing.base import FLOAT8

if TYPE_CHECKING:
    from .matching import Match

MAX_REGEXES = 100
FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", ""})

PACKING_SEVERITY: Severity = "weights"
"""The severity of every disagreement between declaration and packings: loaders build the modules
that the config declares, and then find no scales, or tensors of another dtype and shape."""


def packing_finding(path: str, message: str, old: Any, new: Any) -> Finding:
    """Return the finding that a tensor is not stored as declared.

    Args:
        path: the tensor, or the fact of the declaration
        message: what disagrees
        old: the declaration
        new: what is stored

    """
    return Finding(
        rule="tensor-dtype",
        path=path,
        severity=PACKING_SEVERITY,
        old=old,
        new=new,
        message=message,
    )


def quantization_findings(
    matches: list[Match], unpacked: Unpacked, declared: Quantization | None, uncertain: bool
) -> list[Finding]:
    """Return the findings where declaration and tensors disagree.

    Args:
        matches: rows and the tensors stored for them
        unpacked: all logical tensors, with the formats they are in
        declared: the quantization that the config declares
        uncertain: some tensors are in a packing that llmarch does not unpack, perhaps the declared

    """
    tensors = [tensor for match in matches for tensor in match.tensors]
    packed = [x for x in tensors if x.packing]

    # Packings of an unknown method may need no scales that llmarch knows.
    findings: list[Finding] = []
    if declared is None or is_known_method(declared):
        findings += unscaled(matches)

    if not packed:
        plain = [x for x in tensors if x.dtype]
        if declared is not None and not uncertain:
            findings += declared_but_plain(plain, declared)
    elif declared is None:
        findings += packed_but_undeclared(packed)
    else:
        findings += wrong_format(packed, unpacked, declared)
        findings += wrong_bits(packed, declared)
        findings += excluded_but_packed(packed, declared)
    return findings


def is_known_method(declared: Quantization) -> bool:
    """Return whether the declared method is that of some format that llmarch unpacks."""
    return any(declared.method in format.methods for format in FORMATS)


def holds_integers(tensor: LogicalTensor) -> bool:
    """Return whether a tensor that is not packed holds integers or raw bytes."""
    return not tensor.packing and tensor.dtype not in FLOATS


def unscaled(matches: Iterable[Match]) -> list[Finding]:
    """Report integer or FP8 tensors of the right shape that are stored without scales.

    Their values cannot be decoded. Integer look-up tables are skipped: matrices whose name does
    not end in `.weight`.
    """
    findings: list[Finding] = []
    for match in matches:
        if not match.fits:
            continue
        for tensor in match.tensors:
            if _needs_scales(tensor) and not _is_table(tensor):
                path = folded_names(tensor.source, tensor.indices)[0]
                message = f"stored as {tensor.dtype} without scales, so it cannot be decoded"
                findings.append(packing_finding(path, message, None, tensor.dtype))

    return findings


def _needs_scales(tensor: LogicalTensor) -> bool:
    is_float8 = tensor.dtype in FLOAT8 and not tensor.packing
    return is_float8 or holds_integers(tensor)


def _is_table(tensor: LogicalTensor) -> bool:
    if tensor.pattern.endswith(".weight"):
        return False
    return tensor.shape is None or len(tensor.shape) == 2


def declared_but_plain(plain: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """Report a declared quantization where no tensor is quantised.

    Names without headers tell no dtype, and are not in `plain`.
    """
    if not plain:
        return []
    dtypes = ", ".join(dict.fromkeys(x.dtype for x in plain))
    message = (
        f"the config declares {declared.method} quantisation, "
        f"but every tensor is stored unquantised ({dtypes})"
    )
    return [packing_finding("quantization.method", message, declared.method, dtypes)]


def packed_but_undeclared(packed: list[LogicalTensor]) -> list[Finding]:
    """Report each packing, where the config declares no quantization."""
    findings: list[Finding] = []
    for tensor in _first_of_each_packing(packed):
        path = folded_names(tensor.source, tensor.indices)[0]
        message = f"stored as {tensor.packing}, but the config declares no quantisation"
        findings.append(packing_finding(path, message, None, tensor.packing))

    return findings


def wrong_format(
    packed: list[LogicalTensor], unpacked: Unpacked, declared: Quantization
) -> list[Finding]:
    """Report packings that the declared method cannot produce.

    Nothing is reported for methods that llmarch does not know.
    """
    if not is_known_method(declared):
        return []

    findings: list[Finding] = []
    for tensor in _first_of_each_packing(packed):
        if declared.method not in unpacked.formats[tensor.packing].methods:
            path = folded_names(tensor.source, tensor.indices)[0]
            message = f"stored as {tensor.packing}, but the config declares {declared.method}"
            findings.append(packing_finding(path, message, declared.method, tensor.packing))

    return findings


def _first_of_each_packing(packed: list[LogicalTensor]) -> list[LogicalTensor]:
    first: dict[str, LogicalTensor] = {}
    for tensor in packed:
        first.setdefault(tensor.packing, tensor)
    return list(first.values())


def wrong_bits(packed: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """Report declared bits that no tensor has; a mixed checkpoint declares those of most."""
    widths = sorted({x.width for x in packed if x.width and x.dtype})
    if declared.bits is None or not widths or declared.bits in widths:
        return []

    stored = [f"{width:g}" for width in widths]
    message = f"the config declares {declared.bits:g} bits, the tensors have {', '.join(stored)}"
    return [packing_finding("quantization.bits", message, declared.bits, widths[0])]


def excluded_but_packed(packed: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """Report modules that are stored quantised although the config excludes them."""
    if not declared.excluded:
        return []
    exclusions = Exclusions(declared.excluded)
    findings: list[Finding] = []
    for tensor in packed:
        excluded = exclusions.excluded_indices(tensor)
        if excluded:
            path = folded_names(tensor.source, excluded)[0]
            message = f"stored as {tensor.packing}, but the config excludes it from quantisation"
            findings.append(packing_finding(path, message, "excluded", tensor.packing))
    return findings


class Exclusions:
    """Names of modules that are not quantised, in the ways that tools write them.

    A module or the end of its path (transformers' modules_to_not_convert), a glob (ModelOpt's
    ignore), or `re:` and a regular expression (compressed-tensors' ignore).
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.regexes: list[re.Pattern[str]] = []
        self.modules: dict[str, set[Index]] = {}
        """The numbers of each folded module name or glob."""
        for name in names:
            if name.startswith("re:"):
                self._add_regex(name.removeprefix("re:"))
            else:
                self._add_module(name)

    def _add_regex(self, text: str) -> None:
        """Add a regular expression, unless it could take long to match."""
        regex = compile_pattern(text)
        if regex is not None and len(self.regexes) < MAX_REGEXES:
            self.regexes.append(regex)

    def _add_module(self, name: str) -> None:
        as_prefix = canonical(f"{name}.")  # rules rename modules inside of names only
        pattern, index = fold(as_prefix.removesuffix("."))
        self.modules.setdefault(pattern, set()).add(index)

    def excluded_indices(self, tensor: LogicalTensor) -> list[Index]:
        """Return the indices of a tensor that are excluded.

        Regular expressions are matched with the first and the last name only; one that matches
        either excludes all.
        """
        if self._regex_matches(tensor):
            return list(tensor.indices)

        module = canonical(tensor.pattern).removesuffix(".weight")
        excluded: set[Index] = set()
        for pattern, numbers in self.modules.items():
            if not _covers(pattern, module):
                continue
            width = len(next(iter(numbers)))
            for index in tensor.indices:
                if width == 0 or index[:width] in numbers:
                    excluded.add(index)

        return [index for index in tensor.indices if index in excluded]

    def _regex_matches(self, tensor: LogicalTensor) -> bool:
        first = tensor.indices[0]
        last = tensor.indices[-1]
        for index in (first, last):
            name = unfold(tensor.source, index)
            module = name.removesuffix(".weight")
            if len(module) > MAX_PATTERN_LENGTH:
                continue
            if any(regex.match(module) for regex in self.regexes):
                return True
        return False


def _covers(pattern: str, module: str) -> bool:
    """Return whether a folded name or glob means a module, or one that holds it."""
    is_glob = "*" in pattern or "?" in pattern
    if is_glob:
        inside = f"{pattern}.*"
        return fnmatchcase(module, pattern) or fnmatchcase(module, inside)
    if module == pattern:
        return True

    return module.startswith(f"{pattern}.") or module.endswith(f".{pattern}")
