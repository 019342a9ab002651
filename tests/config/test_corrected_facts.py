"""Facts that families once read wrongly, each with the code that is right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.facts import read as read_spec
from helpers.facts import reading
from helpers.paths import SPECS

from llmarch.architecture.schema import Attention
from llmarch.checkpoint.reading import build_with_template, configure
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


@pytest.mark.parametrize("alias", ALIASES)
def test_every_key_of_a_bundled_config_is_read(alias: str) -> None:
    assert reading(alias).unread_keys == ()


@pytest.mark.parametrize(("model_type", "share"), [("gpt_neox", 0.25), ("gpt_neox_japanese", 1.0)])
@pytest.mark.parametrize(
    ("keys", "theta", "rotated", "unread"),
    [
        ({}, 10000, None, []),
        ({"rotary_emb_base": 500}, 500, None, []),
        ({"rotary_pct": 0.5}, 10000, 8, []),
        ({"rope_theta": 500}, 10000, None, ["rope_theta"]),
        ({"rotary_emb_base": 500, "rope_theta": 700}, 500, None, ["rope_theta"]),
        ({"rope_parameters": {"rope_theta": 300}, "rotary_emb_base": 500}, 300, None, []),
        ({"rope_scaling": {"type": "linear", "factor": 2}, "rotary_emb_base": 500}, 500, None, []),
    ],
)
def test_rope_of_gpt_neox(
    model_type: str,
    share: float,
    keys: dict[str, Any],
    theta: float,
    rotated: int | None,
    unread: list[str],
) -> None:
    """Its published configs say the base as `rotary_emb_base`; the class overlooks `rope_theta`.

    transformers 5.23.0 models/gpt_neox/configuration_gpt_neox.py convert_rope_params_to_dict
    """
    width = {} if model_type == "gpt_neox_japanese" else {"intermediate_size": 256}
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}
    config = {"model_type": model_type, **sizes, **width, **keys}
    family, c = configure(config, "config.json")
    architecture, _ = build_with_template(family, c, {})
    mixer: Any = architecture.mixers["full"]
    assert mixer.rope.theta == theta
    assert mixer.rope.rotary_dim == (rotated or 16 * share)
    assert c.unread() == unread
