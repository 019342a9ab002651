"""Names and shapes of Vision Transformers and of the matrices around encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Attention, Linear, Norm, QKNorm, SpeechTower, Tower
from .parts import BlockTensors, dense_parts, fused_attention_parts, split_attention_parts
from .template import TensorRow, norm_rows

_VISION = "vision"
_AUDIO = "audio"


def of_tower(rows: Iterable[TensorRow], name: str) -> Iterator[TensorRow]:
    """Yield the rows of a vision tower as those of the encoder `name`."""
    for row in rows:
        facts = [f.replace("towers.vision.", f"towers.{name}.") for f in row.proves]
        yield replace(row, component=name, proves=tuple(facts))


def matrix_rows(
    name: str,
    matrix: Linear | None,
    shape: tuple[int, ...] = (),
    proves: tuple[str, ...] = (),
    component: str = _VISION,
) -> Iterator[TensorRow]:
    """Yield an encoder's matrix that stands alone, nothing for None.

    shape: how the matrix is stored, if not as [outputs, inputs].
    """
    if matrix is None:
        return
    usual_shape = (matrix.outputs, matrix.inputs)
    yield TensorRow(
        pattern=f"{name}.weight",
        shape=shape or usual_shape,
        axes=(),
        component=component,
        proves=proves,
    )

    if matrix.bias:
        yield TensorRow(
            pattern=f"{name}.bias",
            shape=(matrix.outputs,),
            axes=(),
            component=component,
        )


def encoder_layer_rows(
    tower: Tower, layer: str, norms: tuple[str, ...], attention: BlockTensors, ffn: BlockTensors
) -> Iterator[TensorRow]:
    """Yield the encoder layers of a tower, named under the pattern `layer`."""
    width = tower.hidden_size
    axes = (tuple(range(tower.layers)),)

    for name in norms:
        yield from norm_rows(layer + name, tower.norm, width, axes, _VISION)

    mixer = _attention_of_tower(tower)
    for tensor in attention(mixer, width):
        facts: tuple[str, ...] = ()
        if tensor.proves:
            facts = ("towers.vision.hidden_size",)
        yield TensorRow(
            pattern=layer + tensor.name,
            shape=tensor.shape,
            axes=axes,
            component=_VISION,
            proves=facts,
        )

    for tensor in ffn(tower.ffn, width):
        facts = tuple(f"towers.vision.ffn.{name}" for name in tensor.proves)
        yield TensorRow(
            pattern=layer + tensor.name,
            shape=tensor.shape,
            axes=axes,
            component=_VISION,
            proves=facts,
        )


def _attention_of_tower(tower: Tower) -> Attention:
    """Return the attention of a tower's layers as a decoder's block."""
    norm = None
    if tower.qk_norm:
        norm = QKNorm(scope="head")
    if tower.qk_norm_whole:
        norm = QKNorm(scope="projection")
    output_bias = tower.output_bias
    if output_bias is None:
        output_bias = tower.attention_bias
    return Attention(
        heads=tower.heads,
        kv_heads=tower.kv_heads or tower.heads,
        head_dim=tower.head_dim,
        v_head_dim=tower.head_dim,
        qk_norm=norm,
        qkv_bias=tower.attention_bias,
        output_bias=output_bias,
    )


def patch_rows(name: str, tower: Tower, video: bool = False) -> Iterator[TensorRow]:
    """Yield the patch embedding as the convolution it is stored as.

    Its shape is [width, channels, p, p], or [width, channels, frames, p, p] for `video`.
    """
    matrix = tower.patch_embedding
    if matrix is None:
        return
    side = tower.patch_size
    frames = tower.patch_frames
    pixels = side * side * frames
    channels = matrix.inputs // pixels

    shape: tuple[int, ...] = (tower.hidden_size, channels, side, side)
    if video:
        shape = (tower.hidden_size, channels, frames, side, side)

    facts = ("towers.vision.patch_size",)
    yield from matrix_rows(name, matrix, shape, facts)


def position_rows(name: str, tower: Tower, shape: tuple[int, ...] = ()) -> Iterator[TensorRow]:
    """Yield the table of positions, of another `shape` if it is not [positions, width]."""
    usual_shape = (tower.positions, tower.hidden_size)
    yield TensorRow(
        pattern=name,
        shape=shape or usual_shape,
        axes=(),
        component=_VISION,
        proves=("towers.vision.positions",),
    )


def projector_rows(tower: Tower, *names: str) -> Iterator[TensorRow]:
    """Yield the matrices of the projector, a name each."""
    matrices = tower.projector
    named_matrices = zip(names, matrices, strict=True)
    for name, matrix in named_matrices:
        yield from matrix_rows(name, matrix)


FC_MLP = dense_parts("mlp", up="fc1", down="fc2")
"""The MLP of CLIP's and most other towers."""


def clip_rows(tower: Tower, prefix: str, flat: bool = False) -> Iterator[TensorRow]:
    """Yield a tower in CLIP's names, which SigLIP has too.

    flat: whether the patch embedding is stored as a matrix instead of a convolution (SigLIP 2).
    """
    embeddings = f"{prefix}embeddings."
    if flat:
        yield from matrix_rows(f"{embeddings}patch_embedding", tower.patch_embedding)
    else:
        yield from patch_rows(f"{embeddings}patch_embedding", tower)
    if tower.class_token:
        yield TensorRow(f"{embeddings}class_embedding", (tower.hidden_size,), (), _VISION)
    if tower.positions:
        yield from position_rows(f"{embeddings}position_embedding.weight", tower)
    outer = ("pre_layrnorm", "post_layernorm")  # the former is spelled so
    for name in outer[-tower.outer_norms :]:
        yield from norm_rows(prefix + name, tower.norm, tower.hidden_size, (), _VISION)
    yield from encoder_layer_rows(
        tower,
        layer=f"{prefix}encoder.layers.{{}}.",
        norms=("layer_norm1", "layer_norm2"),
        attention=split_attention_parts(o="out_proj"),
        ffn=FC_MLP,
    )
    if tower.pooling_head:
        yield from _pooling_rows(tower, f"{prefix}head.")


def _pooling_rows(t: Tower, prefix: str) -> Iterator[TensorRow]:
    """Yield the head that pools an image by attention with one learned query."""
    width = t.hidden_size
    output = Linear(inputs=width, outputs=width, bias=True)
    facts = ("towers.vision.pooling_head",)
    yield TensorRow(f"{prefix}probe", (1, 1, width), (), _VISION, facts)
    packed = f"{prefix}attention.in_proj_"
    yield TensorRow(f"{packed}weight", (3 * width, width), (), _VISION)
    yield TensorRow(f"{packed}bias", (3 * width,), (), _VISION)
    yield from matrix_rows(f"{prefix}attention.out_proj", output)
    yield from norm_rows(f"{prefix}layernorm", t.norm, width, (), _VISION)
    for tensor in FC_MLP(t.ffn, width):
        yield TensorRow(prefix + tensor.name, tensor.shape, (), _VISION)


def pixtral_rows(tower: Tower, prefix: str) -> Iterator[TensorRow]:
    """Yield a tower in Pixtral's names."""
    yield from patch_rows(f"{prefix}patch_conv", tower)
    yield TensorRow(f"{prefix}ln_pre.weight", (tower.hidden_size,), (), _VISION)
    yield from encoder_layer_rows(
        tower,
        layer=f"{prefix}transformer.layers.{{}}.",
        norms=("attention_norm", "ffn_norm"),
        attention=split_attention_parts("attention"),
        ffn=dense_parts("feed_forward"),
    )


def projector_norm_rows(tower: Tower, name: str) -> Iterator[TensorRow]:
    """Yield the one norm of a projector, with its bias if it has one."""
    for width in tower.projector_norms:
        yield TensorRow(f"{name}.weight", (width,), (), _VISION)
        if tower.projector_norm_bias:
            yield TensorRow(f"{name}.bias", (width,), (), _VISION)


@frozen
class SamNames(Frozen):
    """The names of SAM's tensors."""

    patches: str
    layer: str
    norms: tuple[str, str]
    convolutions: tuple[str, str]
    """Those of the neck."""
    neck_norms: tuple[str, str]


SAM_NAMES = SamNames(
    patches="patch_embed.projection",
    layer="layers.{}.",
    norms=("layer_norm1", "layer_norm2"),
    convolutions=("neck.conv1", "neck.conv2"),
    neck_norms=("neck.layer_norm1", "neck.layer_norm2"),
)
"""Those of transformers."""
OWN_SAM_NAMES = SamNames(
    patches="patch_embed.proj",
    layer="blocks.{}.",
    norms=("norm1", "norm2"),
    convolutions=("neck.0", "neck.2"),
    neck_norms=("neck.1", "neck.3"),
)
"""Those of SAM's own code."""


def sam_rows(tower: Tower, prefix: str, names: SamNames = SAM_NAMES) -> Iterator[TensorRow]:
    """Yield SAM's tower and its neck."""
    yield from patch_rows(prefix + names.patches, tower)
    side = (tower.image_size or 0) // tower.patch_size
    if tower.positions:
        shape = (1, side, side, tower.hidden_size)
        yield from position_rows(f"{prefix}pos_embed", tower, shape)
    layer = prefix + names.layer
    yield from encoder_layer_rows(
        tower,
        layer=layer,
        norms=names.norms,
        attention=fused_attention_parts("attn", "qkv", "proj"),
        ffn=dense_parts("mlp", up="lin1", down="lin2"),
    )
    if tower.relative_positions:
        yield from _relative_rows(tower, f"{layer}attn.")
    yield from neck_rows(tower, prefix, names)


def neck_rows(tower: Tower, prefix: str, names: SamNames = SAM_NAMES) -> Iterator[TensorRow]:
    """Yield the two convolutions of a neck, with their norms."""
    width = tower.neck or 0
    shapes = ((width, tower.hidden_size, 1, 1), (width, width, 3, 3))
    norm = Norm(kind="layernorm", bias=True)
    facts = ("towers.vision.neck",)
    for name, shape in zip(names.convolutions, shapes, strict=True):
        yield TensorRow(f"{prefix}{name}.weight", shape, (), _VISION, facts)
    for name in names.neck_norms:
        yield from norm_rows(prefix + name, norm, width, (), _VISION)


def _relative_rows(tower: Tower, prefix: str) -> Iterator[TensorRow]:
    """Yield the vectors for distances of patches, of layers with and without a window."""
    image, window = (tower.image_size or 0), (tower.window or 0)
    inside = tuple(i for i in range(tower.layers) if i not in tower.full_layers)
    facts = ("towers.vision.relative_positions",)
    for layers, size in ((inside, window), (tower.full_layers, image)):
        shape = (2 * (size // tower.patch_size) - 1, tower.head_dim)
        for name in ("rel_pos_h", "rel_pos_w"):
            if layers:
                yield TensorRow(prefix + name, shape, (layers,), _VISION, facts)


def reducing_rows(tower: Tower, *names: str) -> Iterator[TensorRow]:
    """Yield the first matrices of a projector as convolutions 3 × 3, a name each."""
    for name, matrix in zip(names, tower.projector, strict=False):
        yield from matrix_rows(name, matrix, (matrix.outputs, matrix.inputs // 9, 3, 3))


QWEN_MERGER = ("merger.ln_q", "merger.mlp.0", "merger.mlp.2")
"""Norm and matrices of the merger of Qwen2-VL."""


def qwen_vit_rows(tower: Tower, prefix: str, attention: BlockTensors) -> Iterator[TensorRow]:
    """Yield a tower and its merger in the names of Qwen2-VL and Qwen2.5-VL."""
    mlp = FC_MLP
    if tower.ffn.gated:
        mlp = dense_parts()
    yield from patch_rows(f"{prefix}patch_embed.proj", tower, video=True)
    yield from encoder_layer_rows(
        tower,
        layer=f"{prefix}blocks.{{}}.",
        norms=("norm1", "norm2"),
        attention=attention,
        ffn=mlp,
    )
    norm, *matrices = QWEN_MERGER
    width = tower.projector_norms[0]
    yield from norm_rows(prefix + norm, tower.norm, width, (), _VISION)
    for name, matrix in zip(matrices, tower.projector, strict=True):
        yield from matrix_rows(prefix + name, matrix)


def whisper_rows(
    tower: SpeechTower, prefix: str, last_norm: str = "layer_norm"
) -> Iterator[TensorRow]:
    """Yield an audio encoder in Whisper's names, without the convolutions over frequencies.

    last_norm: the norm after the layers.
    """
    part = _AUDIO
    width, taps = tower.hidden_size, 3
    inputs = {"conv1": tower.mel_bins, "conv2": width}
    if tower.subsampling:
        inputs = {}
    for name, channels in inputs.items():
        facts = ("towers.audio.hidden_size", "towers.audio.mel_bins")
        yield TensorRow(f"{prefix}{name}.weight", (width, channels, taps), (), part, facts)
        yield TensorRow(f"{prefix}{name}.bias", (width,), (), part)
    if tower.positions:
        facts = ("towers.audio.positions",)
        shape = (tower.positions, width)
        yield TensorRow(f"{prefix}embed_positions.weight", shape, (), part, facts)

    axes = (tuple(range(tower.layers)),)
    layer = f"{prefix}layers.{{}}."
    for name in ("self_attn_layer_norm", "final_layer_norm"):
        yield from norm_rows(layer + name, tower.norm, width, axes, part)
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        yield TensorRow(f"{layer}self_attn.{name}.weight", (width, width), axes, part)
        if name != "k_proj" or tower.key_bias:
            yield TensorRow(f"{layer}self_attn.{name}.bias", (width,), axes, part)
    for tensor in dense_parts("", up="fc1", down="fc2")(tower.ffn, width):
        facts = tuple(f"towers.audio.ffn.{name}" for name in tensor.proves)
        yield TensorRow(layer + tensor.name, tensor.shape, axes, part, facts)
    yield from norm_rows(prefix + last_norm, tower.norm, width, (), part)


def subsampling_rows(tower: SpeechTower, prefix: str, matrix: str) -> Iterator[TensorRow]:
    """Yield the convolutions over time and frequency, `conv2d1` and so on, and their matrix."""
    assert tower.subsampling and tower.subsampled
    channels = 1
    for number in range(1, (tower.halvings or 0) + 1):
        name = f"{prefix}conv2d{number}"
        shape = (tower.subsampling, channels, 3, 3)
        facts = ("towers.audio.subsampling",)
        yield TensorRow(f"{name}.weight", shape, (), _AUDIO, facts)
        yield TensorRow(f"{name}.bias", (tower.subsampling,), (), _AUDIO)
        channels = tower.subsampling
    yield from matrix_rows(prefix + matrix, tower.subsampled, component=_AUDIO)
