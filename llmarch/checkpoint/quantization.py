"""What the tensors' packings say of the quantisation that the config declares."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..architecture.regexes import LONGEST, bounded
from ..architecture.schema import Finding, Quantization
from ..sources.raw import fold, unfold
from . import names as spelling
from .indices import Index, folded_names
from .logical import LogicalTensor
from .packing import FORMATS, Unpacked
from .packing.base import FLOAT8

if TYPE_CHECKING:
    from .matching import Match

MAX_REGEXES = 100
FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", ""})


def quantization_findings(
    hits: list[Match], unpacked: Unpacked, declared: Quantization | None, unsure: bool
) -> list[Finding]:
    """Where declaration and tensors disagree; `unsure`: some tensors are in a packing that is not known here, perhaps the declared one."""
    packed = [x for h in hits for x in h.logical if x.packing]
    odd = without_scales(hits) if declared is None or is_known_method(declared) else []
    return [*odd, *compare(declared, hits, packed, unpacked, unsure)]


def compare(
    declared: Quantization | None,
    hits: list[Match],
    packed: list[LogicalTensor],
    unpacked: Unpacked,
    unsure: bool,
) -> list[Finding]:
    """Whether the declaration is what the packings are."""
    plain = [x for h in hits for x in h.logical if not x.packing and x.dtype]
    if not packed:
        return [] if unsure else declared_but_plain(plain, declared)
    if declared is None:
        return packed_but_undeclared(packed)
    return [
        *wrong_format(packed, unpacked, declared),
        *wrong_bits(packed, declared),
        *excluded_but_packed(hits, declared),
    ]


def is_known_method(declared: Quantization) -> bool:
    """Whether some format here is one of the declared method."""
    return any(declared.method in f.methods for f in FORMATS)


def holds_integers(x: LogicalTensor) -> bool:
    """Whether a tensor that is not packed holds integers or raw bytes."""
    return not x.packing and x.dtype not in FLOATS


def without_scales(hits: list[Match]) -> list[Finding]:
    """Tensors of the right shape whose integers, or 8 bits, no scale makes numbers of. Integer tables are matrices, and no `.weight`."""
    return [
        Finding(
            rule="tensor-dtype", path=folded_names(x.source, x.indices)[0], severity="quantization", old=None, new=x.dtype,
            message=f"stored as {x.dtype}, and nothing beside it says what its numbers stand for",
        )
        for h in hits
        for x in h.logical
        if h.fits
        and (holds_integers(x) or (x.dtype in FLOAT8 and not x.packing))
        and (x.pattern.endswith(".weight") or (x.shape is not None and len(x.shape) != 2))
    ]  # fmt: skip


def declared_but_plain(plain: list[LogicalTensor], declared: Quantization | None) -> list[Finding]:
    """Declared as quantised, but stored plain (nothing can be said of names without headers)."""
    if declared is None or not plain:
        return []
    dtypes = ", ".join(dict.fromkeys(x.dtype for x in plain))
    return [
        Finding(
            rule="tensor-dtype", path="quantization.method", severity="quantization", old=declared.method, new=dtypes,
            message=f"the config declares {declared.method} quantisation, but every tensor is stored plain ({dtypes})",
        )
    ]  # fmt: skip


def packed_but_undeclared(packed: list[LogicalTensor]) -> list[Finding]:
    return [
        Finding(
            rule="tensor-dtype", path=folded_names(x.source, x.indices)[0], severity="quantization", old=None, new=x.packing,
            message=f"stored as {x.packing}, but the config declares no quantisation",
        )
        for x in first_of_each_packing(packed)
    ]  # fmt: skip


def wrong_format(
    packed: list[LogicalTensor], unpacked: Unpacked, declared: Quantization
) -> list[Finding]:
    """Formats that the declared method does not write; of a method that is not known here nothing is said."""
    if not is_known_method(declared):
        return []
    return [
        Finding(
            rule="tensor-dtype", path=folded_names(x.source, x.indices)[0], severity="quantization", old=declared.method, new=x.packing,
            message=f"stored as {x.packing}, but the config declares {declared.method}",
        )
        for x in first_of_each_packing(packed)
        if declared.method not in unpacked.formats[x.packing].methods
    ]  # fmt: skip


def first_of_each_packing(packed: list[LogicalTensor]) -> list[LogicalTensor]:
    """The first tensor of each packing."""
    first: dict[str, LogicalTensor] = {}
    for x in packed:
        first.setdefault(x.packing, x)
    return list(first.values())


def wrong_bits(packed: list[LogicalTensor], declared: Quantization) -> list[Finding]:
    """The declared bits are those of no tensor (a mixed checkpoint declares those of most)."""
    widths = sorted({x.width for x in packed if x.width and x.dtype})
    if declared.bits is None or not widths or declared.bits in widths:
        return []
    stored = ", ".join(f"{w:g}" for w in widths)
    return [
        Finding(
            rule="tensor-dtype", path="quantization.bits", severity="quantization", old=declared.bits, new=widths[0],
            message=f"the config declares {declared.bits:g} bits, the tensors hold {stored}",
        )
    ]  # fmt: skip


def excluded_but_packed(hits: list[Match], declared: Quantization) -> list[Finding]:
    """Modules that the config excludes from quantisation, and that are stored quantised."""
    if not declared.excluded:
        return []
    rules = Exclusions(declared.excluded)
    out: list[Finding] = []
    for h in hits:
        for x in h.logical:
            if x.packing and (bad := rules.excluded_indices(x)):
                out.append(
                    Finding(
                        rule="tensor-dtype", path=folded_names(x.source, bad)[0], severity="quantization", old="excluded", new=x.packing,
                        message=f"stored as {x.packing}, but the config excludes it from quantisation",
                    )
                )  # fmt: skip
    return out


class Exclusions:
    """Names of modules that are not quantised, in the ways that tools write them: a module or the end of its path (transformers'
    modules_to_not_convert), a glob (ModelOpt's ignore), or `re:` and a regular expression (compressed-tensors' ignore)."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.regexes: list[re.Pattern[str]] = []
        self.modules: dict[str, set[Index]] = {}
        for name in names:
            if not name.startswith("re:"):
                pattern, index = fold(spelling.canonical(name + ".").removesuffix("."))
                self.modules.setdefault(pattern, set()).add(index)
            elif (regex := bounded(name[3:])) is not None and len(self.regexes) < MAX_REGEXES:
                self.regexes.append(regex)

    def excluded_indices(self, x: LogicalTensor) -> list[Index]:
        """The indices of a tensor that are excluded."""
        module = spelling.canonical(x.pattern).removesuffix(".weight")
        out: set[Index] = set()
        for name, numbers in self.modules.items():
            if not covers(name, module):
                continue
            n = len(next(iter(numbers)))
            out.update(i for i in x.indices if not n or i[:n] in numbers)
        for i in (x.indices[0], x.indices[-1]):
            name = unfold(x.source, i).removesuffix(".weight")
            if len(name) <= LONGEST and any(r.match(name) for r in self.regexes):
                out.update(x.indices)
        return [i for i in x.indices if i in out]


def covers(name: str, module: str) -> bool:
    """Whether a folded name or glob of an exclusion list means a module, or one that holds it."""
    if "*" in name or "?" in name:
        return fnmatchcase(module, name) or fnmatchcase(module, f"{name}.*")
    return module == name or module.startswith(name + ".") or module.endswith("." + name)
