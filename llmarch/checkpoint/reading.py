"""Turn raw evidence into a Reading: find the family, read the config, compare it with the headers.

A model that no family reads becomes an Observation where there are tensor headers.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal

from ..analyses.parameters import Parameters, count_parameters
from ..architecture.frozen import Frozen, frozen
from ..architecture.paths import find_value, replace_value
from ..architecture.schema import Architecture, Evidence, Finding
from ..config import families
from ..config.certainty import add_certainty
from ..config.class_names import check_class
from ..config.evidence import Draft
from ..config.expert_statements import check_expert_keys
from ..config.findings import NOT_DESCRIBED
from ..config.gpt_oss_original import (
    hub_pattern,
    is_original_gpt_oss,
    rows_of_attention,
    translate_original,
)
from ..config.head import add_head, model_class
from ..config.impossible import check_facts
from ..config.quantization_keys import find_quantization_keys
from ..config.vocabulary import ConfigKeys, Family, build
from ..errors import (
    ConfigError,
    FactError,
    InternalError,
    NotAModel,
    OtherKindOfModel,
    UnknownFamily,
    printable,
)
from ..sources.raw import GGUF_WRITER, RawModel, TensorTable, is_gguf_document, unfold
from ..tensors.template import TensorRow
from .drafts import DraftHead, draft_error

if TYPE_CHECKING:
    from .inference.model import InferredModel
    from .variants import KeyVariant, KeyVariants
    from .verify import Verification

_MAX_EXPECTED = 2_000_000
"""Tensors that a config may ask for: twice what the headers of a checkpoint may hold, and 28 times
those of the published model with the most."""

Status = Literal["computed", "verified", "partial", "conflict", "observed"]


@frozen
class Reading(Frozen):
    """An architecture with its evidence, and the result of the header check."""

    raw: RawModel
    architecture: Architecture
    config_evidence: dict[str, Evidence]
    """By dotted path of the fact, without the tensors that prove it."""
    findings: tuple[Finding, ...]
    unread_keys: tuple[str, ...]
    """Config keys that nothing read."""
    status: Status
    """`computed` from the config alone, `verified` by every tensor header, `partial` where some
    could not be read or compared, `conflict` where they disagree."""
    rows: list[TensorRow] = field(repr=False)
    """The tensor template."""
    check: Verification | None = None

    @property
    def name(self) -> str:
        """Return the name of the model."""
        return self.raw.name

    @functools.cached_property
    def evidence(self) -> dict[str, Evidence]:
        """Return the evidence of each fact by its dotted path, with the tensors that prove it.

        Where only the source is asked for, `config_evidence` has it without that search.
        """
        if self.check is None:
            return self.config_evidence
        found = dict(self.config_evidence)
        for path, tensors in self.check.confirmed.items():
            evidence = found.get(path)
            if evidence is not None:
                found[path] = replace(evidence, confirmed_by=tensors)
        return found

    @property
    def tells_of_mtp(self) -> bool:
        """Return whether it is known if there are MTP modules: by the config or by headers."""
        if self.check is not None or self.architecture.mtp is not None:
            return True
        evidence = self.config_evidence.get("mtp")
        return evidence is None or evidence.kind != "unknown"

    def with_published_mtp(self) -> Architecture | None:
        """Return the architecture with the MTP modules that checkpoints are published with.

        It is for a config that does not tell whether they are stored. None if no layout is known.
        """
        a = self.architecture
        for candidate in families.family_named(a.family).mtp_candidates(a):
            return replace(a, mtp=candidate.mtp)
        return None

    def declared_bits(self) -> dict[str, float] | None:
        """Return the mean bits of a weight by component as the config declares them.

        None if it declares no quantisation, or one without bits.
        """
        quantization = self.architecture.quantization
        if quantization is None:
            return None
        from .declared_bits import bits_as_declared

        conversion = None
        if not str((self.raw.config or {}).get("transformers_version", "")).startswith("4."):
            conversion = families.family_named(self.architecture.family).conversion(
                self.architecture
            )
        return bits_as_declared(self.rows, quantization, self.architecture.dtype, conversion)


@frozen
class Observation(Frozen):
    """What tensor names and shapes alone tell of a model that no family reads."""

    raw: RawModel
    observed: InferredModel
    why: str
    """Why no family reads it."""
    draft: str = ""
    """What draft head it is, for another model: `an EAGLE-3 draft head`. Empty: a model."""

    @property
    def name(self) -> str:
        """Return the name of the model."""
        return self.raw.name

    @property
    def status(self) -> Status:
        """Return `observed`, or `partial` where some headers could not be read."""
        if self.raw.partial:
            return "partial"
        return "observed"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings of the source and of the inference.

        A tensor that only the index lists may be one that the model needs: no template tells.
        """
        of_source = [
            replace(f, severity="weights") if f.rule == "index-tensor-missing" else f
            for f in self.raw.findings
        ]
        return (*of_source, *self.observed.findings)


def read_or_infer(raw: RawModel, *, config_suffices: bool = False) -> Reading | Observation:
    """Return what `read_model` does, or an Observation where only tensor headers can be read.

    That is where there is no family or no config. Raises what `read_model` raises, without headers.

    config_suffices: whether an Observation may have a config alone, of which nothing is known, and
        be of an encoder or another kind of model.
    """
    try:
        return read_model(raw)
    except (UnknownFamily, NotAModel) as error:
        if isinstance(error, NotAModel) and not config_suffices:
            raise
        table = raw.tensors
        if table is None or not table.has_shapes:
            if not config_suffices or raw.config is None:
                raise
            table = TensorTable()
        from .inference.model import infer_model

        config = raw.config
        if table.writer == GGUF_WRITER:
            from .gguf.unpacking import generic_table

            table, config = generic_table(table), None
        observed = infer_model(table, config, partial=raw.partial)
        draft = error.kind if isinstance(error, DraftHead) else ""
        return Observation(raw, observed, error.message, draft)


def read_model(raw: RawModel) -> Reading:
    """Return the architecture of raw evidence, compared with its tensor headers if there are any.

    Raises ConfigError (or UnknownFamily) where the config is not one that a family can read, and
    NotAModel for another kind of model.
    """
    if raw.other_kind:
        raise OtherKindOfModel(printable(raw.reference), raw.other_kind)
    raw = with_hub_names(raw)
    if raw.config is None:
        raise UnknownFamily(
            f"{raw.reference}: there is no config.json or params.json",
            "A config is needed to know what the tensors mean.",
        )
    draft_head = None if is_gguf_document(raw.config) else draft_error(raw)
    if draft_head is not None:
        raise draft_head
    family, config = configure(raw.config, raw.config_file)
    if raw.quantization_file:
        from ..config.quantization import spellings_beside

        config.native_keys = {
            **config.native_keys,
            **spellings_beside(raw.config, raw.quantization_file),
        }
    evidence: dict[str, Evidence] = {}
    try:
        architecture, rows = build_with_template(family, config, evidence)
    except FactError as error:
        raise ConfigError(
            f"{raw.config_file}: its values do not make a {family.name} model ({error})",
            "Compare it with a published one.",
        ) from error

    _check_number_of_tensors(rows, raw.config_file)
    architecture = without_unknown_facts(raw, architecture, evidence)
    if is_gguf_document(raw.config):
        architecture = without_unstated_facts(raw.config, architecture, evidence)
        rows = family.template(architecture)
    add_certainty(evidence, raw.provenance)
    unread = tuple(config.unread())
    stated = config.findings
    if is_gguf_document(raw.config):
        from ..config.gguf import contradicted_keys

        stated = [*stated, *contradicted_keys(raw.config, architecture)]
    if raw.tensors is None:
        findings = (*raw.findings, *stated)
        return Reading(raw, architecture, evidence, findings, unread, "computed", rows)

    # not imported for bundled specs, which have no headers
    from .heads import settle_head
    from .settling import TIED, denied_tensors, settle_tie, settled_findings
    from .verify import verify

    keys = key_variants(raw.config, config)

    def compare_with(tensors: TensorTable, a: Architecture, *, partial: bool) -> Verification:
        names = family.conversion(a)
        rows = family.template(a)
        return verify(a, rows, tensors, conversion=names, keys=keys, partial=partial)

    compare = functools.partial(compare_with, raw.tensors, partial=raw.partial)

    settled: list[Finding] = []
    if not raw.partial and raw.tensors.has_shapes:
        architecture, settled = settle_head(architecture, raw, config.unsettled, evidence)
        rows = family.template(architecture)
    if TIED in config.unsettled and not raw.partial:
        architecture, check = settle_tie(architecture, compare, evidence)
        rows = family.template(architecture)
        stated = settled_findings(stated, config.unsettled, architecture)
    else:
        check = compare(architecture)

    stated = denied_tensors(stated)

    # A finding of the source (an index that names another shape) is not seen by the check.
    status: Status = check.status
    if status == "verified" and any(f.severity != "info" for f in raw.findings):
        status = "conflict"
    if any(f.severity != "info" and f.rule != NOT_DESCRIBED for f in stated):
        status = "conflict"
    rival: list[Finding] = []
    if raw.rival is not None:
        from .rivals import rival_findings

        other = compare_with(raw.rival.tensors, architecture, partial=raw.rival.partial)
        rival = rival_findings(raw.rival, other, check)
        if rival:
            status = "conflict"
        elif raw.rival.partial and status == "verified":
            status = "partial"
    findings = (*raw.findings, *stated, *settled, *check.findings, *rival)
    return Reading(raw, architecture, evidence, findings, unread, status, rows, check)


def with_hub_names(raw: RawModel) -> RawModel:
    """Return gpt-oss's `original/` with the names of tensors that are published beside it.

    Queries, keys and values are one matrix there, in this order; they become three. Any other model
    is returned as it is.
    """
    if raw.tensors is None or raw.config is None or not is_original_gpt_oss(raw.config):
        return raw
    renamed = TensorTable()
    renamed.writer = raw.tensors.writer
    parts = rows_of_attention(raw.config)
    for group in raw.tensors:
        pattern = hub_pattern(group.pattern)
        shapes = {pattern: group.shape}
        fits = group.shape is not None and group.shape[:1] == (sum(parts.values()),)
        if fits and ".qkv_proj." in pattern:
            rest = (group.shape or ())[1:]
            shapes = {
                pattern.replace(".qkv_proj.", f".{part}_proj."): (rows, *rest)
                for part, rows in parts.items()
            }
        for name, shape in shapes.items():
            for index in group.indices:
                renamed.add(unfold(name, index), group.dtype, shape)
    return replace(raw, tensors=renamed)


def without_unknown_facts(
    raw: RawModel, architecture: Architecture, evidence: dict[str, Evidence]
) -> Architecture:
    """Return the architecture without what the config of a bundled spec says wrongly.

    A reconstructed config may have a value of another model, or lack the model's own: its
    provenance names such facts. `evidence` gets the reasons.
    """
    reasons: dict[str, str] = (raw.provenance or {}).get("unknown") or {}
    for path, reason in reasons.items():
        evidence[path] = Evidence(kind="unknown", ref=reason)
    return replace(architecture, **dict.fromkeys(reasons)) if reasons else architecture


def without_unstated_facts(
    document: Mapping[str, Any], architecture: Architecture, evidence: dict[str, Evidence]
) -> Architecture:
    """Return the architecture without the facts that a GGUF file does not state.

    `evidence` gets the reasons.
    """
    from ..config.gguf import unstated_facts

    for end, reason in unstated_facts(document).items():
        paths = [path for path in evidence if path == end or path.endswith(f".{end}")]
        for path in paths:
            for inner_path in [known for known in evidence if known.startswith(f"{path}.")]:
                del evidence[inner_path]
            evidence[path] = Evidence(kind="unknown", ref=reason)
            if not isinstance(find_value(architecture, path), bool):
                architecture = replace_value(architecture, path, None)
    return architecture


def key_variants(data: dict[str, Any], config: ConfigKeys) -> KeyVariants:
    """Return a config that has been read, to be read again with other values of its keys.

    data: as the file has it.
    """
    from .variants import KeyVariant, KeyVariants

    def read(changed: dict[str, Any]) -> KeyVariant:
        family, keys = configure(changed, config.file)
        evidence: dict[str, Evidence] = {}
        return KeyVariant(build_architecture(family, keys, evidence), evidence)

    if config.file == "params.json":  # its keys have other names
        from ..config.mistral_native import native_name

        named = {native_name(key): value for key, value in config.assumed.items()}
        assumed = {key: value for key, value in named.items() if key is not None}
        return KeyVariants(data, None, read, assumed)
    return KeyVariants(data, config.read_keys, read, config.assumed)


def build_with_template(
    family: Family, config: ConfigKeys, evidence: dict[str, Evidence]
) -> tuple[Architecture, list[TensorRow]]:
    """Return the architecture of a config and its tensor template.

    `evidence` is filled with the evidence of each fact. Raises ConfigError or
    FactError for values that make no model.
    """
    architecture = build_architecture(family, config, evidence)
    rows = family.template(architecture)
    check_counts(count_parameters(architecture), rows, config.file)
    return architecture, rows


def _check_number_of_tensors(rows: Iterable[TensorRow], file: str) -> None:
    """Raise ConfigError for more tensors than a checkpoint can have, before they are compared."""
    count = sum(row.count for row in rows)
    if count > _MAX_EXPECTED:
        raise ConfigError(
            f"{file}: its values ask for {count:,} tensors, more than {_MAX_EXPECTED:,}",
            "Compare its numbers of layers and experts with published ones.",
        )


def build_architecture(
    family: Family, config: ConfigKeys, evidence: dict[str, Evidence]
) -> Architecture:
    """Return the architecture of a config; `evidence` is filled, as in `build_with_template`."""
    draft = add_head(config, family.read_layers(config), family.config_class.values())
    named = model_class(config)
    if named is not None:
        others = family.other_classes.get(config.model_type, ())
        check_class(config, named, family.config_class, others)
    if "quantization" not in draft.fields:
        draft = draft.replace(quantization=read_quantization(config))
    architecture: Architecture = build(draft, family.ref, evidence)
    check_facts(config, architecture, evidence)
    check_expert_keys(config, architecture)
    return architecture


def read_quantization(config: ConfigKeys) -> Draft | None:
    """Return the quantization that a config declares, None where it declares none.

    What reads declarations is imported only where there is one.
    """
    declaration = find_quantization_keys(config)
    if declaration is None:
        return None
    from ..config.quantization import read_declaration

    return read_declaration(declaration)


def check_counts(parameters: Parameters, rows: list[TensorRow], file: str) -> None:
    """Compare the count from facts with the sum over the template, for each component.

    Each of the two is the check of the other. Raises InternalError where they disagree.
    """
    expected: Counter[str] = Counter()
    for row in rows:
        expected[row.component] += row.parameters
    counted = dict(parameters.by_component)
    if parameters.mtp is not None:
        counted["mtp"] = parameters.mtp
    for component in {**counted, **expected}:
        by_facts = counted.get(component, 0)
        by_tensors = expected[component]
        if by_facts != by_tensors:
            raise InternalError(
                f"{file}: llmarch counts {by_facts:,} parameters of {component} from the facts,"
                f" but {by_tensors:,} from the tensors that it expects"
            )


def configure(data: dict[str, Any], file: str) -> tuple[Family, ConfigKeys]:
    """Return the family of a config, and the config for that family to read.

    data: the parsed config.
    file: its name; `params.json` has Mistral's native keys.

    Raises ConfigError without a usable model_type, and UnknownFamily for one without a family.

    """
    if is_gguf_document(data):
        from ..config.gguf import translate_gguf

        data, gguf_keys = translate_gguf(data, file)
        model_type = str(data["model_type"])
        family = families.find_family(model_type, file)
        return family, family.config(data, file, model_type, gguf_keys)

    if file == "params.json":
        from ..config.meta_native import is_meta_config, translate_meta
        from ..config.mistral_native import translate

        if is_meta_config(data):
            data, native_keys = translate_meta(data)
        else:
            data, native_keys = translate(data)
        native_type: str = data["model_type"]
        family = families.find_family(native_type, file)
        return family, family.config(data, file, native_type, native_keys)

    model_type = data.get("model_type")
    if model_type is None and is_original_gpt_oss(data):
        data, own_keys = translate_original(data)
        family = families.find_family("gpt_oss", file)
        return family, family.config(data, file, "gpt_oss", own_keys)
    if model_type is None:
        raise UnknownFamily(f"{file}: model_type is missing", _hint_of_architectures(data))
    if not isinstance(model_type, str):
        raise ConfigError(f"{file}: model_type is {model_type!r}; a string is needed")

    family = families.find_family(model_type, file)
    return family, family.config(data, file, model_type)


def _hint_of_architectures(data: dict[str, Any]) -> str | None:
    named = data.get("architectures")
    if not isinstance(named, list) or not named:
        return None
    return f"architectures says {named[0]!r}; model_type is what tells how to read the other keys."
