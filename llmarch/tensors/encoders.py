"""Names and shapes of Vision Transformers and of the matrices around encoders."""

from __future__ import annotations

from collections.abc import Iterator

from ..architecture.schema import Attention, Linear, QKNorm, SpeechTower, Tower
from .parts import BlockTensors, dense_parts, split_attention_parts
from .template import TensorRow, norm_rows

_VISION = "vision"


def matrix_rows(
    name: str,
    matrix: Linear,
    shape: tuple[int, ...] = (),
    proves: tuple[str, ...] = (),
    component: str = _VISION,
) -> Iterator[TensorRow]:
    """Yield an encoder's matrix that stands alone.

    shape: how the matrix is stored, if not as [outputs, inputs].
    """
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
    named_matrices = zip(names, tower.projector, strict=True)
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


def whisper_rows(tower: SpeechTower, prefix: str) -> Iterator[TensorRow]:
    """Yield an audio encoder in Whisper's names."""
    part = "audio"
    width, taps = tower.hidden_size, 3
    inputs = {"conv1": tower.mel_bins, "conv2": width}
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
        if name != "k_proj":
            yield TensorRow(f"{layer}self_attn.{name}.bias", (width,), axes, part)
    for tensor in dense_parts("", up="fc1", down="fc2")(tower.ffn, width):
        facts = tuple(f"towers.audio.ffn.{name}" for name in tensor.proves)
        yield TensorRow(layer + tensor.name, tensor.shape, axes, part, facts)
    yield from norm_rows(f"{prefix}layer_norm", tower.norm, width, (), part)
