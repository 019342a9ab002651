"""InternVL 3 and 3.5, Qianfan-OCR: a decoder of any family behind InternViT.

Squares of patches are joined, normed, and pass an MLP of two layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

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
_DECODERS = {"internvl": "qwen2", "qianfan_ocr": "qwen3"}
"""The decoder of a wrapper whose config does not say."""


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("image_seq_length", "vision_feature_select_strategy")
    c.expect("vision_feature_layer", -1)
    return read_wrapper(c, _DECODERS[c.model_type], _intern_vit)


def _intern_vit(c: ConfigKeys, text: Draft) -> Draft:
    """Read InternViT and the projector."""
    model_type = f"{c.model_type}_vision"
    v = FAMILY.part(c, "vision_config", model_type)
    kind = vision.encoder_kind(v, model_type)
    v.ignore("layer_scale_init_value", "projection_dropout", "drop_path_rate")
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


class _Names(NamedTuple):
    """The names of InternViT's tensors."""

    tower: str
    layer: str
    patches: str
    class_token: str
    positions: str
    norms: tuple[str, str]
    attention: tensors.BlockTensors
    scales: tuple[str, str]
    projector: tuple[str, str, str]
    """Its norm and its matrices."""


_INTERNVL = _Names(
    tower="vision_tower.",
    layer="encoder.layer.{}.",
    patches="patch_embeddings.projection",
    class_token="cls_token",
    positions="position_embeddings",
    norms=("layernorm_before", "layernorm_after"),
    attention=tensors.split_attention_parts("attention", o="projection_layer"),
    scales=("lambda_1", "lambda_2"),
    projector=(
        "multi_modal_projector.layer_norm",
        "multi_modal_projector.linear_1",
        "multi_modal_projector.linear_2",
    ),
)
_QIANFAN = _Names(
    tower="vision_model.",
    layer="encoder.layers.{}.",
    patches="patch_embedding",
    class_token="class_embedding",
    positions="position_embedding",
    norms=("norm1", "norm2"),
    attention=tensors.fused_attention_parts("attn", "qkv", "proj"),
    scales=("ls1", "ls2"),
    projector=("mlp1.0", "mlp1.1", "mlp1.3"),
)
_NAMES = {"internvl": _INTERNVL, "qianfan_ocr": _QIANFAN}


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    names = _NAMES[a.model_type]
    width = tower.hidden_size
    prefix = names.tower
    layer = prefix + names.layer
    embeddings = f"{prefix}embeddings."
    token = embeddings + names.class_token
    yield tensors.TensorRow(token, (1, 1, width), (), "vision", ("towers.vision.class_token",))
    yield from tensors.patch_rows(embeddings + names.patches, tower)
    if tower.positions:
        table = (1, tower.positions, width)
        yield from tensors.position_rows(embeddings + names.positions, tower, table)
    yield from tensors.encoder_layer_rows(
        tower, layer=layer, norms=names.norms, attention=names.attention, ffn=tensors.FC_MLP
    )
    layers = (tuple(range(tower.layers)),)
    for name in names.scales:
        facts = ("towers.vision.layer_scales",)
        yield tensors.TensorRow(layer + name, (width,), layers, "vision", facts)
    if tower.outer_norms:
        yield from tensors.norm_rows(f"{prefix}layernorm", tower.norm, width, (), "vision")
    norm, *matrices = names.projector
    yield from tensors.projector_norm_rows(tower, norm)
    yield from tensors.projector_rows(tower, *matrices)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    names = naming_in_language_model(_tower_rows)(a)
    if a.model_type == "qianfan_ocr":
        return replace(names, layer=names.layer.replace("layers.", "encoder.layers."))
    return names


_QIANFAN_RENAMES = (
    tensors.Rename(r"^vision_model\.", "model.vision_tower."),
    tensors.Rename(r"encoder\.layers\.", "layers."),
    tensors.Rename(r"\.ls1", ".lambda_1"),
    tensors.Rename(r"\.ls2", ".lambda_2"),
    tensors.Rename(r"layers\.\{\}\.attn\.proj\.", "layers.{}.attention.projection_layer."),
    tensors.Rename(r"\.norm1\.", ".layernorm_before."),
    tensors.Rename(r"\.norm2\.", ".layernorm_after."),
    tensors.Rename(r"\.embeddings\.class_embedding", ".embeddings.cls_token"),
    tensors.Rename(r"\.embeddings\.position_embedding", ".embeddings.position_embeddings"),
    tensors.Rename(r"\.embeddings\.patch_embedding\.", ".embeddings.patch_embeddings.projection."),
    tensors.Rename(r"^language_model\.model\.", "model.language_model."),
    tensors.Rename(r"^language_model\.lm_head\.", "lm_head."),
    tensors.Rename(r"^mlp1\.0\.", "model.multi_modal_projector.layer_norm."),
    tensors.Rename(r"^mlp1\.1\.", "model.multi_modal_projector.linear_1."),
    tensors.Rename(r"^mlp1\.3\.", "model.multi_modal_projector.linear_2."),
)
_QKV = tuple(f"attention.{name}_proj" for name in "qkv")
_QIANFAN_MERGES = tuple(
    tensors.Merge((rf"attn\.qkv\.{kind}",), tuple(f"{name}.{kind}" for name in _QKV))
    for kind in ("weight", "bias")
)
_WRAPPER = {"downsample_ratio": 0.5, "projector_hidden_act": "gelu", "tie_word_embeddings": True}
_VISION: dict[str, Any] = {
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
}
FAMILY = Family(
    name="internvl",
    title="InternVL",
    ref=modeling("internvl"),
    refs=dict.fromkeys(("qianfan_ocr", "qianfan_ocr_vision"), modeling("qianfan_ocr")),
    read=read,
    naming=_naming,
    conversions={
        "internvl": tensors.Conversion(renames=tensors.LLAVA_RENAMES),
        "qianfan_ocr": tensors.Conversion(renames=_QIANFAN_RENAMES, merges=_QIANFAN_MERGES),
    },
    defaults={
        "internvl": _WRAPPER,
        "qianfan_ocr": _WRAPPER | {"tie_word_embeddings": False},
        "internvl_vision": _VISION,
        "qianfan_ocr_vision": _VISION | {"attention_bias": True},
    },
    config_class={
        "internvl": "InternVLConfig",
        "internvl_vision": "InternVLVisionConfig",
        "qianfan_ocr": "QianfanOCRConfig",
        "qianfan_ocr_vision": "QianfanOCRVisionConfig",
    },
)
