"""SmolLM3: Llama's blocks, tied, and every fourth layer without RoPE (NoPE)."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, modeling


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    bias = c.flag("attention_bias")
    full = blocks.attention(c, qkv_bias=bias, output_bias=bias)
    nope = full.replace(rope=None)
    use, window = c.flag("use_sliding_window"), c.optional(c.size, "sliding_window")
    slides = use.value and window.value is not None
    c.ignore("max_window_layers")  # in the published file, read by nothing
    rotates, how = rope_layers(c, n)
    windowed, by_types = blocks.sliding_layers(
        c, n, lambda i: slides and not rotates[i], "sliding without RoPE, if use_sliding_window"
    )
    if not slides:  # the class asks use_sliding_window again where layer_types says sliding
        windowed = ["full"] * n
    mixers = {
        "full": full,
        "nope": nope,
        "sliding": full.replace(window=window),
        "sliding_nope": nope.replace(window=window),
    }
    names = {
        ("full", True): "full",
        ("full", False): "nope",
        ("sliding", True): "sliding",
        ("sliding", False): "sliding_nope",
    }
    of = [names[w, r] for w, r in zip(windowed, rotates, strict=True)]
    layers = blocks.layer_wiring([(m, "dense") for m in of], by_types if slides else how)
    return blocks.decoder(
        c,
        mixers={k: m for k, m in mixers.items() if k in of},
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **layers,
    )


def rope_layers(c: ConfigKeys, n: int, *, or_empty: bool = False) -> tuple[list[bool], Sourced]:
    """Which layers rotate: `no_rope_layers` is 1 where they do, whatever its name; without it, all but each `no_rope_layer_interval`-th.

    Llama 4 takes an empty list (`or_empty`) for none.
    """
    empty = or_empty and c.data.get("no_rope_layers") == []
    given = c.items("no_rope_layers", default=None, length=0 if empty else n, of=int)
    every = c.size("no_rope_layer_interval")
    if given.value:
        return [bool(r) for r in given.value], given
    how = derived(None, f"every {every.value}th layer has no RoPE (no_rope_layer_interval)")
    return [(i + 1) % every.value != 0 for i in range(n)], how


FAMILY = Family(
    name="smollm3",
    title="SmolLM3",
    ref=modeling("smollm3"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "smollm3": {
            "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 2000000.0,
            "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "use_sliding_window": False, "sliding_window": None,
            "no_rope_layer_interval": 4,
        },
    },
    config_class={"smollm3": "SmolLM3Config"},
)  # fmt: skip
