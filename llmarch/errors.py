"""What can go wrong, as a tree of exceptions whose messages are written for people.

A message says what is wrong, where (file, key or tensor) and what to do; the command line prints it and exits with
`exit_code`. Nothing here imports anything.

Exit codes of all commands:

0  clean
1  changes at or above the level (`check`, `diff --fail-on`); any difference (`diff --exit-code`)
2  wrong usage or bad input: no such model, a config, lock or setting that cannot be read as one
3  could not be read: no network, a gated, private or missing repository, offline and not cached
4  read only in part: a shard that could not be fetched, tensors that could not be compared

Of several, 1 goes before 3, 2 and 4: a certain change goes before a doubt. What could not be told is never 0.
"""


class LlmarchError(Exception):
    """Base of every error that llmarch raises on purpose. `hint` is a second line: what to do about it."""

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UnknownReference(LlmarchError):
    """A reference that names nothing: unknown alias, ambiguous name, no such path."""


class ConfigError(LlmarchError):
    """config.json or params.json that cannot be read as an architecture: broken JSON, missing key, wrong type."""


class UnknownFamily(ConfigError):
    """A model_type that no family file reads."""


class NotAModel(LlmarchError):
    """A repository that holds no decoder language model (an adapter, a diffusion pipeline, only GGUF files, ...)."""


class HeaderError(LlmarchError):
    """A safetensors header that is truncated, inconsistent or hostile."""


class ReadError(LlmarchError):
    """The bytes could not be had: no network, gated or missing repository, offline and not cached."""

    exit_code = 3


class PlanError(LlmarchError):
    """A deployment that can't be: degrees that do not divide the model, a cache layout it does not have, weights of unknown size."""


def printable(text: str, limit: int = 200) -> str:
    """`text` from a repository, safe to put into a message: control and other unprintable characters escaped, long text cut."""
    shown = (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
