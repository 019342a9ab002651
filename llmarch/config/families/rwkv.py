"""RWKV-4: time mix and channel mix, each with the token before, and no attention."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("rescale_every")
    hidden = c.size("hidden_size")
    channels = c.size("attention_hidden_size", default=hidden)
    time_mix = draft(
        s.LinearAttention,
        variant="rwkv4",
        value_heads=1,
        value_head_dim=channels,
        key_heads=1,
        key_head_dim=1,
        gate="sigmoid",
    )
    four = derived(4 * hidden.value, "4 * hidden_size")
    width = c.size("intermediate_size", default=four)
    mlp = draft(s.Dense, width=width, activation="relu2", gated=False, channel_mix=True)
    return blocks.decoder(
        c,
        context_length=c.size("context_length", "max_position_embeddings"),
        embedding=blocks.embedding(c, norm="layer"),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers={"linear": time_mix},
        ffns={"dense": mlp},
        **blocks.layer_wiring(blocks.every_layer(c, "linear"), "dense", blocks.layer_norm_step),
    )


def _time_mix_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the time mix."""
    module = tensors.Module("attention", "attention")
    channels = a.value_heads * a.value_head_dim
    for name in ("time_decay", "time_first"):
        yield module.vector(name, channels, "value_head_dim")
    for name in ("key", "value", "receptance"):
        yield module.tensor(f"time_mix_{name}", (1, 1, hidden))
        yield from module.linear(name, channels, hidden, "value_head_dim")
    yield from module.linear("output", hidden, channels)


def _channel_mix_parts(mlp: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the channel mix."""
    module = tensors.Module("feed_forward", "mlp")
    for name in ("key", "receptance"):
        yield module.tensor(f"time_mix_{name}", (1, 1, hidden), "channel_mix")
    yield from module.linear("key", mlp.width, hidden, "width")
    yield from module.linear("receptance", hidden, hidden, "channel_mix")
    yield from module.linear("value", hidden, mlp.width)


FAMILY = Family(
    name="rwkv",
    title="RWKV-4",
    ref=modeling("rwkv"),
    read=read,
    naming=tensors.Naming(
        embedding="rwkv.embeddings.weight",
        embedding_norm="rwkv.blocks.0.pre_ln",
        layer="rwkv.blocks.{}.",
        final_norm="rwkv.ln_out",
        head="head",
        norms=("ln1", "ln2"),
        blocks={s.LinearAttention: _time_mix_parts, s.Dense: _channel_mix_parts},
    ),
    conversions={"rwkv": tensors.Conversion(base="rwkv", outside=("head",))},
    defaults={
        "rwkv": {
            "context_length": 1024,
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": False,
        },
    },
    config_class={"rwkv": "RwkvConfig"},
)
