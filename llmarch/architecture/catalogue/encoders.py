"""Facts about encoders of images and sounds, and their projectors to the decoder."""

from __future__ import annotations

from ...views.numbers import number
from ..schema import (
    Conformer,
    ConvTower,
    Dense,
    FeatureEmbedding,
    Linear,
    SpeechConformer,
    SpeechTower,
    Tower,
)
from ..wording.feed_forward import activation_word, clamp_word
from ..wording.model import norm_word, tower_word
from ..wording.positions import rope_scaling_word
from .fact import DETAIL, LEAD, ChangeRule, Fact, count_or_none, no_number, not_in_panel
from .feed_forward import sparsity_words
from .norms import eps

_SECTION = "Encoders"
_ANY = (Tower, Conformer, ConvTower, FeatureEmbedding, SpeechTower, SpeechConformer)
_WITH_LAYERS = (Tower, Conformer, SpeechTower, SpeechConformer)
_PLAIN = (Tower, SpeechTower)
_PATCHED = (Tower, FeatureEmbedding)
_PLACED = (Tower, FeatureEmbedding, SpeechTower)
_VIT = (Tower,)
_AUDIO = (Conformer,)
_CONFORMERS = (Conformer, SpeechConformer)
_SUBSAMPLED = (Conformer, SpeechTower, SpeechConformer)
_GATED = (SpeechConformer,)
_CONVOLUTIONAL = (ConvTower,)
_SCALING = (
    "towers.*.rope.scaling{,.kind,.factor,.original_context,.low_freq_factor,.high_freq_factor,"
    ".beta_fast,.beta_slow,.mscale,.mscale_all_dim,.attention_factor,.alpha,.truncate,"
    ".short_factor,.long_factor}"
)

_SHAPE = ChangeRule(
    "tower-shape-changed",
    "weights",
    "shape of the encoder changed",
    "Tensors of the encoder were added or removed, or have different shapes. The checkpoint does "
    "not load as a whole.",
)
_COMPUTATION = ChangeRule(
    "tower-computation-changed",
    "behaviour",
    "computation of the encoder changed",
    "The encoder computes something else with the same weights. Answers about images or sounds "
    "differ, answers about text do not.",
)
_INPUT = ChangeRule(
    "tower-input-changed",
    "capacity",
    "number of tokens of an image changed",
    "Images take a different share of the context and of the cache.",
)
_PROJECTOR = ChangeRule(
    "projector-changed",
    "weights",
    "projector from encoder to decoder changed",
    "Matrices or norms of the projector were added or removed, or have different shapes.",
)


def _matrices(linears: tuple[Linear, ...]) -> str | None:
    """Return matrices in the order in which they are used: `1,152 → 4,096, 4,096 → 5,120`."""
    words = map(_matrix_words, linears)
    joined = ", ".join(words)
    return joined or None


def _matrix(linear: Linear | None) -> str | None:
    """Return one matrix, None where there is none."""
    if linear is None:
        return None
    return _matrix_words(linear)


def _matrix_words(linear: Linear) -> str:
    """Return a matrix with its bias: `1,152 → 4,096 with bias`."""
    shape = f"{linear.inputs:,} → {linear.outputs:,}"
    if linear.bias:
        return f"{shape} with bias"
    return shape


def _projector_ffn(t: Tower) -> str | None:
    """Return the block after the projector's matrices: `SwiGLU, width 13,696`."""
    if t.projector_ffn is None:
        return None
    return f"{activation_word(t.projector_ffn)}, width {number(t.projector_ffn.width)}"


def _activation(f: Dense) -> str:
    """Return the activation of the encoder's feed-forward blocks, with their clamp."""
    words = [activation_word(f)]
    clamp = clamp_word(f)
    if clamp:
        words.append(f"clamp {clamp}")
    if f.clamp_after:
        words.append("clamp after the activation")
    if f.sparsity:
        words.append(sparsity_words(f.sparsity))
    if f.own_skip:
        words.append("its input is added")
    return ", ".join(words)


def _feed_forward(f: Dense) -> str:
    """Return the width of the encoder's feed-forward blocks, with their bias."""
    words = [number(f.width)]
    if f.gated:
        words.append("gated")
    if f.bias:
        words.append("with bias")
    if f.per_layer:
        words.append("per-layer input")
    return ", ".join(words)


def _stage_sizes(stages: tuple[tuple[object, ...], ...]) -> str:
    """Return how many blocks each stage has: `3, 5, 37, 39 blocks`."""
    sizes = [number(len(stage)) for stage in stages]
    listed = ", ".join(sizes)
    if sizes == ["1"]:
        return "1 block"
    return f"{listed} blocks"


def _repeated(count: int) -> str | None:
    """Return a number, None for 1."""
    if count == 1:
        return None
    return number(count)


FACTS = (
    Fact(
        "towers.*{,.kind}",
        _SECTION,
        "encoder",
        ChangeRule(
            "tower-changed",
            "weights",
            "encoder changed",
            "An encoder of images or sounds was added, removed or replaced by another kind.",
        ),
        _ANY,
        words=tower_word,
        takes="block",
        rank=LEAD,
    ),
    Fact(
        "towers.*.layers",
        _SECTION,
        "layers",
        _SHAPE,
        _WITH_LAYERS,
        unit="layers",
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.hidden_size",
        _SECTION,
        "hidden size",
        _SHAPE,
        _WITH_LAYERS,
        panel=not_in_panel,
    ),
    Fact("towers.*.heads", _SECTION, "heads", _SHAPE, _WITH_LAYERS, unit="heads"),
    Fact("towers.*.kv_heads", _SECTION, "KV heads", _SHAPE, _VIT, unit="heads"),
    Fact("towers.*.head_dim", _SECTION, "head dim", _SHAPE, _VIT, unit="dims"),
    Fact("towers.*.attention_bias", _SECTION, "attention bias", _SHAPE, _VIT),
    Fact("towers.*.output_bias", _SECTION, "output bias", _SHAPE, _VIT),
    Fact("towers.*.qk_norm", _SECTION, "QK-norm", _SHAPE, _VIT),
    Fact("towers.*.qk_norm_whole", _SECTION, "QK-norm over all heads", _SHAPE, _VIT),
    Fact(
        "towers.*.separators",
        _SECTION,
        "separators",
        _SHAPE,
        _VIT,
        words=count_or_none,
        unit="rows",
    ),
    Fact("towers.*.newline", _SECTION, "end of rows", _SHAPE, _VIT),
    Fact("towers.*.view_separator", _SECTION, "separator of views", _SHAPE, _VIT),
    Fact("towers.*.queries", _SECTION, "learned queries", _SHAPE, _VIT),
    Fact(
        "towers.*.ffn{,.kind,.width,.gated,.bias,.per_layer,.inner_norm,.activation_numbers,"
        ".learned_scale}",
        _SECTION,
        "feed-forward width",
        _SHAPE,
        _PLAIN,
        words=_feed_forward,
    ),
    Fact("towers.*.ffn.channel_mix", _SECTION, "channel mix", _SHAPE, _PLAIN),
    Fact(
        "towers.*.projector_ffn{,.kind,.width,.gated,.bias,.per_layer,.inner_norm,.learned_scale}",
        _SECTION,
        "projector's feed-forward",
        _PROJECTOR,
        _VIT,
        words=_projector_ffn,
        takes="block",
    ),
    Fact(
        "towers.*.projector_ffn.{activation,alpha,up_offset,gate_scale,clamp,clamp_after}",
        _SECTION,
        "projector's feed-forward",
        _COMPUTATION,
        _VIT,
        words=None,
    ),
    Fact(
        "towers.*.projector_ffn.{sparsity,own_skip,activation_numbers,channel_mix}",
        _SECTION,
        "projector's feed-forward",
        _PROJECTOR,
        _VIT,
        words=None,
    ),
    Fact(
        "towers.*.ffn.{activation,alpha,up_offset,gate_scale,clamp,clamp_after,sparsity,own_skip}",
        _SECTION,
        "activation",
        _COMPUTATION,
        _PLAIN,
        words=_activation,
        takes="owner",
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.norm{,.kind,.bias,.weight,.gate_rank}",
        _SECTION,
        "norm",
        _SHAPE,
        _WITH_LAYERS,
        words=norm_word,
        panel=not_in_panel,
    ),
    Fact("towers.*.norm.offset", _SECTION, "norm", _COMPUTATION, _WITH_LAYERS, words=None),
    Fact(
        "towers.*.norm.eps",
        _SECTION,
        "norm ε",
        _COMPUTATION,
        _WITH_LAYERS,
        words=eps,
        number=no_number,
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.layer_norms",
        _SECTION,
        "norms a layer",
        _SHAPE,
        _VIT,
        unit="norms",
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.outer_norms",
        _SECTION,
        "outer norms",
        _SHAPE,
        _VIT,
        words=count_or_none,
        unit="norms",
        panel=not_in_panel,
    ),
    Fact("towers.*.relative_positions", _SECTION, "relative positions", _SHAPE, _VIT),
    Fact("towers.*.neck", _SECTION, "neck channels", _SHAPE, _VIT),
    Fact("towers.*.second_neck", _SECTION, "second neck", _SHAPE, _VIT),
    Fact(
        "towers.*.global_layers",
        _SECTION,
        "gated layers",
        _SHAPE,
        _VIT,
        words=count_or_none,
        unit="layers",
    ),
    Fact("towers.*.tiles", _SECTION, "tiles", _SHAPE, _VIT, words=_repeated, unit="tiles"),
    Fact("towers.*.tile_layouts", _SECTION, "layouts of tiles", _SHAPE, _VIT, words=count_or_none),
    Fact("towers.*.layer_scales", _SECTION, "layer scales", _SHAPE, _VIT),
    Fact("towers.*.image_size", _SECTION, "image size", _INPUT, _VIT, unit="pixels"),
    Fact(
        "towers.*.tokens",
        _SECTION,
        "tokens an image",
        _INPUT,
        (Tower, ConvTower),
        unit="tokens",
    ),
    Fact(
        "towers.*.patch_size",
        _SECTION,
        "patch size",
        _SHAPE,
        _PATCHED,
        unit="pixels",
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.patch_frames",
        _SECTION,
        "frames a patch",
        _SHAPE,
        _VIT,
        words=_repeated,
        unit="frames",
    ),
    Fact(
        "towers.*.patch_embedding{,.inputs,.outputs,.bias}",
        _SECTION,
        "patch embedding",
        _SHAPE,
        _VIT,
        words=_matrix,
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.positions",
        _SECTION,
        "learned positions",
        _SHAPE,
        _PLACED,
        words=count_or_none,
        unit="rows",
    ),
    Fact("towers.*.position_axes", _SECTION, "learned positions", _SHAPE, _PATCHED, words=None),
    Fact("towers.*.class_token", _SECTION, "class token", _SHAPE, _VIT),
    Fact("towers.*.pooling_head", _SECTION, "pooling head", _SHAPE, _VIT),
    Fact("towers.*.rope", _SECTION, "RoPE", _COMPUTATION, _VIT, words=None),
    Fact("towers.*.rope.theta", _SECTION, "RoPE θ", _COMPUTATION, _VIT),
    Fact(
        "towers.*.rope.{rotary_dim,interleaved,span,sections,sections_interleaved}",
        _SECTION,
        "rotary dims",
        _COMPUTATION,
        _VIT,
        unit="dims",
    ),
    Fact(
        _SCALING,
        _SECTION,
        "RoPE scaling",
        _COMPUTATION,
        _VIT,
        words=rope_scaling_word,
        rank=DETAIL,
    ),
    Fact("towers.*.merge", _SECTION, "patches merged", _COMPUTATION, _PLAIN, words=_repeated),
    Fact(
        "towers.*.inner_merge",
        _SECTION,
        "patches merged within",
        _SHAPE,
        _VIT,
        words=_repeated,
    ),
    Fact("towers.*.inner_merge_after", _SECTION, "layer that merges", _COMPUTATION, _VIT),
    Fact(
        "towers.*.projector{,.*,.*.inputs,.*.outputs,.*.bias}",
        _SECTION,
        "projector",
        _PROJECTOR,
        _ANY,
        words=_matrices,
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.projector_activation",
        _SECTION,
        "projector activation",
        _COMPUTATION,
        (*_PLAIN, SpeechConformer),
        panel=not_in_panel,
    ),
    Fact("towers.*.projector_norms", _SECTION, "projector norms", _PROJECTOR, _PLAIN),
    Fact("towers.*.projector_norm_bias", _SECTION, "projector norms", _PROJECTOR, _VIT, words=None),
    Fact("towers.*.norms", _SECTION, "norms of the embedding", _PROJECTOR, (FeatureEmbedding,)),
    Fact(
        "towers.*.mel_bins",
        _SECTION,
        "mel bins",
        _SHAPE,
        (SpeechTower, SpeechConformer),
        unit="bins",
    ),
    Fact("towers.*.features", _SECTION, "layers that feed the projector", _COMPUTATION, _VIT),
    Fact(
        "towers.*.tokens_per_second",
        _SECTION,
        "positions of a second of video",
        _COMPUTATION,
        _VIT,
    ),
    Fact("towers.*.window", _SECTION, "attention window", _COMPUTATION, _VIT, unit="pixels"),
    Fact("towers.*.full_layers", _SECTION, "layers without a window", _COMPUTATION, _VIT),
    Fact("towers.*.deepstack", _SECTION, "deepstack layers", _PROJECTOR, _VIT),
    Fact("towers.*.clipped", _SECTION, "clipped linears", _SHAPE, (Tower, Conformer)),
    Fact("towers.*.standardized", _SECTION, "standardised features", _SHAPE, _VIT),
    Fact("towers.*.width", _SECTION, "feed-forward width", _SHAPE, _CONFORMERS),
    Fact(
        "towers.*.activation", _SECTION, "activation", _COMPUTATION, _CONFORMERS, panel=not_in_panel
    ),
    Fact("towers.*.conv_kernel", _SECTION, "convolution kernel", _SHAPE, _CONFORMERS),
    Fact(
        "towers.*.chunk",
        _SECTION,
        "attention chunk",
        _COMPUTATION,
        (Conformer, SpeechTower),
        unit="frames",
    ),
    Fact(
        "towers.*.input_chunk",
        _SECTION,
        "chunk of the convolutions",
        _COMPUTATION,
        (SpeechTower,),
        unit="frames",
    ),
    Fact(
        "towers.*.left_context",
        _SECTION,
        "left context",
        _COMPUTATION,
        _AUDIO,
        unit="frames",
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.right_context",
        _SECTION,
        "right context",
        _COMPUTATION,
        _AUDIO,
        words=count_or_none,
        unit="frames",
        panel=not_in_panel,
    ),
    Fact("towers.*.softcap", _SECTION, "softcap", _COMPUTATION, _AUDIO, panel=not_in_panel),
    Fact("towers.*.subsampling", _SECTION, "subsampling channels", _SHAPE, _SUBSAMPLED),
    Fact(
        "towers.*.subsampled{,.inputs,.outputs,.bias}",
        _SECTION,
        "subsampling matrix",
        _SHAPE,
        _SUBSAMPLED,
        words=_matrix,
        panel=not_in_panel,
    ),
    Fact(
        "towers.*.output{,.inputs,.outputs,.bias}",
        _SECTION,
        "output matrix",
        _SHAPE,
        (Tower, Conformer),
        words=_matrix,
    ),
    Fact("towers.*.halvings", _SECTION, "halvings", _SHAPE, (SpeechTower, SpeechConformer)),
    Fact("towers.*.key_bias", _SECTION, "key bias", _SHAPE, (SpeechTower,)),
    Fact(
        "towers.*.boundary_tokens",
        _SECTION,
        "vectors for begin and end",
        _SHAPE,
        (SpeechTower,),
        words=count_or_none,
        unit="rows",
    ),
    Fact("towers.*.buckets", _SECTION, "buckets of distances", _SHAPE, _GATED, unit="rows"),
    Fact(
        "towers.*.{gate_channels,separable_channels,multiplier}",
        _SECTION,
        "channels of the convolution",
        _SHAPE,
        _GATED,
    ),
    Fact(
        "towers.*.vocabulary",
        _SECTION,
        "tokens of its own",
        _SHAPE,
        (Conformer, ConvTower),
        words=count_or_none,
    ),
    Fact("towers.*.stem", _SECTION, "stem channels", _SHAPE, _CONVOLUTIONAL),
    Fact(
        "towers.*.stages{,.*,.*.*,.*.*.kind,.*.*.inputs,.*.*.outputs,.*.*.width,.*.*.kernel,"
        ".*.*.mid_kernel,.*.*.key_width}",
        _SECTION,
        "stages",
        _SHAPE,
        _CONVOLUTIONAL,
        words=_stage_sizes,
    ),
    Fact("towers.*.{fusion_width,outputs}", _SECTION, "fusion width", _SHAPE, _CONVOLUTIONAL),
)
