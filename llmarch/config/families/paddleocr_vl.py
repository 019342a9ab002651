"""PaddleOCR-VL: ERNIE 4.5's decoder with positions of three axes, behind a SigLIP tower.

Squares of normed patches are joined and pass an MLP of two layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "paddleocr_vl_text":
        return _decoder(c)
    part = FAMILY.part(c, "text_config", "paddleocr_vl_text")
    return blocks.wrapped(c, part, FAMILY.read_layers(part), tied_by="either", vision=_tower)


def _decoder(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("compression_ratio", "use_3d_rope", "rope_is_neox_style", "use_flash_attention")
    c.ignore("sliding_window", "max_sequence_length", "ignored_index", "weight_share_add_bias")
    bias = c.flag("use_bias")
    dim = blocks.read_head_dim(c)
    rope = blocks.rope(c, blocks.all_of_head(dim))
    sections = blocks.rope_keys(c).items("mrope_section", default=[16, 24, 24], entry=int)
    full = blocks.attention(
        c,
        head_dim=dim,
        qkv_bias=bias,
        output_bias=bias,
        rope=rope.replace(sections=sections),
    )
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"dense": blocks.dense(c, bias=bias)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


def _tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower, which has rotary positions beside the learned ones, and the projector."""
    kind = "paddleocr_vl_vision"
    v = FAMILY.part(c, "vision_config", kind)
    v.ignore("pad_token_id", "temporal_patch_size", "tokens_per_second")
    hidden, merge = v.size("hidden_size"), v.size("spatial_merge_size")
    joined = vision.joined_width(hidden, merge, "spatial_merge_size")
    found = towers.siglip(
        v,
        (kind, "paddleocr_vl"),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=joined, outputs=joined, bias=True),
            draft(s.Linear, inputs=joined, outputs=text["hidden_size"], bias=True),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([hidden.value], hidden),
        projector_norm_bias=True,
    )
    return vision.with_rope(v, found)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    found = a.towers["vision"]
    assert isinstance(found, s.Tower)
    yield from tensors.clip_rows(found, "visual.vision_model.")
    yield from tensors.projector_norm_rows(found, "mlp_AR.pre_norm")
    matrices = ("mlp_AR.linear_1", "mlp_AR.linear_2")
    yield from tensors.projector_rows(found, *matrices)


FAMILY = Family(
    name="paddleocr_vl",
    title="PaddleOCR-VL",
    ref=modeling("paddleocr_vl"),
    read=read,
    naming=tensors.Naming(tower=_tower_rows),
    conversions={
        "paddleocr_vl": tensors.Conversion(
            renames=(
                tensors.Rename(r"^mlp_AR", "model.projector"),
                tensors.Rename(r"^visual", "model.visual"),
                tensors.Rename(
                    r"^model(?!(\.visual|\.projector|\.language_model))", "model.language_model"
                ),
            )
        )
    },
    defaults={
        "paddleocr_vl": {"tie_word_embeddings": True},
        "paddleocr_vl_text": {
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "tie_word_embeddings": True,
            "use_bias": False,
        },
        "paddleocr_vl_vision": {
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 1152,
            "image_size": 384,
            "intermediate_size": 4304,
            "layer_norm_eps": 1e-6,
            "num_attention_heads": 16,
            "num_channels": 3,
            "num_hidden_layers": 27,
            "patch_size": 14,
            "spatial_merge_size": 2,
        },
    },
    config_class={
        "paddleocr_vl": "PaddleOCRVLConfig",
        "paddleocr_vl_text": "PaddleOCRTextConfig",
        "paddleocr_vl_vision": "PaddleOCRVisionConfig",
    },
)
