"""Facts that families once read wrongly, each with the code that is right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.facts import read as read_spec
from helpers.facts import reading
from helpers.paths import SPECS

from llmarch.architecture.schema import Attention
from llmarch.sources.aliases import bundled_models

ALIASES = sorted(bundled_models())


def masks(alias: str) -> dict[str, str | None]:
    mixers = reading(alias).architecture.mixers
    return {name: m.sees_ahead for name, m in mixers.items() if isinstance(m, Attention)}


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("gemma3-27b", {"sliding": "vision", "full": "vision"}),
        ("gemma3-4b", {"sliding": "vision", "full": "vision"}),
        ("gemma3-1b", {"sliding": None, "full": None}),
        ("gemma4-26b", {"sliding": "vision", "full": None}),
        ("gemma4-31b", {"sliding": "vision", "full": None}),
        (
            "gemma4-e2b",
            {"sliding": None, "full": None, "sliding_shared": None, "full_shared": None},
        ),
    ],
)
def test_tokens_of_one_image(alias: str, expected: dict[str, str | None]) -> None:
    """transformers 5.23.0 gemma4/modeling_gemma4.py create_masks_for_vision_model names both."""
    assert masks(alias) == expected


def test_a_window_counts_the_token_itself() -> None:
    """The class adds one to sliding_window_size.

    transformers 5.23.0 models/mimo_v2_flash/configuration_mimo_v2_flash.py says so.
    """
    config = json.loads((SPECS / "mimo-v2-flash.json").read_text())["config"]
    assert config["sliding_window_size"] == 128
    mixer: Any = reading("mimo-v2-flash").architecture.mixers["sliding"]
    assert mixer.window == 129


@pytest.mark.parametrize(
    ("alias", "lengths"), [("hunyuan-a13b", "2,048"), ("trinity-large", "512,000")]
)
def test_a_context_that_is_another_model_s_is_unknown(alias: str, lengths: str) -> None:
    result = reading(alias)
    assert result.architecture.context_length is None
    evidence = result.evidence["context_length"]
    assert evidence.kind == "unknown" and lengths in evidence.ref


def test_a_config_with_its_own_context_is_read() -> None:
    config = json.loads((SPECS / "hunyuan-a13b.json").read_text())["config"]
    assert "max_position_embeddings" not in config
    assert read_spec("trinity-mini")[0].context_length == 131072


MTP_CODE = ("vLLM model_executor/models/", "transformers 5.23.0 modeling_layers.py (MtpLayer)")


@pytest.mark.parametrize("alias", ALIASES)
def test_evidence_of_mtp_names_code_of_mtp(alias: str) -> None:
    """transformers' modelling files of single models leave the modules out."""
    for path, evidence in reading(alias).evidence.items():
        if path.startswith("mtp.") and evidence.kind == "family":
            assert evidence.ref.startswith(MTP_CODE), (path, evidence.ref)
