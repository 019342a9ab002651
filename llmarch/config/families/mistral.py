"""Mistral 7B to Small 3.2, Nemo and Devstral (`mistral`), Mixtral (`mixtral`), Ministral 3 (`ministral3`): Llama's blocks, head_dim apart.

`mistral3` wraps one of these, or another family's decoder, with a Pixtral vision tower.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, derived, draft, modeling, same_evidence
from . import find


def read(c: ConfigKeys) -> Draft:
    if c.model_type == "mistral3" or c.has("text_config"):
        return wrapper(c)
    layers, window = c.layer_count(), c.optional(c.size, "sliding_window")
    name = "full" if window.value is None else "sliding"
    of, how = [name] * layers.value, layers
    if (
        c.model_type == "ministral"
    ):  # Ministral 8B (2410): a mask for each layer; the other classes have one for all
        of, how = blocks.sliding_layers(
            c,
            layers.value,
            lambda i: name == "sliding",
            f"every layer is {name}: {c.key('sliding_window')}",
        )
    c.expect("layer_types", [f"{m}_attention" for m in of])
    bias = c.expect("attention_bias", False)
    mixer = blocks.attention(c, window=window, qkv_bias=bias, output_bias=bias)
    if c.model_type == "ministral3":
        mixer = mixer.replace(query_scaling=blocks.query_scaling(c))
    mixers = {
        m: mixer if m == name else mixer.replace(window=None)
        for m in ("full", "sliding")
        if m in of
    }
    ffn = (
        ("moe", moe(c))
        if c.model_type == "mixtral"
        else ("dense", blocks.dense(c, bias=c.expect("mlp_bias", False)))
    )
    return blocks.decoder(
        c, mixers=mixers, ffns=dict([ffn]), **blocks.layer_wiring([(m, ffn[0]) for m in of], how)
    )


def moe(c: ConfigKeys) -> Draft:
    return draft(
        s.MoE,
        experts=c.size("num_local_experts", "num_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("intermediate_size"),
        activation=blocks.activation(c),
        router=draft(s.Router, scoring="softmax", normalized=True),
    )


def wrapper(c: ConfigKeys) -> Draft:
    model_type = c.child("text_config").word("model_type", default="mistral").value
    family = find(model_type, c.file)
    part = family.part(c, "text_config", model_type)
    text = family.read(part)
    c.ignore(
        "projector_hidden_act", "multimodal_projector_bias", "spatial_merge_size"
    )  # read with the tower, if there is one
    return blocks.wrapped(
        c, part, text, {"vision": pixtral(c, text)} if c.has("vision_config") else {}
    )


def pixtral(c: ConfigKeys, text: Draft) -> Draft:
    """The Pixtral tower, and Mistral 3's projector: a norm, a matrix that merges patches, an MLP of two."""
    v = FAMILY.part(c, "vision_config", "pixtral")
    kind = v.word("model_type", default="pixtral")
    if kind.value != "pixtral":
        raise ConfigError(
            f"{c.file}: vision_config.model_type is {kind.value!r}; llmarch knows pixtral in this place"
        )
    v.ignore("head_dim", "vocab_size")  # the class divides; a left-over
    hidden, heads, patch, merge = (
        v.size("hidden_size"),
        v.size("num_attention_heads"),
        v.size("patch_size"),
        c.size("spatial_merge_size"),
    )
    dim = derived(hidden.value // heads.value, "vision hidden_size / num_attention_heads")
    several = isinstance(c.data.get("vision_feature_layer"), list)
    taken = len(c.items("vision_feature_layer").value) if several else 1
    bias, width = c.flag("multimodal_projector_bias"), text["hidden_size"]
    # two keys that only params.json has: Pixtral 12B's projector neither merges patches nor norms
    merges = c.word("mm_projector_id", default="patch_merge").value == "patch_merge"
    normed = c.flag("add_pre_mm_projector_layer_norm", default=True).value
    pixels = derived(v.size("num_channels").value * patch.value**2, "num_channels * patch_size^2")
    merged = derived(hidden.value * merge.value**2, "vision hidden_size * spatial_merge_size^2")
    features = derived(hidden.value * taken, "vision hidden_size * layers in vision_feature_layer")
    return draft(
        s.Tower,
        v.ref,
        kind=kind,
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=heads,
        head_dim=dim,
        attention_bias=False,
        ffn=draft(s.Dense, width=v.size("intermediate_size"), activation=blocks.activation(v)),
        norm=draft(s.Norm, kind="rmsnorm", eps=1e-5),
        outer_norms=1,
        image_size=v.size("image_size"),
        patch_size=patch,
        patch_embedding=draft(s.Linear, inputs=pixels, outputs=hidden),
        rope=blocks.rope(v, dim),
        merge=merge,
        projector=[
            *([draft(s.Linear, inputs=merged, outputs=hidden)] if merges else []),
            draft(s.Linear, inputs=features, outputs=width, bias=bias),
            draft(s.Linear, inputs=width, outputs=width, bias=bias),
        ],
        projector_activation=blocks.activation(c, "projector_hidden_act"),
        projector_norms=same_evidence([hidden.value] if normed else [], hidden),
    )


def pixtral_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t, at, projector = a.towers["vision"], "vision_tower.", "multi_modal_projector."
    assert isinstance(t, s.Tower)
    channels = t.patch_embedding.inputs // t.patch_size**2
    patch = (t.hidden_size, channels, t.patch_size, t.patch_size)
    yield from tensors.matrix_rows(
        f"{at}patch_conv", t.patch_embedding, patch, ("towers.vision.patch_size",)
    )
    yield tensors.TensorRow(f"{at}ln_pre.weight", (t.hidden_size,), (), "vision")
    layer_parts = tensors.attention_parts("attention"), tensors.dense_parts("feed_forward")
    yield from tensors.tower_rows(
        t, f"{at}transformer.layers.{{}}.", ("attention_norm", "ffn_norm"), *layer_parts
    )
    for name, matrix in zip(
        ("patch_merger.merging_layer", "linear_1", "linear_2")[-len(t.projector) :],
        t.projector,
        strict=True,
    ):
        yield from tensors.matrix_rows(projector + name, matrix)
    for width in t.projector_norms:
        yield tensors.TensorRow(f"{projector}norm.weight", (width,), (), "vision")


def naming(a: s.Architecture) -> tensors.Naming:
    prefix = "language_model." if a.towers or a.model_type == "mistral3" else ""
    mixtral = a.model_type == "mixtral"
    blocks = (
        {s.MoE: tensors.moe_parts("block_sparse_moe", gate="w1", up="w3", down="w2")}
        if mixtral
        else {}
    )
    return tensors.Naming(prefix=prefix, blocks=blocks, tower=pixtral_rows)


MISTRAL = {
    "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "tie_word_embeddings": False, "sliding_window": 4096,
}  # fmt: skip

FAMILY = Family(
    name="mistral",
    title="Mistral",
    ref=modeling("mistral"),
    refs={model: modeling(model) for model in ("mixtral", "ministral", "ministral3", "mistral3", "pixtral")},
    read=read,
    naming=naming,
    defaults={
        "mistral": MISTRAL,
        "ministral": MISTRAL,
        "mixtral": {
            "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
            "rope_theta": 1000000.0, "tie_word_embeddings": False, "sliding_window": None, "num_experts_per_tok": 2,
        },
        "ministral3": {
            "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 262144, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": False, "sliding_window": None,
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 1000000.0, "factor": 16.0, "original_max_position_embeddings": 16384, "beta_fast": 32.0,
                "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
            },
        },
        "mistral3": {"projector_hidden_act": "gelu", "multimodal_projector_bias": False, "spatial_merge_size": 2},
        "pixtral": {
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "num_channels": 3,
            "image_size": 1024, "patch_size": 16, "hidden_act": "gelu", "rope_theta": 10000.0,
        },
    },
    config_class={
        "mistral": "MistralConfig", "ministral": "MinistralConfig", "mixtral": "MixtralConfig", "ministral3": "Ministral3Config",
        "mistral3": "Mistral3Config", "pixtral": "PixtralVisionConfig",
    },
)  # fmt: skip
