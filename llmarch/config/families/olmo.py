"""OLMo 2 and 3: norms on each block's output but inside the residual, QK-norm over the whole projection; OLMo 3 adds sliding layers."""

from __future__ import annotations

from ..vocabulary import (
    POST_NORMS,
    Config,
    Family,
    Naming,
    Node,
    QKNorm,
    attention,
    decoder,
    dense,
    head_dim,
    make,
    modeling,
    post_inside,
    rope,
    rotary_dim,
    sliding_layers,
    wire,
)


def read(c: Config) -> Node:
    layers, dim = c.layer_count(), head_dim(c)
    bias = c.flag("attention_bias")
    common = {"head_dim": dim, "qk_norm": make(QKNorm, scope="projection"), "qkv_bias": bias, "output_bias": bias}
    if c.model_type == "olmo2":
        of, how = ["full"] * layers.value, layers
        mixers = {"full": attention(c, **common)}
    else:
        of, how = sliding_layers(c, layers.value, lambda i: (i + 1) % 4 != 0, "every fourth layer is full, the others slide")
        turn, window = rotary_dim(c, dim), c.or_null(c.size, "sliding_window")
        mixers = {
            "full": attention(c, **common, rope=rope(c, turn, layer_type="full_attention")),
            "sliding": attention(c, **common, window=window, rope=rope(c, turn, layer_type="sliding_attention", scaled=False)),
        }
    used = {name: m for name, m in mixers.items() if name in of}
    return decoder(c, mixers=used, ffns={"dense": dense(c)}, **wire([(m, "dense") for m in of], how, post_inside))


FAMILY = Family(
    name="olmo",
    title="OLMo",
    ref=modeling("olmo2"),
    refs={"olmo3": modeling("olmo3")},
    read=read,
    naming=Naming(norms=POST_NORMS),
    defaults={
        "olmo2": {
            "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "attention_bias": False,
        },
        "olmo3": {
            "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
            "tie_word_embeddings": False, "attention_bias": False, "sliding_window": 4096,
        },
    },
    config_class={"olmo2": "Olmo2Config", "olmo3": "Olmo3Config"},
)  # fmt: skip
