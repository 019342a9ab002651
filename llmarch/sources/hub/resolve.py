"""Resolve a revision to a commit, and turn the Hub's refusals into errors for people.

For a commit that is in the cache, this is all of the network that is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from huggingface_hub import errors

from ...architecture.frozen import Frozen, frozen
from ...errors import ConfigError, ReadError, UnknownReference, printable, similar_names
from ..cache_entries import REPO_ID
from ..file_names import is_safe_name
from ..references import Reference
from ..strict_json import JsonObject, parse_object
from .client import Answer, Client, RequestFailed
from .common import COMMIT, MAX_LOOKUP, downloaded_snapshot, repo_id_of, with_bundled_hint

MOST_FOLDERS = 10
"""Folders that a message lists."""
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(slots=True)
class PinnedRepo:
    """A repository at one commit, as the look-up describes it."""

    repo_id: str
    """Its present id; it may have been renamed since the user's reference was written."""
    commit: str
    files: list[str]
    file_ids: dict[str, str]
    """What identifies the content of each file, where the Hub says it (`RawModel.file_ids`)."""
    snapshot: Path | None
    """The folder of this commit in huggingface_hub's cache; files may be missing."""
    folder: str = ""
    """Folder of the repository that `files` and `snapshot` are of; empty: the root."""

    def address(self, client: Client, file: str) -> str:
        """Return the address of a file."""
        path = f"{self.folder}/{file}" if self.folder else file
        return client.file_url(self.repo_id, self.commit, path)

    def downloaded_file(self, file: str) -> Path | None:
        """Return the path of a file that huggingface_hub has downloaded, or None."""
        if self.snapshot is None:
            return None
        path = self.snapshot / file
        return path if path.is_file() else None


@frozen
class Resolver(Frozen):
    """A reference and the client that resolves it."""

    reference: Reference
    client: Client

    @property
    def repo_id(self) -> str:
        """The id that the user gave; the repository may have another one by now."""
        return repo_id_of(self.reference)

    def pin(self, request: Callable[[], Answer]) -> PinnedRepo:
        """Return the commit and the files that the look-up names. Renames are followed.

        request: returns the Hub's answer to the look-up, or raises what the client raises.
        """
        endpoint = self.client.endpoint
        try:
            document = self.required_document(request, "the look-up", MAX_LOOKUP)
        except ConfigError:
            hint = "is HF_ENDPOINT right? is there a proxy in between?"
            raise ReadError(f"{endpoint} does not answer as a Hub does", hint) from None
        commit = document.get("sha")
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise ReadError(f"{self.repo_id}: the answer of {endpoint} names no commit")
        self._check_pinned(commit)
        repo_id = document.get("id")
        if not isinstance(repo_id, str) or re.fullmatch(REPO_ID, repo_id) is None:
            repo_id = self.repo_id
        described = _described_files(document.get("siblings"))
        files = sorted(described)
        file_ids = {name: ids for name, ids in described.items() if ids}
        snapshot = downloaded_snapshot(repo_id, commit)
        pinned = PinnedRepo(repo_id, commit, files, file_ids, snapshot)
        if self.reference.folder:
            return _folder_of(pinned, self.reference.folder)
        return pinned

    def _check_pinned(self, commit: str) -> None:
        """Raise ReadError if the reference names a commit and this is another one."""
        asked = (self.reference.revision or "").lower()
        if COMMIT.fullmatch(asked) and asked != commit:
            endpoint = self.client.endpoint
            raise ReadError(
                f"{self.repo_id}: {endpoint} answers for commit {commit} instead of {asked}",
                "is HF_ENDPOINT right? is there a proxy or mirror in between?",
            )

    def required_document(self, request: Callable[[], Answer], name: str, limit: int) -> JsonObject:
        """Return a JSON document that is required. Raises ReadError with a hint, or ConfigError.

        request: returns the answer that contains it, or raises what the client raises.
        name: what it is called in messages.
        limit: its longest size in bytes.
        """
        return parse_object(self.required_data(request, name), file=name, limit=limit)

    def required_data(self, request: Callable[[], Answer], name: str) -> bytes:
        """Return the bytes of a file that is required. Raises ReadError with a hint.

        request: returns the answer that contains it, or raises what the client raises.
        name: what it is called in messages.
        """
        try:
            return request().data
        except errors.HfHubHTTPError as error:
            raise self.explain_refusal(name, error) from None
        except RequestFailed as error:
            raise self.explain_failure(name, str(error)) from None

    def explain_failure(self, name: str, reason: str) -> ReadError:
        """Return the error for a request without an answer."""
        reason = printable(reason)
        if self.client.reached:
            message = f"{self.repo_id}: {name} could not be read: {reason}"
            hint = "try again later; a token (HF_TOKEN) raises rate limits"
        else:
            message = f"cannot reach {self.client.endpoint}: {reason}"
            hint = "--offline reads what was read before"
        return ReadError(message, with_bundled_hint(hint, self.repo_id))

    def explain_refusal(self, name: str, error: errors.HfHubHTTPError) -> ReadError:
        """Return the error for a refusal of the Hub, with what to do about it."""
        repo_id = self.repo_id
        endpoint = self.client.endpoint
        has_token = "authorization" in self.client.headers
        hint = None
        if isinstance(error, errors.GatedRepoError):
            message = f"{repo_id} is gated: its authors must grant you access to its files"
            hint = f"ask for access at {endpoint}/{repo_id}"
            if not has_token:
                hint += ", then set HF_TOKEN or run `hf auth login`"
        elif isinstance(error, errors.RevisionNotFoundError):
            message = f"{repo_id} has no revision {self.reference.revision or 'main'}"
            hint = "give a branch, a tag or a full commit"
        elif isinstance(error, errors.RepositoryNotFoundError):
            message = f"there is no repository {repo_id} on {endpoint}, or it is private"
            hint = "check the spelling"
            if self.reference.folder:
                hint += f"; a folder of this machine is ./{self.reference.text}"
            if not has_token:
                hint += "; a private one needs HF_TOKEN"
        else:
            status = error.response.status_code
            message = f"{repo_id}: {name}: HTTP {status}"
            if error.server_message:
                message += f" ({printable(error.server_message)})"
            if status in (401, 403) and has_token:
                hint = "is the token in HF_TOKEN right?"
        return ReadError(message, with_bundled_hint(hint, repo_id))


def _folder_of(pinned: PinnedRepo, folder: str) -> PinnedRepo:
    """Return a folder of a repository, as if it were the whole.

    Raises UnknownReference for one that does not exist, with those that do.
    """
    prefix = f"{folder}/"
    files = [name.removeprefix(prefix) for name in pinned.files if name.startswith(prefix)]
    if not files:
        folders = {name.rpartition("/")[0] for name in pinned.files} - {""}
        near = similar_names(folder, folders) or sorted(folders)
        shown = ", ".join(printable(name) for name in near[:MOST_FOLDERS])
        raise UnknownReference(
            f"{pinned.repo_id} has no folder {printable(folder)}",
            f"there is {shown}" if shown else "it has no folders",
        )
    ids = {
        file: pinned.file_ids[prefix + file] for file in files if prefix + file in pinned.file_ids
    }
    snapshot = None if pinned.snapshot is None else pinned.snapshot / folder
    return PinnedRepo(pinned.repo_id, pinned.commit, files, ids, snapshot, folder)


def _described_files(siblings: Any) -> dict[str, str]:
    """Return the safe file names among the look-up's `siblings`, with what identifies each."""
    if not isinstance(siblings, list):
        return {}
    found: dict[str, str] = {}
    for sibling in cast(list[Any], siblings):
        if not isinstance(sibling, dict):
            continue
        described = cast(dict[str, Any], sibling)
        name: Any = described.get("rfilename")
        if not isinstance(name, str):
            continue
        if is_safe_name(name):
            found[name] = _file_id(described)
    return found


def _file_id(described: dict[str, Any]) -> str:
    """Return the hash of a file's content and its size, as far as the look-up says them.

    Of a file in LFS that is the SHA-256: the blob of git is only its pointer.
    """
    words: list[str] = []
    lfs = described.get("lfs")
    if isinstance(lfs, dict):
        content: Any = cast(dict[str, Any], lfs).get("sha256")
        if isinstance(content, str) and _HASH.fullmatch(content):
            words.append(f"sha256:{content}")
    else:
        blob = described.get("blobId")
        if isinstance(blob, str) and _HASH.fullmatch(blob):
            words.append(f"git:{blob}")
    size = described.get("size")
    if words and type(size) is int and size >= 0:
        words.append(f"size:{size}")
    return " ".join(words)
