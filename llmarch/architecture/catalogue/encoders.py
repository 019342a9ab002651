"""Facts about encoders of images and sounds, and their projectors to the decoder."""

from __future__ import annotations

from ..schema import Conformer, ConvTower, Dense, Linear, Tower
from ..wording.feed_forward import activation_word, clamp_word
from ..wording.model import norm_word, tower_word
from ..wording.positions import rope_scaling_word
from .fact import DETAIL, LEAD, ChangeRule, Fact, no_number
from .norms import eps

SECTION = "Encoders"
ANY = (Tower, Conformer, ConvTower)
VIT = (Tower,)
AUDIO = (Conformer,)
CONVOLUTIONAL = (ConvTower,)
SCALING_FIELDS = (
    "kind,factor,original_context,low_freq_factor,high_freq_factor,beta_fast,beta_slow,mscale,"
    "mscale_all_dim,attention_factor,alpha,truncate,short_factor,long_factor"
)

SHAPE = ChangeRule(
    "tower-shape-changed",
    "weights",
    "shape of the encoder changed",
    "Tensors of the encoder were added or removed, or have different shapes. The checkpoint does "
    "not load as a whole.",
)
COMPUTATION = ChangeRule(
    "tower-computation-changed",
    "behaviour",
    "computation of the encoder changed",
    "The encoder computes something else with the same weights. Answers about images or sounds "
    "differ, answers about text do not.",
)
INPUT = ChangeRule(
    "tower-input-changed",
    "capacity",
    "number of tokens of an image changed",
    "Images take a different share of the context and of the cache.",
)
PROJECTOR = ChangeRule(
    "projector-changed",
    "weights",
    "projector from encoder to decoder changed",
    "Matrices or norms of the projector were added or removed, or have different shapes.",
)


def matrices(linears: tuple[Linear, ...]) -> str | None:
    """Return matrices in the order in which they are used: `1,152 → 4,096, 4,096 → 5,120`."""
    words: list[str] = []
    for linear in linears:
        words.append(f"{matrix(linear)}")
    return ", ".join(words) or None


def matrix(linear: Linear | None) -> str | None:
    """Return one matrix with its bias: `1,152 → 4,096 with bias`."""
    if linear is None:
        return None
    shape = f"{linear.inputs:,} → {linear.outputs:,}"
    return f"{shape} with bias" if linear.bias else shape


def activation(f: Dense) -> str:
    """Return the activation of the encoder's feed-forward blocks, with their clamp."""
    words = [activation_word(f)]
    clamp = clamp_word(f)
    if clamp:
        words.append(f"clamp {clamp}")
    if f.clamp_after:
        words.append("clamp after the activation")
    if f.sparsity:
        words.append(f"{100 * f.sparsity:g} % of the gate set to 0")
    if f.own_skip:
        words.append("its input is added")
    return ", ".join(words)


def feed_forward(f: Dense) -> str:
    """Return the width of the encoder's feed-forward blocks, with their bias."""
    words = [f"{f.width:,}"]
    if f.gated:
        words.append("gated")
    if f.bias:
        words.append("with bias")
    if f.per_layer:
        words.append("per-layer input")
    return ", ".join(words)


def stage_sizes(stages: tuple[tuple[object, ...], ...]) -> str:
    """Return how many blocks each stage has: `3, 5, 37, 39 blocks`."""
    return f"{', '.join(str(len(stage)) for stage in stages)} blocks"


def counted(number: int) -> str | None:
    """Return a number, None for 0."""
    return f"{number:,}" if number else None


def repeated(number: int) -> str | None:
    """Return a number, None for 1."""
    return f"{number:,}" if number != 1 else None


FACTS = (
    Fact(
        "towers.*{,.kind}",
        SECTION,
        "encoder",
        ChangeRule(
            "tower-changed",
            "weights",
            "encoder changed",
            "An encoder of images or sounds was added, removed or replaced by another kind.",
        ),
        ANY,
        words=tower_word,
        takes="block",
        rank=LEAD,
    ),
    Fact("towers.*.layers", SECTION, "layers", SHAPE, (Tower, Conformer), unit="layers"),
    Fact("towers.*.hidden_size", SECTION, "hidden size", SHAPE, (Tower, Conformer)),
    Fact("towers.*.heads", SECTION, "heads", SHAPE, (Tower, Conformer), unit="heads"),
    Fact("towers.*.kv_heads", SECTION, "KV heads", SHAPE, VIT, unit="heads"),
    Fact("towers.*.head_dim", SECTION, "head dim", SHAPE, VIT, unit="dims"),
    Fact("towers.*.attention_bias", SECTION, "attention bias", SHAPE, VIT),
    Fact("towers.*.qk_norm", SECTION, "QK-norm", SHAPE, VIT),
    Fact(
        "towers.*.ffn{,.kind,.width,.gated,.bias,.per_layer}",
        SECTION,
        "feed-forward width",
        SHAPE,
        VIT,
        words=feed_forward,
    ),
    Fact(
        "towers.*.ffn.{activation,alpha,up_offset,clamp,clamp_after,sparsity,own_skip}",
        SECTION,
        "activation",
        COMPUTATION,
        VIT,
        words=activation,
        takes="owner",
    ),
    Fact(
        "towers.*.norm{,.kind,.bias,.weight}",
        SECTION,
        "norm",
        SHAPE,
        (Tower, Conformer),
        words=norm_word,
    ),
    Fact("towers.*.norm.offset", SECTION, "norm", COMPUTATION, (Tower, Conformer), words=None),
    Fact(
        "towers.*.norm.eps",
        SECTION,
        "norm ε",
        COMPUTATION,
        (Tower, Conformer),
        words=eps,
        number=no_number,
    ),
    Fact("towers.*.layer_norms", SECTION, "norms a layer", SHAPE, VIT, unit="norms"),
    Fact("towers.*.outer_norms", SECTION, "outer norms", SHAPE, VIT, words=counted, unit="norms"),
    Fact("towers.*.layer_scales", SECTION, "layer scales", SHAPE, VIT),
    Fact("towers.*.image_size", SECTION, "image size", INPUT, VIT, unit="pixels"),
    Fact(
        "towers.*.tokens",
        SECTION,
        "tokens an image",
        INPUT,
        (Tower, ConvTower),
        unit="tokens",
    ),
    Fact("towers.*.patch_size", SECTION, "patch size", SHAPE, VIT, unit="pixels"),
    Fact(
        "towers.*.patch_frames",
        SECTION,
        "frames a patch",
        SHAPE,
        VIT,
        words=repeated,
        unit="frames",
    ),
    Fact(
        "towers.*.patch_embedding{,.inputs,.outputs,.bias}",
        SECTION,
        "patch embedding",
        SHAPE,
        VIT,
        words=matrix,
    ),
    Fact(
        "towers.*.positions",
        SECTION,
        "learned positions",
        SHAPE,
        VIT,
        words=counted,
        unit="rows",
    ),
    Fact("towers.*.position_axes", SECTION, "learned positions", SHAPE, VIT, words=None),
    Fact("towers.*.class_token", SECTION, "class token", SHAPE, VIT),
    Fact("towers.*.pooling_head", SECTION, "pooling head", SHAPE, VIT),
    Fact("towers.*.rope", SECTION, "RoPE", COMPUTATION, VIT, words=None),
    Fact("towers.*.rope.theta", SECTION, "RoPE θ", COMPUTATION, VIT),
    Fact(
        "towers.*.rope.{rotary_dim,interleaved,span,sections,sections_interleaved}",
        SECTION,
        "rotary dims",
        COMPUTATION,
        VIT,
        unit="dims",
    ),
    Fact(
        f"towers.*.rope.scaling{{,.{',.'.join(SCALING_FIELDS.split(','))}}}",
        SECTION,
        "RoPE scaling",
        COMPUTATION,
        VIT,
        words=rope_scaling_word,
        rank=DETAIL,
    ),
    Fact("towers.*.merge", SECTION, "patches merged", COMPUTATION, VIT, words=repeated),
    Fact(
        "towers.*.projector{,.*,.*.inputs,.*.outputs,.*.bias}",
        SECTION,
        "projector",
        PROJECTOR,
        ANY,
        words=matrices,
    ),
    Fact("towers.*.projector_activation", SECTION, "projector activation", COMPUTATION, VIT),
    Fact(
        "towers.*.{projector_norms,projector_norm_bias}", SECTION, "projector norms", PROJECTOR, VIT
    ),
    Fact("towers.*.deepstack", SECTION, "deepstack layers", PROJECTOR, VIT),
    Fact("towers.*.clipped", SECTION, "clipped linears", SHAPE, (Tower, Conformer)),
    Fact("towers.*.standardized", SECTION, "standardised features", SHAPE, VIT),
    Fact("towers.*.width", SECTION, "feed-forward width", SHAPE, AUDIO),
    Fact("towers.*.activation", SECTION, "activation", COMPUTATION, AUDIO),
    Fact("towers.*.conv_kernel", SECTION, "convolution kernel", SHAPE, AUDIO),
    Fact("towers.*.chunk", SECTION, "attention chunk", COMPUTATION, AUDIO, unit="frames"),
    Fact("towers.*.left_context", SECTION, "left context", COMPUTATION, AUDIO, unit="frames"),
    Fact(
        "towers.*.right_context",
        SECTION,
        "right context",
        COMPUTATION,
        AUDIO,
        words=counted,
        unit="frames",
    ),
    Fact("towers.*.softcap", SECTION, "softcap", COMPUTATION, AUDIO),
    Fact("towers.*.subsampling", SECTION, "subsampling channels", SHAPE, AUDIO),
    Fact(
        "towers.*.subsampled{,.inputs,.outputs,.bias}",
        SECTION,
        "subsampling matrix",
        SHAPE,
        AUDIO,
        words=matrix,
    ),
    Fact(
        "towers.*.output{,.inputs,.outputs,.bias}",
        SECTION,
        "output matrix",
        SHAPE,
        AUDIO,
        words=matrix,
    ),
    Fact(
        "towers.*.vocabulary",
        SECTION,
        "tokens of its own",
        SHAPE,
        (Conformer, ConvTower),
        words=counted,
    ),
    Fact("towers.*.stem", SECTION, "stem channels", SHAPE, CONVOLUTIONAL),
    Fact(
        "towers.*.stages{,.*,.*.*,.*.*.kind,.*.*.inputs,.*.*.outputs,.*.*.width,.*.*.kernel,"
        ".*.*.mid_kernel,.*.*.key_width}",
        SECTION,
        "stages",
        SHAPE,
        CONVOLUTIONAL,
        words=stage_sizes,
    ),
    Fact("towers.*.{fusion_width,outputs}", SECTION, "fusion width", SHAPE, CONVOLUTIONAL),
)
