"""MOSS Transcribe Diarize: a Qwen3 decoder behind Whisper's encoder, whose frames are joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_text_part


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore("audio_chunk_size")  # how sounds are cut
    part, text = read_text_part(c, "qwen3")
    whole = blocks.wrapped(c, part, text, audio=_audio_tower)
    return whole.replace(decoder_type=text["model_type"])


def _audio_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the encoder and the projector, an MLP with a norm behind it."""
    v = FAMILY.part(c, "audio_config", _KIND)
    kind = vision.encoder_kind(v, _KIND)
    hidden, width = v.size("hidden_size", "d_model"), text["hidden_size"]
    merge = c.size("audio_merge_size")
    joined = derived(hidden.value * merge.value, "audio hidden_size * audio_merge_size")
    bias = c.flag("projector_bias")
    activation = blocks.activation_name(v, "activation_function")
    ffn_width = v.size("intermediate_size", "encoder_ffn_dim")
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
        positions=v.size("max_source_positions"),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=joined, outputs=width, bias=bias),
            draft(s.Linear, inputs=width, outputs=width, bias=bias),
        ],
        projector_activation=blocks.activation_name(c, "projector_hidden_act"),
        projector_norms=same_evidence([width.value], width),
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the encoder and its projector."""
    tower = a.towers["audio"]
    assert isinstance(tower, s.SpeechTower)
    yield from tensors.whisper_rows(tower, "model.audio_tower.")
    module = "model.multi_modal_projector."
    for name, matrix in zip(("linear_1", "linear_2"), tower.projector, strict=True):
        yield from tensors.matrix_rows(module + name, matrix, component="audio")
    norm = s.Norm(kind="layernorm", bias=True)
    for width in tower.projector_norms:
        yield from tensors.norm_rows(f"{module}norm", norm, width, (), "audio")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


_KIND = "moss_transcribe_diarize_audio"
FAMILY = Family(
    name="moss_transcribe_diarize",
    title="MOSS Transcribe Diarize",
    ref=modeling("moss_transcribe_diarize"),
    read=read,
    naming=_naming,
    defaults={
        "moss_transcribe_diarize": {
            "audio_merge_size": 4,
            "projector_bias": True,
            "projector_hidden_act": "silu",
            "tie_word_embeddings": True,
        },
        _KIND: {
            "activation_function": "gelu",
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "max_source_positions": 1500,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "num_mel_bins": 80,
        },
    },
    config_class={
        "moss_transcribe_diarize": "MossTranscribeDiarizeConfig",
        _KIND: "MossTranscribeDiarizeAudioConfig",
    },
)
