"""How a library turns the names of stored tensors into those of a model class, as data.

transformers 5 renames what it finds in a checkpoint before it looks for it in the model, by rules
that depend on the model_type. A stored name loads if it becomes the name of a parameter. Where the
published name and a stored one become the same parameters, both load.

The rules are facts with a source, one `Conversion` for each model_type that has any, beside the
names of its family. What several families share is here. Patterns are of folded names, whose
numbers are `{}`.

Source: transformers 5.23.0 conversion_mapping.py and core_model_loading.py (rename_source_key).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from ..architecture.frozen import Frozen, frozen


@frozen
class Rename(Frozen):
    """What a part of a stored name becomes."""

    pattern: str
    """A regular expression. The whole first match is replaced."""
    replacement: str
    scope: str | None = None
    """The module whose tensors alone are renamed, by their names within it; "" is the base model.
    """


@frozen
class Merge(Frozen):
    """Tensors that become one, or one that becomes several: experts stacked, gate and up joined."""

    patterns: tuple[str, ...]
    replacements: tuple[str, ...]
    scope: str | None = None


@frozen
class Conversion(Frozen):
    """How transformers finds the stored tensors of a model_type."""

    base: str = "model"
    """The module of the base model in the class with a head. Names may lack it, or have it once
    too often."""
    headless_base: str = ""
    """`base` in a checkpoint of the class without a head, where that is another module."""
    outside: tuple[str, ...] = ("lm_head",)
    """The modules of the class that are not in the base model."""
    renames: tuple[Rename, ...] = ()
    """Applied in this order."""
    merges: tuple[Merge, ...] = ()
    """Applied after the renames, at most one of them."""
    either_orientation: bool = False
    """Whether stacked experts load with inputs first and with outputs first."""
    native: bool = False
    """Whether mistral-common and vLLM load Mistral's native names (tensors/mistral_names.py)."""
    unstacked_by: frozenset[str] = frozenset()
    """Quantisation methods for which transformers puts modules of their own in place of stacked
    experts, so that it quantises them (quantizers/base.py, MODULES_TO_PATCH_FOR_QUANTIZATION)."""
    linear_router: bool = False
    """Whether some loader quantises routers, as they are linear modules (`Naming`)."""

    def parameters(self, patterns: Iterable[str]) -> frozenset[str]:
        """Return the parameters that published names become."""
        found: set[str] = set()
        for pattern in patterns:
            for name in self._converted(pattern):
                found.add(self._parameter(name))
        return frozenset(found)

    def loads(self, pattern: str, parameters: frozenset[str]) -> bool:
        """Return whether a stored name becomes one of these parameters, or several of them."""
        if pattern in parameters:
            return True
        names = self._converted(pattern)
        return all(self._finds(name, parameters) for name in names)

    def renamed(self, pattern: str) -> str:
        """Return what the renames make of a name."""
        name = pattern
        rules = (*self.renames, LEGACY_RENAME)
        for rule in rules:
            name = self._replaced(name, rule.scope, rule.pattern, rule.replacement)
        return name

    def spellings(self, pattern: str) -> tuple[str, ...]:
        """Return a published name, and what it is called in the class."""
        renamed = self.renamed(pattern)
        parameter = self._parameter(renamed)
        return (pattern, renamed, parameter)

    def parts(self, pattern: str) -> tuple[str, ...]:
        """Return the several parameters that a published name is split into; empty if it is not."""
        names = self._converted(pattern)
        if len(names) < 2:
            return ()
        return tuple(map(self._parameter, names))

    def stacks(self, pattern: str) -> bool:
        """Return whether a parameter holds all experts, of which a published name has one."""
        numbers = pattern.count("{}")
        return any(name.count("{}") < numbers for name in self._converted(pattern))

    def _converted(self, pattern: str) -> tuple[str, ...]:
        """Return what all rules make of a name."""
        name = self.renamed(pattern)
        for merge in self.merges:
            for source in merge.patterns:
                names = tuple(
                    self._replaced(name, merge.scope, source, target)
                    for target in merge.replacements
                )
                if set(names) != {name}:
                    return names
        return (name,)

    def _replaced(self, name: str, scope: str | None, pattern: str, replacement: str) -> str:
        prefix = self._scope_of(name, scope)
        if prefix is None:
            return name
        inner = name.removeprefix(prefix)
        replaced = _compiled(pattern).sub(replacement, inner, count=1)
        return prefix + replaced

    def _scope_of(self, name: str, scope: str | None) -> str | None:
        """Return the prefix of the scope that a name is in; None if it is in another."""
        if scope is None:
            return ""
        inside = f"{scope}." if scope else ""
        for prefix in (f"{self.base}.{inside}", inside):
            if name.startswith(prefix):
                return prefix
        return None

    def _parameter(self, name: str) -> str:
        """Return the name of the parameter that a converted published name stands for."""
        core = name.removeprefix(f"{self.base}.")
        module, _, _ = core.partition(".")
        if module in self.outside:
            return core
        return f"{self.base}.{core}"

    def _finds(self, name: str, parameters: frozenset[str]) -> bool:
        """Return whether a converted name is a parameter, but for the base model's prefix."""
        prefix = f"{self.base}."
        spellings = (name, prefix + name, name.removeprefix(prefix))
        return not parameters.isdisjoint(spellings)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


LEGACY_RENAME = Rename(
    r"^(?:model\.language_model\.model|language_model\.model\.model)(?!\w)", "model.language_model"
)
"""Applied for every model_type: names as transformers 5.10 to 5.22 saved some of them."""


def merged_experts(
    block: str = "mlp",
    scope: str | None = None,
    parts: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj"),
) -> tuple[Merge, ...]:
    """Return the merges of the experts in a module `block`, whose matrices are `parts`."""
    module = rf"{block}\.experts\.\{{\}}\."
    gate, up, down = (rf"{module}{part}\.weight(?!\w)" for part in parts)
    return (
        Merge((gate, up), (f"{block}.experts.gate_up_proj",), scope),
        Merge((down,), (f"{block}.experts.down_proj",), scope),
    )


MERGED_EXPERTS = merged_experts()
"""Experts as Qwen2-MoE, DeepSeek V3 and most others have them (`qwen2_moe`)."""

MERGED_TEXT_EXPERTS = merged_experts(scope="language_model")
"""The same in the language model of a wrapper."""

MERGED_W_EXPERTS = (
    Merge(
        (r"\.experts\.\{\}\.w1\.weight(?!\w)", r"\.experts\.\{\}\.w3\.weight(?!\w)"),
        (".experts.gate_up_proj",),
    ),
    Merge((r"\.experts\.\{\}\.w2\.weight(?!\w)",), (".experts.down_proj",)),
)
"""Experts as Mixtral has them (`mixtral`, `kimi_linear`, `deepseek_v4`, `minimax_m3_vl`)."""

BLOCK_SPARSE_RENAME = Rename(r"\.block_sparse_moe\.", ".mlp.")
"""`mixtral`, `kimi_linear`."""

LLAVA_RENAMES = (
    Rename(r"^language_model.lm_head(?!\w)", "lm_head"),
    Rename(r"^language_model(?!\w)", "model.language_model"),
    Rename(r"^vision_tower(?!\w)", "model.vision_tower"),
    Rename(r"^multi_modal_projector(?!\w)", "model.multi_modal_projector"),
    Rename(r"^language_model.model(?!\w)", "language_model", scope=""),
)
"""A language model and an encoder as LLaVA wraps them (`llava` and `LlavaModel`)."""

LLAVA_NEXT_RENAMES = (
    *LLAVA_RENAMES,
    Rename(r"^image_newline(?!\w)", "model.image_newline"),
)
"""The same with the vector that ends a row of features (`llava_next`)."""

CLIP_RENAME = Rename(r"^vision_model\.", "", scope="vision_tower")
"""`CLIPVisionModel`: the tower without its inner module."""

EXPERT_CONVERSION = Conversion(merges=MERGED_EXPERTS)
"""A model with experts whose names transformers leaves as they are, but stacks."""

MIXTRAL_CONVERSION = Conversion(renames=(BLOCK_SPARSE_RENAME,), merges=MERGED_W_EXPERTS)
"""`mixtral`, `minimax`, `minimax_m2`."""

UNWRAPPED_CONVERSION = Conversion(renames=(Rename(r"^model\.language_model\.", "model."),))
"""A text model alone, of which the names of the multimodal model load too (`qwen3_5_text`)."""
