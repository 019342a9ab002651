"""Read the headers of a GGUF model by ranges: metadata and tensor infos, never the weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from huggingface_hub import errors

from ...errors import printable
from ..gguf import FIRST_READ, GgufHeader, GgufSet, add_headers, missing_parts, read_gguf
from ..local import read_gguf_header
from ..raw import RawModel
from .client import Client, RequestFailed
from .resolve import PinnedRepo, Resolver


def read_gguf_files(
    resolver: Resolver, pinned: PinnedRepo, chosen: GgufSet, executor: ThreadPoolExecutor
) -> RawModel:
    """Return a GGUF model of a repository.

    Raises NotAModel for another kind of file, HeaderError, or ReadError.

    chosen: the files of the model.
    """
    reader = _FileReader(resolver, pinned)
    requests = [executor.submit(reader.read, file) for file in chosen.files]
    headers = [resolver.client.wait_for(request) for request in requests]
    model = RawModel(
        reference=resolver.reference.text,
        kind="hub",
        name=printable(chosen.name),
        config=None,
        config_file=chosen.files[0],
        repo_id=pinned.repo_id,
        revision=resolver.reference.revision,
        commit=pinned.commit,
        files=tuple(pinned.files),
        file_ids=pinned.file_ids,
    )
    add_headers(model, headers, any_kind=resolver.reference.any_kind)
    missing_parts(model, chosen)
    return model


class _FileReader:
    """Reads headers of files at the pinned commit."""

    def __init__(self, resolver: Resolver, pinned: PinnedRepo) -> None:
        self._resolver = resolver
        self._pinned = pinned
        self._client: Client = resolver.client

    def read(self, file: str) -> GgufHeader:
        """Return the header of a file. Raises HeaderError or ReadError."""
        downloaded = self._pinned.downloaded_file(file)
        if downloaded is not None:
            return read_gguf_header(downloaded, file)
        url = self._pinned.address(self._client, file)
        try:
            first = self._client.get(url, limit=FIRST_READ, ranged=True)

            def read(start: int, count: int) -> bytes:
                if start == 0:
                    return first.data
                return self._client.get(url, limit=count, start=start, ranged=True).data

            return read_gguf(read, file=file, file_size=first.total)
        except errors.HfHubHTTPError as error:
            raise self._resolver.explain_refusal(printable(file), error) from None
        except RequestFailed as error:
            raise self._resolver.explain_failure(printable(file), str(error)) from None
