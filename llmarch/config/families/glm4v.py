"""GLM-4.1V to 4.6V and GLM-OCR: GLM-4's decoders with positions of three axes, behind a ViT.

The tower's patches are joined by a convolution; a matrix, a norm and a gated MLP follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_DECODERS = {
    "glm4v": "glm4v_text",
    "glm46v": "glm4v_text",
    "glmga": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "glm_ocr": "glm_ocr_text",
}
"""The decoder of each wrapper, unless its config says another one."""

_TIED_BY_EITHER = ("glm4v", "glm4v_moe", "glm_ocr")
"""Types whose class takes the text part's tie flag where its own is off."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type not in _DECODERS:
        return _decoder(c)
    usual = _DECODERS[c.model_type]
    kind = c.child("text_config").word("model_type", default=usual).value
    part = FAMILY.part(c, "text_config", kind if kind in FAMILY.defaults else usual)
    tied_by = "either" if c.model_type in _TIED_BY_EITHER else "wrapper"
    return blocks.wrapped(c, part, FAMILY.read_layers(part), tied_by=tied_by, vision=_tower)


def _decoder(c: ConfigKeys) -> Draft:
    """Read a decoder, dense or with experts."""
    announced = blocks.announced_mtp(c)
    mtp = blocks.mtp_of_unknown_layout(announced, "its code leaves these modules out")
    tied = c.flag("tie_word_embeddings", default=False)
    parts: dict[str, Any] = {"mtp": mtp, "embedding": draft(s.Embedding, tied=tied)}
    if c.model_type == "glm4v_moe_text":
        layers = blocks.moe_after_dense_prefix(c)
        ffns = blocks.deepseek_ffns(c, layers, blocks.sigmoid_router)
        parts |= blocks.layer_wiring("full", layers)
    else:
        ffns = {"dense": blocks.dense(c)}
        every = blocks.every_layer(c, "full")
        parts |= blocks.layer_wiring(every, "dense", blocks.sandwich_step)
    return blocks.decoder(c, mixers={"full": _attention(c)}, ffns=ffns, **parts)


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA with rotary pairs by axis; the dense decoders pair neighbouring dims."""
    bias: Any = c.model_type == "glm4v_text"
    if c.model_type == "glm4v_moe_text":
        bias = c.flag("attention_bias")
    else:
        bias = c.expect("attention_bias", bias)
    heads = c.size("num_attention_heads").value
    formula = "hidden_size / num_attention_heads, rounded down"
    dim = c.size("head_dim", default=derived(c.size("hidden_size").value // heads, formula))
    interleaved = c.model_type != "glm4v_moe_text"
    rope = blocks.rope(c, blocks.rotary_dim(c, dim), interleaved=interleaved)
    sections = blocks.rope_keys(c).items("mrope_section", default=[8, 12, 12], entry=int)
    return blocks.attention(
        c, head_dim=dim, qkv_bias=bias, output_bias=False, rope=rope.replace(sections=sections)
    )


def _tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower and its merger."""
    ocr = c.model_type == "glm_ocr"
    usual = f"{c.model_type}_vision"
    if _DECODERS[c.model_type] == "glm4v_text":
        usual = "glm4v_vision"
    v = FAMILY.part(c, "vision_config", usual)
    kind = vision.encoder_kind(v, usual, "glm4v_moe_vision", "glm4v_vision", c.model_type)
    v.ignore("dropout", "hidden_dropout_prob", "num_position_embeddings")
    hidden, out = v.size("hidden_size"), v.size("out_hidden_size")
    merge, frames = v.size("spatial_merge_size"), v.size("temporal_patch_size")
    bias = v.flag("attention_bias")
    width = v.size("intermediate_size")
    facts: dict[str, Any] = {"output_bias": False, "outer_norms": 2}
    joined = blocks.dense(v)
    block = joined.replace(width=width if ocr else out)
    if ocr:
        wide = derived(out.value * v.size("in_channels").value, "out_hidden_size * in_channels")
        facts = {"qk_norm": True, "outer_norms": 1}
        block, joined = block.replace(bias=bias), joined.replace(width=wide)
    else:
        facts["positions"] = vision.grid_positions(v)
    inputs = vision.joined_width(hidden, merge, "spatial_merge_size")
    found = vision.transformer(
        v,
        heads=("num_heads",),
        frames=frames,
        kind=same_evidence(usual, kind),
        layers=v.layer_count("depth"),
        attention_bias=bias,
        ffn=block,
        norm=blocks.rms_norm(v),
        image_size=v.size("image_size"),
        patch_embedding=vision.patch_embedding(v, hidden, "in_channels", frames, bias=True),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=inputs, outputs=out, bias=True),
            draft(s.Linear, inputs=out, outputs=out),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([out.value], out),
        projector_norm_bias=True,
        projector_ffn=joined,
        **facts,
    )
    return vision.with_rope(v, found)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its merger."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    assert t.projector_ffn
    prefix = "model.visual."
    width = t.hidden_size
    yield from tensors.patch_rows(f"{prefix}patch_embed.proj", t, video=True)
    if t.positions:
        yield from tensors.position_rows(f"{prefix}embeddings.position_embedding.weight", t)
    for name in ("post_layernorm", "post_conv_layernorm")[: t.outer_norms]:
        yield from tensors.norm_rows(prefix + name, t.norm, width, (), "vision")
    yield from tensors.encoder_layer_rows(
        t,
        layer=f"{prefix}blocks.{{}}.",
        norms=("norm1", "norm2"),
        attention=tensors.fused_attention_parts("attn", "qkv", "proj"),
        ffn=tensors.dense_parts(),
    )
    joining, matrix = t.projector
    shape = (joining.outputs, width, t.merge, t.merge)
    yield from tensors.matrix_rows(f"{prefix}downsample", joining, shape)
    merger = f"{prefix}merger."
    yield from tensors.matrix_rows(f"{merger}proj", matrix)
    yield from tensors.projector_norm_rows(t, f"{merger}post_projection_norm")
    for tensor in tensors.dense_parts("")(t.projector_ffn, matrix.outputs):
        facts = tuple(f"towers.vision.projector_ffn.{name}" for name in tensor.proves)
        yield tensors.TensorRow(merger + tensor.name, tensor.shape, (), "vision", facts)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    names = tensors.Naming(tower=_tower_rows)
    is_sparse = any(isinstance(ffn, s.MoE) for ffn in a.ffns.values())
    if not (is_sparse or a.model_type.startswith("glm4v_moe")):  # of which all may be dense
        names = tensors.Naming(
            tower=_tower_rows,
            norms=(
                "input_layernorm",
                "post_self_attn_layernorm",
                "post_attention_layernorm",
                "post_mlp_layernorm",
            ),
            blocks={s.Dense: tensors.fused_dense_parts()},
        )
    if a.model_type in _DECODERS:
        return tensors.in_base(names, "model.language_model")
    return names


_TEXT: dict[str, Any] = {
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
_VISION: dict[str, Any] = {
    "attention_bias": False,
    "depth": 24,
    "hidden_act": "silu",
    "hidden_size": 1536,
    "image_size": 336,
    "in_channels": 3,
    "intermediate_size": 13696,
    "num_heads": 12,
    "out_hidden_size": 4096,
    "patch_size": 14,
    "rms_norm_eps": 1e-5,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
_UNTIED = {"tie_word_embeddings": False}
_CONVERSION = tensors.Conversion(merges=tensors.MERGED_TEXT_EXPERTS)
FAMILY = Family(
    name="glm4v",
    title="GLM-4V",
    ref=modeling("glm4v"),
    refs={
        **dict.fromkeys(("glm46v", "glmga"), modeling("glm46v")),
        **dict.fromkeys(("glm4v_moe", "glm4v_moe_text", "glm4v_moe_vision"), modeling("glm4v_moe")),
        **dict.fromkeys(("glm_ocr", "glm_ocr_text", "glm_ocr_vision"), modeling("glm_ocr")),
    },
    read=read,
    naming=_naming,
    conversions={"glm4v_moe": tensors.EXPERT_CONVERSION, "glm46v": _CONVERSION},
    defaults={
        **dict.fromkeys(_DECODERS, _UNTIED),
        "glm4v_text": _TEXT,
        "glm4v_moe_text": {
            "attention_bias": True,
            "first_k_dense_replace": 1,
            "hidden_act": "silu",
            "max_position_embeddings": 65536,
            "moe_intermediate_size": 1408,
            "n_group": 1,
            "n_routed_experts": 128,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_experts_per_tok": 8,
            "num_key_value_heads": 8,
            "partial_rotary_factor": 0.5,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 1.0,
            "topk_group": 1,
        },
        "glm_ocr_text": _TEXT | {"max_position_embeddings": 131072, "num_key_value_heads": 8},
        "glm4v_vision": _VISION,
        "glm4v_moe_vision": _VISION,
        "glm_ocr_vision": _VISION
        | {
            "attention_bias": True,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "out_hidden_size": 1536,
        },
    },
    config_class={
        "glm4v": "Glm4vConfig",
        "glm46v": "Glm46VConfig",
        "glmga": "GlmgaConfig",
        "glm4v_moe": "Glm4vMoeConfig",
        "glm_ocr": "GlmOcrConfig",
        "glm4v_text": "Glm4vTextConfig",
        "glm4v_moe_text": "Glm4vMoeTextConfig",
        "glm_ocr_text": "GlmOcrTextConfig",
        "glm4v_vision": "Glm4vVisionConfig",
        "glm4v_moe_vision": "Glm4vMoeVisionConfig",
        "glm_ocr_vision": "GlmOcrVisionConfig",
    },
    other_classes={"glmga": ("Glm46V",)},
)
