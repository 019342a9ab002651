"""Find bundled specs by alias, name or repository id.

Standard library only: every start of the program imports this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import UnknownReference, printable, similar_names

_SUFFIXES = frozenset({"instruct", "it", "base", "hf", "chat", "pt", "bf16", "fp16", "fp8", "text"})
"""Last words of a name that do not change the architecture."""


def specs_folder() -> Path:
    """Return the folder of bundled specs.

    It is in the package if that was installed from a wheel, else beside it in the repository.
    """
    package = Path(__file__).parent.parent
    installed = package / "_specs"
    if installed.is_dir():
        return installed
    return package.parent / "specs"


@cache
def bundled_models() -> Mapping[str, Mapping[str, Any]]:
    """Return {name, repo_id, also, …} of each bundled model, by alias.

    They come from index.json; without it from the spec files, which are opened one by one.
    """
    folder = specs_folder()
    index = folder / "index.json"
    models: dict[str, dict[str, Any]] = {}
    try:
        models = json.loads(index.read_bytes())["models"]
    except FileNotFoundError:
        for file in sorted(folder.glob("*.json")):
            spec = json.loads(file.read_bytes())
            models[file.stem] = {key: spec.get(key) for key in ("name", "repo_id", "also")}
    return models


def alias_of(repo_id: str) -> str | None:
    """Return the alias whose spec has the config of a repository, or None. Case is ignored."""
    wanted = repo_id.lower()
    for alias, model in bundled_models().items():
        others = model.get("also") or ()
        repo_ids = (model.get("repo_id"), *others)
        lower_case = [str(repo_id).lower() for repo_id in repo_ids]
        if wanted in lower_case:
            return alias
    return None


def find_alias(text: str) -> str:
    """Return the alias that `text` means: exactly, or unambiguously with some differences ignored.

    From strict to lenient: the letters and digits of an alias, then of a name; the same without
    suffixes such as -instruct; the only model whose name begins so (`mixtral`, `qwen3-next`).
    Raises UnknownReference that lists the nearest names.
    """
    aliases = bundled_models()
    if text.lower() in aliases:
        return text.lower()
    for found in _search(text):
        if len(found) == 1:
            return found[0]
        if found:
            more = ", …" if len(found) > 8 else ""
            message = f"{text} could be {enumerate_names(found[:8])}{more}"
            raise UnknownReference(message, "give one of these names")
    near = _nearest(text)
    hint = "`llmarch list` shows the bundled models"
    if near:
        hint = f"did you mean {enumerate_names(near)}?"
    raise UnknownReference(f"{text} is not a bundled model, an org/name or a path", hint)


def is_name_of(text: str, alias: str) -> bool:
    """Return whether a text is an alias or a name of its model, but for signs between words.

    In capitals it is taken for a name: `Qwen2.5-7B` is not the model whose alias is qwen2.5-7b,
    which is Qwen2.5-7B-Instruct.
    """
    squashed = _squash(text)
    if text == text.lower() and squashed == _squash(alias):
        return True
    model = bundled_models()[alias]
    names = [str(name) for name in (model["name"], model["repo_id"], *(model["also"] or ()))]
    names += [name.rpartition("/")[2] for name in names]
    return squashed in map(_squash, names)


def enumerate_names(names: Iterable[str]) -> str:
    """Return the names as a phrase: `a`, `a or b`, `a, b or c`."""
    *most, last = [printable(name, 80) for name in names]
    if not most:
        return last
    others = ", ".join(most)
    return f"{others} or {last}"


def _search(text: str) -> Iterator[list[str]]:
    """Return the aliases that match, from the strictest way of matching to the most lenient."""
    aliases = list(bundled_models())
    squashed = _squash(text)
    yield [alias for alias in aliases if _squash(alias) == squashed]
    yield [alias for alias in aliases if squashed in map(_squash, _names(alias))]
    bare = _bare(text)
    yield [alias for alias in aliases if bare in map(_bare, _names(alias))]
    if bare:
        yield [alias for alias in aliases if bare in _all_beginnings(alias)]


def _names(alias: str) -> Iterator[str]:
    """Return the names under which a spec is known, with and without its organisation."""
    model = bundled_models()[alias]
    yield alias
    repo_id, also = model.get("repo_id"), model.get("also")
    for name in (model.get("name"), repo_id, *(also or ())):
        if isinstance(name, str):
            yield name
            yield name.rpartition("/")[2]
    organisation, _, _ = str(repo_id or "").partition("/")
    yield f"{organisation}-{alias}"


def _words(text: str) -> list[str]:
    """Return the words of letters, digits and inner points.

    `Mistral-Small-3.1_24B` -> mistral, small, 3.1, 24b.
    """
    lowered = text.lower()
    return re.findall(r"[a-z0-9]+(?:\.[0-9]+[a-z0-9]*)*", lowered)


def _squash(text: str) -> str:
    """Return letters and digits alone.

    The border between two digits stays, because qwen2-57b is not qwen2.5-7b.
    """
    lowered = text.lower()
    joined = re.sub(r"(?<=[0-9])[^a-z0-9]+(?=[0-9])", "|", lowered)
    return re.sub(r"[^a-z0-9|]", "", joined)


def _without_suffixes(text: str) -> str:
    words = _words(text)
    while len(words) > 1:
        if words[-1] not in _SUFFIXES:
            break
        words.pop()
    return "-".join(words)


def _bare(name: str) -> str:
    return _squash(_without_suffixes(name))


def _all_beginnings(alias: str) -> set[str]:
    """Return the beginnings of all names of a spec that end with a word, squashed.

    Qwen3-Next-80B -> qwen3, qwen3next, qwen3next80b.
    """
    beginnings: set[str] = set()
    for name in _names(alias):
        beginning: list[str] = []
        for word in _words(name):
            beginning.append(word)
            joined = "-".join(beginning)
            beginnings.add(_squash(joined))
    return beginnings


def _nearest(text: str) -> list[str]:
    """Return up to five aliases that look like `text`, the nearest first."""
    aliases = list(bundled_models())
    alias_of_form: dict[str, str] = {}
    for alias in aliases:
        for name in _names(alias):
            alias_of_form.setdefault(_squash(name), alias)
    forms = similar_names(_squash(text), alias_of_form, 12)
    near = [alias_of_form[form] for form in forms]
    words = _words(text)
    if words:
        near += [alias for alias in aliases if _words(alias)[0] == words[0]]
    distinct = list(dict.fromkeys(near))
    return distinct[:5]
