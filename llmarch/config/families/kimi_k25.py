"""Kimi K2.5, 2.6 and 2.7: Kimi K2 (DeepSeek V3's code) behind a MoonViT vision tower."""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, derived, draft, modeling, same_evidence
from . import find


def read(c: ConfigKeys) -> Draft:
    model_type = c.child("text_config").word("model_type", default="deepseek_v3").value
    family = find(model_type, c.file)
    part = family.part(c, "text_config", model_type)
    text = family.read(part)
    c.ignore(
        "media_placeholder_token_id", "video_placeholder", "use_unified_vision_chunk"
    )  # how pictures stand among tokens
    c.ignore(
        "projection_hidden_size", "projection_layer_norm_eps"
    )  # read with the tower, if there is one
    return blocks.wrapped(
        c, part, text, {"vision": moonvit(c, text)} if c.has("vision_config") else {}
    )


def moonvit(c: ConfigKeys, text: Draft) -> Draft:
    """A ViT with a learned grid of positions and rotary ones of two axes; frames are averaged, merged patches pass an MLP of two.

    The published files have keys of the makers' code (vt_*), files saved by transformers those of its class.
    """
    v = FAMILY.part(c, "vision_config", "kimi_k25_vision")
    for key, value in (("merge_type", "sd2_tpool"), ("mm_projector_type", "patchmerger"), ("pos_emb_type", "divided_fixed"),
                       ("video_attn_type", "spatial_temporal")):  # fmt: skip
        v.expect(key, value)
    v.ignore("model_type", "init_pos_emb_time", "pos_emb_time")  # positions in time are fixed sines
    hidden, heads = (
        v.size("vt_hidden_size", "hidden_size"),
        v.size("vt_num_attention_heads", "num_attention_heads"),
    )
    rows, columns = (
        v.size("init_pos_emb_height", "pos_emb_height"),
        v.size("init_pos_emb_width", "pos_emb_width"),
    )
    kernel, patch, width = (
        v.items("merge_kernel_size", of=int),
        v.size("patch_size"),
        text["hidden_size"],
    )
    if len(kernel.value) != 2 or kernel.value[0] != kernel.value[1]:
        raise ConfigError(
            f"{c.file}: {v.key('merge_kernel_size')} is {kernel.value}; llmarch knows square ones"
        )
    inputs = v.size("mm_hidden_size", default=hidden)
    if (
        inputs.value != hidden.value
        or v.size("text_hidden_size", default=width).value != width.value
    ):
        raise ConfigError(
            f"{c.file}: the projector's widths are not those of tower and decoder; llmarch knows no such Kimi"
        )
    dim = derived(hidden.value // heads.value, "vision hidden size / heads")
    merge = same_evidence(kernel.value[0], kernel)
    merged = derived(hidden.value * merge.value**2, "vision hidden size * merge^2")
    v.ignore("projector_ln_eps")
    return draft(
        s.Tower,
        v.ref,
        kind="moonvit",
        layers=v.layer_count("vt_num_hidden_layers", "num_hidden_layers"),
        hidden_size=hidden,
        heads=heads,
        head_dim=dim,
        attention_bias=True,
        ffn=draft(
            s.Dense,
            width=v.size("vt_intermediate_size", "intermediate_size"),
            activation=blocks.activation(v),
            gated=False,
            bias=True,
        ),
        norm=draft(s.Norm, kind="layernorm", eps=1e-5, bias=True),
        outer_norms=1,
        patch_size=patch,
        patch_embedding=draft(
            s.Linear,
            inputs=derived(3 * patch.value**2, "3 * patch_size^2"),
            outputs=hidden,
            bias=True,
        ),
        positions=derived(
            rows.value * columns.value, f"{rows.evidence.ref} * {columns.evidence.ref}"
        ),
        rope=draft(s.Rope, theta=10000.0, rotary_dim=dim, interleaved=True),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=width, bias=True),
        ],
        projector_activation=v.expect("projector_hidden_act", "gelu"),
        projector_norms=same_evidence([hidden.value], hidden),
        projector_norm_bias=True,
    )


def moonvit_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    t, at, part = a.towers["vision"], "vision_tower.", "vision"
    assert isinstance(t, s.Tower)
    side = int(t.positions**0.5)
    yield from tensors.matrix_rows(
        f"{at}patch_embed.proj",
        t.patch_embedding,
        (t.hidden_size, 3, t.patch_size, t.patch_size),
        ("towers.vision.patch_size",),
    )
    yield tensors.TensorRow(
        f"{at}patch_embed.pos_emb.weight",
        (side, t.positions // side, t.hidden_size),
        (),
        part,
        ("towers.vision.positions",),
    )
    layer_parts = (
        tensors.fused_attention_parts("", "wqkv", "wo"),
        tensors.dense_parts("mlp", up="fc0", down="fc1"),
    )
    yield from tensors.tower_rows(t, f"{at}encoder.blocks.{{}}.", ("norm0", "norm1"), *layer_parts)
    yield from tensors.norm_rows(f"{at}encoder.final_layernorm", t.norm, t.hidden_size, (), part)
    yield from tensors.norm_rows("mm_projector.pre_norm", t.norm, t.projector_norms[0], (), part)
    for name, matrix in zip(("proj.0", "proj.2"), t.projector, strict=True):
        yield from tensors.matrix_rows(f"mm_projector.{name}", matrix)


FAMILY = Family(
    name="kimi_k25",
    title="Kimi K2.5",
    ref=modeling("kimi_k25"),
    read=read,
    naming=tensors.Naming(prefix="language_model.", mtp=tensors.mtp_as_layers, tower=moonvit_rows),
    defaults={
        "kimi_k25": {"tie_word_embeddings": True},
        "kimi_k25_vision": {
            "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16, "patch_size": 14,
            "pos_emb_height": 64, "pos_emb_width": 64, "hidden_act": "gelu_pytorch_tanh", "merge_kernel_size": [2, 2],
        },
    },
    config_class={"kimi_k25": "Kimi_K25Config", "kimi_k25_vision": "Kimi_K25VisionConfig"},
)  # fmt: skip
