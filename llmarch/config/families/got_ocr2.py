"""GOT-OCR 2.0: a Qwen2 decoder behind SAM's tower, whose features two convolutions make fewer."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_in_language_model, read_wrapper


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("image_seq_length")
    return read_wrapper(c, "qwen2", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and the projector: two 3 x 3 convolutions with stride 2, and a matrix."""
    v = FAMILY.part(c, "vision_config", "got_ocr2_vision")
    kind = vision.encoder_kind(v, "got_ocr2_vision")
    layers, patch = v.layer_count(), v.size("patch_size").value
    full = v.items("global_attn_indexes", entry=int)
    window = v.size("window_size")
    channels, width = v.size("output_channels"), text["hidden_size"]
    doubled = 2 * channels.value
    positions = vision.grid_positions(v)
    if not v.flag("use_abs_pos").value:
        positions = same_evidence(0, v.flag("use_abs_pos"))
    return vision.transformer(
        v,
        width=("mlp_dim",),
        kind=same_evidence("sam", kind),
        attention_bias=v.flag("qkv_bias"),
        output_bias=True,
        norm=blocks.layer_norm(v, "layer_norm_eps"),
        image_size=v.size("image_size"),
        patch_embedding=vision.patch_embedding(v, v.size("hidden_size"), bias=True),
        positions=positions,
        relative_positions=v.flag("use_rel_pos"),
        window=derived(window.value * patch, "window_size * patch_size"),
        full_layers=same_evidence([i for i in full.value if i < layers.value], full),
        neck=channels,
        projector=[
            draft(
                s.Linear,
                inputs=derived(9 * channels.value, "9 * output_channels"),
                outputs=derived(doubled, "2 * output_channels"),
            ),
            draft(s.Linear, inputs=derived(9 * doubled, "18 * output_channels"), outputs=width),
            draft(s.Linear, inputs=width, outputs=width, bias=True),
        ],
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower, its neck and the projector."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    prefix, part = "vision_tower.", "vision"
    yield from tensors.patch_rows(f"{prefix}patch_embed.projection", t)
    side = (t.image_size or 0) // t.patch_size
    if t.positions:
        yield from tensors.position_rows(f"{prefix}pos_embed", t, (1, side, side, t.hidden_size))
    yield from tensors.encoder_layer_rows(
        t,
        layer=f"{prefix}layers.{{}}.",
        norms=("layer_norm1", "layer_norm2"),
        attention=tensors.fused_attention_parts("attn", "qkv", "proj"),
        ffn=tensors.dense_parts("mlp", up="lin1", down="lin2"),
    )
    if t.relative_positions:
        yield from _relative_rows(t, f"{prefix}layers.{{}}.attn.")

    width = t.neck or 0
    norm = s.Norm(kind="layernorm", bias=True)
    shapes = ((width, t.hidden_size, 1, 1), (width, width, 3, 3))
    for number, shape in enumerate(shapes, start=1):
        facts = ("towers.vision.neck",)
        yield tensors.TensorRow(f"{prefix}neck.conv{number}.weight", shape, (), part, facts)
        yield from tensors.norm_rows(f"{prefix}neck.layer_norm{number}", norm, width, (), part)

    module = "multi_modal_projector."
    first, second, last = t.projector
    for number, matrix in enumerate((first, second), start=1):
        shape = (matrix.outputs, matrix.inputs // 9, 3, 3)
        yield from tensors.matrix_rows(f"{module}conv_upsampler{number}", matrix, shape)
    yield from tensors.matrix_rows(f"{module}multimodal_projector", last)


def _relative_rows(t: s.Tower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the vectors for distances of patches, of layers with and without a window."""
    image, window = (t.image_size or 0), (t.window or 0)
    inside = tuple(i for i in range(t.layers) if i not in t.full_layers)
    for layers, size in ((inside, window), (t.full_layers, image)):
        rows = 2 * (size // t.patch_size) - 1
        for name in ("rel_pos_h", "rel_pos_w"):
            facts = ("towers.vision.relative_positions",)
            if layers:
                yield tensors.TensorRow(
                    prefix + name, (rows, t.head_dim), (layers,), "vision", facts
                )


FAMILY = Family(
    name="got_ocr2",
    title="GOT-OCR 2.0",
    ref=modeling("got_ocr2"),
    read=read,
    naming=naming_in_language_model(_tower_rows),
    conversions={"got_ocr2": tensors.Conversion(renames=tensors.LLAVA_RENAMES)},
    defaults={
        "got_ocr2": {"tie_word_embeddings": True},
        "got_ocr2_vision": {
            "global_attn_indexes": [2, 5, 8, 11],
            "hidden_act": "gelu",
            "hidden_size": 768,
            "image_size": 1024,
            "layer_norm_eps": 1e-6,
            "mlp_dim": 3072,
            "num_attention_heads": 12,
            "num_channels": 3,
            "num_hidden_layers": 12,
            "output_channels": 256,
            "patch_size": 16,
            "qkv_bias": True,
            "use_abs_pos": True,
            "use_rel_pos": True,
            "window_size": 14,
        },
    },
    config_class={"got_ocr2": "GotOcr2Config", "got_ocr2_vision": "GotOcr2VisionConfig"},
)
