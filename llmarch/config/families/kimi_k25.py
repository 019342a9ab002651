"""Kimi K2.5, 2.6 and 2.7: Kimi K2 (DeepSeek V3's code) behind a MoonViT vision tower."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..blocks import vision
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from . import read_text_part

_FIXED = {
    "merge_type": "sd2_tpool",
    "mm_projector_type": "patchmerger",
    "pos_emb_type": "divided_fixed",
    "video_attn_type": "spatial_temporal",
}
"""Keys of the makers' code that have one known value."""


def read(c: ConfigKeys) -> Draft:
    """Read a wrapper."""
    part, text = read_text_part(c, "deepseek_v3")
    # how pictures stand among tokens
    c.ignore("media_placeholder_token_id", "video_placeholder", "use_unified_vision_chunk")
    c.ignore("projection_hidden_size")  # read with the tower, if there is one
    c.describe_only("projection_layer_norm_eps", 1e-5, "behaviour")
    return blocks.wrapped(c, part, text, vision=_moonvit)


def _moonvit(c: ConfigKeys, text: Draft) -> Draft:
    """Read a ViT with a learned grid of positions and rotary ones of two axes.

    Frames are averaged; merged patches pass an MLP of two layers. The published files have keys of
    the makers' code (vt_*), files saved by transformers those of its class.
    """
    keys = FAMILY.part(c, "vision_config", "kimi_k25_vision")
    for key, value in _FIXED.items():
        keys.expect(key, value)
    keys.ignore("model_type")
    for frames in ("init_pos_emb_time", "pos_emb_time"):  # of fixed sines
        keys.describe_only(frames, 4, "behaviour")
    keys.describe_only("projector_ln_eps", 1e-5, "behaviour")
    rows = keys.size("init_pos_emb_height", "pos_emb_height")
    columns = keys.size("init_pos_emb_width", "pos_emb_width")
    positions = f"{rows.evidence.ref} * {columns.evidence.ref}"
    hidden = keys.size("vt_hidden_size", "hidden_size")
    c.describe_only("projection_hidden_size", hidden.value, "weights")
    heads = ("vt_num_attention_heads", "num_attention_heads")
    dim = derived(hidden.value // keys.size(*heads).value, "vision hidden size / heads")
    width = text["hidden_size"]
    _check_projector(keys, hidden, width)
    merge = _merged_patches(keys)
    merged = derived(hidden.value * merge.value**2, "vision hidden size * merge^2")
    return vision.transformer(
        keys,
        hidden=("vt_hidden_size", "hidden_size"),
        heads=heads,
        width=("vt_intermediate_size", "intermediate_size"),
        channels="",
        kind="moonvit",
        layers=keys.layer_count("vt_num_hidden_layers", "num_hidden_layers"),
        head_dim=dim,
        norm=draft(s.Norm, kind="layernorm", eps=1e-5, bias=True),
        outer_norms=1,
        patch_embedding=vision.patch_embedding(keys, hidden, "", bias=True),
        positions=derived(rows.value * columns.value, positions),
        rope=draft(s.Rope, theta=vision.rope_theta(keys), rotary_dim=dim, interleaved=True),
        merge=merge,
        projector=[
            draft(s.Linear, inputs=merged, outputs=merged, bias=True),
            draft(s.Linear, inputs=merged, outputs=width, bias=True),
        ],
        projector_activation=keys.expect("projector_hidden_act", "gelu"),
        projector_norms=same_evidence([hidden.value], hidden),
        projector_norm_bias=True,
    )


def _merged_patches(keys: ConfigKeys) -> Sourced:
    """Read the side of the square of patches that makes a token."""
    key = "merge_kernel_size"
    kernel = keys.items(key, entry=int)
    sides: list[int] = kernel.value
    is_square = len(sides) == 2 and sides[0] == sides[1]
    if not is_square:
        raise ConfigError(f"{keys.file}: {keys.key(key)} is {sides}; llmarch supports squares")

    side = sides[0]
    return same_evidence(side, kernel)


def _check_projector(keys: ConfigKeys, hidden: Sourced, width: Sourced) -> None:
    """Raise ConfigError if the projector's widths are not those of tower and decoder."""
    inputs = keys.size("mm_hidden_size", default=hidden)
    outputs = keys.size("text_hidden_size", default=width)
    if inputs.value != hidden.value or outputs.value != width.value:
        raise ConfigError(
            f"{keys.file}: the projector's widths are not those of tower and decoder, which llmarch"
            " does not support"
        )


def _moonvit_rows(a: s.Architecture) -> Iterator[tensors.TensorRow]:
    """Yield the tower and its projector."""
    tower = a.towers["vision"]
    assert isinstance(tower, s.Tower)
    patches = "vision_tower.patch_embed."
    encoder = "vision_tower.encoder."
    yield from tensors.patch_rows(f"{patches}proj", tower)

    grid = _position_grid(tower)
    yield from tensors.position_rows(f"{patches}pos_emb.weight", tower, grid)

    yield from tensors.encoder_layer_rows(
        tower,
        layer=f"{encoder}blocks.{{}}.",
        norms=("norm0", "norm1"),
        attention=tensors.fused_attention_parts("", "wqkv", "wo"),
        ffn=tensors.dense_parts("mlp", up="fc0", down="fc1"),
    )

    norm_widths = {
        f"{encoder}final_layernorm": tower.hidden_size,
        "mm_projector.pre_norm": tower.projector_norms[0],
    }
    for name, width in norm_widths.items():
        yield from tensors.norm_rows(name, tower.norm, width, (), "vision")

    yield from tensors.projector_rows(
        tower,
        "mm_projector.proj.0",
        "mm_projector.proj.2",
    )


def _position_grid(tower: s.Tower) -> tuple[int, int, int]:
    """Return the shape of the table of positions, [rows, columns, width].

    The facts tell the number of positions only; the grid is taken to be as near to a square as
    that number allows.
    """
    positions = tower.positions
    root = isqrt(positions)
    divisors = [side for side in range(1, root + 1) if positions % side == 0]
    rows = max(divisors)
    columns = positions // rows
    return (rows, columns, tower.hidden_size)


_KIMI_K25_CONVERSION = tensors.Conversion(
    renames=(
        tensors.Rename(r"language_model.model(?!\w)", "model.language_model"),
        tensors.Rename(r"language_model.lm_head(?!\w)", "lm_head"),
        tensors.Rename(r"(vision_tower.encoder.blocks.\{\}).norm1(?!\w)", r"\1.norm2"),
        tensors.Rename(r"(vision_tower.encoder.blocks.\{\}).norm0(?!\w)", r"\1.norm1"),
        tensors.Rename(r"(vision_tower.encoder.blocks.\{\}.mlp).fc1(?!\w)", r"\1.fc2"),
        tensors.Rename(r"(vision_tower.encoder.blocks.\{\}.mlp).fc0(?!\w)", r"\1.fc1"),
        tensors.Rename(r"(vision_tower.encoder.blocks.\{\}).wo(?!\w)", r"\1.attn.proj"),
        tensors.Rename(r"vision_tower.encoder(?!\w)", "model.vision_tower"),
        tensors.Rename(r"blocks(?!\w)", "layers"),
        tensors.Rename(
            r"vision_tower.patch_embed.pos_emb.weight(?!\w)",
            "model.vision_tower.patch_embed.pos_emb.position_embeddings",
        ),
    ),
    merges=(
        tensors.Merge((r"wqkv(?!\w)",), ("attn.q_proj", "attn.k_proj", "attn.v_proj")),
        *tensors.MERGED_EXPERTS,
    ),
)
"""`kimi_k25`. The projector's two matrices keep their published names here."""


FAMILY = Family(
    name="kimi_k25",
    title="Kimi K2.5",
    ref=modeling("kimi_k25"),
    read=read,
    naming=tensors.Naming(prefix="language_model.", mtp=tensors.mtp_as_layers, tower=_moonvit_rows),
    conversions={"kimi_k25": _KIMI_K25_CONVERSION},
    defaults={
        "kimi_k25": {"tie_word_embeddings": True},
        "kimi_k25_vision": {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "patch_size": 14,
            "pos_emb_height": 64,
            "pos_emb_width": 64,
            "hidden_act": "gelu_pytorch_tanh",
            "merge_kernel_size": [2, 2],
        },
    },
    config_class={"kimi_k25": "Kimi_K25Config", "kimi_k25_vision": "Kimi_K25VisionConfig"},
)
