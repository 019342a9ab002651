"""Turn the raw evidence of an adapter, and its base, into what the adapter is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import field, replace
from math import prod

from ...architecture.adapters import AdaptedGroup, Adapter
from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Finding
from ...config.adapter_config import PEFT_METHODS, read_adapter_config
from ...config.families import family_named
from ...errors import NotAModel, printable
from ...sources.raw import RawModel, fold
from ...tensors.adapters import computes, is_prompt
from ...tensors.class_modules import ClassModule
from ..findings import info_finding, limit_findings, weights_finding
from ..reading import Reading, Status
from .base import modules_of_base
from .joining import BaseModules, join, missing_target_findings
from .predicting import Prediction, predict, predict_prompt
from .storing import ModuleNames, StoredTensor, stored_tensors
from .targets import TargetMatcher, has_end


@frozen
class AdapterReading(Frozen):
    """An adapter, and how it agrees with its base model."""

    raw: RawModel
    adapter: Adapter
    base: Reading | None
    """The base model. None: it was not read; `base_reason` says why."""
    base_reason: str
    findings: tuple[Finding, ...]
    unread_keys: tuple[str, ...]
    status: Status
    """`computed` from config and base alone, `verified` where all stored tensors are those that
    these make, `partial` where not all could be compared, `conflict` where they disagree,
    `observed` without a base."""
    groups: list[AdaptedGroup] = field(repr=False)
    """The adapted modules."""
    trained: int | None
    """Parameters that are trained, by config and base. None: not known; `unknown` says why."""
    unknown: str
    stored: int | None
    """Elements of the stored tensors. None: no shapes were read."""
    copies: int
    """Elements among these that are weights of the base, stored again."""

    @property
    def name(self) -> str:
        """Return the name of the adapter."""
        return self.raw.name


def read_adapter(raw: RawModel, base: Reading | None, base_reason: str = "") -> AdapterReading:
    """Return what an adapter is.

    raw: the adapter's files.
    base: its base model; None: it could not be read.
    base_reason: why there is none.

    Raises ConfigError for a config that cannot be read, NotAModel for one of another kind.
    """
    if raw.config is None:
        raise NotAModel(f"{raw.reference} has no adapter_config.json")
    adapter, unread = read_adapter_config(raw.config, raw.config_file)
    stored: list[StoredTensor] = []
    has_shapes = False
    if raw.tensors is not None:
        stored = stored_tensors(raw.tensors)
        has_shapes = raw.tensors.has_shapes
    compared = _Compared(adapter, raw.config_file)
    compared.findings += [*raw.findings, *_config_findings(adapter, raw.config_file)]
    compared.predict(base, stored)
    if base is not None and stored:
        compared.join(base, stored)
    prediction = compared.prediction
    findings = tuple(limit_findings(compared.findings))
    uncertain = compared.uncertain or raw.partial or not has_shapes
    elements = None
    if raw.tensors is not None and has_shapes:
        elements = raw.tensors.elements
    return AdapterReading(
        raw=raw,
        adapter=adapter,
        base=base,
        base_reason=base_reason,
        findings=findings,
        unread_keys=unread,
        status=_status(base, stored, findings, uncertain),
        groups=prediction.groups or _observed_groups(stored),
        trained=prediction.trained,
        unknown="; ".join(prediction.unknown[:1]),
        stored=elements,
        copies=compared.copies,
    )


class _Compared:
    """An adapter while it is compared with its base."""

    def __init__(self, adapter: Adapter, file: str) -> None:
        self.adapter = adapter
        self.file = file
        self.findings: list[Finding] = []
        self.prediction = Prediction()
        self.copies = 0
        self.uncertain = False
        self._modules: list[ClassModule] = []

    def predict(self, base: Reading | None, stored: list[StoredTensor]) -> None:
        """Find what config and base make. Raises ConfigError."""
        adapter = self.adapter
        if base is not None:
            self._modules = _modules_of_layout(base, adapter, stored)
        if is_prompt(adapter.method):
            self.prediction = predict_prompt(adapter)
            if base is not None:
                self.findings += _prompt_findings(adapter, base, self.file)
        elif not computes(adapter.method):
            reason = f"llmarch does not know the tensors of {printable(adapter.method)}"
            self.prediction.unknown.append(reason)
        elif base is None:
            self.prediction.unknown.append("its base model was not read")
        else:
            self._predict_modules()

    def _predict_modules(self) -> None:
        """Find the targets of an adapter in its base, and what it has for them."""
        matcher = TargetMatcher(self.adapter, self.file)
        self.prediction = predict(self.adapter, self._modules, matcher)
        self.findings += missing_target_findings(self.prediction, self.file)
        if matcher.not_compared:
            shown = printable(matcher.not_compared[0], 60)
            self.prediction.unknown.append(f"{shown} takes too long to match")

    def join(self, base: Reading, stored: list[StoredTensor]) -> None:
        """Compare the stored tensors with the predicted ones."""
        a = base.architecture
        conversion = family_named(a.family).conversion(a)
        names = ModuleNames(base.rows, conversion)
        joined = join(
            self.adapter,
            self.prediction,
            stored,
            BaseModules(self._modules, base.rows, names),
            a.embedding_rows,
        )
        self.findings += joined.findings
        self.copies = joined.copies
        self.uncertain = joined.uncertain


def _modules_of_layout(
    base: Reading, adapter: Adapter, stored: list[StoredTensor]
) -> list[ClassModule]:
    """Return the modules of the class that an adapter was trained on.

    transformers 5 stacks experts. Adapters of earlier classes have them one by one: by their
    tensors, else by targets that no module of the newer class has. PEFT converts them.
    """
    stacked = modules_of_base(base)
    apart = modules_of_base(base, stacks_experts=False)
    known = {module.pattern for module in stacked}
    experts = [m.pattern for m in apart if m.pattern not in known and m.component == "experts"]
    if not experts or adapter.target_parameters:
        return stacked
    if stored:
        names = {fold(tensor.module)[0] for tensor in stored}
        has_one = any(".experts.{}" in name for name in names)
        return apart if has_one else stacked
    ends = [end for end in adapter.targets if any(has_end(name, (end,)) for name in experts)]
    return apart if ends else stacked


def _status(
    base: Reading | None, stored: list[StoredTensor], findings: Iterable[Finding], uncertain: bool
) -> Status:
    """Return how far an adapter was checked."""
    if any(finding.severity != "info" for finding in findings):
        return "conflict"
    if base is None:
        return "observed"
    if not stored:
        return "computed"
    if uncertain:
        return "partial"
    return "verified"


def _config_findings(adapter: Adapter, file: str) -> list[Finding]:
    """Return findings about what the config says by itself."""
    findings: list[Finding] = []
    if adapter.method not in PEFT_METHODS:
        message = f"PEFT 0.21.2 has no method {printable(adapter.method)}"
        findings.append(weights_finding("adapter-method-unknown", file, message))
    if adapter.rank == 0 and adapter.method == "lora":
        message = "the rank is 0; PEFT refuses it"
        findings.append(weights_finding("adapter-value", f"{file}: r", message))
    return findings


def _prompt_findings(adapter: Adapter, base: Reading, file: str) -> list[Finding]:
    """Return findings about sizes of virtual tokens that are not the base's."""
    a = base.architecture
    findings: list[Finding] = []
    layers = adapter.sizes.get("num_layers")
    if layers is not None and layers != len(a.layers):
        message = f"num_layers is {layers}, but the base has {len(a.layers)} layers"
        finding = weights_finding(
            "adapter-shape", f"{file}: num_layers", message, len(a.layers), layers
        )
        findings.append(finding)
    width = adapter.sizes.get("token_dim")
    is_embedding = adapter.method in ("prompt_tuning", "p_tuning")
    if is_embedding and width is not None and width != a.hidden_size:
        message = f"token_dim is {width}, but the base has a hidden size of {a.hidden_size:,}"
        path = f"{file}: token_dim"
        findings.append(weights_finding("adapter-shape", path, message, a.hidden_size, width))
    return findings


def _observed_groups(stored: list[StoredTensor]) -> list[AdaptedGroup]:
    """Return the modules that stored tensors name, without a base that tells what they are."""
    elements: Counter[str] = Counter()
    ranks: dict[str, int] = {}
    for tensor in stored:
        if not tensor.module:
            continue
        elements[tensor.module] += prod(tensor.shape or (0,))
        if tensor.leaf.endswith(("lora_A.weight", "lora_embedding_A")) and tensor.shape:
            ranks[tensor.module] = tensor.shape[0]
    groups: dict[tuple[str, int | None, int], int] = {}
    for module, count in elements.items():
        pattern, _ = fold(module)
        key = (pattern, ranks.get(module), count)
        groups[key] = groups.get(key, 0) + 1
    return [
        AdaptedGroup(pattern, count, "unknown", None, rank, None, own * count)
        for (pattern, rank, own), count in groups.items()
    ]


def base_finding(adapter: Adapter, given: str, base: RawModel) -> Finding | None:
    """Return the remark that another base was given than the adapter names.

    given: how the base was named; base: what was read for it.
    """
    if adapter.base is None:
        return None
    names = {name.lower() for name in (given, base.repo_id) if name}
    if adapter.base.lower() in names:
        return None
    message = f"compared with {printable(given)}; the adapter names {printable(adapter.base)}"
    return info_finding("adapter-other-base", printable(given), message)


def with_finding(reading: AdapterReading, finding: Finding | None) -> AdapterReading:
    """Return a reading with one finding more."""
    if finding is None:
        return reading
    return replace(reading, findings=(*reading.findings, finding))
