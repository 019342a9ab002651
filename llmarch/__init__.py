"""llmarch tells what an LLM's architecture is, exactly, and what changed between two of them.

import llmarch

reading = llmarch.load("qwen3-235b")          # or "org/name@revision", "./folder", ...
reading.architecture.mixers["full"].kv_heads   # 4
reading.parameters.active                      # 22190763520
reading.memory("8xH100", batch=16).fits        # True
llmarch.diff(reading, llmarch.load("deepseek-v3"))
llmarch.compare(["qwen3-235b", "deepseek-v3"])

docs/python.md has all of it. What goes wrong is raised as a subclass of
`llmarch.errors.LlmarchError`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .api.adapters import ModelAdapter
    from .api.comparing import ModelComparison as Comparison
    from .api.readings import ModelObservation as Observation
    from .api.readings import ModelReading as Reading
    from .architecture.json_scan import ScanRowDocument
    from .architecture.json_tables import ListedModelDocument
    from .architecture.schema import Architecture, Change
    from .checkpoint import reading as _core
    from .compare.pinning import PinnedModels
    from .compare.report import Report
    from .compare.rereading import LoadEntry
    from .sources.progress import Progress
    from .sources.raw import RawModel

__version__ = "0.1.0"
__all__ = [
    "Architecture",
    "Comparison",
    "Observation",
    "Reading",
    "__version__",
    "check",
    "compare",
    "diff",
    "inspect",
    "load",
    "load_adapter",
    "lock",
    "models",
    "scan",
]


def load(
    reference: str,
    *,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
    progress: Progress | None = None,
) -> Reading:
    """Read a model and return its architecture, with evidence and findings.

    Args:
        reference: a bundled alias, `org/name@revision`, a Hub URL, a folder, a config file, a
            safetensors file or a GGUF file.
        offline: never use the network.
        headers: False reads the config alone.
        refresh: read headers from the network even if they are cached.
        progress: called as progress(done, total, label) while headers are read.

    Raises:
        UnknownReference: `reference` names nothing.
        UnknownFamily: llmarch does not support the model_type (see `inspect`).
        ConfigError: the config cannot be read as an architecture.
        HeaderError: a safetensors header is invalid.
        NotAModel: there is no decoder language model, but for example an adapter.
        ReadError: the data could not be read: no network, gated, missing, offline and not cached.

    All of them are in `llmarch.errors`, and subclasses of its `LlmarchError`.
    """
    raw = _read_raw(reference, offline, headers, refresh, progress)
    from .api.readings import with_numbers
    from .checkpoint.reading import read_model

    return with_numbers(read_model(raw))


def inspect(
    reference: str,
    *,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
    progress: Progress | None = None,
    meanwhile: Callable[[], object] | None = None,
    config_suffices: bool = False,
) -> Reading | Observation:
    """Read a model as `load` does; if its family is not supported, infer from tensors alone.

    Args:
        reference: see `load`, as for `offline`, `headers`, `refresh` and `progress`.
        meanwhile: called at most once, while the network is waited for.
        config_suffices: also return an Observation where there is a config and no tensor header,
            and of an encoder or another kind of model: enough to compare it.

    Returns:
        A Reading; or an Observation of what names and shapes of tensors tell.

    Raises:
        LlmarchError: as for `load`; UnknownFamily only if there are no tensors either.
    """
    raw = _read_raw(
        reference, offline, headers, refresh, progress, meanwhile, any_kind=config_suffices
    )
    from .api.readings import any_with_numbers
    from .checkpoint.reading import read_or_infer

    return any_with_numbers(read_or_infer(raw, config_suffices=config_suffices))


def load_adapter(
    reference: str,
    *,
    base: str | None = None,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
) -> ModelAdapter:
    """Read a PEFT adapter, and compare it with its base model.

    Args:
        reference: a folder or repository with adapter_config.json, or one of these files.
        base: the base model; None takes what the adapter names, where that can be read.
        offline, headers, refresh: see `load`.

    Raises:
        NotAModel: it is not an adapter.
        LlmarchError: as for `load`; for a base that is given, as for the base.
    """
    raw = _read_raw(reference, offline, headers, refresh, None, adapters=True)
    return _read_adapter(raw, base, offline=offline, refresh=refresh)


def inspect_any(
    reference: str,
    *,
    base: str | None = None,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
    progress: Progress | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Reading | Observation | ModelAdapter:
    """Read a model as `inspect` does, or an adapter as `load_adapter` does."""
    raw = _read_raw(reference, offline, headers, refresh, progress, meanwhile, adapters=True)
    from .sources.raw import is_adapter_document

    if raw.config is not None and is_adapter_document(raw.config):
        return _read_adapter(raw, base, offline=offline, refresh=refresh)
    from .api.readings import any_with_numbers
    from .checkpoint.reading import read_or_infer

    return any_with_numbers(read_or_infer(raw))


def _read_adapter(
    raw: RawModel, given: str | None, *, offline: bool, refresh: bool
) -> ModelAdapter:
    """Return what an adapter is, with the base that is given or that it names."""
    from .api.adapters import adapter_as_shown
    from .checkpoint.adapters.reading import base_finding, read_adapter, with_finding
    from .checkpoint.reading import read_model
    from .config.adapter_config import read_adapter_config
    from .errors import LlmarchError, NotAModel
    from .sources.adapter_bases import open_base
    from .sources.raw import is_adapter_document

    config = raw.config or {}
    if not is_adapter_document(config):
        raise NotAModel(f"{raw.reference} is not an adapter: it has no adapter_config.json")
    adapter, _ = read_adapter_config(config, raw.config_file)
    if given is not None:
        reading = load(given, offline=offline, headers=False, refresh=refresh)
        found = with_finding(read_adapter(raw, reading), base_finding(adapter, given, reading.raw))
        return adapter_as_shown(found)
    named = adapter.base or ""
    try:
        base = read_model(open_base(named, adapter.base_revision, raw, offline=offline))
    except LlmarchError as error:
        return adapter_as_shown(read_adapter(raw, None, error.message))
    return adapter_as_shown(read_adapter(raw, base))


def diff(
    old: _core.Reading | Architecture | str, new: _core.Reading | Architecture | str
) -> list[Change]:
    """Return the differences between two models, worst first.

    Args:
        old: a Reading, an Architecture, or a reference to load.
        new: the same.

    Raises:
        LlmarchError: as for `load`, if a reference is given.
    """
    from .checkpoint.reading import Reading
    from .compare.diff import diff as compare
    from .compare.unstated import with_unstated_facts

    sides = [load(side) if isinstance(side, str) else side for side in (old, new)]
    read = [side for side in sides if isinstance(side, Reading)]
    if len(read) == len(sides):
        sides = with_unstated_facts(read)
    return compare(*map(_architecture_of, sides))


def check(
    reference: str | None = None,
    *,
    against: str | None = None,
    lock: str = "llmarch.lock",
    fail_on: str | None = None,
    ignore: Iterable[str] = (),
    accept: Iterable[str] = (),
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
) -> Report:
    """Compare models with a lock or with another model, as `llmarch check` does.

    `assert report.exit_code == 0, report` is a test. The project's settings apply here too.

    Args:
        reference: the model to check; None checks all models of the lock.
        against: another lock or another model; None compares with the entry in `lock`.
        lock: path of the lock.
        fail_on: severity from which a change fails, and rules that always do, separated by commas;
            None is what the settings say.
        ignore: ids of rules that never fail, added to those in the settings.
        accept: ids of single changes that do not count, as reports have them.
        offline, headers, refresh: see `load`.

    Returns:
        The report. A model that cannot be read is part of it and does not raise.

    Raises:
        LlmarchError: an argument, the lock or the settings are wrong.
    """
    from .compare.check import CheckOptions, project_policy, run_check

    read = _entry_loader(offline, refresh)
    policy = project_policy().with_options(fail_on, ignore, "llmarch.check", accept=accept)
    references = [] if reference is None else [reference]
    return run_check(references, against, lock, CheckOptions(policy, headers), read).report


@overload
def models(
    text: str | None = None,
    *,
    condition: str | None = None,
    attention: str | None = None,
    moe: bool | None = None,
    sort: str | None = None,
) -> list[ListedModelDocument]: ...
@overload
def models(
    text: str | None = None,
    *,
    condition: str | None = None,
    attention: str | None = None,
    moe: bool | None = None,
    sort: str | None = None,
    columns: Sequence[str],
) -> list[dict[str, Any]]: ...
def models(
    text: str | None = None,
    *,
    condition: str | None = None,
    attention: str | None = None,
    moe: bool | None = None,
    sort: str | None = None,
    columns: Sequence[str] | None = None,
) -> Any:
    """Return the bundled models, a row for each: `pandas.DataFrame(llmarch.models())`.

    Args:
        text: only models with this text in alias, name, family or repository.
        condition: only models that meet a condition over facts, as `llmarch list --where` takes
            it: "moe.experts >= 128 and layers < 50".
        attention: only models with this attention: "mla", "gqa", "sliding", ...
        moe: only mixtures of experts, or (False) only dense models.
        sort: names of columns or facts to order by, such as "released" or "-total".
        columns: names of columns and facts of each row; None: everything that the index says.

    Raises:
        ConditionError, UnknownReference: an argument cannot be read, or names what no model has.
    """
    from .sources.aliases import bundled_models
    from .views import model_list

    known = model_list.BundledModels(bundled_models(), lambda alias: load(alias).architecture)
    chosen = model_list.select_models(known, text, attention, moe, condition)
    if sort is not None:
        chosen = model_list.sort_models(known, chosen, sort)
    for column in columns or ():
        model_list.check_name(known, column)
    return model_list.list_document(known, chosen, columns)["models"]


def lock(
    references: str | Sequence[str],
    file: str = "llmarch.lock",
    *,
    remove: Sequence[str] = (),
    allow_conflict: bool = False,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
) -> PinnedModels:
    """Pin models in a lock file, for `check` to compare with later, as `llmarch lock` does.

    Args:
        references: a model or several, as `load` takes them.
        file: path of the lock file. Its other models are kept.
        remove: references to forget, or patterns of them.
        allow_conflict: pin a checkpoint that contradicts its config; `check` fails all the same.
        offline, headers, refresh: see `load`.

    Returns:
        What was written. It is not written at all if a model cannot be pinned.

    Raises:
        UnsoundModel: a model was read only in part, or contradicts its config.
        LlmarchError: as for `load`; the file cannot be read.
    """
    from .compare.pinning import PinOptions, pin_models

    named = [references] if isinstance(references, str) else list(references)
    options = PinOptions(headers=headers, allow_conflict=allow_conflict)
    return pin_models(named, remove, file, _entry_loader(offline, refresh), options)


def _compare_models(
    references: Sequence[_core.Reading | _core.Observation | str],
    *,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
) -> Comparison:
    """Return several models side by side, each held against the first.

    Args:
        references: models that were loaded, or references to load; two or more.
        offline, headers, refresh: see `load`.

    Raises:
        LlmarchError: as for `inspect`, if a reference is given; fewer than two models.
    """
    from .api.comparing import compare_readings

    read = [
        inspect(one, offline=offline, headers=headers, refresh=refresh)
        if isinstance(one, str)
        else one
        for one in references
    ]
    return compare_readings(read)


if TYPE_CHECKING:
    compare = _compare_models
else:

    class _NamedModule(ModuleType):
        """A module that is pickled as its name, as other modules are by Dask and Ray."""

        def __reduce__(self) -> tuple[object, tuple[str]]:
            from importlib import import_module

            return import_module, (self.__name__,)

    class _CallablePackage(_NamedModule):
        """The package `llmarch.compare`, which is the function `llmarch.compare` too."""

        __call__ = staticmethod(_compare_models)

    class _Package(_NamedModule):
        """This package: `compare` can be called as soon as it is imported, by whatever import."""

        def __setattr__(self, name: str, value: object) -> None:
            if name == "compare":
                value.__class__ = _CallablePackage
            super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package


def _entry_loader(offline: bool, refresh: bool) -> LoadEntry:
    """Return what reads a model as a lock has it."""
    from .compare.lock import Entry, make_entry
    from .sources.identity import identify_files

    def read(text: str, headers: bool) -> Entry:
        reading = inspect(
            text, offline=offline, headers=headers, refresh=refresh, config_suffices=True
        )
        identify_files(reading.raw)
        return make_entry(reading)

    return read


def scan(
    references: Iterable[str] | str,
    *,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
    threads: int = 16,
    rate: float | None = None,
) -> list[ScanRowDocument]:
    """Return a row for each model, in the order of the references.

    The row of a model depends on nothing but the model, so that parts of a list can be scanned
    anywhere: docs/scan.md maps this function under Dask and Ray. A model that cannot be read is a
    row whose `status` is `error`; nothing is raised for it.

    Args:
        references: what names the models, as for `load`; a text is one of them.
        offline, headers, refresh: see `load`.
        threads: models on the Hub that are read at once, over at most 32 connections together.
        rate: requests to the Hub a second at most, of all models together.
    """
    from functools import partial

    from .scanning.run import ScanWorkers, scan_rows

    read = partial(inspect, offline=offline, headers=headers, refresh=refresh, config_suffices=True)
    named = [references] if isinstance(references, str) else references
    return list(scan_rows(named, read, headers=headers, workers=ScanWorkers(threads, rate=rate)))


def _read_raw(
    text: str,
    offline: bool,
    headers: bool,
    refresh: bool,
    progress: Progress | None,
    meanwhile: Callable[[], object] | None = None,
    *,
    any_kind: bool = False,
    adapters: bool = False,
) -> RawModel:
    """Read the model that `text` names, and import what comes next while the network is slow."""
    from dataclasses import replace

    from . import sources
    from .sources.references import parse_reference

    def prepare() -> None:
        from .checkpoint import reading, verify  # noqa: F401  # pyright: ignore[reportUnusedImport]

        if meanwhile is not None:
            meanwhile()

    found = parse_reference(text)
    return sources.open(
        replace(found, any_kind=any_kind),
        offline=offline,
        headers=headers,
        progress=progress,
        refresh=refresh,
        meanwhile=prepare,
        adapters=adapters,
    )


def _architecture_of(side: Any) -> Architecture:
    """Return the architecture of one side of a `diff`."""
    from .architecture.schema import Architecture

    return side if isinstance(side, Architecture) else side.architecture


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the start of the program needs none of them."""
    if name == "compare":
        return import_module(".compare", __name__)
    if name == "Architecture":
        from .architecture.schema import Architecture

        return Architecture
    if name in ("Reading", "Observation"):
        from .api import readings

        return getattr(readings, f"Model{name}")
    if name == "Comparison":
        from .api.comparing import ModelComparison

        return ModelComparison
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
