"""Gemma 1, 2 and 3: norms that multiply by (1 + weight), GeGLU, embedding times sqrt(hidden), tied.

Gemma 2 and 3 norm before and after each block and mix sliding with full layers; Gemma 3 has QK-norm, two RoPE bases, and from 4B on a
SigLIP vision tower (`gemma3` wraps `gemma3_text`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError, NotAModel
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, same_evidence


def read(c: ConfigKeys) -> Draft:
    if c.model_type == "gemma3" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "gemma3_text")
        text = read(part)
        c.ignore("mm_tokens_per_image")  # read with the tower, if there is one
        return blocks.wrapped(
            c, part, text, {"vision": siglip(c, text)} if c.has("vision_config") else {}
        )
    if c.flag("use_bidirectional_attention", default=False).value:
        raise NotAModel(
            f"{c.file}: {c.at}use_bidirectional_attention is true: an encoder (as EmbeddingGemma), not a decoder"
        )
    return {"gemma": gemma, "gemma2": gemma2}.get(c.model_type, gemma3)(c)


def gemma(c: ConfigKeys) -> Draft:
    layers = c.layer_count()
    given = blocks.activation(c, "hidden_activation", "hidden_act")
    geglu = (
        derived("gelu_tanh", "the first files say gelu and mean its tanh form")
        if given.value == "gelu"
        else given
    )
    return gemma_decoder(
        c,
        {"full": blocks.attention(c, **biases(c))},
        geglu,
        **blocks.layer_wiring([("full", "dense")] * layers.value, layers),
    )


def gemma2(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    of, how = blocks.sliding_layers(
        c, n, lambda i: i % 2 == 0, "even layers slide, odd ones are full"
    )
    full = blocks.attention(
        c, **biases(c), scale=scale(c), softcap=c.optional(c.number, "attn_logit_softcapping")
    )
    mixers = {"sliding": full.replace(window=c.optional(c.size, "sliding_window")), "full": full}
    c.ignore("sliding_window_size")  # its twin in the first files
    return sandwiched(c, mixers, of, how)


def gemma3(c: ConfigKeys) -> Draft:
    n, dim = c.layer_count().value, blocks.head_dim(c)
    every = c.size("sliding_window_pattern", "_sliding_window_pattern").value
    of, how = blocks.sliding_layers(
        c, n, lambda i: (i + 1) % every != 0, f"full on every {every}th layer, the others slide"
    )
    c.ignore("attn_logit_softcapping")  # the attention class stores it and never passes it on
    common = {
        "head_dim": dim,
        "qk_norm": draft(s.QKNorm, scope="head", offset=1),
        "scale": scale(c),
        **biases(c),
    }
    turn = blocks.rotary_dim(c, dim)
    local = blocks.rope(
        c,
        turn,
        layer_type="sliding_attention",
        theta=c.number("rope_local_base_freq"),
        scaled=False,
    )
    mixers = {
        "sliding": blocks.attention(
            c, **common, window=c.optional(c.size, "sliding_window"), rope=local
        ),
        "full": blocks.attention(
            c, **common, rope=blocks.rope(c, turn, layer_type="full_attention")
        ),
    }
    return sandwiched(c, mixers, of, how)


def sandwiched(c: ConfigKeys, mixers: dict[str, Draft], of: list[str], how: Sourced) -> Draft:
    c.ignore("hidden_act")  # Gemma 2 and 3 read hidden_activation
    used = {name: m for name, m in mixers.items() if name in of}
    head = draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping"))
    return gemma_decoder(
        c,
        used,
        blocks.activation(c, "hidden_activation"),
        head=head,
        **blocks.layer_wiring([(m, "dense") for m in of], how, blocks.sandwich_step),
    )


def gemma_decoder(
    c: ConfigKeys, mixers: dict[str, Draft], geglu: Sourced, **parts: object
) -> Draft:
    root = derived(c.size("hidden_size").value ** 0.5, "sqrt(hidden_size)")
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns={"dense": draft(s.Dense, width=c.size("intermediate_size"), activation=geglu)},
        norms={"rms": blocks.rms_norm(c, offset=1)},
        embedding=draft(s.Embedding, tied=c.flag("tie_word_embeddings"), scale=root),
        **parts,
    )


def biases(c: ConfigKeys) -> dict[str, Sourced]:
    bias = c.flag("attention_bias")
    return {"qkv_bias": bias, "output_bias": bias}


def scale(c: ConfigKeys) -> Sourced:
    scalar = c.number("query_pre_attn_scalar")
    return derived(round(scalar.value**-0.5, 9), f"1 / sqrt({scalar.evidence.ref})")


def siglip(c: ConfigKeys, text: Draft) -> Draft:
    """The SigLIP tower, and Gemma 3's projector: patches averaged, a norm, one matrix."""
    v = FAMILY.part(c, "vision_config", "siglip_vision_model")
    kind = v.word("model_type", default="siglip_vision_model")
    if kind.value != "siglip_vision_model":
        raise ConfigError(
            f"{c.file}: vision_config.model_type is {kind.value!r}; llmarch knows siglip_vision_model in this place"
        )
    hidden, heads, patch, image = (
        v.size("hidden_size"),
        v.size("num_attention_heads"),
        v.size("patch_size"),
        v.size("image_size"),
    )
    side, tokens = image.value // patch.value, c.size("mm_tokens_per_image")
    pixels = derived(v.size("num_channels").value * patch.value**2, "num_channels * patch_size^2")
    return draft(
        s.Tower,
        v.ref,
        kind=same_evidence("siglip", kind),
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=heads,
        head_dim=derived(hidden.value // heads.value, "vision hidden_size / num_attention_heads"),
        attention_bias=True,
        ffn=draft(
            s.Dense,
            width=v.size("intermediate_size"),
            activation=blocks.activation(v),
            gated=False,
            bias=True,
        ),
        norm=draft(s.Norm, kind="layernorm", eps=v.number("layer_norm_eps"), bias=True),
        outer_norms=1,
        image_size=image,
        patch_size=patch,
        patch_embedding=draft(s.Linear, inputs=pixels, outputs=hidden, bias=True),
        positions=derived(side**2, "(image_size / patch_size)^2"),
        pooling_head=v.flag("vision_use_head"),
        merge=derived(
            side // int(tokens.value**0.5), "image_size / patch_size / sqrt(mm_tokens_per_image)"
        ),
        projector=[draft(s.Linear, inputs=hidden, outputs=text["hidden_size"])],
        projector_norms=same_evidence([hidden.value], hidden),
    )


def siglip_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t, at = a.towers["vision"], "vision_tower.vision_model."
    assert isinstance(t, s.Tower)
    w = t.hidden_size
    channels = t.patch_embedding.inputs // t.patch_size**2
    patch = (w, channels, t.patch_size, t.patch_size)
    yield from tensors.matrix_rows(
        f"{at}embeddings.patch_embedding", t.patch_embedding, patch, ("towers.vision.patch_size",)
    )
    yield tensors.TensorRow(
        f"{at}embeddings.position_embedding.weight",
        (t.positions, w),
        (),
        "vision",
        ("towers.vision.positions",),
    )
    mlp = tensors.dense_parts("mlp", up="fc1", down="fc2")
    yield from tensors.tower_rows(
        t,
        f"{at}encoder.layers.{{}}.",
        ("layer_norm1", "layer_norm2"),
        tensors.attention_parts(o="out_proj"),
        mlp,
    )
    yield from tensors.norm_rows(f"{at}post_layernorm", t.norm, w, (), "vision")
    if t.pooling_head:
        yield tensors.TensorRow(
            f"{at}head.probe", (1, 1, w), (), "vision", ("towers.vision.pooling_head",)
        )
        yield tensors.TensorRow(f"{at}head.attention.in_proj_weight", (3 * w, w), (), "vision")
        yield tensors.TensorRow(f"{at}head.attention.in_proj_bias", (3 * w,), (), "vision")
        yield from tensors.matrix_rows(
            f"{at}head.attention.out_proj", s.Linear(inputs=w, outputs=w, bias=True)
        )
        yield from tensors.norm_rows(f"{at}head.layernorm", t.norm, w, (), "vision")
        for p in mlp(t.ffn, w):
            yield tensors.TensorRow(f"{at}head.{p.name}", p.shape, (), "vision")
    turned = (t.projector[0].inputs, t.projector[0].outputs)
    yield tensors.TensorRow(
        "multi_modal_projector.mm_input_projection_weight", turned, (), "vision"
    )
    yield tensors.TensorRow(
        "multi_modal_projector.mm_soft_emb_norm.weight", (t.projector_norms[0],), (), "vision"
    )


def naming(a: s.Architecture) -> tensors.Naming:
    prefix = "language_model." if a.towers or a.model_type == "gemma3" else ""
    return tensors.Naming(
        prefix=prefix,
        norms=tensors.PRE_NORMS if a.model_type == "gemma" else tensors.SANDWICH_NORMS,
        tower=siglip_rows,
    )


FAMILY = Family(
    name="gemma",
    title="Gemma",
    ref=modeling("gemma"),
    refs={
        "gemma2": modeling("gemma2"),
        "gemma3": modeling("gemma3"),
        "gemma3_text": modeling("gemma3"),
        "siglip_vision_model": modeling("siglip"),
    },
    read=read,
    naming=naming,
    defaults={
        "gemma": {
            "num_key_value_heads": 16, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": True, "attention_bias": False,
        },
        "gemma2": {
            "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": True, "attention_bias": False, "query_pre_attn_scalar": 256,
            "sliding_window": 4096, "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0,
        },
        "gemma3_text": {
            "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "tie_word_embeddings": True, "attention_bias": False, "query_pre_attn_scalar": 256, "sliding_window": 4096,
            "sliding_window_pattern": 6, "final_logit_softcapping": None,
        },
        "gemma3": {"mm_tokens_per_image": 256},
        "siglip_vision_model": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "num_channels": 3,
            "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "vision_use_head": True,
        },
    },
    config_class={
        "gemma": "GemmaConfig", "gemma2": "Gemma2Config", "gemma3": "Gemma3Config", "gemma3_text": "Gemma3TextConfig",
        "siglip_vision_model": "SiglipVisionConfig",
    },
)  # fmt: skip
