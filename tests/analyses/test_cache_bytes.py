"""Check `--engine transformers` against the bytes that transformers' own cache objects hold.

They are measured on CPU with tiny random models: tests/oracle/cache_bytes.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from helpers.architectures import architecture, gqa, mamba2, mla, recurrent, v4
from helpers.paths import FIXTURES

from llmarch.analyses.cache import compute_cache
from llmarch.analyses.cache_parts import Convention
from llmarch.architecture.schema import Architecture, BlockIndex, Indexer
from llmarch.config.families import MODEL_TYPES, find_family
from llmarch.config.vocabulary import build

FIXTURE: dict[str, Any] = json.loads((FIXTURES / "cache_bytes.json").read_text())
ABOUT = FIXTURE.pop("_about")
Config = dict[str, Any]


def kinds(types: list[str]) -> list[str]:
    return [{"full_attention": "full", "sliding_attention": "sliding"}[t] for t in types]


def falcon(c: Config) -> Architecture:
    kv = c.get("num_kv_heads", 4) if c["new_decoder_architecture"] else 1
    return architecture(
        {"full": gqa(4, kv, 16)}, ["full"] * c["num_hidden_layers"], model_type="falcon"
    )


def gemma4(c: Config) -> Architecture:
    n, shared, types = (
        c["num_hidden_layers"],
        c["num_kv_shared_layers"],
        c.get("layer_types", (["sliding_attention"] * 5 + ["full_attention"])),
    )
    mixers = {
        "sliding": gqa(4, c["num_key_value_heads"], 8, window=8),
        "full": gqa(4, c.get("num_global_key_value_heads", c["num_key_value_heads"]), 16),
    }
    mixers |= {f"shared_{k}": gqa(4, 1, 8, kv_from=k) for k in ("sliding", "full")}
    layers = [k if i < n - shared else f"shared_{k}" for i, k in enumerate(kinds(types))]
    return architecture(mixers, layers, model_type="gemma4")


def mimo(c: Config) -> Architecture:
    mixers = {"full": gqa(8, 1, 12, 8), "sliding": gqa(8, 2, 12, 8, window=9)}
    return architecture(
        mixers,
        [["full", "sliding"][x] for x in c["hybrid_layer_pattern"]],
        model_type="mimo_v2_flash",
    )


def deepseek_v4(c: Config) -> Architecture:
    mixers = {
        str(r): v4(r, heads=4, dim=32, rope=8, window=8, index_dim=16, top_k=4) for r in (0, 4, 128)
    }
    return architecture(mixers, [str(r) for r in c["compress_ratios"]], model_type="deepseek_v4")


def glm_dsa(c: Config) -> Architecture:
    index = Indexer(heads=2, head_dim=16, top_k=8, rope_dim=8)
    return architecture({"full": mla(4, 16, 8, index), "shared": mla(4, 16, 8)}, c["indexer_types"])


def hybrid(
    mixer: Any, layers: list[str | tuple[str, ...]], hidden: int = 64
) -> Callable[[Config], Architecture]:
    mixers = {"full": gqa(4, 2, 16), "m": mixer}
    return lambda c: architecture(mixers, layers, model_type=c["model_type"], hidden_size=hidden)


GDN = recurrent("gated_deltanet", (2, 16), (4, 24))
MAMBA = recurrent("mamba", (1, 12), (1, 128))
FULL, M = ["full"], ["m"]
BY_HAND: dict[str, Callable[[Config], Architecture]] = {
    "falcon": falcon,
    "gemma4_text": gemma4,
    "mimo_v2_flash": mimo,
    "deepseek_v4": deepseek_v4,
    "glm_moe_dsa": glm_dsa,
    "qwen3_5_text": hybrid(GDN, (M * 3 + FULL) * 2),
    "olmo_hybrid": hybrid(GDN, (M * 3 + FULL) * 2),
    "nemotron_h": hybrid(mamba2(4, 16, 2, 12), ["m", "full", "m"]),
    "jamba": hybrid(MAMBA, ["m", "m", "full", "m"]),
    "mamba": hybrid(MAMBA, M * 2),
    "falcon_mamba": hybrid(MAMBA, M * 2),
    "mamba2": hybrid(mamba2(8, 16, 2, 12), M * 2),
    "bamba": hybrid(mamba2(8, 16, 1, 12), ["m", "full", "m"]),
    "granitemoehybrid": hybrid(mamba2(8, 16, 1, 12), ["m", "full", "m"]),
    "falcon_h1": hybrid(mamba2(4, 16, 1, 12), [("full", "m")] * 2),
    "lfm2": hybrid(recurrent("short_conv", (1, 1), (1, 64), 3), ["m", "m", "full", "m"]),
    "rwkv": hybrid(recurrent("rwkv4", (1, 1), (1, 64), None), M * 2),
    "xlstm": hybrid(recurrent("mlstm", (4, 16), (4, 32), None), M * 2, hidden=128),
    "longcat_flash": lambda c: architecture(
        {"full": mla(4, 16, 8)}, [("full", "full")] * c["num_layers"]
    ),
    "minimax_m3_vl_text": lambda c: architecture(
        {
            "full_attention": gqa(4, 2, 16),
            "minimax_m3_sparse": gqa(
                4, 2, 16, block_index=BlockIndex(heads=2, head_dim=8, block=4, top_blocks=2)
            ),
        },
        c["layer_types"],
    ),
    "step3p5": lambda c: architecture(
        {"full": gqa(4, 2, 16), "sliding": gqa(6, 2, 16, window=8)},
        kinds(c["layer_types"][: c["num_hidden_layers"]]),
    ),
    "cohere2": lambda c: architecture(
        {"full": gqa(4, 2, 16), "sliding": gqa(4, 2, 16, window=8)}, ["sliding"] * 3 + ["full"]
    ),
    "exaone4": lambda c: architecture(
        {"full": gqa(4, 2, 16), "sliding": gqa(4, 2, 16, window=8)}, ["sliding"] * 3 + ["full"]
    ),
    "bart": lambda c: architecture(
        {"self": gqa(4, 4, 16), "cross": gqa(4, 4, 16, cross_tokens=ABOUT["encoder_tokens"])},
        [("self", "cross")] * c["decoder_layers"],
    ),
}
"""Models without a family: what their tiny configs mean."""


def read(config: Config) -> Architecture:
    """Through our family where there is one."""
    kind = config["model_type"]
    if kind not in MODEL_TYPES:
        return BY_HAND[kind](config)
    family = find_family(kind)
    return build(family.read(family.config(config, "config.json", kind)), family.ref, {})


def test_the_fixture_is_wide() -> None:
    assert len({row["config"]["model_type"] for row in FIXTURE.values()}) >= 20
    assert ABOUT["transformers"] == "5.23.0"


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, row in FIXTURE.items()
        if row["config"]["model_type"] in BY_HAND and row["config"]["model_type"] in MODEL_TYPES
    ],
)
def test_a_family_reads_what_was_written_by_hand(name: str) -> None:
    config = FIXTURE[name]["config"]
    by_hand, read_ = (
        compute_cache(BY_HAND[config["model_type"]](config)),
        compute_cache(read(config)),
    )
    assert [read_.bytes_at(t) for t in (1, 10, 1000)] == [
        by_hand.bytes_at(t) for t in (1, 10, 1000)
    ]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", FIXTURE)
def test_what_transformers_holds(name: str, dtype: str) -> None:
    row = FIXTURE[name]
    c = compute_cache(read(row["config"]), Convention("transformers", dtype))
    for how, held in row["bytes"][dtype].items():
        assert {t: c.bytes_at(int(t)) for t in held} == held, how
