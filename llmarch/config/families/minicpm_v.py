"""MiniCPM-V 4.6 and 4.7 and MiniCPM-OCR: a Qwen3.5 decoder behind a SigLIP tower.

Squares of patches become one within the tower, and again behind it, by an MLP each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ..blocks import towers
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import naming_of_decoder, read_wrapper

_IMAGE_KEYS = ("image_size", "patch_size", "drop_vision_last_layer")
"""Keys of the wrapper that only the processor reads, or nothing."""

_MODES = {"minicpmv4_6": "16x", "minicpmv4_7": "16x", "minicpm_ocr": "4x"}
"""Class defaults of `downsample_mode`: `4x` goes past the merger within the tower."""


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    c.ignore(*_IMAGE_KEYS)
    c.describe_only("downsample_mode", _MODES[c.model_type], "behaviour")
    return read_wrapper(c, "qwen3_5_text", _vision_tower)


def _vision_tower(c: ConfigKeys, text: Draft) -> Draft:
    """Read the tower, and the rounds of merging behind it."""
    kind = f"{c.model_type}_vision"
    v = FAMILY.part(c, "vision_config", kind)
    v.ignore("insert_layer_id")  # the wrapper's counts
    c.describe_only("merge_kernel_size", [2, 2], "behaviour")
    v.describe_only("window_kernel_size", [2, 2], "weights")
    hidden, rounds = v.size("hidden_size"), c.size("merger_times")
    joined = derived(4 * hidden.value, "4 * vision hidden_size")
    return towers.siglip(
        v,
        (kind,),
        inner_merge=2,
        inner_merge_after=c.size("insert_layer_id", least=0),
        merge=derived(2**rounds.value, "2^merger_times"),
        projector=_mergers(hidden, joined, text["hidden_size"], rounds.value),
        projector_activation="gelu",
        projector_norms=same_evidence([joined.value] * rounds.value, rounds),
        projector_norm_bias=True,
    )


def _mergers(hidden: Sourced, joined: Sourced, width: Sourced, rounds: int) -> list[Draft]:
    """Return the matrices of all rounds of merging; the last one ends in the decoder's width."""
    outputs = [hidden] * (rounds - 1) + [width]
    pairs: list[Draft] = []
    for output in outputs:
        pairs.append(draft(s.Linear, inputs=joined, outputs=joined, bias=True))
        pairs.append(draft(s.Linear, inputs=joined, outputs=output, bias=True))
    return pairs


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower, the merger within it, and those behind it."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    yield from tensors.clip_rows(t, "model.vision_tower.")
    yield from _inner_rows(t, "model.vision_tower.vit_merger.")
    for number, width in enumerate(t.projector_norms):
        prefix = f"model.merger.mlp.{number}."
        yield from tensors.norm_rows(f"{prefix}pre_norm", t.norm, width, (), "vision")
        first, second = t.projector[2 * number : 2 * number + 2]
        yield from tensors.matrix_rows(f"{prefix}linear_1", first)
        yield from tensors.matrix_rows(f"{prefix}linear_2", second)


def _inner_rows(t: s.Tower, prefix: str) -> Iterator[tensors.TensorRow]:
    """Yield the attention and the MLP that merge squares of patches within the tower."""
    width, patches = t.hidden_size, t.inner_merge**2
    joined, inner = patches * width, patches * t.ffn.width
    yield from tensors.norm_rows(f"{prefix}layer_norm1", t.norm, width, (), "vision")
    square = s.Linear(inputs=width, outputs=width, bias=True)
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        yield from tensors.matrix_rows(f"{prefix}self_attn.{name}", square)
    facts = ("towers.vision.inner_merge",)
    yield from tensors.norm_rows(f"{prefix}pre_norm", t.norm, joined, (), "vision")
    first = s.Linear(inputs=joined, outputs=inner, bias=True)
    second = s.Linear(inputs=inner, outputs=width, bias=True)
    yield from tensors.matrix_rows(f"{prefix}linear_1", first, proves=facts)
    yield from tensors.matrix_rows(f"{prefix}linear_2", second)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names: the decoder's own, in a module."""
    return replace(tensors.in_base(naming_of_decoder(a), "model.language_model"), tower=_tower_rows)


_TYPES = ("minicpmv4_6", "minicpmv4_7", "minicpm_ocr")
_WRAPPER: dict[str, Any] = {
    "insert_layer_id": 6,
    "merger_times": 1,
    "tie_word_embeddings": False,
}
_VISION: dict[str, Any] = {
    key: value for key, value in towers.SIGLIP.items() if key != "vision_use_head"
}
_CLASSES = {"minicpmv4_6": "MiniCPMV4_6", "minicpmv4_7": "MiniCPMV4_7", "minicpm_ocr": "MiniCPMOcr"}
FAMILY = Family(
    name="minicpm_v",
    title="MiniCPM-V",
    ref=modeling("minicpmv4_6"),
    refs={
        name: modeling(model_type)
        for model_type in _TYPES[1:]
        for name in (model_type, f"{model_type}_vision")
    },
    read=read,
    naming=_naming,
    defaults={
        **dict.fromkeys(_TYPES, _WRAPPER),
        "minicpm_ocr": _WRAPPER | {"tie_word_embeddings": True},
        **{f"{model_type}_vision": _VISION for model_type in _TYPES},
    },
    config_class={
        **{model_type: f"{name}Config" for model_type, name in _CLASSES.items()},
        **{f"{model_type}_vision": f"{name}VisionConfig" for model_type, name in _CLASSES.items()},
    },
)
