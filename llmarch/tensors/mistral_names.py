"""Names of tensors in Mistral's native format, and the Hub's for them. Shapes are the same."""

from __future__ import annotations

_LAYER = "layers.{}."
_HUB_LAYER = "model.layers.{}."
_TOWER = "vision_encoder.transformer.layers.{}."
_HUB_TOWER = "vision_tower.transformer.layers.{}."

_HEADS = {"wq": "q_proj", "wk": "k_proj", "wv": "v_proj", "wo": "o_proj"}
_LATENT = {
    "wq_a": "q_a_proj",
    "q_a_norm": "q_a_layernorm",
    "wq_b": "q_b_proj",
    "wkv_a_with_mqa": "kv_a_proj_with_mqa",
    "kv_a_norm": "kv_a_layernorm",
    "wkv_b": "kv_b_proj",
}
_MLP = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}


def _renamed(native: str, hub: str, modules: dict[str, str]) -> dict[str, str]:
    """Return native module patterns and the Hub's, each under its prefix."""
    names: dict[str, str] = {}
    for native_module, hub_module in modules.items():
        pattern = native + native_module
        replacement = hub + hub_module
        names[pattern] = replacement
    return names


def _same(*names: str) -> dict[str, str]:
    """Return modules that are called the same in both formats."""
    return {name: name for name in names}


NAMES: dict[str, str] = {
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
    f"{_LAYER}attention_norm": f"{_HUB_LAYER}input_layernorm",
    f"{_LAYER}ffn_norm": f"{_HUB_LAYER}post_attention_layernorm",
    **_renamed(f"{_LAYER}attention.", f"{_HUB_LAYER}self_attn.", _HEADS | _LATENT),
    **_renamed(
        f"{_LAYER}attention.",
        f"{_HUB_LAYER}self_attn.",
        _same("q_fake_quantizer", "k_fake_quantizer", "v_fake_quantizer"),
    ),
    **_renamed(f"{_LAYER}feed_forward.", f"{_HUB_LAYER}mlp.", _MLP),
    # Mistral Large 3
    f"{_LAYER}gate": f"{_HUB_LAYER}mlp.gate",
    **_renamed(f"{_LAYER}experts.{{}}.", f"{_HUB_LAYER}mlp.experts.{{}}.", _MLP),
    **_renamed(f"{_LAYER}shared_experts.", f"{_HUB_LAYER}mlp.shared_experts.", _MLP),
    # Mixtral
    f"{_LAYER}feed_forward.gate": f"{_HUB_LAYER}block_sparse_moe.gate",
    **_renamed(
        f"{_LAYER}feed_forward.experts.{{}}.",
        f"{_HUB_LAYER}block_sparse_moe.experts.{{}}.",
        _same(*_MLP),
    ),
    # Pixtral
    "vision_encoder.patch_conv": "vision_tower.patch_conv",
    "vision_encoder.ln_pre": "vision_tower.ln_pre",
    **_renamed(f"{_TOWER}attention.", f"{_HUB_TOWER}attention.", _HEADS),
    **_renamed(f"{_TOWER}feed_forward.", f"{_HUB_TOWER}feed_forward.", _MLP),
    **_renamed(_TOWER, _HUB_TOWER, _same("attention_norm", "ffn_norm")),
    "pre_mm_projector_norm": "multi_modal_projector.norm",
    "patch_merger.merging_layer": "multi_modal_projector.patch_merger.merging_layer",
    "vision_language_adapter.w_in": "multi_modal_projector.linear_1",
    "vision_language_adapter.w_out": "multi_modal_projector.linear_2",
}
"""Native patterns of modules, and the Hub's. The last part of a tensor's name stays: `weight`, or
that of a scale."""


def hub_name(pattern: str) -> str | None:
    """Return the Hub's name for a native pattern (`layers.{}.attention.wq.weight`).

    None if it is not a native name.
    """
    if pattern == f"{_LAYER}router_biases":
        return f"{_HUB_LAYER}mlp.gate.e_score_correction_bias"
    module, _, leaf = pattern.rpartition(".")
    hub = NAMES.get(module)
    if hub is None:
        return None
    return f"{hub}.{leaf}"
