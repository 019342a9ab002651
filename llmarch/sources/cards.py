"""The base model that a model card names (`base_model` of its front matter)."""

from __future__ import annotations

import re
from typing import Any, cast

from ..errors import ConfigError, UnknownReference, printable
from .file_names import CARD, MAX_CARD
from .references import Reference
from .regular_files import read_regular

MAX_FRONT_MATTER = 100_000
"""Characters of a front matter; cards have some hundred."""
FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
NAME = re.compile(r"[A-Za-z0-9_][\w-]*(?:\.[\w-]+)*(?:/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
"""`org/name`, or one of the old names without an organisation."""
NAME_ONE = "name it: --against org/name"


def base_model_of(reference: Reference, *, offline: bool) -> str:
    """Return the reference of the model that a model was made from, as its card says.

    offline: do not use the network.

    Raises UnknownReference if there is no card, or it names no base model or several; ReadError if
    it cannot be read.
    """
    shown = printable(reference.text)
    text = ""
    if reference.kind == "hub":
        from .hub.history import read_card

        text = read_card(reference, offline=offline)
    elif reference.kind == "folder" and reference.path is not None:
        try:
            text = read_regular(reference.path / CARD, MAX_CARD).decode(errors="replace")
        except OSError:
            text = ""
    else:
        raise UnknownReference(f"{shown} has no model card", NAME_ONE)
    if not text:
        raise UnknownReference(f"{shown} has no {CARD}, so no base model is known", NAME_ONE)
    named = base_models(text, f"{shown}: {CARD}")
    if not named:
        raise UnknownReference(f"{shown}: {CARD} names no base_model", NAME_ONE)
    if len(named) > 1:
        names = printable(", ".join(named))
        raise UnknownReference(f"{shown}: {CARD} names several base models: {names}", NAME_ONE)
    (name,) = named
    if not NAME.fullmatch(name):  # a card must not lead to files of this machine
        raise UnknownReference(
            f"{shown}: the base_model of {CARD} is not a repository on the Hub: {printable(name)}",
            NAME_ONE,
        )
    return name


def base_models(card: str, where: str) -> list[str]:
    """Return the base models that the front matter of a card names, each once.

    where: names the card in errors. Raises ConfigError for a front matter that is not YAML.
    """
    import yaml

    found = FRONT_MATTER.match(card)
    if found is None or len(found[1]) > MAX_FRONT_MATTER:
        return []
    try:
        front: Any = yaml.safe_load(found[1])
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ConfigError(f"{where}: its front matter is not valid YAML", NAME_ONE) from None
    if not isinstance(front, dict):
        return []
    value = cast("dict[Any, Any]", front).get("base_model")
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    names = [item.strip() for item in values if isinstance(item, str)]
    return list(dict.fromkeys(name for name in names if name))
