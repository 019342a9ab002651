"""Llama 3.2 Vision: some layers read the features of an image by gated cross attention.

They stand among Llama's layers and have no RoPE. The tower reads tiles of an image together; its
last layers have gates. The embedding has eight rows that the head has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read the wrapper of a decoder."""
    part = FAMILY.part_or_defaults(c, "text_config", "mllama_text_model")
    v = FAMILY.part_or_defaults(c, "vision_config", "mllama_vision_model")
    tower = _tower(c, v, part.size("hidden_size"))
    text = _decoder(part, tower)
    text = text.replace(embedding=text["embedding"].replace(tied=_untied(c, part)))
    whole = blocks.wrapped(c, part, text, tied_by="part")
    return whole.replace(towers={"vision": tower})


def _untied(c: ConfigKeys, part: ConfigKeys) -> Sourced:
    """Return that the head is not tied: its rows are fewer, whatever the flags say."""
    c.ignore("tie_word_embeddings")
    return blocks.untied_embedding(part)["tied"]


def _decoder(c: ConfigKeys, tower: Draft) -> Draft:
    """Read a decoder whose layers read themselves, or the features of a tower."""
    layers = _layers(c)
    tokens = tower["tiles"].value * tower["positions"].value
    full = blocks.attention(c)
    cross = blocks.attention(
        c,
        rope=None,
        qk_norm=draft(s.QKNorm, scope="head"),
        cross_tokens=derived(tokens, "max_num_tiles * positions of a tile"),
    )
    gated = [
        draft(s.Step, branches=[draft(s.Branch, block=block, pre_norm="rms", learned_gate=True)])
        for block in ("mixers.cross", "ffns.dense")
    ]
    kinds = {
        "full": blocks.layer_kind("full", "dense"),
        "cross": draft(s.LayerKind, steps=gated),
    }
    return blocks.decoder(
        c,
        embedding=draft(s.Embedding, tied=False, extra_rows=8),
        mixers=blocks.used({"full": full, "cross": cross}, layers),
        ffns={"dense": blocks.dense(c)},
        layer_kinds=blocks.used(kinds, layers),
        layers=layers,
    )


def _layers(c: ConfigKeys) -> Sourced:
    """Read which layers read the image."""
    key = "cross_attention_layers"
    listed = c.items(key, entry=int)
    if c.has(key):
        listed = c.layer_numbers(key, layers=c.layer_count().value)
    crossing = set(listed.value)
    return blocks.pattern_of(c, lambda i: "cross" if i in crossing else "full", listed)


def _tower(c: ConfigKeys, v: ConfigKeys, width: Sourced) -> Draft:
    """Read the tower, and the matrix from features of several of its layers."""
    kind = vision.encoder_kind(v, "mllama_vision_model")
    layers = v.layer_count()
    further = v.layer_count("num_global_layers")
    grid = vision.grid_positions(v)
    layouts = v.items("supported_aspect_ratios", entry=list)
    features = v.items("intermediate_layers_indices", entry=int)
    last = layers.value + further.value
    v.ignore("max_aspect_ratio_id")
    return vision.transformer(
        v,
        heads=("attention_heads",),
        kind=kind,
        layers=layers,
        global_layers=further,
        attention_bias=False,
        norm=blocks.layer_norm(v, "norm_eps"),
        outer_norms=2,
        image_size=v.size("image_size"),
        positions=derived(grid.value + 1, f"{grid.evidence.ref} + 1"),
        class_token=True,
        tiles=v.size("max_num_tiles"),
        tile_layouts=same_evidence(len(layouts.value), layouts),
        features=same_evidence([*features.value, last], features),
        projector=[draft(s.Linear, inputs=v.size("vision_output_dim"), outputs=width, bias=True)],
    )


def _tower_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    t = a.towers["vision"]
    assert isinstance(t, s.Tower)
    part, prefix, width = "vision", "vision_model.", t.hidden_size
    yield from tensors.patch_rows(f"{prefix}patch_embedding", t)
    yield tensors.TensorRow(f"{prefix}class_embedding", (width,), (), part)
    for name in ("layernorm_pre", "layernorm_post"):
        yield from tensors.norm_rows(prefix + name, t.norm, width, (), part)

    grid = f"{prefix}gated_positional_embedding."
    yield from tensors.position_rows(f"{grid}embedding", t)
    facts = ("towers.vision.tiles", "towers.vision.tile_layouts")
    rows = t.tile_layouts + 1
    tables = {
        f"{grid}tile_embedding": t.tiles * t.positions * width,
        f"{prefix}pre_tile_positional_embedding.embedding": t.tiles * width,
        f"{prefix}post_tile_positional_embedding.embedding": t.tiles * width,
    }
    for name, columns in tables.items():
        yield tensors.TensorRow(f"{name}.weight", (rows, columns), (), part, facts)
        module = name.rpartition(".")[0]
        yield tensors.TensorRow(f"{module}.gate", (1,), (), part)

    yield from _layer_rows(t, f"{prefix}transformer.layers.{{}}.")
    further = replace(t, layers=t.global_layers)
    layer = f"{prefix}global_transformer.layers.{{}}."
    yield from _layer_rows(further, layer)
    facts = ("towers.vision.global_layers",)
    for name in ("gate_attn", "gate_ffn"):
        axes = (tuple(range(t.global_layers)),)
        yield tensors.TensorRow(layer + name, (1,), axes, part, facts)
    yield from tensors.projector_rows(t, "multi_modal_projector")


def _layer_rows(t: s.Tower, layer: str) -> Iterator[tensors.TensorRow]:
    """Yield the layers of the tower under the pattern `layer`."""
    attention = tensors.split_attention_parts()
    yield from tensors.encoder_layer_rows(t, layer, tensors.PRE_NORMS, attention, tensors.FC_MLP)


FAMILY = Family(
    name="mllama",
    title="Llama 3.2 Vision",
    ref=modeling("mllama"),
    read=read,
    naming=tensors.Naming(
        prefix="language_model.",
        branch_gates=("cross_attn_attn_gate", "cross_attn_mlp_gate"),
        blocks={
            "mixers.cross": tensors.split_attention_parts("cross_attn"),
        },
        tower=_tower_rows,
    ),
    conversions={
        "mllama": tensors.Conversion(
            renames=(
                tensors.Rename(r"^language_model.lm_head(?!\w)", "lm_head"),
                tensors.Rename(r"^language_model(?!\w)", "model.language_model"),
                tensors.Rename(r"^vision_model(?!\w)", "model.vision_model"),
                tensors.Rename(r"^multi_modal_projector(?!\w)", "model.multi_modal_projector"),
                tensors.Rename(r"^language_model.model(?!\w)", "language_model", scope=""),
            )
        )
    },
    defaults={
        "mllama_text_model": {
            "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
            "hidden_act": "silu",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "max_position_embeddings": 131072,
            "num_attention_heads": 32,
            "num_hidden_layers": 40,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "tie_word_embeddings": False,
            "vocab_size": 128256,
        },
        "mllama_vision_model": {
            "attention_heads": 16,
            "hidden_act": "gelu",
            "hidden_size": 1280,
            "image_size": 448,
            "intermediate_layers_indices": [3, 7, 15, 23, 30],
            "intermediate_size": 5120,
            "max_num_tiles": 4,
            "norm_eps": 1e-5,
            "num_channels": 3,
            "num_global_layers": 8,
            "num_hidden_layers": 32,
            "patch_size": 14,
            "supported_aspect_ratios": [
                *([1, 1], [1, 2], [1, 3], [1, 4]),
                *([2, 1], [2, 2], [3, 1], [4, 1]),
            ],
            "vision_output_dim": 7680,
        },
    },
    config_class={
        "mllama": "MllamaConfig",
        "mllama_text_model": "MllamaTextConfig",
        "mllama_vision_model": "MllamaVisionConfig",
    },
)
