"""Encoders of other modalities (towers), and their projectors to the decoder's width.

Matrices are written [outputs, inputs]; `hidden` is the encoder's own width.
"""

from __future__ import annotations

from typing import Literal, Union

from .feed_forward import Dense
from .frozen import Strict, frozen
from .primitives import Norm, Rope


@frozen(kw_only=True)
class Linear(Strict):
    """A matrix [outputs, inputs], with or without a bias."""

    inputs: int
    """Width of its input."""
    outputs: int
    """Width of its output."""
    bias: bool = False
    """Whether it has a bias [outputs]."""


@frozen(kw_only=True)
class Tower(Strict):
    """A Vision Transformer (ViT) that encodes images, and the projector to the decoder's width.

    Each layer has attention (query, key, value, output) and a feed-forward block, with norms.
    """

    kind: str
    """Name of the encoder: `siglip`, `pixtral`, `moonvit`, or the config's model_type."""
    layers: int
    """Number of layers."""
    hidden_size: int
    """Width of the encoder's residual stream."""
    heads: int
    """Number of query heads."""
    head_dim: int
    """Dims of each head."""
    attention_bias: bool
    """Whether query, key, value and output projections have a bias."""
    output_bias: bool | None = None
    """Whether the output projection has a bias, where it is not as `attention_bias`. None: it
    is."""
    ffn: Dense
    """Feed-forward block of each layer."""
    norm: Norm
    """Kind of the encoder's norms."""
    layer_norms: int = 2
    """Norms in each layer: 2 is pre-norm, 4 is before and after both blocks (sandwich)."""
    outer_norms: int = 0
    """Norms before and after the stack of layers, together."""
    image_size: int | None = None
    """Side of the square images that it was built for, in pixels. None: images of any size."""
    patch_size: int
    """Side of a patch in pixels."""
    patch_embedding: Linear | None
    """Projection of a patch's pixels; inputs = channels · patch_size² · patch_frames. It is usually
    stored as a convolution. None: it reads the features of another encoder."""
    positions: int = 0
    """Rows of the learned position table, for each axis. 0: no table."""
    class_token: bool = False
    """Whether a learned vector [hidden] is added to the patches as a token of its own."""
    rope: Rope | None = None
    """Rotary positions; patches have two axes, row and column. None: none."""
    pooling_head: bool = False
    """Whether there is a head that pools an image into one vector: a learned query that attends to
    all patches, a norm and a feed-forward block."""
    merge: int = 1
    """Side of the square of patches that becomes one token: merge² patches are joined or averaged.
    1: each patch is a token."""
    inner_merge: int = 1
    """Side of the squares of patches that become one within the encoder: attention of a square with
    a norm, as in a layer, then a norm, an MLP with biases over the joined square
    [inner_merge² · ffn.width, inner_merge² · hidden] and the mean of the square added (MiniCPM-V
    4.6). 1: none do."""
    inner_merge_after: int | None = None
    """Layer, counted from 0, after which these squares are merged. None: they are not."""
    projector: tuple[Linear, ...] = ()
    """Matrices from the encoder's features to the decoder's width, in order; of one encoder whose
    features another one reads, to the width of that one. Empty: another encoder has the projector
    of both."""
    projector_activation: str | None = None
    """Activation between the projector's matrices, of each round of merging if there are several.
    None: none, or a single matrix."""
    projector_ffn: Dense | None = None
    """Feed-forward block after the projector's matrices, as wide in and out as the last of them
    (GLM-4V). None: none."""
    output: Linear | None = None
    """Matrix behind the projector, without an activation before it. None: there is none."""
    projector_norms: tuple[int, ...] = ()
    """Widths of the projector's norms. Empty: no norms."""
    projector_norm_bias: bool = False
    """Whether the projector's norms have a bias beside the weight."""
    kv_heads: int | None = None
    """Number of key/value heads. None: as many as query heads."""
    qk_norm: bool = False
    """Whether queries and keys have an RMSNorm over each head, with weights [head_dim]."""
    qk_norm_whole: bool = False
    """Whether queries and keys have an RMSNorm over all heads together, with weights [heads ·
    head_dim] (InternViT)."""
    separators: int = 0
    """Number of learned vectors [hidden] that end rows of features and part an image's views (Phi-4
    multimodal)."""
    view_separator: bool = False
    """Whether a learned vector, as wide as the decoder, parts the views of an image
    (DeepSeek-OCR 2)."""
    queries: tuple[int, ...] = ()
    """Learned vectors [hidden] that are read behind the patches and become the features: patches
    attend to each other, queries to all before them. A set of them for each size of images. Empty:
    the patches become the features."""
    newline: bool = False
    """Whether a learned vector, as wide as the decoder, ends each row of an image's features
    (LLaVA-NeXT)."""
    patch_frames: int = 1
    """Frames of a video that a patch spans."""
    tokens_per_second: int | None = None
    """Positions in time that a second of a video takes (Qwen2.5-VL). None: frames count alone."""
    position_axes: int = 1
    """Number of position tables, one for each axis: 1 for the flat patch index, 2 for rows and
    columns."""
    window: int | None = None
    """Side in pixels of the square windows that attention is kept within. None: a patch attends to
    the whole image."""
    full_layers: tuple[int, ...] = ()
    """Layers, counted from 0, that attend to the whole image although there is a `window`."""
    deepstack: tuple[int, ...] = ()
    """Encoder layers, counted from 0, whose features join the decoder as well (DeepStack): each
    through a projector of its own, added to the stream after one of the first decoder layers."""
    features: tuple[int, ...] = ()
    """Layers whose outputs feed the projector side by side; 0 is the embedding of patches, 1 the
    first layer. Empty: the last layer alone."""
    clipped: bool = False
    """Whether each matrix of the layers has four stored numbers that bound its inputs and
    outputs."""
    standardized: bool = False
    """Whether features are standardised with a stored mean [hidden] and scale [hidden]."""
    tokens: int | None = None
    """How many tokens an image becomes, at most. None: it follows from the size of the image."""
    relative_positions: bool = False
    """Whether each layer has learned vectors for the distances of patches in rows and in columns
    [2 · side − 1, head_dim] each (SAM): of a window, or of the whole image in `full_layers`."""
    neck: int | None = None
    """Channels that two convolutions after the layers reduce features to, 1 × 1 and 3 × 3, each
    with a LayerNorm behind it (SAM). None: no neck."""
    second_neck: bool = False
    """Whether features of the first of `full_layers` pass a neck of their own and are added, times
    one learned number (DeepSeek-VL)."""
    global_layers: int = 0
    """Further layers of the same form, after the others and the norm behind them, each with two
    learned numbers whose tanh multiplies the outputs of attention and feed-forward block (Llama 3.2
    Vision). `features` counts them on."""
    tiles: int = 1
    """Most tiles that an image is cut into, each of `image_size`, which attend to each other. With
    more than one there are, for each of `tile_layouts` + 1 layouts, positions of its own
    [tiles · positions · hidden] and two vectors a tile [tiles · hidden] each, and a learned number
    for each of the three tables. 1: images are not cut."""
    tile_layouts: int = 0
    """Number of layouts of tiles: rows and columns. 0: images are not cut."""
    layer_scales: bool = False
    """Whether the output of attention and that of the feed-forward block are each multiplied by a
    learned vector [hidden]."""


@frozen(kw_only=True)
class Conformer(Strict):
    """An audio encoder of Conformer layers (Gemma 3n and 4), and the projector to the decoder.

    - two convolutions 3 × 3 with stride 2 and a norm each, and a matrix to the encoder's width
    - layers: half an FFN, local attention with relative positions, a gated convolution, half an
      FFN, a norm
    - each FFN: [width, hidden], [hidden, width], a norm before and after
    - attention: query, key, value, output and relative keys [hidden, hidden], a learned scale for
      each dim of a head, a norm before and after
    - convolution: [2 · hidden, hidden], depthwise [hidden, conv_kernel], [hidden, hidden], a norm
      before and within
    """

    kind: str
    """Name of the encoder: the config's model_type."""
    layers: int
    """Number of layers."""
    hidden_size: int
    """Width of the encoder's residual stream."""
    heads: int
    """Number of attention heads, each of hidden_size / heads dims."""
    width: int
    """Intermediate size of both feed-forward blocks of a layer."""
    activation: str
    """Activation of the feed-forward blocks and the convolution, as in `Dense.activation`."""
    norm: Norm
    """Kind of the encoder's norms."""
    conv_kernel: int
    """Width in frames of the depthwise convolution in each layer."""
    chunk: int
    """Length in frames of the blocks in which local attention is computed."""
    left_context: int
    """Earlier frames that a frame attends to."""
    right_context: int
    """Later frames that a frame attends to."""
    softcap: float | None = None
    """Soft cap of the attention scores: c · tanh(score / c). None: no cap."""
    subsampling: tuple[int, ...]
    """Output channels of the two convolutions at the input."""
    subsampled: Linear
    """Matrix from the convolutions' output (channels · mel bins / 4) to the encoder's width."""
    output: Linear | None = None
    """Matrix after the layers. None: there is none."""
    vocabulary: int = 0
    """Rows of an embedding of the encoder's own tokens, which passes the projector as features do,
    with a norm for each of the two. 0: none."""
    projector: tuple[Linear, ...] = ()
    """Matrices from the encoder's features to the decoder's width, in order."""
    clipped: bool = False
    """Whether each matrix of the layers but the relative keys has four stored numbers that bound
    its inputs and outputs."""


@frozen(kw_only=True)
class ConvBlock(Strict):
    """A block of a convolutional encoder. Its norms are RMSNorms with weights only.

    - `edge`: kernel × kernel from `inputs` to `width`, 1 × 1 to `outputs`, a norm after each
    - `inverted`: depthwise `kernel` on `inputs`, 1 × 1 to `width`, depthwise `mid_kernel`, 1 × 1 to
      `outputs`, a norm after each, and a learned scale [outputs]
    - `attention`: a norm, queries of `width`, one key and one value head of `key_width` behind a
      depthwise `kernel` with a norm each, an output matrix, and a learned scale [outputs]
    """

    kind: Literal["edge", "inverted", "attention"]
    """Which of the three blocks this is."""
    inputs: int
    """Input channels."""
    outputs: int
    """Output channels."""
    width: int
    """Channels within the block; in `attention` those of all queries together."""
    kernel: int = 0
    """Side of the first convolution. 0: there is none."""
    mid_kernel: int = 0
    """Side of the depthwise convolution at `width`, in `inverted`. 0: there is none."""
    key_width: int = 0
    """Channels of the one key head and of the one value head, in `attention`. 0 in other blocks."""


@frozen(kw_only=True)
class ConvTower(Strict):
    """A convolutional image encoder (MobileNetV5 in Gemma 3n), and the projector to the decoder.

    - stem: a 3 × 3 convolution with bias, and a norm
    - stages of blocks
    - fusion of the last two stages: [fusion_width, their outputs together],
      [outputs, fusion_width], a norm after each and one over all
    """

    kind: str
    """Name of the encoder: the architecture's name in timm."""
    stem: int
    """Output channels of the first convolution."""
    stages: tuple[tuple[ConvBlock, ...], ...]
    """Blocks of each stage, in order."""
    fusion_width: int
    """Channels within the fusion of the last two stages."""
    outputs: int
    """Channels of the features after the fusion."""
    tokens: int | None = None
    """How many tokens an image becomes. None: not known."""
    vocabulary: int = 0
    """Rows of an embedding of the encoder's own tokens, which passes the projector as features do,
    with a norm for each of the two. 0: none."""
    projector: tuple[Linear, ...] = ()
    """Matrices from the encoder's features to the decoder's width, in order."""


@frozen(kw_only=True)
class FeatureEmbedding(Strict):
    """Matrices from pixels or samples to the decoder's width, in the place of an encoder (Fuyu)."""

    kind: str
    """Name of the embedding: the config's model_type."""
    patch_size: int | None = None
    """Side in pixels of the patches that become a token each. None: sounds."""
    positions: int = 0
    """Rows of the learned position table, for each axis, as wide as the first matrix's output. 0:
    no table."""
    position_axes: int = 1
    """Number of position tables, one for each axis: 2 for rows and columns."""
    norms: tuple[int, ...] = ()
    """Widths of its LayerNorms, each with weight and bias. Empty: none."""
    projector: tuple[Linear, ...]
    """Matrices from the features to the decoder's width, in order."""


@frozen(kw_only=True)
class SpeechTower(Strict):
    """An audio encoder of Transformer layers as Whisper's, and the projector to the decoder.

    - two convolutions over time of width 3, the second with stride 2, both with bias:
      [hidden, mel_bins, 3] and [hidden, hidden, 3]; or, with `subsampling`, convolutions 3 × 3 with
      stride 2 and bias over time and frequency, and a matrix to the encoder's width
    - layers: attention, a feed-forward block, a LayerNorm before each
    - a LayerNorm after the layers
    """

    kind: str
    """Name of the encoder: `whisper`, or the config's model_type."""
    layers: int
    """Number of layers."""
    hidden_size: int
    """Width of the encoder's residual stream."""
    heads: int
    """Number of attention heads, each of hidden_size / heads dims."""
    ffn: Dense
    """Feed-forward block of each layer."""
    norm: Norm
    """Kind of the encoder's norms."""
    key_bias: bool = False
    """Whether keys have a bias, as queries, values and outputs have."""
    mel_bins: int
    """Frequencies of the input: channels of the first convolution over time."""
    subsampling: int | None = None
    """Channels of the convolutions over time and frequency (Qwen3-Omni). None: those over time
    alone."""
    halvings: int | None = None
    """How many convolutions over time and frequency there are. None: those over time alone."""
    subsampled: Linear | None = None
    """Matrix from the output of these convolutions to the encoder's width. None: no such ones."""
    chunk: int | None = None
    """Length in mel frames of the blocks that attention is kept within. None: a sound is one
    block."""
    input_chunk: int | None = None
    """Length in mel frames of the blocks that convolutions see and positions count within. None: as
    `chunk`."""
    positions: int = 0
    """Rows of the stored table of positions. 0: positions are computed."""
    merge: int = 1
    """How many frames are joined to one token, or averaged. 1: each frame is a token."""
    boundary_tokens: int = 0
    """Learned vectors, as wide as the decoder, for the begin and the end of a sound. 0: none."""
    projector: tuple[Linear, ...] = ()
    """Matrices from the encoder's features to the decoder's width, in order."""
    projector_activation: str | None = None
    """Activation between the projector's matrices. None: none, or a single matrix."""
    projector_norms: tuple[int, ...] = ()
    """Widths of the projector's LayerNorms, each with weight and bias. Empty: none."""


@frozen(kw_only=True)
class SpeechConformer(Strict):
    """An audio encoder of gated Conformer layers (Phi-4 multimodal), and its two projectors.

    All matrices and norms have biases; norms are LayerNorms.

    - a stored mean and inverse deviation of each mel bin
    - convolutions 3 × 3 with stride 2: one from the input to `subsampling` channels, then pairs of
      a depthwise and a 1 × 1 one, and a matrix to the encoder's width
    - a learned bias of the scores by distance [buckets, heads] for all layers
    - layers: half a gated FFN, attention, a gated convolution, half a gated FFN, a norm; one norm
      before each
    - convolution: [2 · gate_channels, hidden] with two further biases [gate_channels], depthwise
      [multiplier · hidden, conv_kernel], [separable_channels, multiplier · hidden], and
      [gate_channels, hidden]
    """

    kind: str
    """Name of the encoder: the config's model_type."""
    layers: int
    """Number of layers."""
    hidden_size: int
    """Width of the encoder's residual stream."""
    heads: int
    """Number of attention heads, each of hidden_size / heads dims."""
    width: int
    """Intermediate size of both feed-forward blocks of a layer."""
    activation: str
    """Activation of the feed-forward blocks, as in `Dense.activation`."""
    norm: Norm
    """Kind of the encoder's norms."""
    mel_bins: int
    """Frequencies of the input."""
    subsampling: int
    """Channels of the convolutions at the input."""
    halvings: int
    """How often the input is halved in time and frequency."""
    subsampled: Linear
    """Matrix from the convolutions' output to the encoder's width."""
    buckets: int
    """Rows of the bias by distance."""
    gate_channels: int
    """Channels behind the gate of the convolution in each layer."""
    separable_channels: int
    """Channels behind its depthwise part."""
    multiplier: int
    """Channels of the depthwise convolution for each channel of its input."""
    conv_kernel: int
    """Width in frames of the depthwise convolution."""
    projector: tuple[Linear, ...] = ()
    """Matrices from the encoder's features to the decoder's width, in order. There are two sets of
    them: for sounds alone, and for sounds beside images."""
    projector_activation: str | None = None
    """Activation between the projector's matrices. None: none, or a single matrix."""


Encoder = Union[Tower, Conformer, ConvTower, FeatureEmbedding, SpeechTower, SpeechConformer]
