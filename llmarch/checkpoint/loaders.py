"""Judge whether the stored names and layouts are ones that a loader of the family finds.

Matching (names.py, fusing.py) recognises a tensor by any spelling that some tool writes for some
model. Whether it loads is another question, which is answered here for each match:

- transformers finds what its rules for the model_type turn into a parameter (tensors/conversion.py)
- mistral-common and vLLM find Mistral's native names in its own models
- mlx-lm finds its stacked experts, and names in the wrapper of a multimodal model
- engines that read packed experts find them one by one
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..architecture.paths import parent_path
from ..architecture.schema import Architecture, Finding
from ..config.vocabulary import TRANSFORMERS
from ..tensors.conversion import Conversion
from ..tensors.mistral_names import hub_name
from .findings import TIED_HEAD_ALONE, info_finding, weights_finding
from .foreign_names import WRITERS, unwrapped, wrappers_in
from .grouping import group_by_module, stored_sets
from .indices import folded_names
from .layouts import other_layout
from .logical import LogicalTensor
from .matching import Match, Matching
from .names import MISTRAL_NATIVE, canonical, wrapper_prefix
from .roles import HEAD_NAMES, LAYER_NAME

NAME_USERS = {
    "language_model.": "so do names of classes that wrap a language model, such as LLaVA's",
    "transformer.": "so do GPT-2's names",
    "text_model.": "so do names of the text parts of CLIP's kind",
    "gpt_neox.": "so do GPT-NeoX's names",
    "backbone.": "so do Nemotron-H's names",
    **{part: f"{writer} writes {part.rstrip('.')}" for part, writer in WRITERS.items()},
}
"""Whose names have a part."""

_SWITCH = re.compile(r"\.switch_(?:mlp|glu)\.")
_MLX_NAME = re.compile(
    r"\.switch_(?:mlp|glu)\.|\.(?:embed_q|unembed_out)\."
    r"|\.experts\.(?:gate_proj|up_proj|fc1)\.(?:weight|bias)$"
)
"""Names that mlx-lm alone writes (models/switch_layers.py, models/deepseek_v3.py)."""
_ABSORBED = re.compile(r"\.(?:embed_q|unembed_out)\.")


@dataclass(slots=True)
class _Refused:
    """Stored tensors that no loader of the family finds, with the names that it looks for."""

    tensors: list[LogicalTensor] = field(default_factory=list[LogicalTensor])
    expected: dict[str, None] = field(default_factory=dict[str, None])
    """Patterns of the template, each once."""

    @property
    def count(self) -> int:
        """Return how many tensors they are."""
        return sum(len(tensor.indices) for tensor in self.tensors)

    def folded(self, prefix: str) -> str:
        """Return a prefix with the numbers of all tensors: `model.layers.{0-3}.`."""
        width = prefix.count("{}")
        numbers = {index[:width] for tensor in self.tensors for index in tensor.indices}
        return folded_names(prefix, sorted(numbers))[0]

    def add(self, match: Match, tensor: LogicalTensor) -> None:
        """Add a stored tensor of a match."""
        self.tensors.append(tensor)
        for row in match.rows:
            self.expected[row.pattern] = None


class _Loaders:
    """The loaders of one model_type, for the checkpoint at hand."""

    def __init__(self, conversion: Conversion, matches: list[Match], writer: str = "") -> None:
        self.conversion = conversion
        stored = [tensor for match in matches for tensor in match.tensors]
        patterns = {tensor.pattern for tensor in stored}
        self.native = conversion.native and not MISTRAL_NATIVE.isdisjoint(patterns)
        published = {row.pattern for match in matches for row in match.rows}
        others = [tensor for tensor in stored if tensor.pattern not in published]
        self.mlx = writer == "mlx" or any(map(is_mlx, others))
        self.packed_modules = {parent_path(tensor.pattern) for tensor in stored if tensor.packing}
        """Modules whose weights are packed."""
        self.wrapped = any(
            "language_model." in wrapper_prefix(row.pattern) for m in matches for row in m.rows
        )

    def find(self, match: Match, tensor: LogicalTensor) -> bool:
        """Return whether some loader finds a stored tensor as what the match says it is."""
        published = [row.pattern for row in match.rows]
        stored = tensor.pattern
        if _is_tied_head(match, tensor):
            published.append("lm_head.weight")
        if stored in published:
            return True
        if self.native and hub_name(stored) is not None:
            return True

        parameters = self.conversion.parameters(published)
        spellings = [stored]
        if self.mlx:
            spellings += self._mlx_spellings(stored, published)
        # Biases of experts stand beside the weights.
        if self.mlx or parent_path(stored) in self.packed_modules:
            spellings += [
                at_experts(spelling, name)
                for spelling in spellings
                for name in (*published, *parameters)
            ]
        return any(self.conversion.loads(spelling, parameters) for spelling in spellings)

    def _mlx_spellings(self, stored: str, published: list[str]) -> list[str]:
        """Return the published names that mlx-lm's name of a tensor stands for."""
        prefix = wrapper_prefix(stored)
        allowed = {"model."}
        if self.wrapped:
            allowed |= {"language_model.", "language_model.model."}
        if prefix not in allowed:
            return []

        rest = stored[len(prefix) :]
        names: list[str] = []
        for name in published:
            absorbed = _ABSORBED.sub(".kv_b_proj.", rest)
            names.append(wrapper_prefix(name) + absorbed)
        return names


def is_mlx(tensor: LogicalTensor) -> bool:
    """Return whether only mlx-lm stores a tensor so, of those that are not as published."""
    return tensor.packing.startswith("mlx") or _MLX_NAME.search(tensor.pattern) is not None


def at_experts(stored: str, name: str) -> str:
    """Return the name that has the module of a stored expert and the ending of another name.

    `model.layers.{}.mlp.switch_mlp.up_proj.weight` and `….mlp.experts.gate_up_proj` make
    `model.layers.{}.mlp.experts.gate_up_proj`. Names of other tensors are returned unchanged.
    """
    module, found, _ = _SWITCH.sub(".experts.", stored).partition(".experts.")
    if not found:
        return stored
    _, found, ending = name.partition(".experts.")
    if found:
        return f"{module}.experts.{ending}"
    parts = name.split(".")
    return ".".join([module, *parts[-2:]])


def loader_findings(
    a: Architecture, matching: Matching, conversion: Conversion, writer: str
) -> list[Finding]:
    """Return findings for names and layouts that no loader finds, and for mixed spellings.

    a: the architecture by the config.
    matching: all matches of the template with the stored tensors.
    conversion: how transformers finds the tensors of the model_type.
    writer: the library that wrote the files, as their headers say.
    """
    loaders = _Loaders(conversion, matching.matches, writer)
    by_prefix: dict[str, _Refused] = {}
    others = _Refused()
    total = 0
    for match in matching.matches:
        for tensor in match.tensors:
            total += len(tensor.indices)
            if loaders.find(match, tensor):
                continue
            prefix = _wrong_prefix(loaders, matching, match, tensor)
            if prefix is None:
                others.add(match, tensor)
            else:
                by_prefix.setdefault(prefix, _Refused()).add(match, tensor)

    findings: list[Finding] = []
    for prefix, refused in by_prefix.items():
        findings.append(_prefix_finding(a, prefix, refused, total))
    findings += _name_findings(a, others)
    findings += _tied_head_findings(matching.matches)
    findings += _mixed_findings(matching)
    return findings


def _is_tied_head(match: Match, tensor: LogicalTensor) -> bool:
    """Return whether a tied embedding is stored under the head's name."""
    return match.rows[0].component == "embedding" and canonical(tensor.pattern) in HEAD_NAMES


def _tied_head_findings(matches: list[Match]) -> list[Finding]:
    """Say that loaders differ on a tied embedding that is stored as the head alone."""
    return [
        info_finding("tied-head-alone", tensor.source, TIED_HEAD_ALONE)
        for match in matches
        for tensor in match.tensors
        if _is_tied_head(match, tensor)
    ]


def _wrong_prefix(
    loaders: _Loaders, matching: Matching, match: Match, tensor: LogicalTensor
) -> str | None:
    """Return the prefix for which alone a tensor is not found; None if other parts are wrong too.

    That is the shortest one without which it would be found, or all that its name begins with; or
    the name up to the last part that training code has put into it.
    """
    unknown = matching.prefixes.get(tensor.pattern, "")
    if unknown:
        return unknown
    wrappers = wrappers_in(tensor.pattern)
    if wrappers:
        return _up_to(tensor.pattern, wrappers)
    parameters = loaders.conversion.parameters(row.pattern for row in match.rows)
    prefix = wrapper_prefix(tensor.pattern)
    rest = tensor.pattern[len(prefix) :]
    cuts = [i + 1 for i, letter in enumerate(prefix) if letter == "."]
    for cut in cuts:
        found = loaders.conversion.loads(tensor.pattern[cut:], parameters)
        if found and prefix[:cut].replace("model.", ""):
            return prefix[:cut]

    expected = {wrapper_prefix(row.pattern) for row in match.rows}
    if any(loaders.conversion.loads(wrapper + rest, parameters) for wrapper in expected):
        return prefix
    return None


def _up_to(pattern: str, wrappers: list[str]) -> str:
    """Return a name up to the last of the `wrappers` in it."""
    end = 0
    for wrapper in wrappers:
        end = pattern.index(wrapper, end) + len(wrapper)
    return pattern[:end]


def _prefix_finding(a: Architecture, prefix: str, refused: _Refused, total: int) -> Finding:
    expected = wrapper_prefix(next(iter(refused.expected))) or "no prefix"
    begins, path = prefix, f"{prefix}*"
    if "{}" in prefix:  # put in by training code, layer by layer
        expected = unwrapped(prefix)
        path = f"{refused.folded(prefix)}*"
    if not prefix:
        first = refused.tensors[0]
        begins = first.pattern.partition(".")[0]
        path = first.stored_name
    users = [who for part, who in NAME_USERS.items() if f".{part}" in f".{prefix}"]
    whose = ""
    if users:
        whose = f" ({'; '.join(users)})"
    return weights_finding(
        "names-not-loaded",
        path,
        f"the names of {refused.count:,} of {total:,} tensors begin with {begins}{whose}; loaders"
        f" of {a.model_type} look for {expected} instead. {TRANSFORMERS} does not find these"
        " tensors and starts the weights at random",
        old=expected,
        new=prefix,
    )


def _name_findings(a: Architecture, refused: _Refused) -> list[Finding]:
    """Report names that differ by more than the prefix, a module at a time."""
    findings: list[Finding] = []
    for group in group_by_module(stored_sets(refused.tensors)):
        key = canonical(group.sets[0].pattern)
        expected = _nearest(key, refused.expected)
        findings.append(
            weights_finding(
                "names-not-loaded",
                group.path,
                f"{group}: {a.model_type} has {expected} instead. {TRANSFORMERS} does not find"
                " these names and starts the weights at random",
                new=group.sets[0].pattern,
                old=expected,
            )
        )
    return findings


def _nearest(key: str, expected: Iterable[str]) -> str:
    """Return the expected name that has the most in common with a canonical one."""

    def common(pattern: str) -> int:
        words = set(canonical(pattern).split("."))
        return len(words.intersection(key.split(".")))

    return max(expected, key=common)


# --- mixed spellings ----------------------------------------------------------------------------


def _mixed_findings(matching: Matching) -> list[Finding]:
    """Report a decoder whose tensors are named in several ways that loaders know."""
    prefixes: dict[str, int] = {}
    spellings: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for match in matching.matches:
        if match.rows[0].component == "mtp" or not LAYER_NAME.match(match.key):
            continue
        if any(_is_foreign(matching, tensor) for tensor in match.tensors):
            continue
        for tensor in match.tensors:
            prefix = wrapper_prefix(tensor.pattern)
            prefixes[prefix] = prefixes.get(prefix, 0) + len(tensor.indices)
        expected = tuple(row.pattern for row in match.rows)
        stored = tuple(
            tensor.pattern[len(wrapper_prefix(tensor.pattern)) :] for tensor in match.tensors
        )
        spellings.setdefault(expected, set()).add(stored)

    findings: list[Finding] = []
    if len(prefixes) > 1:
        counts = [f"{count:,} with {prefix or 'none'}" for prefix, count in prefixes.items()]
        message = f"tensors of layers have several prefixes: {', '.join(counts)}"
        findings.append(info_finding("names-mixed", "layers", message))
    for expected, stored in spellings.items():
        if len(stored) > 1:
            names = " and ".join(sorted(", ".join(spelling) for spelling in stored))
            findings.append(info_finding("names-mixed", expected[0], f"stored as {names}"))
    return findings


def _is_foreign(matching: Matching, tensor: LogicalTensor) -> bool:
    """Return whether a name has a part that no loader knows."""
    return tensor.pattern in matching.prefixes or bool(wrappers_in(tensor.pattern))


# --- orientation --------------------------------------------------------------------------------


def _is_stacked(match: Match) -> bool:
    """Return whether the tensors of a match are stored as they are compared, not one by one."""
    width = len(match.indices[0])
    return all(len(tensor.indices[0]) == width for tensor in match.tensors)


def orientation_findings(
    a: Architecture, matching: Matching, conversion: Conversion, writer: str
) -> list[Finding]:
    """Return findings for stacked experts and convolutions whose dimensions are swapped.

    They are accepted where all tensors of their kind are stored so, and a loader of the checkpoint
    takes them: mlx-lm takes convolutions with channels last and its own experts, where names,
    packing or headers show that it wrote them; engines that read packed experts; transformers where
    its rules turn them.
    """
    mlx = _Loaders(conversion, matching.matches, writer).mlx
    kinds: dict[str, list[Match]] = {}
    for match in matching.matches:
        if match.fits and _has_two_layouts(match) and _is_stacked(match):
            kind = match.key.rsplit("}.", 1)[-1]
            kinds.setdefault(kind, []).append(match)

    findings: list[Finding] = []
    for of_kind in kinds.values():
        swapped = [match for match in of_kind if is_transposed(match)]
        if not swapped:
            continue
        experts = ".experts." in swapped[0].key
        if experts and conversion.either_orientation:
            continue
        mixed = len(swapped) < len(of_kind)
        taken = mlx or (experts and all(map(_is_packed, swapped)))
        if mixed or not taken:
            findings += [_orientation_finding(a, match, mixed=mixed) for match in swapped]
    return findings


def is_transposed(match: Match) -> bool:
    """Return whether the tensors of a match are stored in their other layout."""
    stored, expected = match.stored_shape, match.expected_shape
    if not match.fits or stored is None:
        return False
    return stored != expected and stored == other_layout(match.key, expected)


def _has_two_layouts(match: Match) -> bool:
    other = other_layout(match.key, match.expected_shape)
    return match.stored_shape is not None and other not in (None, match.expected_shape)


def _is_packed(match: Match) -> bool:
    return all(tensor.packing for tensor in match.tensors)


def _orientation_finding(a: Architecture, match: Match, *, mixed: bool) -> Finding:
    tensor = match.tensors[0]
    why = f"{TRANSFORMERS} fails on them, and no other loader of {a.model_type} takes them so"
    if mixed:
        why = "the others of this kind are not, and no loader takes both"
    return weights_finding(
        "layout-not-loaded",
        tensor.stored_name,
        f"two dimensions are swapped: {why}",
        old=list(match.expected_shape),
        new=list(match.stored_shape or ()),
    )
