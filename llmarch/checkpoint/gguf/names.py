"""llama.cpp's names of tensors, and the modules on the Hub that they are of.

The other way round than llama.cpp's own table (gguf-py/gguf/tensor_mapping.py), which names modules
with their prefixes: here a name leads to the ends that a module's name may have, in the order in
which they are looked for in the template of the architecture.
"""

from __future__ import annotations

MODULES_OUTSIDE: dict[str, tuple[str, ...]] = {
    "token_embd": (
        "embed_tokens",
        "wte",
        "word_embeddings",
        "embed_in",
        "embeddings",
        "tokens_embed",
        "embed",
    ),
    "token_embd_norm": ("word_embeddings_layernorm", "embedding_norm"),
    "position_embd": ("wpe", "embed_positions", "positions_embed"),
    "output_norm": (
        "model.norm",
        "language_model.norm",
        "ln_f",
        "final_layer_norm",
        "final_layernorm",
        "embedding_norm",
        "norm_f",
        "final_norm",
        "layer_norm",
        "norm",
    ),
    "output": ("lm_head", "embed_out", "head"),
    "per_layer_token_embd": ("embed_tokens_per_layer",),
    "per_layer_model_proj": ("per_layer_model_projection",),
    "per_layer_proj_norm": ("per_layer_projection_norm",),
    "altup_proj": ("altup_projections.{}",),
    "altup_unembd_proj": ("altup_unembed_projections.{}",),
    "output_hc_fn": ("hc_head_fn",),
    "output_hc_base": ("hc_head_base",),
    "output_hc_scale": ("hc_head_scale",),
}
"""Modules outside of the layers."""

_GATE = ("gate_proj", "w1", "proj_up_gate")
_UP = ("up_proj", "w3", "c_fc", "fc1", "fc_in", "dense_h_to_4h", "gate_up_proj")
_DOWN = ("down_proj", "w2", "c_proj", "fc2", "fc_out", "dense_4h_to_h")
_SHARED = ("shared_experts", "shared_expert", "shared_mlp", "share_expert")
_ROOTS = ("mlp", "feed_forward", "ffn", "mixer", "block_sparse_moe", "moe")


def _joined(roots: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{root}.{name}" for root in roots for name in names)


MODULES_INSIDE: dict[str, tuple[str, ...]] = {
    # Norms.
    "attn_norm": (
        "input_layernorm",
        "attention_layernorm",
        "attention_layer_norm",
        "ln_1",
        "norm_1",
        "operator_norm",
        "attn_norm",
        "self_attn_layer_norm",
        "attention_norm",
        "ln1",
        "norm",
    ),
    "attn_norm_2": ("ln_attn",),
    "post_attention_norm": (
        "post_self_attn_layernorm",
        "post_attn_norm",
        "post_operator_norm",
        "post_attention_layernorm",
        "post_norm1",
    ),
    "ffn_norm": (
        "pre_feedforward_layernorm",
        "pre_ff_layernorm",
        "pre_mlp_layernorm",
        "feedforward_layernorm",
        "feedforward_layer_norm",
        "ffn_norm",
        "ln_2",
        "norm_2",
        "final_layer_norm",
        "post_attention_layernorm",
        "ln2",
    ),
    "post_ffw_norm": (
        "post_feedforward_layernorm",
        "post_mlp_layernorm",
        "post_ffn_norm",
        "post_norm2",
    ),
    "pre_ffw_norm_2": ("pre_feedforward_layernorm_2",),
    "post_ffw_norm_1": ("post_feedforward_layernorm_1",),
    "post_ffw_norm_2": ("post_feedforward_layernorm_2",),
    "layer_output_norm": ("final_layernorm",),
    # Attention.
    "attn_qkv": (
        "qkv_proj",
        "c_attn",
        "query_key_value",
        "Wqkv",
        "wqkv",
        "W_pack",
        "in_proj_qkv",
    ),
    "attn_q": ("q_proj", "wq", "Wq"),
    "attn_k": ("k_proj", "wk", "Wk"),
    "attn_v": ("v_proj", "wv", "Wv"),
    "attn_output": (
        "self_attn.o_proj",
        "o_proj",
        "self_attn.out_proj",
        "attn.out_proj",
        "attn.c_proj",
        "attention.out_proj",
        "self_attn.dense",
        "attention.dense",
        "self_attention.dense",
        "wo",
    ),
    "attn_q_norm": ("q_norm", "q_layernorm", "query_layernorm"),
    "attn_k_norm": ("k_norm", "k_layernorm", "key_layernorm"),
    "attn_sinks": ("self_attn.sinks", "self_attn.attention_sink_bias", "softmax_offset"),
    "attn_gate": ("self_attn.gate_proj", "self_attn.g_proj", "in_proj_z"),
    "attn_sub_norm": ("attn_sub_norm",),
    "ffn_sub_norm": ("ffn_sub_norm",),
    # Latent attention.
    "attn_q_a": ("q_a_proj", "wq_a"),
    "attn_q_a_norm": ("q_a_layernorm", "attn.q_norm"),
    "attn_q_b": ("q_b_proj", "attn.wq_b"),
    "attn_kv_a_mqa": ("kv_a_proj_with_mqa",),
    "attn_kv_a_norm": ("kv_a_layernorm", "attn.kv_norm"),
    "attn_kv_b": ("kv_b_proj",),
    "attn_k_b": ("kv_b_proj>embed_q",),
    "attn_v_b": ("kv_b_proj>unembed_out",),
    "attn_kv": ("attn.wkv",),
    "attn_output_a": ("attn.wo_a",),
    "attn_output_b": ("attn.wo_b",),
    "indexer.k_norm": ("indexer.k_norm",),
    "indexer.proj": ("indexer.weights_proj",),
    "indexer.attn_k": ("indexer.wk",),
    "indexer.attn_q_b": ("indexer.wq_b",),
    # Compressed attention.
    "attn_compressor_kv": ("attn.compressor.wkv",),
    "attn_compressor_gate": ("attn.compressor.wgate",),
    "attn_compressor_ape": ("attn.compressor.ape",),
    "attn_compressor_norm": ("attn.compressor.norm",),
    "indexer_compressor_kv": ("indexer.compressor.wkv",),
    "indexer_compressor_gate": ("indexer.compressor.wgate",),
    "indexer_compressor_ape": ("indexer.compressor.ape",),
    "indexer_compressor_norm": ("indexer.compressor.norm",),
    "hc_attn_fn": ("hc_attn_fn",),
    "hc_attn_base": ("hc_attn_base",),
    "hc_attn_scale": ("hc_attn_scale",),
    "hc_ffn_fn": ("hc_ffn_fn",),
    "hc_ffn_base": ("hc_ffn_base",),
    "hc_ffn_scale": ("hc_ffn_scale",),
    # Feed-forward.
    "ffn_gate": (*_joined(_ROOTS, _GATE), "shared_mlp.input_linear"),
    "ffn_up": (*_joined(_ROOTS, _UP), "fc1", "shared_mlp.input_linear"),
    "ffn_down": (*_joined(_ROOTS, _DOWN), "fc2", "shared_mlp.output_linear"),
    "ffn_gate_inp": (
        *_joined(_ROOTS, ("gate", "router", "gate.wg", "router.gate", "router.layer")),
        *_joined(_ROOTS, ("router.classifier",)),
        "router.proj",
    ),
    "ffn_gate_inp.scale": ("router.scale",),
    "ffn_down_exps.scale": ("router.per_expert_scale",),
    "ffn_gate_inp_shexp": ("shared_expert_gate",),
    "exp_probs_b": (
        "gate.e_score_correction_bias",
        "e_score_correction_bias",
        "expert_bias",
        "router_bias",
        "ffn.gate",
    ),
    "ffn_gate_exps": ("experts.gate_proj", "moe.gate_proj"),
    "ffn_up_exps": ("experts.up_proj", "moe.up_proj"),
    "ffn_down_exps": ("experts.down_proj", "moe.down_proj", "output_linear"),
    "ffn_gate_up_exps": ("experts.gate_up_proj",),
    "ffn_gate_shexp": (*_joined(_SHARED, _GATE), "shared_mlp.input_linear"),
    "ffn_up_shexp": (*_joined(_SHARED, _UP), "shared_mlp.input_linear"),
    "ffn_down_shexp": (*_joined(_SHARED, _DOWN), "shared_mlp.output_linear"),
    "ffn_gate_tid2eid": ("gate.tid2eid",),
    "ffn_latent_down": ("fc1_latent_proj",),
    "ffn_latent_up": ("fc2_latent_proj",),
    "layer_output_scale": ("layer_scalar",),
    # Per-layer embeddings, AltUp, Laurel.
    "inp_gate": ("per_layer_input_gate",),
    "proj": ("per_layer_projection",),
    "post_norm": ("post_per_layer_input_norm",),
    "altup_correct_coef": ("altup.correction_coefs",),
    "altup_correct_scale": ("altup.correct_output_scale",),
    "altup_predict_coef": ("altup.prediction_coefs",),
    "altup_router": ("altup.modality_router",),
    "altup_router_norm": ("altup.router_norm",),
    "laurel_l": ("laurel.linear_left",),
    "laurel_r": ("laurel.linear_right",),
    "laurel_post_norm": ("laurel.post_laurel_norm",),
    # Recurrent mixers.
    "ssm_in": ("mamba.in_proj", "mixer.in_proj", "in_proj_qkvz"),
    "ssm_conv1d": ("conv1d",),
    "ssm_x": ("x_proj",),
    "ssm_dt": ("dt_proj", "dt_bias"),
    "ssm_dt_norm": ("dt_layernorm",),
    "ssm_a": ("A_log",),
    "ssm_b_norm": ("b_layernorm",),
    "ssm_c_norm": ("c_layernorm",),
    "ssm_d": ("mamba.D", "mixer.D"),
    "ssm_norm": ("mamba.norm", "mixer.norm", "linear_attn.norm", "o_norm"),
    "ssm_out": ("mamba.out_proj", "mixer.out_proj", "linear_attn.out_proj"),
    "ssm_alpha": ("in_proj_a",),
    "ssm_beta": ("in_proj_b", "b_proj"),
    "ssm_ba": ("in_proj_ba",),
    "ssm_conv1d_q": ("q_conv1d",),
    "ssm_conv1d_k": ("k_conv1d",),
    "ssm_conv1d_v": ("v_conv1d",),
    "ssm_f_a": ("f_a_proj",),
    "ssm_f_b": ("f_b_proj",),
    "ssm_g_a": ("g_a_proj",),
    "ssm_g_b": ("g_b_proj",),
    "shortconv.conv": ("conv.conv",),
    "shortconv.in_proj": ("conv.in_proj",),
    "shortconv.out_proj": ("conv.out_proj",),
    # Multi-token prediction.
    "nextn.eh_proj": ("eh_proj",),
    "nextn.embed_tokens": ("embed_tokens",),
    "nextn.enorm": ("enorm",),
    "nextn.hnorm": ("hnorm",),
    "nextn.shared_head_head": ("shared_head.head",),
    "nextn.shared_head_norm": ("shared_head.norm", "final_layernorm"),
}
"""Modules in a layer. `a>b`: where the template has `a`, the tensor is its part that spelled apart
is named `b` beside it."""

FUSED_INTO: dict[str, tuple[str, ...]] = {
    "q_proj": ("qkv_proj", "query_key_value", "c_attn", "Wqkv"),
    "k_proj": ("qkv_proj", "query_key_value", "c_attn", "Wqkv"),
    "v_proj": ("qkv_proj", "query_key_value", "c_attn", "Wqkv"),
    "experts.gate_proj": ("experts.gate_up_proj", "input_linear"),
    "experts.up_proj": ("experts.gate_up_proj", "input_linear"),
    "gate_proj": ("gate_up_proj",),
    "qkv_proj": ("q_proj",),
    "in_proj_qkv": ("in_proj_qkvz",),
    "in_proj_z": ("in_proj_qkvz",),
}

FURTHER_LAYERS: dict[str, str] = {
    "nextn.eh_proj": "mtp.fc",
    "nextn.enorm": "mtp.pre_fc_norm_embedding",
    "nextn.hnorm": "mtp.pre_fc_norm_hidden",
    "nextn.shared_head_norm": "mtp.norm",
}
"""Modules of multi-token prediction that the Hub has apart from the layers (Qwen3-Next, Qwen 3.5),
and llama.cpp in a further layer."""
MTP_ROOT = "mtp."
MTP_LAYER = f"{MTP_ROOT}layers.{{}}."
