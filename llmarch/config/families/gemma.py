"""Gemma 1, 2 and 3, VaultGemma: norms times (1 + weight), GeGLU, embeddings times sqrt(hidden).

Gemma 2 and 3 norm before and after each block and mix sliding with full layers. Gemma 3 has
QK-norm, two RoPE bases, and from 4B on a SigLIP vision tower (`gemma3` wraps `gemma3_text`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import NotAModel
from .. import blocks
from ..blocks import towers
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one. Raises NotAModel for an encoder."""
    if c.model_type == "gemma3" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "gemma3_text")
        text = _seeing_images(FAMILY.read_layers(part))
        if c.model_type == "gemma3":
            no_cap = part.expect("final_logit_softcapping", None)  # the wrapper has no softcap
            text = text.replace(head=draft(s.Head, softcap=no_cap))
        c.ignore("mm_tokens_per_image")  # read with the tower, if there is one
        return blocks.wrapped(c, part, text, vision=_siglip)
    if c.flag("use_bidirectional_attention", default=False).value:
        raise NotAModel(
            f"{c.file}: {c.prefix}use_bidirectional_attention is true: an encoder"
            " (as EmbeddingGemma), not a decoder"
        )
    readers = {"gemma": _gemma, "gemma2": _gemma2, "vaultgemma": _gemma2}
    return readers.get(c.model_type, _gemma3)(c)


def _seeing_images(text: Draft) -> Draft:
    """Return a decoder in whose layers, all of them, tokens of one image see each other.

    transformers' Gemma3Model makes its masks so.
    """
    sees = hard_coded("vision", modeling("gemma3"))
    mixers = {name: mixer.replace(sees_ahead=sees) for name, mixer in text["mixers"].items()}
    return text.replace(mixers=mixers)


def _gemma(c: ConfigKeys) -> Draft:
    """Read Gemma 1."""
    mixers = {"full": blocks.attention(c, **blocks.attention_biases(c))}
    keys = ["hidden_activation", "hidden_act"]
    if c.has("hidden_activation") and c.data.get("hidden_act") == "gelu":
        c.ignore(keys.pop())  # the corrected files keep it
    activation = blocks.activation_name(c, *keys)
    if activation.value == "gelu":
        activation = derived("gelu_tanh", "the first files say gelu and mean its tanh form")
    wiring = blocks.layer_wiring(blocks.every_layer(c, "full"), "dense")
    return _decoder(c, mixers, activation, **wiring)


def _gemma2(c: ConfigKeys) -> Draft:
    """Read Gemma 2 or VaultGemma, with softcaps on scores and logits."""
    reason = "even layers slide, odd ones are full"
    layers = blocks.sliding_layers(c, lambda i: i % 2 == 0, reason)
    softcap = c.optional(c.number, "attn_logit_softcapping")
    full = blocks.attention(c, scale=_scale(c), softcap=softcap, **blocks.attention_biases(c))
    sliding = full.replace(window=c.optional(c.size, "sliding_window"))
    c.ignore("sliding_window_size")  # the first files repeat the window here
    return _sandwiched(c, {"sliding": sliding, "full": full}, layers)


def _gemma3(c: ConfigKeys) -> Draft:
    """Read Gemma 3, with QK-norm and a RoPE base for each kind of layer."""
    layers = _gemma3_layers(c)
    c.ignore("attn_logit_softcapping")  # the attention class stores it and never passes it on
    dim = blocks.read_head_dim(c)
    rotary = blocks.rotary_dim(c, dim)
    base = c.number("rope_local_base_freq")
    common: dict[str, Any] = {
        "head_dim": dim,
        "qk_norm": draft(s.QKNorm, scope="head", offset=1),
        "scale": _scale(c),
        **blocks.attention_biases(c),
    }
    sliding = blocks.attention(
        c,
        window=c.optional(c.size, "sliding_window"),
        rope=blocks.rope(c, rotary, layer_type="sliding_attention", theta=base, scaled=False),
        **common,
    )
    full = blocks.attention(c, rope=blocks.rope(c, rotary, layer_type="full_attention"), **common)
    return _sandwiched(c, {"sliding": sliding, "full": full}, layers)


def _gemma3_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide: by layer_types, else all but each `sliding_window_pattern`-th."""
    every = c.size("sliding_window_pattern").value
    if c.has("layer_types"):
        c.ignore("_sliding_window_pattern")
    else:
        c.expect("_sliding_window_pattern", every)  # the class sets it from the other key
    reason = f"full on every {every}th layer, the others slide"
    return blocks.sliding_layers(c, lambda i: (i + 1) % every != 0, reason)


def _scale(c: ConfigKeys) -> Sourced:
    """Return the factor on scores: 1 / sqrt(query_pre_attn_scalar)."""
    scalar = c.positive("query_pre_attn_scalar")
    return derived(round(scalar.value**-0.5, 9), f"1 / sqrt({scalar.evidence.ref})")


def _sandwiched(c: ConfigKeys, mixers: dict[str, Draft], layers: Sourced) -> Draft:
    """Read what Gemma 2 and 3 share: norms around each block, and a softcap on logits.

    VaultGemma has the norms before the blocks only.
    """
    c.ignore("hidden_act")  # the classes read hidden_activation
    step = blocks.sandwich_step
    if c.model_type == "vaultgemma":
        step = blocks.pre_norm_step
    return _decoder(
        c,
        blocks.used(mixers, layers),
        blocks.activation_name(c, "hidden_activation"),
        head=draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping")),
        **blocks.layer_wiring(layers, "dense", step),
    )


def _decoder(c: ConfigKeys, mixers: dict[str, Draft], activation: Sourced, **parts: Any) -> Draft:
    """Read what all Gemmas share."""
    root = derived(c.size("hidden_size").value ** 0.5, "sqrt(hidden_size)")
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns={"dense": blocks.dense(c, activation=activation)},
        norms={"rms": blocks.rms_norm(c, offset=1)},
        embedding=blocks.embedding(c, scale=root),
        **parts,
    )


def _siglip(c: ConfigKeys, text: Draft) -> Draft:
    """Read the SigLIP tower, and Gemma 3's projector: patches averaged, a norm, one matrix."""
    v = FAMILY.part(c, "vision_config", "siglip_vision_model")
    hidden = v.size("hidden_size")
    side = v.size("image_size").value // v.size("patch_size").value
    merge = side // int(c.size("mm_tokens_per_image").value ** 0.5)
    return towers.siglip(
        v,
        merge=derived(merge, "image_size / patch_size / sqrt(mm_tokens_per_image)"),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
        projector_norms=same_evidence([hidden.value], hidden),
    )


def _gemma3_tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the SigLIP tower and the projector, whose matrix is stored as [inputs, outputs]."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    yield from tensors.clip_rows(t, "vision_tower.vision_model.")
    matrix = "multi_modal_projector.mm_input_projection_weight"
    yield tensors.TensorRow(matrix, (t.projector[0].inputs, t.projector[0].outputs), (), "vision")
    norm = "multi_modal_projector.mm_soft_emb_norm.weight"
    yield tensors.TensorRow(norm, (t.projector_norms[0],), (), "vision")


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, with a prefix inside a wrapper."""
    wrapper = bool(a.towers) or a.model_type == "gemma3"
    return tensors.Naming(
        prefix="language_model." if wrapper else "",
        norms=_NORMS.get(a.model_type, tensors.SANDWICH_NORMS),
        tower=_gemma3_tower_rows,
    )


_NORMS = {
    "gemma": tensors.PRE_NORMS,
    "vaultgemma": ("input_layernorm", "pre_feedforward_layernorm"),
}
"""The norms of a layer, of model types whose blocks have none on their outputs."""


_GEMMA2 = {
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
}

FAMILY = Family(
    name="gemma",
    title="Gemma",
    ref=modeling("gemma"),
    refs={
        "gemma2": modeling("gemma2"),
        "gemma3": modeling("gemma3"),
        "gemma3_text": modeling("gemma3"),
        "vaultgemma": modeling("vaultgemma"),
        "siglip_vision_model": modeling("siglip"),
    },
    read=read,
    naming=_naming,
    conversions={
        "gemma3": tensors.Conversion(renames=(*tensors.LLAVA_RENAMES, tensors.CLIP_RENAME))
    },
    defaults={
        "gemma": {
            "num_key_value_heads": 16,
            "head_dim": 256,
            "hidden_act": "gelu_pytorch_tanh",
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "attention_bias": False,
        },
        "gemma2": _GEMMA2,
        "vaultgemma": _GEMMA2,
        "gemma3_text": {
            "vocab_size": 262208,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh",
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "query_pre_attn_scalar": 256,
            "sliding_window": 4096,
            "sliding_window_pattern": 6,
            "final_logit_softcapping": None,
        },
        "gemma3": {"tie_word_embeddings": True, "mm_tokens_per_image": 256},
        "siglip_vision_model": towers.SIGLIP,
    },
    config_class={
        "gemma": "GemmaConfig",
        "gemma2": "Gemma2Config",
        "gemma3": "Gemma3Config",
        "gemma3_text": "Gemma3TextConfig",
        "siglip_vision_model": "SiglipVisionConfig",
        "vaultgemma": "VaultGemmaConfig",
    },
)
