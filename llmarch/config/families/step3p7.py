"""Step 3.5 Flash (`step3p5`) and 3.7 Flash (`step3p7`, the same decoder behind a vision tower): sliding layers with more query heads, every
fourth full; a gate for each head, norms that multiply by (1 + weight), three dense layers, then MoE with a shared expert.

The last two layers clamp what experts take in. Three MTP layers are stored after the last, each with a head of its own.
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
    if c.model_type == "step3p7":
        if not c.has("text_config"):
            raise ConfigError(
                f"{c.file}: text_config is missing",
                "The published files nest the decoder there, with the sliding layers' query heads.",
            )
        part = FAMILY.part(c, "text_config", "step3p5")
        text = read(part)
        c.ignore(
            "image_token_len",
            "patch_token_len",
            "understand_projector_stride",
            "projector_bias",
            "im_start_token",
            "im_end_token",
            "im_patch_token",
        )
        return blocks.wrapped(
            c, part, text, {"vision": tower(c, text)} if c.has("vision_config") else {}
        )
    n = c.layer_count().value
    of, how = blocks.sliding_layers(c, n, lambda i: False, "no layer_types: every layer is full")
    ffn_of, ffns, ffn_how = feed_forward(c, n)
    parts = blocks.layer_wiring(list(zip(of, ffn_of, strict=True)), both(how, ffn_how))
    for key, value in (
        ("use_moe", True),
        ("use_head_wise_attn_gate", True),
        ("zero_centered", True),
        ("use_qk_norm", True),
        ("att_impl_type", "GQA"),
    ):
        c.expect(key, value)
    c.ignore(
        "max_seq_len", "need_fp32_gate", "sink", "moe_every_n_layer", "moe_layer_offset"
    )  # repeats the context; precision; not read
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(
            c,
            {"full": lambda c: mixer(c, of, "full"), "sliding": lambda c: mixer(c, of, "sliding")},
            of,
        ),
        ffns=ffns,
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mtp=mtp_after(c, parts, ffn_of),
        **parts,
    )


def mixer(c: ConfigKeys, of: list[str], kind: str) -> Draft:
    """rope_theta and partial_rotary_factors may have an entry for each layer, of which those of one type agree."""
    first, dim, bias = of.index(kind), blocks.head_dim(c), c.flag("attention_bias")
    heads, groups = (
        c.size("num_attention_heads"),
        c.size("num_attention_groups", "num_key_value_heads"),
    )
    other = c.child("attention_other_setting")
    other.expect("attention_type", "sliding_attention")
    other.expect("num_attention_groups", groups.value)
    other.expect("head_dim", dim.value)
    own = (
        other.size("num_attention_heads")
        if other.has("num_attention_heads")
        else c.size("num_sliding_attention_heads", default=heads)
    )
    c.ignore("num_sliding_attention_heads")
    theta, share = (
        of_layer(c, "rope_theta", first, 10000.0),
        of_layer(c, "partial_rotary_factors", first, 1.0),
    )
    c.expect("yarn_only_types", ["full_attention"])
    return blocks.attention(
        c,
        heads=own if kind == "sliding" else heads,
        kv_heads=groups,
        head_dim=dim,
        qkv_bias=bias,
        output_bias=bias,
        qk_norm=draft(s.QKNorm, scope="head", offset=1),
        gate="head",
        window=c.size("sliding_window") if kind == "sliding" else None,
        rope=blocks.typed_rope(c, dim, f"{kind}_attention", theta, share, scaled=kind == "full"),
    )


def of_layer(c: ConfigKeys, key: str, layer: int, default: float) -> Sourced:
    """An entry of a list with one for each layer, or the number in its place."""
    value = c.value(key, default=default)
    entries: Any = value.value
    if not isinstance(entries, list):
        return c.number(key, default=default)
    numbers: list[Any] = entries  # pyright: ignore[reportUnknownVariableType]
    if layer >= len(numbers) or not isinstance(numbers[layer], (int, float)):
        raise ConfigError(f"{c.file}: {c.key(key)} has no number for layer {layer}")
    return same_evidence(float(numbers[layer]), value)


def feed_forward(c: ConfigKeys, n: int) -> tuple[list[str], dict[str, Draft], Sourced]:
    """Each layer's block, dense or MoE, and blocks of their own for layers that clamp otherwise."""
    sparse, how = sparse_layers(c, n)
    routed, shared = limits(c, "swiglu_limits", n), limits(c, "swiglu_limits_shared", n)
    names: dict[tuple[bool, float | None, float | None], str] = {}
    ffns: dict[str, Draft] = {}
    of: list[str] = []
    for i in range(n):
        key = (sparse[i], routed.value[i] if sparse[i] else None, shared.value[i])
        if key not in names:
            kind = "moe" if sparse[i] else "dense"
            others = sum(k[0] == sparse[i] for k in names)
            names[key] = (
                kind
                if not others
                else f"{kind}_clamped"
                if others == 1
                else f"{kind}_clamped_{others}"
            )
            ffns[names[key]] = (moe if sparse[i] else dense)(
                c, same_evidence(key[1], routed), same_evidence(key[2], shared)
            )
        of.append(names[key])
    if not any(sparse):
        c.ignore("moe_num_experts", "moe_top_k", "moe_intermediate_size", "share_expert_dim")
    return of, ffns, how


def sparse_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    types, enum = (
        c.items("mlp_layer_types", default=None, length=n, of=str),
        c.value("moe_layers_enum", default=None),
    )
    if types.value is not None:
        return [t == "sparse" for t in types.value], types
    if enum.value is None:
        return [i >= 3 for i in range(n)], derived(
            None, "no moe_layers_enum: layers from 3 on are MoE"
        )
    listed = enum.value.split(",") if isinstance(enum.value, str) else enum.value
    try:
        layers = {int(i) for i in listed if str(i).strip()}
    except (TypeError, ValueError):
        raise ConfigError(
            f"{c.file}: {c.key('moe_layers_enum')} is not a list of layer numbers"
        ) from None
    return [i in layers for i in range(n)], enum


def limits(c: ConfigKeys, key: str, n: int) -> Sourced:
    """One clamp for each layer; 0 is none."""
    found = c.items(key, default=None, length=n, of=(int, float, type(None)))
    return same_evidence(
        [v or None for v in found.value] if found.value is not None else [None] * n, found
    )


def dense(c: ConfigKeys, _: Sourced, clamp: Sourced) -> Draft:
    c.expect("mlp_bias", False)
    return draft(
        s.Dense,
        width=c.size("intermediate_size"),
        activation=blocks.activation(c),
        clamp=clamp,
        clamp_after=same_evidence(clamp.value is not None, clamp),
    )


def moe(c: ConfigKeys, clamp: Sourced, shared_clamp: Sourced) -> Draft:
    router = draft(
        s.Router,
        scoring=c.expect("moe_router_activation", "sigmoid"),
        selection_bias=c.expect("use_moe_router_bias", True),
        normalized=c.expect("norm_expert_weight", True),
        scale=c.number("moe_router_scaling_factor"),
    )
    return draft(
        s.MoE,
        experts=c.size("moe_num_experts", "n_routed_experts", "num_experts"),
        active=c.size("moe_top_k", "num_experts_per_tok"),
        expert_width=c.size("moe_intermediate_size"),
        activation=blocks.activation(c),
        clamp=clamp,
        clamp_after=same_evidence(clamp.value is not None, clamp),
        shared_experts=1,
        shared_width=c.size("share_expert_dim", "share_expert_dims"),
        shared_clamp=shared_clamp,
        router=router,
    )


def mtp_after(c: ConfigKeys, parts: dict[str, Any], ffn_of: list[str]) -> Draft | Sourced:
    """Sliding layers with a dense MLP, each with a head of its own; the lists of layers have entries for them at their end."""
    key = "num_nextn_predict_layers"
    modules = c.size(
        key, "num_mtp_layers", default=unknown(f"{c.file} has no {key}: tensors must tell"), least=0
    )
    c.ignore("mtp_layer_types", "mtp_mlp_layer_types")
    if not modules.value:
        return same_evidence(None, modules)
    kind = "sliding_dense" if len(set(ffn_of)) > 1 else "sliding"
    parts["layer_kinds"].setdefault(
        kind,
        draft(
            s.LayerKind,
            steps=[blocks.pre_norm_step("mixers.sliding"), blocks.pre_norm_step("ffns.dense")],
        ),
    )
    return draft(s.MTP, modules=modules, layer_kind=kind, norms=3, own_head=True)


def mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    return tensors.mtp_as_layers(
        a,
        naming,
        ("enorm", "hnorm", "transformer.shared_head.norm"),
        "transformer.shared_head.output",
    )


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    kind = next((k for k in ("sliding_dense", "sliding") if k in a.layer_kinds), None)
    if kind is not None:
        yield s.MTP(modules=3, layer_kind=kind, norms=3, own_head=True)


def moe_parts(f: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Experts stacked, gate, up and down apart; the shared expert beside the block."""
    yield from tensors.linear("moe.gate", f.experts, hidden, "router", ("experts",))
    yield tensors.BlockTensor("moe.router_bias", (f.experts,), "router", ("router.selection_bias",))
    for name, outputs, inputs in (
        ("gate", f.expert_width, hidden),
        ("up", f.expert_width, hidden),
        ("down", hidden, f.expert_width),
    ):
        yield tensors.BlockTensor(
            f"moe.{name}_proj.weight",
            (f.experts, outputs, inputs),
            "experts",
            ("expert_width", "experts"),
        )
        outer, inner = (f.shared_width, hidden) if name != "down" else (hidden, f.shared_width)
        yield tensors.BlockTensor(
            f"share_expert.{name}_proj.weight", (outer, inner), "shared_experts", ("shared_width",)
        )


def tower(c: ConfigKeys, text: Draft) -> Draft:
    """The perception encoder: a ViT with learned and rotary positions and a scale on each half of a layer; two strided convolutions and a
    matrix make tokens of its patches. The published keys are the encoder's own, files saved by transformers have its class's."""
    v = FAMILY.part(c, "vision_config", "step3p5_vision")
    kind = v.word("model_type", default="perception_encoder")
    if kind.value not in ("perception_encoder", "step3p5_vision"):
        raise ConfigError(
            f"{c.file}: vision_config.model_type is {kind.value!r}; llmarch knows perception_encoder in this place"
        )
    off, on = ("use_cls_token", "use_ln_post"), ("use_ln_pre", "use_abs_posemb", "use_rope2d")
    for key, value in (
        *((k, False) for k in off),
        *((k, True) for k in on),
        ("pool_type", "none"),
        ("output_dim", None),
    ):
        v.expect(key, value)
    v.ignore(
        "ls_init_value", "layer_scale_init_value", "max_position_embeddings", "intermediate_size"
    )
    hidden, heads, patch, image = (
        v.size("width", "hidden_size"),
        v.size("heads", "num_attention_heads"),
        v.size("patch_size"),
        v.size("image_size"),
    )
    dim = derived(hidden.value // heads.value, "vision width / heads")
    ratio = v.number("mlp_ratio", default=hard_coded(8960 / 1536, v.ref))
    width, wide = (
        text["hidden_size"],
        derived(int(hidden.value * ratio.value), "int(vision width * mlp_ratio)"),
    )
    pixels = derived(v.size("num_channels").value * patch.value**2, "num_channels * patch_size^2")
    double, four = (
        derived(2 * hidden.value, "2 * vision width"),
        derived(4 * hidden.value, "4 * vision width"),
    )
    return draft(
        s.Tower,
        v.ref,
        kind=same_evidence("perception_encoder", kind),
        layers=v.layer_count("layers", "num_hidden_layers"),
        hidden_size=hidden,
        heads=heads,
        head_dim=dim,
        attention_bias=True,
        ffn=draft(s.Dense, width=wide, activation=blocks.activation(v), gated=False, bias=True),
        norm=draft(s.Norm, kind="layernorm", eps=v.number("layer_norm_eps"), bias=True),
        outer_norms=1,
        layer_scales=True,
        image_size=image,
        patch_size=patch,
        patch_embedding=draft(s.Linear, inputs=pixels, outputs=hidden),
        positions=derived((image.value // patch.value) ** 2, "(image_size / patch_size)^2"),
        rope=draft(s.Rope, theta=10000.0, rotary_dim=dim, interleaved=True),
        merge=4,
        projector=[
            draft(
                s.Linear,
                inputs=derived(9 * hidden.value, "9 * vision width"),
                outputs=double,
                bias=True,
            ),
            draft(
                s.Linear,
                inputs=derived(18 * hidden.value, "18 * vision width"),
                outputs=four,
                bias=True,
            ),
            draft(s.Linear, inputs=four, outputs=width, bias=c.flag("projector_bias")),
        ],
    )


def packed_attention(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    rows = 3 * a.heads * a.head_dim
    yield tensors.BlockTensor(
        "attn.in_proj_weight", (rows, hidden), "attention", ("heads", "head_dim")
    )
    yield tensors.BlockTensor("attn.in_proj_bias", (rows,), "attention")
    yield from tensors.linear("attn.out_proj", hidden, a.heads * a.head_dim, "attention", (), True)


def tower_names(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t, at = a.towers["vision"], "vision_model."
    assert isinstance(t, s.Tower)
    w, numbers = t.hidden_size, (tuple(range(t.layers)),)
    patch = (w, t.patch_embedding.inputs // t.patch_size**2, t.patch_size, t.patch_size)
    yield from tensors.matrix_rows(
        f"{at}conv1", t.patch_embedding, patch, ("towers.vision.patch_size",)
    )
    yield tensors.TensorRow(
        f"{at}positional_embedding", (t.positions, w), (), "vision", ("towers.vision.positions",)
    )
    yield from tensors.norm_rows(f"{at}ln_pre", t.norm, w, (), "vision")
    layer = f"{at}transformer.resblocks.{{}}."
    yield from tensors.tower_rows(
        t,
        layer,
        ("ln_1", "ln_2"),
        packed_attention,
        tensors.dense_parts("mlp", up="c_fc", down="c_proj"),
    )
    for name in ("ls_1", "ls_2"):
        yield tensors.TensorRow(
            f"{layer}{name}.gamma", (w,), numbers, "vision", ("towers.vision.layer_scales",)
        )
    first, second, last = t.projector
    yield from tensors.matrix_rows(
        f"{at}vit_downsampler1", first, (first.outputs, first.inputs // 9, 3, 3)
    )
    yield from tensors.matrix_rows(
        f"{at}vit_downsampler2", second, (second.outputs, second.inputs // 9, 3, 3)
    )
    yield from tensors.matrix_rows("vit_large_projector", last)


FAMILY = Family(
    name="step3p7",
    title="Step Flash",
    ref=modeling("step3p7"),
    read=read,
    naming=tensors.Naming(blocks={s.Attention: tensors.attention_parts(gate="g_proj"), s.MoE: moe_parts}, mtp=mtp_rows, tower=tower_names),
    defaults={
        "step3p7": {"projector_bias": False},
        "step3p5": {
            "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 128000, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
            "moe_intermediate_size": 1280, "n_routed_experts": 288, "num_experts_per_tok": 8, "share_expert_dim": 1280,
            "moe_router_scaling_factor": 1.0,
        },
        "step3p5_vision": {
            "hidden_size": 1536, "num_hidden_layers": 47, "num_attention_heads": 16, "num_channels": 3, "image_size": 728, "patch_size": 14,
            "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        },
    },
    config_class={"step3p7": "Step3p7Config", "step3p5": "Step3p7TextConfig", "step3p5_vision": "Step3p7VisionConfig"},
    mtp_layouts=mtp_layouts,
)  # fmt: skip
