"""Qwen3-VL: Qwen3's decoder behind a vision tower, dense (`qwen3_vl`) or MoE (`qwen3_vl_moe`).

Positions have three axes. Three of the tower's layers feed the decoder's first layers as well,
each through a merger of its own (deepstack). The tower is Qwen3.5's too, which has no deepstack.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from .qwen3 import plain_moe


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type in ("qwen3_vl", "qwen3_vl_moe"):
        return wrapper(c, FAMILY, f"{c.model_type}_text")
    layers = blocks.every_layer(c, "full")
    c.expect("sliding_window", None)
    if c.model_type == "qwen3_vl_text":
        ffns = {"dense": blocks.dense(c)}
        wiring = blocks.layer_wiring(layers, "dense")
    else:
        kinds = blocks.moe_on_every_step(c)
        ffns = blocks.read_used_blocks(c, {"moe": moe, "dense": blocks.dense}, kinds.value)
        wiring = blocks.layer_wiring(layers, kinds)
    # without the key the wrapper's class decides
    tied = c.flag("tie_word_embeddings", default=False)
    embedding = draft(s.Embedding, tied=tied)
    return blocks.decoder(
        c, mixers={"full": attention(c)}, ffns=ffns, embedding=embedding, **wiring
    )


def attention(c: ConfigKeys) -> Draft:
    """Read GQA with QK-norm and positions of three axes."""
    dim = blocks.head_dim(c)
    rope = several_axes(c, blocks.rope(c, blocks.rotary_dim(c, dim)), [24, 20, 20])
    norm = draft(s.QKNorm, scope="head")
    biases = blocks.attention_biases(c)
    return blocks.attention(c, head_dim=dim, qk_norm=norm, rope=rope, **biases)


def moe(c: ConfigKeys) -> Draft:
    """Read Qwen3's MoE; the chosen weights are always normalised."""
    return plain_moe(c, c.expect("norm_topk_prob", True))


def wrapper(c: ConfigKeys, family: Family, text_type: str) -> Draft:
    """Read the wrapper of a decoder of `family`, whose model_type is `text_type`."""
    part = family.part(c, "text_config", text_type)
    c.expect("language_model_only", False)

    def vision(c: ConfigKeys, text: Draft) -> Draft:
        return vision_tower(c, family, text)

    return blocks.wrapped(c, part, family.read_layers(part), vision=vision)


def several_axes(c: ConfigKeys, rope: Draft, sections: list[int]) -> Draft:
    """Add the axes of positions (time, height, width) to RoPE.

    Pairs follow one of the axes in turns, as many as `mrope_section` says, or the class's own
    `sections`.
    """
    keys = blocks.rope_keys(c)
    interleaved = keys.expect("mrope_interleaved", True)
    given = keys.items("mrope_section", default=sections, entry=int)
    return rope.replace(sections=given, sections_interleaved=interleaved)


def vision_tower(c: ConfigKeys, family: Family, text: Draft) -> Draft:
    """Read a ViT with a learned grid of positions and rotary ones, both of two axes.

    Merged patches pass an MLP of two layers. Raises ConfigError if its output is not as wide as the
    decoder.
    """
    model_type = f"{c.model_type}_vision"
    v = family.part(c, "vision_config", model_type)
    kind = vision.encoder_kind(v, model_type, c.model_type)
    width = v.size("out_hidden_size")
    if width.value != text["hidden_size"].value:
        raise ConfigError(
            f"{c.file}: {v.key('out_hidden_size')} is {width.value:,}, but the decoder is"
            f" {text['hidden_size'].value:,} wide"
        )
    hidden = v.size("hidden_size")
    merge = v.size("spatial_merge_size")
    frames = v.size("temporal_patch_size")
    inputs = hidden.value * merge.value**2
    merged = derived(inputs, "vision hidden_size * spatial_merge_size^2")
    patches = vision.patch_embedding(v, hidden, "in_channels", frames, bias=True)
    tower = vision.transformer(
        v,
        heads=("num_heads",),
        frames=frames,
        kind=same_evidence(model_type, kind),
        layers=v.layer_count("depth"),
        norm=draft(s.Norm, kind="layernorm", eps=1e-6, bias=True),
        patch_embedding=patches,
        positions=v.size("num_position_embeddings"),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=width, bias=True),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([hidden.value], hidden),
        projector_norm_bias=True,
        deepstack=deepstack(v),
    )
    return tower.replace(
        rope=draft(s.Rope, theta=vision.rope_theta(v), rotary_dim=tower["head_dim"])
    )


def deepstack(v: ConfigKeys) -> Sourced:
    """Read the layers that feed the decoder. Qwen3.5's class has no such key; its files have it."""
    key = "deepstack_visual_indexes"
    return v.items(key, entry=int) if v.is_known(key) else v.items(key, default=[])


def tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower, its merger and the mergers of deepstack."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    prefix = "model.visual."
    attention = tensors.fused_attention_parts("attn", "qkv", "proj")
    mlp = tensors.dense_parts("mlp", up="linear_fc1", down="linear_fc2")
    merger = f"{prefix}merger."
    yield from tensors.patch_rows(f"{prefix}patch_embed.proj", t, video=True)
    yield from tensors.position_rows(f"{prefix}pos_embed.weight", t)
    yield from tensors.tower_rows(t, f"{prefix}blocks.{{}}.", ("norm1", "norm2"), attention, mlp)
    yield from tensors.norm_rows(f"{merger}norm", MERGER_NORM, t.projector_norms[0], (), "vision")
    yield from tensors.projector_rows(t, f"{merger}linear_fc1", f"{merger}linear_fc2")
    if t.deepstack:
        yield from deepstack_rows(t, f"{prefix}deepstack_merger_list.{{}}.")


def deepstack_rows(t: s.Tower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the mergers of deepstack, which norm after merging."""
    part = "vision"
    axes = (tuple(range(len(t.deepstack))),)
    facts = ("towers.vision.deepstack",)
    width = t.projector[0].inputs
    yield from tensors.norm_rows(f"{prefix}norm", MERGER_NORM, width, axes, part)
    for name, m in zip(("linear_fc1", "linear_fc2"), t.projector, strict=True):
        shape = (m.outputs, m.inputs)
        yield tensors.TensorRow(f"{prefix}{name}.weight", shape, axes, part, facts)
        yield tensors.TensorRow(f"{prefix}{name}.bias", (m.outputs,), axes, part)


MERGER_NORM = s.Norm(kind="layernorm", bias=True)


VISION: dict[str, Any] = {
    "depth": 27,
    "hidden_size": 1152,
    "hidden_act": "gelu_pytorch_tanh",
    "intermediate_size": 4304,
    "num_heads": 16,
    "in_channels": 3,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "out_hidden_size": 3584,
    "num_position_embeddings": 2304,
}
TEXT: dict[str, Any] = {
    "hidden_act": "silu",
    "max_position_embeddings": 128000,
    "rms_norm_eps": 1e-6,
    "rope_theta": 500000.0,
    "attention_bias": False,
}

FAMILY = Family(
    name="qwen3_vl",
    title="Qwen3-VL",
    ref=modeling("qwen3_vl"),
    refs={
        t: modeling("qwen3_vl_moe")
        for t in ("qwen3_vl_moe", "qwen3_vl_moe_text", "qwen3_vl_moe_vision")
    },
    read=read,
    naming=tensors.Naming(
        embedding="model.language_model.embed_tokens.weight",
        layer="model.language_model.layers.{}.",
        final_norm="model.language_model.norm",
        blocks={s.MoE: tensors.fused_moe_parts(router="gate")},
        tower=tower_rows,
    ),
    defaults={
        "qwen3_vl": {"tie_word_embeddings": False},
        "qwen3_vl_moe": {"tie_word_embeddings": False},
        "qwen3_vl_text": TEXT | {"head_dim": 128, "num_key_value_heads": 32},
        "qwen3_vl_moe_text": TEXT | {"num_key_value_heads": 16, "decoder_sparse_step": 1},
        "qwen3_vl_vision": VISION | {"deepstack_visual_indexes": [8, 16, 24]},
        "qwen3_vl_moe_vision": VISION | {"deepstack_visual_indexes": [8, 16, 24]},
    },
    config_class={
        "qwen3_vl": "Qwen3VLConfig",
        "qwen3_vl_text": "Qwen3VLTextConfig",
        "qwen3_vl_vision": "Qwen3VLVisionConfig",
        "qwen3_vl_moe": "Qwen3VLMoeConfig",
        "qwen3_vl_moe_text": "Qwen3VLMoeTextConfig",
        "qwen3_vl_moe_vision": "Qwen3VLMoeVisionConfig",
    },
)
