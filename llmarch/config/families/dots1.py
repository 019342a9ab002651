"""dots.llm1: MHA with QK-norm, a dense prefix, then DeepSeek V3's MoE."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = _window_layers(c)
    mixers = blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value)
    kinds = blocks.moe_after_dense_prefix(c)
    ffns = blocks.deepseek_ffns(c, kinds, blocks.sigmoid_router)
    return blocks.decoder(c, mixers=mixers, ffns=ffns, **blocks.layer_wiring(layers, kinds))


def _window_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide: those from `max_window_layers` on, if there is a window."""
    window = c.optional(c.size, "sliding_window").value
    first = c.size("max_window_layers", least=0).value
    reason = "layers from max_window_layers on slide"
    return blocks.sliding_layers(c, lambda i: window is not None and i >= first, reason)


def _full(c: ConfigKeys) -> Draft:
    """Read attention without a window."""
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(c, qk_norm=norm, **blocks.attention_biases(c))


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    return _full(c).replace(window=c.optional(c.size, "sliding_window"))


FAMILY = Family(
    name="dots1",
    title="dots.llm1",
    ref=modeling("dots1"),
    read=read,
    naming=tensors.Naming(),
    conversions={"dots1": tensors.EXPERT_CONVERSION},
    defaults={
        "dots1": {
            "attention_bias": False,
            "first_k_dense_replace": 0,
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "max_window_layers": 62,
            "n_group": 1,
            "norm_topk_prob": False,
            "num_key_value_heads": 32,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 1.0,
            "sliding_window": 4096,
            "tie_word_embeddings": False,
            "topk_group": 1,
        },
    },
    config_class={"dots1": "Dots1Config"},
)
