"""GPT-NeoX, Pythia and their kin: LayerNorm, attention and MLP in parallel, biases everywhere.

A quarter of each head is rotated. Queries, keys and values are one matrix, head by head. GPT-NeoX
Japanese has its blocks one after the other, and one bias, in its last layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    if c.model_type == "gpt_neox_japanese":
        return _japanese(c)
    layers = blocks.every_layer(c, "full")
    heads = c.size("num_attention_heads")
    biases = blocks.attention_biases(c)
    rope = _rope(c, blocks.read_head_dim(c))
    full = blocks.attention(c, kv_heads=heads, rope=rope, **biases)
    if c.flag("use_parallel_residual").value:
        wiring = blocks.parallel_wiring(layers, "dense", "layer", own_norms=True)
    else:
        wiring = blocks.layer_wiring(layers, "dense", blocks.layer_norm_step)
    return blocks.decoder(
        c,
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        final_norm="layer",
        mixers={"full": full},
        ffns={"dense": blocks.dense(c, gated=False, bias=True)},
        **wiring,
    )


def _japanese(c: ConfigKeys) -> Draft:
    """Read GPT-NeoX Japanese, whose last attention has a bias on its output."""
    dim = blocks.divided_head_dim(c, ("hidden_size",), ("num_attention_heads",))
    heads = c.size("num_attention_heads")
    full = blocks.attention(c, head_dim=dim, kv_heads=heads, rope=_rope(c, dim, share=1.0))
    depth = c.layer_count()
    names = ["full"] * (depth.value - 1) + ["full_last"]
    layers = same_evidence(names, depth)
    inner = c.size("hidden_size").value * c.size("intermediate_multiple_size").value
    width = derived(inner, "hidden_size * intermediate_multiple_size")
    activation = blocks.activation_name(c)
    mlp = draft(s.Dense, width=width, activation=activation, gated=False)
    mixers = {"full": full, "full_last": full.replace(output_bias=True)}
    return blocks.decoder(
        c,
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        final_norm="layer",
        mixers=blocks.used(mixers, layers),
        ffns={"dense": mlp},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


def _japanese_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of GPT-NeoX Japanese's attention."""
    module = tensors.Module("attention", "attention")
    inner = a.heads * a.head_dim
    yield from module.linear("query_key_value", 3 * inner, hidden, "heads", "head_dim")
    yield from module.linear("dense", hidden, inner)
    if a.output_bias:
        yield module.vector("dense_bias", hidden, "output_bias")


def _rope(c: ConfigKeys, dim: Sourced, share: float = 0.25) -> Draft:
    """Read RoPE, whose base and share published configs say as `rotary_emb_base`, `rotary_pct`.

    The nested keys have precedence over these. The class does not look for a flat `rope_theta`.

    dim: the dims of a head.
    share: how much of a head is rotated if the config does not say.
    """
    keys = blocks.rope_keys(c)
    if keys.has("partial_rotary_factor"):
        c.ignore("rotary_pct")
        rotary = blocks.rotary_dim(c, dim)
    else:
        rotary = blocks.share_of_head(dim, c.number("rotary_pct", default=share))
    theta = None
    if keys.has("rope_theta"):
        c.ignore("rotary_emb_base")
    else:
        theta = c.number("rotary_emb_base", default=10000.0)
        c.expect("rope_theta", theta.value)
    return blocks.rope(c, rotary, theta=theta)


_NEOX = tensors.Naming(
    embedding="gpt_neox.embed_in.weight",
    layer="gpt_neox.layers.{}.",
    final_norm="gpt_neox.final_layer_norm",
    score_heads=tensors.CLASSIFIER_HEADS,
    head="embed_out",
    blocks={
        s.Attention: tensors.fused_attention_parts("attention", "query_key_value", "dense"),
        s.Dense: tensors.dense_parts(up="dense_h_to_4h", down="dense_4h_to_h"),
    },
)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    if a.model_type == "gpt_neox":
        return _NEOX
    return replace(
        _NEOX,
        embedding="gpt_neox_japanese.embed_in.weight",
        layer="gpt_neox_japanese.layers.{}.",
        final_norm="gpt_neox_japanese.final_layer_norm",
        blocks={**_NEOX.blocks, s.Attention: _japanese_parts},
    )


FAMILY = Family(
    name="gpt_neox",
    title="GPT-NeoX",
    ref=modeling("gpt_neox"),
    read=read,
    refs={"gpt_neox_japanese": modeling("gpt_neox_japanese")},
    naming=_naming,
    conversions={
        "gpt_neox": tensors.Conversion(
            base="gpt_neox", renames=(tensors.Rename(r"^embed_out\.", "lm_head."),)
        ),
        "gpt_neox_japanese": tensors.Conversion(base="gpt_neox_japanese", outside=("embed_out",)),
    },
    defaults={
        "gpt_neox": {
            "attention_bias": True,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 2048,
            "rope_parameters": {"partial_rotary_factor": 0.25, "rope_theta": 10000.0},
            "tie_word_embeddings": False,
            "use_parallel_residual": True,
        },
        "gpt_neox_japanese": {
            "hidden_act": "gelu",
            "intermediate_multiple_size": 4,
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 2048,
            "rope_parameters": {"partial_rotary_factor": 1.0, "rope_theta": 10000.0},
            "tie_word_embeddings": True,
        },
    },
    config_class={
        "gpt_neox": "GPTNeoXConfig",
        "gpt_neox_japanese": "GPTNeoXJapaneseConfig",
    },
)
