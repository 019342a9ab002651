"""Compare the stored tensors of an adapter with those that its config and base predict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from ...architecture.adapters import Adapter
from ...architecture.schema import Finding
from ...errors import printable
from ...sources.raw import fold
from ...tensors.class_modules import ClassModule
from ...tensors.template import TensorRow
from ..findings import info_finding, weights_finding
from ..indices import folded_names
from .predicting import PredictedTensor, Prediction
from .storing import ModuleNames, StoredTensor, split_name
from .targets import has_end

_Shape = tuple[int, ...]
_COPIES = ("base_layer.weight", "base_layer.bias")
"""What PEFT stores of the base beside an adapter of the embedding or the head."""
_OWN_HEADS = ("score", "classifier", "qa_outputs", "v_head")
"""Modules of classes with another head, which the base does not have."""
_HEAD_TASKS = ("seq_cls", "token_cls", "question_ans")


@dataclass
class Joined:
    """What the stored tensors of an adapter were found to be."""

    findings: list[Finding] = field(default_factory=list[Finding])
    copies: int = 0
    """Elements of weights of the base that are stored again."""
    uncertain: bool = False
    """Whether something could not be compared."""


class BaseModules:
    """The modules of the base by canonical name."""

    def __init__(
        self, modules: Iterable[ClassModule], rows: Sequence[TensorRow], names: ModuleNames
    ):
        self.names = names
        self.patterns: dict[str, list[tuple[_Shape, tuple[frozenset[int], ...]]]] = {}
        for module in modules:
            self._add(module.pattern, module.shape, module.axes)
            holder = module.pattern.removesuffix(".weight").rpartition(".")[0]
            while holder:
                outer = module.axes[: holder.count("{}")]
                self._add(holder, (), outer)
                holder = holder.rpartition(".")[0]
        for row in rows:
            self._add(row.pattern, row.shape, row.axes)

    def _add(self, pattern: str, shape: _Shape, axes: Iterable[Iterable[int]]) -> None:
        key = self.names.pattern_key(pattern)
        known = self.patterns.setdefault(key, [])
        place = (shape, tuple(frozenset(axis) for axis in axes))
        if place not in known:
            known.append(place)

    def has(self, module: str) -> bool:
        """Return whether the base has a module of this name."""
        pattern, index = fold(self.names.key(module))
        for _, axes in self.patterns.get(pattern, ()):
            if len(axes) == len(index) and all(
                i in axis for i, axis in zip(index, axes, strict=True)
            ):
                return True
        return False

    def shapes(self, module: str) -> list[_Shape]:
        """Return the shapes that the weight of a module may have."""
        pattern, _ = fold(self.names.key(module))
        return [shape for shape, _ in self.patterns.get(pattern, ()) if shape]


def join(
    adapter: Adapter,
    prediction: Prediction,
    stored: Sequence[StoredTensor],
    base: BaseModules,
    vocabulary: int,
) -> Joined:
    """Return how the stored tensors agree with the predicted ones.

    vocabulary: tokens of the base's embedding.
    """
    joined = Joined()
    names = base.names
    expected = {_key(names, *split_name(t.name)): t for t in prediction.tensors if t.stored}
    unexpected: dict[str, list[StoredTensor]] = {"module": [], "tensor": []}
    wrong: list[tuple[StoredTensor, _Shape]] = []
    resized: list[StoredTensor] = []
    found: set[tuple[str, str]] = set()
    for tensor in stored:
        key = _key(names, tensor.module, tensor.leaf)
        predicted = expected.get(key)
        if predicted is not None:
            found.add(key)
            if tensor.shape is not None and tensor.shape != predicted.shape:
                if _is_resized(tensor, predicted.shape, vocabulary):
                    resized.append(tensor)
                else:
                    wrong.append((tensor, predicted.shape))
        elif _is_copy(tensor, base):
            joined.copies += prod(tensor.shape or (0,))
            if any(_is_resized(tensor, shape, vocabulary) for shape in base.shapes(tensor.module)):
                resized.append(tensor)
        elif not _is_own_head(adapter, tensor):
            kind = "module"
            if not tensor.module or base.has(tensor.module):
                kind = "tensor"
            unexpected[kind].append(tensor)
    missing = [t for key, t in expected.items() if key not in found]
    joined.uncertain = bool(prediction.unknown)
    joined.findings += _unexpected_findings(unexpected, prediction)
    joined.findings += _shape_findings(wrong)
    joined.findings += _resized_findings(resized, vocabulary)
    if not prediction.unknown:
        joined.findings += _missing_findings(missing)
    return joined


def _key(names: ModuleNames, module: str, leaf: str) -> tuple[str, str]:
    """Return what is equal for spellings of a tensor."""
    if not module:
        return "", leaf.removeprefix("base_model.")
    return names.key(module), leaf


def _is_copy(tensor: StoredTensor, base: BaseModules) -> bool:
    """Return whether a tensor is a weight of the base that is stored again."""
    if tensor.leaf in _COPIES:
        return True
    return tensor.leaf == "weight" and has_end(tensor.module, _TABLES) and base.has(tensor.module)


_TABLES = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out", "word_embeddings")
"""Modules of embeddings and heads, which PEFT stores where their size was changed."""


def _is_resized(tensor: StoredTensor, shape: _Shape, vocabulary: int) -> bool:
    """Return whether a shape differs in the tokens of the vocabulary alone."""
    stored = tensor.shape
    if stored is None or len(stored) != len(shape) or vocabulary not in shape:
        return False
    place = shape.index(vocabulary)
    rest = [size for i, size in enumerate(shape) if i != place]
    own = [size for i, size in enumerate(stored) if i != place]
    return rest == own and stored[place] != vocabulary


def _is_own_head(adapter: Adapter, tensor: StoredTensor) -> bool:
    """Return whether a tensor is a head that the adapted class has and the base has not."""
    if adapter.task not in _HEAD_TASKS:
        return False
    saved = (*adapter.saved_modules, *_OWN_HEADS)
    return any(part in saved for part in tensor.module.split("."))


def _unexpected_findings(
    unexpected: dict[str, list[StoredTensor]], prediction: Prediction
) -> list[Finding]:
    """Return findings about tensors of modules that are not in the base, or not targeted."""
    findings: list[Finding] = []
    for name, count in _folded(t.name for t in unexpected["module"]):
        message = f"{count} for modules that the base does not have; PEFT leaves them out"
        findings.append(weights_finding("adapter-module-unknown", name, message))
    if prediction.unknown:
        return findings
    for name, count in _folded(t.name for t in unexpected["tensor"]):
        message = f"{count} that the config does not make; PEFT leaves them out"
        findings.append(weights_finding("adapter-tensor-unexpected", name, message))
    return findings


def _shape_findings(wrong: Iterable[tuple[StoredTensor, _Shape]]) -> list[Finding]:
    """Return findings about shapes that do not fit the base."""
    groups: dict[tuple[_Shape, _Shape], list[str]] = {}
    for tensor, expected in wrong:
        names = groups.setdefault((tensor.shape or (), expected), [])
        names.append(tensor.name)
    findings: list[Finding] = []
    for (shape, expected), names in groups.items():
        for name, count in _folded(names):
            message = f"{count} of {[*shape]}; {[*expected]} fits config and base"
            finding = weights_finding("adapter-shape", name, message, [*expected], [*shape])
            findings.append(finding)
    return findings


def _resized_findings(resized: Iterable[StoredTensor], vocabulary: int) -> list[Finding]:
    """Return a finding about each tensor that has another vocabulary than the base."""
    findings: list[Finding] = []
    for tensor in resized:
        shape = tensor.shape or ()
        message = (
            f"{[*shape]}, but the base has {vocabulary:,} tokens: its embedding was resized before"
            " training, and has to be before loading"
        )
        name = printable(tensor.name)
        findings.append(weights_finding("adapter-vocabulary", name, message, vocabulary, [*shape]))
    return findings


def _missing_findings(missing: Iterable[PredictedTensor]) -> list[Finding]:
    """Return findings about tensors that the config makes and the file does not have."""
    findings: list[Finding] = []
    for name, count in _folded(t.name for t in missing):
        message = f"{count} that config and base make and the file does not have; PEFT keeps them"
        findings.append(weights_finding("adapter-tensor-missing", name, f"{message} as they began"))
    return findings


def missing_target_findings(prediction: Prediction, file: str) -> list[Finding]:
    """Return findings about targets that the base does not have.

    file: name of the config.
    """
    targets = prediction.targets
    nothing = not targets.modules and not targets.parameters
    findings: list[Finding] = []
    for name in targets.missing:
        message = f"{printable(file)} targets {printable(name)}, which the base does not have"
        if nothing:
            message += "; nor any other target, so that PEFT refuses it"
            findings.append(weights_finding("adapter-target-missing", printable(name), message))
        else:
            findings.append(info_finding("adapter-target-missing", printable(name), message))
    return findings


def _folded(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return names in short, each with how many tensors it stands for in words."""
    groups: dict[str, list[tuple[int, ...]]] = {}
    for name in names:
        pattern, index = fold(name)
        indices = groups.setdefault(pattern, [])
        indices.append(index)
    result: list[tuple[str, str]] = []
    for pattern, indices in groups.items():
        name = folded_names(pattern, indices)[0]
        count = len(indices)
        words = f"{count} tensors"
        if count == 1:
            words = "1 tensor"
        result.append((printable(name), words))
    return result
