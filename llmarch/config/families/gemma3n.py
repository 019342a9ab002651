"""Gemma 3n E2B and E4B: Gemma 3's layers over four streams (AltUp), with Laurel branches.

Laurel is a low-rank branch beside attention. Per-layer embeddings as in Gemma 4, which kept them.
The last layers read the keys and values of earlier ones. MLPs of the first layers let few
activations pass. Norms have a plain weight. Vision is a MobileNetV5, audio a Conformer; both also
embed a few tokens of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from ...tensors import conformer
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "gemma3n" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "gemma3n_text")
        text = FAMILY.read_layers(part)
        for modality in ("audio", "vision"):
            c.ignore(f"{modality}_config", f"{modality}_soft_tokens_per_image")
        return blocks.wrapped(c, part, text, vision=_vision_tower, audio=_audio_tower)
    reason = "full on every 5th layer, the others slide"
    layers = blocks.sliding_layers(c, lambda i: (i + 1) % 5 != 0, reason)
    mixers = blocks.shared_kv_layers(c, layers)
    shares = _sparsity(c)
    mlps = ["dense_sparse" if share else "dense" for share in shares.value]
    c.expect("query_pre_attn_scalar", 256)  # in the published files; the class does not scale
    c.ignore("altup_lr_multiplier")
    pairs = list(zip(mixers.value, mlps, strict=True))
    names = {pair: _kind_name(*pair) for pair in dict.fromkeys(pairs)}
    pattern = f"{mixers.evidence.ref}; {shares.evidence.ref}"
    return blocks.decoder(
        c,
        mixers={name: _mixer(c, name) for name in dict.fromkeys(mixers.value)},
        ffns=_feed_forward(c, max(shares.value), {*mlps}),
        embedding=_embedding(c),
        head=draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping")),
        residual=_alternating_updates(c),
        layer_kinds={
            name: draft(s.LayerKind, steps=_steps(c, *pair)) for pair, name in names.items()
        },
        layers=derived([names[pair] for pair in pairs], pattern),
    )


def _kind_name(mixer: str, mlp: str) -> str:
    """Return the name of the layer kind of a mixer and an MLP."""
    return f"{mixer}_sparse" if mlp == "dense_sparse" else mixer


def _alternating_updates(c: ConfigKeys) -> Draft:
    """Read AltUp: several streams, of which each layer computes one and predicts the others."""
    return draft(
        s.Residual,
        kind="altup",
        streams=c.size("altup_num_inputs"),
        active=c.size("altup_active_idx", least=0),
        clip=c.optional(c.number, "altup_coef_clip"),
    )


def _sparsity(c: ConfigKeys) -> Sourced:
    """Read the share of activations that is set to 0 on each layer.

    By default it is 0.95 on the first ten layers. Raises ConfigError for several shares beside 0.
    """
    key = "activation_sparsity_pattern"
    layers = c.layer_count().value
    given = c.value(key, default=None)
    if given.value is None:
        first = 10 if layers > 10 else 0
        shares = [0.95] * first + [0.0] * (layers - first)
        return derived(shares, f"no {key}: 0.95 on the first 10 layers")
    if isinstance(given.value, (int, float)):
        return same_evidence([c.as_number(key, given.value)] * layers, given)
    entries = c.items(key, length=layers, entry=(int, float)).value
    shares = [c.as_number(key, entry) for entry in entries]
    if len({*shares} - {0.0}) > 1:
        raise ConfigError(
            f"{c.file}: {c.key(key)} has several shares; llmarch supports one beside 0"
        )
    return same_evidence(shares, given)


def _mixer(c: ConfigKeys, name: str) -> Draft:
    """Read attention: QK-norm and a norm on values per head, scores without a scale."""
    kind, _, shared = name.partition("_")
    dim = c.size("head_dim")
    facts: dict[str, Any] = blocks.attention_biases(c)
    theta = None
    if shared:
        key = c.key("num_kv_shared_layers")
        facts["kv_from"] = derived(kind, f"{key}: the last layer of the kind that has its own")
    if kind == "sliding":
        theta = c.number("rope_local_base_freq")
        facts["window"] = c.size("sliding_window")
    rope = blocks.rope(
        c,
        blocks.all_of_head(dim),
        layer_type=f"{kind}_attention",
        theta=theta,
        scaled=kind != "sliding",
    )
    return blocks.attention(
        c,
        head_dim=dim,
        v_head_dim=dim,
        qk_norm=draft(s.QKNorm, scope="head"),
        value_norm=True,
        scale=1.0,
        rope=rope,
        **facts,
    )


def _feed_forward(c: ConfigKeys, share: float, mlps: set[str]) -> dict[str, Draft]:
    """Read the MLPs that layers use, Laurel, and the block that adds per-layer embeddings."""
    geglu = blocks.activation_name(c, "hidden_activation")
    dense = draft(s.Dense, width=_mlp_width(c), activation=geglu)
    sparse = dense.replace(sparsity=derived(share, "activation_sparsity_pattern"))
    ffns = {"dense": dense, "dense_sparse": sparse}
    ffns = {name: ffn for name, ffn in ffns.items() if name in mlps}
    plain: dict[str, Any] = {"gated": False}
    ffns["laurel"] = draft(
        s.Dense, width=c.size("laurel_rank"), activation="identity", own_skip=True, **plain
    )
    width = c.size("hidden_size_per_layer_input")
    ffns["per_layer"] = draft(s.Dense, width=width, activation=geglu, per_layer=True, **plain)
    return ffns


def _mlp_width(c: ConfigKeys) -> Sourced:
    """Read the width of the MLPs: a number, or a list with the same number for each layer."""
    key = "intermediate_size"
    given = c.value(key)
    if not isinstance(given.value, list):
        return c.size(key)
    widths = {*c.sizes(key, length=c.layer_count().value).value}
    if len(widths) > 1:
        raise ConfigError(
            f"{c.file}: {c.key(key)} differs from layer to layer; llmarch supports one width"
        )
    return same_evidence(widths.pop(), given)


def _embedding(c: ConfigKeys) -> Draft:
    """Read the embedding, and the smaller one that each layer has of its own."""
    width = c.size("hidden_size_per_layer_input")
    per_layer = draft(
        s.PerLayerEmbedding,
        width=width,
        vocab_size=c.size("vocab_size_per_layer_input"),
        scale=derived(width.value**0.5, f"sqrt({width.evidence.ref})"),
    )
    root = derived(c.size("hidden_size").value ** 0.5, "sqrt(hidden_size)")
    return blocks.embedding(c, scale=root, per_layer=per_layer)


def _steps(c: ConfigKeys, mixer: str, mlp: str) -> list[Draft]:
    """Return the steps of a layer.

    Attention and Laurel read the same norm; the sum of stream, attention and Laurel is divided by
    sqrt(2).
    """
    c.describe_only("altup_correct_scale", True, "behaviour")
    half = 0.5**0.5
    branches = [
        draft(s.Branch, block=block, post_norm="rms", scale=half)
        for block in (f"mixers.{mixer}", "ffns.laurel")
    ]
    return [
        draft(s.Step, branches=branches, pre_norm="rms", skip_scale=half),
        blocks.sandwich_step(f"ffns.{mlp}"),
        blocks.post_norm_step("ffns.per_layer"),
    ]


# --- encoders -----------------------------------------------------------------------------------

_TIMM = "timm 1.0.31 models/mobilenetv5.py mobilenetv5_300m_enc"


def _inverted(inputs: int, outputs: int, width: int, kernel: int = 0, mid: int = 0) -> s.ConvBlock:
    """Return an inverted residual block."""
    return s.ConvBlock(
        kind="inverted", inputs=inputs, outputs=outputs, width=width, kernel=kernel, mid_kernel=mid
    )


def _attention_and_mlp(
    channels: int, queries: int, keys: int, kernel: int, width: int
) -> tuple[s.ConvBlock, ...]:
    """Return a block of attention, and an MLP of 1 x 1 convolutions."""
    attention = s.ConvBlock(
        kind="attention",
        inputs=channels,
        outputs=channels,
        width=queries,
        kernel=kernel,
        key_width=keys,
    )
    return attention, _inverted(channels, channels, width)


def _mobilenet_v5() -> tuple[tuple[s.ConvBlock, ...], ...]:
    """Return the four stages of MobileNetV5-300M, as timm has them."""
    first = s.ConvBlock(kind="edge", inputs=64, outputs=128, width=256, kernel=3)
    edge = replace(first, inputs=128, width=512)
    return (
        (first, edge, edge),
        (_inverted(128, 256, 768, 3, 5), *(_inverted(256, 256, 1024, k) for k in (5, 3, 5, 3))),
        (
            _inverted(256, 640, 1536, 5, 5),
            *[_inverted(640, 640, 2560, 5)] * 7,
            _inverted(640, 640, 640),
            *_attention_and_mlp(640, 768, 64, 3, 1280) * 14,
        ),
        (_inverted(640, 1280, 3840, 5, 5), *_attention_and_mlp(1280, 1536, 96, 0, 2560) * 19),
    )


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the MobileNetV5, whose shape the code fixes. Raises ConfigError for another encoder."""
    v = FAMILY.part(c, "vision_config", "gemma3n_vision")
    name = v.word("architecture")
    if name.value != "mobilenetv5_300m_enc":
        raise ConfigError(
            f"{c.file}: {v.key('architecture')} is {name.value!r};"
            " llmarch supports mobilenetv5_300m_enc here"
        )
    v.ignore("model_type", "model_args")
    v.describe_only("vocab_offset", 262144, "behaviour")
    v.describe_only("rms_norm_eps", 1e-6, "behaviour")
    v.ignore("do_pooling", "num_classes", "label_names", "pretrained_cfg")
    hidden = v.size("hidden_size")
    return draft(
        s.ConvTower,
        _TIMM,
        kind=name,
        stem=64,
        stages=hard_coded(_mobilenet_v5(), _TIMM),
        fusion_width=3840,
        outputs=hidden,
        tokens=c.size("vision_soft_tokens_per_image", default=256),
        vocabulary=v.size("vocab_size"),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
    )


def _audio_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the Conformer."""
    v = FAMILY.part(c, "audio_config", "gemma3n_audio")
    v.ignore("sscp_conv_eps")
    v.describe_only("gradient_clipping", 1e10, "behaviour")
    v.describe_only("sscp_conv_group_norm_eps", 1e-3, "behaviour")
    v.describe_only("vocab_offset", 262272, "behaviour")
    v.describe_only("conf_residual_weight", 0.5, "behaviour")
    v.describe_only("sscp_conv_kernel_size", [[3, 3], [3, 3]], "weights")
    v.describe_only("sscp_conv_stride_size", [[2, 2], [2, 2]], "weights")
    v.size("conf_reduction_factor")
    c.ignore("conf_reduction_factor")
    hidden = v.size("hidden_size")
    channels = v.sizes("sscp_conv_channel_size", least=1)
    features = channels.value[-1] * (v.size("input_feat_size").value // 4)
    formula = "the last of sscp_conv_channel_size * input_feat_size / 4"
    left = v.size("conf_attention_context_left").value - 1
    return draft(
        s.Conformer,
        v.ref,
        kind=same_evidence("gemma3n_audio", v.word("model_type", default="gemma3n_audio")),
        layers=v.layer_count("conf_num_hidden_layers"),
        hidden_size=hidden,
        heads=v.size("conf_num_attention_heads"),
        width=derived(4 * hidden.value, "4 * audio hidden_size"),
        activation="silu",
        norm=blocks.rms_norm(v),
        conv_kernel=v.size("conf_conv_kernel_size"),
        chunk=v.size("conf_attention_chunk_size"),
        left_context=derived(left, "conf_attention_context_left - 1"),
        right_context=v.size("conf_attention_context_right", least=0),
        softcap=v.number("conf_attention_logit_cap"),
        subsampling=channels,
        subsampled=draft(s.Linear, inputs=derived(features, formula), outputs=hidden),
        vocabulary=v.size("vocab_size"),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
    )


# --- names --------------------------------------------------------------------------------------


def _laurel_parts(f: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the two matrices of Laurel."""
    m = tensors.Module("laurel", "mlp")
    yield from m.linear("linear_left", f.width, hidden, "width")
    yield from m.linear("linear_right", hidden, f.width)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the encoders, and for each the embedding of its own tokens and its projector."""
    for component, t in a.towers.items():
        if isinstance(t, s.ConvTower):
            yield from _convolution_rows(t, "model.vision_tower.timm_model.")
        elif isinstance(t, s.Conformer):
            yield from conformer.conformer_rows(t, "model.audio_tower.", _AUDIO_NAMES)
        else:
            continue
        prefix = f"model.embed_{component}."
        width = t.projector[0].inputs
        table = (t.vocabulary, width)
        facts = (f"towers.{component}.vocabulary",)
        yield tensors.TensorRow(f"{prefix}embedding.weight", table, (), component, facts)
        for norm in ("hard", "soft"):
            pattern = f"{prefix}{norm}_embedding_norm.weight"
            yield tensors.TensorRow(pattern, (width,), (), component)
        projection = f"{prefix}embedding_projection"
        yield from tensors.matrix_rows(projection, t.projector[0], component=component)


def _convolution_rows(t: s.ConvTower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the tensors of the MobileNetV5; blocks of a stage that are alike share their rows."""
    part = "vision"
    stem = f"{prefix}conv_stem."
    facts = ("towers.vision.stem",)
    yield tensors.TensorRow(f"{stem}conv.weight", (t.stem, 3, 3, 3), (), part, facts)
    yield tensors.TensorRow(f"{stem}conv.bias", (t.stem,), (), part)
    yield tensors.TensorRow(f"{stem}bn.weight", (t.stem,), (), part)
    for i, stage in enumerate(t.stages):
        yield from _stage_rows(stage, i, prefix)
    yield from _fusion_rows(t, f"{prefix}msfa.")


def _stage_rows(
    stage: tuple[s.ConvBlock, ...], number: int, prefix: str
) -> Iterator[tensors.TensorRow]:
    """Yield the blocks of a stage."""
    numbers: dict[s.ConvBlock, list[int]] = {}
    for i, block in enumerate(stage):
        numbers.setdefault(block, []).append(i)
    facts = ("towers.vision.stages",)
    for block, indices in numbers.items():
        axes = ((number,), tuple(indices))
        for name, shape in _block_shapes(block):
            pattern = f"{prefix}blocks.{{}}.{{}}.{name}"
            yield tensors.TensorRow(pattern, shape, axes, "vision", facts)


def _fusion_rows(t: s.ConvTower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the block that joins the features of the last two stages."""
    inputs = sum(stage[-1].outputs for stage in t.stages[-2:])
    shapes = {
        "pw_exp": (t.fusion_width, inputs, 1, 1),
        "pw_proj": (t.outputs, t.fusion_width, 1, 1),
    }
    facts = ("towers.vision.fusion_width",)
    for name, shape in shapes.items():
        yield tensors.TensorRow(f"{prefix}ffn.{name}.conv.weight", shape, (), "vision", facts)
        yield tensors.TensorRow(f"{prefix}ffn.{name}.bn.weight", shape[:1], (), "vision")
    yield tensors.TensorRow(f"{prefix}norm.weight", (t.outputs,), (), "vision")


_Shapes = Iterator[tuple[str, tuple[int, ...]]]
"""Names and shapes of the tensors of a block."""


def _block_shapes(b: s.ConvBlock) -> _Shapes:
    """Yield the tensors of a block of the MobileNetV5."""
    if b.kind == "edge":
        yield "conv_exp.weight", (b.width, b.inputs, b.kernel, b.kernel)
        yield "bn1.weight", (b.width,)
        yield "conv_pwl.weight", (b.outputs, b.width, 1, 1)
        yield "bn2.weight", (b.outputs,)
        return
    if b.kind == "inverted":
        yield from _inverted_shapes(b)
    else:
        yield from _attention_shapes(b)
    yield "layer_scale.gamma", (b.outputs,)


def _inverted_shapes(b: s.ConvBlock) -> _Shapes:
    """Yield the tensors of an inverted residual block."""
    if b.kernel:
        yield "dw_start.conv.weight", (b.inputs, 1, b.kernel, b.kernel)
        yield "dw_start.bn.weight", (b.inputs,)
    if b.mid_kernel:
        yield "dw_mid.conv.weight", (b.width, 1, b.mid_kernel, b.mid_kernel)
        yield "dw_mid.bn.weight", (b.width,)
    yield "pw_exp.conv.weight", (b.width, b.inputs, 1, 1)
    yield "pw_exp.bn.weight", (b.width,)
    yield "pw_proj.conv.weight", (b.outputs, b.width, 1, 1)
    yield "pw_proj.bn.weight", (b.outputs,)


def _attention_shapes(b: s.ConvBlock) -> _Shapes:
    """Yield the tensors of attention with one head of keys, which a kernel may downsample."""
    yield "norm.weight", (b.inputs,)
    yield "attn.query.proj.weight", (b.width, b.inputs, 1, 1)
    for name in ("attn.key", "attn.value"):
        if b.kernel:
            yield f"{name}.down_conv.weight", (b.inputs, 1, b.kernel, b.kernel)
            yield f"{name}.norm.weight", (b.inputs,)
        yield f"{name}.proj.weight", (b.key_width, b.inputs, 1, 1)
    yield "attn.output.proj.weight", (b.outputs, b.width, 1, 1)


_AUDIO_NAMES = conformer.ConformerNames(
    convolution="conv_{}",
    layer="conformer.{}.",
    halves=("ffw_layer_start", "ffw_layer_end"),
    attention="attention.attn.",
    output="attention.post",
    positions="attention.attn.relative_position_embedding.pos_proj.weight",
    norms=(
        "attention.pre_attn_norm",
        "attention.post_norm",
        "lconv1d.pre_layer_norm",
        "lconv1d.conv_norm",
        "norm",
    ),
    matrix="weight",
)

_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "laurel.post_laurel_norm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
    "post_per_layer_input_norm",
)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, which have another prefix inside a wrapper."""
    wrapper = bool(a.towers) or a.model_type == "gemma3n"
    prefix = "model.language_model." if wrapper else "model."
    return tensors.Naming(
        embedding=f"{prefix}embed_tokens.weight",
        layer=f"{prefix}layers.{{}}.",
        final_norm=f"{prefix}norm",
        norms=_NORMS,
        blocks={"ffns.laurel": _laurel_parts, "ffns.per_layer": tensors.per_layer_input_parts},
        altup=(f"{prefix}altup_projections", f"{prefix}altup_unembed_projections"),
        per_layer=(
            f"{prefix}embed_tokens_per_layer.weight",
            f"{prefix}per_layer_model_projection.weight",
            f"{prefix}per_layer_projection_norm.weight",
        ),
        tower=_tower_rows,
    )


_AUDIO: dict[str, Any] = {
    "vocab_size": 128,
    "input_feat_size": 128,
    "hidden_size": 1536,
    "rms_norm_eps": 1e-6,
    "conf_attention_chunk_size": 12,
    "conf_attention_context_left": 13,
    "conf_attention_context_right": 0,
    "conf_attention_logit_cap": 50.0,
    "conf_num_attention_heads": 8,
    "conf_num_hidden_layers": 12,
    "conf_conv_kernel_size": 5,
    "conf_reduction_factor": 4,
    "sscp_conv_channel_size": [128, 32],
}

FAMILY = Family(
    name="gemma3n",
    title="Gemma 3n",
    ref=modeling("gemma3n"),
    read=read,
    naming=_naming,
    conversions={"gemma3n_text": tensors.UNWRAPPED_CONVERSION},
    defaults={
        "gemma3n": {"tie_word_embeddings": True},
        "gemma3n_text": {
            "vocab_size": 262400,
            "hidden_size": 2048,
            "intermediate_size": 16384,
            "num_hidden_layers": 35,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh",
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "sliding_window": 512,
            "final_logit_softcapping": 30.0,
            "vocab_size_per_layer_input": 262144,
            "hidden_size_per_layer_input": 256,
            "altup_active_idx": 0,
            "altup_coef_clip": 120.0,
            "altup_correct_scale": True,
            "altup_num_inputs": 4,
            "num_kv_shared_layers": 15,
            "laurel_rank": 64,
        },
        "gemma3n_vision": {
            "architecture": "mobilenetv5_300m_enc",
            "hidden_size": 2048,
            "vocab_size": 128,
        },
        "gemma3n_audio": _AUDIO,
    },
    config_class={
        "gemma3n": "Gemma3nConfig",
        "gemma3n_text": "Gemma3nTextConfig",
        "gemma3n_vision": "Gemma3nVisionConfig",
        "gemma3n_audio": "Gemma3nAudioConfig",
    },
)
