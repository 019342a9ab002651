"""What transformers' classes can build and llmarch reads otherwise or refuses, by model type.

tests/config/test_model_types.py holds every entry to be true and needed; docs/families.md shows it.
"""

from __future__ import annotations

CANNOT_RUN = (
    "is not a multiple of (text_config\\.)?num_key_value_heads",
    "hidden_size is [0-9,]+, but the decoder is",
    "but the encoder of these features is",
    "num_key_value_heads is [0-9,]+ for [0-9,]+ heads, which each have keys of their own",
    "topk_group is [0-9,]+, more than the [0-9,]+ groups",
    "linear_num_value_heads is [0-9,]+, which is not a multiple of the [0-9,]+ key heads",
    "num_experts_per_tok is [0-9,]+, more than the [0-9,]+ experts",
    "n_group is [0-9,]+, which does not divide the [0-9,]+ experts",
)
"""Refusals of configurations that the class builds and cannot run."""

REFUSED: dict[str, dict[str, str]] = {
    "afmoe": {"attention_bias=True": "the gate is a matrix without a bias (biases_beside_a_gate)"},
    "beam": {"attention_bias=True": "the gate is a matrix without a bias (biases_beside_a_gate)"},
    "helium": {
        "hidden_size|num_attention_heads|head_dim": "the class needs heads as wide as hidden"
    },
    "zamba": {"attention_hidden_size": "the class cannot run it"},
    "zamba2": {"attention_hidden_size": "the class cannot run it"},
    "laguna": {"gating=False": "no published model is without a gate"},
    "phi-msft": {
        "n_head=33": "the heads must divide the width for the class to run",
        "n_head_kv=True": "a number of heads",
    },
    "qwen": {
        "hidden_size|n_embd|num_attention_heads|n_head|kv_channels": "the class cannot run it"
    },
    "minimax_m3_vl": {"hidden_size=": "the class needs a projector as wide as the decoder"},
    "xlstm": {"embedding_dim": "the class cannot run it"},
    "mellum": {"num_nextn_predict_layers=True": "a number of modules"},
    "mimo_v2_flash": {"": "the class declares no n_shared_experts; published configs have it"},
}
"""By model type: the settings that are refused (a pattern of the keys set), and why."""

DIFFERENT: dict[str, dict[str, str]] = {
    "bailing_moe": {"num_nextn_predict_layers=1": "modules of MTP are not part of the total"},
    "bailing_moe_v2_5": {
        "num_nextn_predict_layers=1": "modules of MTP are not part of the total",
        "qk_(rope_|nope_)?head_dim": "the class takes qk_head_dim as it is, no sum",
    },
    "chatglm": {"pre_seq_len": "a prefix that P-tuning has learned"},
    "deepseek_ocr2": {
        "mlp_bias=True": "biases of shared experts are not read",
        "num_hidden_layers=4": "config-contradiction: a list has another length",
    },
    "deepseek_v2": {"mlp_bias=True": "biases of shared experts are not read"},
    "deepseek_v4": {"mlp_bias=True": "biases of shared experts are not read"},
    "gpt-sw3": {"add_cross_attention=True": "the decoder of an encoder-decoder model"},
    "gpt2": {"add_cross_attention=True": "the decoder of an encoder-decoder model"},
    "hunyuan": {
        "use_cla=True": "the code allocates norms of keys that layers do not have",
        "add_classification_head=True": "a head of its own",
        "num_hidden_layers=7": "lists with 8 entries",
    },
    "hy_v3": {"mlp_bias=True": "biases of shared experts are not read"},
    "internvl": {"use_mask_token=True": "a token of training alone"},
    "kimi_k25": {
        "projection_hidden_size|pos_emb_height|vision_config.hidden_size": "published towers only"
    },
    "longcat_flash": {"": "the class allocates zero experts; checkpoints hold none"},
    "lighton_ocr": {"vision_config.head_dim": "config-contradiction: the class computes it"},
    "mistral3": {"vision_config.head_dim": "config-contradiction: the class computes it"},
    "nemotron-nas": {"num_hidden_layers=7": "block_configs has 8 entries then"},
    "nemotron_h": {"mlp_bias=True": "biases of shared experts are not read"},
    "olmo_hybrid": {"": "the reverse conversion divides its joined convolution into equal parts"},
    "qwen": {
        "vocab_size": "the first code has an embedding of padded_vocab_size, and its own head"
    },
    "qianfan_ocr": {
        "use_mask_token=True": "a token of training alone",
        "use_qk_norm=True": "transformers does not convert the names of these norms",
    },
    "step3p7": {"mlp_bias=True": "biases of shared experts are not read"},
    "xglm": {"add_cross_attention=True": "the decoder of an encoder-decoder model"},
    "zamba": {"tie_word_embeddings=False": "the class then unties the shared layers too"},
    "zamba2": {"tie_word_embeddings=False": "the class then unties the shared layers too"},
    "xlstm": {"num_blocks": "config-contradiction: another key says the same of layers"},
}
"""By model type: the settings that are read otherwise than the class builds them, and why."""

ENCODER = "use_bidirectional_attention=True"
"""A setting that makes a model an encoder, which is refused as no decoder."""

WITHOUT_FIXTURE = {
    "bailing_moe_linear": "its published code was not found; named as by mlx-lm",
    "bailing_moe_v2": "a name of bailing_moe",
    "emu3_text_model": "the text part of emu3",
    "gemma3n": "its vision tower is timm's; tests/fixtures/headers has it",
    "glm4v_moe_text": "the text part of glm4v_moe",
    "glm4v_text": "the text part of glm4v",
    "glm_ocr_text": "the text part of glm_ocr",
    "internlm2": "custom code; its total is that of a Llama of its sizes",
    "deepseek_ref": "a name of deepseek_v4",
    "kimi_k2": "a name of deepseek_v3",
    "minimax_m3": "a name of minimax_m3_vl_text",
    "xverse": "its code was not found; vLLM runs it as a Llama",
    "minimax_m1": "a name of minimax",
    "minimax_text_01": "a name of minimax",
    "paddleocr_vl_text": "the text part of paddleocr_vl",
    "qwen2_5_vl_text": "the text part of qwen2_5_vl",
    "qwen2_vl_text": "the text part of qwen2_vl",
    "qwen3_vl_moe_text": "the text part of qwen3_vl_moe",
    "qwen3_vl_text": "the text part of qwen3_vl",
    "step3p5": "a text part that no auto class builds",
}
"""Model types that no class of transformers builds, and what their counts are held against."""

CODE_NOT_READ = {
    "chatglm (ChatGLM 1, GLM-4V)": "other code under the same model_type; not read",
    "git (Grok 1 and 2.5)": "no whole config was found; the tensors are shards of eight devices",
    "kimi_k3": "residual streams over blocks of layers are not in the vocabulary",
    "kimi_vl": "the wrapper of Kimi's first vision model; its published code was not found",
    "longcat_flash_ngram (LongCat-Flash-Lite)": "embeddings of n-grams are not in the vocabulary",
    "mimo, mimo_v2": "no config of these was found whole; MTP has names of its own",
    "mixformer-sequential": "embedding and head are numbered among the layers",
    "pangu_pro_moe, pangu_ultra_moe": "the published code was not found",
    "qwen (Qwen-VL, Qwen-Audio)": "other code under the same model_type; not read",
    "sarvam_mla (Sarvam 105B)": "no config was found; the published code neither",
    "step3_text, step3_vl": "queries of low rank beside one KV head are not in the vocabulary",
    "yi-vl": "no config was found; its projector has norms of its own",
}
"""Models with code of their own that llmarch observes alone, and why."""
