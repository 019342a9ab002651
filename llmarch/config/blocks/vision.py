"""Read Vision Transformers, the encoders of most multimodal models."""

from __future__ import annotations

from typing import Any

from ...architecture import schema as s
from ...errors import ConfigError
from ..evidence import Draft, Sourced, derived, draft, hard_coded
from ..keys import ConfigKeys
from .ffns import activation_name


def encoder_kind(v: ConfigKeys, *supported: str) -> Sourced:
    """Read the model_type of an encoder, by default the first of the `supported` ones.

    Raises ConfigError for any other.
    """
    kind = v.word("model_type", default=supported[0])
    if kind.value not in supported:
        raise ConfigError(
            f"{v.file}: {v.key('model_type')} is {kind.value!r};"
            f" llmarch supports {', '.join(supported)} here"
        )
    return kind


def transformer(
    v: ConfigKeys,
    *,
    hidden: tuple[str, ...] = ("hidden_size",),
    heads: tuple[str, ...] = ("num_attention_heads",),
    width: tuple[str, ...] = ("intermediate_size",),
    channels: str = "num_channels",
    frames: Sourced | None = None,
    **facts: Any,
) -> Draft:
    """Read a Vision Transformer: encoder layers with an ungated MLP over square patches.

    hidden, heads, width: the keys of the width of the stream, of its heads, and of the MLP.
    channels: the key of an image's channels; without one they are the 3 of RGB.
    frames: how many frames a patch spans, in a model that takes video.
    facts: fields of Tower that replace or add to these.
    """
    hidden_size = v.size(*hidden)
    head_count = v.size(*heads)
    usual: dict[str, Any] = {
        "hidden_size": hidden_size,
        "heads": head_count,
        "head_dim": derived(
            hidden_size.value // head_count.value, f"vision {hidden[0]} / {heads[0]}"
        ),
        "attention_bias": True,
    }
    if "patch_size" not in facts:
        usual["patch_size"] = v.size("patch_size")
    if "layers" not in facts:
        usual["layers"] = v.layer_count()
    if frames is not None:
        usual["patch_frames"] = frames
    if "ffn" not in facts:
        usual["ffn"] = plain_mlp(v, width=v.size(*width))
    if "patch_embedding" not in facts:
        usual["patch_embedding"] = patch_embedding(v, hidden_size, channels, frames)
    return Draft(s.Tower, usual | facts, v.ref)


def plain_mlp(v: ConfigKeys, **facts: Any) -> Draft:
    """Read an encoder's MLP: two matrices with biases, and an activation between them."""
    if "activation" not in facts:
        facts["activation"] = activation_name(v)
    return draft(s.Dense, gated=False, bias=True, **facts)


def patch_embedding(
    v: ConfigKeys,
    outputs: Sourced,
    channels: str = "num_channels",
    frames: Sourced | None = None,
    **facts: Any,
) -> Draft:
    """Read the convolution that embeds patches, as a matrix over the pixels of a patch."""
    pixels = v.size("patch_size").value ** 2
    formula = "patch_size^2"
    if frames is not None:
        pixels *= frames.value
        formula = f"temporal_patch_size * {formula}"
    if channels:
        pixels *= v.size(channels).value
        formula = f"{channels} * {formula}"
    else:
        pixels *= 3
        formula = f"3 * {formula}"
    return draft(s.Linear, inputs=derived(pixels, formula), outputs=outputs, **facts)


def joined_width(hidden: Sourced, merge: Sourced, key: str) -> Sourced:
    """Return the width of squares of patches that are joined, `merge` to a side.

    hidden: the width of a patch.
    key: the key of `merge`, for evidence.
    """
    return derived(hidden.value * merge.value**2, f"vision hidden_size * {key}^2")


def with_rope(v: ConfigKeys, tower: Draft) -> Draft:
    """Return a tower whose heads are rotated whole."""
    rope = draft(s.Rope, theta=rope_theta(v), rotary_dim=tower["head_dim"])
    return tower.replace(rope=rope)


def rope_theta(v: ConfigKeys, default: float = 10000.0) -> Sourced:
    """Read the base of an encoder's RoPE, which only files saved by transformers 5 have."""
    keys = v.child("rope_parameters")
    if keys.data.get("rope_type") == "default":  # another word for frequencies of two axes
        keys.ignore("rope_type")
    else:
        keys.expect("rope_type", "axial")
    return keys.number("rope_theta", default=hard_coded(default, v.ref))


def grid_positions(v: ConfigKeys) -> Sourced:
    """Return the number of patches of an image: (image_size / patch_size)^2."""
    side = v.size("image_size").value // v.size("patch_size").value
    return derived(side**2, "(image_size / patch_size)^2")
