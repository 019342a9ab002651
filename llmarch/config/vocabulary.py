"""What a family file is made of: how it reads a config, and what it calls the published tensors.

A family file gives a `Family`. Its `read` turns the keys of a config into a tree of drafts, whose
leaves are facts with their evidence (evidence.py); readers that families share are in `blocks`. Its
`naming` gives the names of the tensors (tensors/naming.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any, NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import MTP, Architecture, Evidence
from ..tensors.conversion import Conversion
from ..tensors.naming import Naming, in_base
from ..tensors.template import TensorRow, fold_numbers, template
from .aliases import with_aliases
from .evidence import Draft, build
from .fields import check_field_types
from .findings import check_layer_types, remote_code
from .keys import ConfigKeys

__all__ = [
    "TRANSFORMERS",
    "ConfigKeys",
    "Family",
    "MTPCandidate",
    "build",
    "modeling",
]

TRANSFORMERS = "transformers 5.23.0"
"""The version that modelling code and class defaults were read from."""


def modeling(model: str) -> str:
    """Return the modelling code of a transformers model, as `Family.ref` names it."""
    return f"{TRANSFORMERS} models/{model}/modeling_{model}.py"


def _library_of(ref: str) -> str:
    """Return where the configuration class stands beside the modelling code `ref`.

    Code that a maker publishes with a model is named by repository and file, without a version.
    """
    if " " in ref:
        return TRANSFORMERS
    return ref.rpartition("/")[0]


QUESTION_ANSWERERS = frozenset(
    """
    arcee diffllama exaone4 llama ministral nemotron qwen2 qwen3 qwen3_moe qwen3_next seed_oss
    smollm3
    """.split()
)
"""Model types whose ForQuestionAnswering has the decoder in `transformer`, the others in `model`
(base_model_prefix in their modelling code)."""


def answers_under_transformer(a: Architecture) -> bool:
    """Return whether names begin with `transformer.`, as of some question answerers."""
    return a.head.kind == "question_answering" and a.model_type in QUESTION_ANSWERERS


class MTPCandidate(NamedTuple):
    """A layout of MTP modules that a checkpoint may have, and its tensors."""

    mtp: MTP
    rows: list[TensorRow]


@frozen
class Family(Frozen):
    """A family of models that one file reads."""

    name: str
    title: str
    ref: str
    """The modelling code its facts were read from."""
    read: Callable[[ConfigKeys], Draft]
    naming: Naming | Callable[[Architecture], Naming]
    """The published names, or a function if they depend on the architecture."""
    conversions: Mapping[str, Conversion] = field(default_factory=dict[str, Conversion])
    """How transformers finds the stored tensors, for model_types that have rules of their own."""
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Class defaults by model_type."""
    config_class: Mapping[str, str] = field(default_factory=dict[str, str])
    """The class that declares the defaults, by model_type."""
    other_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """What the names of model classes begin with that neither the model_type nor the config class
    tells, by model_type: those of published files and of other loaders."""
    refs: Mapping[str, str] = field(default_factory=dict[str, str])
    """The modelling code of model_types for which it is not `ref`."""
    mtp_layouts: Callable[[Architecture], Iterable[MTP]] | None = None
    """The MTP layouts that checkpoints are published with."""

    def config(
        self,
        data: Mapping[str, Any],
        file: str,
        model_type: str,
        native_keys: Mapping[str, str | Evidence] | None = None,
    ) -> ConfigKeys:
        """Return a config for this family to read, with the defaults of the model_type.

        native_keys: how the file names keys, if not as transformers does (see ConfigKeys).
        """
        c = ConfigKeys(data, file=file, native_keys=native_keys, **self._context(model_type))
        remote_code(c)
        check_field_types(c)
        return with_aliases(c)

    def part(self, c: ConfigKeys, key: str, model_type: str) -> ConfigKeys:
        """Return the config nested under `key` of a wrapper, to be read as `model_type`.

        If the wrapper nests none, its own keys are read.
        """
        context = self._context(model_type)
        if c.has(key):
            part = c.child(key, **context)
            check_field_types(part)
            return with_aliases(part)
        c.ignore(key)
        return c.with_context(**context)

    def part_or_defaults(self, c: ConfigKeys, key: str, model_type: str) -> ConfigKeys:
        """Return the config nested under `key`, as `part` does; without one all defaults hold."""
        if not c.has(key):
            c = c.with_data({**c.data, key: {}})
        return self.part(c, key, model_type)

    def read_layers(self, c: ConfigKeys) -> Draft:
        """Read a config, and each layer with the values that it has for itself."""
        if c.overrides is None and "per_layer_config" in c.data:
            from .per_layer import read_by_layer

            read = read_by_layer(c, self.read)
        else:
            read = self.read(c)
        check_layer_types(c, len(read["layers"].value))
        return read

    def _context(self, model_type: str) -> dict[str, Any]:
        """Return the arguments of ConfigKeys that depend on the model_type."""
        ref = self.refs.get(model_type, self.ref)
        return {
            "family": self.name,
            "ref": ref,
            "defaults": self.defaults.get(model_type),
            "defaults_ref": f"{_library_of(ref)} {self.config_class.get(model_type, '')}",
            "model_type": model_type,
        }

    def names(self, a: Architecture) -> Naming:
        """Return the published names of an architecture's tensors."""
        naming = self.naming(a) if callable(self.naming) else self.naming
        if answers_under_transformer(a):
            return in_base(naming, "transformer")
        return naming

    def conversion(self, a: Architecture) -> Conversion:
        """Return how transformers finds the stored tensors of an architecture."""
        conversion = self.conversions.get(a.model_type, Conversion())
        if self.names(a).linear_router:
            conversion = replace(conversion, linear_router=True)
        if answers_under_transformer(a):
            conversion = replace(conversion, base="transformer")
        if a.head.kind == "none" and conversion.headless_base:
            conversion = replace(conversion, base=conversion.headless_base)
        if a.head.outputs is None:
            return conversion
        module = a.head.module or self.names(a).score_heads[a.head.kind]
        outside = (*conversion.outside, module.partition(".")[0])
        return replace(conversion, outside=outside)

    def template(self, a: Architecture) -> list[TensorRow]:
        """Return the tensors that a checkpoint of the architecture holds."""
        return [fold_numbers(row) for row in template(a, self.names(a))]

    def mtp_candidates(self, a: Architecture) -> list[MTPCandidate]:
        """Return the MTP layouts that checkpoints are published with, each with its tensors.

        Headers decide between them: a config may not tell whether the modules are stored, or
        whether with copies of embedding and head.
        """
        naming = self.names(a)
        if self.mtp_layouts is None or naming.mtp is None:
            return []
        candidates: list[MTPCandidate] = []
        for mtp in self.mtp_layouts(a):
            rows = naming.mtp(replace(a, mtp=mtp), naming)
            candidates.append(MTPCandidate(mtp, [fold_numbers(row) for row in rows]))
        return candidates
