"""llmarch tells what an LLM's architecture is, exactly, and what changed between two of them.

import llmarch

reading = llmarch.load("qwen3-235b")          # or "org/name@revision", "./folder", ...
reading.architecture.mixers["full"].kv_heads   # 4
llmarch.diff(reading, llmarch.load("deepseek-v3"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .architecture.schema import Architecture, Change
    from .checkpoint.reading import Observation, Reading
    from .compare.lock import Entry
    from .compare.report import Report
    from .sources import Progress
    from .sources.raw import RawModel

__version__ = "0.1.0"
__all__ = ["Architecture", "Reading", "__version__", "check", "diff", "inspect", "load"]


def load(
    reference: str,
    *,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
    progress: Progress | None = None,
) -> Reading:
    """Read what `reference` names: a bundled alias, `org/name@revision`, a Hub URL, a folder, a config file, a safetensors file.

    `offline` never touches the network; `headers` False reads the config alone; `refresh` reads headers again although they are cached;
    `progress(done, total, label)` is called while slow work goes on.
    Raises llmarch.errors.LlmarchError; its UnknownFamily for a model that no family reads (see `inspect`).
    """
    raw = _open(reference, offline, headers, refresh, progress)
    from .checkpoint.reading import read

    return read(raw)


def inspect(
    reference: str,
    *,
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
    progress: Progress | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Reading | Observation:
    """`load`, or what tensor names and shapes alone tell where no family reads the model.

    `meanwhile` is called, once at most, while the network is waited for.
    """
    raw = _open(reference, offline, headers, refresh, progress, meanwhile)
    from .checkpoint.reading import inspect

    return inspect(raw)


def _open(
    text: str,
    offline: bool,
    headers: bool,
    refresh: bool,
    progress: Progress | None,
    meanwhile: Callable[[], object] | None = None,
) -> RawModel:
    from . import sources
    from .sources.references import parse

    def prepare() -> None:
        from .checkpoint import reading as reader  # noqa: F401  # pyright: ignore[reportUnusedImport]
        from .checkpoint import verify as join  # noqa: F401  # pyright: ignore[reportUnusedImport]

        if meanwhile is not None:
            meanwhile()

    return sources.open(
        parse(text),
        offline=offline,
        headers=headers,
        progress=progress,
        refresh=refresh,
        meanwhile=prepare,
    )


def diff(old: Reading | Architecture | str, new: Reading | Architecture | str) -> list[Change]:
    """The differences between two models, worst first. Each side is a Reading, an Architecture, or a reference to load."""
    from .architecture.schema import Architecture
    from .compare.diff import diff as compare

    def architecture(side: Reading | Architecture | str) -> Architecture:
        if isinstance(side, str):
            side = load(side)
        return side if isinstance(side, Architecture) else side.architecture

    return compare(architecture(old), architecture(new))


def check(
    reference: str | None = None,
    *,
    against: str | None = None,
    lock: str = "llmarch.lock",
    fail_on: str | None = None,
    ignore: Iterable[str] = (),
    offline: bool = False,
    headers: bool = True,
    refresh: bool = False,
) -> Report:
    """What `llmarch check` finds: all models of the lock, or one `reference`, held against its entry, another lock or another model.

    `assert report.exit_code == 0, report` is a test. The project's settings hold here too. Raises llmarch.errors.LlmarchError for what was
    asked wrongly; a model that cannot be read is in the report.
    """
    from .compare.check import project_policy, run_check
    from .compare.lock import make_entry

    def read(text: str, tensors: bool) -> Entry:
        return make_entry(load(text, offline=offline, headers=tensors, refresh=refresh))

    policy = project_policy().with_options(fail_on, ignore, "llmarch.check")
    return run_check(reference, against, lock, policy, read, headers=headers).report


def __getattr__(name: str) -> Any:
    if name == "Architecture":
        from .architecture.schema import Architecture

        return Architecture
    if name == "Reading":
        from .checkpoint.reading import Reading

        return Reading
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
