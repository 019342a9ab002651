"""Parse what a user types to name a model into a `Reference`.

Standard library only: every start of the program imports this.

    qwen3-235b                     a bundled spec, by alias (forgiving, see `find_alias`);
                                   never touches the network
    Qwen/Qwen3-8B                  a repository on the Hub
    Qwen/Qwen3-8B@main             the same at a branch, tag or commit
    https://huggingface.co/Qwen/Qwen3-8B/tree/main
                                   the same; also hf://Qwen/Qwen3-8B@main; the host of HF_ENDPOINT
    org/name/folder, org/name/folder@main
                                   the model in a folder of a repository
    Qwen/Qwen3-8B-GGUF:Q4_K_M      one of the GGUF models of a repository; ./folder:Q4_K_M too
    ./folder                       a folder with a config, safetensors files, or both
    ./config.json, ./params.json   a config alone
    ./model.safetensors            one safetensors file
    -                              a config alone, from standard input
    s3://bucket/model              a folder or file in another place: s3://, gs://, az://, https://,
                                   modelscope://org/name and all that fsspec knows
    ./model.gguf                   one GGUF file; also one of any name that begins as they do

Anything that begins with `./`, `../`, `/` or `~`, or ends in `.json`, `.safetensors` or `.gguf`, is
a path.
Anything else is, in this order: an exact alias; an existing folder that contains model files (so
`org/name` is the folder if there is one, as in transformers); a repository on the Hub; an alias by
the forgiving search. `./name` is always the folder, the URL always the Hub.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from ..errors import NotAModel, UnknownReference, printable, similar_names
from .aliases import bundled_models, enumerate_names, find_alias
from .file_names import is_safe_name
from .regular_files import open_regular

ReferenceKind = Literal["spec", "hub", "folder", "config", "safetensors", "gguf"]

_REPO = r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*"
_FOLDER = r"\w[\w.+-]*(?: [\w.+-]+)*"
_REPO_AND_REVISION = re.compile(
    rf"(?P<repo>{_REPO})(?P<folder>(?:/{_FOLDER})*)(?:@(?P<revision>\S+))?", re.ASCII
)
_PLACE = re.compile(r"[a-z][a-z0-9+.-]*://\S", re.IGNORECASE)
"""How a place begins that is read by fsspec or as a web server."""
_TAGGED_PLACE = re.compile(
    r"(?P<base>\S+://(?:\S*/)?[^/:@]+):(?P<tag>(?!\d+\Z)[\w.][\w.+-]*)", re.ASCII
)
"""The same with one of its GGUF models; digits alone are the port of a host."""
_TAGGED = re.compile(r"(?P<base>[^:]+):(?P<tag>[\w.][\w.+/-]*)", re.ASCII)
"""A folder or repository, and which of its GGUF models is meant."""
_REVISION = re.compile(r"\w[\w./+-]*", re.ASCII)
_BAD_REPO = re.compile(r"--|\.\.|(?:\.git|\.|-)\Z")
_BAD_PATH = re.compile(r"\.\.|//|/\Z")
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "hub-ci.huggingface.co")
_PAGES = ("tree", "blob", "resolve", "raw", "commit")
"""Pages of the Hub whose address contains a revision."""
_OTHER_FORMATS = {
    ".onnx": "an ONNX file",
    ".bin": "a pickle",
    ".pt": "a pickle",
    ".pth": "a pickle",
}
GGUF_MAGIC = b"GGUF"
STANDARD_INPUT = "-"
"""The reference of a config from standard input."""
_CONFIG_FILES = ("config.json", "params.json", "adapter_config.json")
_INDEX_SUFFIX = ".safetensors.index.json"


@frozen
class Reference(Frozen):
    """What the user named."""

    text: str
    """As the user wrote it."""
    kind: ReferenceKind
    alias: str | None = None
    """Of a spec."""
    repo_id: str | None = None
    """On the Hub."""
    revision: str | None = None
    """On the Hub; None is the main branch."""
    path: Path | None = None
    """Of a folder or file; None for standard input."""
    url: str | None = None
    """Of a folder or file in another place: `s3://bucket/model`."""
    folder: str = ""
    """Folder of a repository on the Hub that the model is in; empty: it is at the root."""
    tag: str | None = None
    """Which GGUF model of a folder or repository: `Q4_K_M`."""
    any_kind: bool = False
    """Whether encoders and encoder-decoders are read too, to compare their keys and tensors."""


def parse_reference(text: str) -> Reference:
    """Return the reference that `text` means. Looks at the file system, never at the network.

    Raises UnknownReference (with the nearest names), or NotAModel for a file of another format.
    """
    text = text.strip()
    if not text or not text.isprintable():
        hint = "try `llmarch list`, org/name or ./folder"
        raise UnknownReference(f"{printable(text)!r} does not name a model", hint)
    if text == STANDARD_INPUT:
        return Reference(text, "config")
    hosts = tuple(f"{host}/" for host in _hub_hosts())
    if text.startswith(("hf://", *hosts)) or _is_web_address_of_hub(text):
        return _parse_url(text)
    if _PLACE.match(text):
        return _parse_place(text)
    tagged = _parse_tagged(text)
    if tagged is not None:
        return tagged
    if is_path(text):
        return _parse_path(text)
    if text.lower() in bundled_models():
        return Reference(text, "spec", alias=text.lower())
    folder = Path(text)
    if folder.is_dir() and _has_model_files(folder):
        return Reference(text, "folder", path=folder)
    match = _REPO_AND_REVISION.fullmatch(text)
    if match is not None and not (match["folder"] and os.path.lexists(text)):
        return _hub_reference(text, match["repo"], match["revision"], match["folder"])
    if "/" in text:
        raise UnknownReference(
            f"{text} is neither an existing path nor org/name of a repository",
            "./folder and ./file are paths, org/name is on the Hub",
        )
    name, separator, revision = text.partition("@")
    alias = find_alias(name)
    if separator:
        repo_id = bundled_models()[alias]["repo_id"]
        hint = f"write {repo_id}@{revision} to read the Hub"
        raise UnknownReference(f"{name} is a bundled model, which has no revisions", hint)
    return Reference(text, "spec", alias=alias)


def _is_web_address_of_hub(text: str) -> bool:
    """Return whether a web address is that of the Hub, by its host."""
    address = re.sub(r"^https?://", "", text)
    return address != text and any(f"{address}/".startswith(f"{host}/") for host in _hub_hosts())


def _parse_place(text: str) -> Reference:
    """Return the reference of a folder or file in another place, by its name alone."""
    url, tag = text, None
    tagged = _TAGGED_PLACE.fullmatch(text)
    if tagged is not None:
        url, tag = tagged["base"], tagged["tag"]
    url = re.sub(r"[^/]+\.safetensors\.index\.json$", "", url)
    inner, _, _ = url.partition("::")
    suffix = os.path.splitext(inner)[1].lower()
    kinds: dict[str, ReferenceKind] = {
        ".safetensors": "safetensors",
        ".json": "config",
        ".gguf": "gguf",
    }
    if suffix in _OTHER_FORMATS:
        raise NotAModel(
            f"{text} is {_OTHER_FORMATS[suffix]}; llmarch reads config.json and safetensors files",
            "give the folder that contains them",
        )
    return Reference(text, kinds.get(suffix, "folder"), url=url, tag=tag)


def is_folder_in_place(text: str) -> bool:
    """Return whether a text names a folder in another place, which may hold several models."""
    if not _PLACE.match(text) or text.startswith("hf://") or _is_web_address_of_hub(text):
        return False
    reference = _parse_place(text)
    return reference.kind == "folder" and reference.tag is None


def _parse_tagged(text: str) -> Reference | None:
    """Return the reference of one GGUF model of several: `org/name:Q4_K_M`, `./folder:Q8_0`.

    None for a reference without a tag, and for a path that has a colon itself.
    """
    match = _TAGGED.fullmatch(text)
    if match is None or os.path.lexists(text):
        return None
    base, tag = match["base"], match["tag"]
    folder = Path(base)
    if is_path(base):
        reference = _parse_path(base)
        if reference.kind != "folder":
            return None
        return Reference(text, "folder", path=reference.path, tag=tag)
    if folder.is_dir() and _has_model_files(folder):
        return Reference(text, "folder", path=folder, tag=tag)
    named = _REPO_AND_REVISION.fullmatch(base)
    if named is None:
        return None
    hub = _hub_reference(text, named["repo"], named["revision"], named["folder"])
    return replace(hub, tag=tag)


# Paths


def is_path(text: str) -> bool:
    """Return whether a text can only be a path, whatever the current folder contains."""
    if text in (".", "..", "~") or text.startswith(("./", "../", "/", "~", ".\\", "..\\")):
        return True
    suffix = os.path.splitext(text)[1].lower()
    if suffix in (".json", ".safetensors", ".gguf"):
        return True
    return suffix in _OTHER_FORMATS and Path(text).is_file()


def _parse_path(text: str) -> Reference:
    try:
        path = Path(text).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UnknownReference(f"{text}: {error}") from None
    if not exists:
        raise UnknownReference(f"{text}: no such file or folder", _suggest_sibling(path))
    if path.is_dir():
        return Reference(text, "folder", path=path)
    if path.name.endswith(_INDEX_SUFFIX):
        return Reference(text, "folder", path=path.parent)
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return Reference(text, "safetensors", path=path)
    if suffix == ".json":
        return Reference(text, "config", path=path)
    if suffix == ".gguf" or _begins_as_gguf(path):
        return Reference(text, "gguf", path=path)
    if suffix in _OTHER_FORMATS:
        raise NotAModel(
            f"{text} is {_OTHER_FORMATS[suffix]}; llmarch reads config.json, safetensors files, and"
            " pytorch_model.bin beside a config.json",
            "give the folder that contains them",
        )
    raise UnknownReference(f"{text} is neither a folder nor a .json, .safetensors or .gguf file")


def _begins_as_gguf(path: Path) -> bool:
    """Return whether a file of another name is a GGUF file, as ollama's blobs are."""
    try:
        with open_regular(path) as file:
            return file.read(4) == GGUF_MAGIC
    except OSError:
        return False


def _has_model_files(folder: Path) -> bool:
    """Return whether a folder contains a config, safetensors files or GGUF files.

    Only then a name without `./` means the folder.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    suffixes = (".safetensors", ".gguf", _INDEX_SUFFIX)
    return any(name in _CONFIG_FILES or name.endswith(suffixes) for name in names)


def _suggest_sibling(path: Path) -> str | None:
    """Return the hint for a path that does not exist: similar names in its folder, if any."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return None
    possible = [
        name
        for name in names
        if name.endswith((".json", ".safetensors", ".gguf")) or (path.parent / name).is_dir()
    ]
    near = similar_names(path.name, possible)
    return f"there is {enumerate_names(near)}" if near else None


# The Hub


def _hub_hosts() -> tuple[str, ...]:
    """Return the Hub's hosts, and that of HF_ENDPOINT last."""
    endpoint = os.environ.get("HF_ENDPOINT", "")
    host = re.sub(r"^https?://", "", endpoint).rstrip("/")
    if not host:
        return _HOSTS
    return (*_HOSTS, host)


def _parse_url(text: str) -> Reference:
    """Parse a web address of the Hub. For that of a file, return the folder that it is in."""
    address = re.sub(r"^(?:https?|hf)://", "", text)
    address = re.sub(r"[?#].*", "", address)
    if text.startswith("hf://"):
        match = _REPO_AND_REVISION.fullmatch(address.removeprefix("models/"))
        if match is None or address.startswith(("datasets/", "spaces/")):
            raise UnknownReference(
                f"{text} is not the address of a model", "hf://org/name or hf://org/name@revision"
            )
        return _hub_reference(text, match["repo"], match["revision"], match["folder"])
    parts = _split_address(address)
    if parts[:1] in (["datasets"], ["spaces"]):
        kind = parts[0].removesuffix("s")
        raise UnknownReference(f"{text} is the address of a {kind}, not of a model")
    if parts[:1] == ["models"] and len(parts) > 2:
        parts = parts[1:]
    repo = "/".join(parts[:2])
    page = parts[2:]
    if not repo or ("/" in repo and not re.fullmatch(_REPO, repo, re.ASCII)):
        hint = "https://huggingface.co/org/name"
        raise UnknownReference(f"{text} does not name a repository", hint)
    revision, folder = None, ""
    if len(page) > 1 and page[0] in _PAGES:
        parts_of_revision = 3 if page[1] == "refs" and len(page) > 3 else 1  # refs/pr/7
        revision = "/".join(page[1 : 1 + parts_of_revision])
        inner = page[1 + parts_of_revision :]
        if page[0] != "tree":  # of a file in the folder
            inner = inner[:-1]
        folder = "/".join(inner)
    return _hub_reference(text, repo, revision, folder)


def _split_address(address: str) -> list[str]:
    """Return the parts of an address of the Hub after the host."""
    from urllib.parse import unquote

    hosts = [host for host in _hub_hosts() if f"{address}/".startswith(f"{host}/")]
    longest = max(map(len, hosts))
    path = address[longest:]
    return [unquote(part) for part in path.split("/") if part]


def _hub_reference(text: str, repo: str, revision: str | None, folder: str = "") -> Reference:
    """Check the names by the rules of the Hub, so that no unusual path is ever requested."""
    if len(repo) > 96 or _BAD_REPO.search(repo):
        raise UnknownReference(f"{text} is not a valid name of a repository on the Hub")
    if revision is not None and not _is_revision(revision):
        hint = "give a branch, a tag or a commit"
        raise UnknownReference(f"{text}: {revision} is not a valid revision", hint)
    folder = folder.strip("/")
    if folder and not is_safe_name(folder):
        raise UnknownReference(f"{text}: {folder} is not a folder of a repository")
    return Reference(text, "hub", repo_id=repo, revision=revision, folder=folder)


def _is_revision(text: str) -> bool:
    if _BAD_PATH.search(text):
        return False
    return _REVISION.fullmatch(text) is not None
