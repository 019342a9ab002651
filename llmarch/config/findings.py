"""What a config states twice and differently, or in a form that some readers refuse.

What reads a config calls these functions. The findings end in `Reading.findings`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import isclose, isfinite
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from ..architecture.paths import parent_path
from ..architecture.schema import Finding, Severity

if TYPE_CHECKING:
    from .keys import ConfigKeys

NOT_DESCRIBED = "value-not-described"
"""The rule of a value that no fact describes. It contradicts no tensor: the tensors say by
themselves if any do."""

MAX_SHOWN = 60
"""How many characters of a value a message shows."""

KEYS_OF_TENSORS = frozenset(
    "topk_method first_k_dense_replace moe_layer_freq mlp_only_layers".split()
)
"""Keys that say which tensors a model has to engines that obey them, where transformers does not
(vLLM's deepseek_v2.py)."""

IGNORES = "and ignores the key"

FAILS = "transformers 5.23.0 refuses the config or fails in the model"
"""What becomes of a config that it cannot read or run."""

LAYER_TYPES = frozenset(
    """
    attention chunked_attention compressed_sparse_attention conv deepseek_sparse_attention
    full_attention heavily_compressed_attention hybrid hybrid_sliding indexed_attention
    linear_attention mamba minimax_m3_sparse moe qwen_sparse_attention reference_sliding_attention
    sliding_attention window_attention
    """.split()
)
"""Words of `layer_types` that transformers 5.23.0 takes (configuration_utils.py), old ones too."""

MTP_KEYS = (
    "num_nextn_predict_layers",
    "num_mtp_layers",
    "num_mtp_modules",
    "mtp_num_hidden_layers",
)
"""Keys of the number of MTP modules, whose layers some lists have entries for."""


def layer_list_length(c: ConfigKeys, key: str, entries: int, depth: int) -> None:
    """Report a list for the layers that has more or fewer entries than there are layers.

    That it has entries for the layers of MTP modules too is usual, or one for all of them.
    """
    modules = [c.data.get(name) for name in MTP_KEYS]
    one_for_all = entries == depth + 1 and most_modules(c) > 0
    if entries == depth or entries - depth in modules or one_for_all:
        return
    path = c.key(key)
    message = f"{path} has {entries} entries for {depth} layers"
    if entries < depth:
        message += "; the last one is taken for the layers that have none"
    add(
        c,
        Finding(
            rule="layer-list-length",
            path=path,
            message=message,
            severity="weights",
            old=depth,
            new=entries,
        ),
    )


def most_modules(c: ConfigKeys) -> int:
    """Return the number of MTP modules that a config announces, the largest if it has several."""
    modules = [c.data.get(name) for name in MTP_KEYS]
    return max((n for n in modules if isinstance(n, int)), default=0)


def layer_number_too_high(c: ConfigKeys, path: str, number: int, depth: int) -> None:
    """Report an entry for a layer after the last, and after those of MTP modules."""
    if number < depth + most_modules(c):
        return
    add(
        c,
        Finding(
            rule="layer-list-length",
            path=path,
            message=f"{path} has an entry for layer {number}, but the last of {depth} layers is"
            f" {depth - 1}",
            severity="weights",
            old=depth - 1,
            new=number,
        ),
    )


def check_layer_types(c: ConfigKeys, depth: int) -> None:
    """Report `layer_types` of another length, whether or not the family reads it.

    transformers 5 refuses it for every class (PreTrainedConfig.validate_layer_type in 5.23.0).
    """
    words = c.data.get("layer_types")
    if not isinstance(words, list):
        return
    words = cast("list[Any]", words)
    layer_list_length(c, "layer_types", len(words), depth)
    unknown = [word for word in words if not isinstance(word, str) or word not in LAYER_TYPES]
    if unknown:
        problem = f"holds {quoted(unknown[0])}, which is not a type of layer"
        refused_by_transformers(c, "layer_types", problem, unknown[0])


READERS = {
    ("rope_type", "type"): "transformers reads the former, older readers the latter",
    ("dtype", "torch_dtype"): "transformers 5 reads the former, older readers the latter",
}
"""Who reads which of two keys for one thing; llmarch reads the first."""

SYNONYMS = {"su": "longrope", "mrope": "default", "axial": "default"}
"""Words for RoPE types of which a config may have both."""
_LARGEST_INTEGER = 10**300


def same_statement(a: Any, b: Any) -> bool:
    """Return whether two values of a config mean the same: 1 and 1.0, float16 and torch.float16."""
    if isinstance(a, str) and isinstance(b, str):
        first, second = (SYNONYMS.get(word, word).removeprefix("torch.") for word in (a, b))
        return first == second
    if is_float_number(a) and is_float_number(b):
        return isclose(a, b, rel_tol=1e-7)
    return a == b


def is_float_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number that a float can hold; JSON has larger integers."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST_INTEGER)


def contradiction(
    taken: ConfigKeys, key: str, other: ConfigKeys, other_key: str, readers: str = ""
) -> None:
    """Report two keys for one thing with different values, unless one of them has none.

    taken, key: what llmarch reads.
    readers: who reads which, for people.
    """
    a, b = taken.data.get(key), other.data.get(other_key)
    if a is None or b is None or same_statement(a, b):
        return
    readers = readers or READERS.get((key, other_key), "llmarch reads the former")
    first, second = taken.key(key), other.key(other_key)
    add(
        taken,
        Finding(
            rule="config-contradiction",
            path=second,
            message=f"{first} is {shown(a)}, but {second} is {shown(b)}: {readers}",
            severity="behaviour",
            old=b,
            new=a,
        ),
    )


def another_value(c: ConfigKeys, key: str, value: Any, source: str) -> None:
    """Report a key that has another value than the class computes, which ignores the key.

    source: what the class computes it from.
    """
    given = c.data.get(key)
    if given is None or same_statement(given, value):
        return
    problem = f"but {source} gives {shown(value)}: transformers reads the latter"
    _contradicted(c, key, problem, "behaviour", value)


def value_not_obeyed(c: ConfigKeys, key: str, value: Any) -> None:
    """Report another value of a key than the one that the model's code has, which ignores the key.

    value: what the code has.
    """
    given = c.data.get(key)
    if same_statement(given, value) or _has_another_length(key, given, value):
        return
    problem = (
        f"but the model's code has {shown(value)} {IGNORES}: engines that obey it"
        " compute something else, or fail to load"
    )
    _contradicted(c, key, problem, "info", value)


def _has_another_length(key: str, given: Any, value: Any) -> bool:
    """Return whether `check_layer_types` reports a key."""
    is_list = key == "layer_types" and isinstance(given, list)
    return is_list and len(cast("list[Any]", given)) != len(value)


def stated_otherwise(c: ConfigKeys, key: str, problem: str) -> None:
    """Report a key that disagrees with the keys that the model's code reads.

    problem: what it says and what the model has, after the name and value of the key.
    """
    reason = f"which {problem}: engines that obey the key build another model than transformers"
    _contradicted(c, key, reason, "info")


def read_by_some_engines(c: ConfigKeys, key: str, readers: str) -> None:
    """Report a key that llmarch reads and that not all engines obey.

    readers: who reads it, and what the others do.
    """
    path = c.key(key)
    given = c.data.get(key)
    message = f"{path} is {shown(given)}: {readers}"
    add(c, Finding(rule="config-contradiction", path=path, message=message, severity="info"))


def _contradicted(
    c: ConfigKeys, key: str, problem: str, severity: Severity, value: Any = None
) -> None:
    """Report a key whose value is not what the model is built with.

    problem: what it is built with, after the name and value of the key.
    value: that as a value, None where it has no single one.
    """
    path = c.key(key)
    given = c.data.get(key)
    add(
        c,
        Finding(
            rule="config-contradiction",
            path=path,
            message=f"{path} is {shown(given)}, {problem}",
            severity=severity,
            old=given,
            new=value,
        ),
    )


def value_not_described(c: ConfigKeys, key: str, value: Any, breaks: Severity) -> None:
    """Report a value that the class obeys and that no fact of the architecture describes.

    value: the only one that llmarch describes.
    breaks: what another one changes.
    """
    path = c.key(key)
    given = c.data.get(key)
    add(
        c,
        Finding(
            rule="value-not-described",
            path=path,
            message=f"{path} is {shown(given)}: the model's code obeys it, but llmarch describes"
            f" only models with {shown(value)}",
            severity=breaks,
            old=value,
            new=given,
        ),
    )


def refused_by_transformers(c: ConfigKeys, key: str, problem: str, value: Any) -> None:
    """Report a value with which transformers builds or runs no model.

    problem: what is wrong, after the name of the key: `is null; an integer is needed`.
    """
    path = c.key(key)
    add(
        c,
        Finding(
            rule="config-refused",
            path=path,
            message=f"{path} {problem}: {FAILS}",
            severity="weights",
            new=value,
        ),
    )


def unknown_word(c: ConfigKeys, path: str, word: str, kind: str, breaks: Severity) -> None:
    """Report a word that no reader of the config knows.

    path: the key as the file names it.
    kind: what such a word would be: `activation`.
    breaks: what another word changes.
    """
    add(
        c,
        Finding(
            rule="value-not-described",
            path=path,
            message=f"{path} is {shown(word)}: transformers knows no such {kind}; what the model"
            " computes with is unknown",
            severity=breaks,
            new=word,
        ),
    )


def sliding_without_window(c: ConfigKeys) -> None:
    """Report layers that `layer_types` lets slide although `use_sliding_window` is false."""
    path = c.key("layer_types")
    switch = c.key("use_sliding_window")
    add(
        c,
        Finding(
            rule="config-contradiction",
            path=path,
            message=f"{path} has sliding_attention, but {switch} is false, so that there is no"
            " window: transformers refuses the model, or these layers read nothing",
            severity="behaviour",
        ),
    )


def shown(value: Any) -> str:
    """Return a value for a message: `500,000`, `"yarn"`."""
    if isinstance(value, bool) or not is_float_number(value):
        return quoted(value)
    return f"{value:,.15g}"


def quoted(value: Any) -> str:
    """Return a value as JSON for a message, cut if it is long."""
    text = json.dumps(value, default=repr)
    if len(text) > MAX_SHOWN:
        text = text[: MAX_SHOWN - 3] + "..."
    return text


def newer_spelling(c: ConfigKeys, key: str, consequence: str) -> None:
    """Report a key that older readers do not know, in whose place they read others.

    consequence: what they compute with.
    """
    path = c.key(key)
    add(
        c,
        Finding(
            rule="newer-spelling",
            path=path,
            message=f"transformers 5 reads it; {consequence}",
            severity="info",
        ),
    )


def remote_code(c: ConfigKeys) -> None:
    """Report the model code that the config names beside the library's own (`auto_map`).

    c: the keys at the top of a config. Loaders do not read nested ones.
    """
    named = c.data.get("auto_map")
    if not isinstance(named, dict):
        return
    classes = cast("dict[str, Any]", named)
    models = [v for k, v in classes.items() if k.startswith("AutoModel") and isinstance(v, str)]
    for module in dict.fromkeys(map(parent_path, models)):
        add(
            c,
            Finding(
                rule="remote-code",
                path=f"{module}.py",
                message="run by loaders that trust remote code (auto_map)",
                severity="info",
            ),
        )


def add(c: ConfigKeys, finding: Finding) -> None:
    """Add a finding, unless it was made before: families read some keys several times.

    Values are numbers, words or null: anything that JSON does not have is a word (`nan`).
    """
    finding = replace(finding, old=_json_value(finding.old), new=_json_value(finding.new))
    if _is_obeyed(c, finding):
        return
    known = any((f.rule, f.path) == (finding.rule, finding.path) for f in c.findings)
    if not known:
        c.findings.append(finding)


def _is_obeyed(c: ConfigKeys, finding: Finding) -> bool:
    """Return whether a key of which it is said that no code obeys it is obeyed by some block.

    Such a statement that was made before is taken back.
    """
    if finding.rule == NOT_DESCRIBED:
        others = [f for f in c.findings if not (_is_ignored(f) and f.path == finding.path)]
        c.findings[:] = others
        return False
    obeyed = any(f.rule == NOT_DESCRIBED and f.path == finding.path for f in c.findings)
    return obeyed and _is_ignored(finding)


def _is_ignored(finding: Finding) -> bool:
    """Return whether a finding says that the model's code ignores a key."""
    return finding.rule == "config-contradiction" and IGNORES in finding.message


def _json_value(value: Any) -> Any:
    """Return a value as JSON has it: a number that is not finite as a word."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in cast("list[Any]", value)]
    return value
