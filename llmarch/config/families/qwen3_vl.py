"""Qwen3-VL: Qwen3's decoder behind a vision tower, dense (`qwen3_vl`) or MoE (`qwen3_vl_moe`).

Positions have three axes. Three of the tower's layers feed the decoder's first layers as well,
each through a merger of its own (deepstack). The tower is Qwen3.5's too, which has no deepstack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, Sourced, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from .qwen3 import plain_moe


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type in ("qwen3_vl", "qwen3_vl_moe"):
        return wrapper(c, FAMILY, f"{c.model_type}_text")
    if c.model_type == "qwen3_vl_text":
        layers = blocks.every_layer(c, "full")
        wiring = blocks.layer_wiring(layers, "dense")
        return _decoder(c, {"dense": blocks.dense(c)}, wiring)
    return moe_decoder(c, _moe)


def moe_decoder(c: ConfigKeys, read_moe: Callable[[ConfigKeys], Draft]) -> Draft:
    """Read a decoder with experts.

    read_moe: what reads the feed-forward block with experts.
    """
    layers = blocks.every_layer(c, "full")
    kinds = blocks.moe_on_every_step(c)
    readers = {"moe": read_moe, "dense": blocks.dense}
    ffns = blocks.read_used_blocks(c, readers, kinds.value)
    return _decoder(c, ffns, blocks.layer_wiring(layers, kinds))


def _decoder(c: ConfigKeys, ffns: dict[str, Draft], wiring: blocks.Wiring) -> Draft:
    """Read a decoder of these feed-forward blocks and layers."""
    c.expect("sliding_window", None)
    # without the key the wrapper's class decides
    tied = c.flag("tie_word_embeddings", default=False)
    return blocks.decoder(
        c,
        mixers={"full": _attention(c)},
        ffns=ffns,
        embedding=draft(s.Embedding, tied=tied),
        **wiring,
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA with QK-norm and positions of three axes."""
    dim = blocks.read_head_dim(c)
    rotary_dim = blocks.rotary_dim(c, dim)
    rope = blocks.rope(c, rotary_dim)
    sections = [24, 20, 20]
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(
        c,
        head_dim=dim,
        qk_norm=norm,
        rope=several_axes(c, rope, sections),
        **blocks.attention_biases(c),
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read Qwen3's MoE; the chosen weights are always normalised."""
    normalized = c.expect("norm_topk_prob", True)
    return plain_moe(c, normalized)


def wrapper(c: ConfigKeys, family: Family, text_type: str) -> Draft:
    """Read the wrapper of a decoder of `family`, whose model_type is `text_type`."""
    part = family.part(c, "text_config", text_type)
    c.expect("language_model_only", False)

    def vision(c: ConfigKeys, text: Draft) -> Draft:
        """Read the tower with the classes of `family`."""
        return vision_tower(c, family, text, f"{c.model_type}_vision")

    return blocks.wrapped(c, part, family.read_layers(part), vision=vision)


def several_axes(c: ConfigKeys, rope: Draft, sections: list[int]) -> Draft:
    """Add the axes of positions (time, height, width) to RoPE.

    Pairs follow one of the axes in turns, as many as `mrope_section` says, or the class's own
    `sections`.
    """
    keys = blocks.rope_keys(c)
    interleaved = keys.expect("mrope_interleaved", True)
    given = keys.items("mrope_section", default=sections, entry=int)
    return rope.replace(
        sections=given,
        sections_interleaved=interleaved,
    )


def vision_tower(c: ConfigKeys, family: Family, text: Draft, model_type: str) -> Draft:
    """Read a ViT with a learned grid of positions and rotary ones, both of two axes.

    model_type: that of the tower.
    Merged patches pass an MLP of two layers. Raises ConfigError if its output is not as wide as the
    decoder.
    """
    keys = family.part(c, "vision_config", model_type)
    kind = vision.encoder_kind(keys, model_type, c.model_type)
    width = keys.size("out_hidden_size")
    towers.check_output(keys, width, text["hidden_size"])
    hidden = keys.size("hidden_size")
    merge = keys.size("spatial_merge_size")
    frames = keys.size("temporal_patch_size")
    merged = vision.joined_width(hidden, merge, "spatial_merge_size")
    patches = vision.patch_embedding(keys, hidden, "in_channels", frames, bias=True)
    tower = vision.transformer(
        keys,
        heads=("num_heads",),
        frames=frames,
        kind=same_evidence(model_type, kind),
        layers=keys.layer_count("depth"),
        norm=draft(s.Norm, kind="layernorm", eps=1e-6, bias=True),
        patch_embedding=patches,
        positions=keys.size("num_position_embeddings"),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=width, bias=True),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([hidden.value], hidden),
        projector_norm_bias=True,
        deepstack=_deepstack(keys),
    )
    return vision.with_rope(keys, tower)


def _deepstack(keys: ConfigKeys) -> Sourced:
    """Read the layers that feed the decoder. Qwen3.5's class has no such key; its files have it."""
    key = "deepstack_visual_indexes"
    if keys.is_known(key):
        return keys.items(key, entry=int)
    return keys.items(key, default=[])


def tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower, its merger and the mergers of deepstack."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    names = ("norm", "linear_fc1", "linear_fc2")
    return vit_rows(tower, "model.visual.", "deepstack_merger_list", names)


def vit_rows(
    tower: s.Tower, prefix: str, deepstack: str, merger: tuple[str, str, str]
) -> Iterator[tensors.TensorRow]:
    """Yield a tower and its mergers.

    deepstack: the module of the mergers of deepstack.
    merger: the names of a merger's norm and matrices.
    """
    yield from tensors.patch_rows(f"{prefix}patch_embed.proj", tower, video=True)
    yield from tensors.position_rows(f"{prefix}pos_embed.weight", tower)
    yield from tensors.encoder_layer_rows(
        tower,
        layer=f"{prefix}blocks.{{}}.",
        norms=("norm1", "norm2"),
        attention=tensors.fused_attention_parts("attn", "qkv", "proj"),
        ffn=tensors.dense_parts("mlp", up="linear_fc1", down="linear_fc2"),
    )

    norm, *matrices = merger
    norm_width = tower.projector_norms[0]
    yield from tensors.norm_rows(f"{prefix}merger.{norm}", _MERGER_NORM, norm_width, (), "vision")
    yield from tensors.projector_rows(tower, *(f"{prefix}merger.{name}" for name in matrices))

    if tower.deepstack:
        yield from _deepstack_rows(tower, f"{prefix}{deepstack}.{{}}.", merger)


def _deepstack_rows(
    tower: s.Tower, prefix: str, merger: tuple[str, str, str]
) -> Iterator[tensors.TensorRow]:
    """Yield the mergers of deepstack, which norm after merging."""
    count = len(tower.deepstack)
    axes = (tuple(range(count)),)
    norm, *names = merger
    norm_width = tower.projector[0].inputs
    yield from tensors.norm_rows(f"{prefix}{norm}", _MERGER_NORM, norm_width, axes, "vision")

    for name, matrix in zip(names, tower.projector, strict=True):
        yield tensors.TensorRow(
            pattern=f"{prefix}{name}.weight",
            shape=(matrix.outputs, matrix.inputs),
            axes=axes,
            component="vision",
            proves=("towers.vision.deepstack",),
        )
        yield tensors.TensorRow(
            pattern=f"{prefix}{name}.bias",
            shape=(matrix.outputs,),
            axes=axes,
            component="vision",
        )


_MERGER_NORM = s.Norm(kind="layernorm", bias=True)


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
_TEXT: dict[str, Any] = {
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
        model_type: modeling("qwen3_vl_moe")
        for model_type in ("qwen3_vl_moe", "qwen3_vl_moe_text", "qwen3_vl_moe_vision")
    },
    read=read,
    naming=tensors.Naming(
        linear_router=True,
        embedding="model.language_model.embed_tokens.weight",
        layer="model.language_model.layers.{}.",
        final_norm="model.language_model.norm",
        blocks={s.MoE: tensors.fused_moe_parts(router="gate")},
        tower=tower_rows,
    ),
    conversions={
        "qwen3_vl_moe": tensors.Conversion(either_orientation=True),
        "qwen3_vl_text": tensors.UNWRAPPED_CONVERSION,
        "qwen3_vl_moe_text": tensors.Conversion(
            renames=tensors.UNWRAPPED_CONVERSION.renames, either_orientation=True
        ),
    },
    defaults={
        "qwen3_vl": {"tie_word_embeddings": False},
        "qwen3_vl_moe": {"tie_word_embeddings": False},
        "qwen3_vl_text": _TEXT | {"head_dim": 128, "num_key_value_heads": 32},
        "qwen3_vl_moe_text": _TEXT
        | {"num_key_value_heads": 16, "decoder_sparse_step": 1, "tie_word_embeddings": True},
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
