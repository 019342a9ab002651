"""Llama 4 Scout and Maverick: chunked layers with RoPE, every fourth full and without positions.

Top-1 MoE with a shared expert. `llama4` wraps the text model (`llama4_text`) with a vision tower.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..findings import another_value
from ..vocabulary import ConfigKeys, Family, modeling

_LAYER_TYPES = {"chunked_attention": "chunked", "full_attention": "full"}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "llama4" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "llama4_text")
        text = FAMILY.read_layers(part)
        return blocks.wrapped(c, part, text, tied_by="part", vision=_vision_tower)
    rotates = blocks.rope_layers(c, empty_is_absent=True)
    masks = _masked_layers(c, rotates)
    kinds = list(zip(masks.value, rotates.value, strict=True))
    names = _mixers_by_mask(kinds)
    layer_names = [names[kind] for kind in kinds]
    layers = same_evidence(layer_names, masks)
    ffns = _moe_layers(c)

    mixers: dict[str, Draft] = {}
    for kind in dict.fromkeys(kinds):
        name = names[kind]
        mixers[name] = _mixer(c, *kind)

    readers = {"moe": _moe, "dense": _mlp}
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=blocks.read_used_blocks(c, readers, ffns.value),
        **blocks.layer_wiring(layers, ffns),
    )


def _masked_layers(c: ConfigKeys, rotates: Sourced) -> Sourced:
    """Read which layers are chunked: by layer_types, or those that have RoPE."""
    listed = blocks.listed_layers(c, _LAYER_TYPES)
    if listed.value is not None:
        return listed

    masks = {True: "chunked", False: "full"}
    layers = [masks[bool(rotated)] for rotated in rotates.value]
    return same_evidence(layers, rotates)


def _mixers_by_mask(kinds: list[tuple[str, bool]]) -> dict[tuple[str, bool], str]:
    """Return the name of the mixer of each mask with and without RoPE.

    A full layer without RoPE is called `full`, unless other full layers have RoPE.
    """
    unrotated = "full"
    if ("full", True) in kinds:
        unrotated = "nope"
    return {
        ("chunked", True): "chunked",
        ("full", True): "full",
        ("full", False): unrotated,
        ("chunked", False): "chunked_nope",
    }


def _mixer(c: ConfigKeys, mask: str, rotates: bool) -> Draft:
    """Read attention with a mask.

    Layers with RoPE may norm q and k after it, without weights; layers without RoPE scale their
    queries by position.
    """
    dim = blocks.read_head_dim(c)
    rotary_dim = blocks.rotary_dim(c, dim)
    rope: Draft | None = blocks.rope(c, rotary_dim, interleaved=True)
    if not rotates:
        rope = None

    normed = c.flag("use_qk_norm")
    norm: Draft | Sourced = same_evidence(None, normed)
    if rotates and normed.value:
        norm = draft(
            s.QKNorm,
            scope="head",
            weight=False,
            after_rope=True,
        )

    tuned = c.value("attn_temperature_tuning")  # 4 in files of the first class, later true
    scaling: Draft | Sourced = draft(
        s.QueryScaling,
        beta=c.number("attn_scale"),
        original_context=c.size("floor_scale"),
        shift=1,
    )
    if rotates or not tuned.value:
        scaling = same_evidence(None, tuned)

    chunk: Sourced | None = c.optional(c.size, "attention_chunk_size")
    if mask != "chunked":
        chunk = None

    return blocks.attention(
        c,
        head_dim=dim,
        chunk=chunk,
        qk_norm=norm,
        query_scaling=scaling,
        rope=rope,
        **blocks.attention_biases(c),
    )


def _moe_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are MoE: a list, or each `interleave_moe_layer_step`-th."""
    step = c.size("interleave_moe_layer_step").value
    source = derived(None, f"interleave_moe_layer_step {step}")
    return blocks.moe_layers(
        c,
        lambda i: (i + 1) % step == 0,
        source,
        types="",
        indices="moe_layers",
    )


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP of layers without experts."""
    return blocks.dense(c, "intermediate_size_mlp")


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE.

    The chosen expert's input is weighted by the sigmoid of its logit; the shared expert is as wide
    as a routed one.
    """
    return blocks.moe(
        c,
        draft(s.Router, scoring="sigmoid", normalized=False, weights="input"),
        experts=("num_local_experts",),
        width="intermediate_size",
        shared_experts=1,
        shared_width=c.size("intermediate_size"),
    )


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read a ViT with a class token and 2-D RoPE.

    Pixel shuffle, an adapter of two layers, and one matrix to the decoder's width follow.
    """
    keys = FAMILY.part(c, "vision_config", "llama4_vision_model")
    keys.expect("multi_modal_projector_bias", False)
    keys.ignore("head_dim", "projector_dropout")
    keys.expect("vision_feature_layer", -1)  # the class takes the last layer's features, whole
    keys.expect("vision_feature_select_strategy", "default")
    kind = keys.word("model_type", default="llama4_vision_model")
    width = keys.size("intermediate_size")
    outputs = keys.size("projector_output_dim")
    patches = vision.grid_positions(keys).value
    tower = vision.transformer(
        keys,
        kind=same_evidence("llama4", kind),
        ffn=vision.plain_mlp(keys, width=width, activation=keys.expect("hidden_act", "gelu")),
        # the class builds its norms without the key
        norm=draft(s.Norm, kind="layernorm", eps=keys.expect("norm_eps", 1e-5), bias=True),
        outer_norms=2,
        image_size=keys.size("image_size"),
        positions=derived(patches + 1, "(image_size / patch_size)^2 + 1 for the class token"),
        class_token=True,
        merge=derived(
            round(1 / keys.positive("pixel_shuffle_ratio").value), "1 / pixel_shuffle_ratio"
        ),
        projector=[
            draft(s.Linear, inputs=width, outputs=keys.size("projector_input_dim")),
            draft(s.Linear, inputs=outputs, outputs=outputs),
            draft(s.Linear, inputs=keys.size("vision_output_dim"), outputs=text["hidden_size"]),
        ],
        projector_activation="gelu",
    )
    dim = tower["head_dim"]
    another_value(keys, "head_dim", dim.value, dim.evidence.ref)
    return tower.replace(rope=blocks.rope(keys, dim, interleaved=True))


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower, the adapter and the projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    width = tower.hidden_size
    prefix = "vision_model."
    yield from tensors.matrix_rows(f"{prefix}patch_embedding.linear", tower.patch_embedding)
    yield tensors.TensorRow(
        pattern=f"{prefix}class_embedding",
        shape=(width,),
        axes=(),
        component="vision",
        proves=("towers.vision.class_token",),
    )
    yield from tensors.position_rows(f"{prefix}positional_embedding_vlm", tower)

    for name in ("layernorm_pre", "layernorm_post"):
        yield from tensors.norm_rows(prefix + name, tower.norm, width, (), "vision")

    yield from tensors.encoder_layer_rows(
        tower,
        layer=f"{prefix}model.layers.{{}}.",
        norms=tensors.PRE_NORMS,
        attention=tensors.split_attention_parts(),
        ffn=tensors.FC_MLP,
    )
    yield from tensors.projector_rows(
        tower,
        f"{prefix}vision_adapter.mlp.fc1",
        f"{prefix}vision_adapter.mlp.fc2",
        "multi_modal_projector.linear_1",
    )


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, with a prefix inside a wrapper."""
    prefix = ""
    if a.towers or a.model_type == "llama4":
        prefix = "language_model."
    return tensors.Naming(
        linear_router=True,
        prefix=prefix,
        blocks={
            s.Attention: tensors.split_attention_parts(),
            s.Dense: tensors.dense_parts("feed_forward"),
            s.MoE: tensors.fused_moe_parts("feed_forward"),
        },
        tower=_tower_rows,
    )


FAMILY = Family(
    name="llama4",
    title="Llama 4",
    ref=modeling("llama4"),
    read=read,
    naming=_naming,
    conversions={
        "llama4": tensors.Conversion(
            outside=("language_model", "vision_model", "multi_modal_projector"),
            unstacked_by=frozenset({"bitsandbytes", "compressed-tensors", "fbgemm_fp8"}),
        ),
        "llama4_text": tensors.Conversion(
            base="language_model",
            headless_base="model",
            outside=("model", "lm_head"),
            unstacked_by=frozenset({"bitsandbytes", "compressed-tensors", "fbgemm_fp8"}),
        ),
    },
    defaults={
        "llama4_text": {
            "num_key_value_heads": 8,
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "num_experts_per_tok": 1,
            "intermediate_size": 8192,
            "intermediate_size_mlp": 16384,
            "interleave_moe_layer_step": 1,
            "use_qk_norm": True,
            "no_rope_layer_interval": 4,
            "attention_chunk_size": 8192,
            "attn_temperature_tuning": True,
            "floor_scale": 8192,
            "attn_scale": 0.1,
        },
        "llama4_vision_model": {
            "hidden_size": 768,
            "num_hidden_layers": 34,
            "num_attention_heads": 16,
            "num_channels": 3,
            "intermediate_size": 5632,
            "vision_output_dim": 7680,
            "image_size": 448,
            "patch_size": 14,
            "pixel_shuffle_ratio": 0.5,
            "projector_input_dim": 4096,
            "projector_output_dim": 4096,
            "rope_theta": 10000.0,
        },
    },
    config_class={
        "llama4": "Llama4Config",
        "llama4_text": "Llama4TextConfig",
        "llama4_vision_model": "Llama4VisionConfig",
    },
)
