"""Kimi K2.5, 2.6 and 2.7: Kimi K2 (DeepSeek V3's code) behind a MoonViT vision tower."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import read_text_part

FIXED = {
    "merge_type": "sd2_tpool",
    "mm_projector_type": "patchmerger",
    "pos_emb_type": "divided_fixed",
    "video_attn_type": "spatial_temporal",
}
"""Keys of the makers' code that have one known value."""


def read(c: ConfigKeys) -> Draft:
    """Read a wrapper."""
    part, text = read_text_part(c, "deepseek_v3")
    # how pictures stand among tokens
    c.ignore("media_placeholder_token_id", "video_placeholder", "use_unified_vision_chunk")
    # read with the tower, if there is one
    c.ignore("projection_hidden_size", "projection_layer_norm_eps")
    return blocks.wrapped(c, part, text, vision=moonvit)


def moonvit(c: ConfigKeys, text: Draft) -> Draft:
    """Read a ViT with a learned grid of positions and rotary ones of two axes.

    Frames are averaged; merged patches pass an MLP of two layers. The published files have keys of
    the makers' code (vt_*), files saved by transformers those of its class.
    """
    v = FAMILY.part(c, "vision_config", "kimi_k25_vision")
    for key, value in FIXED.items():
        v.expect(key, value)
    v.ignore("model_type", "init_pos_emb_time", "pos_emb_time")  # positions in time are fixed sines
    v.ignore("projector_ln_eps")
    rows = v.size("init_pos_emb_height", "pos_emb_height")
    columns = v.size("init_pos_emb_width", "pos_emb_width")
    positions = f"{rows.evidence.ref} * {columns.evidence.ref}"
    hidden = v.size("vt_hidden_size", "hidden_size")
    heads = ("vt_num_attention_heads", "num_attention_heads")
    dim = derived(hidden.value // v.size(*heads).value, "vision hidden size / heads")
    width = text["hidden_size"]
    check_projector(v, hidden, width)
    merge = merged_patches(v)
    merged = derived(hidden.value * merge.value**2, "vision hidden size * merge^2")
    return vision.transformer(
        v,
        hidden=("vt_hidden_size", "hidden_size"),
        heads=heads,
        width=("vt_intermediate_size", "intermediate_size"),
        channels="",
        kind="moonvit",
        layers=v.layer_count("vt_num_hidden_layers", "num_hidden_layers"),
        head_dim=dim,
        norm=draft(s.Norm, kind="layernorm", eps=1e-5, bias=True),
        outer_norms=1,
        patch_embedding=vision.patch_embedding(v, hidden, "", bias=True),
        positions=derived(rows.value * columns.value, positions),
        rope=draft(s.Rope, theta=vision.rope_theta(v), rotary_dim=dim, interleaved=True),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=width, bias=True),
        ],
        projector_activation=v.expect("projector_hidden_act", "gelu"),
        projector_norms=same_evidence([hidden.value], hidden),
        projector_norm_bias=True,
    )


def merged_patches(v: ConfigKeys) -> Sourced:
    """Read the side of the square of patches that makes a token."""
    kernel = v.items("merge_kernel_size", entry=int)
    if len(kernel.value) != 2 or kernel.value[0] != kernel.value[1]:
        raise ConfigError(
            f"{v.file}: {v.key('merge_kernel_size')} is {kernel.value}; llmarch supports squares"
        )
    return same_evidence(kernel.value[0], kernel)


def check_projector(v: ConfigKeys, hidden: Sourced, width: Sourced) -> None:
    """Raise ConfigError if the projector's widths are not those of tower and decoder."""
    inputs = v.size("mm_hidden_size", default=hidden)
    outputs = v.size("text_hidden_size", default=width)
    if inputs.value != hidden.value or outputs.value != width.value:
        raise ConfigError(
            f"{v.file}: the projector's widths are not those of tower and decoder, which llmarch"
            " does not support"
        )


def moonvit_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    prefix = "vision_tower."
    width = t.hidden_size
    rows = max(n for n in range(1, isqrt(t.positions) + 1) if t.positions % n == 0)
    grid = (rows, t.positions // rows, width)  # the facts do not tell a grid that is no square
    layer_parts = (
        tensors.fused_attention_parts("", "wqkv", "wo"),
        tensors.dense_parts("mlp", up="fc0", down="fc1"),
    )
    norms = ("norm0", "norm1")
    yield from tensors.patch_rows(f"{prefix}patch_embed.proj", t)
    yield from tensors.position_rows(f"{prefix}patch_embed.pos_emb.weight", t, grid)
    yield from tensors.tower_rows(t, f"{prefix}encoder.blocks.{{}}.", norms, *layer_parts)
    yield from tensors.norm_rows(f"{prefix}encoder.final_layernorm", t.norm, width, (), "vision")
    norm_width = t.projector_norms[0]
    yield from tensors.norm_rows("mm_projector.pre_norm", t.norm, norm_width, (), "vision")
    yield from tensors.projector_rows(t, "mm_projector.proj.0", "mm_projector.proj.2")


FAMILY = Family(
    name="kimi_k25",
    title="Kimi K2.5",
    ref=modeling("kimi_k25"),
    read=read,
    naming=tensors.Naming(prefix="language_model.", mtp=tensors.mtp_as_layers, tower=moonvit_rows),
    defaults={
        "kimi_k25": {"tie_word_embeddings": True},
        "kimi_k25_vision": {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "patch_size": 14,
            "pos_emb_height": 64,
            "pos_emb_width": 64,
            "hidden_act": "gelu_pytorch_tanh",
            "merge_kernel_size": [2, 2],
        },
    },
    config_class={"kimi_k25": "Kimi_K25Config", "kimi_k25_vision": "Kimi_K25VisionConfig"},
)
