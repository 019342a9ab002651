"""Doge: dynamic masks by the values of keys, learned factors of the stream, product-key experts."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("hidden_dropout")
    ffn = "moe" if c.flag("is_moe").value else "dense"
    readers = {"dense": _mlp, "moe": _moe}
    full = blocks.attention(
        c,
        qk_norm=draft(s.QKNorm, scope="head"),
        window=c.optional(c.size, "sliding_window"),
        dynamic_mask=c.size("keep_window_size"),
        **blocks.attention_biases(c),
    )
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns=blocks.read_used_blocks(c, readers, [ffn]),
        **blocks.layer_wiring(blocks.every_layer(c, "full"), ffn, _step),
    )


def _step(block: str) -> Draft:
    """Return a step of norm, block, and addition to the stream times a learned vector."""
    return blocks.pre_norm_step(block).replace(learned_skip=True)


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP."""
    return blocks.dense(c, bias=c.flag("mlp_bias"))


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE: the MLP as its shared expert, and experts of one channel each.

    A softmax weighs the chosen ones, so that dividing by their sum changes nothing.
    """
    c.ignore("norm_topk_prob")
    router = draft(s.Router, scoring="softmax_chosen", normalized=True, product_keys=True)
    return draft(
        s.MoE,
        experts=c.size("num_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=1,
        activation=blocks.activation_name(c),
        gated=False,
        shared_experts=1,
        shared_width=c.size("intermediate_size"),
        shared_gated=True,
        shared_bias=c.flag("mlp_bias"),
        router=router,
    )


_SHARED = tensors.dense_parts()


def _moe_parts(moe: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the two keys of the router, the two vectors of each expert, and the shared expert."""
    keys = 2 * int(moe.experts**0.5)
    router = tensors.Module("mlp", "router")
    experts = tensors.Module("mlp", "experts")
    yield from router.linear("router_gate", keys, hidden, "router.product_keys")
    for name in ("down_embed", "up_embed"):
        yield from experts.linear(name, moe.experts, hidden, "experts")
    shared = s.Dense(width=moe.shared_width, activation=moe.activation, bias=moe.shared_bias)
    for tensor in _SHARED(shared, hidden):
        facts = ("shared_width",) if tensor.proves else ()
        yield tensors.BlockTensor(tensor.name, tensor.shape, "shared_experts", facts)


FAMILY = Family(
    name="doge",
    title="Doge",
    ref=modeling("doge"),
    read=read,
    naming=tensors.Naming(
        skip_scales=("input_residual", "post_attention_residual"), blocks={s.MoE: _moe_parts}
    ),
    defaults={
        "doge": {
            "attention_bias": False,
            "hidden_act": "silu",
            "hidden_size": 1024,
            "intermediate_size": 2048,
            "is_moe": False,
            "keep_window_size": 2048,
            "max_position_embeddings": 2048,
            "mlp_bias": False,
            "num_attention_heads": 8,
            "num_experts": 16384,
            "num_experts_per_tok": 64,
            "num_hidden_layers": 32,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
            "vocab_size": 32768,
        },
    },
    config_class={"doge": "DogeConfig"},
)
