"""Predict the tensors of an adapter from its config and the modules of its base."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...architecture.adapters import AdaptedGroup, Adapter, scale_of
from ...sources.raw import fold
from ...tensors.adapters import (
    AdaptedModule,
    AdapterTensor,
    prompt_tensors,
    shared_tensors,
    tensors_of_module,
)
from ...tensors.class_modules import ClassModule
from .targets import BaseModule, TargetMatcher, Targets, find_targets, has_end

_Shape = tuple[int, ...]


class PredictedTensor(NamedTuple):
    """A tensor that an adapter is expected to have."""

    name: str
    """As PEFT saves it, without `base_model.model.`."""
    shape: _Shape
    trained: bool
    stored: bool


@dataclass
class Prediction:
    """What an adapter is expected to train and to store."""

    tensors: list[PredictedTensor] = field(default_factory=list[PredictedTensor])
    groups: list[AdaptedGroup] = field(default_factory=list[AdaptedGroup])
    """The adapted modules, folded."""
    targets: Targets = field(default_factory=Targets)
    unknown: list[str] = field(default_factory=list[str])
    """Why the parameters are not known; empty: they are."""

    @property
    def trained(self) -> int | None:
        """Return the parameters that are trained; None where they are not known."""
        if self.unknown:
            return None
        return sum(_elements(t.shape) for t in self.tensors if t.trained)


class _Member(NamedTuple):
    """An adapted module with what it has."""

    name: str
    module: ClassModule
    rank: int | None
    scale: float | None
    elements: int


def predict_prompt(adapter: Adapter) -> Prediction:
    """Return what an adapter of virtual tokens trains and stores."""
    prediction = Prediction()
    tensors = prompt_tensors(adapter)
    if tensors is None:
        prediction.unknown.append("its config does not state the sizes of its virtual tokens")
        return prediction
    prediction.tensors = [PredictedTensor(*_fields("", tensor)) for tensor in tensors]
    return prediction


def predict(adapter: Adapter, modules: Sequence[ClassModule], matcher: TargetMatcher) -> Prediction:
    """Return what an adapter trains and stores.

    modules: the modules of the base's class.
    matcher: what matches the adapter's targets.
    """
    prediction = Prediction()
    targets = find_targets(adapter, modules, matcher)
    prediction.targets = targets
    members: list[_Member] = []
    adapted: list[AdaptedModule] = []
    if adapter.method == "trainable_tokens":
        targets.modules.clear()
    for base in targets.modules:
        described = _described(adapter, base, matcher)
        tensors = tensors_of_module(adapter, described)
        if tensors is None:
            kind = base.module.kind
            prediction.unknown.append(f"{base.name}: what it has for this kind ({kind})")
            continue
        adapted.append(described)
        members.append(_member(prediction, adapter, base, base.name, tensors, matcher))
    members += _parameters(prediction, adapter, targets.parameters, matcher)
    _whole_modules(prediction, targets.saved)
    _tokens(prediction, adapter, modules)
    _biases(prediction, adapter, modules, targets.modules)
    for tensor in shared_tensors(adapter, adapted):
        prediction.tensors.append(PredictedTensor(*_fields("", tensor)))
    prediction.groups = _folded(members)
    return prediction


def _described(adapter: Adapter, base: BaseModule, matcher: TargetMatcher) -> AdaptedModule:
    """Return a module as its tensors depend on it."""
    module = base.module
    rank = matcher.rank(base.name) or 0
    is_feed_forward = has_end(base.name, adapter.feed_forward)
    return AdaptedModule(module.kind, module.shape, module.bias, rank, is_feed_forward)


def _member(
    prediction: Prediction,
    adapter: Adapter,
    base: BaseModule,
    place: str,
    tensors: Iterable[AdapterTensor],
    matcher: TargetMatcher,
) -> _Member:
    """Add the tensors of a module, and return what it has.

    place: the module under which they are stored.
    """
    elements = 0
    for tensor in tensors:
        predicted = PredictedTensor(*_fields(f"{place}.", tensor))
        prediction.tensors.append(predicted)
        if tensor.trained:
            elements += _elements(tensor.shape)
    rank = matcher.rank(base.name)
    alpha = matcher.alpha(base.name)
    scale = None
    if adapter.method == "lora" and rank and alpha is not None:
        scale = scale_of(alpha, rank, adapter.rank_stabilized)
    return _Member(base.name, base.module, rank, scale, elements)


def _parameters(
    prediction: Prediction,
    adapter: Adapter,
    parameters: Sequence[BaseModule],
    matcher: TargetMatcher,
) -> list[_Member]:
    """Add the tensors of adapted parameters: the last of a module is outermost."""
    by_module: dict[str, list[BaseModule]] = {}
    for base in parameters:
        holder = base.name.rpartition(".")[0]
        several = by_module.setdefault(holder, [])
        several.append(base)
    members: list[_Member] = []
    for holder, several in by_module.items():
        for number, base in enumerate(several):
            described = _described(adapter, base, matcher)
            tensors = tensors_of_module(adapter, described)
            if tensors is None or len(base.module.shape) not in (2, 3):
                prediction.unknown.append(f"{base.name}: what it has for a parameter")
                continue
            inner = ".base_layer" * (len(several) - 1 - number)
            place = f"{holder}{inner}"
            members.append(_member(prediction, adapter, base, place, tensors, matcher))
    return members


def _whole_modules(prediction: Prediction, saved: Iterable[BaseModule]) -> None:
    """Add the weights of modules that are trained as a whole."""
    for name, module in saved:
        shape = module.shape
        if module.kind == "parameter":
            prediction.tensors.append(PredictedTensor(name, shape, trained=True, stored=True))
            continue
        weight = PredictedTensor(f"{name}.weight", shape, trained=True, stored=True)
        prediction.tensors.append(weight)
        if module.bias:
            bias = PredictedTensor(f"{name}.bias", (module.bias,), trained=True, stored=True)
            prediction.tensors.append(bias)


def _tokens(prediction: Prediction, adapter: Adapter, modules: Sequence[ClassModule]) -> None:
    """Add the rows of tokens whose embedding is trained."""
    part = ""
    if adapter.method != "trainable_tokens":
        part = ".token_adapter"
    for name, count in adapter.tokens.items():
        for module in modules:
            if module.kind == "embedding" and not module.axes and has_end(module.pattern, (name,)):
                tensor = f"{module.pattern}{part}.trainable_tokens_delta"
                shape = (count, module.shape[-1])
                prediction.tensors.append(PredictedTensor(tensor, shape, True, True))


def _biases(
    prediction: Prediction,
    adapter: Adapter,
    modules: Sequence[ClassModule],
    adapted: Iterable[BaseModule],
) -> None:
    """Add the biases of modules that are not adapted, where all are trained."""
    if adapter.bias != "all":
        return
    own = {base.name for base in adapted}
    from .targets import every_module

    for name, module in every_module(modules, adapter.replicated_layers):
        if module.bias and name not in own:
            prediction.tensors.append(PredictedTensor(f"{name}.bias", (module.bias,), True, True))


def _folded(members: Iterable[_Member]) -> list[AdaptedGroup]:
    """Return adapted modules, those that are alike together."""
    groups: dict[tuple[str, str, _Shape, int | None, float | None], list[_Member]] = {}
    for member in members:
        pattern, _ = fold(member.name)
        module = member.module
        key = (pattern, module.kind, module.shape, member.rank, member.scale)
        alike = groups.setdefault(key, [])
        alike.append(member)
    return [
        AdaptedGroup(
            module=pattern,
            count=len(alike),
            kind=kind,
            shape=shape,
            rank=rank,
            scale=scale,
            parameters=sum(member.elements for member in alike),
        )
        for (pattern, kind, shape, rank, scale), alike in groups.items()
    ]


def _fields(prefix: str, tensor: AdapterTensor) -> tuple[str, _Shape, bool, bool]:
    return prefix + tensor.name, tensor.shape, tensor.trained, tensor.stored


def _elements(shape: _Shape) -> int:
    elements = 1
    for size in shape:
        elements *= size
    return elements
