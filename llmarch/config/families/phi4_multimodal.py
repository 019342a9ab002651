"""Phi-4 multimodal: Phi-4 mini's decoder, a SigLIP tower and a Conformer of its own for sounds.

transformers keeps the adapters for images and sounds apart from the model; they are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import phi3


def read(c: ConfigKeys) -> Draft:
    """Read the decoder, whose keys stand beside those of the encoders."""
    c.ignore("resid_pdrop", "embd_pdrop")
    text = phi3.read(c)
    hidden = text["hidden_size"]
    readers = {"vision": _vision_tower, "audio": _audio_tower}
    found = {name: reader(_part(c, name), hidden) for name, reader in readers.items()}
    return text.replace(towers=found)


def _part(c: ConfigKeys, name: str) -> ConfigKeys:
    """Return the nested config of an encoder."""
    return FAMILY.part_or_defaults(c, f"{name}_config", f"phi4_multimodal_{name}")


def _vision_tower(v: ConfigKeys, width: Sourced) -> Draft:
    """Read the tower, whose squares of patches are averaged, and the projector."""
    v.describe_only("crop_size", 448, "behaviour")
    return towers.siglip(
        v,
        ("phi4_multimodal_vision",),
        pooling_head=True,
        features=_features(v, v.layer_count()),
        merge=2,
        separators=2,
        projector=_projector(v.size("hidden_size"), width),
        projector_activation="gelu",
    )


def _features(v: ConfigKeys, layers: Sourced) -> Sourced:
    """Read which layer feeds the projector; negative numbers count from the end.

    Raises ConfigError for a layer that does not exist.
    """
    given = v.size("feature_layer", least=-layers.value - 1, most=layers.value)
    layer = given.value
    if layer < 0:
        layer += layers.value + 1
    return same_evidence([] if layer == layers.value else [layer], given)


def _projector(inputs: Sourced, width: Sourced) -> list[Draft]:
    """Return an MLP of two layers from features to the decoder's width."""
    return [
        draft(s.Linear, inputs=inputs, outputs=width, bias=True),
        draft(s.Linear, inputs=width, outputs=width, bias=True),
    ]


def _audio_tower(v: ConfigKeys, width: Sourced) -> Draft:
    """Read the audio encoder."""
    v.ignore("feature_layer", "dropout_rate")
    v.describe_only("chunk_size", -1, "behaviour")
    v.describe_only("left_chunk", 18, "behaviour")
    for key, word in _WORDS.items():
        v.describe_only(key, word, breaks="behaviour")
    kind = vision.encoder_kind(v, "phi4_multimodal_audio")
    hidden = v.size("hidden_size")
    halvings, final = _halvings(v)
    channels = v.size("nemo_conv_channels")
    inputs = derived(channels.value * final.value, "nemo_conv_channels * nemo_final_size")
    distance, symmetric = v.size("bias_max_distance"), v.flag("bias_symmetric")
    buckets = distance.value if symmetric.value else 2 * distance.value
    rate = v.size("downsample_rate").value
    joined = derived(hidden.value * rate, "hidden_size * downsample_rate")
    return draft(
        s.SpeechConformer,
        v.ref,
        kind=kind,
        layers=v.layer_count("num_blocks"),
        hidden_size=hidden,
        heads=v.size("num_attention_heads"),
        width=v.size("intermediate_size"),
        activation=blocks.activation_name(v, "activation"),
        norm=draft(s.Norm, kind="layernorm", eps=1e-5, bias=True),
        mel_bins=v.size("input_size"),
        subsampling=channels,
        halvings=halvings,
        subsampled=draft(s.Linear, inputs=inputs, outputs=hidden, bias=True),
        buckets=derived(buckets, "bias_max_distance, twice unless bias_symmetric"),
        gate_channels=v.size("ext_pw_out_channel"),
        separable_channels=v.size("depthwise_separable_out_channel"),
        multiplier=v.size("depthwise_multiplier"),
        conv_kernel=v.size("kernel_size"),
        projector=_projector(joined, width),
        projector_activation="gelu",
    )


def _halvings(v: ConfigKeys) -> tuple[Sourced, Sourced]:
    """Read how often the input is halved, and how many frequencies are left then.

    Raises ConfigError for a reduction that is odd.
    """
    reduction = v.size("time_reduction")
    if reduction.value % 2:
        key = v.key("time_reduction")
        raise ConfigError(f"{v.file}: {key} is {reduction.value:,}, which is odd")
    count = int(log2(reduction.value))
    left = v.size("input_size").value
    for _ in range(count):
        left = (left + 1) // 2
    final = v.size("nemo_final_size", default=derived(left, "input_size, halved"))
    return derived(count, "log2(time_reduction)"), final


_ENCODER = "model.embed_tokens_extend.audio_embed.encoder."


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the encoders and their projectors."""
    images = "model.embed_tokens_extend.image_embed."
    sounds = "model.embed_tokens_extend.audio_embed."
    tower, audio = a.towers["vision"], a.towers["audio"]
    assert isinstance(tower, s.Tower) and isinstance(audio, s.SpeechConformer)
    yield from tensors.clip_rows(tower, f"{images}img_processor.")
    facts = ("towers.vision.separators",)
    width = tower.hidden_size
    shapes = {"global_img_feature_extensor": (1, 1), "sub_img_feature_extensor": (1, 1, 1)}
    for name, ones in shapes.items():
        yield tensors.TensorRow(images + name, (*ones, width), (), "vision", facts)
    names = (f"{images}img_projection_up", f"{images}img_projection_down")
    yield from tensors.projector_rows(tower, *names)

    yield from _subsampling_rows(audio)
    yield from _layer_rows(audio, f"{_ENCODER}encoders.{{}}.")
    for use in ("speech", "vision_speech"):
        for name, matrix in zip(("up", "down"), audio.projector, strict=True):
            full = f"{sounds}{name}_proj_for_{use}"
            yield from tensors.matrix_rows(full, matrix, component="audio")


def _subsampling_rows(t: s.SpeechConformer) -> Iterator[tensors.TensorRow]:
    """Yield what stands before the layers: mean and deviation, convolutions, bias by distance."""
    part, channels = "audio", t.subsampling
    for name in ("global_mean", "global_invstd"):
        pattern = f"{_ENCODER}encoder_embedding.{name}"
        yield tensors.TensorRow(pattern, (t.mel_bins,), (), part, ("towers.audio.mel_bins",))

    # the places of a Sequential: 0, then 2 and 3, 5 and 6, with activations between
    deep = (0, *(2 + 3 * i for i in range(t.halvings - 1)))
    flat = tuple(3 + 3 * i for i in range(t.halvings - 1))
    facts = ("towers.audio.subsampling",)
    for numbers, inputs, side in ((deep, 1, 3), (flat, channels, 1)):
        if not numbers:
            continue
        pattern, shape = f"{_ENCODER}embed.conv.{{}}", (channels, inputs, side, side)
        yield tensors.TensorRow(f"{pattern}.weight", shape, (numbers,), part, facts)
        yield tensors.TensorRow(f"{pattern}.bias", (channels,), (numbers,), part)
    yield from tensors.matrix_rows(f"{_ENCODER}embed.out", t.subsampled, component=part)
    table = f"{_ENCODER}relative_attention_bias_layer.bias_values.weight"
    facts = ("towers.audio.buckets",)
    yield tensors.TensorRow(table, (t.buckets, t.heads), (), part, facts)


def _layer_rows(t: s.SpeechConformer, layer: str) -> Iterator[tensors.TensorRow]:
    """Yield the layers of the audio encoder under the pattern `layer`."""
    part, width = "audio", t.hidden_size
    axes = (tuple(range(t.layers)),)
    norms = ("layer_norm_att", "layer_norm", "conv.layer_norm")
    halves = ("feed_forward_in", "feed_forward_out")
    for name in (*norms, *(f"{half}.layer_norm" for half in halves)):
        yield from tensors.norm_rows(layer + name, t.norm, width, axes, part)

    gate, deep = t.gate_channels, t.multiplier * width
    shapes: dict[str, tuple[int, ...]] = {
        "conv.glu.ext_pw_conv_1d": (2 * gate, width, 1),
        "conv.dw_sep_conv_1d.dw_conv": (deep, 1, t.conv_kernel),
        "conv.dw_sep_conv_1d.pw_conv": (t.separable_channels, deep, 1),
        "conv.ext_pw_conv_1d": (gate, width, 1),
    }
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        shapes[f"self_attn.{name}"] = (width, width)
    for half in halves:
        shapes[f"{half}.gate_up_proj"] = (2 * t.width, width)
        shapes[f"{half}.down_proj"] = (width, t.width)
    for name, shape in shapes.items():
        facts = ("towers.audio.hidden_size",)
        yield tensors.TensorRow(f"{layer}{name}.weight", shape, axes, part, facts)
        yield tensors.TensorRow(f"{layer}{name}.bias", shape[:1], axes, part)
    for name in ("b1", "b2"):
        yield tensors.TensorRow(f"{layer}conv.glu.{name}", (1, gate, 1), axes, part)


_WORDS = {"conv_activation": "swish", "conv_glu_type": "swish", "nemo_activation": "relu"}
"""What the convolutions of the audio encoder are read with."""

FAMILY = Family(
    name="phi4_multimodal",
    title="Phi-4 multimodal",
    ref=modeling("phi4_multimodal"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.Attention: tensors.fused_attention_parts(),
            s.Dense: tensors.fused_dense_parts(),
        },
        tower=_tower_rows,
    ),
    defaults={
        "phi4_multimodal": {
            "hidden_act": "silu",
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "max_position_embeddings": 131072,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "original_max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
            "vocab_size": 200064,
        },
        "phi4_multimodal_vision": {
            "feature_layer": -2,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 1152,
            "image_size": 448,
            "intermediate_size": 4304,
            "layer_norm_eps": 1e-6,
            "num_attention_heads": 16,
            "num_channels": 3,
            "num_hidden_layers": 27,
            "patch_size": 14,
        },
        "phi4_multimodal_audio": {
            "activation": "swish",
            "bias_max_distance": 1000,
            "bias_symmetric": False,
            "depthwise_multiplier": 1,
            "depthwise_separable_out_channel": 1024,
            "downsample_rate": 1,
            "ext_pw_out_channel": 1024,
            "hidden_size": 1024,
            "input_size": 80,
            "intermediate_size": 1536,
            "kernel_size": 3,
            "nemo_conv_channels": 1024,
            "num_attention_heads": 16,
            "num_blocks": 24,
            "time_reduction": 8,
        },
    },
    config_class={
        "phi4_multimodal": "Phi4MultimodalConfig",
        "phi4_multimodal_audio": "Phi4MultimodalAudioConfig",
        "phi4_multimodal_vision": "Phi4MultimodalVisionConfig",
    },
)
