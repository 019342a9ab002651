"""Llama 4 Scout and Maverick: chunked layers with RoPE, every fourth full and without positions; top-1 MoE with a shared expert.

`llama4` wraps the text model (`llama4_text`) with a vision tower.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, same_evidence
from .smollm3 import rope_layers


def read(c: ConfigKeys) -> Draft:
    if c.model_type == "llama4" or c.has("text_config"):
        part = FAMILY.part(c, "text_config", "llama4_text")
        text = read(part)
        return blocks.wrapped(
            c, part, text, {"vision": tower(c, text)} if c.has("vision_config") else {}
        )
    n = c.layer_count().value
    rotates, turned = rope_layers(c, n, or_empty=True)
    masks, how = masked_layers(c, rotates, turned)
    # a full layer without RoPE is plainly the full one, unless other full layers have it
    nope = "nope" if ("full", True) in zip(masks, rotates, strict=True) else "full"
    names = {
        ("chunked", True): "chunked",
        ("full", True): "full",
        ("full", False): nope,
        ("chunked", False): "chunked_nope",
    }
    kinds = {names[k]: mixer(c, *k) for k in dict.fromkeys(zip(masks, rotates, strict=True))}
    sparse, why = sparse_layers(c, n)
    layers = [
        (names[m, r], "moe" if s else "dense")
        for m, r, s in zip(masks, rotates, sparse, strict=True)
    ]
    ffns = blocks.read_used_blocks(
        c,
        {"moe": moe, "dense": lambda c: blocks.dense(c, "intermediate_size_mlp")},
        (f for _, f in layers),
    )
    parts = blocks.layer_wiring(layers, derived(None, f"{how.evidence.ref}; {why.evidence.ref}"))
    return blocks.decoder(c, mixers=kinds, ffns=ffns, **parts)


def masked_layers(c: ConfigKeys, rotates: list[bool], turned: Sourced) -> tuple[list[str], Sourced]:
    """layer_types, or chunked where a layer rotates and full where not."""
    types = c.items("layer_types", default=None, length=len(rotates), of=str)
    if types.value is None:
        return ["chunked" if r else "full" for r in rotates], turned
    return ["chunked" if t == "chunked_attention" else "full" for t in types.value], types


def mixer(c: ConfigKeys, mask: str, rotates: bool) -> Draft:
    """Layers with RoPE may norm q and k after it, without weights; layers without scale their queries by position."""
    dim, bias = blocks.head_dim(c), c.flag("attention_bias")
    normed, tuned = (
        c.flag("use_qk_norm"),
        c.value("attn_temperature_tuning"),
    )  # the latter 4 in files of the first class, later true
    scaling = draft(
        s.QueryScaling, beta=c.number("attn_scale"), original_context=c.size("floor_scale"), shift=1
    )
    norm = draft(s.QKNorm, scope="head", weight=False, after_rope=True)
    chunk = c.optional(c.size, "attention_chunk_size")
    turned = blocks.rope(c, blocks.rotary_dim(c, dim), interleaved=True)
    return blocks.attention(
        c,
        head_dim=dim,
        qkv_bias=bias,
        output_bias=bias,
        chunk=chunk if mask == "chunked" else None,
        qk_norm=norm if rotates and normed.value else same_evidence(None, normed),
        query_scaling=scaling if tuned.value and not rotates else same_evidence(None, tuned),
        rope=turned if rotates else None,
    )


def sparse_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    """moe_layers lists the sparse ones; else every `interleave_moe_layer_step`-th is sparse."""
    step = c.size("interleave_moe_layer_step")
    given = c.items("moe_layers", default=None, of=int)
    if given.value is not None:
        return [i in given.value for i in range(n)], given
    return [(i + 1) % step.value == 0 for i in range(n)], derived(
        None, f"interleave_moe_layer_step {step.value}"
    )


def moe(c: ConfigKeys) -> Draft:
    """The chosen expert's input is weighted by the sigmoid of its logit; the shared expert is as wide as a routed one."""
    width = c.size("intermediate_size")
    return draft(
        s.MoE,
        experts=c.size("num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=width,
        activation=blocks.activation(c),
        shared_experts=1,
        shared_width=width,
        router=draft(s.Router, scoring="sigmoid", normalized=False, weights="input"),
    )


def tower(c: ConfigKeys, text: Draft) -> Draft:
    """A ViT with a class token and 2-D RoPE; pixel shuffle, a two-layer adapter and one matrix to the decoder's width."""
    v = FAMILY.part(c, "vision_config", "llama4_vision_model")
    hidden, heads, patch, image = (
        v.size("hidden_size"),
        v.size("num_attention_heads"),
        v.size("patch_size"),
        v.size("image_size"),
    )
    dim, out = (
        derived(hidden.value // heads.value, "vision hidden_size / num_attention_heads"),
        v.size("projector_output_dim"),
    )
    pixels = derived(v.size("num_channels").value * patch.value**2, "num_channels * patch_size^2")
    width, act = v.size("intermediate_size"), v.expect("hidden_act", "gelu")
    v.expect("multi_modal_projector_bias", False)
    v.ignore("head_dim", "projector_dropout")
    return draft(
        s.Tower,
        kind=same_evidence("llama4", v.word("model_type", default="llama4_vision_model")),
        layers=v.layer_count(),
        hidden_size=hidden,
        heads=heads,
        head_dim=dim,
        attention_bias=True,
        ffn=draft(s.Dense, width=width, activation=act, gated=False, bias=True),
        norm=draft(
            s.Norm, kind="layernorm", eps=v.expect("norm_eps", 1e-5), bias=True
        ),  # the class builds its norms without the key
        outer_norms=2,
        image_size=image,
        patch_size=patch,
        patch_embedding=draft(s.Linear, inputs=pixels, outputs=hidden),
        positions=derived(
            (image.value // patch.value) ** 2 + 1,
            "(image_size / patch_size)^2 + 1 for the class token",
        ),
        class_token=True,
        rope=blocks.rope(v, dim, interleaved=True),
        merge=derived(round(1 / v.number("pixel_shuffle_ratio").value), "1 / pixel_shuffle_ratio"),
        projector=[
            draft(s.Linear, inputs=width, outputs=v.size("projector_input_dim")),
            draft(s.Linear, inputs=out, outputs=out),
            draft(s.Linear, inputs=v.size("vision_output_dim"), outputs=text["hidden_size"]),
        ],
        projector_activation="gelu",
    )


def tower_names(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t, at = a.towers["vision"], "vision_model."
    assert isinstance(t, s.Tower)
    yield from tensors.matrix_rows(f"{at}patch_embedding.linear", t.patch_embedding)
    yield tensors.TensorRow(
        f"{at}class_embedding", (t.hidden_size,), (), "vision", ("towers.vision.class_token",)
    )
    yield tensors.TensorRow(
        f"{at}positional_embedding_vlm",
        (t.positions, t.hidden_size),
        (),
        "vision",
        ("towers.vision.positions",),
    )
    for name in ("layernorm_pre", "layernorm_post"):
        yield from tensors.norm_rows(at + name, t.norm, t.hidden_size, (), "vision")
    norms = ("input_layernorm", "post_attention_layernorm")
    yield from tensors.tower_rows(
        t,
        f"{at}model.layers.{{}}.",
        norms,
        tensors.attention_parts(),
        tensors.dense_parts("mlp", up="fc1", down="fc2"),
    )
    names = (
        f"{at}vision_adapter.mlp.fc1",
        f"{at}vision_adapter.mlp.fc2",
        "multi_modal_projector.linear_1",
    )
    for name, matrix in zip(names, t.projector, strict=True):
        yield from tensors.matrix_rows(name, matrix)


def naming(a: s.Architecture) -> tensors.Naming:
    prefix = "language_model." if a.towers or a.model_type == "llama4" else ""
    blocks = {
        s.Attention: tensors.attention_parts(),
        s.Dense: tensors.dense_parts("feed_forward"),
        s.MoE: tensors.fused_moe_parts("feed_forward"),
    }
    return tensors.Naming(prefix=prefix, blocks=blocks, tower=tower_names)


FAMILY = Family(
    name="llama4",
    title="Llama 4",
    ref=modeling("llama4"),
    read=read,
    naming=naming,
    defaults={
        "llama4_text": {
            "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False, "attention_bias": False,
            "num_experts_per_tok": 1,
            "intermediate_size": 8192, "intermediate_size_mlp": 16384, "interleave_moe_layer_step": 1, "use_qk_norm": True,
            "no_rope_layer_interval": 4, "attention_chunk_size": 8192, "attn_temperature_tuning": True, "floor_scale": 8192,
            "attn_scale": 0.1,
        },
        "llama4_vision_model": {
            "hidden_size": 768, "num_hidden_layers": 34, "num_attention_heads": 16, "num_channels": 3, "intermediate_size": 5632,
            "vision_output_dim": 7680, "image_size": 448, "patch_size": 14, "pixel_shuffle_ratio": 0.5, "projector_input_dim": 4096,
            "projector_output_dim": 4096, "rope_theta": 10000.0,
        },
    },
    config_class={"llama4": "Llama4Config", "llama4_text": "Llama4TextConfig", "llama4_vision_model": "Llama4VisionConfig"},
)  # fmt: skip
