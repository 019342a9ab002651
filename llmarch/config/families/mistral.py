"""Mistral 7B to Small 3.2, Nemo and Devstral (`mistral`), Mixtral, Ministral 3.

They have Llama's blocks with a head_dim of its own. `mistral3` wraps one of these, or another
family's decoder, with a Pixtral vision tower.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import read_text_part


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type == "mistral3" or c.has("text_config"):
        return wrapper(c)
    window = c.optional(c.size, "sliding_window")
    layers = attention_layers(c, window)
    c.expect("layer_types", [f"{name}_attention" for name in layers.value])
    bias = c.expect("attention_bias", False)
    full = blocks.attention(c, qkv_bias=bias, output_bias=bias)
    if window.value is None:
        full = full.replace(window=window)
    if c.model_type == "ministral3":
        full = full.replace(query_scaling=blocks.query_scaling(c))
    if c.model_type == "mixtral":
        ffns = {"moe": moe(c)}
    else:
        ffns = {"dense": blocks.dense(c, bias=c.expect("mlp_bias", False))}
    (ffn,) = ffns
    return blocks.decoder(
        c,
        mixers=blocks.used(blocks.windowed(full, window), layers),
        ffns=ffns,
        **blocks.layer_wiring(layers, ffn),
    )


def attention_layers(c: ConfigKeys, window: Sourced) -> Sourced:
    """Read which layers slide.

    Ministral 8B (2410) has a mask for each layer; the other classes have one for all.
    """
    name = "full" if window.value is None else "sliding"
    if c.model_type != "ministral":
        return blocks.every_layer(c, name)
    reason = f"every layer is {name}: {c.key('sliding_window')}"
    return blocks.sliding_layers(c, lambda i: name == "sliding", reason)


def moe(c: ConfigKeys) -> Draft:
    """Read Mixtral's MoE."""
    router = draft(s.Router, scoring="softmax", normalized=True)
    experts = ("num_local_experts", "num_experts")
    return blocks.moe(c, router, experts=experts, width="intermediate_size")


def wrapper(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    part, text = read_text_part(c, "mistral")
    # read with the tower, if there is one
    c.ignore("projector_hidden_act", "multimodal_projector_bias", "spatial_merge_size")
    return blocks.wrapped(c, part, text, vision=pixtral)


def pixtral(c: ConfigKeys, text: Draft) -> Draft:
    """Read the Pixtral tower, and Mistral 3's projector.

    The projector is a norm, a matrix that merges patches, and an MLP of two layers. Pixtral 12B's
    neither merges nor norms, which two keys say that only params.json has.
    """
    v = FAMILY.part(c, "vision_config", "pixtral")
    kind = vision.encoder_kind(v, "pixtral")
    v.ignore("head_dim", "vocab_size")  # the class divides; a left-over
    hidden = v.size("hidden_size")
    normed = c.flag("add_pre_mm_projector_layer_norm", default=True).value
    tower = vision.transformer(
        v,
        kind=kind,
        attention_bias=False,
        ffn=blocks.dense(v),
        norm=draft(s.Norm, kind="rmsnorm", eps=1e-5),
        outer_norms=1,
        image_size=v.size("image_size"),
        merge=c.size("spatial_merge_size"),
        projector=projector(c, hidden, text["hidden_size"]),
        projector_activation=blocks.activation(c, "projector_hidden_act"),
        projector_norms=same_evidence([hidden.value] if normed else [], hidden),
    )
    return tower.replace(rope=blocks.rope(v, tower["head_dim"]))


def projector(c: ConfigKeys, hidden: Sourced, width: Sourced) -> list[Draft]:
    """Read the matrices from the tower's width to the decoder's."""
    bias = c.flag("multimodal_projector_bias")
    taken = 1
    if isinstance(c.data.get("vision_feature_layer"), list):
        taken = len(c.items("vision_feature_layer").value)
    formula = "vision hidden_size * layers in vision_feature_layer"
    features = derived(hidden.value * taken, formula)
    mlp = [
        draft(s.Linear, inputs=features, outputs=width, bias=bias),
        draft(s.Linear, inputs=width, outputs=width, bias=bias),
    ]
    if c.word("mm_projector_id", default="patch_merge").value != "patch_merge":
        return mlp
    merged = hidden.value * c.size("spatial_merge_size").value ** 2
    inputs = derived(merged, "vision hidden_size * spatial_merge_size^2")
    return [draft(s.Linear, inputs=inputs, outputs=hidden), *mlp]


def pixtral_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    projector = "multi_modal_projector."
    matrices = ("patch_merger.merging_layer", "linear_1", "linear_2")[-len(t.projector) :]
    attention = tensors.attention_parts("attention")
    mlp = tensors.dense_parts("feed_forward")
    layer = "vision_tower.transformer.layers.{}."
    yield from tensors.patch_rows("vision_tower.patch_conv", t)
    yield tensors.TensorRow("vision_tower.ln_pre.weight", (t.hidden_size,), (), "vision")
    yield from tensors.tower_rows(t, layer, ("attention_norm", "ffn_norm"), attention, mlp)
    yield from tensors.projector_rows(t, *(projector + name for name in matrices))
    for width in t.projector_norms:
        yield tensors.TensorRow(f"{projector}norm.weight", (width,), (), "vision")


MIXTRAL_MOE = tensors.moe_parts("block_sparse_moe", gate="w1", up="w3", down="w2")


def naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, with a prefix inside a wrapper."""
    wrapper = bool(a.towers) or a.model_type == "mistral3"
    return tensors.Naming(
        prefix="language_model." if wrapper else "",
        blocks={s.MoE: MIXTRAL_MOE} if a.model_type == "mixtral" else {},
        tower=pixtral_rows,
    )


MISTRAL = {
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
    naming=naming,
    defaults={
        "mistral": MISTRAL,
        "ministral": MISTRAL,
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
            "projector_hidden_act": "gelu",
            "multimodal_projector_bias": False,
            "spatial_merge_size": 2,
        },
        "pixtral": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_channels": 3,
            "image_size": 1024,
            "patch_size": 16,
            "hidden_act": "gelu",
            "rope_theta": 10000.0,
        },
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
