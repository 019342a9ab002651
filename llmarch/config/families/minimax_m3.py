"""MiniMax-M3: three layers of full attention and MLP, then block-sparse attention and MoE.

The MoE has a shared expert; a vision tower may stand before the decoder. Norms multiply by (1 +
weight); MLPs and experts have gpt-oss's clamped SwiGLU. `minimax_m3_vl` wraps the text part;
`minimax_m3` is the text part by itself as SGLang names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..findings import another_value
from ..vocabulary import ConfigKeys, Family, modeling

_LAYER_TYPES = {"minimax_m3_sparse": "sparse", "full_attention": "full"}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "minimax_m3_vl":
        return _wrapper(c)
    layers = _attention_layers(c)
    ffns = _moe_layers(c)
    offset = _norm_offset(c)
    c.expect("attention_output_gate", False)
    # copies of the text config repeat num_mtp_modules and intermediate_size under these
    c.ignore("num_nextn_predict_layers", "moe_intermediate_size")
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": _full, "sparse": _block_sparse}, layers.value),
        ffns=blocks.read_used_blocks(c, {"dense": _dense, "moe": _moe}, ffns.value),
        norms={"rms": blocks.rms_norm(c).replace(offset=offset)},
        mtp=_announced_mtp(c),
        **blocks.layer_wiring(layers, ffns),
    )


def _wrapper(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    part = FAMILY.part(c, "text_config", "minimax_m3_vl_text")
    # how images are cut; training
    c.ignore("image_seq_length", "image_grid_pinpoints", "process_image_mode", "num_reward_heads")
    # read with the tower
    c.ignore("img_token_compression_config", "multimodal_projector_bias")
    c.ignore("projector_hidden_size", "projector_hidden_act")
    return blocks.wrapped(c, part, FAMILY.read_layers(part), tied_by="either", vision=_vision_tower)


def _norm_offset(c: ConfigKeys) -> Sourced | int:
    """Return what is added to the weights of norms."""
    return c.expect("use_gemma_norm", True, 1)


def _announced_mtp(c: ConfigKeys) -> Draft | Sourced | None:
    """Read MTP modules that the config announces, whose layout is not known."""
    modules = c.size("num_mtp_modules", default=0, least=0)
    if not modules.value:
        return None
    return blocks.mtp_of_unknown_layout(modules, "the published files hold no MTP tensors")


def _full(c: ConfigKeys) -> Draft:
    """Read GQA with QK-norm that rotates a part of each head."""
    c.expect("use_qk_norm", True)
    scope = c.expect("qk_norm_type", "per_head", "head")
    dim = blocks.read_head_dim(c)
    return blocks.attention(
        c,
        head_dim=dim,
        qk_norm=draft(s.QKNorm, scope=scope, offset=_norm_offset(c)),
        rope=blocks.rope(c, _rotary_dim(c, dim)),
    )


def _rotary_dim(c: ConfigKeys, dim: Sourced) -> Sourced:
    """Read how many dims of a head are rotated, from the share that transformers reads.

    It ignores rotary_dim, which the published files state too and other engines read; that the
    class writes its default of it out contradicts nothing.
    """
    key = "rotary_dim"
    published = c.size(key)
    rotary = blocks.rotary_dim(c, dim)
    if published.value == rotary.value:
        return published
    default = c.defaults.get(key)
    if published.value != default:
        another_value(c, key, rotary.value, rotary.evidence.ref)
    return rotary


def _block_sparse(c: ConfigKeys) -> Draft:
    """Read attention that reads some blocks of tokens, which an index chooses."""
    attention = _full(c)
    index = _block_index(c)
    return attention.replace(block_index=index)


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are sparse.

    They are given by layer_types, or by the published sparse_attention_config's
    sparse_attention_freq; all are full if neither is there.
    """
    nested = c.child("sparse_attention_config")
    key = "sparse_attention_freq"
    layers = c.layer_count().value
    flags = nested.items(key, default=None, length=layers, entry=int)
    listed = blocks.listed_layers(c, _LAYER_TYPES)
    if listed.value is not None:
        return listed
    if flags.value is None:
        reason = f"no {c.key('layer_types')}, no {nested.key(key)}: every layer is full"
        return derived(["full"] * layers, reason)

    names = {True: "sparse", False: "full"}
    mixers = [names[bool(flag)] for flag in flags.value]
    return same_evidence(mixers, flags)


def _moe_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are MoE: by mlp_layer_types, or the published moe_layer_freq; or all."""
    c.ignore("first_k_dense_replace")  # repeats moe_layer_freq in copies of the text config
    types = c.key("mlp_layer_types")
    flags = c.key("moe_layer_freq")
    reason = f"no {types}, no {flags}: every layer is MoE"
    return blocks.moe_layers(
        c,
        lambda i: True,
        derived(None, reason),
        flags="moe_layer_freq",
    )


def _block_index(c: ConfigKeys) -> Draft:
    """Read the index, from the published sparse_attention_config or from the class's own keys."""
    nested = c.child("sparse_attention_config")
    nested.expect("use_sparse_attention", True)
    nested.expect("sparse_score_type", "max")
    nested.expect("sparse_init_block", 0)
    nested.ignore("sparse_disable_index_value")  # the code has no values there

    def size(key: str, own: str, least: int = 1) -> Sourced:
        """Read the published key or, without it, the class's own."""
        c.ignore(own)
        if nested.has(key):
            return nested.size(key, least=least)
        return c.size(own, least=least)

    return draft(
        s.BlockIndex,
        heads=size("sparse_num_index_heads", "index_n_heads"),
        head_dim=size("sparse_index_dim", "index_head_dim"),
        block=size("sparse_block_size", "index_block_size"),
        top_blocks=size("sparse_topk_blocks", "index_topk_blocks"),
        local_blocks=size("sparse_local_block", "index_local_blocks", 0),
        norm_offset=_norm_offset(c),
    )


def _swiglu(c: ConfigKeys) -> dict[str, Any]:
    """Read gpt-oss's SwiGLU.

    The gate is clamped from above, up on both sides; the output is
    (up + 1) * gate * sigmoid(alpha * gate). hidden_act is swigluoai, or silu, to which the class
    changes it.
    """
    return {
        "activation": same_evidence("silu", blocks.activation_name(c)),
        "clamp": c.number("swiglu_limit"),
        "alpha": c.number("swiglu_alpha"),
        "up_offset": 1,
    }


def _dense(c: ConfigKeys) -> Draft:
    """Read the MLP."""
    activation = _swiglu(c)
    return blocks.dense(c, "dense_intermediate_size", **activation)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE."""
    c.expect("norm_topk_prob", True)
    router = draft(
        s.Router,
        scoring=c.expect("scoring_func", "sigmoid"),
        selection_bias=c.flag("use_routing_bias", default=hard_coded(True, c.ref)),
        normalized=True,
        scale=c.number("routed_scaling_factor"),
    )
    return blocks.moe(
        c,
        router,
        experts=("num_local_experts", "num_experts"),
        width="intermediate_size",
        shared_experts=c.expect("n_shared_experts", 1),
        shared_width=c.size("shared_intermediate_size"),
        shared_clamp=c.number("swiglu_limit"),
        **_swiglu(c),
    )


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read a ViT with rotary positions of three axes.

    Each patch passes an MLP of two layers, then merged patches another. Raises ConfigError if the
    projector's widths are not the decoder's.
    """
    keys = FAMILY.part(c, "vision_config", "minimax_m3_vl_vision")
    kind = vision.encoder_kind(keys, "minimax_m3_vl_vision", "clip_vision_model")
    nested = keys.child("img_token_compression_config")
    nested.expect("image_token_compression_method", "patch_merge")

    def size(key: str) -> Sourced:
        """Read the published nested key or, without it, the class's own."""
        keys.ignore(key)
        if nested.has(key):
            return nested.size(key)
        return keys.size(key)

    merge = size("spatial_merge_size")
    keys.ignore("vision_segment_max_frames", "vocab_size")
    keys.expect("position_embedding_type", "rope")
    keys.expect("rope_mode", "3d")
    width = text["hidden_size"]
    projected = keys.size("projection_dim", default=width).value
    if projected != width.value or c.size("projector_hidden_size").value != width.value:
        raise ConfigError(
            f"{c.file}: the projector's widths are not the decoder's {width.value:,}, which llmarch"
            " does not support"
        )
    c.expect("merged_hidden_size", width.value * merge.value**2)
    merged = derived(width.value * merge.value**2, "hidden_size * spatial_merge_size^2")
    c.expect("vision_feature_layer", -1)
    c.expect("vision_feature_select_strategy", "full")
    bias = c.expect("multimodal_projector_bias", True)
    tower = vision.transformer(
        keys,
        frames=size("temporal_patch_size"),
        kind=same_evidence("minimax_m3_vl_vision", kind),
        norm=blocks.layer_norm(keys, "layer_norm_eps"),
        outer_norms=1,
        image_size=keys.size("image_size"),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=inputs, outputs=width, bias=bias)
            for inputs in (keys.size("hidden_size"), width, merged, width)
        ],
        projector_activation=c.expect("projector_hidden_act", "gelu"),
    )
    theta = keys.number("rope_theta")
    if keys.has("rope_parameters"):
        theta = vision.rope_theta(keys)
    rotary = 6 * (tower["head_dim"].value // 6)
    dims = derived(rotary, "6 * (head_dim // 6): as many for each of three axes")
    return tower.replace(rope=draft(s.Rope, theta=theta, rotary_dim=dims))


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its two projectors."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    prefix = "vision_tower.vision_model."
    patches = f"{prefix}embeddings.patch_embedding"
    norm = f"{prefix}pre_layrnorm"
    yield from tensors.patch_rows(patches, tower, video=True)
    yield from tensors.norm_rows(norm, tower.norm, tower.hidden_size, (), "vision")
    yield from tensors.encoder_layer_rows(
        tower,
        layer=f"{prefix}encoder.layers.{{}}.",
        norms=("layer_norm1", "layer_norm2"),
        attention=tensors.split_attention_parts(o="out_proj"),
        ffn=tensors.FC_MLP,
    )
    yield from tensors.projector_rows(
        tower,
        "multi_modal_projector.linear_1",
        "multi_modal_projector.linear_2",
        "patch_merge_mlp.linear_1",
        "patch_merge_mlp.linear_2",
    )


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, with a prefix inside a wrapper."""
    moe = "block_sparse_moe"
    experts = tensors.moe_parts(
        moe,
        selection_bias="e_score_correction_bias",
        gate="w1",
        up="w3",
        down="w2",
        shared=tensors.dense_parts(f"{moe}.shared_experts"),
    )
    prefix = ""
    if a.model_type == "minimax_m3_vl":
        prefix = "language_model."
    return tensors.Naming(
        prefix=prefix,
        blocks={s.MoE: experts},
        tower=_tower_rows,
    )


_MINIMAX_M3_CONVERSION = tensors.Conversion(
    renames=(
        tensors.Rename(r"^language_model\.lm_head(?!\w)", "lm_head"),
        tensors.Rename(r"^language_model\.model\.", "model.language_model."),
        tensors.Rename(
            r"^vision_tower\.vision_model\.embeddings\.patch_embedding\.",
            "model.vision_tower.embeddings.proj.",
        ),
        tensors.Rename(
            r"^vision_tower\.vision_model\.encoder\.layers\.", "model.vision_tower.layers."
        ),
        tensors.Rename(
            r"^vision_tower\.vision_model\.pre_layrnorm\.", "model.vision_tower.pre_layrnorm."
        ),
        tensors.Rename(r"^multi_modal_projector\.", "model.multi_modal_projector."),
        tensors.Rename(r"^patch_merge_mlp\.linear_", "model.multi_modal_projector.merge_linear_"),
        tensors.Rename(r"\.block_sparse_moe\.(experts|gate|shared_experts)\.", r".mlp.\1."),
        tensors.Rename(
            r"\.block_sparse_moe\.e_score_correction_bias(?!\w)",
            ".mlp.gate.e_score_correction_bias",
        ),
        tensors.Rename(r"\.self_attn\.index_([qk]_proj|[qk]_norm)\.", r".self_attn.indexer.\1."),
    ),
    merges=(
        *tensors.MERGED_W_EXPERTS,
        tensors.Merge(
            (r"\.gate_proj\.weight(?!\w)", r"\.up_proj\.weight(?!\w)"), (".gate_up_proj.weight",)
        ),
    ),
)
"""`minimax_m3_vl`, and its text part by itself, whose names lack the prefix."""


_TEXT_DEFAULTS = {
    "rms_norm_eps": 1e-6,
    "rope_theta": 5000000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "head_dim": 128,
    "num_key_value_heads": 4,
    "max_position_embeddings": 524288,
    "dense_intermediate_size": 12288,
    "shared_intermediate_size": 3072,
    "routed_scaling_factor": 2.0,
    "rotary_dim": 64,
    "swiglu_alpha": 1.702,
    "swiglu_limit": 7.0,
    "index_n_heads": 4,
    "index_head_dim": 128,
    "index_block_size": 128,
    "index_topk_blocks": 16,
    "index_local_blocks": 1,
}

FAMILY = Family(
    name="minimax_m3",
    title="MiniMax-M3",
    ref=modeling("minimax_m3_vl"),
    read=read,
    naming=_naming,
    conversions=dict.fromkeys(
        ("minimax_m3_vl", "minimax_m3_vl_text", "minimax_m3"), _MINIMAX_M3_CONVERSION
    ),
    defaults={
        "minimax_m3_vl": {"tie_word_embeddings": False, "projector_hidden_size": 6144},
        **dict.fromkeys(("minimax_m3", "minimax_m3_vl_text"), _TEXT_DEFAULTS),
        "minimax_m3_vl_vision": {
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_attention_heads": 16,
            "num_channels": 3,
            "image_size": 2016,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
            "rope_theta": 10000.0,
        },
    },
    other_classes={
        "minimax_m3_vl": ("MiniMaxM3Sparse",),
        "minimax_m3_vl_text": ("MiniMaxM3Sparse",),
        "minimax_m3": ("MiniMaxM3Sparse",),
    },
    config_class={
        "minimax_m3_vl": "MiniMaxM3VLConfig",
        "minimax_m3": "MiniMaxM3VLTextConfig",
        "minimax_m3_vl_text": "MiniMaxM3VLTextConfig",
        "minimax_m3_vl_vision": "MiniMaxM3VLVisionConfig",
    },
)
