"""Qwen3-VL: Qwen3's decoder, dense (`qwen3_vl`) or MoE (`qwen3_vl_moe`), with positions of three axes, behind a vision tower.

Three of the tower's layers feed the decoder's first layers as well, each through a merger of its own (deepstack). The tower is Qwen3.5's
too, which has no deepstack.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import ConfigError
from ..vocabulary import (
    Architecture,
    Config,
    Dense,
    Embedding,
    Fact,
    Family,
    Linear,
    MoE,
    Naming,
    Node,
    Norm,
    QKNorm,
    Rope,
    Row,
    Tower,
    activation,
    attention,
    decoder,
    dense,
    dense_parts,
    derived,
    fused_attention_parts,
    fused_moe_parts,
    head_dim,
    like,
    make,
    matrix_rows,
    modeling,
    norm_rows,
    rope,
    rope_keys,
    rotary_dim,
    tower_rows,
    wire,
    wrapped,
)
from .qwen2 import mixture
from .qwen3 import moe as qwen3_moe


def read(c: Config) -> Node:
    if c.model_type in ("qwen3_vl", "qwen3_vl_moe"):
        return wrapper(c, FAMILY, f"{c.model_type}_text", read)
    n, dim, bias = c.layer_count(), head_dim(c), c.flag("attention_bias")
    turn = several_axes(c, rope(c, rotary_dim(c, dim)), [24, 20, 20])
    full = attention(c, head_dim=dim, qk_norm=make(QKNorm, scope="head"), qkv_bias=bias, output_bias=bias, rope=turn)
    of = ["full"] * n.value
    embedding = make(Embedding, tied=c.flag("tie_word_embeddings", default=False))  # the wrapper's default: its class decides
    if c.model_type == "qwen3_vl_text":
        ffns = {"dense": dense(c)}
        return decoder(c, mixers={"full": full}, ffns=ffns, embedding=embedding, **wire([(m, "dense") for m in of], n))
    return decoder(c, mixers={"full": full}, embedding=embedding, **mixture(c, of, n, moe))


def moe(c: Config) -> Node:
    """Qwen3's, but the chosen weights are always normalised."""
    return qwen3_moe(c, c.stated("norm_topk_prob", True))


def wrapper(c: Config, family: Family, text_type: str, read_text: Any) -> Node:
    part = family.part(c, "text_config", text_type)
    text = read_text(part)
    c.stated("language_model_only", False)
    towers = {"vision": tower(c, family, f"{c.model_type}_vision", text)} if c.has("vision_config") else {}
    return wrapped(c, part, text, towers)


def several_axes(c: Config, turn: Node, sections: list[int]) -> Node:
    """Positions of time, height and width: pairs follow one of them in turns, as many as `mrope_section` says (else the class's own)."""
    at = rope_keys(c)
    at.stated("mrope_interleaved", True)
    given = at.items("mrope_section", default=sections, of=int)
    return turn.but(sections=given, sections_interleaved=at.stated("mrope_interleaved", True))


def tower(c: Config, family: Family, model_type: str, text: Node) -> Node:
    """A ViT with a learned grid of positions and rotary ones, both of two axes; merged patches pass an MLP of two."""
    v = family.part(c, "vision_config", model_type)
    kind = v.word("model_type", default=model_type)
    if kind.value not in (model_type, c.model_type):
        raise ConfigError(f"{c.file}: vision_config.model_type is {kind.value!r}; llmarch knows {model_type} in this place")
    hidden, heads, patch, merge = v.size("hidden_size"), v.size("num_heads"), v.size("patch_size"), v.size("spatial_merge_size")
    frames, out = v.size("temporal_patch_size"), v.size("out_hidden_size")
    if out.value != text["hidden_size"].value:
        raise ConfigError(f"{c.file}: {v.key('out_hidden_size')} is {out.value:,}, and the decoder is {text['hidden_size'].value:,} wide")
    dim = derived(hidden.value // heads.value, "vision hidden_size / num_heads")
    merged = derived(hidden.value * merge.value**2, "vision hidden_size * spatial_merge_size^2")
    pixels = derived(v.size("in_channels").value * frames.value * patch.value**2, "in_channels * temporal_patch_size * patch_size^2")
    return make(
        Tower,
        v.ref,
        kind=like(model_type, kind),
        layers=v.layer_count("depth"),
        hidden_size=hidden,
        heads=heads,
        head_dim=dim,
        attention_bias=True,
        ffn=make(Dense, width=v.size("intermediate_size"), activation=activation(v), gated=False, bias=True),
        norm=make(Norm, kind="layernorm", eps=1e-6, bias=True),
        patch_size=patch,
        patch_frames=frames,
        patch_embedding=make(Linear, inputs=pixels, outputs=hidden, bias=True),
        positions=v.size("num_position_embeddings"),
        rope=make(Rope, theta=10000.0, rotary_dim=dim),
        merge=merge,
        projector=[make(Linear, inputs=merged, outputs=merged, bias=True), make(Linear, inputs=merged, outputs=out, bias=True)],
        projector_activation="gelu",
        projector_norms=like([hidden.value], hidden),
        projector_norm_bias=True,
        deepstack=deepstack(v),
    )


def deepstack(v: Config) -> Fact:
    """Qwen3.5's class has no such key; its files have it, empty."""
    return (
        v.items("deepstack_visual_indexes", of=int)
        if v.knows("deepstack_visual_indexes")
        else v.items("deepstack_visual_indexes", default=[])
    )


def tower_names(a: Architecture) -> Iterator[Row]:
    t, at = a.towers["vision"], "model.visual."
    assert isinstance(t, Tower)
    w, part = t.hidden_size, "vision"
    channels = t.patch_embedding.inputs // (t.patch_size**2 * t.patch_frames)
    patch = (w, channels, t.patch_frames, t.patch_size, t.patch_size)
    yield from matrix_rows(f"{at}patch_embed.proj", t.patch_embedding, patch, ("towers.vision.patch_size",))
    yield Row(f"{at}pos_embed.weight", (t.positions, w), (), part, ("towers.vision.positions",))
    blocks = fused_attention_parts("attn", "qkv", "proj"), dense_parts("mlp", up="linear_fc1", down="linear_fc2")
    yield from tower_rows(t, f"{at}blocks.{{}}.", ("norm1", "norm2"), *blocks)
    norm = Norm(kind="layernorm", bias=True)
    yield from norm_rows(f"{at}merger.norm", norm, t.projector_norms[0], (), part)
    numbers = (tuple(range(len(t.deepstack))),)
    if t.deepstack:
        yield from norm_rows(f"{at}deepstack_merger_list.{{}}.norm", norm, t.projector[0].inputs, numbers, part)
    for name, m in zip(("linear_fc1", "linear_fc2"), t.projector, strict=True):
        yield from matrix_rows(f"{at}merger.{name}", m)
        if t.deepstack:
            yield Row(f"{at}deepstack_merger_list.{{}}.{name}.weight", (m.outputs, m.inputs), numbers, part, ("towers.vision.deepstack",))
            yield Row(f"{at}deepstack_merger_list.{{}}.{name}.bias", (m.outputs,), numbers, part)


VISION: dict[str, Any] = {
    "depth": 27, "hidden_size": 1152, "hidden_act": "gelu_pytorch_tanh", "intermediate_size": 4304, "num_heads": 16, "in_channels": 3,
    "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 3584, "num_position_embeddings": 2304,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "hidden_act": "silu", "max_position_embeddings": 128000, "rms_norm_eps": 1e-6, "rope_theta": 500000.0, "attention_bias": False,
}  # fmt: skip

FAMILY = Family(
    name="qwen3_vl",
    title="Qwen3-VL",
    ref=modeling("qwen3_vl"),
    refs={t: modeling("qwen3_vl_moe") for t in ("qwen3_vl_moe", "qwen3_vl_moe_text", "qwen3_vl_moe_vision")},
    read=read,
    naming=Naming(
        embedding="model.language_model.embed_tokens.weight",
        layer="model.language_model.layers.{}.",
        final_norm="model.language_model.norm",
        blocks={MoE: fused_moe_parts(router="gate")},
        tower=tower_names,
    ),
    defaults={
        "qwen3_vl": {"tie_word_embeddings": False},
        "qwen3_vl_moe": {"tie_word_embeddings": False},
        "qwen3_vl_text": TEXT | {"head_dim": 128, "num_key_value_heads": 32},
        "qwen3_vl_moe_text": TEXT | {"num_key_value_heads": 16, "decoder_sparse_step": 1},
        "qwen3_vl_vision": VISION | {"deepstack_visual_indexes": [8, 16, 24]},
        "qwen3_vl_moe_vision": VISION | {"deepstack_visual_indexes": [8, 16, 24]},
    },
    config_class={
        "qwen3_vl": "Qwen3VLConfig", "qwen3_vl_text": "Qwen3VLTextConfig", "qwen3_vl_vision": "Qwen3VLVisionConfig",
        "qwen3_vl_moe": "Qwen3VLMoeConfig", "qwen3_vl_moe_text": "Qwen3VLMoeTextConfig", "qwen3_vl_moe_vision": "Qwen3VLMoeVisionConfig",
    },
)  # fmt: skip
