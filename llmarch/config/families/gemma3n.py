"""Gemma 3n E2B and E4B: Gemma 3's sliding and full layers over four streams (AltUp), with a low-rank branch beside attention (Laurel).

Per-layer embeddings as in Gemma 4, which kept them; the last layers read the keys and values of earlier ones; MLPs of the first layers let
few activations pass. Norms have a plain weight. Vision is a MobileNetV5, audio a Conformer; both also embed a few tokens of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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
)
from .gemma4 import per_layer_parts, shared_mixers


def read(c: ConfigKeys) -> Draft:
    if c.model_type == "gemma3n" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "gemma3n_text")
        text = read(part)
        towers = {
            name: tower(c, text)
            for name, tower in (("vision", vision), ("audio", audio))
            if c.has(f"{name}_config")
        }
        c.ignore(
            "audio_config",
            "vision_config",
            "vision_soft_tokens_per_image",
            "audio_soft_tokens_per_image",
        )
        return blocks.wrapped(c, part, text, towers)
    n = c.layer_count().value
    of, how = blocks.sliding_layers(
        c, n, lambda i: (i + 1) % 5 != 0, "full on every 5th layer, the others slide"
    )
    names, how = shared_mixers(c, of, how)
    sparse, by = sparsity(c, n)
    c.expect("query_pre_attn_scalar", 256)  # in the published files; the class does not scale
    c.ignore("altup_lr_multiplier")
    kinds = [(m, "dense_sparse" if s else "dense") for m, s in zip(names, sparse, strict=True)]
    name = {k: f"{k[0]}_sparse" if k[1] == "dense_sparse" else k[0] for k in dict.fromkeys(kinds)}
    return blocks.decoder(
        c,
        mixers={m: mixer(c, m) for m in dict.fromkeys(names)},
        ffns=feed_forward(c, max(sparse), not all(sparse), n),
        embedding=embedding(c),
        head=draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping")),
        residual=draft(
            s.Residual,
            kind="altup",
            streams=c.size("altup_num_inputs"),
            active=c.size("altup_active_idx", least=0),
            clip=c.optional(c.number, "altup_coef_clip"),
        ),
        layer_kinds={name[k]: draft(s.LayerKind, steps=steps(c, *k)) for k in name},
        layers=derived([name[k] for k in kinds], f"{how.evidence.ref}; {by.evidence.ref}"),
    )


def sparsity(c: ConfigKeys, n: int) -> tuple[list[float], Sourced]:
    """The share of activations that is cut on each layer; by default 0.95 on the first ten."""
    given = c.value("activation_sparsity_pattern", default=None)
    if given.value is None:
        first = 10 if n > 10 else 0
        return [0.95] * first + [0.0] * (n - first), derived(
            None, "no activation_sparsity_pattern: 0.95 on the first 10 layers"
        )
    if isinstance(given.value, (int, float)):
        return [float(given.value)] * n, given
    values = [
        float(v) for v in c.items("activation_sparsity_pattern", length=n, of=(int, float)).value
    ]
    if len(set(values) - {0.0}) > 1:
        raise ConfigError(
            f"{c.file}: {c.key('activation_sparsity_pattern')} has several shares; llmarch knows one beside 0"
        )
    return values, given


def mixer(c: ConfigKeys, name: str) -> Draft:
    """Scores are not scaled; queries and keys are normed per head, values without weight. Bases as in Gemma 3."""
    kind, _, shared = name.partition("_")
    bias, dim = c.flag("attention_bias"), c.size("head_dim")
    theta = c.number("rope_local_base_freq") if kind == "sliding" else None
    turn = blocks.rope(
        c,
        derived(dim.value, "all of head_dim"),
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
        kv_from=derived(
            kind, f"{c.key('num_kv_shared_layers')}: the last layer of the kind that has its own"
        )
        if shared
        else None,
        qkv_bias=bias,
        output_bias=bias,
        window=c.size("sliding_window") if kind == "sliding" else None,
        scale=1.0,
        rope=turn,
    )


def feed_forward(c: ConfigKeys, share: float, plain: bool, n: int) -> dict[str, Draft]:
    width, geglu = c.value("intermediate_size"), blocks.activation(c, "hidden_activation")
    if isinstance(width.value, list):
        widths = set(c.items("intermediate_size", length=n, of=int).value)
        if len(widths) > 1:
            raise ConfigError(
                f"{c.file}: {c.key('intermediate_size')} differs from layer to layer; llmarch knows one width for all"
            )
        width = same_evidence(widths.pop(), width)
    else:
        width = c.size("intermediate_size")
    dense = draft(s.Dense, width=width, activation=geglu)
    cut = (
        {"dense_sparse": dense.replace(sparsity=derived(share, "activation_sparsity_pattern"))}
        if share
        else {}
    )
    return {
        **({"dense": dense} if plain else {}),
        **cut,
        "laurel": draft(
            s.Dense, width=c.size("laurel_rank"), activation="identity", gated=False, own_skip=True
        ),
        "per_layer": draft(
            s.Dense,
            width=c.size("hidden_size_per_layer_input"),
            activation=geglu,
            gated=False,
            per_layer=True,
        ),
    }


def embedding(c: ConfigKeys) -> Draft:
    root, width = (
        derived(c.size("hidden_size").value ** 0.5, "sqrt(hidden_size)"),
        c.size("hidden_size_per_layer_input"),
    )
    scale, rows = (
        derived(width.value**0.5, f"sqrt({width.evidence.ref})"),
        c.size("vocab_size_per_layer_input"),
    )
    inner = draft(s.PerLayerEmbedding, width=width, vocab_size=rows, scale=scale)
    return draft(s.Embedding, tied=c.flag("tie_word_embeddings"), scale=root, per_layer=inner)


def steps(c: ConfigKeys, mixer: str, mlp: str) -> list[Draft]:
    """Attention and Laurel read the same norm; the sum of stream, attention and Laurel is over sqrt(2)."""
    c.flag("altup_correct_scale")
    half = 0.5**0.5
    branches = [
        draft(s.Branch, block=b, post_norm="rms", scale=half)
        for b in (f"mixers.{mixer}", "ffns.laurel")
    ]
    first = draft(s.Step, branches=branches, pre_norm="rms", skip_scale=half)
    return [
        first,
        blocks.sandwich_step(f"ffns.{mlp}"),
        draft(s.Step, branches=[draft(s.Branch, block="ffns.per_layer", post_norm="rms")]),
    ]


# --- encoders -----------------------------------------------------------------------------------------------------

TIMM = "timm 1.0.31 models/mobilenetv5.py mobilenetv5_300m_enc"


def inverted(inputs: int, outputs: int, width: int, kernel: int = 0, mid: int = 0) -> s.ConvBlock:
    return s.ConvBlock(
        kind="inverted", inputs=inputs, outputs=outputs, width=width, kernel=kernel, mid_kernel=mid
    )


def in_turns(
    channels: int, queries: int, keys: int, kernel: int, width: int, times: int
) -> tuple[s.ConvBlock, ...]:
    """Attention and an MLP of 1 x 1 convolutions, in turns."""
    attend = s.ConvBlock(
        kind="attention",
        inputs=channels,
        outputs=channels,
        width=queries,
        kernel=kernel,
        key_width=keys,
    )
    return (attend, inverted(channels, channels, width)) * times


def mobilenet_v5() -> tuple[tuple[s.ConvBlock, ...], ...]:
    edge = s.ConvBlock(kind="edge", inputs=64, outputs=128, width=256, kernel=3)
    again = replace(edge, inputs=128, width=512)
    return (
        (edge, again, again),
        (inverted(128, 256, 768, 3, 5), *(inverted(256, 256, 1024, k) for k in (5, 3, 5, 3))),
        (
            inverted(256, 640, 1536, 5, 5),
            *(inverted(640, 640, 2560, 5) for _ in range(7)),
            inverted(640, 640, 640),
            *in_turns(640, 768, 64, 3, 1280, 14),
        ),
        (inverted(640, 1280, 3840, 5, 5), *in_turns(1280, 1536, 96, 0, 2560, 19)),
    )


def vision(c: ConfigKeys, text: Draft) -> Draft:
    v = FAMILY.part(c, "vision_config", "gemma3n_vision")
    name = v.word("architecture")
    if name.value != "mobilenetv5_300m_enc":
        raise ConfigError(
            f"{c.file}: {v.key('architecture')} is {name.value!r}; llmarch knows mobilenetv5_300m_enc in this place"
        )
    v.ignore(
        "model_type",
        "vocab_offset",
        "rms_norm_eps",
        "model_args",
        "do_pooling",
        "num_classes",
        "label_names",
        "pretrained_cfg",
    )
    hidden = v.size("hidden_size")
    return draft(
        s.ConvTower,
        TIMM,
        kind=name,
        stem=64,
        stages=hard_coded(mobilenet_v5(), TIMM),
        fusion_width=3840,
        outputs=hidden,
        tokens=c.size("vision_soft_tokens_per_image", default=256),
        vocabulary=v.size("vocab_size"),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
    )


def audio(c: ConfigKeys, text: Draft) -> Draft:
    v = FAMILY.part(c, "audio_config", "gemma3n_audio")
    kind = v.word("model_type", default="gemma3n_audio")
    v.ignore("gradient_clipping", "vocab_offset", "sscp_conv_group_norm_eps", "sscp_conv_eps")
    v.expect("conf_residual_weight", 0.5)
    v.expect("sscp_conv_kernel_size", [[3, 3], [3, 3]])
    v.expect("sscp_conv_stride_size", [[2, 2], [2, 2]])
    hidden, channels, bins = (
        v.size("hidden_size"),
        v.items("sscp_conv_channel_size", of=int),
        v.size("input_feat_size"),
    )
    flat = derived(
        channels.value[-1] * (bins.value // 4),
        "the last of sscp_conv_channel_size * input_feat_size / 4",
    )
    c.ignore("conf_reduction_factor")
    v.size("conf_reduction_factor")
    return draft(
        s.Conformer,
        v.ref,
        kind=kind,
        layers=v.layer_count("conf_num_hidden_layers"),
        hidden_size=hidden,
        heads=v.size("conf_num_attention_heads"),
        width=derived(4 * hidden.value, "4 * audio hidden_size"),
        activation="silu",
        norm=blocks.rms_norm(v),
        conv_kernel=v.size("conf_conv_kernel_size"),
        chunk=v.size("conf_attention_chunk_size"),
        left_context=derived(
            v.size("conf_attention_context_left").value - 1, "conf_attention_context_left - 1"
        ),
        right_context=v.size("conf_attention_context_right", least=0),
        softcap=v.number("conf_attention_logit_cap"),
        subsampling=channels,
        subsampled=draft(s.Linear, inputs=flat, outputs=hidden),
        vocabulary=v.size("vocab_size"),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
    )


# --- names --------------------------------------------------------------------------------------------------------


def laurel_parts(f: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    yield from tensors.linear("laurel.linear_left", f.width, hidden, "mlp", ("width",))
    yield from tensors.linear("laurel.linear_right", hidden, f.width, "mlp")


def tower_names(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    for component, t in a.towers.items():
        if isinstance(t, s.ConvTower):
            yield from conv_names(t, "model.vision_tower.timm_model.")
        elif isinstance(t, s.Conformer):
            yield from conformer_names(t, "model.audio_tower.")
        else:
            continue
        at, w = f"model.embed_{component}.", t.projector[0].inputs
        yield tensors.TensorRow(
            f"{at}embedding.weight",
            (t.vocabulary, w),
            (),
            component,
            (f"towers.{component}.vocabulary",),
        )
        for norm in ("hard", "soft"):
            yield tensors.TensorRow(f"{at}{norm}_embedding_norm.weight", (w,), (), component)
        for r in tensors.matrix_rows(f"{at}embedding_projection", t.projector[0]):
            yield tensors.TensorRow(r.pattern, r.shape, r.axes, component, r.proves)


def conv_names(t: s.ConvTower, at: str) -> Iterator[tensors.TensorRow]:
    """Blocks of a stage that are alike share their rows."""
    part = "vision"
    yield tensors.TensorRow(
        f"{at}conv_stem.conv.weight", (t.stem, 3, 3, 3), (), part, ("towers.vision.stem",)
    )
    yield tensors.TensorRow(f"{at}conv_stem.conv.bias", (t.stem,), (), part)
    yield tensors.TensorRow(f"{at}conv_stem.bn.weight", (t.stem,), (), part)
    for i, stage in enumerate(t.stages):
        numbers: dict[s.ConvBlock, list[int]] = {}
        for j, block in enumerate(stage):
            numbers.setdefault(block, []).append(j)
        for block, js in numbers.items():
            for name, shape in block_shapes(block):
                yield tensors.TensorRow(
                    f"{at}blocks.{{}}.{{}}.{name}",
                    shape,
                    ((i,), tuple(js)),
                    part,
                    ("towers.vision.stages",),
                )
    taken = sum(stage[-1].outputs for stage in t.stages[-2:])
    for name, outputs, inputs in (
        ("pw_exp", t.fusion_width, taken),
        ("pw_proj", t.outputs, t.fusion_width),
    ):
        yield tensors.TensorRow(
            f"{at}msfa.ffn.{name}.conv.weight",
            (outputs, inputs, 1, 1),
            (),
            part,
            ("towers.vision.fusion_width",),
        )
        yield tensors.TensorRow(f"{at}msfa.ffn.{name}.bn.weight", (outputs,), (), part)
    yield tensors.TensorRow(f"{at}msfa.norm.weight", (t.outputs,), (), part)


def block_shapes(b: s.ConvBlock) -> Iterator[tuple[str, tuple[int, ...]]]:
    if b.kind == "edge":
        yield "conv_exp.weight", (b.width, b.inputs, b.kernel, b.kernel)
        yield "bn1.weight", (b.width,)
        yield "conv_pwl.weight", (b.outputs, b.width, 1, 1)
        yield "bn2.weight", (b.outputs,)
        return
    if b.kind == "inverted":
        for name, channels, kernel in (
            ("dw_start", b.inputs, b.kernel),
            ("dw_mid", b.width, b.mid_kernel),
        ):
            if kernel:
                yield f"{name}.conv.weight", (channels, 1, kernel, kernel)
                yield f"{name}.bn.weight", (channels,)
        for name, outputs, inputs in (
            ("pw_exp", b.width, b.inputs),
            ("pw_proj", b.outputs, b.width),
        ):
            yield f"{name}.conv.weight", (outputs, inputs, 1, 1)
            yield f"{name}.bn.weight", (outputs,)
    else:
        yield "norm.weight", (b.inputs,)
        yield "attn.query.proj.weight", (b.width, b.inputs, 1, 1)
        for name in ("key", "value"):
            if b.kernel:
                yield f"attn.{name}.down_conv.weight", (b.inputs, 1, b.kernel, b.kernel)
                yield f"attn.{name}.norm.weight", (b.inputs,)
            yield f"attn.{name}.proj.weight", (b.key_width, b.inputs, 1, 1)
        yield "attn.output.proj.weight", (b.outputs, b.width, 1, 1)
    yield "layer_scale.gamma", (b.outputs,)


def conformer_names(t: s.Conformer, at: str) -> Iterator[tensors.TensorRow]:
    w, numbers, part, (first, second) = (
        t.hidden_size,
        (tuple(range(t.layers)),),
        "audio",
        t.subsampling,
    )
    for i, shape in enumerate(((first, 1, 3, 3), (second, first, 3, 3))):
        yield tensors.TensorRow(
            f"{at}subsample_conv_projection.conv_{i}.conv.weight",
            shape,
            (),
            part,
            ("towers.audio.subsampling",),
        )
        yield tensors.TensorRow(
            f"{at}subsample_conv_projection.conv_{i}.norm.weight", shape[:1], (), part
        )
    yield tensors.TensorRow(
        f"{at}subsample_conv_projection.input_proj_linear.weight",
        (w, t.subsampled.inputs),
        (),
        part,
    )
    layer = f"{at}conformer.{{}}."
    matrices = {
        **{
            f"ffw_layer_{i}.ffw_layer_{j}": (t.width, w) if j == 1 else (w, t.width)
            for i in ("start", "end")
            for j in (1, 2)
        },
        **{f"attention.attn.{x}_proj": (w, w) for x in ("q", "k", "v")},
        "attention.attn.relative_position_embedding.pos_proj": (w, w),
        "attention.post": (w, w),
        "lconv1d.linear_start": (2 * w, w),
        "lconv1d.linear_end": (w, w),
    }
    for name, shape in matrices.items():
        yield tensors.TensorRow(
            f"{layer}{name}.weight", shape, numbers, part, ("towers.audio.width",)
        )
    norms = (
        "attention.pre_attn_norm",
        "attention.post_norm",
        "lconv1d.pre_layer_norm",
        "lconv1d.conv_norm",
        "norm",
    )
    for name in (
        *(f"ffw_layer_{i}.{x}_layer_norm" for i in ("start", "end") for x in ("pre", "post")),
        *norms,
    ):
        yield tensors.TensorRow(f"{layer}{name}.weight", (w,), numbers, part)
    yield tensors.TensorRow(
        f"{layer}attention.attn.per_dim_scale",
        (w // t.heads,),
        numbers,
        part,
        ("towers.audio.heads",),
    )
    yield tensors.TensorRow(
        f"{layer}lconv1d.depthwise_conv1d.weight",
        (w, 1, t.conv_kernel),
        numbers,
        part,
        ("towers.audio.conv_kernel",),
    )


NORMS = (
    "input_layernorm", "post_attention_layernorm", "laurel.post_laurel_norm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
    "post_per_layer_input_norm",
)  # fmt: skip


def naming(a: s.Architecture) -> tensors.Naming:
    at = "model.language_model." if a.towers or a.model_type == "gemma3n" else "model."
    return tensors.Naming(
        embedding=f"{at}embed_tokens.weight",
        layer=f"{at}layers.{{}}.",
        final_norm=f"{at}norm",
        norms=NORMS,
        blocks={"ffns.laurel": laurel_parts, "ffns.per_layer": per_layer_parts},
        altup=(f"{at}altup_projections", f"{at}altup_unembed_projections"),
        per_layer=(
            f"{at}embed_tokens_per_layer.weight",
            f"{at}per_layer_model_projection.weight",
            f"{at}per_layer_projection_norm.weight",
        ),
        tower=tower_names,
    )


AUDIO: dict[str, Any] = {
    "vocab_size": 128, "input_feat_size": 128, "hidden_size": 1536, "rms_norm_eps": 1e-6, "conf_attention_chunk_size": 12,
    "conf_attention_context_left": 13, "conf_attention_context_right": 0, "conf_attention_logit_cap": 50.0, "conf_num_attention_heads": 8,
    "conf_num_hidden_layers": 12, "conf_conv_kernel_size": 5, "conf_reduction_factor": 4, "sscp_conv_channel_size": [128, 32],
}  # fmt: skip

FAMILY = Family(
    name="gemma3n",
    title="Gemma 3n",
    ref=modeling("gemma3n"),
    read=read,
    naming=naming,
    defaults={
        "gemma3n": {"tie_word_embeddings": True},
        "gemma3n_text": {
            "vocab_size": 262400, "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 35, "num_attention_heads": 8,
            "num_key_value_heads": 2, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "tie_word_embeddings": True,
            "attention_bias": False, "sliding_window": 512, "final_logit_softcapping": 30.0, "vocab_size_per_layer_input": 262144,
            "hidden_size_per_layer_input": 256, "altup_active_idx": 0, "altup_coef_clip": 120.0, "altup_correct_scale": True,
            "altup_num_inputs": 4, "num_kv_shared_layers": 15, "laurel_rank": 64,
        },
        "gemma3n_vision": {"architecture": "mobilenetv5_300m_enc", "hidden_size": 2048, "vocab_size": 128},
        "gemma3n_audio": AUDIO,
    },
    config_class={
        "gemma3n": "Gemma3nConfig", "gemma3n_text": "Gemma3nTextConfig", "gemma3n_vision": "Gemma3nVisionConfig",
        "gemma3n_audio": "Gemma3nAudioConfig",
    },
)  # fmt: skip
