"""JetMoE: mixtures of attention, whose experts are query and output matrices, and of MLPs."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    activation = blocks.activation_name(c, "activation_function")
    router = draft(s.Router, scoring="softmax_chosen", normalized=True)
    moe = blocks.moe(
        c,
        router,
        experts=("num_local_experts",),
        width="intermediate_size",
        activation=activation,
        output_bias=True,
    )
    return blocks.decoder(
        c,
        mixers={"full": _attention(c)},
        ffns={"moe": moe},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "moe"),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read attention whose heads are those of the chosen experts."""
    c.ignore("num_attention_heads")
    groups, active = c.size("num_key_value_heads"), c.size("num_experts_per_tok")
    dim = c.size("kv_channels", "head_dim")
    formula = "num_key_value_heads * num_experts_per_tok"
    return draft(
        s.Attention,
        heads=derived(groups.value * active.value, formula),
        kv_heads=groups,
        head_dim=dim,
        v_head_dim=dim,
        output_bias=True,
        query_experts=c.size("num_local_experts"),
        rope=blocks.rope(c, blocks.all_of_head(dim)),
    )


def _attention_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the matrix of keys and values, the experts, and their router."""
    module = tensors.Module("self_attention", "attention")
    experts = tensors.Module("self_attention.experts", "experts")
    router = tensors.Module("self_attention.experts", "router")
    width = a.kv_heads * a.head_dim
    count = a.query_experts or 0
    yield from module.linear("kv_proj", 2 * width, hidden, "kv_heads", "head_dim")
    yield experts.tensor("input_linear.weight", (count, width, hidden), "query_experts")
    yield experts.tensor("output_linear.weight", (count, hidden, width))
    yield from router.linear("router.layer", count, hidden)
    yield module.vector("experts.bias", hidden)


FAMILY = Family(
    name="jetmoe",
    title="JetMoE",
    ref=modeling("jetmoe"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.Attention: _attention_parts,
            s.MoE: tensors.fused_moe_parts(
                router="router.layer",
                gate_up="input_linear.weight",
                down="output_linear.weight",
                outputs_first=True,
            ),
        }
    ),
    defaults={
        "jetmoe": {
            "activation_function": "silu",
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "kv_channels": 128,
            "max_position_embeddings": 4096,
            "num_experts_per_tok": 2,
            "num_hidden_layers": 12,
            "num_key_value_heads": 16,
            "num_local_experts": 8,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "vocab_size": 32000,
        },
    },
    config_class={"jetmoe": "JetMoeConfig"},
)
