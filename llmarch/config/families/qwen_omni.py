"""Qwen2.5-Omni and Qwen3-Omni: the thinker, a decoder behind a vision tower and an audio encoder.

Its parts are those of Qwen2.5-VL and Qwen3-VL, with Whisper's layers for sounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import qwen2_vl, qwen3_vl
from .qwen3 import plain_moe

_THINKERS = ("qwen2_5_omni_thinker", "qwen3_omni_moe_thinker")
_MIXTURE = "qwen3_omni_moe"


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type in _THINKERS:
        return _thinker(c)
    if c.model_type == "qwen2_5_omni_text":
        return qwen2_vl.read(c)
    return qwen3_vl.moe_decoder(c, _moe)


def _moe(c: ConfigKeys) -> Draft:
    """Read Qwen3's MoE."""
    return plain_moe(c, c.flag("norm_topk_prob"))


def _thinker(c: ConfigKeys) -> Draft:
    """Read the wrapper."""
    c.describe_only("seconds_per_chunk", 2, "behaviour")  # how sounds and videos are cut
    name = c.model_type.removesuffix("_thinker")
    part = FAMILY.part(c, "text_config", f"{name}_text")
    text = FAMILY.read_layers(part)
    return blocks.wrapped(c, part, text, vision=_vision_tower, audio=_audio_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the vision tower."""
    kind = f"{c.model_type.removesuffix('_thinker')}_vision_encoder"
    if c.model_type.startswith(_MIXTURE):
        tower = qwen3_vl.vision_tower(c, FAMILY, text, kind)
        return tower.replace(tokens_per_second=c.size("position_id_per_seconds"))
    v = FAMILY.part(c, "vision_config", kind)
    speed = c.size("position_id_per_seconds")
    width = text["hidden_size"]
    return towers.qwen2_5_vit(v, (kind,), decoder_width=width, tokens_per_second=speed)


def _audio_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read Whisper's encoder over chunks of a sound."""
    name = f"{c.model_type.removesuffix('_thinker')}_audio_encoder"
    v = FAMILY.part(c, "audio_config", name)
    kind = vision.encoder_kind(v, name)
    v.ignore("max_source_positions", "scale_embedding")  # length of a computed table
    output = v.size("output_dim")
    towers.check_output(v, output, text["hidden_size"])
    hidden = v.size("hidden_size", "d_model")
    activation = blocks.activation_name(v, "activation_function")
    ffn_width = v.size("intermediate_size", "encoder_ffn_dim")
    cut = derived(2 * v.size("n_window").value, "2 * n_window")
    reader = _joined_inputs
    if c.model_type.startswith(_MIXTURE):
        reader = _subsampled_inputs
    return draft(
        s.SpeechTower,
        v.ref,
        kind=same_evidence("whisper", kind),
        layers=v.layer_count("num_hidden_layers", "encoder_layers"),
        hidden_size=hidden,
        heads=v.size("num_attention_heads", "encoder_attention_heads"),
        ffn=vision.plain_mlp(v, width=ffn_width, activation=activation),
        norm=draft(s.Norm, kind="layernorm", eps=1e-5, bias=True),
        mel_bins=v.size("num_mel_bins"),
        **reader(v, hidden, output, cut),
    )


def _joined_inputs(v: ConfigKeys, hidden: Sourced, output: Sourced, cut: Sourced) -> dict[str, Any]:
    """Return what Qwen2.5-Omni's encoder has: pairs of frames are averaged.

    cut: the length of the chunks.
    """
    return {
        "chunk": cut,
        "merge": 2,
        "boundary_tokens": 2,
        "projector": [draft(s.Linear, inputs=hidden, outputs=output, bias=True)],
    }


def _subsampled_inputs(
    v: ConfigKeys, hidden: Sourced, output: Sourced, cut: Sourced
) -> dict[str, Any]:
    """Return what Qwen3-Omni's encoder has: three convolutions over time and frequency."""
    v.ignore("conv_chunksize")  # how many chunks are convolved at once
    channels = v.size("downsample_hidden_size")
    halvings = 3
    frequencies = v.size("num_mel_bins").value
    for _ in range(halvings):
        frequencies = (frequencies + 1) // 2
    joined = derived(
        channels.value * frequencies, "downsample_hidden_size * num_mel_bins halved three times"
    )
    return {
        "key_bias": True,
        "subsampling": channels,
        "halvings": halvings,
        "subsampled": draft(s.Linear, inputs=joined, outputs=hidden),
        "chunk": v.size("n_window_infer"),
        "input_chunk": cut,
        "projector": [
            draft(s.Linear, inputs=hidden, outputs=hidden, bias=True),
            draft(s.Linear, inputs=hidden, outputs=output, bias=True),
        ],
        "projector_activation": blocks.activation_name(v, "activation_function"),
    }


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the encoders and their projectors."""
    seeing, hearing = a.towers.get("vision"), a.towers.get("audio")
    if isinstance(seeing, s.Tower):
        yield from _vision_rows(a, seeing)
    if isinstance(hearing, s.SpeechTower):
        yield from _audio_rows(hearing, "audio_tower.")


def _vision_rows(a: s.Architecture, tower: s.Tower) -> Iterator[tensors.TensorRow]:
    """Yield the vision tower and its mergers."""
    if a.model_type.startswith(_MIXTURE):
        merger = ("ln_q", "mlp.0", "mlp.2")
        return qwen3_vl.vit_rows(tower, "visual.", "merger_list", merger)
    attention = tensors.split_attention_parts("attn", q="q", k="k", v="v", o="proj")
    return tensors.qwen_vit_rows(tower, "visual.", attention)


def _audio_rows(tower: s.SpeechTower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the audio encoder and its projector."""
    yield from tensors.whisper_rows(tower, prefix, last_norm="ln_post")
    names = ("proj1", "proj2")
    if tower.subsampling:
        yield from tensors.subsampling_rows(tower, prefix, "conv_out")
    else:
        names = ("proj",)
        shape = (tower.boundary_tokens, tower.projector[-1].outputs)
        facts = ("towers.audio.boundary_tokens",)
        name = f"{prefix}audio_bos_eos_token.weight"
        yield tensors.TensorRow(name, shape, (), "audio", facts)
    for name, matrix in zip(names, tower.projector, strict=True):
        yield from tensors.matrix_rows(prefix + name, matrix, component="audio")


_RENAMES = (
    tensors.Rename(r"^thinker\.", ""),
    tensors.Rename(r"^audio_tower", "model.audio_tower"),
    tensors.Rename(r"^visual", "model.visual"),
    tensors.Rename(r"^model(?!\.(language_model|visual|audio_tower))", "model.language_model"),
)
_THINKER = {"position_id_per_seconds": 25, "tie_word_embeddings": False}
_AUDIO: dict[str, Any] = {
    "activation_function": "gelu",
    "d_model": 1280,
    "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5120,
    "encoder_layers": 32,
    "n_window": 100,
    "num_mel_bins": 128,
    "output_dim": 3584,
}
FAMILY = Family(
    name="qwen_omni",
    title="Qwen-Omni",
    ref=modeling("qwen2_5_omni"),
    refs=dict.fromkeys(
        (
            "qwen3_omni_moe_thinker",
            "qwen3_omni_moe_text",
            "qwen3_omni_moe_vision_encoder",
            "qwen3_omni_moe_audio_encoder",
        ),
        modeling("qwen3_omni_moe"),
    ),
    read=read,
    naming=tensors.Naming(tower=_tower_rows),
    conversions={
        "qwen2_5_omni_thinker": tensors.Conversion(renames=_RENAMES),
        "qwen3_omni_moe_thinker": tensors.Conversion(
            renames=_RENAMES, merges=tensors.MERGED_EXPERTS
        ),
    },
    defaults={
        "qwen2_5_omni_thinker": _THINKER,
        "qwen3_omni_moe_thinker": _THINKER,
        "qwen2_5_omni_text": {
            "hidden_act": "silu",
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "max_position_embeddings": 32768,
            "max_window_layers": 28,
            "num_attention_heads": 28,
            "num_hidden_layers": 28,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "sliding_window": 32768,
            "use_sliding_window": False,
            "vocab_size": 152064,
        },
        "qwen3_omni_moe_text": {
            "attention_bias": False,
            "decoder_sparse_step": 1,
            "hidden_act": "silu",
            "hidden_size": 2048,
            "intermediate_size": 18944,
            "max_position_embeddings": 32768,
            "moe_intermediate_size": 768,
            "norm_topk_prob": True,
            "num_attention_heads": 28,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "num_hidden_layers": 28,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "vocab_size": 3584,
        },
        "qwen2_5_omni_vision_encoder": {
            key: value for key, value in towers.QWEN2_5_VIT.items() if key != "tokens_per_second"
        },
        "qwen3_omni_moe_vision_encoder": qwen3_vl.VISION
        | {"deepstack_visual_indexes": [8, 16, 24]},
        "qwen2_5_omni_audio_encoder": _AUDIO,
        "qwen3_omni_moe_audio_encoder": _AUDIO
        | {
            "conv_chunksize": 500,
            "downsample_hidden_size": 480,
            "n_window": 50,
            "n_window_infer": 800,
        },
    },
    config_class={
        "qwen2_5_omni_thinker": "Qwen2_5OmniThinkerConfig",
        "qwen2_5_omni_text": "Qwen2_5OmniTextConfig",
        "qwen2_5_omni_vision_encoder": "Qwen2_5OmniVisionEncoderConfig",
        "qwen2_5_omni_audio_encoder": "Qwen2_5OmniAudioEncoderConfig",
        "qwen3_omni_moe_thinker": "Qwen3OmniMoeThinkerConfig",
        "qwen3_omni_moe_text": "Qwen3OmniMoeTextConfig",
        "qwen3_omni_moe_vision_encoder": "Qwen3OmniMoeVisionEncoderConfig",
        "qwen3_omni_moe_audio_encoder": "Qwen3OmniMoeAudioEncoderConfig",
    },
)
