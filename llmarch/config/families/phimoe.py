"""Phi-3.5 MoE: LayerNorm, GQA, and a MoE whose two experts are chosen one after the other."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("input_jitter_noise", "router_jitter_noise")
    window = c.optional(c.size, "sliding_window")
    name = "full" if window.value is None else "sliding"
    mixer = blocks.attention(c, window=window, **blocks.attention_biases(c))
    router = draft(s.Router, scoring="sparsemixer", normalized=False)
    two = c.expect("num_experts_per_tok", 2)  # the class chooses two, whatever the config says
    c.describe_only("router_jitter_noise", 0.01, "behaviour")  # the margin of the masks, always
    experts = ("num_local_experts",)
    moe = blocks.moe(c, router, experts=experts, width="intermediate_size").replace(active=two)
    return blocks.decoder(
        c,
        head=draft(s.Head, bias=c.flag("lm_head_bias")),
        norms={"layer": blocks.layer_norm(c, "rms_norm_eps")},
        final_norm="layer",
        mixers={name: mixer},
        ffns={"moe": moe},
        **blocks.layer_wiring(blocks.every_layer(c, name), "moe", blocks.layer_norm_step),
    )


FAMILY = Family(
    name="phimoe",
    title="Phi-3.5 MoE",
    ref=modeling("phimoe"),
    read=read,
    naming=tensors.Naming(
        linear_router=True,
        blocks={s.MoE: tensors.moe_parts("block_sparse_moe", gate="w1", up="w3", down="w2")},
    ),
    conversions={
        "phimoe": tensors.Conversion(
            renames=(
                tensors.BLOCK_SPARSE_RENAME,
                tensors.Rename(r"\.gate\.weight(?!\w)", ".router.weight"),
            ),
            merges=tensors.MERGED_W_EXPERTS,
        )
    },
    defaults={
        "phimoe": {
            "attention_bias": False,
            "hidden_act": "silu",
            "lm_head_bias": False,
            "max_position_embeddings": 131072,
            "num_experts_per_tok": 2,
            "num_key_value_heads": 8,
            "num_local_experts": 16,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
    },
    config_class={"phimoe": "PhimoeConfig"},
)
