"""The files of a project that uses llmarch: its lock, its settings, and reports that are written for it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ..errors import ConfigError, ReadError, printable
from .documents import parse_object

MAX_LOCK = 100_000_000
OWN, SHARED = "llmarch.toml", "pyproject.toml"


def is_lock(text: str) -> bool:
    """Whether a word of the command line is a lock rather than a model: a file whose name ends in .lock, or whose content is one."""
    path = Path(text)
    if not path.is_file():
        return text.endswith(".lock")
    if path.suffix == ".lock":
        return True
    with path.open("rb") as file:
        return b'"llmarch_lock"' in file.read(200)


def relative(path: str) -> str:
    """A path as seen from here, where it lies below: reports name files so."""
    try:
        return Path(path).absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path


def read_lock(path: str) -> tuple[dict[str, Any], str]:
    """A lock's JSON and its text. Raises ConfigError."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{printable(path)}: no such file",
            f"`llmarch lock REF... -o {printable(path)}` writes one",
        ) from None
    except OSError as error:
        raise ConfigError(f"{printable(path)}: {error.strerror}") from None
    return parse_object(data, file=path, limit=MAX_LOCK), data.decode("utf-8-sig")


def write(path: str, text: str) -> None:
    """A file, whole or not at all. Raises ConfigError. What is no regular file (/dev/stdout, a pipe) is written to as it is."""
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
            return
        target = target.resolve()
        with NamedTemporaryFile(
            "w",
            encoding="utf-8",
            newline="\n",
            dir=target.parent,
            prefix=".",
            suffix=".tmp",
            delete=False,
        ) as file:
            try:
                file.write(text)
                file.close()
                Path(file.name).chmod(
                    target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
                )
                os.replace(file.name, target)
            except BaseException:
                file.close()
                os.unlink(file.name)
                raise
    except OSError as error:
        raise ConfigError(f"{printable(path)}: cannot be written: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def settings(start: Path | None = None) -> tuple[dict[str, Any], str]:
    """The settings table that holds here, and the file it is in: llmarch.toml, or [tool.llmarch] of pyproject.toml, in this folder or the
    nearest above it, not beyond the repository. ({}, "") where there is none. Raises ConfigError."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (own := folder / OWN).is_file():
            return _toml(own), OWN
        if (shared := folder / SHARED).is_file():
            tool = _toml(shared).get("tool")
            table: Any = tool.get("llmarch") if isinstance(tool, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if isinstance(table, dict):
                return table, f"{SHARED} [tool.llmarch]"  # pyright: ignore[reportUnknownVariableType]
        if (folder / ".git").exists():
            break
    return {}, ""


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{printable(str(path))}: not valid TOML: {printable(str(error))}"
        ) from None
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: {error.strerror}") from None
