"""Read models: the only I/O. A `Reference` becomes a `RawModel`.

Each kind of source is a module (`specs`, `local`, `hub`), which is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import NotCached, ReadError, printable
from .references import Reference

if TYPE_CHECKING:
    from .progress import Progress
    from .raw import RawModel


def open(
    reference: Reference,
    *,
    offline: bool = False,
    headers: bool = True,
    progress: Progress | None = None,
    refresh: bool = False,
    meanwhile: Callable[[], object] | None = None,
    adapters: bool = False,
) -> RawModel:
    """Read the model that a reference names.

    Raises an LlmarchError: UnknownReference, ConfigError, HeaderError, NotAModel or ReadError.

    offline: never use the network.
    headers: False reads the config alone.
    progress: called as progress(done, total, label) while headers are read.
    refresh: read headers from the network even if they are cached.
    meanwhile: called at most once, while the network is waited for (to import what is needed next).
    adapters: also read an adapter; False raises NotAModel for one.
    """
    if reference.kind == "spec":
        from . import specs

        return specs.open(reference)
    if reference.kind == "hub":
        try:
            from . import hub
        except ValueError as error:  # huggingface_hub reads its settings when it is imported
            message = f"a setting of huggingface_hub is wrong: {error}"
            raise ReadError(message, "check the variables that begin with HF_") from None
        return hub.open(
            reference,
            offline=offline,
            headers=headers,
            progress=progress,
            refresh=refresh,
            meanwhile=meanwhile,
            adapters=adapters,
        )
    if reference.url is not None and (offline or is_offline()):
        hint = "nothing of other places than the Hub is cached"
        raise NotCached(f"offline, and {printable(reference.text)} is not on this machine", hint)
    from . import local

    return local.open(reference, headers=headers, progress=progress, adapters=adapters)


def is_offline() -> bool:
    """Return whether huggingface_hub's setting forbids the network."""
    from huggingface_hub import constants

    return constants.is_offline_mode()
