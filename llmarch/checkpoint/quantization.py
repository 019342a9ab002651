"""Compare the packings of stored tensors with the quantization that the config declares.

Every finding of this file comes from `packing_finding`, which sets rule and severity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..architecture.schema import Finding, Quantization, Severity
from ..errors import printable
from .exclusions import Exclusions, exclusions_of, expand_modules
from .indices import Index, folded_names
from .logical import LogicalTensor
from .packing import FORMATS, Unpacked
from .packing.base import FLOAT8

if TYPE_CHECKING:
    from .matching import Match

MAX_PATHS = 3
"""Paths of one disagreement that are reported."""
FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", ""})

PLAIN = frozenset({"F16", "BF16", "F32"})
"""Dtypes of weights that are not quantised."""

_COMPONENTS = frozenset({"attention", "mlp", "experts", "shared_experts", "latent_projections"})
"""Components whose linear modules are quantised. Methods leave embeddings, head, norms, routers,
towers and MTP modules as they are, unless a list says otherwise."""

LINEAR_MODULES = re.compile(
    r"\.(?:[qkvo]|qkv|q_[ab]|kv_b|kv_a|o_[ab]|gate|up|down|gate_up|in|out)_proj(?:\.weight)?$"
    r"|\.(?:kv_a_proj_with_mqa|in_proj_(?:qkvz?|z)|fc[12]_latent_proj)\.weight$"
    r"|\.(?:wq_[ab]|wo_[ab]|wkv|w[123]|c_attn|c_proj|c_fc)\.weight$"
)
"""Names of the large linear modules that every method quantises by itself. Small ones (gates,
decays, indexers) are left to lists, and are compared only with modules of their own name."""

SUBMODULES = re.compile(r"\.(?:indexer|compressor)\.")
"""Parts of attention that are kept in 16 bits where the rest is quantised (DeepSeek V3.2, V4)."""

_WIDTHS_DECLARED = frozenset({"mlx", "gptq", "awq"})
"""Methods whose declaration gives the bits of every module."""

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
        findings += declared_but_plain_modules(matches, declared)
        findings += patterns_not_compared(declared)
        reported = {finding.path for finding in unpacked.findings}
        findings += [f for f in undeclared_bits(packed, declared) if f.path not in reported]
    return findings


def patterns_not_compared(declared: Quantization) -> list[Finding]:
    """Report the regular expressions of a declaration that no module was compared with."""
    findings: list[Finding] = []
    for path, names in (("excluded", declared.excluded), ("targets", declared.targets)):
        unread = exclusions_of(names).unread
        if not unread:
            continue
        some = ", ".join(printable(text, 60) for text in unread[:MAX_PATHS])
        more = f" and {len(unread) - MAX_PATHS} more" if len(unread) > MAX_PATHS else ""
        message = (
            f"{some}{more}: regular expressions are matched in linear time (RE2), without"
            " look-around and back-references; what these mean was not compared"
        )
        path = f"quantization.{path}"
        findings.append(Finding(rule="pattern-not-compared", path=path, message=message))
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
        format = unpacked.formats[tensor.packing]
        if declared.method not in format.methods and not _is_announced(format.name, declared):
            path = folded_names(tensor.source, tensor.indices)[0]
            message = f"stored as {tensor.packing}, but the config declares {declared.method}"
            findings.append(packing_finding(path, message, declared.method, tensor.packing))
    return findings


def _is_announced(format: str, declared: Quantization) -> bool:
    """Return whether the declaration names a format for experts or single modules."""
    announced = [words.rpartition(": ")[2] for words in (declared.experts or "", *declared.modules)]
    return any(format in words for words in announced)


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
    exclusions = exclusions_of(declared.excluded)
    findings: list[Finding] = []
    for tensor in packed:
        excluded = exclusions.excluded_indices(tensor)
        if excluded:
            path = folded_names(tensor.source, excluded)[0]
            message = f"stored as {tensor.packing}, but the config excludes it from quantisation"
            findings.append(packing_finding(path, message, "excluded", tensor.packing))
    return findings


class DeclaredModules:
    """The modules that a declaration quantises."""

    def __init__(self, declared: Quantization) -> None:
        self.method = declared.method
        self.group_size = declared.group_size
        self.exclusions = exclusions_of(declared.excluded)
        self.listed: Exclusions | None = None
        """The only modules that are quantised. None: those that the method quantises by itself."""
        names = [*declared.targets, *(entry.rpartition(": ")[0] for entry in declared.modules)]
        is_listing = declared.method in ("compressed-tensors", "modelopt") or declared.targets
        if (
            is_listing
            and names
            and not any(name.isidentifier() and name[:1].isupper() for name in names)
        ):
            modules = [
                name for group in expand_modules(declared.modules).values() for name in group
            ]
            self.listed = Exclusions((*declared.targets, *modules))
        # ModelOpt always writes what it left out: a config without a list is not complete.
        lists_nothing = declared.method == "modelopt" and not declared.excluded and not names
        self.is_known = self.exclusions.is_complete and not lists_nothing

    def plain_indices(self, match: Match, tensor: LogicalTensor) -> list[Index]:
        """Return the indices of a plain tensor whose modules should be quantised."""
        if self.method == "mxfp4" and match.rows[0].component != "experts":
            return []
        if self.method == "mlx" and self._is_undivided(match.expected_shape):
            return []
        excluded = set(self.exclusions.excluded_indices(tensor, match.key))
        indices = tensor.indices
        if self.listed is not None:
            indices = self.listed.excluded_indices(tensor, match.key)
        return [index for index in indices if index not in excluded]

    def _is_undivided(self, shape: tuple[int, ...]) -> bool:
        """Return whether MLX cannot quantise a matrix: its inputs are no whole number of groups."""
        return bool(self.group_size) and shape[-1] % (self.group_size or 1) != 0


def declared_but_plain_modules(matches: list[Match], declared: Quantization) -> list[Finding]:
    """Report modules that the config quantises, and that are stored plain, without scales.

    Loaders build them quantised, and find no scales. Modules are compared if they are large linear
    ones (`LINEAR_MODULES`), or if others of the same name are packed.
    """
    if not is_known_method(declared):
        return []
    modules = DeclaredModules(declared)
    if not modules.is_known:
        return []
    packed = {m.key for m in matches if any(x.packing for x in m.tensors)}
    findings: list[Finding] = []
    for match in matches:
        row = match.rows[0]
        if row.component not in _COMPONENTS or len(match.expected_shape) < 2:
            continue
        is_linear = LINEAR_MODULES.search(match.key) and not SUBMODULES.search(match.key)
        if not is_linear and match.key not in packed:
            continue
        for tensor in match.tensors:
            if tensor.packing or tensor.dtype not in PLAIN:
                continue
            indices = modules.plain_indices(match, tensor)
            if not indices:
                continue
            message = (
                f"stored as {tensor.dtype}, but the config declares {declared.method} "
                "quantisation and does not exclude it"
            )
            for path in folded_names(tensor.source, indices)[:MAX_PATHS]:
                findings.append(packing_finding(path, message, declared.method, tensor.dtype))
    return findings


def undeclared_bits(packed: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """Report modules whose bits are neither the declared ones nor declared for the module."""
    widths = {tensor.width for tensor in packed}
    if declared.method not in _WIDTHS_DECLARED or declared.bits not in widths:
        return []
    own_bits = _own_bits(declared)
    if not all(names.is_complete for _, names in own_bits):
        return []
    findings: list[Finding] = []
    for tensor in packed:
        if not tensor.width or tensor.uncertain or not tensor.dtype:
            continue
        default = set(tensor.indices)
        wrong: list[Index] = []
        for bits, names in own_bits:
            own = set(names.excluded_indices(tensor)) & default
            default -= own
            if bits != tensor.width:
                wrong += own
        if tensor.width != declared.bits:
            wrong += default
        if wrong:
            path = folded_names(tensor.source, sorted(wrong))[0]
            message = f"stored with {tensor.width:g} bits, which the config does not declare for it"
            findings.append(packing_finding(path, message, declared.bits, tensor.width))
    return findings


def _own_bits(declared: Quantization) -> list[tuple[float, Exclusions]]:
    """Return the bits that are declared for single modules, with the names of these."""
    own: list[tuple[float, Exclusions]] = []
    for words, names in expand_modules(declared.modules).items():
        bits = re.search(r"([\d.]+) bits", words)
        own.append((float(bits[1]) if bits else declared.bits or 0, Exclusions(tuple(names))))
    return own
