"""Mistral 7B to Small 3.2, Nemo and Devstral (`mistral`), Mixtral, Ministral 3.

They have Llama's blocks with a head_dim of its own. `mistral3` wraps one of these, or another
family's decoder, with a Pixtral vision tower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import towers, vision
from ..evidence import Draft, Sourced, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import read_text_part


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "mistral3" or c.has("text_config"):
        return _wrapper(c)

    window = c.optional(c.size, "sliding_window")
    layers = _attention_layers(c, window)
    c.expect("layer_types", [f"{name}_attention" for name in layers.value])
    bias = c.expect("attention_bias", False)
    full = blocks.attention(c, qkv_bias=bias, output_bias=bias)
    if window.value is None:
        full = full.replace(window=window)
    if c.model_type == "ministral3":
        full = full.replace(query_scaling=blocks.query_scaling(c))

    if c.model_type == "mixtral":
        ffn = "moe"
        block = _moe(c)
    else:
        ffn = "dense"
        mlp_bias = c.expect("mlp_bias", False)
        block = blocks.dense(c, bias=mlp_bias)

    mixers = blocks.windowed(full, window)
    return blocks.decoder(
        c,
        mixers=blocks.used(mixers, layers),
        ffns={ffn: block},
        **blocks.layer_wiring(layers, ffn),
    )


def _attention_layers(c: ConfigKeys, window: Sourced) -> Sourced:
    """Read which layers slide.

    Ministral 8B (2410) has a mask for each layer; the other classes have one for all.
    """
    name = "sliding"
    if window.value is None:
        name = "full"
    if c.model_type != "ministral":
        return blocks.every_layer(c, name)

    key = c.key("sliding_window")
    return blocks.sliding_layers(
        c,
        lambda i: name == "sliding",
        f"every layer is {name}: {key}",
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read Mixtral's MoE."""
    router = draft(s.Router, scoring="softmax", normalized=True)
    experts = ("num_local_experts", "num_experts")
    return blocks.moe(
        c,
        router,
        experts=experts,
        width="intermediate_size",
    )


def _wrapper(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    part, text = read_text_part(c, "mistral")
    # read with the tower, if there is one
    c.ignore(
        "vision_feature_layer",
        "projector_hidden_act",
        "multimodal_projector_bias",
        "spatial_merge_size",
    )
    return blocks.wrapped(c, part, text, vision=_pixtral)


def _pixtral(c: ConfigKeys, text: Draft) -> Draft:
    """Read the Pixtral tower, and Mistral 3's projector.

    The projector is a norm, a matrix that merges patches, and an MLP of two layers. Pixtral 12B's
    neither merges nor norms, which two keys say that only params.json has.
    """
    keys = FAMILY.part(c, "vision_config", "pixtral")
    hidden = keys.size("hidden_size")
    normed = c.flag("add_pre_mm_projector_layer_norm", default=True).value
    layers = towers.feature_layers(c, keys.layer_count().value)
    norm_widths: list[int] = []
    if normed:
        norm_widths = [hidden.value]
    return towers.pixtral(
        keys,
        merge=c.size("spatial_merge_size"),
        features=layers,
        projector=_projector(c, hidden, text["hidden_size"], layers),
        projector_activation=blocks.activation_name(c, "projector_hidden_act"),
        projector_norms=same_evidence(norm_widths, hidden),
    )


def _projector(c: ConfigKeys, hidden: Sourced, width: Sourced, layers: Sourced) -> list[Draft]:
    """Read the matrices from the tower's width to the decoder's.

    layers: the layers of the tower that feed them; none for the last one.
    """
    bias = c.flag("multimodal_projector_bias")
    mlp = towers.feature_mlp(hidden, width, layers, bias)
    kind = c.word("mm_projector_id", default="patch_merge")
    if kind.value != "patch_merge":
        return mlp

    key = "spatial_merge_size"
    inputs = vision.joined_width(hidden, c.size(key), key)
    merger = draft(s.Linear, inputs=inputs, outputs=hidden)
    return [merger, *mlp]


def _mistral3_tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    yield from tensors.pixtral_rows(tower, "vision_tower.")

    projector = "multi_modal_projector."
    matrices = (
        f"{projector}patch_merger.merging_layer",
        f"{projector}linear_1",
        f"{projector}linear_2",
    )
    count = len(tower.projector)
    yield from tensors.projector_rows(tower, *matrices[-count:])
    yield from tensors.projector_norm_rows(tower, f"{projector}norm")


_MIXTRAL_MOE = tensors.moe_parts("block_sparse_moe", gate="w1", up="w3", down="w2")
_MISTRAL4_MOE = tensors.fused_moe_parts(router="gate", shared="shared_experts", outputs_first=True)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, with a prefix inside a wrapper."""
    prefix = ""
    if a.towers or a.model_type == "mistral3":
        prefix = "language_model."

    builders: dict[Any, tensors.BlockTensors] = {s.MoE: _MISTRAL4_MOE}
    if a.model_type == "mixtral":
        builders[s.MoE] = _MIXTRAL_MOE

    return tensors.Naming(
        prefix=prefix,
        blocks=builders,
        tower=_mistral3_tower_rows,
    )


_MISTRAL = {
    "num_key_value_heads": 8,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "sliding_window": 4096,
}

FAMILY = Family(
    name="mistral",
    title="Mistral",
    ref=modeling("mistral"),
    refs={
        model: modeling(model)
        for model in ("mixtral", "ministral", "ministral3", "mistral3", "pixtral")
    },
    read=read,
    naming=_naming,
    conversions={
        "mistral": tensors.Conversion(native=True),
        "ministral": tensors.Conversion(native=True),
        "ministral3": tensors.Conversion(native=True),
        "mixtral": tensors.Conversion(
            renames=tensors.MIXTRAL_CONVERSION.renames,
            merges=tensors.MIXTRAL_CONVERSION.merges,
            native=True,
        ),
        "mistral3": tensors.Conversion(renames=tensors.LLAVA_RENAMES, native=True),
    },
    defaults={
        "mistral": _MISTRAL,
        "ministral": _MISTRAL,
        "mixtral": {
            "num_key_value_heads": 8,
            "hidden_act": "silu",
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1000000.0,
            "tie_word_embeddings": False,
            "sliding_window": None,
            "num_experts_per_tok": 2,
        },
        "ministral3": {
            "num_key_value_heads": 8,
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 262144,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "sliding_window": None,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1000000.0,
                "factor": 16.0,
                "original_max_position_embeddings": 16384,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
                "llama_4_scaling_beta": 0.1,
            },
        },
        "mistral3": {
            "tie_word_embeddings": True,
            "projector_hidden_act": "gelu",
            "multimodal_projector_bias": False,
            "spatial_merge_size": 2,
            "vision_feature_layer": -1,
        },
        "pixtral": towers.PIXTRAL,
    },
    config_class={
        "mistral": "MistralConfig",
        "ministral": "MinistralConfig",
        "mixtral": "MixtralConfig",
        "ministral3": "Ministral3Config",
        "mistral3": "Mistral3Config",
        "pixtral": "PixtralVisionConfig",
    },
)
