"""MiniMax-M3: three full-attention layers with dense MLPs, then block-sparse attention and MoE with a shared expert; a vision tower.

Norms multiply by (1 + weight); MLPs and experts have gpt-oss's clamped SwiGLU. `minimax_m3_vl` wraps the text part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import (
    ConfigKeys,
    Draft,
    Family,
    Sourced,
    derived,
    draft,
    hard_coded,
    modeling,
    same_evidence,
    unknown,
)
from .kimi_linear import both


def read(c: ConfigKeys) -> Draft:
    if c.model_type == "minimax_m3_vl":
        part = FAMILY.part(c, "text_config", "minimax_m3_vl_text")
        c.ignore(
            "num_reward_heads", "image_seq_length", "image_grid_pinpoints", "process_image_mode"
        )  # how images are cut; training
        c.ignore(
            "img_token_compression_config",
            "projector_hidden_size",
            "projector_hidden_act",
            "multimodal_projector_bias",
        )  # with the tower
        text = read(part)
        return blocks.wrapped(
            c, part, text, {"vision": tower(c, text)} if c.has("vision_config") else {}
        )
    n = c.layer_count().value
    sparse, how = attention_kinds(c, n)
    experts, moe_how = moe_layers(c, n)
    pairs = [
        ("sparse" if s else "full", "moe" if e else "dense")
        for s, e in zip(sparse, experts, strict=True)
    ]
    offset = c.expect("use_gemma_norm", True, 1)
    c.expect("attention_output_gate", False)
    modules = c.size("num_mtp_modules", default=0, least=0)
    c.ignore(
        "num_nextn_predict_layers", "moe_intermediate_size"
    )  # beside num_mtp_modules and intermediate_size, in copies of the text config
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": lambda c: full(c, offset), "sparse": lambda c: block_sparse(c, offset)}, (m for m, _ in pairs)),
        ffns=blocks.read_used_blocks(c, {"dense": dense, "moe": moe}, (f for _, f in pairs)),
        norms={"rms": blocks.rms_norm(c).replace(offset=offset)},
        mtp=draft(s.MTP, modules=modules, layer_kind=unknown("the published files hold no MTP tensors")) if modules.value else None,
        **blocks.layer_wiring(pairs, both(how, moe_how)),
    )  # fmt: skip


def full(c: ConfigKeys, offset: Sourced | int) -> Draft:
    c.expect("use_qk_norm", True)
    norm = draft(s.QKNorm, scope=c.expect("qk_norm_type", "per_head", "head"), offset=offset)
    c.ignore("partial_rotary_factor")  # rotary_dim is read
    return blocks.attention(
        c, head_dim=blocks.head_dim(c), qk_norm=norm, rope=blocks.rope(c, c.size("rotary_dim"))
    )


def block_sparse(c: ConfigKeys, offset: Sourced | int) -> Draft:
    return full(c, offset).replace(block_index=block_index(c, offset))


def attention_kinds(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    """By layer_types, or the published sparse_attention_config's sparse_attention_freq; all full where neither is there."""
    types = c.items("layer_types", default=None, length=n, of=str)
    inner = c.child("sparse_attention_config")
    flags = inner.items("sparse_attention_freq", default=None, length=n, of=int)
    if types.value is not None:
        return [t == "minimax_m3_sparse" for t in types.value], types
    if flags.value is None:
        return [False] * n, derived(
            None,
            f"no {c.key('layer_types')}, no {inner.key('sparse_attention_freq')}: every layer is full",
        )
    return [bool(f) for f in flags.value], flags


def moe_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    types = c.items("mlp_layer_types", default=None, length=n, of=str)
    flags = c.items("moe_layer_freq", default=None, length=n, of=int)
    c.ignore("first_k_dense_replace")  # repeats moe_layer_freq in copies of the text config
    if types.value is not None:
        return [t == "sparse" for t in types.value], types
    if flags.value is None:
        return [True] * n, derived(
            None, f"no {c.key('mlp_layer_types')}, no {c.key('moe_layer_freq')}: every layer is MoE"
        )
    return [bool(f) for f in flags.value], flags


def block_index(c: ConfigKeys, offset: Sourced | int) -> Draft:
    """Keys of the published sparse_attention_config, or the class's own."""
    inner = c.child("sparse_attention_config")

    def size(key: str, own: str, least: int = 1) -> Sourced:
        return inner.size(key, least=least) if inner.has(key) else c.size(own, least=least)

    inner.expect("use_sparse_attention", True)
    inner.expect("sparse_score_type", "max")
    inner.expect("sparse_init_block", 0)
    inner.ignore("sparse_disable_index_value")  # the code has no values there
    names = (
        "index_n_heads",
        "index_head_dim",
        "index_block_size",
        "index_topk_blocks",
        "index_local_blocks",
    )
    c.ignore(*names)
    return draft(
        s.BlockIndex,
        heads=size("sparse_num_index_heads", "index_n_heads"),
        head_dim=size("sparse_index_dim", "index_head_dim"),
        block=size("sparse_block_size", "index_block_size"),
        top_blocks=size("sparse_topk_blocks", "index_topk_blocks"),
        local_blocks=size("sparse_local_block", "index_local_blocks", 0),
        norm_offset=offset,
    )


def swiglu(c: ConfigKeys) -> dict[str, Any]:
    """gpt-oss's: the gate is cut above, up on both sides, and the output is (up + 1) * gate * sigmoid(alpha * gate). hidden_act says
    swigluoai, or silu, which the class makes of it."""
    return {
        "activation": same_evidence("silu", blocks.activation(c)),
        "clamp": c.number("swiglu_limit"),
        "alpha": c.number("swiglu_alpha"),
        "up_offset": 1,
    }


def dense(c: ConfigKeys) -> Draft:
    return draft(s.Dense, width=c.size("dense_intermediate_size"), **swiglu(c))


def moe(c: ConfigKeys) -> Draft:
    c.expect("norm_topk_prob", True)
    router = draft(
        s.Router,
        scoring=c.expect("scoring_func", "sigmoid"),
        selection_bias=c.flag("use_routing_bias", default=hard_coded(True, c.ref)),
        normalized=True,
        scale=c.number("routed_scaling_factor"),
    )
    return draft(
        s.MoE,
        experts=c.size("num_local_experts", "num_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("intermediate_size"),
        shared_experts=c.expect("n_shared_experts", 1),
        shared_width=c.size("shared_intermediate_size"),
        shared_clamp=c.number("swiglu_limit"),
        router=router,
        **swiglu(c),
    )


def tower(c: ConfigKeys, text: Draft) -> Draft:
    """A ViT with rotary positions of three axes; each patch passes an MLP of two, then merged patches another."""
    v = FAMILY.part(c, "vision_config", "minimax_m3_vl_vision")
    kind = v.word("model_type", default="minimax_m3_vl_vision")
    if kind.value not in ("clip_vision_model", "minimax_m3_vl_vision"):
        raise ConfigError(
            f"{c.file}: vision_config.model_type is {kind.value!r}; llmarch knows clip_vision_model in this place"
        )
    inner = v.child("img_token_compression_config")
    inner.expect("image_token_compression_method", "patch_merge")
    merge, frames = (
        inner.size(k) if inner.has(k) else v.size(k)
        for k in ("spatial_merge_size", "temporal_patch_size")
    )
    v.ignore("spatial_merge_size", "temporal_patch_size", "vision_segment_max_frames", "vocab_size")
    v.expect("position_embedding_type", "rope")
    v.expect("rope_mode", "3d")
    hidden, heads, patch, width = (
        v.size("hidden_size"),
        v.size("num_attention_heads"),
        v.size("patch_size"),
        text["hidden_size"],
    )
    if (
        v.size("projection_dim", default=width).value != width.value
        or c.size("projector_hidden_size").value != width.value
    ):
        raise ConfigError(
            f"{c.file}: the projector's widths are not the decoder's {width.value:,}; llmarch knows no such MiniMax-M3"
        )
    dim = derived(hidden.value // heads.value, "vision hidden_size / num_attention_heads")
    pixels = derived(
        v.size("num_channels").value * frames.value * patch.value**2,
        "num_channels * temporal_patch_size * patch_size^2",
    )
    merged = derived(width.value * merge.value**2, "hidden_size * spatial_merge_size^2")
    bias = c.expect("multimodal_projector_bias", True)
    inputs = (hidden, width, merged, width)
    turned = derived(6 * (dim.value // 6), "6 * (head_dim // 6): as many for each of three axes")
    return draft(
        s.Tower,
        v.ref,
        kind=kind,
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=heads,
        head_dim=dim,
        attention_bias=True,
        ffn=draft(
            s.Dense,
            width=v.size("intermediate_size"),
            activation=blocks.activation(v),
            gated=False,
            bias=True,
        ),
        norm=draft(s.Norm, kind="layernorm", eps=v.number("layer_norm_eps"), bias=True),
        outer_norms=1,
        image_size=v.size("image_size"),
        patch_size=patch,
        patch_frames=frames,
        patch_embedding=draft(s.Linear, inputs=pixels, outputs=hidden),
        rope=draft(s.Rope, theta=v.number("rope_theta"), rotary_dim=turned),
        merge=merge,
        projector=[draft(s.Linear, inputs=i, outputs=width, bias=bias) for i in inputs],
        projector_activation=c.expect("projector_hidden_act", "gelu"),
    )


def tower_names(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t, at = a.towers["vision"], "vision_tower.vision_model."
    assert isinstance(t, s.Tower)
    channels = t.patch_embedding.inputs // (t.patch_size**2 * t.patch_frames)
    patch = (t.hidden_size, channels, t.patch_frames, t.patch_size, t.patch_size)
    yield from tensors.matrix_rows(
        f"{at}embeddings.patch_embedding", t.patch_embedding, patch, ("towers.vision.patch_size",)
    )
    yield from tensors.norm_rows(f"{at}pre_layrnorm", t.norm, t.hidden_size, (), "vision")
    layer_parts = (
        tensors.attention_parts(o="out_proj"),
        tensors.dense_parts("mlp", up="fc1", down="fc2"),
    )
    yield from tensors.tower_rows(
        t, f"{at}encoder.layers.{{}}.", ("layer_norm1", "layer_norm2"), *layer_parts
    )
    names = [
        f"{group}.linear_{i}"
        for group in ("multi_modal_projector", "patch_merge_mlp")
        for i in (1, 2)
    ]
    for name, matrix in zip(names, t.projector, strict=True):
        yield from tensors.matrix_rows(name, matrix)


def naming(a: s.Architecture) -> tensors.Naming:
    at = "block_sparse_moe"
    shared = tensors.dense_parts(f"{at}.shared_experts")
    experts = tensors.moe_parts(
        at, selection_bias="e_score_correction_bias", gate="w1", up="w3", down="w2", shared=shared
    )
    return tensors.Naming(
        prefix="language_model." if a.model_type == "minimax_m3_vl" else "",
        blocks={s.MoE: experts},
        tower=tower_names,
    )


FAMILY = Family(
    name="minimax_m3",
    title="MiniMax-M3",
    ref=modeling("minimax_m3_vl"),
    read=read,
    naming=naming,
    defaults={
        "minimax_m3_vl": {"tie_word_embeddings": False, "projector_hidden_size": 6144},
        "minimax_m3_vl_text": {
            "rms_norm_eps": 1e-6, "rope_theta": 5000000.0, "hidden_act": "silu", "tie_word_embeddings": False, "head_dim": 128,
            "num_key_value_heads": 4, "max_position_embeddings": 524288, "dense_intermediate_size": 12288, "shared_intermediate_size": 3072,
            "routed_scaling_factor": 2.0, "rotary_dim": 64, "swiglu_alpha": 1.702, "swiglu_limit": 7.0, "index_n_heads": 4,
            "index_head_dim": 128, "index_block_size": 128, "index_topk_blocks": 16, "index_local_blocks": 1,
        },
        "minimax_m3_vl_vision": {
            "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16, "num_channels": 3,
            "image_size": 2016, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "hidden_act": "gelu",
            "layer_norm_eps": 1e-5, "rope_theta": 10000.0,
        },
    },
    config_class={
        "minimax_m3_vl": "MiniMaxM3VLConfig", "minimax_m3_vl_text": "MiniMaxM3VLTextConfig",
        "minimax_m3_vl_vision": "MiniMaxM3VLVisionConfig",
    },
)  # fmt: skip
