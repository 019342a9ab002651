"""Facts about softmax attention: heads, latents, windows, norms, biases, scores."""

from __future__ import annotations

from operator import attrgetter

from ...views.numbers import number
from ..schema import (
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    QKNorm,
    RelativeLogits,
    SharedTransformer,
)
from ..wording.mixers import (
    Softmax,
    head_sharing,
    mixer_word,
    query_scaling_word,
    values_scale_word,
    values_word,
)
from .fact import DETAIL, INNER_NORM, LEAD, ChangeRule, Fact, not_in_panel

SOFTMAX = (Attention, LatentAttention, CompressedAttention)
_SCALED = (Attention, LatentAttention)
_SCOPES = {
    "head": "per head",
    "own_head": "per head, own weights",
    "projection": "whole projection",
}

MIXER = ChangeRule(
    "mixer-changed",
    "weights",
    "mixer changed",
    "A kind of attention was added, removed or replaced by another kind, with its tensors.",
)
HEAD_DIM = ChangeRule(
    "head-dim-changed",
    "weights",
    "head dimension changed",
    "Projections have different shapes and the cache has a different size. Kernels are chosen by "
    "the head dimension.",
)
LATENT_RANK = ChangeRule(
    "latent-rank-changed",
    "weights",
    "rank of a latent changed",
    "Down and up projections have different shapes. A different kv_lora_rank also changes the "
    "size of the cache.",
)
ATTENTION_BIAS = ChangeRule(
    "attention-bias-changed",
    "weights",
    "attention biases added or removed",
    "The projections have bias tensors in one of the two models only.",
)
OUTPUT_GATE = ChangeRule(
    "output-gate-changed",
    "weights",
    "output gate changed",
    "The gate on the output of attention and its matrix were added, removed or replaced. In "
    "linear attention the activation alone may differ.",
)
_QK_NORM = ChangeRule(
    "qk-norm-changed",
    "weights",
    "QK-norm changed",
    "The weights of the norms of queries and keys were added or removed, or have a different "
    "shape.",
)
_SOFTMAX_SCALE = ChangeRule(
    "softmax-scale-changed",
    "behaviour",
    "scale of the attention scores changed",
    "Attention is sharper or flatter everywhere. The model loads and answers differently.",
)


def _attention_kind(m: Softmax) -> str:
    """Return `GQA`, `MHA, block-sparse`, `sparse MLA`, `compressed latent`."""
    match m:
        case CompressedAttention():
            return "compressed latent"
        case LatentAttention():
            return mixer_word(m)
        case Attention():
            sharing = head_sharing(m)
            if m.block_index:
                return f"{sharing}, block-sparse"
            return sharing


def _head_dim(m: Softmax) -> str:
    """Return the dims of a head: `128`, `K 192, V 128`, `128 + 64 rope, V 128`."""
    match m:
        case Attention():
            if m.head_dim == m.v_head_dim:
                return number(m.head_dim)
            return f"K {number(m.head_dim)}, V {number(m.v_head_dim)}"
        case LatentAttention():
            dims = f"{number(m.qk_nope_head_dim)} + {number(m.qk_rope_head_dim)} rope"
            return f"{dims}, V {number(m.v_head_dim)}"
        case CompressedAttention():
            plain_dims = m.head_dim - m.rope_dim
            return f"{number(plain_dims)} + {number(m.rope_dim)} rope, K = V"


def _whole_head_dim(m: Attention) -> int | None:
    """Return the dims of a head; None where keys and values have different ones."""
    if m.head_dim != m.v_head_dim:
        return None
    return m.head_dim


def _latent_ranks(m: LatentAttention) -> str:
    """Return `q 1,536, kv 512`."""
    query = "full"
    if m.q_lora_rank:
        query = number(m.q_lora_rank)
    latent = number(m.kv_lora_rank)
    return f"q {query}, kv {latent}"


def _linear_qk_norm(m: LinearAttention) -> str | None:
    """Return what the norms of queries and keys of linear attention are over, None without them."""
    if m.qk_norm is None:
        return None
    return _qk_norm_words(m.qk_norm)


def _qk_norm(m: Softmax) -> str:
    """Return what the norms of queries and keys are over: `per head, weight + 1`."""
    match m:
        case CompressedAttention():
            return "on the latents, and q per head without weight"
        case LatentAttention():
            if m.q_lora_rank:
                return "on the latents"
            return "on the kv latent"
        case Attention():
            if m.qk_norm is None:
                return "none"
            return _qk_norm_words(m.qk_norm)


def _qk_norm_words(norm: QKNorm) -> str:
    """Return scope, weight and place of a norm of queries and keys."""
    words = [_SCOPES[norm.scope]]
    if norm.norm_kind == "layernorm":
        words.append("LayerNorm")
    if not norm.weight:
        words.append("no weight")
    if norm.bias:
        words.append("bias")
    if norm.after_rope:
        words.append("after RoPE")
    if norm.offset:
        words.append(f"weight + {norm.offset}")
    return ", ".join(words)


def _bias(m: Softmax) -> str:
    """Return the projections with a bias: `q, k, v`, or `none`."""
    words: list[str] = []
    match m:
        case Attention():
            if m.qkv_bias:
                words.append("q, k, v")
            if m.output_bias:
                words.append("o")
        case LatentAttention():
            if m.bias:
                words.append("q, kv, o")
        case CompressedAttention():
            pass
    return ", ".join(words) or "none"


def _gate(m: Attention | LatentAttention) -> str | None:
    """Return activation and kind of the output gate: `sigmoid, head`."""
    if m.gate is None:
        return None
    if isinstance(m, LatentAttention):
        kind = m.gate.replace("_", " ")
        return f"sigmoid, {kind}"
    return f"{m.gate_activation}, {m.gate}"


def _gate_bias(has_bias: bool) -> str | None:
    """Return how many numbers the bias of the gate has."""
    if not has_bias:
        return None
    return "one per query head"


def _relative(r: RelativeLogits | None) -> str | None:
    """Return the profiles of a bias by distance: `16 profiles of 1,024 tokens`."""
    if r is None:
        return None
    return f"{number(r.width)} profiles of {number(r.extent)} tokens"


def _shared_transformer(t: SharedTransformer | None) -> str | None:
    """Return the feed-forward block and the adapters: `width 14,336, adapters of rank 128`."""
    if t is None:
        return None
    words = [f"width {number(t.ffn.width)}"]
    if t.adapter_rank:
        words.append(f"adapters of rank {number(t.adapter_rank)}")
    return ", ".join(words)


def _alibi(largest: float | None) -> str | None:
    """Return the smallest slope of the heads: `slopes to 2^−8`."""
    if largest is None:
        return None
    return f"slopes to 2^−{number(largest)}"


def _sinks(has_sinks: bool) -> str | None:
    """Return how many attention sinks there are."""
    if not has_sinks:
        return None
    return "one per query head"


def _softmax_scale(m: Attention | LatentAttention) -> str | None:
    """Return the factor of the scores, None where it is that of the head dimension."""
    words: list[str] = []
    if m.scale is not None:
        words.append(number(m.scale))
    if isinstance(m, Attention) and m.scale_by_depth:
        words.append("divided by the layer's number")
    return ", ".join(words) or None


def _usual_scale(m: Attention | LatentAttention) -> str:
    """Return the factor of the scores that follows from the head dimension: `1/√128`."""
    if isinstance(m, Attention):
        head_dim = m.head_dim
    else:
        head_dim = m.qk_nope_head_dim + m.qk_rope_head_dim
    return f"1/√{number(head_dim)}"


def _cross_attention(tokens: int | None) -> str | None:
    """Return how many tokens of an encoder are read."""
    if tokens is None:
        return None
    return f"up to {number(tokens)} tokens of an encoder"


def _image_mask(sees_ahead: str | None) -> str | None:
    """Return how tokens of one image see each other, and in `prefix` all of the prompt."""
    if sees_ahead is None:
        return None
    if sees_ahead == "prefix":
        return "see the whole prompt, as its text does"
    return "see each other in both directions"


FACTS = (
    Fact(
        "mixers.*{,.kind}",
        "Attention",
        "kind",
        MIXER,
        SOFTMAX,
        words=_attention_kind,
        takes="block",
        rank=LEAD,
        equal="{}",
        panel=not_in_panel,
    ),
    Fact(
        "mixers.*.heads",
        "Attention",
        "query heads",
        ChangeRule(
            "heads-changed",
            "weights",
            "number of query heads changed",
            "Query and output projections have different shapes. Tensor-parallel degrees must "
            "divide the new number.",
        ),
        SOFTMAX,
        unit="heads",
        rank=LEAD,
        equal="{} query heads",
        box="{heads} heads",
    ),
    Fact(
        "mixers.*.kv_heads",
        "Attention",
        "KV heads",
        ChangeRule(
            "kv-heads-changed",
            "weights",
            "number of KV heads changed",
            "Key and value projections have different shapes, and the cache has a different size. "
            "Tensor-parallel degrees depend on the number.",
        ),
        (Attention,),
        unit="heads",
        rank=LEAD,
        equal="{} KV heads",
        box="{kv_heads} KV",
    ),
    Fact(
        "mixers.*.{head_dim,v_head_dim}",
        "Attention",
        "head dim",
        HEAD_DIM,
        (Attention,),
        words=_head_dim,
        takes="block",
        number=_whole_head_dim,
        unit="dims",
        rank=LEAD,
        equal="head dim {}",
    ),
    Fact(
        "mixers.*.{qk_nope_head_dim,qk_rope_head_dim,v_head_dim}",
        "Attention",
        "head dim",
        HEAD_DIM,
        (LatentAttention,),
        words=_head_dim,
        takes="block",
        unit="dims",
        rank=LEAD,
        equal="head dim {}",
    ),
    Fact(
        "mixers.*.head_dim",
        "Attention",
        "head dim",
        HEAD_DIM,
        (CompressedAttention,),
        words=_head_dim,
        takes="block",
        number=attrgetter("head_dim"),
        unit="dims",
        rank=LEAD,
        equal="head dim {}",
    ),
    Fact(
        "mixers.*.{q_lora_rank,kv_lora_rank}",
        "Attention",
        "MLA ranks",
        LATENT_RANK,
        (LatentAttention,),
        words=_latent_ranks,
        takes="block",
        unit="dims",
        rank=LEAD,
        equal="MLA ranks {}",
        box="latent {kv_lora_rank}",
    ),
    Fact(
        "mixers.*.kv_from",
        "Attention",
        "values",
        ChangeRule(
            "shared-kv-changed",
            "weights",
            "sharing of keys and values between layers changed",
            "Layers gain or lose key and value matrices of their own, and the cache has a "
            "different size.",
        ),
        (Attention,),
        words=values_word,
        takes="block",
    ),
    Fact(
        "mixers.*.values_from_keys",
        "Attention",
        "values",
        ChangeRule(
            "values-changed",
            "weights",
            "source of the values changed",
            "One of the two models has a value matrix; the other takes the values from the keys.",
        ),
        (Attention,),
        words=None,
    ),
    Fact(
        "mixers.*.value_norm",
        "Attention",
        "values",
        ChangeRule(
            "value-norm-changed",
            "behaviour",
            "norm of the values added or removed",
            "The norm has no weights, so the model loads either way and computes something else.",
        ),
        (Attention,),
        words=None,
    ),
    Fact(
        "mixers.*.{value_scale,q_scale,kv_scale}",
        "Attention",
        "fixed factors",
        ChangeRule(
            "attention-factor-changed",
            "behaviour",
            "fixed factor in attention changed",
            "Queries, latents or values are multiplied by a different number. The model loads and "
            "answers differently.",
        ),
        _SCALED,
        words=values_scale_word,
        takes="block",
    ),
    Fact(
        "mixers.*.clip",
        "Attention",
        "clip",
        ChangeRule(
            "qkv-clip-changed",
            "behaviour",
            "clipping of queries, keys and values changed",
            "Large activations are cut at a different bound, or are no longer cut.",
        ),
        (Attention,),
    ),
    Fact(
        "mixers.*.window",
        "Attention",
        "window",
        ChangeRule(
            "window-changed",
            "behaviour",
            "window size changed",
            "Answers differ for prompts longer than the smaller window. The cache of these layers "
            "has a different size.",
        ),
        SOFTMAX,
        unit="tokens",
        rank=LEAD,
        equal="window {}",
    ),
    Fact(
        "mixers.*.chunk",
        "Attention",
        "chunk",
        ChangeRule(
            "chunk-changed",
            "behaviour",
            "size of attention chunks changed",
            "Tokens see other tokens than before. The cache of these layers has a different size.",
        ),
        (Attention,),
        unit="tokens",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.qk_norm{,.scope,.weight,.bias,.key_scale}",
        "Attention",
        "QK-norm",
        _QK_NORM,
        SOFTMAX,
        words=_qk_norm,
        takes="block",
        equal="QK-norm {}",
    ),
    Fact(
        "mixers.*.qk_norm{,.scope,.weight,.bias,.key_scale}",
        "Attention",
        "linear QK-norm",
        _QK_NORM,
        (LinearAttention,),
        words=_linear_qk_norm,
        takes="block",
    ),
    Fact(
        "mixers.*.qk_norm.{norm_kind,offset,after_rope}",
        "Attention",
        "QK-norm",
        ChangeRule(
            "qk-norm-placement-changed",
            "behaviour",
            "use of the QK-norm weights changed",
            "The same norm weights are used at another place or with another offset, so attention "
            "scores differ.",
        ),
        (Attention, LinearAttention),
        words=None,
    ),
    Fact(
        "mixers.*.{qkv_bias,output_bias}",
        "Attention",
        "bias",
        ATTENTION_BIAS,
        (Attention, CompressedAttention),
        words=_bias,
        takes="block",
    ),
    Fact(
        "mixers.*.bias",
        "Attention",
        "bias",
        ATTENTION_BIAS,
        (LatentAttention,),
        words=_bias,
        takes="block",
    ),
    Fact(
        "mixers.*.rope_norm",
        "Attention",
        "norm of the rotary key",
        INNER_NORM,
        (LatentAttention,),
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.transformer{,.ffn,.ffn.kind,.ffn.width,.ffn.gated,.ffn.bias,.ffn.per_layer,"
        ".ffn.inner_norm,.ffn.learned_scale,.ffn.activation_numbers,.ffn.channel_mix,.adapter_rank,"
        ".attention_adapters,.ffn.activation,.ffn.alpha,.ffn.up_offset,.ffn.gate_scale,.ffn.clamp,"
        ".ffn.clamp_after,.ffn.sparsity,.ffn.own_skip}",
        "Attention",
        "shared Transformer layer",
        ChangeRule(
            "shared-transformer-changed",
            "weights",
            "shared Transformer layer changed",
            "The feed-forward block or the adapters of the shared layer have other shapes, or it "
            "is there in one of the two models only.",
        ),
        (Attention,),
        words=_shared_transformer,
    ),
    Fact(
        "mixers.*.relative{,.width,.extent}",
        "Attention",
        "relative logits",
        ChangeRule(
            "relative-logits-changed",
            "weights",
            "relative logits changed",
            "The bias of the scores by distance was added or removed, or has other profiles.",
        ),
        (Attention,),
        words=_relative,
    ),
    Fact(
        "mixers.*.kv_conv",
        "Attention",
        "convolutions of keys and values",
        ChangeRule(
            "kv-convolution-changed",
            "weights",
            "convolutions of keys and values changed",
            "The convolutions over keys and values were added or removed, or have another width.",
        ),
        (Attention,),
        unit="tokens",
    ),
    Fact(
        "mixers.*.conv_kernels",
        "Attention",
        "convolutions of queries and keys",
        ChangeRule(
            "qk-convolution-changed",
            "weights",
            "convolutions of queries and keys changed",
            "The convolutions over queries and keys were added or removed, or have another width.",
        ),
        (Attention,),
    ),
    Fact(
        "mixers.*.dynamic_mask",
        "Attention",
        "dynamic mask",
        ChangeRule(
            "dynamic-mask-changed",
            "weights",
            "dynamic mask changed",
            "The scores of values that mask keys, with their matrix, were added or removed, or a "
            "query reads another number of keys.",
        ),
        (Attention,),
        unit="keys",
    ),
    Fact(
        "mixers.*.query_experts",
        "Attention",
        "query experts",
        ChangeRule(
            "query-experts-changed",
            "weights",
            "experts of attention changed",
            "The query and output matrices that a router chooses from were added or removed, or "
            "there are more or fewer of them.",
        ),
        (Attention,),
        unit="experts",
    ),
    Fact(
        "mixers.*.gate",
        "Attention",
        "output gate",
        OUTPUT_GATE,
        _SCALED,
        words=_gate,
        takes="block",
    ),
    Fact(
        "mixers.*.gate_activation",
        "Attention",
        "output gate",
        ChangeRule(
            "gate-activation-changed",
            "behaviour",
            "activation of the output gate changed",
            "The same gate weights let different amounts through.",
        ),
        (Attention,),
        words=None,
    ),
    Fact(
        "mixers.*.gate_bias",
        "Attention",
        "bias of the output gate",
        OUTPUT_GATE,
        (Attention,),
        words=_gate_bias,
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.alibi",
        "Attention",
        "ALiBi",
        ChangeRule(
            "alibi-changed",
            "behaviour",
            "ALiBi changed",
            "Scores fall with the distance of tokens in another way. The model loads, and its "
            "answers are wrong.",
        ),
        (Attention,),
        words=_alibi,
    ),
    Fact("mixers.*.output_norm", "Attention", "output norm", INNER_NORM, (Attention,), rank=DETAIL),
    Fact(
        "mixers.*.differential",
        "Attention",
        "differential",
        ChangeRule(
            "differential-attention-changed",
            "weights",
            "differential attention added or removed",
            "Half of the heads is subtracted from the other half in one of the two models only, "
            "with learned vectors. Engines need kernels for it.",
        ),
        (Attention,),
    ),
    Fact(
        "mixers.*.sinks",
        "Attention",
        "sinks",
        ChangeRule(
            "sinks-changed",
            "weights",
            "attention sinks added or removed",
            "One of the two models has a learned logit for each head. Engines need kernels that "
            "support sinks.",
        ),
        SOFTMAX,
        words=_sinks,
    ),
    Fact(
        "mixers.*.sees_ahead",
        "Attention",
        "image tokens",
        ChangeRule(
            "mask-changed",
            "behaviour",
            "mask of image tokens changed",
            "Tokens of one image see each other in both directions in one of the two models only. "
            "Answers about images differ, answers about text do not.",
        ),
        (Attention,),
        words=_image_mask,
    ),
    Fact(
        "mixers.*.cross_tokens",
        "Attention",
        "cross attention",
        ChangeRule(
            "cross-attention-changed",
            "behaviour",
            "cross attention changed",
            "Attention to an encoder was added or removed, or reads a different number of its "
            "tokens. Their keys and values take a different amount of memory.",
        ),
        (Attention,),
        words=_cross_attention,
        unit="tokens",
    ),
    Fact(
        "mixers.*.softcap",
        "Attention",
        "softcap",
        ChangeRule(
            "attention-softcap-changed",
            "behaviour",
            "softcap of the attention scores changed",
            "Large scores differ. Engines whose kernels have no softcap ignore it without a "
            "warning.",
        ),
        (Attention,),
    ),
    Fact(
        "mixers.*.scale",
        "Attention",
        "softmax scale",
        _SOFTMAX_SCALE,
        _SCALED,
        words=_softmax_scale,
        takes="block",
        implied=_usual_scale,
        number=attrgetter("scale"),
    ),
    Fact(
        "mixers.*.scale_by_depth",
        "Attention",
        "softmax scale",
        _SOFTMAX_SCALE,
        (Attention,),
        words=None,
    ),
    Fact(
        "mixers.*.query_scaling{,.beta,.original_context,.shift,.power,.smooth}",
        "Attention",
        "query scaling",
        ChangeRule(
            "query-scaling-changed",
            "behaviour",
            "scaling of queries by position changed",
            "Attention in long prompts is sharper or flatter.",
        ),
        _SCALED,
        words=query_scaling_word,
    ),
)
