"""dots3: MLA with a gate for each head, sparse by an indexer or within a window.

Windows are on most layers, with ranks and heads of their own. Latents are normed and scaled, the
rotary key is normed too. Each layer but the first has MoE.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from .. import blocks
from ..evidence import Draft, Sourced, derived
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    attention = _attention_layers(c)
    ffns = blocks.moe_after_dense_prefix(c)
    c.ignore("mlp_bias", "layer_types")
    readers = {"indexed": _indexed, "full": _full, "sliding": _sliding}
    experts = {"dense": blocks.dense, "moe": _moe}
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, readers, attention.value),
        ffns=blocks.read_used_blocks(c, experts, ffns.value),
        **blocks.layer_wiring(attention, ffns),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide; the others have an indexer unless `use_dsa` is false.

    Without a list these are the first two and each fourth.
    """
    dsa, windows = c.flag("use_dsa", default=True), c.flag("use_sliding_window", default=True)
    other = "indexed" if dsa.value else "full"
    names = {"full_attention": other, "indexed_attention": other, "sliding_attention": "sliding"}
    listed = blocks.listed_layers(c, names)
    if listed.value is not None:
        return listed
    reason = "layers 0 and 1 and every 4th from 1 have no window"
    return blocks.pattern_of(
        c,
        lambda i: other if not windows.value or i < 2 or i % 4 == 1 else "sliding",
        derived(None, reason),
    )


def _indexed(c: ConfigKeys) -> Draft:
    """Read MLA that reads the tokens an indexer chose."""
    latent = _latent(c, "indexed_attention")
    indexer = blocks.lightning_indexer(c, latent["qk_rope_head_dim"], interleaved=True)
    return latent.replace(indexer=indexer)


def _full(c: ConfigKeys) -> Draft:
    """Read MLA that reads every token."""
    return _latent(c, "full_attention")


def _sliding(c: ConfigKeys) -> Draft:
    """Read MLA with a window.

    Its sizes are those of `per_layer_config`, which transformers writes, or of keys of their own.
    """
    own = c
    if "per_layer_config" not in c.data:
        own = c.with_data({**c.data, **_own_sizes(c)})
    window = c.size("sliding_window", "sliding_window_size")
    return _latent(own, "sliding_attention", window=window)


def _own_sizes(c: ConfigKeys) -> dict[str, Any]:
    """Return the sizes of sliding layers under the names of the others."""
    sizes = {key: c.size(f"swa_{key}", default=size).value for key, size in _SLIDING.items()}
    rotary = sizes["head_dim"] - sizes["qk_nope_head_dim"]
    sizes["qk_rope_head_dim"] = c.size("swa_qk_rope_head_dim", default=rotary).value
    return sizes


def _latent(c: ConfigKeys, layer_type: str, **facts: Any) -> Draft:
    """Read MLA whose latents are multiplied by sqrt(hidden_size / rank)."""
    c.ignore("swa_rope_theta", "head_dim")
    hidden = c.size("hidden_size").value
    ranks = {key: c.size(key) for key in ("q_lora_rank", "kv_lora_rank")}
    scales = {
        key: derived((hidden / rank.value) ** 0.5, f"sqrt(hidden_size / {key})")
        for key, rank in ranks.items()
    }
    return blocks.latent_attention(
        c,
        **ranks,
        norm_eps=c.number("rms_norm_eps"),
        gate="head",
        rope_norm=True,
        rope=_rope(c, layer_type),
        q_scale=scales["q_lora_rank"],
        kv_scale=scales["kv_lora_rank"],
        **facts,
    )


def _rope(c: ConfigKeys, layer_type: str) -> Draft:
    """Read the RoPE of a type of layers; sliding ones have a base of their own."""
    rope_dim = c.size("qk_rope_head_dim")
    theta = None
    if layer_type == "sliding_attention":
        theta = c.number("swa_rope_theta", default=50000.0)
    keys = blocks.rope_keys(c)
    nested = any(isinstance(value, dict) for value in keys.data.values())
    return blocks.rope(
        c,
        rope_dim,
        interleaved=True,
        theta=theta,
        layer_type=layer_type if nested else None,
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose shared experts have a width of their own."""
    width = c.size("moe_shared_expert_intermediate_size", "shared_experts_intermediate_size")
    count = c.size("n_shared_experts")
    return blocks.moe(
        c,
        blocks.sigmoid_router(c),
        experts=("n_routed_experts",),
        shared_experts=count,
        shared_width=derived(
            width.value * count.value, "n_shared_experts * shared_experts_intermediate_size"
        ),
    )


_SLIDING = {
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "q_lora_rank": 1024,
    "kv_lora_rank": 1024,
    "head_dim": 256,
    "qk_nope_head_dim": 192,
    "v_head_dim": 128,
}
"""The class defaults of sliding layers."""

FAMILY = Family(
    name="dots3_note",
    title="dots3",
    ref=modeling("dots3_note"),
    read=read,
    naming=tensors.Naming(),
    conversions={"dots3_note_text": tensors.EXPERT_CONVERSION},
    defaults={
        "dots3_note_text": {
            "attention_bias": False,
            "first_k_dense_replace": 1,
            "hidden_act": "silu",
            "hidden_size": 5120,
            "index_head_dim": 128,
            "index_n_heads": 64,
            "index_topk": 2048,
            "intermediate_size": 13824,
            "kv_lora_rank": 512,
            "max_position_embeddings": 524288,
            "moe_intermediate_size": 1536,
            "n_group": 1,
            "n_routed_experts": 256,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_attention_heads": 128,
            "num_experts_per_tok": 8,
            "num_hidden_layers": 46,
            "q_lora_rank": 1024,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "rms_norm_eps": 1e-5,
            "rope_theta": 80000000.0,
            "routed_scaling_factor": 1.0,
            "shared_experts_intermediate_size": 1536,
            "sliding_window": 512,
            "tie_word_embeddings": False,
            "topk_group": 1,
            "v_head_dim": 128,
            "vocab_size": 152064,
        },
    },
    config_class={"dots3_note_text": "Dots3NoteTextConfig"},
)
