"""Gemma 4: sandwich norms of plain weight, one learned scale a layer, sliding and full layers with head dims and RoPE of their own.

31B and 26B-A4B: full layers take their values from the keys; 26B-A4B has a dense MLP and a MoE side by side. E2B and E4B: per-layer
embeddings, and the last layers read the keys and values of earlier ones. All have a vision tower, the E models an audio tower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError, NotAModel
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, same_evidence


def read(c: ConfigKeys) -> Draft:
    if c.model_type == "gemma4" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "gemma4_text")
        text = read(part)
        towers = {
            name: tower(c, text)
            for name, tower in (("vision", vision), ("audio", audio))
            if c.has(f"{name}_config")
        }
        c.ignore(
            "audio_config", "vision_config", "vision_soft_tokens_per_image"
        )  # the last is said again in vision_config
        return blocks.wrapped(c, part, text, towers)
    of, how = blocks.sliding_layers(
        c,
        c.layer_count().value,
        lambda i: (i + 1) % 6 != 0,
        "full on every 6th layer, the others slide",
    )
    of[-1] = "full"  # the class forces it
    names, how = shared_mixers(c, of, how)
    shared = sum(m.endswith("_shared") for m in names)
    wide = c.flag("use_double_wide_mlp").value and shared > 0
    mixers, ffns = (
        {m: mixer(c, m) for m in dict.fromkeys(names)},
        feed_forward(c, wide, shared < len(of)),
    )
    widths = {m: "dense_wide" if wide and m.endswith("_shared") else "dense" for m in mixers}
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffns,
        embedding=embedding(c, ffns),
        head=draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping")),
        layer_kinds={
            m: draft(s.LayerKind, steps=steps(m, widths[m], ffns), learned_scale=True)
            for m in mixers
        },
        layers=same_evidence(names, how),
    )


def shared_mixers(c: ConfigKeys, of: list[str], how: Sourced) -> tuple[list[str], Sourced]:
    """Each layer's mixer: the last `num_kv_shared_layers` read the keys and values of the last layer of their kind before them."""
    shared = c.size("num_kv_shared_layers", least=0, most=len(of) - 1)
    first = len(of) - shared.value
    absent = next((m for m in of[first:] if m not in of[:first]), None)
    if absent is not None:
        said = f"{c.key('num_kv_shared_layers')} is {shared.value}"
        raise ConfigError(
            f"{c.file}: {said}, and no layer before has {absent} keys and values to share"
        )
    names = [m if i < first else f"{m}_shared" for i, m in enumerate(of)]
    return names, derived(
        None, f"{how.evidence.ref}, {shared.evidence.ref}"
    ) if shared.value else how


def mixer(c: ConfigKeys, name: str) -> Draft:
    """Scores are not scaled; queries and keys are normed per head, values without weight."""
    kind, _, shared = name.partition("_")
    bias, alike = c.flag("attention_bias"), c.flag("attention_k_eq_v")
    wide, few = c.size("global_head_dim"), c.size("num_global_key_value_heads", default=None)
    dim, kv = c.size("head_dim"), c.size("num_key_value_heads")
    if kind == "full":
        dim, kv = wide, few if alike.value and few.value else kv
    sees = c.word("use_bidirectional_attention", default=None)
    if sees.value not in (None, "vision"):
        raise NotAModel(
            f"{c.file}: {c.key('use_bidirectional_attention')} is {sees.value!r}: an encoder, not a decoder"
        )
    return blocks.attention(
        c,
        kv_heads=kv,
        head_dim=dim,
        v_head_dim=dim,
        qk_norm=draft(s.QKNorm, scope="head"),
        value_norm=True,
        values_from_keys=alike if kind == "full" else False,
        kv_from=derived(
            kind, f"{c.key('num_kv_shared_layers')}: the last layer of the kind that has its own"
        )
        if shared
        else None,
        qkv_bias=bias,
        output_bias=bias,
        window=c.size("sliding_window") if kind == "sliding" else None,
        scale=1.0,
        sees_ahead=sees,
        rope=turned(c, f"{kind}_attention", dim),
    )


def turned(c: ConfigKeys, layer_type: str, dim: Sourced) -> Draft:
    """`proportional`: frequencies and pairs as for the whole head, of which the first share turns."""
    at = blocks.rope_keys(c)
    own: Any = at.defaults.get(layer_type) if not at.data else None
    entry = at.child(layer_type, defaults=own, defaults_ref=c.defaults_ref)
    kind = entry.word("rope_type", default="default") if own is None else entry.word("rope_type")
    if kind.value != "proportional":
        if own is not None:
            return draft(s.Rope, theta=entry.number("rope_theta"), rotary_dim=dim)
        return blocks.rope(c, derived(dim.value, "all of head_dim"), layer_type=layer_type)
    share = (
        entry.number("partial_rotary_factor")
        if entry.knows("partial_rotary_factor")
        else entry.number("partial_rotary_factor", default=1.0)
    )
    turns = derived(2 * int(share.value * dim.value // 2), f"head_dim * {share.evidence.ref}")
    return draft(s.Rope, theta=entry.number("rope_theta"), rotary_dim=turns, span=dim)


def feed_forward(c: ConfigKeys, wide: bool, narrow: bool) -> dict[str, Draft]:
    width, geglu = c.size("intermediate_size"), blocks.activation(c, "hidden_activation")
    ffns = {"dense": draft(s.Dense, width=width, activation=geglu)} if narrow or not wide else {}
    if wide:
        twice = derived(
            2 * width.value, f"2 * {c.key('intermediate_size')}, by use_double_wide_mlp"
        )
        ffns["dense_wide"] = draft(s.Dense, width=twice, activation=geglu)
    experts = ("num_experts", "top_k_experts", "moe_intermediate_size")
    c.ignore(*experts)
    c.expect("expert_intermediate_size", None)
    if c.flag("enable_moe_block").value:
        count, active, expert_width = (c.size(key) for key in experts)
        router = draft(
            s.Router,
            scoring="softmax",
            normalized=True,
            own_norm=True,
            input_scale=True,
            expert_scale=True,
        )
        ffns["moe"] = draft(
            s.MoE,
            experts=count,
            active=active,
            expert_width=expert_width,
            activation=geglu,
            router=router,
        )
    slice_width = c.size("hidden_size_per_layer_input", least=0)
    c.size("vocab_size_per_layer_input", least=0)
    if slice_width.value:
        ffns["per_layer"] = draft(
            s.Dense, width=slice_width, activation=geglu, gated=False, per_layer=True
        )
    return ffns


def embedding(c: ConfigKeys, ffns: dict[str, Draft]) -> Draft:
    root = derived(c.size("hidden_size").value ** 0.5, "sqrt(hidden_size)")
    out = draft(s.Embedding, tied=c.flag("tie_word_embeddings"), scale=root)
    if "per_layer" not in ffns:
        return out
    width = ffns["per_layer"]["width"]
    scale = derived(width.value**0.5, f"sqrt({width.evidence.ref})")
    return out.replace(
        per_layer=draft(
            s.PerLayerEmbedding,
            width=width,
            vocab_size=c.size("vocab_size_per_layer_input"),
            scale=scale,
        )
    )


def steps(mixer: str, mlp: str, ffns: dict[str, Draft]) -> list[Draft]:
    out = [blocks.sandwich_step(f"mixers.{mixer}")]
    if "moe" in ffns:
        branches = [
            draft(s.Branch, block=f"ffns.{f}", pre_norm="rms", post_norm="rms")
            for f in (mlp, "moe")
        ]
        out.append(draft(s.Step, branches=branches, join_norm="rms"))
    else:
        out.append(blocks.sandwich_step(f"ffns.{mlp}"))
    if "per_layer" in ffns:
        out.append(
            draft(s.Step, branches=[draft(s.Branch, block="ffns.per_layer", post_norm="rms")])
        )
    return out


def vision(c: ConfigKeys, text: Draft) -> Draft:
    """A ViT of the decoder's own kind of layers, with learned positions for rows and columns; features are averaged over squares."""
    v = FAMILY.part(c, "vision_config", "gemma4_vision")
    kind = v.word("model_type", default="gemma4_vision")
    if kind.value != "gemma4_vision":
        raise ConfigError(
            f"{c.file}: vision_config.model_type is {kind.value!r}; llmarch knows gemma4_vision in this place"
        )
    v.ignore(
        "video_seq_length",
        "max_position_embeddings",
        "global_head_dim",
        "chunk_size_feed_forward",
        "is_encoder_decoder",
    )
    hidden, patch, dim = v.size("hidden_size"), v.size("patch_size"), v.size("head_dim")
    theta = (
        v.child("rope_parameters").number("rope_theta", default=100.0)
        if v.has("rope_parameters")
        else 100.0
    )
    v.child("rope_parameters").ignore("rope_type")
    return draft(
        s.Tower,
        v.ref,
        kind=kind,
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=v.size("num_attention_heads"),
        kv_heads=v.size("num_key_value_heads"),
        head_dim=dim,
        qk_norm=True,
        attention_bias=v.flag("attention_bias"),
        ffn=draft(
            s.Dense,
            width=v.size("intermediate_size"),
            activation=blocks.activation(v, "hidden_activation"),
        ),
        norm=blocks.rms_norm(v),
        layer_norms=4,
        patch_size=patch,
        patch_embedding=draft(
            s.Linear, inputs=derived(3 * patch.value**2, "3 * patch_size^2"), outputs=hidden
        ),
        positions=v.size("position_embedding_size"),
        position_axes=2,
        rope=draft(s.Rope, theta=theta, rotary_dim=dim),
        merge=v.size("pooling_kernel_size"),
        tokens=v.size("default_output_length", "image_seq_length", default=None),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
        clipped=v.flag("use_clipped_linears"),
        standardized=v.flag("standardize"),
    )


def audio(c: ConfigKeys, text: Draft) -> Draft:
    v = FAMILY.part(c, "audio_config", "gemma4_audio")
    kind = v.word("model_type", default="gemma4_audio")
    v.ignore(
        "gradient_clipping",
        "attention_invalid_logits_value",
        "chunk_size_feed_forward",
        "is_encoder_decoder",
    )
    v.expect("residual_weight", 0.5)
    hidden, channels, out = (
        v.size("hidden_size"),
        v.items("subsampling_conv_channels", of=int),
        v.size("output_proj_dims"),
    )
    # 128 mel bins, halved twice
    flat = derived(
        channels.value[-1] * 32, "the last of subsampling_conv_channels * 128 mel bins / 4"
    )
    return draft(
        s.Conformer,
        v.ref,
        kind=kind,
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=v.size("num_attention_heads"),
        width=derived(4 * hidden.value, "4 * audio hidden_size"),
        activation=blocks.activation(v),
        norm=blocks.rms_norm(v),
        conv_kernel=v.size("conv_kernel_size"),
        chunk=v.size("attention_chunk_size"),
        left_context=derived(
            v.size("attention_context_left").value - 1, "attention_context_left - 1"
        ),
        right_context=v.size("attention_context_right", least=0),
        softcap=v.number("attention_logit_cap"),
        subsampling=channels,
        subsampled=draft(s.Linear, inputs=flat, outputs=hidden),
        output=draft(s.Linear, inputs=hidden, outputs=out, bias=True),
        projector=[draft(s.Linear, inputs=out, outputs=text["hidden_size"])],
        clipped=v.flag("use_clipped_linears"),
    )


def mixture_parts(f: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    yield from tensors.linear("router.proj", f.experts, hidden, "router", ("experts",))
    yield tensors.BlockTensor("router.scale", (hidden,), "router", ("router.input_scale",))
    yield tensors.BlockTensor(
        "router.per_expert_scale", (f.experts,), "router", ("router.expert_scale",)
    )
    for name, inputs, outputs in (
        ("gate_up_proj", hidden, 2 * f.expert_width),
        ("down_proj", f.expert_width, hidden),
    ):
        yield tensors.BlockTensor(
            f"experts.{name}", (f.experts, outputs, inputs), "experts", ("expert_width", "experts")
        )


def per_layer_parts(f: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    yield from tensors.linear("per_layer_input_gate", f.width, hidden, "mlp", ("width",))
    yield from tensors.linear("per_layer_projection", hidden, f.width, "mlp")


def bounds(
    at: str, names: tuple[str, ...], layers: int, component: str
) -> Iterator[tensors.TensorRow]:
    for name in names:
        for bound in ("input_min", "input_max", "output_min", "output_max"):
            yield tensors.TensorRow(
                f"{at}{name}.{bound}",
                (),
                (tuple(range(layers)),),
                component,
                (f"towers.{component}.clipped",),
            )


def tower_names(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t = a.towers.get("vision")
    if isinstance(t, s.Tower):
        at = "model.vision_tower."
        w, part, layer = t.hidden_size, "vision", f"{at}encoder.layers.{{}}."
        yield tensors.TensorRow(
            f"{at}patch_embedder.position_embedding_table",
            (t.position_axes, t.positions, w),
            (),
            part,
            ("towers.vision.positions",),
        )
        yield from tensors.matrix_rows(
            f"{at}patch_embedder.input_proj", t.patch_embedding, None, ("towers.vision.patch_size",)
        )
        names = {x: f"{x}_proj.linear" for x in ("q", "k", "v", "o")}
        mlp = tensors.dense_parts("mlp", "gate_proj.linear", "up_proj.linear", "down_proj.linear")
        yield from tensors.tower_rows(
            t, layer, tensors.SANDWICH_NORMS, tensors.attention_parts(**names), mlp
        )
        if t.clipped:
            linears = (
                *(f"self_attn.{x}_proj" for x in names),
                "mlp.gate_proj",
                "mlp.up_proj",
                "mlp.down_proj",
            )
            yield from bounds(layer, linears, t.layers, part)
        if t.standardized:
            yield from (
                tensors.TensorRow(at + name, (w,), (), part, ("towers.vision.standardized",))
                for name in ("std_bias", "std_scale")
            )
        yield from tensors.matrix_rows("model.embed_vision.embedding_projection", t.projector[0])
    conformer = a.towers.get("audio")
    if isinstance(conformer, s.Conformer):
        yield from conformer_names(conformer, "model.audio_tower.")
        yield from (
            audio_row(r)
            for r in tensors.matrix_rows(
                "model.embed_audio.embedding_projection", conformer.projector[0]
            )
        )


def audio_row(r: tensors.TensorRow) -> tensors.TensorRow:
    return tensors.TensorRow(r.pattern, r.shape, r.axes, "audio", r.proves)


def conformer_names(t: s.Conformer, at: str) -> Iterator[tensors.TensorRow]:
    w, numbers, part, (first, second) = (
        t.hidden_size,
        (tuple(range(t.layers)),),
        "audio",
        t.subsampling,
    )
    for i, shape in enumerate(((first, 1, 3, 3), (second, first, 3, 3))):
        yield tensors.TensorRow(
            f"{at}subsample_conv_projection.layer{i}.conv.weight",
            shape,
            (),
            part,
            ("towers.audio.subsampling",),
        )
        yield tensors.TensorRow(
            f"{at}subsample_conv_projection.layer{i}.norm.weight", shape[:1], (), part
        )
    yield tensors.TensorRow(
        f"{at}subsample_conv_projection.input_proj_linear.weight",
        (w, t.subsampled.inputs),
        (),
        part,
    )
    layer = f"{at}layers.{{}}."
    linears = {
        **{
            f"feed_forward{i}.ffw_layer_{j}": (t.width, w) if j == 1 else (w, t.width)
            for i in (1, 2)
            for j in (1, 2)
        },
        **{f"self_attn.{x}": (w, w) for x in ("q_proj", "k_proj", "v_proj", "post")},
        "lconv1d.linear_start": (2 * w, w),
        "lconv1d.linear_end": (w, w),
    }
    for name, shape in linears.items():
        yield tensors.TensorRow(
            f"{layer}{name}.linear.weight", shape, numbers, part, ("towers.audio.width",)
        )
    norms = (
        "norm_pre_attn",
        "norm_post_attn",
        "norm_out",
        "lconv1d.pre_layer_norm",
        "lconv1d.conv_norm",
    )
    for name in (
        *(f"feed_forward{i}.{x}_layer_norm" for i in (1, 2) for x in ("pre", "post")),
        *norms,
    ):
        yield tensors.TensorRow(f"{layer}{name}.weight", (w,), numbers, part)
    yield tensors.TensorRow(
        f"{layer}self_attn.per_dim_scale", (w // t.heads,), numbers, part, ("towers.audio.heads",)
    )
    yield tensors.TensorRow(f"{layer}self_attn.relative_k_proj.weight", (w, w), numbers, part)
    yield tensors.TensorRow(
        f"{layer}lconv1d.depthwise_conv1d.weight",
        (w, 1, t.conv_kernel),
        numbers,
        part,
        ("towers.audio.conv_kernel",),
    )
    if t.clipped:
        yield from bounds(layer, tuple(linears), t.layers, part)
    if t.output:
        yield from (audio_row(r) for r in tensors.matrix_rows(f"{at}output_proj", t.output))


def naming(a: s.Architecture) -> tensors.Naming:
    norms: tuple[str, ...] = tensors.SANDWICH_NORMS
    if "moe" in a.ffns:
        two = (
            "post_feedforward_layernorm_1",
            "pre_feedforward_layernorm_2",
            "post_feedforward_layernorm_2",
            "post_feedforward_layernorm",
        )
        norms = (*tensors.SANDWICH_NORMS[:3], *two)
    if a.embedding.per_layer:
        norms = (*norms, "post_per_layer_input_norm")
    at = "model.language_model." if a.towers or a.model_type == "gemma4" else "model."
    names = (
        "embed_tokens_per_layer.weight",
        "per_layer_model_projection.weight",
        "per_layer_projection_norm.weight",
    )
    return tensors.Naming(
        embedding=f"{at}embed_tokens.weight",
        layer=f"{at}layers.{{}}.",
        final_norm=f"{at}norm",
        norms=norms,
        blocks={s.MoE: mixture_parts, "ffns.per_layer": per_layer_parts},
        per_layer=(at + names[0], at + names[1], at + names[2]),
        tower=tower_names,
    )


FAMILY = Family(
    name="gemma4",
    title="Gemma 4",
    ref=modeling("gemma4"),
    read=read,
    naming=naming,
    defaults={
        "gemma4": {"tie_word_embeddings": True},
        "gemma4_text": {
            "vocab_size": 262144, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512,
            "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
            "attention_bias": False, "sliding_window": 512, "final_logit_softcapping": None, "vocab_size_per_layer_input": 262144,
            "hidden_size_per_layer_input": 256, "attention_k_eq_v": False, "num_kv_shared_layers": 0, "enable_moe_block": False,
            "use_double_wide_mlp": False,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0},
            },
        },
        "gemma4_vision": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 16, "num_attention_heads": 12, "num_key_value_heads": 12,
            "head_dim": 64, "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "attention_bias": False,
            "pooling_kernel_size": 3, "patch_size": 16, "position_embedding_size": 10240, "use_clipped_linears": False,
            "standardize": False,
        },
        "gemma4_audio": {
            "hidden_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 8, "hidden_act": "silu",
            "subsampling_conv_channels": [128, 32], "conv_kernel_size": 5, "attention_chunk_size": 12, "attention_context_left": 13,
            "attention_context_right": 0, "attention_logit_cap": 50.0, "use_clipped_linears": True, "rms_norm_eps": 1e-6,
            "output_proj_dims": 1536,
        },
    },
    config_class={
        "gemma4": "Gemma4Config", "gemma4_text": "Gemma4TextConfig", "gemma4_vision": "Gemma4VisionConfig",
        "gemma4_audio": "Gemma4AudioConfig",
    },
)  # fmt: skip
