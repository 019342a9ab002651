"""Facts about the model as a whole: vocabulary, embedding, head, prediction modules, storage."""

from __future__ import annotations

from ...views.numbers import number, plural
from ..schema import MTP, Embedding, Head, Other
from ..wording.model import head_word
from ..wording.names import name_title
from .fact import DETAIL, LEAD, ChangeRule, Fact, count_or_none, no_number

PER_LAYER_EMBEDDING = ChangeRule(
    "per-layer-embedding-changed",
    "weights",
    "per-layer embedding changed",
    "The second embedding, of which each layer takes a slice, has a different shape, or was added "
    "or removed.",
)
_EMBEDDING_SCALE = ChangeRule(
    "embedding-scale-changed",
    "behaviour",
    "scale of the embedding changed",
    "Every layer reads the embedding multiplied by a different factor. The model loads, and its "
    "answers are wrong from the first token.",
)
_POSITION_TABLE = ChangeRule(
    "absolute-positions-changed",
    "behaviour",
    "absolute positions changed",
    "Positions are added to the embedding in another way, or counted from another row. The model "
    "loads and computes something else.",
)
_MTP_RULE = ChangeRule(
    "mtp-changed",
    "info",
    "multi-token prediction modules changed",
    "Speculative decoding with these modules changes or is no longer possible. The main model is "
    "the same.",
)


def _position_offset(e: Embedding) -> str | None:
    """Return the row of the first position; None where it is the first one."""
    if not e.position_offset:
        return None
    return f"row {e.position_offset}"


def _logit_scale(scale: float | None) -> str | None:
    """Return the factor of the logits, None where it is 1."""
    if scale is None or scale == 1:
        return None
    return number(round(scale, 4))


def _head_kind(kind: str) -> str | None:
    """Return what a head is for; None where it is a language model's."""
    if kind == "language_model":
        return None
    return head_word(kind)


def _implied_head(_: Head) -> str:
    """Return what the usual head is for."""
    return head_word("language_model")


def _head_outputs(h: Head) -> str | None:
    """Return what the head of a classifier or reward model has: `1 output, hidden layer 3,584`."""
    if h.outputs is None:
        return None
    words = [plural(h.outputs, "output")]
    if h.inner_width:
        words.append(f"hidden layer {number(h.inner_width)}")
    if h.module:
        words.append(h.module)
    if h.lm_head:
        words.append("beside the head of the language model")
    return ", ".join(words)


def _one(block: object) -> str:
    """Return `1` for every block: the factor of what has none."""
    return "1"


def _mtp_layout(m: MTP) -> str | None:
    """Return what a module is made of: `layer full MoE, 3 norms, own embedding, own head`."""
    if m.layer_kind is None:
        return None
    words = [f"layer {name_title(m.layer_kind)}", plural(m.norms, "norm")]
    if m.own_embedding:
        words.append("own embedding")
    if m.own_head:
        words.append("own head")
    return ", ".join(words)


def _other_tensor(t: Other) -> str:
    """Return the shape and number of a tensor that no other fact explains: `3 × [1, 2]`."""
    sizes = ", ".join(map(number, t.shape))
    shape = f"[{sizes}]"
    if t.count == 1:
        return shape
    return f"{t.count} × {shape}"


FACTS = (
    Fact(
        "vocab_size",
        "Size",
        "vocabulary",
        ChangeRule(
            "vocabulary-changed",
            "weights",
            "vocabulary size changed",
            "Embedding and head have a different number of rows. Weights and adapters that hold "
            "them do not load into the old shape, and the tokenizer must be the new one. "
            "Fine-tunes that add tokens change it on purpose; ignore the rule there.",
        ),
        unit="tokens",
        rank=LEAD,
        equal="vocabulary {}",
    ),
    Fact(
        "embedding.tied",
        "Size",
        "embedding",
        ChangeRule(
            "tied-embedding-changed",
            "weights",
            "embedding tying changed",
            "If the head is untied, a loader looks for a matrix that a tied checkpoint does not "
            "have, and starts it with random numbers. If it is tied, the loader ignores a stored "
            "head.",
        ),
        words=None,
        rank=LEAD,
    ),
    Fact(
        "embedding.positions",
        "Position",
        "positions",
        ChangeRule(
            "learned-positions-changed",
            "weights",
            "table of learned positions changed",
            "The table has a different number of rows, or was added or removed.",
        ),
        words=None,
        unit="rows",
    ),
    Fact(
        "embedding.position_offset",
        "Position",
        "position offset",
        _POSITION_TABLE,
        words=_position_offset,
        takes="block",
        rank=DETAIL,
    ),
    Fact("embedding.sinusoidal", "Position", "positions", _POSITION_TABLE, words=None),
    Fact(
        "embedding.width",
        "Size",
        "embedding width",
        ChangeRule(
            "embedding-width-changed",
            "weights",
            "width of the embedding changed",
            "The embedding and the head have different shapes, and matrices between them and the "
            "stream are missing or left over.",
        ),
        unit="channels",
        rank=DETAIL,
    ),
    Fact(
        "embedding.affine",
        "Size",
        "learned factors of the embedding",
        ChangeRule(
            "embedding-affine-changed",
            "weights",
            "learned vectors on the embedding changed",
            "The vectors that are added to the embedding and multiply it were added or removed.",
        ),
        rank=DETAIL,
    ),
    Fact(
        "embedding.extra_rows",
        "Size",
        "rows beyond the vocabulary",
        ChangeRule(
            "extra-rows-changed",
            "weights",
            "rows beyond the vocabulary changed",
            "The embedding has a different number of rows for tokens that are never predicted.",
        ),
        words=count_or_none,
        number=no_number,
        unit="rows",
        rank=DETAIL,
    ),
    Fact(
        "embedding.norm",
        "Norms",
        "embedding norm",
        ChangeRule(
            "embedding-norm-changed",
            "weights",
            "norm after the embedding changed",
            "The norm and its weights were added, removed or replaced.",
        ),
    ),
    Fact("embedding.scale", "Size", "embedding scale", _EMBEDDING_SCALE, implied=_one),
    Fact(
        "embedding.per_layer{,.width,.vocab_size}",
        "Size",
        "per-layer embedding",
        PER_LAYER_EMBEDDING,
        words=None,
    ),
    Fact(
        "embedding.per_layer.scale",
        "Size",
        "per-layer embedding scale",
        _EMBEDDING_SCALE,
        implied=_one,
        rank=DETAIL,
    ),
    Fact(
        "head.kind",
        "Size",
        "head",
        ChangeRule(
            "head-kind-changed",
            "behaviour",
            "kind of the head changed",
            "A language model, a classifier, a reward model and a base model answer with different "
            "things: tokens, labels, scores, hidden states. Engines choose class and task by "
            "`architectures`, and a head that the checkpoint does not have starts with random "
            "numbers.",
        ),
        words=_head_kind,
        implied=_implied_head,
    ),
    Fact(
        "head.{outputs,inner_width,lm_head,module}",
        "Size",
        "head tensors",
        ChangeRule(
            "head-tensors-changed",
            "weights",
            "tensors of the head changed",
            "The head of a classifier or reward model was added or removed, or has a different "
            "number of outputs or another hidden layer: its weights do not load.",
        ),
        words=_head_outputs,
        takes="block",
    ),
    Fact(
        "head.bias",
        "Size",
        "head bias",
        ChangeRule(
            "head-bias-changed",
            "weights",
            "bias of the head added or removed",
            "The head has a bias tensor in one of the two models only.",
        ),
    ),
    Fact(
        "head.softcap",
        "Size",
        "logit softcap",
        ChangeRule(
            "logit-softcap-changed",
            "behaviour",
            "softcap of the logits changed",
            "Logits differ, and so do probabilities and perplexity. Greedy answers mostly stay "
            "the same, sampled answers do not.",
        ),
    ),
    Fact(
        "head.scale",
        "Size",
        "logit scale",
        ChangeRule(
            "logit-scale-changed",
            "behaviour",
            "scale of the logits changed",
            "The change acts like a different temperature: sampled answers and log-probabilities "
            "differ.",
        ),
        words=_logit_scale,
        implied=_one,
    ),
    Fact(
        "head.normalized",
        "Size",
        "normalised head",
        ChangeRule(
            "head-normalized-changed",
            "behaviour",
            "normalisation of the head changed",
            "Rows or columns of the head are divided by their length in one of the two models "
            "only: logits are on another scale.",
        ),
    ),
    Fact(
        "final_norm",
        "Norms",
        "final norm",
        ChangeRule(
            "final-norm-changed",
            "weights",
            "final norm changed",
            "The norm before the head and its weights were added, removed or replaced.",
        ),
        rank=DETAIL,
    ),
    Fact("mtp{,.modules}", "Size", "MTP modules", _MTP_RULE, words=None, unit="modules"),
    Fact(
        "mtp.{layer_kind,norms,own_embedding,own_head}",
        "Size",
        "MTP layout",
        _MTP_RULE,
        words=_mtp_layout,
        takes="block",
        rank=DETAIL,
    ),
    Fact(
        "other.*{,.shape,.count}",
        "Size",
        "other tensors",
        ChangeRule(
            "other-tensor-changed",
            "weights",
            "tensor outside the blocks changed",
            "A tensor that no other fact explains was added or removed, or has a different shape.",
        ),
        words=_other_tensor,
        takes="block",
        rank=DETAIL,
    ),
)
