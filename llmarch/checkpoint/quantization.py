"""Compare the packings of stored tensors with the quantization that the config declares.

Every finding of this file comes from `packing_finding`, which sets rule and severity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..architecture.paths import last_part
from ..architecture.schema import Finding, Quantization, Severity
from ..errors import printable
from .declared_storage import formats_declared, storage_findings
from .exclusions import ModuleList, any_names, expand_modules, module_names
from .findings import info_finding
from .indices import Index, folded_names
from .list_readers import format_readers_of, readers_of
from .logical import LogicalTensor
from .method_loaders import (
    OWN_TENSORS,
    formats_of,
    is_known_method,
    loads_plain,
    tensors_looked_for,
    usual_methods,
)
from .method_names import AUTO_ROUND_METHODS, MODELOPT_METHODS
from .module_declarations import ModuleDeclarations, is_class_name
from .packing import Unpacked
from .packing.awq import AWQ_METHODS
from .packing.base import FLOAT8
from .packing.unpacking import alternatives
from .patterns import PatternBudget

if TYPE_CHECKING:
    from ..tensors.conversion import Conversion
    from ..tensors.template import TensorRow
    from .matching import Match

MAX_PATHS = 3
"""Paths of one disagreement that are reported."""
FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", ""})

_TOKEN_TABLE = "router.token_table"
_PART_OF_MODULE = re.compile(r"(?:\.(?:weight|centroids))?\.[^.]+$")
"""What follows the name of a module in that of one of its tensors: `.W_q`, `.weight._data`."""
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

_NAMED_COMPONENTS = frozenset({"head", "embedding"})
"""Components that are quantised only where a declaration names them."""

_LISTING = frozenset({"modelopt"})
"""Methods whose modules with a format of their own are all that are quantised."""

_HEAD_DECLARED = frozenset(
    {"gptq", "gptqmodel", "auto_gptq", "auto-round", "intel/auto-round", "awq"}
)
"""Methods that quantise the head only where the declaration names it (`lm_head: true`)."""

_LINEAR_ONLY = frozenset(
    {"bitsandbytes", "gptq", "gptqmodel", "auto_gptq", "awq", "compressed-tensors", "fbgemm_fp8"}
)
"""Methods for which transformers replaces linear modules, and leaves parameters that hold all
experts as they are (transformers 5.23.0 integrations/bitsandbytes.py, awq.py and fbgemm_fp8.py;
optimum 2.3.0 gptq/quantizer.py convert_model; compressed-tensors 0.20.0 apply_quantization_config).
Not so FP8 (FP8Experts), auto-round 0.16.1 (a linear module for each expert) and mlx-lm 0.32.2
(QuantizedSwitchLinear). ModelOpt's checkpoints are for vLLM and SGLang, which quantise experts."""

_WIDTHS_DECLARED = (
    AWQ_METHODS
    | AUTO_ROUND_METHODS
    | {"mlx", "metal", "gemma", "gptq", "gptqmodel", "gptq_marlin", "auto_gptq", "moe_wna16"}
)
"""Methods whose declaration gives the bits of every module."""

_TABLES = frozenset({"embedding", "per_layer_embedding"})
"""Components whose matrices are tables of vectors, which no linear module holds."""

_OTHER_MODULES = {**dict.fromkeys(_TABLES, ("mlx", "gemma")), "router": ("mlx",)}
"""Formats that have tensors for modules of a component although these are not linear: mlx-lm 0.32.2
(QuantizedEmbedding, and routers are linear there) and transformers 5.23.0
(integrations/gemma_quant.py). What transformers has for bitsandbytes, GPTQ, AWQ, FP8, FBGEMM and
metal replaces linear modules; vLLM 0.33.0 has UnquantizedEmbeddingMethod with them, ModelOpt, Quark
and auto-round."""
_TABLE_ENDINGS = {"gemma": ".embedding_quantized"}
"""How the values of a table are named in a format, where no other module's are so."""

_NAMED_TABLES = {"compressed-tensors": ("compressed-tensors",), "modelopt": ("nvfp4",)}
"""Formats of tables that a declaration names, by method (compressed-tensors 0.20.0 initialize.py;
vLLM 0.33.0 compressed_tensors.py: integers of groups or channels, and no others; SGLang 0.5.23
modelopt_quant.py: ModelOptNvFp4EmbeddingMethod)."""

PACKING_SEVERITY: Severity = "weights"
"""The severity of every disagreement between declaration and packings: loaders build the modules
that the config declares, and then find no scales, or tensors of another dtype and shape."""


def packing_finding(path: str, message: str, old: Any, new: Any) -> Finding:
    """Return the finding that a tensor is not stored as declared.

    path: the tensor, or the fact of the declaration.
    message: what disagrees.
    old: the declaration.
    new: what is stored.
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
    matches: list[Match],
    unpacked: Unpacked,
    declared: Quantization | None,
    conversion: Conversion,
    unknown: list[LogicalTensor],
) -> list[Finding]:
    """Return the findings where declaration and tensors disagree.

    matches: rows and the tensors stored for them.
    unpacked: all logical tensors, with the formats they are in.
    declared: the quantization that the config declares.
    conversion: how transformers finds the tensors of the model_type.
    unknown: tensors in a packing that llmarch does not unpack, perhaps the declared.
    """
    tensors = [tensor for match in matches for tensor in match.tensors]
    packed = [x for x in tensors if x.packing]

    # Packings of an unknown method may need no scales that llmarch knows.
    findings: list[Finding] = []
    if declared is None or is_known_method(declared):
        findings += unscaled(matches)
    if declared is None:
        return findings + packed_but_undeclared(packed)

    modules = DeclaredModules(declared, conversion)
    findings += in_no_declared_format(matches, modules)
    findings += excluded_in_own_format(unknown, modules)
    if not packed:
        plain = [x for x in tensors if x.dtype]
        if not unknown and declares_some_module(matches, modules):
            findings += declared_but_plain(plain, declared)
    else:
        findings += wrong_format(packed, unpacked, declared)
        findings += not_known(packed, declared)
        findings += wrong_bits(packed, declared)
        findings += excluded_but_packed(matches, modules)
        findings += packed_but_not_linear(matches, modules)
        findings += packed_but_not_declared(matches, modules)
        findings += declared_but_plain_modules(matches, modules)
        findings += read_differently(matches, modules, is_told=bool(findings))
        reported = {finding.path for finding in unpacked.findings}
        findings += storage_findings([x for x in packed if not unpacked.is_reported(x)])
        reported |= {finding.path for finding in findings}
        findings += [f for f in undeclared_bits(packed, declared) if f.path not in reported]
    return findings + list_findings(modules)


def list_findings(modules: DeclaredModules) -> list[Finding]:
    """Report the entries of lists that no engine compiles, and those that were not compared."""
    findings: list[Finding] = []
    for name, entries in modules.lists.items():
        path = f"quantization.{name}"
        if entries.refused:
            message = (
                f"{_first_of(entries.refused)}: not a regular expression that Python compiles, so"
                " that loaders fail on it"
            )
            finding = Finding(
                rule="pattern-refused", path=path, message=message, severity=PACKING_SEVERITY
            )
            findings.append(finding)
        if entries.refused_names:
            message = (
                f"{_first_of(entries.refused_names)}: transformers takes it for a regular"
                " expression and fails on it; vLLM and SGLang take it for a name"
            )
            findings.append(info_finding("list-by-reader", path, message))
        if entries.unread:
            message = (
                f"{_first_of(entries.unread)}: too many, too long or too costly to be matched, so"
                " that what they name was not compared"
            )
            findings.append(info_finding("pattern-not-compared", path, message))
    return findings


def _first_of(entries: Iterable[str]) -> str:
    """Return the first entries of a list, and how many there are more."""
    entries = list(entries)
    some = ", ".join(printable(text, 60) for text in entries[:MAX_PATHS])
    more = len(entries) - MAX_PATHS
    return f"{some} and {more:,} more" if more > 0 else some


def holds_integers(tensor: LogicalTensor) -> bool:
    """Return whether a tensor that is not packed holds integers or raw bytes."""
    return not tensor.packing and tensor.dtype not in FLOATS


def unscaled(matches: Iterable[Match]) -> list[Finding]:
    """Report integer or FP8 tensors of the right shape that are stored without scales.

    Their values cannot be decoded. Tables of token ids are integers.
    """
    findings: list[Finding] = []
    for match in matches:
        if not match.fits or _holds_token_ids(match):
            continue
        for tensor in match.tensors:
            if _needs_scales(tensor):
                path = tensor.stored_name
                message = f"stored as {tensor.dtype} without scales, so it cannot be decoded"
                findings.append(packing_finding(path, message, None, tensor.dtype))
    return findings


def _needs_scales(tensor: LogicalTensor) -> bool:
    is_float8 = tensor.dtype in FLOAT8 and not tensor.packing
    return is_float8 or holds_integers(tensor)


def _holds_token_ids(match: Match) -> bool:
    """Return whether the tensors are tables of integers, as the facts have them."""
    facts = [path for row in match.rows for path in row.proves]
    return any(path.endswith(_TOKEN_TABLE) for path in facts)


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
        path = tensor.stored_name
        message = f"stored as {tensor.packing}, but the config declares no quantisation"
        finding = packing_finding(path, message, None, tensor.packing)
        findings.append(finding)
    return findings


def wrong_format(
    packed: list[LogicalTensor], unpacked: Unpacked, declared: Quantization
) -> list[Finding]:
    """Report packings that the declared method's loaders do not look for.

    Nothing is reported for methods whose tensors llmarch does not know.
    """
    wanted = tensors_looked_for(declared.method)
    if wanted is None:
        return []
    findings: list[Finding] = []
    for tensor in _first_of_each_packing(packed):
        formats = formats_of(tensor) or [unpacked.formats[tensor.packing]]
        is_read = any(declared.method in format.methods for format in formats)
        format = formats[0]
        if is_read or _is_announced(format.name, declared):
            continue
        path = tensor.stored_name
        message = (
            f"stored as {tensor.packing}, but the config declares {declared.method}, whose"
            f" loaders look for {wanted}; {format.name} tensors are read under"
            f" {usual_methods(format)}"
        )
        findings.append(packing_finding(path, message, declared.method, tensor.packing))
    return findings


def not_known(packed: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """Say that llmarch does not know what the loaders of a method look for."""
    if tensors_looked_for(declared.method) is not None:
        return []
    tensor = packed[0]
    message = f"stored as {tensor.packing}; what loaders of {declared.method} look for is not known"
    return [info_finding("not-comparable", tensor.stored_name, message)]


def _is_announced(format: str, declared: Quantization) -> bool:
    """Return whether the declaration names a format for experts or single modules."""
    announced = [words.rpartition(": ")[2] for words in (declared.experts or "", *declared.modules)]
    return any(format in words for words in announced)


def _first_of_each_packing(packed: list[LogicalTensor]) -> list[LogicalTensor]:
    """Return a tensor of each packing and each ending of names."""
    first: dict[tuple[str, str], LogicalTensor] = {}
    for tensor in packed:
        first.setdefault((tensor.packing, last_part(tensor.source)), tensor)
    return list(first.values())


def wrong_bits(packed: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """Report declared bits that no tensor has; a mixed checkpoint declares those of most."""
    widths = sorted({x.width for x in packed if x.width and x.dtype})
    if declared.bits is None or not widths or declared.bits in widths:
        return []
    stored = [f"{width:g}" for width in widths]
    message = f"the config declares {declared.bits:g} bits, the tensors have {', '.join(stored)}"
    return [packing_finding("quantization.bits", message, declared.bits, widths[0])]


def excluded_but_packed(matches: list[Match], modules: DeclaredModules) -> list[Finding]:
    """Report modules that are stored quantised although the config excludes them."""
    if not modules.declared.excluded:
        return []
    findings: list[Finding] = []
    for match in matches:
        for tensor in match.tensors:
            if not tensor.packing:
                continue
            excluded = modules.exclusions.plainly_matched(tensor, modules.names_of(match, tensor))
            if excluded:
                path = folded_names(tensor.source, sorted(excluded))[0]
                message = (
                    f"stored as {tensor.packing}, but the config excludes it from quantisation"
                )
                findings.append(packing_finding(path, message, "excluded", tensor.packing))
    return findings


def excluded_in_own_format(unknown: list[LogicalTensor], modules: DeclaredModules) -> list[Finding]:
    """Report excluded modules that are stored in the parts of a method that is not unpacked.

    Loaders build what is excluded as it is, and find no weight of that name. torchao's weights say
    for themselves how they are stored.
    """
    declared = modules.declared
    if declared.method not in OWN_TENSORS or declared.method == "torchao":
        return []
    findings: dict[str, Finding] = {}
    for tensor in unknown:
        module = replace(tensor, pattern=_PART_OF_MODULE.sub("", tensor.pattern))
        excluded = modules.exclusions.plainly_matched(module, any_names(module))
        if not excluded:
            continue
        name = folded_names(module.pattern, sorted(excluded))[0]
        message = (
            f"stored in parts of {declared.method}, but the config excludes it from quantisation"
        )
        findings[name] = packing_finding(name, message, "excluded", declared.method)
    return list(findings.values())[:MAX_PATHS]


class DeclaredModules:
    """The modules that a declaration quantises."""

    def __init__(self, declared: Quantization, conversion: Conversion) -> None:
        """Read the lists of a declaration.

        conversion: how transformers finds the tensors of the model_type.
        """
        self.declared = declared
        self.conversion = conversion
        self.method = declared.method
        self.group_size = declared.group_size
        budget = PatternBudget()
        self.exclusions = ModuleList(declared.excluded, readers_of(self.method), budget)
        self.listed: ModuleList | None = None
        """The only modules that are quantised. None: those that the method quantises by itself."""
        modules = [name for group in expand_modules(declared.modules).values() for name in group]
        self.names = names = [*declared.targets, *modules]
        """What the declaration names: modules, or classes of them."""
        is_listing = bool(declared.targets) or (declared.method in _LISTING and bool(names))
        is_listing |= declared.method == "compressed-tensors"
        self.has_all_linear = any(is_class_name(name) and "Linear" in name for name in names)
        """Whether a target is the class of linear modules, which the head is of too."""
        readers = format_readers_of(self.method)
        targets = ModuleList(_modules_in(declared.targets), readers, budget)
        self.named = ModuleList(_modules_in(modules), readers, budget)
        """Modules that have a format of their own."""
        self.all_named = ModuleList(_modules_in(names), readers, budget)
        """These and the targets."""
        if is_listing and not self.has_all_linear:
            self.listed = self.all_named
        self.lists = {"excluded": self.exclusions, "targets": targets, "modules": self.named}
        """The lists by the field that they are in."""

    @property
    def is_known(self) -> bool:
        """Return whether all that is left out could be compared so far."""
        return self.exclusions.is_complete

    def names_of(self, match: Match, tensor: LogicalTensor) -> tuple[str, ...]:
        """Return the names of the modules of a matched tensor, numbers folded."""
        return module_names(tensor, match.rows, self.conversion)

    def quantises(self, match: Match, is_packed_elsewhere: bool) -> bool:
        """Return whether the declaration can be about a row's tensors.

        They are the matrices of layers, and the head where its class is a target or the method
        leaves it out only where it is excluded: vLLM 0.33.0 and SGLang 0.5.23 build it quantised
        for ModelOpt.
        is_packed_elsewhere: tensors of the same name are packed.
        """
        component = match.rows[0].component
        if len(match.expected_shape) < 2:
            return False
        if component == "head":
            by_class = self.method == "compressed-tensors" and self.has_all_linear
            return by_class or self.method in MODELOPT_METHODS
        if component not in _COMPONENTS:
            return False
        if is_packed_elsewhere:
            return True
        if SUBMODULES.search(match.key):
            return False
        return LINEAR_MODULES.search(match.key) is not None

    def plain_indices(self, match: Match, tensor: LogicalTensor) -> list[Index]:
        """Return the indices of a plain tensor whose modules should be quantised."""
        excluded = self.exclusions.matched_by_some(tensor, self.names_of(match, tensor))
        return [index for index in self.declared_indices(match, tensor) if index not in excluded]

    def declared_indices(self, match: Match, tensor: LogicalTensor) -> list[Index]:
        """Return the indices of a tensor whose modules are among those that may be quantised."""
        if self.method == "mxfp4" and match.rows[0].component != "experts":
            return []
        if self.method == "mlx" and self._is_undivided(match.expected_shape):
            return []
        if self.listed is None:
            return tensor.indices
        listed = self.listed.matched_by_all(tensor, self.names_of(match, tensor))
        return [index for index in tensor.indices if index in listed]

    def _is_undivided(self, shape: tuple[int, ...]) -> bool:
        """Return whether MLX cannot quantise a matrix, whose inputs do not make whole groups."""
        return bool(self.group_size) and shape[-1] % (self.group_size or 1) != 0


def _modules_in(names: Iterable[str]) -> list[str]:
    """Return the names of modules without those of classes."""
    return [name for name in names if not is_class_name(name)]


def declares_some_module(matches: list[Match], modules: DeclaredModules) -> bool:
    """Return whether a declaration leaves any large linear module to be stored quantised."""
    if loads_plain(modules.declared):
        return False
    if not is_known_method(modules.declared):
        return True
    linear = [match for match in matches if modules.quantises(match, is_packed_elsewhere=False)]
    if not linear:
        return True
    for match in linear:
        if any(modules.plain_indices(match, tensor) for tensor in match.tensors):
            return True
    return False


def packed_but_not_declared(matches: list[Match], modules: DeclaredModules) -> list[Finding]:
    """Report modules that are stored quantised although the declaration is not about them."""
    if not is_known_method(modules.declared):
        return []
    if modules.listed is not None and not modules.listed.is_complete:
        return []
    findings: list[Finding] = []
    for match in matches:
        is_head = match.rows[0].component == "head" and modules.method in _HEAD_DECLARED
        names = modules.named if is_head else modules.listed
        if names is None:
            continue
        for tensor in match.tensors:
            if not tensor.packing:
                continue
            listed = names.matched_by_some(tensor, modules.names_of(match, tensor))
            others = [index for index in tensor.indices if index not in listed]
            if not others:
                continue
            message = f"stored as {tensor.packing}, but the config does not declare it quantised"
            path = folded_names(tensor.source, others)[0]
            findings.append(packing_finding(path, message, None, tensor.packing))
    return findings


def packed_but_not_linear(matches: list[Match], modules: DeclaredModules) -> list[Finding]:
    """Report packed tensors of modules that no loader of the method builds quantised.

    Loaders replace linear modules, so that tables (embeddings), convolutions, most routers and
    parameters that stand alone are looked for as they are in a plain checkpoint.
    """
    declared = modules.declared
    if not is_known_method(declared):
        return []
    findings: list[Finding] = []
    for match in matches:
        what = _what_is_not_linear(match.rows[0], match.expected_shape, modules.conversion)
        if what is None:
            continue
        for tensor in match.tensors:
            if not tensor.packing or _takes_module(tensor, match, modules):
                continue
            message = (
                f"stored as {tensor.packing}, but it is {what}: loaders of {declared.method} look"
                " for a plain tensor"
            )
            path = tensor.stored_name
            findings.append(packing_finding(path, message, None, tensor.packing))
    return findings


def _what_is_not_linear(
    row: TensorRow, shape: tuple[int, ...], conversion: Conversion
) -> str | None:
    """Return what a row's module is in words; None for linear modules and experts."""
    if row.component in _TABLES:
        return "an embedding"
    if row.component == "router" and not conversion.linear_router:
        return "a router, which is not a linear module"
    if row.component == "experts" or ".experts." in row.pattern:
        return None
    if len(shape) != 2 or not row.pattern.endswith(".weight"):
        return "not a matrix of a linear module"
    return None


def _takes_module(tensor: LogicalTensor, match: Match, modules: DeclaredModules) -> bool:
    """Return whether loaders of the declaration take a module that is not linear in its format."""
    component = match.rows[0].component
    if tensor.format in _OTHER_MODULES.get(component, ()):
        return tensor.source.endswith(_TABLE_ENDINGS.get(tensor.format, ""))
    if component not in _TABLES or tensor.format not in _NAMED_TABLES.get(modules.method, ()):
        return False
    if "Embedding" in modules.names:
        return True
    return bool(modules.all_named.matched_by_some(tensor, modules.names_of(match, tensor)))


def declared_but_plain_modules(matches: list[Match], modules: DeclaredModules) -> list[Finding]:
    """Report modules that the config quantises, and that are stored plain, without scales.

    Loaders build them quantised, and find no scales. Modules are compared if they are large linear
    ones (`LINEAR_MODULES`), or if others of the same name are packed.
    """
    declared = modules.declared
    if not is_known_method(declared) or not modules.is_known:
        return []
    packed = {m.key for m in matches if any(x.packing for x in m.tensors)}
    left_plain = experts_left_plain(matches, declared, modules.conversion)
    findings = [plain_experts(left_plain, declared)] if left_plain else []
    for match in matches:
        if match in left_plain:
            continue
        is_meant = modules.quantises(match, match.key in packed)
        is_named = match.rows[0].component in _NAMED_COMPONENTS
        for tensor in match.tensors:
            if tensor.packing or tensor.dtype not in PLAIN:
                continue
            indices: list[Index] = []
            if is_meant:
                indices = modules.plain_indices(match, tensor)
            elif is_named and len(match.expected_shape) > 1:
                named = modules.named.matched_by_all(tensor, modules.names_of(match, tensor))
                indices = sorted(named)
            if not indices:
                continue
            message = (
                f"stored as {tensor.dtype}, but the config declares {declared.method} "
                "quantisation and does not exclude it"
            )
            for path in folded_names(tensor.source, indices)[:MAX_PATHS]:
                findings.append(packing_finding(path, message, declared.method, tensor.dtype))
    return findings


def read_differently(
    matches: list[Match], modules: DeclaredModules, is_told: bool
) -> list[Finding]:
    """Report modules of which engines read otherwise whether the config leaves them out.

    Where some engine loads all as they are stored, it is a remark, else a conflict.
    is_told: something that no engine loads is reported already.
    """
    exclusions = modules.exclusions
    has_list = bool(modules.declared.excluded) or modules.declared.excludes_none
    if not is_known_method(modules.declared) or not has_list:
        return []
    differing: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    """Tensors, of the head or others, by the readers that do not load them as they are stored."""
    for match in matches:
        is_head = match.rows[0].component == "head"
        if not is_head and not modules.quantises(match, is_packed_elsewhere=False):
            continue
        for tensor in match.tensors:
            for names, indices in _readers_against(match, tensor, modules).items():
                if is_head or len(names) < len(exclusions.readers):
                    paths = differing.setdefault((is_head, names), [])
                    paths.append(folded_names(tensor.source, indices)[0])
    against = {name for _, names in differing for name in names}
    findings: list[Finding] = []
    for (is_head, names), paths in differing.items():
        fitting = [reader.name for reader in exclusions.readers if reader.name not in names]
        more = f", and {len(paths) - 1} more like it" if len(paths) > 1 else ""
        message = (
            f"stored as the list of unquantised modules says to {_and(fitting)}, but not"
            f" as it says to {_and(names)}{more}"
        )
        if is_head:
            message = (
                f"stored plain, and not in the list of unquantised modules: {_and(names)} quantises"
                f" a head that a list does not name{_unlike(fitting)}"
            )
        if is_told or len(against) < len(exclusions.readers):
            findings.append(info_finding("list-by-reader", paths[0], message))
        else:
            message += "; no engine loads all modules as they are stored"
            findings.append(packing_finding(paths[0], message, None, None))
    return findings[:MAX_PATHS]


def _unlike(names: list[str]) -> str:
    return f", unlike {_and(names)}" if names else ""


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)


def _readers_against(
    match: Match, tensor: LogicalTensor, modules: DeclaredModules
) -> dict[tuple[str, ...], list[Index]]:
    """Return the modules of a tensor that readers of a list do not load as stored, by readers."""
    if not tensor.packing and tensor.dtype not in PLAIN:
        return {}
    names = modules.names_of(match, tensor)
    is_head = match.rows[0].component == "head"
    against: dict[Index, tuple[str, ...]] = dict.fromkeys(
        modules.declared_indices(match, tensor), ()
    )
    for reader in modules.exclusions.readers:
        if is_head and not tensor.packing and not reader.quantises_head:
            continue
        listed = modules.exclusions.matched_by(reader, tensor, names)
        for index, readers in against.items():
            if (index in listed) == bool(tensor.packing):
                against[index] = (*readers, reader.name)
    by_readers: dict[tuple[str, ...], list[Index]] = {}
    for index, readers in against.items():
        if readers:
            by_readers.setdefault(readers, []).append(index)
    return by_readers


def in_no_declared_format(matches: list[Match], modules: DeclaredModules) -> list[Finding]:
    """Report integers of quantised modules that are in no format that the config declares.

    Their scales are missing, or have names that no loader looks for.
    """
    declared = modules.declared
    formats = formats_declared(declared)
    if not formats:
        return []
    findings: list[Finding] = []
    for match in matches:
        if match.fits or not modules.quantises(match, is_packed_elsewhere=False):
            continue
        for tensor in match.tensors:
            if not holds_integers(tensor):
                continue
            message = (
                f"stored as {tensor.dtype} without the scales of {alternatives(formats)}, which"
                f" {declared.format} of {declared.method} is"
            )
            path = tensor.stored_name
            findings.append(packing_finding(path, message, declared.format, tensor.dtype))
    return findings


def experts_left_plain(
    matches: list[Match], declared: Quantization, conversion: Conversion
) -> list[Match]:
    """Return the experts that transformers leaves unquantised, and that are stored so.

    Its classes have one parameter for all experts, which is not a linear module. Where some experts
    are packed, all have to be.
    """
    experts = [match for match in matches if match.rows[0].component == "experts"]
    if any(tensor.packing for match in experts for tensor in match.tensors):
        return []
    method = declared.method
    return [m for m in experts if is_left_plain(m.rows[0], m.expected_shape, method, conversion)]


def is_left_plain(
    row: TensorRow, shape: tuple[int, ...], method: str, conversion: Conversion
) -> bool:
    """Return whether transformers leaves the experts of a row as they are under a method."""
    if method not in _LINEAR_ONLY or method in conversion.unstacked_by:
        return False
    return len(shape) > 2 or conversion.stacks(row.pattern)


def plain_experts(experts: list[Match], declared: Quantization) -> Finding:
    """Return the remark that experts are stored unquantised, as not all engines expect."""
    tensor = experts[0].tensors[0]
    message = (
        f"all experts are stored as {tensor.dtype}: {declared.method} in transformers quantises"
        " linear modules, and leaves experts that are one parameter as they are; vLLM and SGLang"
        " look for quantised ones"
    )
    return info_finding("experts-unquantised", tensor.stored_name, message)


def undeclared_bits(packed: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """Report modules whose bits are neither the declared ones nor declared for the module."""
    widths = {tensor.width for tensor in packed}
    if declared.method not in _WIDTHS_DECLARED or declared.bits not in widths:
        return []
    if not ModuleDeclarations(declared).is_complete:
        return []
    findings: list[Finding] = []
    for tensor in packed:
        own = tensor.declared or declared
        if not tensor.width or tensor.uncertain or not tensor.dtype or tensor.width == own.bits:
            continue
        path = tensor.stored_name
        message = (
            f"stored with {tensor.width:g} bits, but the config declares {own.bits or 0:g} for it"
        )
        findings.append(packing_finding(path, message, own.bits, tensor.width))
    return findings
