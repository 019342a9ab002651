"""The look-up that pins a commit, and refusals of the Hub as errors for people. All that a cached commit takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from huggingface_hub import errors

from ...architecture.frozen import Frozen, frozen
from ...errors import ConfigError, ReadError, printable
from ..documents import parse_object, safe_name
from ..references import Reference
from . import MAX_LOOKUP, or_bundled, repo_id_of, snapshot
from .client import Answer, Client, Unreadable

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(slots=True)
class Pinned:
    """What the look-up says: the repository's present id, the commit, the files; and what of it huggingface_hub has downloaded."""

    repo_id: str
    commit: str
    files: list[str]
    snapshot: Path | None

    def downloaded(self, file: str) -> Path | None:
        path = self.snapshot / file if self.snapshot is not None else None
        return path if path is not None and path.is_file() else None


@frozen
class Inquiry(Frozen):
    """Who is asked for what."""

    reference: Reference
    client: Client

    @property
    def repo_id(self) -> str:
        """The id that the user gave, which the repository may have had once."""
        return repo_id_of(self.reference)

    def pin(self, answer: Callable[[], Answer]) -> Pinned:
        """What the look-up says: it pins the commit. It has followed a repository that was renamed."""
        try:
            document = self.document(answer, "the look-up", MAX_LOOKUP)
        except ConfigError:
            raise ReadError(
                f"{self.client.endpoint} does not answer as a Hub does",
                "is HF_ENDPOINT right, or a proxy in between?",
            ) from None
        commit, repo_id, siblings = (
            document.get("sha"),
            document.get("id"),
            document.get("siblings"),
        )
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise ReadError(f"{self.repo_id}: the answer of {self.client.endpoint} names no commit")
        if (
            not isinstance(repo_id, str)
            or not re.fullmatch(r"\w[\w.-]*(?:/\w[\w.-]*)?", repo_id, re.ASCII)
            or ".." in repo_id
        ):
            repo_id = self.repo_id
        files: list[str] = []
        for sibling in cast(list[object], siblings) if isinstance(siblings, list) else []:
            name = (
                cast(dict[str, object], sibling).get("rfilename")
                if isinstance(sibling, dict)
                else None
            )
            if isinstance(name, str) and safe_name(name):
                files.append(name)
        return Pinned(repo_id, commit, sorted(files), snapshot(repo_id, commit))

    def document(self, answer: Callable[[], Answer], name: str, limit: int) -> dict[str, Any]:
        """A JSON object that there is no going on without; errors for people."""
        try:
            return parse_object(answer().data, file=name, limit=limit)
        except errors.HfHubHTTPError as error:
            raise self.refused(name, error) from None
        except Unreadable as error:
            reason = printable(str(error))
            if self.client.reached:
                hint = "try again later; a token (HF_TOKEN) raises rate limits"
                raise ReadError(
                    f"{self.repo_id}: {name} could not be read: {reason}",
                    or_bundled(hint, self.repo_id),
                ) from None
            hint = or_bundled("--offline reads what was read before", self.repo_id)
            raise ReadError(f"cannot reach {self.client.endpoint}: {reason}", hint) from None

    def refused(self, name: str, error: errors.HfHubHTTPError) -> ReadError:
        """The Hub's refusal, with what to do about it."""
        repo_id, endpoint, with_token = (
            self.repo_id,
            self.client.endpoint,
            "authorization" in self.client.headers,
        )
        if isinstance(error, errors.GatedRepoError):
            what = (
                f"{repo_id} is gated: the Hub shows its files only to users whom its authors let in"
            )
            hint = f"ask for access at {endpoint}/{repo_id}" + (
                "" if with_token else ", then set HF_TOKEN or run `hf auth login`"
            )
        elif isinstance(error, errors.RevisionNotFoundError):
            what, hint = (
                f"{repo_id} has no revision {self.reference.revision or 'main'}",
                "give a branch, a tag or a full commit",
            )
        elif isinstance(error, errors.RepositoryNotFoundError):
            what = f"there is no repository {repo_id} on {endpoint}, or it is private"
            hint = "check the spelling" + ("" if with_token else "; a private one needs HF_TOKEN")
        else:
            status, said = error.response.status_code, printable(error.server_message or "")
            what = f"{repo_id}: {name}: HTTP {status}" + (f" ({said})" if said else "")
            hint = (
                "is the token in HF_TOKEN right?" if status in (401, 403) and with_token else None
            )
        return ReadError(what, or_bundled(hint, repo_id))
