"""The base model that a model card names (`base_model` of its front matter)."""

from __future__ import annotations

import re
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..errors import ConfigError, UnknownReference, printable
from .file_names import CARD, MAX_CARD
from .references import Reference
from .regular_files import read_regular

MAX_FRONT_MATTER = 100_000
"""Characters of a front matter; cards have some hundred."""
FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
NAME = re.compile(r"[A-Za-z0-9_][\w-]*(?:\.[\w-]+)*(?:/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
"""`org/name`, or one of the old names without an organisation."""
HUB_PAGES = "https://huggingface.co/"
RELATION = "base_model_relation"
"""The key that says how a model was made from its base: the Hub knows finetune, adapter, merge and
quantized (its documentation of model cards)."""
NAME_ONE = "name it: --against org/name"


@frozen
class BaseModels(Frozen):
    """What a card says a model was made from, and how."""

    names: tuple[str, ...]
    """Repositories on the Hub; several of a merge alone."""
    relation: str = ""
    """`finetune`, `quantized` or `merge`; another word, or nothing, if the card says so."""


def base_models_of(reference: Reference, *, offline: bool) -> BaseModels:
    """Return what a model was made from, as its card says.

    offline: do not use the network.

    Raises UnknownReference if there is no card, it names no base model, the model itself, or
    several that were not merged, or the model is an adapter; ReadError if it cannot be read.
    """
    shown = printable(reference.text)
    text = _card_text(reference, offline)
    if not text:
        raise UnknownReference(f"{shown} has no {CARD}, so no base model is known", NAME_ONE)
    location = f"{shown}: {CARD}"
    relation = base_relation(text, location)
    named = [name.removeprefix(HUB_PAGES) for name in base_models(text, location)]
    if not named:
        raise UnknownReference(f"{location} names no base_model", NAME_ONE)
    if relation == "adapter":
        raise UnknownReference(
            f"{shown} is an adapter ({RELATION} of {CARD}): it has no architecture of its own",
            f"what it runs on is checked by itself: llmarch check {printable(named[0])}",
        )
    if len(named) > 1 and relation != "merge":
        names = printable(", ".join(named))
        raise UnknownReference(f"{location} names several base models: {names}", NAME_ONE)
    for name in named:
        if not NAME.fullmatch(name):  # a card must not lead to files of this machine
            problem = f"is not a repository on the Hub: {printable(name)}"
            raise UnknownReference(f"{shown}: the base_model of {CARD} {problem}", NAME_ONE)
        if name.lower() == (reference.repo_id or "").lower():
            raise UnknownReference(f"{location} names the model itself as its base_model", NAME_ONE)
    return BaseModels(tuple(named), relation)


def _card_text(reference: Reference, offline: bool) -> str:
    """Return the text of a card; empty if there is none. Raises UnknownReference or ReadError."""
    if reference.kind == "hub":
        from .hub.history import read_card

        return read_card(reference, offline=offline)
    if reference.kind != "folder" or reference.path is None:
        raise UnknownReference(f"{printable(reference.text)} has no model card", NAME_ONE)
    try:
        return read_regular(reference.path / CARD, MAX_CARD).decode(errors="replace")
    except OSError:
        return ""


def base_relation(card: str, location: str) -> str:
    """Return how a model was made from its base, as the front matter of a card says.

    location: names the card in errors. Raises ConfigError for a front matter that is not YAML.
    """
    value = _front_matter(card, location).get(RELATION)
    return value.strip().lower() if isinstance(value, str) else ""


def base_models(card: str, location: str) -> list[str]:
    """Return the base models that the front matter of a card names, each once.

    location: names the card in errors. Raises ConfigError for a front matter that is not YAML.
    """
    value = _front_matter(card, location).get("base_model")
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    names = [item.strip() for item in values if isinstance(item, str)]
    return list(dict.fromkeys(name for name in names if name))


def _front_matter(card: str, location: str) -> dict[Any, Any]:
    """Return the front matter of a card; nothing without one. Raises ConfigError."""
    import yaml

    found = FRONT_MATTER.match(card)
    if found is None or len(found[1]) > MAX_FRONT_MATTER:
        return {}
    try:
        front: Any = yaml.safe_load(found[1])
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ConfigError(f"{location}: its front matter is not valid YAML", NAME_ONE) from None
    if not isinstance(front, dict):
        return {}
    return cast("dict[Any, Any]", front)
