"""Gemma 4: sandwich norms of plain weight, a learned scale a layer, sliding and full layers.

The two kinds of layers have head dims and RoPE of their own. 31B and 26B-A4B: full layers take
their values from the keys; 26B-A4B has a dense MLP and a MoE side by side. E2B and E4B: per-layer
embeddings, and the last layers read the keys and values of earlier ones. All have a vision tower,
the E models an audio tower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import NotAModel
from ...tensors import conformer
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "gemma4_unified":
        part = FAMILY.part(c, "text_config", "gemma4_unified_text")
        text = FAMILY.read_layers(part)
        c.ignore("audio_config", "vision_config")
        return blocks.wrapped(c, part, text, vision=_patch_embedding, audio=_sound_embedding)
    if c.model_type == "gemma4" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "gemma4_text")
        text = FAMILY.read_layers(part)
        c.ignore("audio_config", "vision_config")
        c.ignore("vision_soft_tokens_per_image")  # vision_config repeats it
        return blocks.wrapped(c, part, text, vision=_vision_tower, audio=_audio_tower)
    layers = _attention_layers(c)
    mixers = {name: _mixer(c, name) for name in dict.fromkeys(layers.value)}
    shared = [name.endswith("_shared") for name in layers.value]
    wide = c.flag("use_double_wide_mlp").value and any(shared)
    ffns = _feed_forward(c, dense=not (wide and all(shared)), wide=wide)
    kinds: dict[str, Draft] = {}
    for name in mixers:
        mlp = "dense_wide" if wide and name.endswith("_shared") else "dense"
        kinds[name] = draft(s.LayerKind, steps=_steps(name, mlp, ffns), learned_scale=True)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffns,
        embedding=_embedding(c, ffns),
        head=draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping")),
        layer_kinds=kinds,
        layers=layers,
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read each layer's mixer; the class makes the last layer a full one."""
    reason = "full on every 6th layer, the others slide"
    layers = blocks.sliding_layers(c, lambda i: (i + 1) % 6 != 0, reason)
    layers = same_evidence([*layers.value[:-1], "full"], layers)
    return blocks.shared_kv_layers(c, layers)


def _mixer(c: ConfigKeys, name: str) -> Draft:
    """Read attention: QK-norm and a norm on values per head, scores without a scale.

    Raises NotAModel for a model whose text tokens see later ones.
    """
    kind, _, shared = name.partition("_")
    facts: dict[str, Any] = blocks.attention_biases(c)
    facts |= _sliding_facts(c) if kind == "sliding" else _full_facts(c)
    usual = c.defaults.get("use_bidirectional_attention")
    sees_ahead = c.word("use_bidirectional_attention", default=usual)
    if sees_ahead.value not in (None, "vision"):
        key = c.key("use_bidirectional_attention")
        raise NotAModel(f"{c.file}: {key} is {sees_ahead.value!r}: an encoder, not a decoder")
    if kind == "full":  # causal, unlike those of Gemma 3
        sees_ahead = hard_coded(None, c.ref)
    if shared:
        key = c.key("num_kv_shared_layers")
        facts["kv_from"] = derived(kind, f"{key}: the last layer of the kind that has its own")
    return blocks.attention(
        c,
        v_head_dim=facts["head_dim"],
        qk_norm=draft(s.QKNorm, scope="head"),
        value_norm=True,
        scale=1.0,
        sees_ahead=sees_ahead,
        rope=blocks.proportional_rope(c, facts["head_dim"], f"{kind}_attention"),
        **facts,
    )


def _sliding_facts(c: ConfigKeys) -> dict[str, Any]:
    """Read what only sliding layers have."""
    return {
        "window": c.size("sliding_window"),
        "head_dim": c.size("head_dim"),
        "kv_heads": c.size("num_key_value_heads"),
    }


def _full_facts(c: ConfigKeys) -> dict[str, Any]:
    """Read what only full layers have: wider heads, and with attention_k_eq_v fewer KV heads."""
    values_from_keys = c.flag("attention_k_eq_v")
    if "per_layer_config" in c.data:  # transformers writes it in place of the two keys for all
        c.ignore("num_global_key_value_heads", "global_head_dim")
        return {
            "values_from_keys": values_from_keys,
            "head_dim": c.size("head_dim"),
            "kv_heads": c.size("num_key_value_heads"),
        }
    few = c.size("num_global_key_value_heads", default=None)
    kv_heads = c.size("num_key_value_heads")
    c.ignore("head_dim")  # of sliding layers
    return {
        "values_from_keys": values_from_keys,
        "head_dim": c.size("global_head_dim"),
        "kv_heads": few if values_from_keys.value and few.value else kv_heads,
    }


def _feed_forward(c: ConfigKeys, *, dense: bool, wide: bool) -> dict[str, Draft]:
    """Read the MLPs, the MoE, and the block that adds per-layer embeddings.

    dense: whether layers have an MLP of the usual width.
    wide: whether layers have an MLP of twice that width.
    """
    width = c.size("intermediate_size")
    geglu = blocks.activation_name(c, "hidden_activation")
    ffns: dict[str, Draft] = {}
    if dense:
        ffns["dense"] = draft(s.Dense, width=width, activation=geglu)
    if wide:
        formula = f"2 * {c.key('intermediate_size')}, by use_double_wide_mlp"
        twice = derived(2 * width.value, formula)
        ffns["dense_wide"] = draft(s.Dense, width=twice, activation=geglu)
    if c.model_type == "gemma4_unified_text":  # its class has neither
        return ffns
    if c.flag("enable_moe_block").value:
        ffns["moe"] = _moe(c, geglu)
    c.ignore("num_experts", "top_k_experts", "moe_intermediate_size")
    c.expect("expert_intermediate_size", None)
    slice_width = c.size("hidden_size_per_layer_input", least=0)
    c.size("vocab_size_per_layer_input", least=0)
    if slice_width.value:
        ffns["per_layer"] = draft(
            s.Dense, width=slice_width, activation=geglu, gated=False, per_layer=True
        )
    return ffns


def _moe(c: ConfigKeys, activation: Sourced) -> Draft:
    """Read the MoE, whose router has a norm and scales of its own."""
    router = draft(
        s.Router,
        scoring="softmax",
        normalized=True,
        own_norm=True,
        input_scale=True,
        expert_scale=True,
    )
    experts = ("num_experts",)
    active = ("top_k_experts",)
    return blocks.moe(c, router, experts=experts, active=active, activation=activation)


def _embedding(c: ConfigKeys, ffns: dict[str, Draft]) -> Draft:
    """Read the embedding, and the smaller one that each layer may have of its own."""
    root = derived(c.size("hidden_size").value ** 0.5, "sqrt(hidden_size)")
    own = blocks.embedding(c, scale=root)
    if "per_layer" not in ffns:
        return own
    width = ffns["per_layer"]["width"]
    per_layer = draft(
        s.PerLayerEmbedding,
        width=width,
        vocab_size=c.size("vocab_size_per_layer_input"),
        scale=derived(width.value**0.5, f"sqrt({width.evidence.ref})"),
    )
    return own.replace(per_layer=per_layer)


def _steps(mixer: str, mlp: str, ffns: dict[str, Draft]) -> list[Draft]:
    """Return the steps of a layer: attention, MLP (beside MoE), per-layer embedding."""
    attention = blocks.sandwich_step(f"mixers.{mixer}")
    feed_forward = blocks.sandwich_step(f"ffns.{mlp}")
    if "moe" in ffns:
        branches = [
            draft(s.Branch, block=f"ffns.{name}", pre_norm="rms", post_norm="rms")
            for name in (mlp, "moe")
        ]
        feed_forward = draft(s.Step, branches=branches, join_norm="rms")
    if "per_layer" in ffns:
        return [attention, feed_forward, blocks.post_norm_step("ffns.per_layer")]
    return [attention, feed_forward]


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the vision tower: a ViT of the decoder's own kind of layers.

    Positions are learned for rows and columns; features are averaged over squares of patches.
    """
    v = FAMILY.part(c, "vision_config", "gemma4_vision")
    kind = vision.encoder_kind(v, "gemma4_vision")
    v.ignore("video_seq_length", "max_position_embeddings", "global_head_dim")
    v.ignore("chunk_size_feed_forward", "is_encoder_decoder")
    hidden = v.size("hidden_size")
    dim = v.size("head_dim")
    mlp = blocks.dense(v, activation=blocks.activation_name(v, "hidden_activation"))
    return vision.transformer(
        v,
        channels="",
        kind=kind,
        kv_heads=v.size("num_key_value_heads"),
        head_dim=dim,
        qk_norm=True,
        attention_bias=v.expect("attention_bias", False),
        ffn=mlp,
        norm=blocks.rms_norm(v),
        layer_norms=4,
        positions=v.size("position_embedding_size"),
        position_axes=2,
        rope=draft(s.Rope, theta=vision.rope_theta(v, 100.0), rotary_dim=dim),
        merge=v.size("pooling_kernel_size"),
        tokens=v.size("default_output_length", "image_seq_length", default=None),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
        clipped=v.flag("use_clipped_linears"),
        standardized=v.flag("standardize"),
    )


def _audio_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the audio tower, a Conformer."""
    v = FAMILY.part(c, "audio_config", "gemma4_audio")
    v.describe_only("gradient_clipping", 1e10, "behaviour")
    v.describe_only("attention_invalid_logits_value", -1e9, "behaviour")
    v.ignore("chunk_size_feed_forward", "is_encoder_decoder")
    v.describe_only("residual_weight", 0.5, "behaviour")
    hidden = v.size("hidden_size")
    channels = v.items("subsampling_conv_channels", entry=int, least=1)
    outputs = v.size("output_proj_dims")
    features = channels.value[-1] * 32  # 128 mel bins, halved twice
    formula = "the last of subsampling_conv_channels * 128 mel bins / 4"
    left = v.size("attention_context_left").value - 1
    return draft(
        s.Conformer,
        v.ref,
        kind=same_evidence("gemma4_audio", v.word("model_type", default="gemma4_audio")),
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=v.size("num_attention_heads"),
        width=derived(4 * hidden.value, "4 * audio hidden_size"),
        activation=blocks.activation_name(v),
        norm=blocks.rms_norm(v),
        conv_kernel=v.size("conv_kernel_size"),
        chunk=v.size("attention_chunk_size"),
        left_context=derived(left, "attention_context_left - 1"),
        right_context=v.size("attention_context_right", least=0),
        softcap=v.number("attention_logit_cap"),
        subsampling=channels,
        subsampled=draft(s.Linear, inputs=derived(features, formula), outputs=hidden),
        output=draft(s.Linear, inputs=hidden, outputs=outputs, bias=True),
        projector=[draft(s.Linear, inputs=outputs, outputs=text["hidden_size"])],
        clipped=v.flag("use_clipped_linears"),
    )


def _patch_embedding(c: ConfigKeys, text: Draft) -> Draft:
    """Read what gemma4_unified has in the place of a vision tower: two matrices and three norms.

    Squares of patches are joined first; positions are learned for rows and columns.
    """
    v = FAMILY.part(c, "vision_config", "gemma4_unified_vision")
    kind = vision.encoder_kind(v, "gemma4_unified_vision")
    v.ignore("model_patch_size", "chunk_size_feed_forward", "is_encoder_decoder", "num_soft_tokens")
    v.describe_only("rms_norm_eps", 1e-6, "behaviour")
    side = v.size("patch_size").value * v.size("pooling_kernel_size").value
    pixels = derived(3 * side**2, "3 * (patch_size * pooling_kernel_size)^2")
    hidden, features = v.size("mm_embed_dim"), v.size("output_proj_dims")
    return draft(
        s.FeatureEmbedding,
        v.ref,
        kind=kind,
        patch_size=derived(side, "patch_size * pooling_kernel_size"),
        positions=v.size("mm_posemb_size"),
        position_axes=2,
        norms=derived([pixels.value, hidden.value, hidden.value], "mm_embed_dim"),
        projector=[
            draft(s.Linear, inputs=pixels, outputs=hidden, bias=True),
            draft(s.Linear, inputs=features, outputs=text["hidden_size"]),
        ],
    )


def _sound_embedding(c: ConfigKeys, text: Draft) -> Draft:
    """Read what gemma4_unified has in the place of an audio tower: one matrix of raw samples."""
    v = FAMILY.part(c, "audio_config", "gemma4_unified_audio")
    kind = vision.encoder_kind(v, "gemma4_unified_audio")
    v.ignore("chunk_size_feed_forward", "is_encoder_decoder")
    v.describe_only("rms_norm_eps", 1e-6, "behaviour")
    keys = ("audio_embed_dim", "hidden_size", "output_proj_dims", "audio_samples_per_token")
    samples = v.size(*keys)
    matrix = draft(s.Linear, inputs=samples, outputs=text["hidden_size"])
    return draft(s.FeatureEmbedding, v.ref, kind=kind, projector=[matrix])


def _moe_parts(f: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the router with its scales, and the stacked experts."""
    router = tensors.Module("router", "router")
    experts = tensors.Module("experts", "experts")
    facts = ("expert_width", "experts")
    yield from router.linear("proj", f.experts, hidden, "experts")
    yield router.vector("scale", hidden, "router.input_scale")
    yield router.vector("per_expert_scale", f.experts, "router.expert_scale")
    yield experts.tensor("gate_up_proj", (f.experts, 2 * f.expert_width, hidden), *facts)
    yield experts.tensor("down_proj", (f.experts, hidden, f.expert_width), *facts)


def _bound_rows(
    layer: str, names: tuple[str, ...], layers: int, component: str
) -> Iterator[tensors.TensorRow]:
    """Yield the four scalars of each matrix that clamp its inputs and outputs."""
    axes = (tuple(range(layers)),)
    facts = (f"towers.{component}.clipped",)
    for name in names:
        for bound in ("input_min", "input_max", "output_min", "output_max"):
            yield tensors.TensorRow(f"{layer}{name}.{bound}", (), axes, component, facts)


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the encoders and their projectors."""
    if a.model_type == "gemma4_unified":
        yield from _feature_rows(a)
        return
    t = a.towers.get("vision")
    if isinstance(t, s.Tower):
        yield from _vision_rows(t, "model.vision_tower.")
        projection = "model.embed_vision.embedding_projection"
        yield from tensors.projector_rows(t, projection)
    audio = a.towers.get("audio")
    if isinstance(audio, s.Conformer):
        yield from _audio_rows(audio, "model.audio_tower.")
        projection = "model.embed_audio.embedding_projection"
        matrix = audio.projector[0]
        yield from tensors.matrix_rows(projection, matrix, component="audio")


def _feature_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield what stands in the place of the encoders of gemma4_unified."""
    patches = a.towers.get("vision")
    if isinstance(patches, s.FeatureEmbedding):
        module = "model.vision_embedder."
        first, second = patches.projector
        norm = s.Norm(kind="layernorm", bias=True)
        for name, width in zip(("patch_ln1", "patch_ln2", "pos_norm"), patches.norms, strict=True):
            yield from tensors.norm_rows(module + name, norm, width, (), "vision")
        facts = ("towers.vision.patch_size",)
        yield from tensors.matrix_rows(f"{module}patch_dense", first, proves=facts)
        shape = (patches.positions, patches.position_axes, first.outputs)
        facts = ("towers.vision.positions",)
        yield tensors.TensorRow(f"{module}pos_embedding", shape, (), "vision", facts)
        yield from tensors.matrix_rows("model.embed_vision.embedding_projection", second)
    sounds = a.towers.get("audio")
    if isinstance(sounds, s.FeatureEmbedding):
        (matrix,) = sounds.projector
        name = "model.embed_audio.embedding_projection"
        yield from tensors.matrix_rows(name, matrix, component="audio")


_VISION_ATTENTION = tensors.split_attention_parts(
    q="q_proj.linear", k="k_proj.linear", v="v_proj.linear", o="o_proj.linear"
)
_VISION_MLP = tensors.dense_parts("mlp", "gate_proj.linear", "up_proj.linear", "down_proj.linear")
_CLIPPED = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def _vision_rows(t: s.Tower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the vision tower."""
    part = "vision"
    layer = f"{prefix}encoder.layers.{{}}."
    table = f"{prefix}patch_embedder.position_embedding_table"
    shape = (t.position_axes, t.positions, t.hidden_size)
    yield from tensors.position_rows(table, t, shape)
    patches = f"{prefix}patch_embedder.input_proj"
    facts = ("towers.vision.patch_size",)
    yield from tensors.matrix_rows(patches, t.patch_embedding, proves=facts)
    norms = tensors.SANDWICH_NORMS
    yield from tensors.encoder_layer_rows(t, layer, norms, _VISION_ATTENTION, _VISION_MLP)
    if t.clipped:
        yield from _bound_rows(layer, _CLIPPED, t.layers, part)
    if t.standardized:
        facts = ("towers.vision.standardized",)
        for name in ("std_bias", "std_scale"):
            yield tensors.TensorRow(prefix + name, (t.hidden_size,), (), part, facts)


def _audio_rows(t: s.Conformer, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the audio tower."""
    yield from conformer.conformer_rows(t, prefix, _AUDIO_NAMES)
    if t.clipped:
        names = tuple(_AUDIO_NAMES.matrices(t.width, t.hidden_size))
        yield from _bound_rows(f"{prefix}layers.{{}}.", names, t.layers, "audio")
    if t.output:
        yield from tensors.matrix_rows(f"{prefix}output_proj", t.output, component="audio")


_AUDIO_NAMES = conformer.ConformerNames(
    convolution="layer{}",
    layer="layers.{}.",
    halves=("feed_forward1", "feed_forward2"),
    attention="self_attn.",
    output="self_attn.post",
    positions="self_attn.relative_k_proj.weight",
    norms=(
        "norm_pre_attn",
        "norm_post_attn",
        "norm_out",
        "lconv1d.pre_layer_norm",
        "lconv1d.conv_norm",
    ),
    matrix="linear.weight",
)
_MOE_NORMS = (
    *tensors.SANDWICH_NORMS[:3],
    "post_feedforward_layernorm_1",
    "pre_feedforward_layernorm_2",
    "post_feedforward_layernorm_2",
    "post_feedforward_layernorm",
)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, which depend on the blocks and on whether there is a wrapper."""
    norms: tuple[str, ...] = _MOE_NORMS if "moe" in a.ffns else tensors.SANDWICH_NORMS
    if a.embedding.per_layer:
        norms = (*norms, "post_per_layer_input_norm")
    wrapper = bool(a.towers) or a.model_type in ("gemma4", "gemma4_unified")
    prefix = "model.language_model." if wrapper else "model."
    return tensors.Naming(
        linear_router=True,
        embedding=f"{prefix}embed_tokens.weight",
        layer=f"{prefix}layers.{{}}.",
        final_norm=f"{prefix}norm",
        norms=norms,
        blocks={s.MoE: _moe_parts, "ffns.per_layer": tensors.per_layer_input_parts},
        per_layer=(
            f"{prefix}embed_tokens_per_layer.weight",
            f"{prefix}per_layer_model_projection.weight",
            f"{prefix}per_layer_projection_norm.weight",
        ),
        tower=_tower_rows,
    )


_ROPE = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    "full_attention": {
        "rope_type": "proportional",
        "partial_rotary_factor": 0.25,
        "rope_theta": 1000000.0,
    },
}
"""The class default of `rope_parameters`."""


FAMILY = Family(
    name="gemma4",
    title="Gemma 4",
    ref=modeling("gemma4"),
    refs={
        model_type: modeling("gemma4_unified")
        for model_type in (
            "gemma4_unified",
            "gemma4_unified_audio",
            "gemma4_unified_text",
            "gemma4_unified_vision",
        )
    },
    read=read,
    naming=_naming,
    conversions={
        "gemma4_unified": tensors.Conversion(
            renames=(
                tensors.Rename(r"vision_embedder\.", "embed_vision."),
                tensors.Rename(
                    r"embed_vision\.embedding_projection",
                    "embed_vision.multimodal_embedder.embedding_projection",
                ),
            )
        )
    },
    defaults={
        "gemma4": {"tie_word_embeddings": True},
        "gemma4_unified": {"tie_word_embeddings": True},
        "gemma4_unified_vision": {
            "mm_embed_dim": 3840,
            "mm_posemb_size": 1120,
            "output_proj_dims": 3840,
            "patch_size": 16,
            "pooling_kernel_size": 3,
        },
        "gemma4_unified_audio": {"audio_embed_dim": 640},
        "gemma4_text": {
            "vocab_size": 262144,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "global_head_dim": 512,
            "hidden_activation": "gelu_pytorch_tanh",
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "sliding_window": 512,
            "final_logit_softcapping": None,
            "vocab_size_per_layer_input": 262144,
            "hidden_size_per_layer_input": 256,
            "attention_k_eq_v": False,
            "num_kv_shared_layers": 0,
            "enable_moe_block": False,
            "use_double_wide_mlp": False,
            "rope_parameters": _ROPE,
        },
        "gemma4_unified_text": {
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "global_head_dim": 512,
            "hidden_activation": "gelu_pytorch_tanh",
            "max_position_embeddings": 262144,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "sliding_window": 1024,
            "final_logit_softcapping": None,
            "use_bidirectional_attention": "vision",
            "attention_k_eq_v": False,
            "num_kv_shared_layers": 0,
            "use_double_wide_mlp": False,
            "rope_parameters": _ROPE,
        },
        "gemma4_vision": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 16,
            "num_attention_heads": 12,
            "num_key_value_heads": 12,
            "head_dim": 64,
            "hidden_activation": "gelu_pytorch_tanh",
            "rms_norm_eps": 1e-6,
            "attention_bias": False,
            "pooling_kernel_size": 3,
            "patch_size": 16,
            "position_embedding_size": 10240,
            "use_clipped_linears": False,
            "standardize": False,
        },
        "gemma4_audio": {
            "hidden_size": 1024,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
            "hidden_act": "silu",
            "subsampling_conv_channels": [128, 32],
            "conv_kernel_size": 5,
            "attention_chunk_size": 12,
            "attention_context_left": 13,
            "attention_context_right": 0,
            "attention_logit_cap": 50.0,
            "use_clipped_linears": True,
            "rms_norm_eps": 1e-6,
            "output_proj_dims": 1536,
        },
    },
    config_class={
        "gemma4": "Gemma4Config",
        "gemma4_text": "Gemma4TextConfig",
        "gemma4_unified": "Gemma4UnifiedConfig",
        "gemma4_unified_audio": "Gemma4UnifiedAudioConfig",
        "gemma4_unified_text": "Gemma4UnifiedTextConfig",
        "gemma4_unified_vision": "Gemma4UnifiedVisionConfig",
        "gemma4_vision": "Gemma4VisionConfig",
        "gemma4_audio": "Gemma4AudioConfig",
    },
)
