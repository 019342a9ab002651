"""The files of a project that uses llmarch: its lock, its settings, and reports written for it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any, cast

from ..errors import ConfigError, ReadError, printable
from .atomic import replace_file
from .regular_files import read_regular
from .strict_json import parse_object

MAX_LOCK = 100_000_000
"""Bytes."""
MAX_SETTINGS = 20_000_000
"""Bytes; of a longer file the rest is not read."""
OWN = "llmarch.toml"
"""File with nothing but llmarch's settings."""
SHARED = "pyproject.toml"
"""File that contains llmarch's settings in [tool.llmarch]."""


def is_lock(text: str) -> bool:
    """Return whether a word of the command line is a lock rather than a model.

    It is one if it ends in .lock, or is a file that begins as a lock does.
    """
    path = Path(text)
    if not path.is_file():
        return text.endswith(".lock")
    if path.suffix == ".lock":
        return True
    with path.open("rb") as file:
        return b'"llmarch_lock"' in file.read(200)


def relative_path(path: str) -> str:
    """Return a path relative to the current folder if it is inside; reports name files so."""
    try:
        return Path(path).absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path


def read_lock(path: str) -> tuple[dict[str, Any], str]:
    """Return the JSON of a lock, and its text. Raises ConfigError."""
    shown = printable(path)
    try:
        data = read_regular(Path(path), MAX_LOCK)
    except FileNotFoundError:
        hint = f"`llmarch lock REF... -o {shown}` writes one"
        raise ConfigError(f"{shown}: no such file", hint) from None
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror}") from None
    document = parse_object(data, file=path, limit=MAX_LOCK, is_own=True)
    return document, data.decode("utf-8-sig")


def write_file(path: str, text: str) -> None:
    """Write a file whole or not at all. Raises ConfigError.

    Anything but a regular file (/dev/stdout, a pipe) is written to as it is.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
            return
        target = target.resolve()
        mode = 0o666 & ~_umask()
        if target.exists():
            mode = target.stat().st_mode & 0o777
        replace_file(target, text.encode(), mode=mode)
    except OSError as error:
        raise ConfigError(f"{printable(path)}: cannot be written: {error.strerror}") from None


def read_lines(path: str) -> list[str]:
    """Return the lines of a text file of the project. Raises ConfigError."""
    shown = printable(path)
    try:
        data = read_regular(Path(path), MAX_SETTINGS)
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{shown}: is not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror}") from None


def exists(path: str) -> bool:
    """Return whether there is a regular file at a path, a link to one included."""
    return Path(path).is_file()


@contextmanager
def exclusive(path: str) -> Generator[None]:
    """Keep other runs of llmarch from writing a file meanwhile.

    The operating system's lock is on a file in the folder of temporary files, so that none is left
    in the project, and ends with the program, whatever ends it. Where such a file cannot be made,
    nothing is kept.
    """
    from filelock import FileLock

    name = sha256(str(Path(path).resolve()).encode()).hexdigest()[:32]
    target = Path(gettempdir()) / f"llmarch-{name}.lock"
    try:
        held = FileLock(target, mode=0o666)
        held.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        held.release()


def read_settings(start: Path | None = None) -> tuple[dict[str, Any], str]:
    """Return the settings table of a folder, and the name of the file it is in.

    That is llmarch.toml, or [tool.llmarch] of pyproject.toml, in this folder or the nearest one
    above it, up to the root of the repository; ({}, "") if there is none. Raises ConfigError.

    start: the folder; None is the current one.
    """
    start_folder = (start or Path.cwd()).resolve()
    for folder in (start_folder, *start_folder.parents):
        own = folder / OWN
        shared = folder / SHARED
        if own.is_file():
            return _read_toml(own), OWN
        if shared.is_file():
            tools = _subtable(_read_toml(shared), "tool", SHARED)
            table = _subtable(tools, "llmarch", f"{SHARED}: tool")
            if table is not None:
                return table, f"{SHARED} [tool.llmarch]"
        if (folder / ".git").exists():
            break
    return {}, ""


def settings_table(file: str, data: bytes | None) -> object:
    """Return the settings of llmarch in a settings file; the data if they cannot be read.

    file: its name; one for all tools has them in a table of their own.
    data: its content; None if there is no such file.
    """
    try:
        table: Any = tomllib.loads((data or b"").decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return data
    if file == OWN:
        return table
    match table:
        case {"tool": {"llmarch": found}}:
            return found
        case _:
            return {}


def read_or_none(path: Path) -> bytes | None:
    """Return the content of a file of the project, None if it is gone or cannot be read."""
    try:
        return read_regular(path, MAX_LOCK)
    except OSError:
        return None


def _subtable(table: dict[str, Any] | None, key: str, location: str) -> dict[str, Any] | None:
    """Return the table under a key; None if there is none.

    location: names the table in errors. Raises ConfigError if something else is there.
    """
    if table is None or key not in table:
        return None
    inner = table[key]
    if not isinstance(inner, dict):
        raise ConfigError(f"{location}: {key} is not a table", "such as [tool.llmarch]")
    return cast(dict[str, Any], inner)


def _umask() -> int:
    """Return the umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read_toml(path: Path) -> dict[str, Any]:
    shown = printable(str(path))
    try:
        data = read_regular(path, MAX_SETTINGS)
        return tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = printable(str(error))
        raise ConfigError(f"{shown}: not valid TOML: {reason}") from None
    except OSError as error:
        raise ReadError(f"{shown}: {error.strerror}") from None
