"""Qwen3-VL: Qwen3's decoder, dense (`qwen3_vl`) or MoE (`qwen3_vl_moe`), with positions of three axes, behind a vision tower.

Three of the tower's layers feed the decoder's first layers as well, each through a merger of its own (deepstack). The tower is Qwen3.5's
too, which has no deepstack.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, same_evidence
from .qwen2 import mixture
from .qwen3 import moe as qwen3_moe


def read(c: ConfigKeys) -> Draft:
    if c.model_type in ("qwen3_vl", "qwen3_vl_moe"):
        return wrapper(c, FAMILY, f"{c.model_type}_text", read)
    n, dim, bias = c.layer_count(), blocks.head_dim(c), c.flag("attention_bias")
    turn = several_axes(c, blocks.rope(c, blocks.rotary_dim(c, dim)), [24, 20, 20])
    full = blocks.attention(
        c,
        head_dim=dim,
        qk_norm=draft(s.QKNorm, scope="head"),
        qkv_bias=bias,
        output_bias=bias,
        rope=turn,
    )
    of = ["full"] * n.value
    embedding = draft(
        s.Embedding, tied=c.flag("tie_word_embeddings", default=False)
    )  # the wrapper's default: its class decides
    if c.model_type == "qwen3_vl_text":
        ffns = {"dense": blocks.dense(c)}
        return blocks.decoder(
            c,
            mixers={"full": full},
            ffns=ffns,
            embedding=embedding,
            **blocks.layer_wiring([(m, "dense") for m in of], n),
        )
    return blocks.decoder(c, mixers={"full": full}, embedding=embedding, **mixture(c, of, n, moe))


def moe(c: ConfigKeys) -> Draft:
    """Qwen3's, but the chosen weights are always normalised."""
    return qwen3_moe(c, c.expect("norm_topk_prob", True))


def wrapper(c: ConfigKeys, family: Family, text_type: str, read_text: Any) -> Draft:
    part = family.part(c, "text_config", text_type)
    text = read_text(part)
    c.expect("language_model_only", False)
    towers = (
        {"vision": tower(c, family, f"{c.model_type}_vision", text)}
        if c.has("vision_config")
        else {}
    )
    return blocks.wrapped(c, part, text, towers)


def several_axes(c: ConfigKeys, turn: Draft, sections: list[int]) -> Draft:
    """Positions of time, height and width: pairs follow one of them in turns, as many as `mrope_section` says (else the class's own)."""
    at = blocks.rope_keys(c)
    at.expect("mrope_interleaved", True)
    given = at.items("mrope_section", default=sections, of=int)
    return turn.replace(sections=given, sections_interleaved=at.expect("mrope_interleaved", True))


def tower(c: ConfigKeys, family: Family, model_type: str, text: Draft) -> Draft:
    """A ViT with a learned grid of positions and rotary ones, both of two axes; merged patches pass an MLP of two."""
    v = family.part(c, "vision_config", model_type)
    kind = v.word("model_type", default=model_type)
    if kind.value not in (model_type, c.model_type):
        raise ConfigError(
            f"{c.file}: vision_config.model_type is {kind.value!r}; llmarch knows {model_type} in this place"
        )
    hidden, heads, patch, merge = (
        v.size("hidden_size"),
        v.size("num_heads"),
        v.size("patch_size"),
        v.size("spatial_merge_size"),
    )
    frames, out = v.size("temporal_patch_size"), v.size("out_hidden_size")
    if out.value != text["hidden_size"].value:
        raise ConfigError(
            f"{c.file}: {v.key('out_hidden_size')} is {out.value:,}, and the decoder is {text['hidden_size'].value:,} wide"
        )
    dim = derived(hidden.value // heads.value, "vision hidden_size / num_heads")
    merged = derived(hidden.value * merge.value**2, "vision hidden_size * spatial_merge_size^2")
    pixels = derived(
        v.size("in_channels").value * frames.value * patch.value**2,
        "in_channels * temporal_patch_size * patch_size^2",
    )
    return draft(
        s.Tower,
        v.ref,
        kind=same_evidence(model_type, kind),
        layers=v.layer_count("depth"),
        hidden_size=hidden,
        heads=heads,
        head_dim=dim,
        attention_bias=True,
        ffn=draft(
            s.Dense,
            width=v.size("intermediate_size"),
            activation=blocks.activation(v),
            gated=False,
            bias=True,
        ),
        norm=draft(s.Norm, kind="layernorm", eps=1e-6, bias=True),
        patch_size=patch,
        patch_frames=frames,
        patch_embedding=draft(s.Linear, inputs=pixels, outputs=hidden, bias=True),
        positions=v.size("num_position_embeddings"),
        rope=draft(s.Rope, theta=10000.0, rotary_dim=dim),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=out, bias=True),
        ],
        projector_activation="gelu",
        projector_norms=same_evidence([hidden.value], hidden),
        projector_norm_bias=True,
        deepstack=deepstack(v),
    )


def deepstack(v: ConfigKeys) -> Sourced:
    """Qwen3.5's class has no such key; its files have it, empty."""
    return (
        v.items("deepstack_visual_indexes", of=int)
        if v.knows("deepstack_visual_indexes")
        else v.items("deepstack_visual_indexes", default=[])
    )


def tower_names(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t, at = a.towers["vision"], "model.visual."
    assert isinstance(t, s.Tower)
    w, part = t.hidden_size, "vision"
    channels = t.patch_embedding.inputs // (t.patch_size**2 * t.patch_frames)
    patch = (w, channels, t.patch_frames, t.patch_size, t.patch_size)
    yield from tensors.matrix_rows(
        f"{at}patch_embed.proj", t.patch_embedding, patch, ("towers.vision.patch_size",)
    )
    yield tensors.TensorRow(
        f"{at}pos_embed.weight", (t.positions, w), (), part, ("towers.vision.positions",)
    )
    layer_parts = (
        tensors.fused_attention_parts("attn", "qkv", "proj"),
        tensors.dense_parts("mlp", up="linear_fc1", down="linear_fc2"),
    )
    yield from tensors.tower_rows(t, f"{at}blocks.{{}}.", ("norm1", "norm2"), *layer_parts)
    norm = s.Norm(kind="layernorm", bias=True)
    yield from tensors.norm_rows(f"{at}merger.norm", norm, t.projector_norms[0], (), part)
    numbers = (tuple(range(len(t.deepstack))),)
    if t.deepstack:
        yield from tensors.norm_rows(
            f"{at}deepstack_merger_list.{{}}.norm", norm, t.projector[0].inputs, numbers, part
        )
    for name, m in zip(("linear_fc1", "linear_fc2"), t.projector, strict=True):
        yield from tensors.matrix_rows(f"{at}merger.{name}", m)
        if t.deepstack:
            yield tensors.TensorRow(
                f"{at}deepstack_merger_list.{{}}.{name}.weight",
                (m.outputs, m.inputs),
                numbers,
                part,
                ("towers.vision.deepstack",),
            )
            yield tensors.TensorRow(
                f"{at}deepstack_merger_list.{{}}.{name}.bias", (m.outputs,), numbers, part
            )


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
    naming=tensors.Naming(
        embedding="model.language_model.embed_tokens.weight",
        layer="model.language_model.layers.{}.",
        final_norm="model.language_model.norm",
        blocks={s.MoE: tensors.fused_moe_parts(router="gate")},
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
