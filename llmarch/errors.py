"""Everything that can go wrong, as a tree of exceptions whose messages are written for people.

A message says what is wrong and where (file, key or tensor); a hint says what to do about it. The
command line prints both and exits with `exit_code`. This module imports nothing.

Exit codes of all commands:

0  clean
1  a conflict; changes at or above the level (`check`, `diff --fail-on`); any (`diff --exit-code`)
2  wrong usage or bad input: no such model; a config, lock or setting that cannot be read as one
3  could not be read: no network; a gated, private or missing repository; offline and not cached
4  read only in part: a shard that could not be fetched, tensors that could not be compared
5  does not fit, or that is not known (`fit --check`)
70 a fault of llmarch itself; the message asks for a report
141 whoever read the output has closed the pipe: `llmarch show REF | head -1`

A conflict is a checkpoint that contradicts its config (`lock`, `check`, `diff`). If several apply,
the order is 1, 3, 2, 4: a definite change outranks uncertainty. An uncertain result never exits 0.
"""

from __future__ import annotations

from collections.abc import Iterable

INTERNAL = 70
"""The exit code for any exception that llmarch does not raise on purpose."""


class LlmarchError(Exception):
    """Base of every error that llmarch raises on purpose.

    message: what is wrong, and where.
    hint: what to do about it; a second line.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UnknownReference(LlmarchError):
    """A reference that names nothing: unknown alias, ambiguous name, no such path."""


class ConditionError(LlmarchError):
    """A condition over facts that cannot be read, or that names what no model has."""


class ConfigError(LlmarchError):
    """A config that cannot be read as an architecture: broken JSON, missing key, wrong type."""


class UnknownFamily(ConfigError):
    """A model_type that no family file reads."""


class FactError(LlmarchError):
    """Values that make no architecture: each is valid by itself, but not together."""


class InternalError(ConfigError):
    """A fault of llmarch that a config brought to light. People are asked to report it."""

    exit_code = INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message, "This is a fault of llmarch. Please report it with the config.")


class NotAModel(LlmarchError):
    """A repository without a decoder language model: an adapter, a pipeline, GGUF files."""


class OtherKindOfModel(NotAModel):
    """A model of another kind than a decoder language model: an encoder, for example."""

    def __init__(self, name: str, kind: str) -> None:
        """Take what the user calls the model, and what it is: `a text encoder (BertModel)`."""
        super().__init__(
            f"{name} is {kind}, not a decoder language model",
            "show, memory and draw read decoder language models only; lock, check and diff compare"
            " config keys and tensors of any model",
        )


class AdapterAlone(NotAModel):
    """An adapter in the place of a model: `show` and `diff` read it."""


class HeaderError(LlmarchError):
    """A safetensors header that is truncated, inconsistent or hostile."""


class ReadError(LlmarchError):
    """Data that could not be read: no network, gated or missing repository, offline, not cached."""

    exit_code = 3


class NotCached(ReadError):
    """A model that was never read on this machine, while the network is not to be used."""


class NotPulled(ConfigError, HeaderError):
    """A Git LFS pointer in the place of the file that it stands for."""


class UnsoundModel(LlmarchError):
    """A model that is not pinned: read only in part, or in conflict with its config."""

    def __init__(self, message: str, hint: str | None = None, exit_code: int = 2) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class PlanError(LlmarchError):
    """A deployment that is not possible.

    Degrees that do not divide the model, a cache layout that it does not have, weights of unknown
    size.
    """


class ImpossiblePlan(PlanError):
    """A deployment that is not possible, told without the name of the model."""


class MissingExtra(LlmarchError):
    """A format that needs a package which is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs a package that is not installed", f"pip install 'llmarch[{extra}]'"
        )


def similar_names(text: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` names that look like a text, the nearest first."""
    from difflib import get_close_matches

    return get_close_matches(text, list(names), n=count, cutoff=0.6)


def did_you_mean(names: Iterable[str]) -> str:
    """Return the question whether one of some names was meant; empty without names."""
    either = " or ".join(names)
    return f"did you mean {either}?" if either else ""


def printable(text: str, limit: int = 200) -> str:
    """Return text from outside, safe to put into a message.

    Control and other unprintable characters are escaped, and text longer than `limit` is cut.
    """
    if not text.isprintable():
        text = "".join(map(_escape, text))
    if len(text) > limit:
        return text[: limit - 1] + "…"
    return text


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    escaped = character.encode("unicode_escape")
    return escaped.decode()
