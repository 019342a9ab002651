"""Check caches against figures worked out elsewhere, never against llmarch's own output.

ROWS were worked out from the engines' code and from running models; AGREE and DIFFER are the
gallery's published table, with the reasons where ours differs.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from functools import cache as memo

import pytest
from helpers.architectures import (
    FLAGSHIPS,
    architecture,
    gqa,
    lightning_indexer,
    mamba2,
    mla,
    recurrent,
    v4,
)
from helpers.paths import SPECS
from hypothesis import given
from hypothesis import strategies as st

import llmarch
from llmarch.analyses.cache import Cache, compute_cache, shown_contexts
from llmarch.analyses.cache_parts import CACHE_DTYPES, Convention
from llmarch.analyses.engines import ENGINES
from llmarch.architecture.layers import mixer_names
from llmarch.architecture.schema import Architecture, Attention, LinearAttention
from llmarch.errors import ImpossiblePlan

SPEC_FILES = {p.stem: p for p in SPECS.glob("*.json")}


@memo
def model(name: str) -> Architecture:
    """Return a bundled spec, or the architecture written down in helpers/architectures.py."""
    return (
        llmarch.load(str(SPEC_FILES[name])).architecture if name in SPEC_FILES else FLAGSHIPS[name]
    )


def engine(name: str, dtype: str = "bf16") -> Convention:
    return Convention(name, dtype)


def fixed(c: Cache) -> int:
    return c.window_bytes + c.state_bytes


# Bytes per token of all layers and growing (both with indexer keys); the fixed part; the fixed part
# in transformers.
ROWS: dict[str, tuple[int, int, int, int]] = {
    "gpt2-xl": (307200, 307200, 0, 0),
    "llama3-8b": (131072, 131072, 0, 0),
    "falcon-40b": (122880, 122880, 0, 0),
    "llama4-maverick": (196608, 49152, 1207959552, 1207812096),
    "deepseek-v3": (70272, 70272, 0, 0),
    "deepseek-r1": (70272, 70272, 0, 0),
    "kimi-k2": (70272, 70272, 0, 0),
    "deepseek-v3.2": (78324, 78324, 0, 0),
    "glm-5": (100152, 100152, 0, 0),
    "glm-5.2": (92628, 92628, 0, 0),
    "gemma3-27b": (507904, 81920, 436207616, 435781632),
    "gpt-oss-20b": (49152, 24576, 3145728, 3121152),
    "gpt-oss-120b": (73728, 36864, 4718592, 4681728),
    "mimo-v2-flash": (222720, 23040, 25758720, 25559040),
    "gemma4-31b": (901120, 81920, 838860800, 838041600),
    "gemma4-26b": (225280, 20480, 209715200, 209510400),
    "gemma4-e2b": (18432, 6144, 6291456, 6279168),
    "gemma4-e4b": (57344, 16384, 20971520, 20930560),
    "step-3.5-flash": (184320, 49152, 69206016, 69070848),
    "longcat-flash": (64512, 64512, 0, 0),
    "minimax-m3": (137472, 137472, 0, 0),
    "qwen3-next": (24576, 24576, 77266944, 77856768),
    "qwen3.5-397b": (30720, 30720, 192061440, 193167360),
    "kimi-linear": (8064, 8064, 43417600, 43909120),
    "minimax-m1": (40960, 40960, 146800640, 146800640),
    "nemotron-3-nano": (6144, 6144, 49082368, 49364992),
    "nemotron-3-super": (8192, 8192, 170229760, 171048960),
}


@pytest.mark.parametrize("name", ROWS)
def test_worked_values(name: str) -> None:
    all_layers, growing, expected, _ = ROWS[name]
    c = compute_cache(model(name))
    assert (c.all_layers_bytes_per_token, c.growing_bytes_per_token, fixed(c)) == (
        all_layers,
        growing,
        expected,
    )


@pytest.mark.parametrize("name", ROWS)
def test_what_transformers_holds_beside_what_grows(name: str) -> None:
    assert fixed(compute_cache(model(name), engine("transformers"))) == ROWS[name][3]


@pytest.mark.parametrize(
    ("name", "convention", "growing", "expected"),
    [
        ("falcon-40b", engine("transformers"), 1966080, 0),
        ("falcon-40b", engine("vllm"), 122880, 0),
        ("deepseek-v3.2", engine("ideal", "fp8_ds_mla"), 48068, 0),
        ("deepseek-v3.2", engine("vllm", "fp8"), 48068, 0),
        ("deepseek-v3.2", engine("sglang", "fp8"), 48068, 0),
        ("deepseek-v3.2", engine("ideal", "fp8"), 61 * 576 + 8052, 0),
        ("deepseek-v3.2", engine("vllm", "nvfp4_ds_mla"), 61 * 352 + 8052, 0),
        ("deepseek-v3.2", engine("transformers"), 70272 + 15616, 0),
        ("glm-5", engine("vllm", "fp8_ds_mla"), 61464, 0),
        ("glm-5", engine("transformers"), 89856 + 19968, 0),
        ("glm-5.2", engine("vllm", "fp8_ds_mla"), 53940, 0),
        ("glm-5.2", engine("transformers"), 89856 + 5376, 0),
        ("qwen3-next", engine("vllm"), 24576, 39518208),
        ("qwen3-next", engine("sglang"), 24576, 77266944),
        ("qwen3.5-397b", engine("vllm"), 30720, 192061440),
        ("kimi-linear", engine("vllm"), 8064, 43417600),
        ("kimi-linear", engine("sglang"), 8064, 43417600),
        ("minimax-m1", engine("vllm"), 40960, 146800640),
        ("minimax-m1", engine("ideal", "fp32"), 81920, 293601280),
        ("nemotron-3-nano", engine("vllm"), 6144, 49082368),
        ("nemotron-3-super", engine("sglang"), 8192, 170229760),
        ("gemma3-27b", engine("ideal", "fp8"), 40960, 218103808),
    ],
)
def test_where_engines_and_dtypes_differ(
    name: str, convention: Convention, growing: int, expected: int
) -> None:
    c = compute_cache(model(name), convention)
    assert (c.growing_bytes_per_token, fixed(c)) == (growing, expected)


# --- DeepSeek V4 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "no_indexer", "bf16_indexer", "vllm", "windows"),
    [
        ("deepseek-v4-flash", 5536, 6880, Fraction("3850.25"), 5636096),
        ("deepseek-v4-pro", 7928, 9848, Fraction("5511.4375"), 7995392),
    ],
)
def test_deepseek_v4(
    name: str,
    no_indexer: int,
    bf16_indexer: int,
    vllm: Fraction,
    windows: int,
) -> None:
    a = model(name)
    ideal = compute_cache(a)
    assert ideal.growing_bytes_per_token - ideal.indexer_bytes_per_token == no_indexer
    assert ideal.indexer_bytes_per_token == (bf16_indexer - no_indexer) // 64 * 33, (
        "fp8 with a scale: 132 bytes every 4 tokens, not 256"
    )
    assert compute_cache(a, engine("transformers")).growing_bytes_per_token == bf16_indexer
    assert compute_cache(a, engine("vllm", "fp8")).growing_bytes_per_token == vllm
    assert ideal.window_bytes == windows


def test_deepseek_v4_states() -> None:
    a = model("deepseek-v4-flash")
    states = {
        g.mixer: sum(p.largest_bytes for p in g.parts_with("state"))
        for g in compute_cache(a).groups
    }
    assert states == {"sliding": 0, "csa": 65536 + 16384, "hca": 524288}
    assert compute_cache(a, engine("vllm", "fp8")).groups[0].parts[0].entry_bytes == 584


# --- layouts ------------------------------------------------------------------------------------


def test_sglang_keeps_every_token_of_models_without_a_sliding_pool() -> None:
    """Gemma 3 has none, gpt-oss has one."""
    gemma = compute_cache(model("gemma3-27b"), engine("sglang"))
    assert gemma.growing_bytes_per_token == 507904
    gpt_oss = compute_cache(model("gpt-oss-20b"), engine("sglang"))
    assert gpt_oss.growing_bytes_per_token == 24576


def test_packed_layouts() -> None:
    one = architecture({"full": gqa(32, 8, 128)}, ["full"])
    per_token = {
        d: compute_cache(one, engine("ideal", d)).growing_bytes_per_token
        for d in ("nvfp4", "fp8_per_token_head", "int8_per_token_head", "int4_per_token_head")
    }
    assert per_token == {
        "nvfp4": 8 * 2 * (64 + 8),
        "fp8_per_token_head": 8 * 256 + 8 * 8,
        "int8_per_token_head": 8 * 256 + 8 * 8,
        "int4_per_token_head": 8 * 128 + 8 * 8,
    }
    for a, dtype in (
        (one, "fp8_ds_mla"),
        (model("deepseek-v3"), "nvfp4"),
        (model("deepseek-v4-flash"), "nvfp4_ds_mla"),
    ):
        with pytest.raises(ImpossiblePlan, match=dtype):
            compute_cache(a, engine("ideal", dtype))
    with pytest.raises(ImpossiblePlan, match="keeps no cache in fp8"):
        compute_cache(one, engine("transformers", "fp8"))


# --- traps --------------------------------------------------------------------------------------


def test_keys_as_values_are_cached_twice() -> None:
    """Count both: Gemma 4's global layers have no v_proj, but K and V differ by norm and RoPE."""
    full = gqa(32, 4, 512)
    assert (
        compute_cache(
            architecture({"full": replace(full, values_from_keys=True)}, ["full"])
        ).growing_bytes_per_token
        == compute_cache(architecture({"full": full}, ["full"])).growing_bytes_per_token
    )


def test_layers_that_read_anothers_keys_own_none() -> None:
    a = model("gemma4-e2b")
    groups = sorted((g.layers, g.bytes_at(10**6)) for g in compute_cache(a).groups)
    assert groups == [(3, 6144 * 10**6), (4, 0), (12, 6291456), (16, 0)]


def test_two_caches_in_one_layer() -> None:
    a = model("longcat-flash")
    assert len(a.layers) == 28 and compute_cache(a).growing_bytes_per_token == 56 * 1152
    both = {"full": gqa(8, 2, 64), "mamba": mamba2(24, 64, 1, 128)}
    c = compute_cache(architecture(both, [("full", "mamba")] * 2))
    assert (c.growing_bytes_per_token, c.state_bytes) == (
        2 * 2 * 2 * 64 * 2,
        2 * (3 * (1536 + 256) * 2 + 24 * 64 * 128 * 4),
    )


def test_mla_does_not_read_head_dim_or_kv_heads() -> None:
    assert (
        compute_cache(architecture({"full": mla(heads=1)}, ["full"])).growing_bytes_per_token
        == compute_cache(architecture({"full": mla(heads=128)}, ["full"])).growing_bytes_per_token
        == 1152
    )
    expanded = compute_cache(
        architecture({"full": gqa(128, 128, 192, 128)}, ["full"] * 61)
    ).growing_bytes_per_token
    assert expanded == 4997120 and expanded // 70272 == 71


def test_one_index_key_whatever_the_index_heads() -> None:
    a, b = (architecture({"full": mla(indexer=lightning_indexer(h))}, ["full"]) for h in (4, 64))
    assert (
        compute_cache(a).indexer_bytes_per_token == compute_cache(b).indexer_bytes_per_token == 132
    )
    assert compute_cache(model("minimax-m3")).indexer_bytes_per_token == 14592


def test_quantised_weights_are_not_a_quantised_cache() -> None:
    assert model("deepseek-v3").quantization is not None
    assert compute_cache(model("deepseek-v3")).convention.dtype == "bf16"
    assert compute_cache(model("gpt-oss-20b")).growing_bytes_per_token == 24576


@pytest.mark.parametrize(
    ("name", "windows", "full"),
    [
        ("gemma3-27b", 52, 10),
        ("mimo-v2-flash", 39, 9),
        ("step-3.5-flash", 33, 12),
        ("qwen2.5-7b", 0, 28),
        ("smollm3-3b", 0, 36),
        ("mistral-7b", 32, 0),
    ],
)
def test_windows_that_are_used(name: str, windows: int, full: int) -> None:
    """Check patterns with a remainder, a window switched off, and a class default that is on."""
    a = model(name)
    used = [a.mixers[m] for k in a.layers for m in mixer_names(a, k)]
    assert sum(isinstance(m, Attention) and m.window is not None for m in used) == windows
    assert sum(isinstance(m, Attention) and m.window is None for m in used) == full


def test_heads_differ_by_layer_kind() -> None:
    a = model("mimo-v2-flash")
    assert {
        g.mixer: g.layers * sum(p.bytes_per_token for p in g.parts) for g in compute_cache(a).groups
    } == {
        "full": 23040,
        "sliding": 199680,
    }


def test_sinks_take_nothing() -> None:
    sink, none = (architecture({"full": gqa(64, 8, 64, sinks=s)}, ["full"]) for s in (True, False))
    assert compute_cache(sink).bytes_at(1000) == compute_cache(none).bytes_at(1000)


def test_mtp_modules_are_not_in_the_cache() -> None:
    a = model("deepseek-v3")
    assert (
        a.mtp
        and compute_cache(a).growing_bytes_per_token
        == compute_cache(replace(a, mtp=None)).growing_bytes_per_token
    )


def test_cross_attention_is_fixed_at_the_encoders_length() -> None:
    a = architecture(
        {"self": gqa(16, 16, 64), "cross": gqa(16, 16, 64, cross_tokens=1500)},
        [("self", "cross")] * 12,
    )
    c = compute_cache(a)
    assert (c.growing_bytes_per_token, c.state_bytes) == (12 * 4096, 12 * 4096 * 1500)
    assert c.bytes_at(10, batch=3) == 3 * 12 * 4096 * 1510


@pytest.mark.parametrize(
    ("mixer", "expected"),
    [
        (recurrent("rwkv7", (32, 64), (32, 64), None), 2 * 2048 * 2 + 32 * 64 * 64 * 4),
        (recurrent("rwkv4", (1, 1), (1, 2048), None), 2 * 2048 * 2 + 3 * 2048 * 4),
        (recurrent("short_conv", (1, 1), (1, 2048), 3), 2 * 2048 * 2),
        (recurrent("mamba", (1, 16), (1, 4096), 4), 3 * 4096 * 2 + 4096 * 16 * 4),
        (recurrent("mlstm", (8, 256), (8, 512), None), (8 * 256 * 512 + 8 * 256 + 8) * 2),
        (recurrent("lightning", (64, 128), (64, 128), None), 64 * 128 * 128 * 2),
    ],
)
def test_recurrent_states(mixer: LinearAttention, expected: int) -> None:
    c = compute_cache(architecture({"m": mixer}, ["m"], hidden_size=2048))
    assert (c.growing_bytes_per_token, c.state_bytes, c.bytes_at(1), c.bytes_at(10**6)) == (
        0,
        expected,
        expected,
        expected,
    )
    assert c.state_dtype is not None


def test_the_state_follows_its_rule_not_the_caches_dtype() -> None:
    a = model("qwen3-next")
    bf16, fp8 = compute_cache(a), compute_cache(a, engine("ideal", "fp8"))
    assert (
        fp8.growing_bytes_per_token * 2 == bf16.growing_bytes_per_token
        and fp8.state_bytes == bf16.state_bytes
    )
    assert bf16.state_dtype == "fp32, conv bf16"
    assert compute_cache(a, engine("vllm")).state_dtype == "bf16"
    assert compute_cache(model("gemma3-27b")).state_dtype is None


# --- the published table ------------------------------------------------------------------------

AGREE = {  # KiB a token, all attention layers counted as full
    "gpt2-xl": 300, "llama3-8b": 128, "llama3.2-1b": 32, "llama3.2-3b": 112, "olmo2-7b": 512,
    "phi-4": 200, "deepseek-v3": 68.625, "deepseek-r1": 68.625, "gemma3-27b": 496, "xlstm-7b": 0,
    "mistral-small-3.1": 160, "llama4-maverick": 192, "qwen3-0.6b": 112, "qwen3-235b": 188,
    "qwen3-30b-a3b": 96, "qwen3-32b": 256, "qwen3-4b": 144, "qwen3-8b": 144, "smollm3-3b": 72,
    "kimi-k2": 68.625, "glm-4.5": 368, "glm-4.5-air": 184, "qwen3-30b-a3b-2507": 96,
    "gpt-oss-120b": 72, "gpt-oss-20b": 48, "gemma3-270m": 18, "grok-2.5": 256, "qwen3-next": 24,
    "minimax-m2": 248, "minimax-m2.7": 248, "kimi-linear": 7.875, "olmo3-32b": 256, "olmo3-7b": 512,
    "mistral-large-3": 68.625, "nemotron-3-nano": 6, "trinity-large": 240,
    "kimi-k2-thinking": 68.625, "longcat-flash": 63, "ling-2.5": 11.25, "qwen3.5-397b": 30,
    "nemotron-3-super": 8, "mistral-small-4": 22.5, "qwen3.6-35b-a3b": 20, "qwen3.6-27b": 64,
    "hy3": 320, "laguna-xs.2": 160,
}  # fmt: skip
DIFFER = {  # the gallery's KiB, ours in bytes, and why ours is right
    "deepseek-v3.2": (68.625, 78324, "the gallery leaves the indexer's keys out: 61 x 132 bytes"),
    "glm-5": (87.75, 100152, "the same: 78 x 132 bytes"),
    "mimo-v2-flash": (
        144,
        222720,
        "the gallery takes 4 KV heads of 192 for K and V in 48 layers; "
        "9 are full with 4 heads, 39 sliding with 8, K 192, V 128",
    ),
    "step-3.5-flash": (
        192,
        184320,
        "the gallery counts 48 entries of layer_types; the last 3 are MTP",
    ),
    "gemma4-26b": (
        210,
        225280,
        "the gallery counts K and V once on global layers; engines keep both",
    ),
    "gemma4-31b": (840, 901120, "the same"),
    "gemma4-e2b": (
        35,
        18432,
        "the gallery counts 20 layers that read others' keys, and 256 for the global head of 512",
    ),
    "gemma4-e4b": (84, 57344, "the same, 18 layers"),
    "minimax-m3": (120, 137472, "57 layers keep a block index key of 128 besides"),
}


@pytest.mark.parametrize("name", AGREE)
def test_agrees_with_the_gallery(name: str) -> None:
    assert compute_cache(model(name)).all_layers_bytes_per_token == AGREE[name] * 1024


@pytest.mark.parametrize("name", DIFFER)
def test_differs_from_the_gallery(name: str) -> None:
    theirs, ours, _ = DIFFER[name]
    c = compute_cache(model(name))
    assert c.all_layers_bytes_per_token == ours != theirs * 1024
    if name in ("deepseek-v3.2", "glm-5", "minimax-m3"):
        assert c.all_layers_bytes_per_token - c.indexer_bytes_per_token == theirs * 1024


def test_deepseek_v4_agrees_without_its_indexer_and_windows() -> None:
    """The gallery's 5.4 and 7.7 KiB: compressed entries alone."""
    for name, kib in (("deepseek-v4-flash", 5536), ("deepseek-v4-pro", 7928)):
        c = compute_cache(model(name))
        assert c.growing_bytes_per_token - c.indexer_bytes_per_token == kib


# --- properties ---------------------------------------------------------------------------------

MIXERS = {
    "full": gqa(32, 8, 128),
    "window": gqa(32, 4, 96, 64, window=100),
    "chunk": gqa(32, 8, 64, chunk=64),
    "mla": mla(),
    "dsa": mla(indexer=lightning_indexer()),
    "gdn": recurrent("gated_deltanet", (4, 16), (8, 16)),
    "kda": recurrent("kda", (8, 16), (8, 16)),
    "mamba2": mamba2(8, 16, 2, 16),
    "lightning": recurrent("lightning", (8, 16), (8, 16), None),
    "short_conv": recurrent("short_conv", (1, 1), (1, 4096), 3),
    "csa": v4(4),
    "hca": v4(128),
    "swa": v4(0),
}
NAMES = st.lists(st.sampled_from(sorted(MIXERS)), min_size=1, max_size=6)
CONVENTIONS = st.builds(
    Convention, st.sampled_from(list(ENGINES)), st.sampled_from(["bf16", "fp32"])
)
MONOTONE = CONVENTIONS.filter(lambda c: c.engine != "transformers")
"""transformers keeps an unfinished compression window only until it is full."""
LENGTHS = st.integers(1, 300_000)


@given(NAMES, MONOTONE, LENGTHS, st.integers(0, 5000))
def test_more_tokens_never_take_less(
    names: list[str], convention: Convention, tokens: int, more: int
) -> None:
    c = compute_cache(architecture(MIXERS, names), convention)
    assert 0 <= c.bytes_at(tokens) <= c.bytes_at(tokens + more)


@given(NAMES, CONVENTIONS, LENGTHS, st.integers(1, 512))
def test_a_batch_is_linear(
    names: list[str], convention: Convention, tokens: int, batch: int
) -> None:
    c = compute_cache(architecture(MIXERS, names), convention)
    assert c.bytes_at(tokens, batch) == batch * c.bytes_at(tokens)


@given(
    NAMES,
    CONVENTIONS.filter(lambda c: c.engine in ("ideal", "transformers")),
    st.integers(1000, 300_000),
)
def test_windows_are_capped(names: list[str], convention: Convention, tokens: int) -> None:
    """Beyond every window, twice the tokens add what grows and nothing else."""
    tokens *= 128
    c = compute_cache(architecture(MIXERS, names), convention)
    assert c.bytes_at(2 * tokens) - c.bytes_at(tokens) == c.growing_bytes_per_token * tokens
    assert c.bytes_at(tokens) <= c.growing_bytes_per_token * tokens + c.window_bytes + c.state_bytes


@given(NAMES, CONVENTIONS, LENGTHS)
def test_layers_add_up(names: list[str], convention: Convention, tokens: int) -> None:
    """Check that the whole is the sum of its groups, and of its layers one by one."""
    c = compute_cache(architecture(MIXERS, names), convention)
    assert c.bytes_at(tokens) == sum(g.bytes_at(tokens) for g in c.groups)
    assert c.bytes_at(tokens) == sum(
        compute_cache(architecture(MIXERS, [n]), convention).bytes_at(tokens) for n in names
    )


@given(
    st.integers(1, 16),
    st.integers(1, 8),
    st.sampled_from(CACHE_DTYPES[:8]),
    LENGTHS,
    st.sampled_from([None, 128]),
)
def test_kv_heads_scale_exactly(
    heads: int, times: int, dtype: str, tokens: int, window: int | None
) -> None:
    few, many = (
        architecture({"m": gqa(128, n, 128, 64, window=window)}, ["m"] * 3)
        for n in (heads, heads * times)
    )
    assert compute_cache(many, engine("ideal", dtype)).bytes_at(tokens) == times * compute_cache(
        few, engine("ideal", dtype)
    ).bytes_at(tokens)


@given(NAMES, CONVENTIONS, LENGTHS)
def test_the_document_is_whole_numbers(
    names: list[str], convention: Convention, tokens: int
) -> None:
    document = compute_cache(architecture(MIXERS, names), convention).to_dict([tokens])
    figures = [document[k] for k in document if k.endswith(("bytes", "per_token"))]
    assert all(type(n) is int for n in [*figures, *document["at"].values()])
    assert json.loads(json.dumps(document)) == document


def test_contexts() -> None:
    assert shown_contexts(architecture(MIXERS, ["full"], context=40960)) == [4096, 32768, 40960]
    assert shown_contexts(architecture(MIXERS, ["full"])) == [4096, 32768, 131072]
    assert shown_contexts(architecture(MIXERS, ["full"], context=131072)) == [4096, 32768, 131072]


@pytest.mark.parametrize("alias", sorted(p.stem for p in SPECS.glob("*.json") if p.stem != "index"))
def test_dtypes_of_states_are_words(alias: str) -> None:
    """LFM2 keeps the inputs of its convolution, and no other state."""
    dtype = compute_cache(model(alias)).state_dtype
    assert dtype is None or all(part.strip() for part in dtype.split(","))
    if alias.startswith("lfm2"):
        assert dtype == "bf16"
