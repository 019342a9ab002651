"""No key that modelling code reads is without effect: it is a fact, or it is told.

tests/oracle/read_keys.py wrote which keys the code of each model type in transformers reads.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.paths import FIXTURES
from helpers.type_fixtures import TYPES, read_fixture

from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.config.families import MODEL_TYPES
from llmarch.config.keys import ConfigKeys
from llmarch.errors import LlmarchError

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

READ_KEYS: dict[str, str] = json.loads((FIXTURES / "read_keys.json").read_text())["keys"]
Config = dict[str, Any]

INITIAL = """
    final_w_init_variance_scale initializer_range layer_scale_init_value learnable_sink_init
    linear_a_log_max linear_a_log_min linear_dt_init_floor linear_dt_max linear_dt_min
    rescale_prenorm_residual time_step_floor time_step_init_scheme time_step_max time_step_min
    time_step_scale w_init_variance_scale lambda_std_dev embedding_initializer_range
    factor init_std initializer_factor
    """.split()
"""Values that weights have before training."""
TRAINING = """
    L_bp_cycles attention_dropout attn_pdrop aux_loss_alpha aux_loss_coef dropout embd_pdrop
    hidden_dropout drop_path_rate input_jitter_noise layerdrop moe_jitter_eps moe_loss_weight
    output_router_logits resid_pdrop router_aux_loss_coef router_jitter_noise z_loss_coefficient
    """.split()
ARITHMETIC = """
    attention_softmax_in_fp32 autocast_kernel_dtype chunk_size chunk_size_feed_forward
    enable_moe_fp32_combine inference_state_dtype mamba_chunk_size max_inference_chunksize mode
    norm_reduction_force_float32 num_logits_to_keep pretraining_tp reorder_and_upcast_attn
    rescale_every residual_in_fp32 return_last_states scale_attention_softmax_in_fp32
    slow_but_exact use_associative_scan use_mamba_kernels use_mambapy block_size use_mem_eff_path
    scale_attn_by_inverse_layer_idx fused_kernels use_cache gradient_checkpointing conv_chunksize
    """.split()
"""How the same thing is computed: in which precision, in how many pieces, by which kernel."""
TOKENS = """
    audio_token_id bos_token_id eos_token_id image_token_id image_token_index pad_token_id
    video_token_id image_seq_length vision_end_token_id vision_start_token_id
    decoder_start_token_id vocabulary_map audio_start_token_id audio_end_token_id user_token_id
    audio_token_index video_token_index
    """.split()
"""Which tokens stand for what."""
HEADS = """
    id2label label2id num_labels problem_type summary_activation summary_first_dropout
    summary_proj_to_labels summary_type summary_use_proj is_decoder classifier_dropout
    """.split()
"""Heads other than that of the config's class."""
WITHOUT_EFFECT = frozenset([*INITIAL, *TRAINING, *ARITHMETIC, *TOKENS, *HEADS])

EXCEPT: dict[tuple[str, str], str] = {
    ("", "head_dim"): "the class computes it where heads have dimensions with and without RoPE",
    ("", "original_max_position_embeddings"): "read with a scaling of RoPE",
    ("", "projection_dim"): "of CLIP's other tower; PaliGemma's class has that of the wrapper",
    ("", "vocab_size"): "of the text encoder that CLIP and SigLIP were trained with",
    ("", "num_pos_feats"): "of SAM's prompt encoder, which wrappers have not",
    ("deepseek_vl_hybrid", "scale"): "the same",
    ("", "insert_layer_id"): "of MiniCPM-V's tower; the wrapper's is copied into it",
    ("qwen2_5_omni_thinker", "scale_embedding"): "an attribute that nothing reads",
    ("qwen3_omni_moe_thinker", "scale_embedding"): "the same",
    ("minicpm_ocr", "image_size"): "of the wrapper; the tower has its own",
    ("minicpm_ocr", "patch_size"): "the same",
    ("minicpmv4_6", "image_size"): "the same",
    ("minicpmv4_6", "patch_size"): "the same",
    ("minicpmv4_7", "image_size"): "the same",
    ("minicpmv4_7", "patch_size"): "the same",
    (
        "qwen2_5_omni_thinker",
        "max_source_positions",
    ): "rows of a table; longer sounds fail",
    ("qwen3_omni_moe_thinker", "max_source_positions"): "the same",
    ("cohere2_moe", "norm_topk_prob"): "of the sigmoid router; the default is softmax",
    ("doge", "norm_topk_prob"): "of experts, which the default has not",
    ("dots3_note_text", "mlp_bias"): "no module is made with it",
    ("dbrx", "hidden_size"): "the class sets it to d_model",
    ("falcon", "num_kv_heads"): "the default has one head for all",
    ("falcon_h1", "mamba_expand"): "mamba_d_ssm is stated",
    ("falcon_h1", "mamba_norm_before_gate"): "of a norm that the default has not",
    ("hy_v4", "num_key_value_heads"): "latent attention has keys for each head",
    ("jetmoe", "num_attention_heads"): "the class computes it",
    ("laguna", "sliding_window"): "the default has no sliding layer",
    ("mamba2", "time_step_rank"): "an attribute that nothing reads",
    ("paligemma", "hidden_size"): "an attribute that nothing reads",
    ("phi4_multimodal", "feature_layer"): "that of the audio config is stored and not used",
    ("step3p7", "intermediate_size"): "that of the tower is computed from mlp_ratio",
    ("step3p7", "max_position_embeddings"): "the rotary table of the tower follows the image",
    ("zamba2", "rope_parameters"): "the default has no RoPE",
    ("zamba2", "mamba_headdim"): "the class computes it",
    ("zamba2", "hybrid_layer_ids"): "the class computes it from layers_block_type",
}
"""Keys by model type (empty: any) that its code names and that change nothing, with the reason."""

OTHER_PARTS = {
    "emu3": ("vq_config",),
    "moshi": ("audio_encoder_config", "depth_decoder_config", "num_codebooks"),
}
"""Parts of a config that belong to a class of the type which llmarch refuses."""


def nested(config: Config, prefix: str = "", above: str = "") -> Iterator[tuple[str, Config, str]]:
    """Yield each part of a config with its prefix and the model types whose code reads it."""
    types = f"{above} {config.get('model_type', '')}"
    yield prefix, config, types
    for key, value in config.items():
        if isinstance(value, dict) and "model_type" in value:
            yield from nested(value, f"{prefix}{key}.", types)


def keys_of_code(config: Config) -> dict[str, Any]:
    """Return the dotted keys that modelling code reads, with their values."""
    found: dict[str, Any] = {}
    for prefix, part, types in nested(config):
        read = {key for name in types.split() for key in READ_KEYS.get(name, "").split()}
        found |= {f"{prefix}{key}": value for key, value in part.items() if key in read}
    return found


def state(config: Config) -> object:
    """Return all that is made of a config, or why nothing is."""
    try:
        family, keys = configure(config, "config.json")
        architecture, _ = build_with_template(family, keys, {})
    except LlmarchError as error:
        return str(error)
    return architecture, keys.unread(), keys.findings


def changed(config: Config, dotted: str, value: Any) -> Config:
    config = copy.deepcopy(config)
    part = config
    *parents, key = dotted.split(".")
    for parent in parents:
        part = part[parent]
    part[key] = value
    return config


def other_values(value: Any) -> list[Any]:
    """Return values of the same type, and of several for none."""
    match value:
        case bool():
            return [not value]
        case int():
            return [2 * value + 1, value + 1, value // 2, -1]
        case float():
            return [2 * value + 0.5, value / 2]
        case str():
            return ["oddword", "relu", "full"]
        case list():
            return [value[:-1], [*value, 1]]
        case dict():
            return [{}, {"odd": 1}]
        case _:
            return [True, 1, 0.5, "oddword", [1]]


def looked_up(config: Config, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the dotted keys whose values are asked for."""
    found: set[str] = set()
    find = vars(ConfigKeys)["_find"]

    def noted(self: ConfigKeys, keys: tuple[str, ...], default: Any) -> Any:
        found.update(self.prefix + key for key in keys)
        return find(self, keys, default)

    with monkeypatch.context() as patch:
        patch.setattr(ConfigKeys, "_find", noted)
        state(config)
    return found


def reason(model_type: str, dotted: str) -> str | None:
    """Return why a key may be without effect."""
    key = dotted.rpartition(".")[2]
    is_dropout = key.endswith(("dropout", "_pdrop", "dropout_prob", "dropout_rate"))
    if key == "model_type" or key in WITHOUT_EFFECT or is_dropout:
        return "training, arithmetic, token ids, another head"
    if dotted.partition(".")[0] in OTHER_PARTS.get(model_type, ()):
        return "of a part that the class with a language model's head does not have"
    return EXCEPT.get((model_type, key)) or EXCEPT.get(("", key))


@pytest.mark.parametrize("model_type", [name for name in TYPES if name in MODEL_TYPES])
def test_no_key_that_code_reads_is_without_effect(
    model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_fixture(model_type)["rows"]
    config = {**rows[0]["saved"], "model_type": model_type}
    before = state(config)
    if isinstance(before, str):
        return
    keys = keys_of_code(config)
    for dotted in sorted(keys.keys() - looked_up(config, monkeypatch)):
        if reason(model_type, dotted) is not None:
            continue
        others = other_values(keys[dotted])
        assert any(state(changed(config, dotted, value)) != before for value in others), dotted


def test_the_reasons_are_needed() -> None:
    """No model type and no key is excused that the code of no class reads."""
    known = {key for keys in READ_KEYS.values() for key in keys.split()}
    assert {key for _, key in EXCEPT} <= known
    assert OTHER_PARTS.keys() <= READ_KEYS.keys()
