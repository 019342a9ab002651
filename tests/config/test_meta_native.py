"""Meta's params.json, against the converted configs that are bundled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import llmarch
from llmarch.config.meta_native import is_meta_config
from llmarch.errors import ConfigError

LLAMA_3 = {
    "dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256,
    "ffn_dim_multiplier": 1.3, "multiple_of": 1024, "norm_eps": 1e-05, "rope_theta": 500000.0,
}  # fmt: skip
PUBLISHED: dict[str, dict[str, Any]] = {
    "llama3-8b": LLAMA_3,
    "llama3.1-8b": LLAMA_3 | {"use_scaled_rope": True},
    "llama3.1-405b": LLAMA_3 | {
        "dim": 16384, "n_layers": 126, "n_heads": 128, "n_kv_heads": 8, "ffn_dim_multiplier": 1.2,
        "multiple_of": 4096, "use_scaled_rope": True,
    },
    "llama2-70b": {
        "dim": 8192, "n_layers": 80, "n_heads": 64, "n_kv_heads": 8, "vocab_size": 32000,
        "ffn_dim_multiplier": 1.3, "multiple_of": 4096, "norm_eps": 1e-05,
    },
}  # fmt: skip
"""As Meta publishes them (vocab_size of Llama 2 is -1 there)."""


def read(folder: Path, params: dict[str, Any]) -> llmarch.Reading:
    (folder / "params.json").write_text(json.dumps(params))
    return llmarch.load(str(folder / "params.json"))


@pytest.mark.parametrize("alias", PUBLISHED)
def test_it_is_the_converted_model(tmp_path: Path, alias: str) -> None:
    reading = read(tmp_path, PUBLISHED[alias])
    assert reading.status == "computed"
    assert reading.findings == ()
    assert reading.unread_keys == ()
    changes = {c.path for c in llmarch.diff(llmarch.load(alias), reading)}
    assert changes <= {"context_length", "dtype", "norms.rms.eps"}
    evidence = reading.evidence["ffns.dense.width"]
    assert evidence.kind == "derived"
    assert "multiple_of" in evidence.ref
    assert reading.evidence["mixers.full.kv_heads"].ref == "n_kv_heads"


def test_what_it_does_not_state(tmp_path: Path) -> None:
    params = {k: v for k, v in PUBLISHED["llama2-70b"].items() if k != "n_kv_heads"}
    reading = read(tmp_path, params | {"odd": 1})
    a = reading.architecture
    assert (a.context_length, a.mixers["full"].kv_heads) == (None, 64)  # pyright: ignore
    assert reading.unread_keys == ("odd",)


@pytest.mark.parametrize(
    "changed",
    [
        {"multiple_of": 0},
        {"multiple_of": "many"},
        {"ffn_dim_multiplier": -1},
        {"ffn_dim_multiplier": float("inf")},
        {"dim": None},
        {"vocab_size": -1},
        {"n_layers": 1 << 60},
        {"n_heads": 0},
    ],
)
def test_values_that_make_no_model_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"params\.json"):
        read(tmp_path, LLAMA_3 | changed)


def test_mistral_s_file_is_another() -> None:
    assert is_meta_config(LLAMA_3)
    assert not is_meta_config(LLAMA_3 | {"hidden_dim": 14336})
