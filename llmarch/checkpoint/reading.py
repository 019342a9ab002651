"""From raw evidence to a Reading: find the family, read the config, build the architecture, hold it against the tensor headers."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal

from ..analyses.parameters import count_parameters
from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, Evidence, Finding
from ..config import families
from ..config.quantization import quantization
from ..config.vocabulary import ConfigKeys, Family, build
from ..errors import ConfigError, UnknownFamily
from ..sources.raw import RawModel
from ..tensors.naming import TensorRow

if TYPE_CHECKING:
    from .inference.model import Observed
    from .verify import Verification

Status = Literal["computed", "verified", "partial", "conflict", "observed"]


@frozen
class Reading(Frozen):
    """An architecture with its evidence by dotted path, what the headers said of it, and what nobody could use.

    `status`: `computed` from the config alone, `verified` by every tensor header, `partial` where some could not be read, `conflict`
    where they disagree, `observed` from headers without a family. `rows`: the tensor template.
    """

    raw: RawModel
    architecture: Architecture
    evidence: dict[str, Evidence]
    findings: tuple[Finding, ...]
    unread_keys: tuple[str, ...]
    status: Status
    rows: list[TensorRow] = field(repr=False)
    check: Verification | None = None

    @property
    def name(self) -> str:
        return self.raw.name


@frozen
class Observation(Frozen):
    """What tensor names and shapes alone tell of a model that no family reads; `why` says why none does."""

    raw: RawModel
    observed: Observed
    why: str

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def status(self) -> Status:
        return "partial" if self.raw.partial else "observed"

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.raw.findings, *self.observed.findings)


def inspect(raw: RawModel) -> Reading | Observation:
    """`read`, or an Observation where there is no family (or no config) but tensor headers. Raises as `read` does."""
    try:
        return read(raw)
    except UnknownFamily as error:
        if raw.tensors is None or not raw.tensors.has_shapes:
            raise
        from .inference.model import observe

        return Observation(
            raw, observe(raw.tensors, raw.config, partial=raw.partial), error.message
        )


def read(raw: RawModel) -> Reading:
    """Read raw evidence. Raises ConfigError (or UnknownFamily) where the config is not one that a family can read."""
    if raw.config is None:
        raise UnknownFamily(
            f"{raw.reference}: there is no config.json or params.json",
            "A config is needed to know what the tensors mean.",
        )
    family, config = configure(raw.config, raw.config_file)
    evidence: dict[str, Evidence] = {}
    try:
        tree = family.read(config)
        if "quantization" not in tree.fields:
            tree = tree.replace(quantization=quantization(config))
        architecture = build(tree, family.ref, evidence)
        rows = family.template(architecture)
        count_parameters(architecture)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        StopIteration,
        TypeError,
        ValueError,
    ) as error:
        # Each key was of its type and in bounds, but together they make no model: a factor of 0, a list that names no known layer.
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{raw.config_file}: its values make no {family.name} model ({what})",
            "Compare it with a published one.",
        ) from error
    check = None
    status: Status = "computed"
    findings = list(raw.findings)
    if raw.tensors is not None:
        from .verify import verify

        check = verify(architecture, rows, raw.tensors, partial=raw.partial)
        status = (
            "conflict"
            if check.status == "verified" and any(f.severity != "info" for f in findings)
            else check.status
        )
        findings += check.findings
        for path, patterns in check.confirmed.items():
            if path in evidence:
                evidence[path] = replace(evidence[path], confirmed_by=patterns)
    return Reading(
        raw, architecture, evidence, tuple(findings), tuple(config.unread()), status, rows, check
    )


def configure(data: dict[str, Any], file: str) -> tuple[Family, ConfigKeys]:
    """The family of a config, and the config ready to be read by it."""
    if file == "params.json":
        from ..config.mistral_native import translate

        data, spelled = translate(data)
        model_type: Any = data["model_type"]
        family = families.find(model_type, file)
        return family, family.config(data, file, model_type, spelled)
    model_type = data.get("model_type")
    if model_type is None:
        named: Any = data.get("architectures")
        hint = (
            f"architectures says {named[0]!r}; model_type is what says how to read the other keys."
            if isinstance(named, list) and named
            else None
        )
        raise UnknownFamily(f"{file}: model_type is missing", hint)
    if not isinstance(model_type, str):
        raise ConfigError(f"{file}: model_type is {model_type!r}; a string is needed")
    family = families.find(model_type, file)
    return family, family.config(data, file, model_type)
