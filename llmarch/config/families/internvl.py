"""InternVL 3 and 3.5: a decoder of any family behind InternViT.

Squares of patches are joined, normed, and pass an MLP of two layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError, FactError
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..findings import quoted
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_in_language_model, read_wrapper

_NORM_KINDS = {"layer_norm": "layernorm", "rms_norm": "rmsnorm"}


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("image_seq_length", "vision_feature_select_strategy")
    c.expect("vision_feature_layer", -1)
    return read_wrapper(c, "qwen2", _intern_vit)


def _intern_vit(c: ConfigKeys, text: Draft) -> Draft:
    """Read InternViT and the projector."""
    v = FAMILY.part(c, "vision_config", "internvl_vision")
    kind = vision.encoder_kind(v, "internvl_vision")
    v.ignore("layer_scale_init_value", "projection_dropout")
    v.describe_only("use_mask_token", False, "weights")
    hidden = v.size("hidden_size")
    width = text["hidden_size"]
    merge = derived(int(1 / c.positive("downsample_ratio").value), "1 / downsample_ratio")
    joined = derived(hidden.value * merge.value**2, "vision hidden_size / downsample_ratio^2")
    norm_kind = _norm_kind(v)
    norm = draft(s.Norm, kind=norm_kind, eps=v.number("layer_norm_eps"))
    pooled = v.flag("use_mean_pooling")
    image, patch = _side(v, "image_size"), _side(v, "patch_size")
    table = v.flag("use_absolute_position_embeddings")
    rows = (image.value // patch.value) ** 2 + 1 if table.value else 0
    pixels = v.size("num_channels").value * patch.value**2
    return draft(
        s.Tower,
        v.ref,
        kind=same_evidence("internvit", kind),
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=v.size("num_attention_heads"),
        head_dim=blocks.divided_head_dim(v, ("hidden_size",), ("num_attention_heads",)),
        attention_bias=v.flag("attention_bias"),
        output_bias=True,
        qk_norm_whole=v.flag("use_qk_norm"),
        ffn=vision.plain_mlp(v, width=v.size("intermediate_size")),
        norm=norm.replace(bias=norm_kind == "layernorm"),
        outer_norms=same_evidence(int(not pooled.value), pooled),
        layer_scales=True,
        image_size=image,
        patch_size=patch,
        patch_embedding=draft(
            s.Linear,
            inputs=derived(pixels, "num_channels * patch_size^2"),
            outputs=hidden,
            bias=True,
        ),
        positions=same_evidence(rows, table),
        class_token=True,
        merge=merge,
        projector=[
            draft(s.Linear, inputs=joined, outputs=width, bias=True),
            draft(s.Linear, inputs=width, outputs=width, bias=True),
        ],
        projector_activation=blocks.activation_name(c, "projector_hidden_act"),
        projector_norms=same_evidence([joined.value], joined),
        projector_norm_bias=True,
    )


def _norm_kind(v: ConfigKeys) -> str:
    """Read the kind of norms. Raises ConfigError for a word that the class does not know."""
    word = v.word("norm_type").value
    if word not in _NORM_KINDS:
        name = f"{v.file}: {v.key('norm_type')}"
        raise ConfigError(f"{name} is {quoted(word)}, not one of {', '.join(_NORM_KINDS)}")
    return _NORM_KINDS[word]


def _side(v: ConfigKeys, key: str) -> Sourced:
    """Read the side of a square, which may be given as height and width.

    Raises ValueError if these differ.
    """
    given: Any = v.value(key).value
    if not isinstance(given, (list, tuple)):
        return v.size(key)
    sides = v.items(key, entry=int, least=1)
    if len(set(sides.value)) != 1:
        raise FactError(f"{v.key(key)} is not a square")
    return same_evidence(sides.value[0], sides)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    width = tower.hidden_size
    prefix = "vision_tower."
    layer = f"{prefix}encoder.layer.{{}}."
    embeddings = f"{prefix}embeddings."
    token = f"{embeddings}cls_token"
    yield tensors.TensorRow(token, (1, 1, width), (), "vision", ("towers.vision.class_token",))
    yield from tensors.patch_rows(f"{embeddings}patch_embeddings.projection", tower)
    if tower.positions:
        table = (1, tower.positions, width)
        yield from tensors.position_rows(f"{embeddings}position_embeddings", tower, table)
    yield from tensors.encoder_layer_rows(
        tower,
        layer=layer,
        norms=("layernorm_before", "layernorm_after"),
        attention=tensors.split_attention_parts("attention", o="projection_layer"),
        ffn=tensors.FC_MLP,
    )
    layers = (tuple(range(tower.layers)),)
    for name in ("lambda_1", "lambda_2"):
        yield tensors.TensorRow(
            layer + name, (width,), layers, "vision", ("towers.vision.layer_scales",)
        )
    if tower.outer_norms:
        yield from tensors.norm_rows(f"{prefix}layernorm", tower.norm, width, (), "vision")
    module = "multi_modal_projector."
    yield from tensors.projector_norm_rows(tower, f"{module}layer_norm")
    yield from tensors.projector_rows(tower, f"{module}linear_1", f"{module}linear_2")


FAMILY = Family(
    name="internvl",
    title="InternVL",
    ref=modeling("internvl"),
    read=read,
    naming=naming_in_language_model(_tower_rows),
    conversions={"internvl": tensors.Conversion(renames=tensors.LLAVA_RENAMES)},
    defaults={
        "internvl": {
            "downsample_ratio": 0.5,
            "projector_hidden_act": "gelu",
            "tie_word_embeddings": True,
        },
        "internvl_vision": {
            "attention_bias": False,
            "hidden_act": "gelu",
            "hidden_size": 1024,
            "image_size": [448, 448],
            "intermediate_size": 4096,
            "layer_norm_eps": 1e-6,
            "norm_type": "layer_norm",
            "num_attention_heads": 16,
            "num_channels": 3,
            "num_hidden_layers": 24,
            "patch_size": [14, 14],
            "use_absolute_position_embeddings": True,
            "use_mean_pooling": True,
            "use_qk_norm": False,
        },
    },
    config_class={"internvl": "InternVLConfig", "internvl_vision": "InternVLVisionConfig"},
)
