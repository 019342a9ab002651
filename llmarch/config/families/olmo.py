"""OLMo 2 and 3: norms on each block's output but inside the residual, QK-norm over the whole projection; OLMo 3 adds sliding layers."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, draft, modeling


def read(c: ConfigKeys) -> Draft:
    layers, dim = c.layer_count(), blocks.head_dim(c)
    bias = c.flag("attention_bias")
    common = {
        "head_dim": dim,
        "qk_norm": draft(s.QKNorm, scope="projection"),
        "qkv_bias": bias,
        "output_bias": bias,
    }
    if c.model_type == "olmo2":
        of, how = ["full"] * layers.value, layers
        mixers = {"full": blocks.attention(c, **common)}
    else:
        of, how = blocks.sliding_layers(
            c,
            layers.value,
            lambda i: (i + 1) % 4 != 0,
            "every fourth layer is full, the others slide",
        )
        turn, window = blocks.rotary_dim(c, dim), c.optional(c.size, "sliding_window")
        mixers = {
            "full": blocks.attention(
                c, **common, rope=blocks.rope(c, turn, layer_type="full_attention")
            ),
            "sliding": blocks.attention(
                c,
                **common,
                window=window,
                rope=blocks.rope(c, turn, layer_type="sliding_attention", scaled=False),
            ),
        }
    used = {name: m for name, m in mixers.items() if name in of}
    return blocks.decoder(
        c,
        mixers=used,
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring([(m, "dense") for m in of], how, blocks.post_norm_step),
    )


FAMILY = Family(
    name="olmo",
    title="OLMo",
    ref=modeling("olmo2"),
    refs={"olmo3": modeling("olmo3")},
    read=read,
    naming=tensors.Naming(norms=tensors.POST_NORMS),
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
