"""DeepSeek-OCR 2: DeepSeek V2's experts with plain attention, behind two encoders.

SAM's tower reads the image. An encoder of Qwen2's layers reads its features and learned queries,
which see all features and the queries before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, Sourced, derived, draft
from ..findings import another_value
from ..vocabulary import ConfigKeys, Family, modeling
from .deepseek import v2_router


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == _TEXT:
        return _decoder(c)
    part = FAMILY.part(c, "text_config", _TEXT)
    whole = blocks.wrapped(c, part, FAMILY.read_layers(part))
    return whole.replace(towers=_towers(c, whole["hidden_size"]))


def _decoder(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.expect("use_mla", False)
    layers = _moe_layers(c)
    return blocks.decoder(
        c,
        mixers={"full": _attention(c)},
        ffns=_ffns(c, layers),
        **blocks.layer_wiring("full", layers),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA, whose heads divide the stream whatever the config says."""
    dim = blocks.divided_head_dim(c, ("hidden_size",), ("num_attention_heads",))
    c.ignore("head_dim", *_LATENT_KEYS)
    another_value(c, "head_dim", dim.value, dim.evidence.ref)
    return blocks.attention(c, head_dim=dim, **blocks.attention_biases(c))


_LATENT_KEYS = (
    *("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"),
)
"""Keys of multi-head latent attention, which published configs set to 0 or null."""


def _moe_layers(c: ConfigKeys) -> Sourced:
    """Read which layers have experts: from a list, or DeepSeek's number of dense layers."""
    if not c.has("mlp_layer_types"):
        return blocks.moe_after_dense_prefix(c)
    c.ignore("first_k_dense_replace")
    return blocks.moe_layers(c, lambda i: i > 0, derived(None, "mlp_layer_types"))


def _ffns(c: ConfigKeys, layers: Sourced) -> dict[str, Draft]:
    """Read the blocks of the layers."""
    c.describe_only("mlp_bias", False, "weights")
    return blocks.deepseek_ffns(c, layers, v2_router)


def _towers(c: ConfigKeys, width: Sourced) -> dict[str, Draft]:
    """Read both encoders and the matrix from the second one to the decoder's width."""
    v = FAMILY.part_or_defaults(c, "vision_config", "deepseek_ocr2_vision")
    v.ignore("model_type")
    part = FAMILY.part_or_defaults(v, "sam_config", _SAM)
    key = "downsample_channels"
    channels = part.sizes(key, length=2)
    outputs = [derived(value, part.key(key)) for value in channels.value]
    sam = towers.sam(part, (_SAM,), projector=towers.reduced(part.size("output_channels"), outputs))
    keys = FAMILY.part_or_defaults(v, "encoder_config", _ENCODER)
    encoder = _encoder(keys, width, part.size("patch_size"))
    towers.check_input(v, outputs[-1], encoder["hidden_size"])
    return {"sam": sam, "vision": encoder}


def _encoder(v: ConfigKeys, width: Sourced, patch: Sourced) -> Draft:
    """Read the encoder of queries.

    patch: the side of SAM's patches, of which sixteen become one feature.
    """
    kind = vision.encoder_kind(v, _ENCODER)
    v.ignore("max_position_embeddings", "vocab_size", "tie_word_embeddings")
    v.expect("use_sliding_window", False)
    v.ignore("sliding_window", "max_window_layers", "layer_types")
    hidden = v.size("hidden_size")
    tower = vision.transformer(
        v,
        kind=kind,
        kv_heads=v.size("num_key_value_heads"),
        attention_bias=True,
        output_bias=False,
        ffn=blocks.dense(v),
        norm=blocks.rms_norm(v),
        outer_norms=1,
        patch_size=derived(4 * patch.value, "4 * SAM's patch_size"),
        patch_embedding=None,
        queries=[144, 256],
        view_separator=True,
        projector=[draft(s.Linear, inputs=hidden, outputs=width, bias=True)],
    )
    return tower.replace(rope=blocks.rope(v, tower["head_dim"]))


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield both encoders and the projector."""
    sam, encoder = a.towers["sam"], a.towers["vision"]
    assert isinstance(sam, s.Tower)
    assert isinstance(encoder, s.Tower)
    yield from tensors.of_tower(_sam_rows(sam, "model.sam_model."), "sam")
    yield from _encoder_rows(encoder, "model.qwen2_model.")
    yield from tensors.projector_rows(encoder, "model.projector.layers")
    width = encoder.projector[-1].outputs
    facts = ("towers.vision.view_separator",)
    yield tensors.TensorRow("model.view_seperator", (width,), (), "vision", facts)  # spelled so


def _sam_rows(sam: s.Tower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield SAM's tower and the convolutions that make its features fewer."""
    yield from tensors.sam_rows(sam, prefix, tensors.OWN_SAM_NAMES)
    yield from tensors.reducing_rows(sam, f"{prefix}net_2", f"{prefix}net_3")


def _encoder_rows(tower: s.Tower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the encoder of queries."""
    inner = f"{prefix}model.model."
    yield from tensors.encoder_layer_rows(
        tower,
        layer=f"{inner}layers.{{}}.",
        norms=tensors.PRE_NORMS,
        attention=tensors.split_attention_parts(),
        ffn=tensors.dense_parts(),
    )
    width = tower.hidden_size
    yield from tensors.norm_rows(f"{inner}norm", tower.norm, width, (), "vision")
    facts = ("towers.vision.queries",)
    for name, queries in zip(("query_768", "query_1024"), tower.queries, strict=True):
        pattern = f"{prefix}{name}.weight"
        yield tensors.TensorRow(pattern, (queries, width), (), "vision", facts)


_TEXT = "deepseek_ocr2_text"
_SAM = "deepseek_ocr2_sam_vision_model"
_ENCODER = "deepseek_ocr2_encoder"
_SAM_LAYER = "vision_tower.sam_encoder.layers.{}."
_RENAMES = (
    tensors.Rename(r"sam_model\.blocks\.\{\}\.norm1\.", f"{_SAM_LAYER}layer_norm1."),
    tensors.Rename(r"sam_model\.blocks\.\{\}\.norm2\.", f"{_SAM_LAYER}layer_norm2."),
    tensors.Rename(r"sam_model\.blocks\.\{\}\.attn\.", f"{_SAM_LAYER}attn."),
    tensors.Rename(r"sam_model\.blocks\.\{\}\.mlp\.", f"{_SAM_LAYER}mlp."),
    tensors.Rename(
        r"sam_model\.patch_embed\.proj\.", "vision_tower.sam_encoder.patch_embed.projection."
    ),
    tensors.Rename(r"sam_model\.pos_embed", "vision_tower.sam_encoder.pos_embed"),
    tensors.Rename(r"sam_model\.net_2\.", "vision_tower.sam_encoder.proj.conv1."),
    tensors.Rename(r"sam_model\.net_3\.", "vision_tower.sam_encoder.proj.conv2."),
    tensors.Rename(r"qwen2_model\.model\.model\.layers\.", "vision_tower.vision_encoder.layers."),
    tensors.Rename(r"qwen2_model\.model\.model\.norm\.", "vision_tower.vision_encoder.norm."),
    tensors.Rename(r"qwen2_model\.query_768\.", "vision_tower.query_768_resolution."),
    tensors.Rename(r"qwen2_model\.query_1024\.", "vision_tower.query_1024_resolution."),
    tensors.Rename(r"projector\.layers\.", "multi_modal_projector."),
    tensors.Rename(r"view_seperator", "view_separator"),
    tensors.Rename(r"(^|model\.)embed_tokens\.", r"\1language_model.embed_tokens."),
    tensors.Rename(r"(^|model\.)layers\.", r"\1language_model.layers."),
    tensors.Rename(r"(^|model\.)norm\.", r"\1language_model.norm."),
)
_VISION: dict[str, Any] = {
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 22016,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "use_sliding_window": False,
}
FAMILY = Family(
    name="deepseek_ocr2",
    title="DeepSeek-OCR 2",
    ref=modeling("deepseek_ocr2"),
    read=read,
    naming=tensors.Naming(tower=_tower_rows),
    conversions={
        "deepseek_ocr2": tensors.Conversion(renames=_RENAMES, merges=tensors.MERGED_EXPERTS)
    },
    defaults={
        "deepseek_ocr2": {"tie_word_embeddings": False},
        _TEXT: {
            "attention_bias": False,
            "hidden_act": "silu",
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "max_position_embeddings": 2048,
            "moe_intermediate_size": 1407,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "routed_scaling_factor": 1.0,
            "tie_word_embeddings": False,
            "topk_method": "greedy",
            "vocab_size": 102400,
        },
        _SAM: towers.SAM | {"downsample_channels": [512, 896]},
        _ENCODER: _VISION,
    },
    config_class={
        "deepseek_ocr2": "DeepseekOcr2Config",
        _TEXT: "DeepseekOcr2TextConfig",
        _SAM: "DeepseekOcr2SamVisionConfig",
        _ENCODER: "DeepseekOcr2VisionEncoderConfig",
    },
)
