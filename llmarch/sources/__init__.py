"""The only I/O: a `Reference` becomes a `RawModel`. One module for each kind of source, imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ReadError
from .references import Reference

if TYPE_CHECKING:
    from .raw import RawModel

Progress = Callable[[int, int, str], None]
"""Called as progress(done, total, label) while slow work goes on, from one thread at a time."""


def open(
    reference: Reference,
    *,
    offline: bool = False,
    headers: bool = True,
    progress: Progress | None = None,
    refresh: bool = False,
    meanwhile: Callable[[], object] | None = None,
) -> RawModel:
    """Read what the reference names.

    `offline`: no network; `headers` False: the config alone; `refresh`: headers are read again although they are cached.
    `meanwhile` is called, at most once, while the network is waited for (to import what is needed next).
    Raises an LlmarchError: UnknownReference, ConfigError, HeaderError, NotAModel or ReadError.
    """
    if reference.kind == "spec":
        from . import specs

        return specs.open(reference)
    if reference.kind == "hub":
        try:
            from . import hub
        except ValueError as error:  # huggingface_hub reads its settings when it is imported
            raise ReadError(
                f"a setting of huggingface_hub is wrong: {error}",
                "look at the variables that begin with HF_",
            ) from None
        return hub.open(
            reference,
            offline=offline,
            headers=headers,
            progress=progress,
            refresh=refresh,
            meanwhile=meanwhile,
        )
    from . import local

    return local.open(reference, headers=headers, progress=progress)
