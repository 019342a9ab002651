"""What one changed key breaks: held against transformers (tests/oracle/gate_pairs.py).

Each pair is a shrunk published config and one edit of it. The oracle is `weights` if names or
shapes of tensors differ, `behaviour` if the logits do, else `none`.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, cast

import pytest
from helpers.paths import ROOT

import llmarch
from llmarch.checkpoint.reading import read_model
from llmarch.compare.entry_diff import find_differences
from llmarch.compare.lock import Entry, make_entry
from llmarch.compare.rules import SEVERITIES
from llmarch.config.families import MODEL_TYPES, family_named
from llmarch.errors import LlmarchError
from llmarch.sources.aliases import bundled_models
from llmarch.sources.raw import RawModel

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

Config = dict[str, Any]
FIXTURE = ROOT / "tests/fixtures/gate_pairs.json.gz"
BREAKING = ("weights", "behaviour")
REFUSED = "refused"

CONTRADICTION = "transformers obeys one of two values, other engines the other: a finding"
NOT_RUN = "the oracle runs no images and no sounds"
NOT_REACHED = "at the sizes and values of the oracle it makes no difference that counts"
VLLM = "the published code and vLLM obey it, transformers does not"
ROUNDING = "the same sums in another order: what differs is their rounding"
NOT_GIVEN = "the tokens of a prompt are marked by an input that the oracle does not give"
NORMED = "the norm behind the experts divides by the factor, but for its epsilon"
OUTSIDE = "more experts than the chosen groups have: the class takes some of other groups"
CACHED = "the class obeys it in its cache alone, which the oracle does not fill"
BY_HEADERS = "the tie flags of wrapper and part disagree; the stored head decides"

CONSTANTS = "it shapes tables of constants that no published file holds"
OF_MINIMAX_M1 = "the oracle runs the class of MiniMax-Text-01, which has other keys for it"

KEYS_OF_MINIMAX_M1 = (
    *("full_attn_alpha_factor", "linear_attn_alpha_factor", "mlp_alpha_factor", "postnorm"),
    *("layernorm_full_attention_alpha", "layernorm_full_attention_beta", "layernorm_mlp_alpha"),
    *("layernorm_linear_attention_alpha", "layernorm_linear_attention_beta"),
    *("layernorm_mlp_beta", "rotary_dim"),
)

DIFFERENCES: dict[tuple[str, str], str] = {
    ("gpt_oss", "swiglu_limit"): NOT_REACHED,
    ("deepseek_v4", "swiglu_limit"): NOT_REACHED,
    ("gemma4", "text_config.use_bidirectional_attention"): NOT_RUN,
    ("gemma4", "audio_config.residual_weight"): NOT_RUN,
    ("mistral3", "vision_feature_layer"): NOT_RUN,
    ("mistral3", "vision_config.head_dim"): CONTRADICTION,
    ("mistral3", "vision_config.rope_theta"): CONTRADICTION,
    ("nemotron_h", "num_hidden_layers"): CONTRADICTION,
    ("gemma3", "text_config.tie_word_embeddings"): BY_HEADERS,
    ("mistral3", "text_config.tie_word_embeddings"): BY_HEADERS,
    ("qwen3_vl", "text_config.tie_word_embeddings"): BY_HEADERS,
    ("minimax_m3_vl", "text_config.rotary_dim"): CONTRADICTION,
    ("minimax_m3_vl", "text_config.use_routing_bias"): VLLM,
    ("hunyuan_v1_moe", "moe_intermediate_size"): VLLM,
    ("hunyuan_v1_moe", "num_shared_expert"): VLLM,
    ("mistral4", "rope_parameters.type"): CONTRADICTION,
    ("helium", "rms_norm_eps"): NOT_REACHED,
    ("minimax_m2", "use_routing_bias"): VLLM,
    ("biogpt", "layer_norm_eps"): NOT_REACHED,
    ("ctrl", "layer_norm_epsilon"): NOT_REACHED,
    ("cohere2_moe", "rope_theta"): CONTRADICTION,
    ("cohere2_moe", "rope_scaling"): CONTRADICTION,
    ("ministral3", "rope_parameters.type"): CONTRADICTION,
    ("mpt", "attn_config.alibi_bias_max"): VLLM,
    ("beam", "norm_topk_prob"): NORMED,
    ("beam", "routed_scaling_factor"): NORMED,
    ("hy_v4", "swiglu_limit"): NOT_REACHED,
    ("doge", "keep_window_size"): NOT_REACHED,
    ("hrm_text", "rms_norm_eps"): NOT_REACHED,
    ("hrm_text", "prefix_lm"): NOT_GIVEN,
    ("jetmoe", "rms_norm_eps"): NOT_REACHED,
    ("inkling_text", "rms_norm_eps"): NOT_REACHED,
    ("dbrx", "attn_config.rope_theta"): VLLM,
    ("dbrx", "ffn_config.moe_normalize_expert_weights"): NOT_REACHED,
    ("emu3", "tie_word_embeddings"): CONTRADICTION,
    ("moshi", "sliding_window"): CACHED,
    ("moshi", "rms_norm_eps"): NOT_REACHED,
    ("aya_vision", "text_config.logit_scale"): VLLM,
    ("aya_vision", "adapter_layer_norm_eps"): NOT_RUN,
    ("cohere2_vision", "text_config.logit_scale"): VLLM,
    ("codegen", "max_position_embeddings"): CONTRADICTION,
    ("ctrl", "max_position_embeddings"): CONTRADICTION,
    ("gemma3_text", "rope_scaling"): VLLM,
    ("paddleocr_vl", "text_config.tie_word_embeddings"): CONTRADICTION,
    ("paddleocr_vl", "tie_word_embeddings"): CONTRADICTION,
    ("llama4", "text_config.attn_scale"): NOT_REACHED,
    ("llama4", "text_config.attn_temperature_tuning"): NOT_REACHED,
    ("llama4", "text_config.floor_scale"): NOT_REACHED,
    ("mistral3", "text_config.rope_parameters.type"): CONTRADICTION,
    ("mistral3", "text_config.sliding_window"): NOT_REACHED,
    ("nemotron_h", "time_step_min"): NOT_REACHED,
    ("zamba2", "time_step_min"): NOT_REACHED,
    ("deepseek_ocr2", "text_config.head_dim"): CONTRADICTION,
    ("minicpmv4_6", "insert_layer_id"): NOT_RUN,
    ("minicpmv4_6", "merge_kernel_size"): NOT_RUN,
    ("qwen2_5_omni_thinker", "seconds_per_chunk"): NOT_RUN,
    ("qwen2_5_omni_thinker", "position_id_per_seconds"): NOT_RUN,
    ("qwen3_omni_moe_thinker", "position_id_per_seconds"): NOT_RUN,
    ("qwen3_omni_moe_thinker", "text_config.rope_parameters"): NOT_RUN,
    ("qwen3_omni_moe_thinker", "text_config.rope_parameters.mrope_section"): NOT_RUN,
    ("qwen3_5", "text_config.rope_parameters.mrope_section"): NOT_RUN,
    ("qwen3_5_moe", "text_config.rope_parameters.mrope_section"): NOT_RUN,
    **{
        (model_type, "moe_layer_freq"): VLLM
        for model_type in ("deepseek_v2", "deepseek_v3", "deepseek_v32", "glm_moe_dsa")
    },
    ("kimi_linear", "moe_layer_freq"): VLLM,
    **{("minimax_m1", key): OF_MINIMAX_M1 for key in KEYS_OF_MINIMAX_M1},
    **{
        (wrapper, "text_config.tie_word_embeddings"): BY_HEADERS
        for wrapper in (
            *("aya_vision", "cohere2_vision", "deepseek_vl", "idefics3", "internvl"),
            *("lfm2_vl", "lighton_ocr", "llava_next", "paligemma", "smolvlm"),
            *("deepseek_ocr2", "deepseek_vl_hybrid"),
            *("hyperclovax_vision_v2", "minicpmv4_6", "qianfan_ocr", "video_llava"),
            *("fuyu", "gemma4", "got_ocr2", "moss_transcribe_diarize", "qwen3_5", "qwen3_5_moe"),
        )
    },
}
"""Where llmarch says more than the oracle on purpose, by model_type and key."""

NOT_TOLD: dict[tuple[str, str], str] = {
    ("bamba", "mamba_chunk_size"): ROUNDING,
    ("mamba2", "chunk_size"): ROUNDING,
    ("rwkv", "rescale_every"): ROUNDING,
    ("xlstm", "chunk_size"): ROUNDING,
    ("zamba2", "chunk_size"): ROUNDING,
    ("zamba2", "hybrid_layer_ids"): "the class computes it of the list of layers; files repeat it",
    ("minimax", "block_size"): CONSTANTS,
    ("minimax_m1", "block_size"): CONSTANTS,
    ("dbrx", "rope_parameters.rope_theta"): VLLM,
}
"""Where llmarch says less than the oracle on purpose, by model_type and key."""

WITH_TOWERS = {
    *("aya_vision", "cohere2_vision", "deepseek_vl", "glm4v", "idefics3", "internvl", "lfm2_vl"),
    *("gemma3", "gemma4", "got_ocr2", "llama4", "mistral3", "mllama", "moss_transcribe_diarize"),
    *("phi4_multimodal", "qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe"),
    *("lighton_ocr", "llava", "llava_next", "minimax_m3_vl", "paligemma", "qwen2_5_vl"),
    *("paddleocr_vl", "qwen2_vl", "smolvlm", "step3p7"),
    *("deepseek_ocr2", "deepseek_vl_hybrid"),
    *("hyperclovax_vision_v2", "minicpmv4_6", "qianfan_ocr", "video_llama_3", "video_llava"),
    *("qwen2_5_omni_thinker", "qwen3_omni_moe_thinker"),
}
"""Wrappers whose tower reads its own keys; what they change shows only with images."""

INCOMPLETE = {
    "attention_hidden_size",  # not that of stream and embedding together
    "attention_bias",  # beside a gate that has none
    "attention_multiplier",  # missing
    "attn_type_list",
    "downsample_channels",  # not the width of the encoder that reads them, as in its own config
    "encoder_config",
    "sam_config",
    "dff",  # missing
    "embedding_dim",  # not the width of the stream
    "feature_layer",  # of a layer that is not there
    "head_dim",
    "hidden_activation",  # one that no gate has here
    "hidden_size",  # that of the tower's output, or of the heads together, is another
    "hybrid_override_pattern",
    "image_size",  # not square, as patch_size
    "intermediate_size",
    "mamba_hidden_act",
    "moe_intermediate_size",
    "moe_topk",
    "num_attention_heads",  # no multiple of the KV heads
    "num_experts_per_tok",
    "num_key_value_heads",
    "num_shared_expert",
    "out_hidden_size",  # not the decoder's width
    "output_dim",  # likewise
    "patch_size",
    "projection_dim",
    "projector_hidden_size",
    "rope_theta",
    "text_config",
    "use_bidirectional_attention",  # an encoder
    "vision_config",  # whose defaults do not fit the decoder
    "vision_feature_layer",  # of a layer that is not there
}
"""Keys whose change leaves a config that no family reads. A build stops with exit code 2."""


PATTERN_WORDS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
"""The words of `layer_types` for the letters of Nemotron-H's pattern."""


class Result(NamedTuple):
    """What llmarch says about one pair."""

    model: str
    model_type: str
    key: str
    how: str
    oracle: str
    found: str
    """The worst severity; `none` without a change, `refused` if the new config cannot be read."""


@cache
def fixture() -> dict[str, Any]:
    return json.loads(gzip.decompress(FIXTURE.read_bytes()))


def entry(config: Config) -> Entry:
    return make_entry(read_model(RawModel("model", "local", "model", config, "config.json")))


def edited(base: Config, pair: dict[str, Any]) -> Config:
    """The config with one key set, added or removed."""
    config = copy.deepcopy(base)
    *parts, last = pair["key"].split(".")
    place = config
    for part in parts:
        place = place[part]
    if pair["how"] == "del":
        place.pop(last, None)
    else:
        place[last] = pair["value"]
    return config


@cache
def base_entry(model: str) -> Entry:
    return entry(fixture()["bases"][model])


@cache
def pairs_by_model() -> dict[str, list[dict[str, Any]]]:
    pairs: dict[str, list[dict[str, Any]]] = {}
    for pair in fixture()["pairs"]:
        pairs.setdefault(pair["model"], []).append(pair)
    return pairs


def result(pair: dict[str, Any]) -> Result:
    """Compare the base of a pair with its edited config."""
    model = pair["model"]
    base = fixture()["bases"][model]
    worst = severity(base_entry(model), edited(base, pair))
    return Result(model, base["model_type"], pair["key"], pair["how"], pair["oracle"], worst)


def severity(old: Entry, config: Config) -> str:
    try:
        changes = find_differences(old, entry(config))
    except LlmarchError:
        return REFUSED
    return min((c.severity for c in changes), key=SEVERITIES.index, default="none")


def known(result: Result) -> bool:
    """Whether llmarch is to say more, or less; towers are compared, but the oracle runs none."""
    in_tower = (
        result.key.startswith(("vision_config.", "audio_config.", "high_res_vision_config."))
        and result.model_type in WITH_TOWERS
    )
    if in_tower and result.oracle == "none" and result.found in BREAKING:
        return True
    place = (result.model_type, result.key)
    return place in DIFFERENCES or place in NOT_TOLD


def breaking(severity: str) -> str:
    return severity if severity in BREAKING else "none"


@pytest.mark.parametrize("model", sorted(fixture()["bases"]))
def test_what_changes_break(model: str) -> None:
    """Of configs that llmarch reads; what it says besides is in DIFFERENCES, with the reason.

    A model by itself, so that no process runs them all.
    """
    results = [result(pair) for pair in pairs_by_model()[model]]
    refused = [r.key.rpartition(".")[2] for r in results if r.found == REFUSED]
    read = [r for r in results if r.found != REFUSED and (r.model_type, r.key) not in NOT_TOLD]
    missed = [r for r in read if r.oracle in BREAKING and breaking(r.found) == "none"]
    assert missed == []
    assert [r for r in read if breaking(r.found) != r.oracle and not known(r)] == []
    assert set(refused) <= INCOMPLETE, "what is refused lacks a key or contradicts itself"
    assert len(refused) <= max(9, 0.08 * len(results))


def test_every_exception_is_needed() -> None:
    exceptions = DIFFERENCES.keys() | NOT_TOLD.keys()
    needed: set[tuple[str, str]] = set()
    for model, pairs in pairs_by_model().items():
        model_type = fixture()["bases"][model]["model_type"]
        for pair in pairs:
            place = (model_type, pair["key"])
            if place in exceptions - needed:
                found = result(pair)
                if breaking(found.found) != found.oracle:
                    needed.add(place)
    assert needed == exceptions


def test_exceptions_are_few() -> None:
    """Severities are those of the oracle in more than 98 of 100 pairs, and refusals few."""
    pairs = [(p, fixture()["bases"][p["model"]]["model_type"]) for p in fixture()["pairs"]]
    excepted = [p for p, t in pairs if (t, p["key"]) in DIFFERENCES or (t, p["key"]) in NOT_TOLD]
    assert len(excepted) < 0.02 * len(pairs)


def test_families_with_bundled_models_are_there() -> None:
    families = {MODEL_TYPES[base["model_type"]] for base in fixture()["bases"].values()}
    bundled = {llmarch.load(alias).architecture.family for alias in bundled_models()}
    assert len(families) > 90
    others = (bundled | {*MODEL_TYPES.values()}) - families - WITHOUT_ORACLE
    assert not [name for name in others if family_named(name).ref.startswith("transformers")]


WITHOUT_ORACLE = {
    "dots3_note",  # its defaults name layers by number, which the oracle's few layers have not
    "kimi_k25",  # DeepSeek V3's decoder; its tower takes the oracle too long
    "mimo_v2_flash",  # published in the keys of its own code, which transformers does not read
}
"""Families whose models the oracle cannot build at small sizes, or reads by other keys; those that
are read by published code alone have no pairs either."""


def test_pairs_of_every_kind() -> None:
    counts = Counter(pair["oracle"] for pair in fixture()["pairs"])
    assert counts["weights"] > 500 and counts["behaviour"] > 250 and counts["none"] > 1000


WRONG_VALUES: tuple[Any, ...] = (None, True, 0, 0.0, -1, 1e308, "", "x", [], [1], {})


def test_wrong_values_are_compared_or_refused() -> None:
    """Of each base, five keys with a wrong value: never a traceback."""
    for model, base in fixture()["bases"].items():
        chance = random.Random(model)
        for key in chance.choices(sorted(dotted_keys(base)), k=5):
            value = chance.choice(WRONG_VALUES)
            severity(base_entry(model), edited(base, {"key": key, "how": "set", "value": value}))


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("class:inkling_text", "logits_mup_width_multiplier", 0.0),
        ("class:internvl", "vision_config.norm_type", ""),
        ("google__gemma-4-E2B-it", "audio_config.subsampling_conv_channels", []),
    ],
)
def test_values_that_make_no_model_are_refused(model: str, key: str, value: Any) -> None:
    config = edited(fixture()["bases"][model], {"key": key, "how": "set", "value": value})
    assert severity(base_entry(model), config) == REFUSED


def dotted_keys(config: Config, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from dotted_keys(cast("Config", value), f"{prefix}{key}.")


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("class:mellum", "rope_parameters.sliding_attention.rope_type"),
        ("class:zaya", "rope_parameters.hybrid_sliding.rope_type"),
        ("class:cohere_compass_text", "rope_parameters.sliding_attention.rope_type"),
        ("spec:granite-4.0-h-small", "rope_theta"),
    ],
)
def test_null_for_what_no_layer_uses_is_no_change(model: str, key: str) -> None:
    base = fixture()["bases"][model]
    config = edited(base, {"key": key, "how": "set", "value": None})
    assert severity(base_entry(model), config) == "none"


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        ("spec:granite-4.0-h-small", "layers_block_type", {}),
        ("class:zamba", "layer_types", {}),
        ("class:zamba2", "layer_types", {}),
        ("nvidia__NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "layer_types", PATTERN_WORDS),
        ("nvidia__NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "layers_block_type", PATTERN_WORDS),
    ],
)
def test_of_two_lists_of_layers_the_one_that_the_class_sets_last_counts(
    model: str, key: str, words: dict[str, str]
) -> None:
    """The second name of the list; the same list under both names is no change."""
    base = fixture()["bases"][model]
    listed = base.get("layer_types") or base.get("layers_block_type")
    listed = listed or [words[letter] for letter in base["hybrid_override_pattern"]]
    swapped = [*listed[1:], listed[0]]
    found = {
        same: severity(base_entry(model), edited(base, {"key": key, "how": "set", "value": value}))
        for same, value in ((True, listed), (False, swapped))
    }
    assert found == {True: "none", False: "weights"}


def test_the_pattern_beside_a_list_of_layers_has_no_effect() -> None:
    """Gemma 3 files keep both; without the list the class reads the key without underscore."""
    config = copy.deepcopy(llmarch.load("gemma3-27b").raw.config)
    assert config is not None
    text = config["text_config"]
    old = entry(config)
    assert severity(old, edited(config, pattern_of_gemma("sliding_window_pattern"))) == "none"
    del text["layer_types"]
    assert severity(old, config) == "none"
    assert severity(old, edited(config, pattern_of_gemma("sliding_window_pattern"))) == "behaviour"
    told = find_differences(old, entry(edited(config, pattern_of_gemma("_sliding_window_pattern"))))
    assert [c.rule for c in told] == ["config-contradiction"]


def pattern_of_gemma(key: str) -> dict[str, Any]:
    return {"key": f"text_config.{key}", "how": "set", "value": 4}


def test_the_top_k_that_shapes_a_table_is_weights() -> None:
    """DeepSeek V4 stores the chosen experts of each token id (`tid2eid`)."""
    pairs = pairs_by_model()["deepseek-ai__DeepSeek-V4-Flash"]
    found = [result(pair).found for pair in pairs if pair["key"] == "num_experts_per_tok"]
    assert found == ["weights"] * len(found) and found


@pytest.mark.parametrize("oracle", BREAKING)
def test_all_models_have_breaking_pairs(oracle: str) -> None:
    models = {pair["model"] for pair in fixture()["pairs"] if pair["oracle"] == oracle}
    assert models >= fixture()["bases"].keys() - {"google__gemma-4-E2B-it"}
