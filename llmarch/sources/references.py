"""What a user types to name a model, made into a `Reference`. Standard library only: every start of the program imports this.

    qwen3-235b                                  a bundled spec, by alias (forgiving, see `find_alias`); never touches the network
    Qwen/Qwen3-8B, Qwen/Qwen3-8B@main           a repository on the Hub, at a branch, tag or commit
    https://huggingface.co/Qwen/Qwen3-8B/tree/main    the same; also hf://Qwen/Qwen3-8B@main, and the host of HF_ENDPOINT
    ./folder                                    a folder that holds a config and safetensors files, or one of the two
    ./config.json, ./params.json                a config alone
    ./model.safetensors                         one safetensors file

What begins with `./`, `../`, `/` or `~`, or ends in `.json` or `.safetensors`, is a path. Of the rest, an exact alias goes first, then an
existing folder that holds model files (so `org/name` is the folder if there is one, as in transformers), then the Hub and the
forgiving search for an alias. `./name` always is the folder, the URL always the Hub.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from ..architecture.frozen import Frozen, frozen
from ..errors import NotAModel, UnknownReference, printable

Kind = Literal["spec", "hub", "folder", "config", "safetensors"]

_REPO = r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*"
_HUB = re.compile(rf"(?P<repo>{_REPO})(?:@(?P<revision>\S+))?", re.ASCII)
_URL = re.compile(r"(?:https?://)?(?P<host>[\w.:-]+)/(?P<path>.*)")
_REVISION = re.compile(r"[\w][\w./+-]*", re.ASCII)
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "hub-ci.huggingface.co")
_FOREIGN = {
    ".gguf": "a GGUF file",
    ".onnx": "an ONNX file",
    ".bin": "a pickle",
    ".pt": "a pickle",
    ".pth": "a pickle",
}
_SUFFIXES = frozenset({"instruct", "it", "base", "hf", "chat", "pt", "bf16", "fp16", "fp8", "text"})


@frozen
class Reference(Frozen):
    """What the user named: `alias` of a spec, `repo_id` (and `revision`) on the Hub, or `path` of a folder or file."""

    text: str
    kind: Kind
    alias: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    path: Path | None = None


def parse(text: str) -> Reference:
    """The reference that `text` means. Looks at the file system, never at the network.

    Raises UnknownReference (with the nearest names), or NotAModel for a file of another format.
    """
    text = text.strip()
    if not text or not text.isprintable():
        raise UnknownReference(
            f"{printable(text)!r} names no model", "try `llmarch list`, org/name or ./folder"
        )
    if text.startswith(("https://", "http://", "hf://", *(f"{host}/" for host in _hosts()))):
        return _url(text)
    if _is_path(text):
        return _path(text)
    if text.lower() in catalog():
        return Reference(text, "spec", alias=text.lower())
    if (folder := Path(text)).is_dir() and _holds_model(folder):
        return Reference(text, "folder", path=folder)
    if match := _HUB.fullmatch(text):
        return Reference(
            text,
            "hub",
            repo_id=_repo(match["repo"], text),
            revision=_revision(match["revision"], text),
        )
    if "/" in text:
        raise UnknownReference(
            f"no such path, and no org/name of a repository: {text}",
            "./folder and ./file are paths, org/name is on the Hub",
        )
    if "@" in text:
        name = text.partition("@")[0]
        alias = find_alias(name)
        hint = f"write {catalog()[alias]['repo_id']}@{text.partition('@')[2]} to read the Hub"
        raise UnknownReference(f"{name} is a bundled model, which has no revisions", hint)
    return Reference(text, "spec", alias=find_alias(text))


# Paths


def _is_path(text: str) -> bool:
    return (
        text in (".", "..", "~")
        or text.startswith(("./", "../", "/", "~", ".\\", "..\\"))
        or bool(_suffix(text))
    )


def _suffix(text: str) -> str:
    """The suffix by which a name without `./` is a file: ours anywhere, a foreign one only if there is such a file."""
    suffix = os.path.splitext(text)[1].lower()
    return (
        suffix
        if suffix in (".json", ".safetensors") or (suffix in _FOREIGN and Path(text).is_file())
        else ""
    )


def _path(text: str) -> Reference:
    try:
        path = Path(text).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UnknownReference(f"{text}: {error}") from None
    if not exists:
        raise UnknownReference(f"{text}: no such file or folder", _siblings(path))
    if path.is_dir():
        return Reference(text, "folder", path=path)
    if path.name.endswith(".safetensors.index.json"):
        return Reference(text, "folder", path=path.parent)
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return Reference(text, "safetensors", path=path)
    if suffix == ".json":
        return Reference(text, "config", path=path)
    if suffix in _FOREIGN:
        raise NotAModel(
            f"{text} is {_FOREIGN[suffix]}; llmarch reads config.json and safetensors files",
            "give the folder that holds them",
        )
    raise UnknownReference(f"{text} is neither a folder nor a .json or .safetensors file")


def _holds_model(folder: Path) -> bool:
    """Whether a folder, named without `./`, is meant: it holds a config or safetensors files."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return any(
        n in ("config.json", "params.json", "adapter_config.json")
        or n.endswith((".safetensors", ".safetensors.index.json"))
        for n in names
    )


def _siblings(path: Path) -> str | None:
    try:
        names = [
            n
            for n in os.listdir(path.parent)
            if n.endswith((".json", ".safetensors")) or (path.parent / n).is_dir()
        ]
    except OSError:
        return None
    near = _close(path.name, names)
    return f"there is {_enumerate(near)}" if near else None


# The Hub


def _hosts() -> tuple[str, ...]:
    endpoint = re.sub(r"^https?://", "", os.environ.get("HF_ENDPOINT", "")).rstrip("/")
    return (*_HOSTS, endpoint) if endpoint else _HOSTS


def _url(text: str) -> Reference:
    """A web address of the Hub; of a file in a repository, the repository is meant."""
    from urllib.parse import unquote

    address = re.sub(r"[?#].*", "", re.sub(r"^(?:https?|hf)://", "", text))
    if text.startswith("hf://"):
        match = _HUB.fullmatch(re.sub(r"^models/", "", address))
        if match is None:
            raise UnknownReference(
                f"{text} is no address of a model", "hf://org/name or hf://org/name@revision"
            )
        return Reference(
            text,
            "hub",
            repo_id=_repo(match["repo"], text),
            revision=_revision(match["revision"], text),
        )
    host = max(
        (h for h in _hosts() if address == h or address.startswith(h + "/")), key=len, default=None
    )
    if host is None:
        raise UnknownReference(
            f"{text} is no address of the Hub",
            f"llmarch reads {_hosts()[-1]}; set HF_ENDPOINT for another",
        )
    parts = [unquote(p) for p in address[len(host) :].split("/") if p]
    if parts[:1] in (["datasets"], ["spaces"]):
        raise UnknownReference(f"{text} is the address of a {parts[0].rstrip('s')}, not of a model")
    if parts[:1] == ["models"] and len(parts) > 2:
        parts = parts[1:]
    rest = parts[2:]
    revision = None
    if len(rest) > 1 and rest[0] in ("tree", "blob", "resolve", "raw", "commit"):
        revision = "/".join(rest[1:4]) if rest[1] == "refs" and len(rest) > 3 else rest[1]
    repo = "/".join(parts[:2])
    if not repo or (len(parts) >= 2 and not re.fullmatch(_REPO, repo, re.ASCII)):
        raise UnknownReference(f"{text} names no repository", "https://huggingface.co/org/name")
    return Reference(text, "hub", repo_id=_repo(repo, text), revision=_revision(revision, text))


def _repo(repo: str, text: str) -> str:
    """The rules of the Hub for names, so that no odd path is ever asked for."""
    if len(repo) > 96 or "--" in repo or ".." in repo or repo.endswith((".git", ".", "-")):
        raise UnknownReference(f"{text} is no name of a repository on the Hub")
    return repo


def _revision(revision: str | None, text: str) -> str | None:
    if revision is None:
        return None
    if (
        not _REVISION.fullmatch(revision)
        or ".." in revision
        or "//" in revision
        or revision.endswith("/")
    ):
        raise UnknownReference(f"{text}: {revision} is no revision", "a branch, a tag or a commit")
    return revision


# Bundled specs


def specs_folder() -> Path:
    """The folder of bundled specs: in the package when it was installed from a wheel, else beside it in the repository."""
    inside = Path(__file__).parent.parent / "_specs"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "specs"


@cache
def catalog() -> Mapping[str, Mapping[str, Any]]:
    """Alias -> its facts {name, repo_id, also, …}, from index.json; without it from the names of the spec files, opened one by one."""
    folder = specs_folder()
    try:
        return cast(
            dict[str, dict[str, Any]], json.loads((folder / "index.json").read_bytes())["models"]
        )
    except FileNotFoundError:
        pass
    models: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        spec = json.loads(file.read_bytes())
        models[file.stem] = {key: spec.get(key) for key in ("name", "repo_id", "also")}
    return models


def alias_of(repo_id: str) -> str | None:
    """The bundled alias whose config is that of the repository, in any case of letters."""
    wanted = repo_id.lower()
    for alias, model in catalog().items():
        if wanted in (
            str(name).lower() for name in (model.get("repo_id"), *(model.get("also") or ()))
        ):
            return alias
    return None


def find_alias(text: str) -> str:
    """The alias meant by `text`: exactly, or unambiguously if case, punctuation, organisation and suffixes such as -instruct are forgiven.

    From strict to lenient: the same letters and digits as an alias or name; the same without suffixes; the only model whose name
    begins so (`mixtral`, `qwen3-next`). Raises UnknownReference that lists the nearest names.
    """
    names = catalog()
    if text.lower() in names:
        return text.lower()
    squashed, bare = _squash(text), _squash(_without_suffixes(text))
    levels = (
        [alias for alias in names if _squash(alias) == squashed],
        [alias for alias in names if squashed in map(_squash, _names(alias))],
        [
            alias
            for alias in names
            if bare in (_squash(_without_suffixes(n)) for n in _names(alias))
        ],
        [alias for alias in names if bare and any(bare in _beginnings(n) for n in _names(alias))],
    )
    for found in levels:
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownReference(
                f"{text} could be {_enumerate(found[:8])}{', …' if len(found) > 8 else ''}",
                "give one of these names",
            )
    near = _nearest(text)
    hint = (
        f"did you mean {_enumerate(near)}?" if near else "`llmarch list` shows the bundled models"
    )
    raise UnknownReference(f"{text} is no bundled model, and no org/name or path", hint)


def _names(alias: str) -> Iterator[str]:
    """The names under which a spec is known, with and without its organisation."""
    model = catalog()[alias]
    yield alias
    for name in (model.get("name"), model.get("repo_id"), *(model.get("also") or ())):
        if isinstance(name, str):
            yield name
            yield name.rpartition("/")[2]
    organisation = str(model.get("repo_id") or "").partition("/")[0]
    yield f"{organisation}-{alias}"


def _tokens(text: str) -> list[str]:
    """Words of letters, digits and inner points: Mistral-Small-3.1_24B -> mistral small 3.1 24b."""
    return re.findall(r"[a-z0-9]+(?:\.[0-9]+[a-z0-9]*)*", text.lower())


def _squash(text: str) -> str:
    """Letters and digits alone; between two digits the border stays, for qwen2-57b is not qwen2.5-7b."""
    return re.sub(r"[^a-z0-9|]", "", re.sub(r"(?<=[0-9])[^a-z0-9]+(?=[0-9])", "|", text.lower()))


def _without_suffixes(text: str) -> str:
    tokens = _tokens(text)
    while len(tokens) > 1 and tokens[-1] in _SUFFIXES:
        tokens.pop()
    return "-".join(tokens)


def _beginnings(text: str) -> set[str]:
    """Whole-word beginnings of a name, squashed: Qwen3-Next-80B -> qwen3, qwen3next, qwen3next80b."""
    tokens = _tokens(text)
    return {_squash("-".join(tokens[:i])) for i in range(1, len(tokens) + 1)}


def _nearest(text: str) -> list[str]:
    """Up to five aliases that look like `text`, the nearest first."""
    squashed = _squash(text)
    forms = {_squash(name): alias for alias in reversed(list(catalog())) for name in _names(alias)}
    near = [forms[form] for form in _close(squashed, forms, 12)]
    first = (_tokens(text) or [""])[0]
    near += [alias for alias in catalog() if first and _tokens(alias)[0] == first]
    return list(dict.fromkeys(near))[:5]


def _close(text: str, names: Iterable[str], count: int = 3) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(text, list(names), n=count, cutoff=0.6)


def _enumerate(names: Iterable[str]) -> str:
    *most, last = [printable(n, 80) for n in names]
    return f"{', '.join(most)} or {last}" if most else last
