"""The vocabulary that family files are written in: reading facts with their evidence, and naming tensors.

A family file says what the keys of a config mean (`read`) and what the published tensors are called (`naming`). Reading gives
a tree of `Node`s whose leaves are `Fact`s; `build` turns the tree into schema objects and a table of evidence by dotted path.
A leaf that is a plain value is what the modelling code does whatever the config says: evidence `family`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import MTP, Architecture, Evidence
from ..tensors.naming import Naming
from ..tensors.template import TensorRow, fold_numbers, template
from .evidence import Draft, Sourced, build, derived, draft, hard_coded, same_evidence, unknown
from .keys import ConfigKeys


@frozen
class Family(Frozen):
    """A model family. `ref`: the modelling code its facts were read from, `refs` that of single model_types; `defaults`: class defaults by
    model_type, of `config_class`; `naming`: published names, or a function of the architecture where these depend on it; `mtp_layouts`:
    see `mtp_candidates`."""

    name: str
    title: str
    ref: str
    read: Callable[[ConfigKeys], Draft]
    naming: Naming | Callable[[Architecture], Naming]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    config_class: Mapping[str, str] = field(default_factory=dict[str, str])
    refs: Mapping[str, str] = field(default_factory=dict[str, str])
    mtp_layouts: Callable[[Architecture], Iterable[MTP]] | None = None

    def config(
        self,
        data: Mapping[str, Any],
        file: str,
        model_type: str,
        spelled: Mapping[str, str | Evidence] | None = None,
    ) -> ConfigKeys:
        return ConfigKeys(data, file=file, spelled=spelled, **self._about(model_type))

    def part(self, c: ConfigKeys, key: str, model_type: str) -> ConfigKeys:
        """The config nested under `key` of a wrapper, read as `model_type`; the wrapper's own keys where it nests none."""
        if c.has(key):
            return c.child(key, **self._about(model_type))
        c.ignore(key)
        return ConfigKeys(
            c.data,
            file=c.file,
            prefix=c.prefix,
            used=c.used,
            spelled=c.spelled,
            **self._about(model_type),
        )

    def _about(self, model_type: str) -> dict[str, Any]:
        return {
            "family": self.name,
            "ref": self.refs.get(model_type, self.ref),
            "defaults": self.defaults.get(model_type),
            "defaults_ref": f"{TRANSFORMERS} {self.config_class.get(model_type, '')}",
            "model_type": model_type,
        }

    def names(self, a: Architecture) -> Naming:
        return self.naming(a) if callable(self.naming) else self.naming

    def template(self, a: Architecture) -> list[TensorRow]:
        return [fold_numbers(r) for r in template(a, self.names(a))]

    def mtp_candidates(self, a: Architecture) -> list[tuple[MTP, list[TensorRow]]]:
        """The MTP layouts that checkpoints of the family are published with, each with its rows: for headers to decide between, as a
        config may not say whether the modules are stored, or whether with copies of embedding and head."""
        naming = self.names(a)
        if self.mtp_layouts is None or naming.mtp is None:
            return []
        return [
            (m, [fold_numbers(r) for r in naming.mtp(replace(a, mtp=m), naming)])
            for m in self.mtp_layouts(a)
        ]


TRANSFORMERS = "transformers 5.23.0"


def modeling(model: str) -> str:
    """The modelling code of a transformers model, as `ref` gives it."""
    return f"{TRANSFORMERS} models/{model}/modeling_{model}.py"


__all__ = [
    "TRANSFORMERS",
    "ConfigKeys",
    "Draft",
    "Family",
    "Sourced",
    "build",
    "derived",
    "draft",
    "hard_coded",
    "modeling",
    "same_evidence",
    "unknown",
]
