"""Check what the fingerprint and the lock depend on, and what edited or foreign files do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from helpers.paths import FIXTURES

import llmarch
from llmarch.architecture.fingerprint import canonical_form, fingerprint, without_defaults
from llmarch.architecture.implied import same
from llmarch.architecture.schema import Architecture, Attention
from llmarch.compare import lock as locks
from llmarch.compare.diff import diff
from llmarch.compare.entry_diff import find_differences
from llmarch.compare.lock import Entry, hash_tensors, lock_text, make_entry, parse_lock
from llmarch.errors import ConfigError
from llmarch.sources.aliases import bundled_models
from llmarch.sources.raw import TensorTable

ALL = sorted(bundled_models())
Edit = Callable[[dict[str, Any]], dict[str, Any]]


def architecture(alias: str) -> Architecture:
    return llmarch.load(alias).architecture


def renamed(a: Architecture) -> Architecture:
    """Return the same model with other names for its attention, norms and kinds of layers."""
    document = json.dumps(without_defaults(a, remarks=True) | {"layers": list(a.layers)})
    for old, new in (("full", "global"), ("rms", "root")):
        document = document.replace(f'"{old}"', f'"{new}"').replace(f'.{old}"', f'.{new}"')
    from llmarch.architecture.json_schema import read_architecture

    return read_architecture(json.loads(document))


# The fingerprint


def test_known_fingerprints() -> None:
    """Keep fingerprints for ever: these were written when the lock was new.

    One may change only if llmarch reads its config differently.
    """
    file = FIXTURES / "fingerprints.json"
    known = json.loads(file.read_text())
    assert {alias: fingerprint(architecture(alias)) for alias in known} == known


def test_what_the_fingerprint_does_not_depend_on() -> None:
    a = architecture("qwen3-8b")
    assert fingerprint(replace(a, family="x", model_type="y", dtype="float16")) == fingerprint(a)
    assert fingerprint(replace(architecture("deepseek-v3"), quantization=None)) == fingerprint(
        architecture("deepseek-v3")
    )
    assert fingerprint(renamed(a)) == fingerprint(a)
    assert fingerprint(replace(a, mixers={**a.mixers, "unused": a.mixers["full"]})) == fingerprint(
        a
    )
    assert fingerprint(replace(a, norms=dict(reversed(a.norms.items())))) == fingerprint(a)


@pytest.mark.parametrize("field", ["hidden_size", "vocab_size", "context_length"])
def test_what_it_depends_on(field: str) -> None:
    a = architecture("qwen3-8b")
    assert fingerprint(replace(a, **{field: 7})) != fingerprint(a)
    assert fingerprint(replace(a, layers=a.layers[1:])) != fingerprint(a)
    gemma = architecture("gemma3-1b")
    assert fingerprint(replace(gemma, layers=gemma.layers[::-1])) != fingerprint(gemma)


def test_equal_fingerprints_are_equal_models() -> None:
    """Check over all bundled models that only names and quantization differ, if anything."""
    found: dict[str, list[str]] = {}
    for alias in ALL:
        found.setdefault(fingerprint(architecture(alias)), []).append(alias)
    for first, *others in found.values():
        for other in others:
            changes = diff(architecture(first), architecture(other))
            assert {c.rule for c in changes if c.severity != "quantization"} <= {
                "family-changed",
                "model-type-changed",
            }
    assert len(found) > 100


def test_fractions_to_seven_digits() -> None:
    """Configs that went through 32-bit floats hold 9.999999974752427e-07 for 1e-06."""
    a = architecture("qwen3-8b")
    drifted = replace(a, norms={"rms": replace(a.norms["rms"], eps=9.999999974752427e-07)})
    assert diff(a, drifted) == [] and fingerprint(a) == fingerprint(drifted)
    mixer = a.mixers["full"]
    assert isinstance(mixer, Attention) and mixer.rope is not None
    larger = (
        replace(mixer, rope=replace(mixer.rope, theta=1e9)),
        replace(mixer, rope=replace(mixer.rope, theta=1e9 + 1)),
    )
    one, other = (replace(a, mixers={"full": m}) for m in larger)
    assert diff(one, other) and fingerprint(one) != fingerprint(other)
    assert (
        same((1.0, 2.0), (1.0, 2.0 + 1e-9))
        and not same((1.0,), (1.0, 2.0))
        and not same(1e6, 1e6 + 1)
        and not same(1.0, None)
    )


def test_a_new_fact_at_its_default_changes_nothing() -> None:
    """What is at its default is not in it, so facts that a later schema adds do not move it."""
    lock_text = json.dumps(canonical_form(architecture("qwen3-8b")))
    assert (
        '"sinks"' not in lock_text
        and '"window"' not in lock_text
        and '"towers"' not in lock_text
        and '"kind": "attention"' in lock_text
    )


def test_the_tensors_of_a_checkpoint() -> None:
    tensors = [("a.0.w", "BF16", (2, 3)), ("a.1.w", "BF16", (2, 3)), ("b", "F32", ())]
    one = hash_tensors(TensorTable.from_tensors(tensors))
    assert hash_tensors(TensorTable.from_tensors(reversed(tensors))) == one
    for i, other in enumerate(
        (("a.0.w", "F16", (2, 3)), ("a.2.w", "BF16", (2, 3)), ("b", "F32", (1,)))
    ):
        assert (
            hash_tensors(TensorTable.from_tensors([*tensors[:i], other, *tensors[i + 1 :]])) != one
        )
    assert hash_tensors(TensorTable.from_tensors(tensors[:2])) != one


# The lock


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    return {alias: make_entry(llmarch.load(alias)) for alias in ALL}


def read(content: str) -> locks.Lock:
    return parse_lock(json.loads(content), content, "llmarch.lock")


def test_every_bundled_model_comes_back(entries: dict[str, Entry]) -> None:
    content = lock_text(entries, "llmarch 0.1.0")
    lock = read(content)
    assert lock.entries == entries and lock.written_by == "llmarch 0.1.0"
    assert all(find_differences(lock.entries[alias], entries[alias]) == [] for alias in ALL)
    assert lock_text(lock.entries, "llmarch 0.1.0") == content
    json.loads(content, parse_constant=pytest.fail)
    configs = {alias: entry.config_source.config for alias, entry in lock.entries.items()}
    assert configs == {alias: entry.config_source.config for alias, entry in entries.items()}
    assert any("Infinity" in json.dumps(config) for config in configs.values())
    assert content == lock_text(dict(reversed(entries.items())), "llmarch 0.1.0"), (
        "sorted, whatever the order"
    )
    lines = [line for line in content.splitlines() if not re.search(r'": ".{80,}"', line)]
    assert content.isascii() and max(map(len, lines)) < 140, "strings of a config stay whole"


def test_facts_have_lines(entries: dict[str, Entry]) -> None:
    content = lock_text({"qwen3-8b": entries["qwen3-8b"], "gemma3-1b": entries["gemma3-1b"]}, "x")
    lines, lock = content.splitlines(), read(content)

    def line(alias: str, path: str) -> str:
        return lines[lock.fact_lines[alias][path] - 1].strip()

    assert line("qwen3-8b", "mixers.full.rope.theta") == '"theta": 1000000,'
    assert line("gemma3-1b", "mixers.sliding.rope.theta") == '"theta": 10000,'
    assert line("qwen3-8b", "layers") == '"layers": [[36, "full"]]'
    assert "ffns.dense" in line("qwen3-8b", "layer_kinds.full.steps.1.branches.0.pre_norm")
    assert lines[lock.model_lines["gemma3-1b"] - 1] == '    "gemma3-1b": {'
    reformatted = json.dumps(json.loads(content), indent=4)
    other = read(reformatted)
    assert other.entries == lock.entries and other.fact_lines["qwen3-8b"] == {}
    assert reformatted.splitlines()[other.model_lines["qwen3-8b"] - 1].strip() == '"qwen3-8b": {'
    windows = content.replace("\n", "\r\n")
    assert parse_lock(json.loads(windows), windows, "x").fact_lines == lock.fact_lines


def document(entries: dict[str, Entry]) -> dict[str, Any]:
    return json.loads(lock_text({"qwen3-8b": entries["qwen3-8b"]}, "x"))


def at(path: str, value: Any) -> Edit:
    def edit(d: dict[str, Any]) -> dict[str, Any]:
        *parents, last = path.split("/")
        node = d
        for part in parents:
            node = node[part]
        node[last] = value
        return d

    return edit


MODEL = "models/qwen3-8b"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (at("llmarch_lock", None), "not an llmarch lock file"),
        (at("llmarch_lock", 2), "lock version 2"),
        (at("schema_version", 99), "schema version 99"),
        (at("models", []), "models"),
        (at(f"{MODEL}", 3), "models.qwen3-8b"),
        (at(f"{MODEL}/architecture", None), "architecture"),
        (at(f"{MODEL}/architecture/mixers/full/rope/theta", 7), "edited by hand"),
        (at(f"{MODEL}/architecture/mixers/full/heads", "many"), "mixers.full"),
        (at(f"{MODEL}/architecture/mixers/full/headz", 32), "mixers.full"),
        (at(f"{MODEL}/architecture/layers", [[36, "nowhere"]]), "fingerprint"),
        (at(f"{MODEL}/architecture/layers", [[10**12, "full"]]), "layers"),
        (at(f"{MODEL}/architecture/layers", [[-1, "full"]]), "layers"),
        (at(f"{MODEL}/architecture/layers", "full"), "layers"),
        (at(f"{MODEL}/architecture/final_norm", "nowhere"), "fingerprint"),
        (at(f"{MODEL}/fingerprint", "sha256:0"), "fingerprint"),
        (at(f"{MODEL}/findings", [{"rule": "x"}]), "findings"),
        (at(f"{MODEL}/parameters", {"total": "many"}), "parameters"),
        (at(f"{MODEL}/tensors", {"count": 1}), "tensors"),
    ],
)
def test_a_lock_that_is_none(entries: dict[str, Entry], edit: Edit, message: str) -> None:
    content = json.dumps(edit(document(entries)))
    with pytest.raises(ConfigError) as error:
        read(content)
    shown = f"{error.value.message}\n{error.value.hint}"
    assert message in shown and error.value.message.startswith("llmarch.lock") and len(shown) < 500
