"""Parse the JSON files of a repository strictly, with errors for people. Pure functions."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, cast

from ..errors import ConfigError, printable

MAX_CONFIG = 20_000_000
"""Bytes of a JSON file, except of an index (see `index`)."""

MAX_VALUES = 1_000_000
"""Values of a JSON file, by its commas and brackets. Parsed ones take up to 200 bytes each, so that
`[],[],…` takes 25 times the memory of its text. The largest published index has 140,000."""

# Not compiled here, because most files need neither, and every start imports this module.
_CONFLICT_MARKER = rb"^(?:<{7}|>{7})(?: |$)"
_SURROGATE = rb"\\u[dD][89a-fA-F]"
_TYPE_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def parse_object(
    data: bytes, *, file: str, limit: int = MAX_CONFIG, is_own: bool = False
) -> dict[str, Any]:
    """Parse a file that must hold a JSON object in UTF-8.

    NaN and Infinity are accepted: published configs contain them (Mamba's time_step_limit).
    Raises ConfigError with file, line and column.

    data: the bytes of the file.
    file: its name, for messages.
    limit: refuse a longer file.
    is_own: whether llmarch wrote the file, which then holds neither NaN nor Infinity.
    """
    name = printable(file)
    if len(data) > limit:
        raise ConfigError(
            f"{name}: too large for a configuration file: {len(data):,} bytes, limit {limit:,}"
        )
    if data.startswith(b"version https://git-lfs"):
        raise ConfigError(
            f"{name}: is a Git LFS pointer, not the file", "run `git lfs pull` in the repository"
        )
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        raise ConfigError(f"{name}: contains some {values:,} values, limit {MAX_VALUES:,}")
    try:
        refuse = _refuse_constant if is_own else None
        value: Any = json.loads(data.decode("utf-8-sig"), parse_constant=refuse)
        if b"\\" in data and re.search(_SURROGATE, data):
            json.dumps(value, ensure_ascii=False).encode()  # fails for an unpaired surrogate
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text (byte {error.start})") from None
    except UnicodeEncodeError:
        raise ConfigError(f"{name}: contains an unpaired surrogate (invalid Unicode)") from None
    except json.JSONDecodeError as error:
        raise _syntax_error(data, name, error) from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError as error:
        problem = str(error)
        if "int_max_str_digits" in problem:
            problem = f"contains a number of more than {sys.get_int_max_str_digits():,} digits"
        raise ConfigError(f"{name}: {problem}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: contains {type_name(value)}, not a JSON object")
    return cast(dict[str, Any], value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def type_name(value: object) -> str:
    """Return the JSON type of a parsed value with its article, for messages."""
    cls = type(value)
    return _TYPE_NAMES[cls]


def _syntax_error(data: bytes, name: str, error: json.JSONDecodeError) -> ConfigError:
    """Return the error to raise: a merge conflict in the file explains a syntax error better."""
    conflict = re.search(_CONFLICT_MARKER, data, re.MULTILINE)
    if conflict is not None:
        line = data.count(b"\n", 0, conflict.start()) + 1
        return ConfigError(
            f"{name}: line {line} is a merge conflict marker", "resolve the conflict first"
        )
    where = f"line {error.lineno}, column {error.colno}"
    return ConfigError(f"{name}: not valid JSON at {where}: {error.msg}")
