"""EXAONE 4 and its MoE (K-EXAONE): QK-norm, and full layers without RoPE where others slide.

EXAONE 4 norms the output of each block, the MoE its input.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = _window_layers(c)
    mixers = blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value)
    if c.model_type == "exaone4":
        wiring = blocks.layer_wiring(layers, "dense", blocks.post_norm_step)
        return blocks.decoder(c, mixers=mixers, ffns={"dense": blocks.dense(c)}, **wiring)
    kinds = blocks.moe_after_dense_prefix(c)
    ffns = blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": _moe}, kinds.value)
    return blocks.decoder(c, mixers=mixers, ffns=ffns, **blocks.layer_wiring(layers, kinds))


def _window_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide: all but each `sliding_window_pattern`-th, or none without a window.

    The pattern may also be a word of L (sliding) and G (full), repeated over the layers.
    """
    pattern = c.value("sliding_window_pattern").value
    if c.optional(c.size, "sliding_window").value is None:
        listed = blocks.listed_layers(c, blocks.SLIDING)
        if listed.value is not None:
            return same_evidence(["full"] * len(listed.value), listed)
        return blocks.every_layer(c, "full")
    if isinstance(pattern, str):
        reason = f"the pattern {pattern} of sliding_window_pattern, L slides"
        return blocks.sliding_layers(c, lambda i: pattern[i % len(pattern)] == "L", reason)
    every = c.size("sliding_window_pattern").value
    reason = f"every {every}th layer is full, the others slide"
    return blocks.sliding_layers(c, lambda i: (i + 1) % every != 0, reason)


def _full(c: ConfigKeys) -> Draft:
    """Read attention without a window, which has RoPE only in models without windows."""
    norm = draft(s.QKNorm, scope="head")
    if c.optional(c.size, "sliding_window").value is None:
        return blocks.attention(c, qk_norm=norm)
    return blocks.attention(c, qk_norm=norm, rope=None)


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(c, qk_norm=norm, window=c.optional(c.size, "sliding_window"))


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose router is DeepSeek V3's."""
    return blocks.moe(c, blocks.sigmoid_router(c), **blocks.shared_experts(c, "num_shared_experts"))


_DEFAULTS = {
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "sliding_window_pattern": 4,
    "tie_word_embeddings": False,
}


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    if a.model_type == "exaone4":
        return tensors.Naming(norms=tensors.POST_NORMS)
    moe_names = tensors.moe_parts(selection_bias="e_score_correction_bias")
    return tensors.Naming(blocks={s.MoE: moe_names})


FAMILY = Family(
    name="exaone",
    title="EXAONE",
    ref=modeling("exaone4"),
    refs={"exaone_moe": modeling("exaone_moe")},
    read=read,
    naming=_naming,
    conversions={
        "exaone_moe": tensors.Conversion(
            renames=(tensors.Rename(r"mlp\.(e_score_correction_bias)", r"mlp.gate.\1"),),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "exaone4": _DEFAULTS,
        "exaone_moe": {
            **_DEFAULTS,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": 1024,
            "num_experts": 64,
            "num_experts_per_tok": 8,
            "num_shared_experts": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 2.5,
            "n_group": 1,
            "topk_group": 1,
        },
    },
    config_class={"exaone4": "Exaone4Config", "exaone_moe": "ExaoneMoeConfig"},
)
