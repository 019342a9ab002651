"""Collect what inference finds: facts with evidence, findings, and parameters by component."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Literal

from ...architecture.schema import Evidence, Finding
from ..grouping import group_by_module, stored_sets
from ..logical import LogicalTensor
from .recognised import Open, Proved, Recognised


class Collector:
    """Facts under the paths of the schema, and sums over tensors."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.facts: dict[str, Any] = {}
        """Values by path, None where a fact is open."""
        self.evidence: dict[str, Evidence] = {}
        self.findings = list(findings)
        self._unrecognised: dict[str, dict[str, LogicalTensor]] = {}
        """By where they are, and by name."""
        self.parameters: Counter[str] = Counter()
        """Elements by component; towers and MTP modules are components too."""
        self.bits: Counter[str] = Counter()
        """Stored bits by component."""
        self.copies = 0
        """Elements of heads that are stored although they are tied."""
        self.buffers = 0
        """Elements of tables that are not parameters."""

    def prove(
        self,
        path: str,
        value: Any,
        ref: str,
        *,
        kind: Literal["tensor", "config"] = "tensor",
        confirmed_by: Iterable[str] = (),
    ) -> None:
        """Set a fact with its evidence."""
        self.facts[path] = value
        self.evidence[path] = Evidence(kind=kind, ref=ref, confirmed_by=tuple(confirmed_by))

    def prove_by(self, tensor: LogicalTensor, path: str, value: Any) -> None:
        """Set a fact with one tensor as its evidence."""
        self.prove(path, value, tensor.stored_name)

    def leave_open(self, *paths: str, reason: str) -> None:
        """Set facts to unknown."""
        for path in paths:
            self.facts[path] = None
            self.evidence[path] = Evidence(kind="unknown", ref=reason, confirmed_by=())

    def count(self, component: str, tensor: LogicalTensor) -> None:
        """Count a tensor's elements and bits for a component."""
        self.parameters[component] += tensor.total_elements
        self.bits[component] += tensor.bits * len(tensor.indices)

    def report_unrecognised(self, tensors: Iterable[LogicalTensor], location: str = "") -> None:
        """Report tensors that are counted, but that nothing is known of."""
        known = self._unrecognised.setdefault(location, {})
        for tensor in tensors:
            alike = known.get(tensor.source)
            # Layers of different widths have the same names: one finding for all.
            indices = [*(alike.indices if alike else []), *tensor.indices]
            known[tensor.source] = tensor.subset(indices)

    def finish(self) -> None:
        """Add the findings of unrecognised tensors, those of all layers together."""
        for location, tensors in self._unrecognised.items():
            groups = group_by_module(stored_sets(tensors.values()))
            for group in groups:
                message = f"{group}{location}: counted, but not recognised"
                finding = Finding(rule="tensor-unrecognised", path=group.path, message=message)
                self.findings.append(finding)

    # --- modules ---

    def add_module(self, found: Recognised, tensors: Mapping[str, LogicalTensor]) -> str:
        """Add the facts of a module and return its path. Modules with equal facts share a path.

        tensors: the module's tensors by their names within it.
        """
        module = self._module_path(found)
        for name, fact in found.facts.items():
            path = f"{module}.{name}"
            if isinstance(fact, Open):
                self.leave_open(path, reason=fact.reason)
            else:
                self._add_proof(path, fact, tensors)

        return module

    def _module_path(self, found: Recognised) -> str:
        """Return the path of an equal module, or the next free one: `ffns.moe`, `ffns.moe_2`."""
        values = {
            name: fact.value if isinstance(fact, Proved) else None
            for name, fact in found.facts.items()
        }
        path = f"{found.group}.{found.name}"
        for number in count(2):
            known = self._facts_of(path)
            if not known or known == values:
                break
            path = f"{found.group}.{found.name}_{number}"

        return path

    def _facts_of(self, module: str) -> dict[str, Any]:
        prefix = f"{module}."
        return {
            path.removeprefix(prefix): value
            for path, value in self.facts.items()
            if path.startswith(prefix)
        }

    def _add_proof(self, path: str, fact: Proved, tensors: Mapping[str, LogicalTensor]) -> None:
        names = [tensors[name].stored_name for name in fact.tensors if name in tensors]
        ref = ""
        if fact.config_keys:
            ref = f"{fact.config_keys}: {fact.ref}"
        elif names:
            ref = fact.ref or f"shape of {names[0]}"

        earlier: tuple[str, ...] = ()
        if self.facts.get(path) is not None:
            earlier = self.evidence[path].confirmed_by

        self.prove(
            path,
            fact.value,
            ref,
            kind="config" if fact.config_keys else "tensor",
            confirmed_by=dict.fromkeys((*earlier, *names)),
        )
