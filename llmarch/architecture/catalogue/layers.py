"""Facts about layers: how many, how they are wired, norms around blocks, the residual stream."""

from __future__ import annotations

from ...views.numbers import epsilon
from ..schema import Residual
from ..wording.model import residual_word
from .fact import BLOCK_FACTOR, DETAIL, LEAD, ChangeRule, Fact

_STEP = "layer_kinds.*.steps.*"
USUAL_WRITE_SCALE = 2.0
"""Factor of the weights of outputs under hyper-connections in DeepSeek V4's code."""

_WIRING = ChangeRule(
    "wiring-changed",
    "weights",
    "wiring of blocks changed",
    "Layers run other blocks, or the same in another order, or in parallel instead of one after "
    "the other. Tensors of the blocks are missing or left over.",
)
_NORM_PLACEMENT = ChangeRule(
    "norm-placement-changed",
    "behaviour",
    "placement of norms changed",
    "The same norms sit before, behind or beside other blocks. The model loads and computes "
    "something else.",
)
_RESIDUAL_SCALE = ChangeRule(
    "residual-scale-changed",
    "behaviour",
    "scale of the residual stream changed",
    "A block's output, or the stream it is added to, is multiplied by a different factor. "
    "The model loads and answers differently.",
)
_LEARNED_SKIP = ChangeRule(
    "learned-skip-changed",
    "weights",
    "learned factor of the stream changed",
    "Learned vectors on the stream, on what blocks are added to or on the sums were added or "
    "removed.",
)


def _mixing(r: Residual) -> str | None:
    """Return how several streams are mixed: `20 Sinkhorn iterations, ε 1e-6`."""
    words: list[str] = []
    if r.active is not None:
        words.append(f"layers work on stream {r.active}")
    if r.iterations is not None:
        words.append(f"{r.iterations} Sinkhorn iterations")
    if r.eps is not None:
        words.append(f"ε {epsilon(r.eps)}")
    if r.kind == "hyper" and r.write_scale != USUAL_WRITE_SCALE:
        words.append(f"outputs × {r.write_scale:g}")
    return ", ".join(words) or None


FACTS = (
    Fact(
        "layers",
        "Layers",
        "recipe",
        ChangeRule(
            "layers-changed",
            "weights",
            "layers changed",
            "Layers were added, removed, reordered or replaced by another kind. Tensors of layers "
            "are missing or left over, and pipeline splits and adapters no longer fit.",
        ),
        words=None,
        unit="layers",
        rank=LEAD,
    ),
    Fact(
        "hidden_size",
        "Layers",
        "hidden size",
        ChangeRule(
            "hidden-size-changed",
            "weights",
            "hidden size changed",
            "The residual stream has a different width, so nearly every matrix has a different "
            "shape. Old weights, adapters and steering vectors do not fit.",
        ),
        rank=LEAD,
        equal="hidden {}",
    ),
    Fact(
        "layer_kinds.*{,.steps,.steps.*,.steps.*.branches,.steps.*.branches.*}",
        "Layers",
        "wiring",
        _WIRING,
        words=None,
    ),
    Fact(f"{_STEP}.branches.*.block", "Layers", "wiring", _WIRING, words=None),
    Fact(f"{_STEP}.feeds_next", "Layers", "steps that feed the next", _WIRING, words=None),
    Fact(f"{_STEP}.skip_from", "Layers", "shortcut", _WIRING, words=None),
    Fact(
        "residual{,.kind,.streams,.mixing}",
        "Layers",
        "residual",
        ChangeRule(
            "residual-changed",
            "weights",
            "form of the residual stream changed",
            "The model keeps a different number of streams, or mixes them in a different way with "
            "weights of its own. Pipeline stages hand over a different amount of data.",
        ),
        words=residual_word,
        takes="block",
    ),
    Fact(
        "residual.{active,iterations,eps,write_scale}",
        "Layers",
        "stream mixing",
        ChangeRule(
            "residual-mixing-changed",
            "behaviour",
            "mixing of residual streams changed",
            "The same coefficients are used in a different way. The model loads and answers "
            "differently.",
        ),
        words=_mixing,
        takes="block",
        rank=DETAIL,
    ),
    Fact(
        "residual.conv_kernel",
        "Layers",
        "convolutions of block outputs",
        ChangeRule(
            "output-convolution-changed",
            "weights",
            "convolutions of block outputs changed",
            "The convolutions over the outputs of blocks were added or removed, or have another "
            "width.",
        ),
        rank=DETAIL,
    ),
    Fact(
        "residual.depth_scaled",
        "Norms",
        "scaling by depth",
        _RESIDUAL_SCALE,
        rank=DETAIL,
    ),
    Fact(
        "residual.clip",
        "Layers",
        "coefficient bound",
        ChangeRule(
            "residual-clip-changed",
            "info",
            "training bound of stream coefficients changed",
            "The bound holds in training only. Inference is the same.",
        ),
        rank=DETAIL,
    ),
    Fact(
        f"{_STEP}{{.pre_norm,.join_norm,.after_norm,.residual}}",
        "Norms",
        "placement",
        _NORM_PLACEMENT,
        words=None,
        rank=LEAD,
    ),
    Fact(
        f"{_STEP}.branches.*.{{pre_norm,post_norm}}",
        "Norms",
        "placement",
        _NORM_PLACEMENT,
        words=None,
        rank=LEAD,
    ),
    Fact(
        "layer_kinds.*.norms",
        "Norms",
        "placement",
        ChangeRule(
            "norm-count-changed",
            "weights",
            "number of norms in a layer changed",
            "Layers have more or fewer norms, each with weights. The number follows from the "
            "wiring.",
        ),
        words=None,
        rank=LEAD,
    ),
    Fact(
        f"{_STEP}.branches.*.scale",
        "Norms",
        "scaling of the stream",
        _RESIDUAL_SCALE,
        words=None,
    ),
    Fact(
        f"{_STEP}.branches.*.input_scale",
        "Norms",
        "scaling of the stream",
        BLOCK_FACTOR,
        words=None,
    ),
    Fact(
        f"{_STEP}.skip_scale",
        "Norms",
        "scaling of the stream",
        _RESIDUAL_SCALE,
        words=None,
    ),
    Fact(
        f"{_STEP}.affine",
        "Norms",
        "learned factors of the stream",
        _LEARNED_SKIP,
        words=None,
        rank=DETAIL,
    ),
    Fact(
        f"{_STEP}.learned_skip",
        "Norms",
        "learned factors of the stream",
        _LEARNED_SKIP,
        words=None,
        rank=DETAIL,
    ),
    Fact(
        f"{_STEP}.branches.*.learned_gate",
        "Norms",
        "learned gates of blocks",
        ChangeRule(
            "branch-gate-changed",
            "weights",
            "learned gate of a block changed",
            "The learned number whose tanh multiplies a block's output was added or removed.",
        ),
        words=None,
        rank=DETAIL,
    ),
    Fact(
        "layer_kinds.*.runs",
        "Layers",
        "runs for a token",
        ChangeRule(
            "layer-runs-changed",
            "behaviour",
            "number of runs of layers changed",
            "The same layers run more or fewer times for a token. Answers, time and the size of "
            "the cache differ.",
        ),
        words=None,
        rank=DETAIL,
    ),
    Fact(
        "layer_kinds.*.initial_state",
        "Layers",
        "learned state",
        ChangeRule(
            "initial-state-changed",
            "weights",
            "learned state of layers changed",
            "The vector on which a stack of layers begins was added or removed.",
        ),
        words=None,
        rank=DETAIL,
    ),
    Fact(
        "layer_kinds.*.learned_scale",
        "Norms",
        "scaling of the stream",
        ChangeRule(
            "layer-scale-changed",
            "weights",
            "learned scale of layers added or removed",
            "At the end of each layer the stream is multiplied by a stored number, which one of "
            "the two models does not have.",
        ),
        words=None,
    ),
)
