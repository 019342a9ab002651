"""What a forward pass costs: floating-point operations of one token at a context length, and the weights that a step of decoding reads.

A multiply-add is 2 FLOPs. What is not a sum of products (norms, activations, softmax, rotations, decays) is left out: it is bound by
memory. Each weight of a matrix takes part in one multiply-add for each token (Kaplan et al. 2020, section 2.1: 2N per token without the
embedding look-up). Scores follow each mixer's own law; the functions say where it comes from. Held against torch's counter:
tests/oracle/flops.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
)
from .parameters import count_expert, count_parameters

WITHOUT_PRODUCTS = frozenset({"embedding", "per_layer_embedding", "norms", "layer_scales", "other"})
"""Components that are looked up or scale the stream; the head of a tied model is counted with `head` below."""


@frozen
class Flops(Frozen):
    """FLOPs by component: of weights under the names of analyses/parameters.py; `attention_scores`, `indexer_scores`, `recurrence`."""

    by_component: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.by_component.values())


def flops_per_token(a: Architecture, context: int, *, absorbed: bool = True) -> Flops:
    """One token that sees `context` tokens, itself included.

    `absorbed`: MLA as engines decode it, queries and values in the latent space (DeepSeek-V2 report, section 2.1.2 and appendix C); False:
    keys and values expanded, as in training and prefill. The weights cost the same in both: kv_b is applied once a token on either side.
    """
    return Flops(
        weight_flops(a) | sum_over_mixers(a, lambda m: mixer_flops_per_token(m, context, absorbed))
    )


def prefill_flops(a: Architecture, tokens: int) -> Flops:
    """All `tokens` tokens of a prompt, each seeing those before it and itself."""
    by = {component: n * tokens for component, n in weight_flops(a).items()}
    return Flops(by | sum_over_mixers(a, lambda m: mixer_prefill_flops(m, tokens)))


def weight_flops(a: Architecture) -> dict[str, int]:
    """2 FLOPs for each weight that serves a token: the chosen experts, no look-ups, the head also where it is the embedding's matrix."""
    by = {
        c: 2 * n
        for c, n in count_parameters(a).active_by_component.items()
        if c not in WITHOUT_PRODUCTS
    }
    if a.embedding.tied:
        by["head"] = by.get("head", 0) + 2 * a.vocab_size * a.hidden_size
    return by


def sum_over_mixers(a: Architecture, of: Callable[[Mixer], dict[str, int]]) -> dict[str, int]:
    """What all layers' mixers do with what they keep."""
    by: Counter[str] = Counter()
    for kind, times in Counter(a.layers).items():
        for block in a.blocks_of(kind):
            if isinstance(
                block, (Attention, LatentAttention, LinearAttention, CompressedAttention)
            ):
                for component, n in of(block).items():
                    by[component] += times * n
    return {component: n for component, n in by.items() if n}


def mixer_flops_per_token(m: Mixer, context: int, absorbed: bool) -> dict[str, int]:
    """One token of one layer.

    Softmax attention over n tokens: heads * n * (d_k + d_v) multiply-adds (Vaswani et al. 2017, equation 1), n what the mixer lets it see.
    """
    match m:
        case Attention():
            return {
                "attention_scores": attention_pair_flops(m) * count_visible_keys(m, context),
                "indexer_scores": indexer_pair_flops(m) * context,
            }
        case LatentAttention():
            read = min(context, m.indexer.top_k) if m.indexer else context
            return {
                "attention_scores": latent_pair_flops(m, absorbed) * read,
                "indexer_scores": indexer_pair_flops(m) * context,
            }
        case CompressedAttention():
            entries = context // m.ratio if m.ratio else 0
            read = min(entries, m.indexer.top_k) if m.indexer else entries
            return {
                "attention_scores": attention_pair_flops(m) * (min(context, m.window) + read),
                "indexer_scores": indexer_pair_flops(m) * entries,
            }
        case LinearAttention():
            return {"recurrence": recurrence_flops(m)}


def mixer_prefill_flops(m: Mixer, tokens: int) -> dict[str, int]:
    """All tokens of one layer: the sum of `scores_of` over contexts 1 to `tokens`, expanded."""
    everything = sum_clipped(tokens)
    match m:
        case Attention():
            window = (
                sum_chunk_positions(tokens, m.chunk)
                if m.chunk
                else sum_clipped(tokens, most=attention_reach(m))
            )
            read = tokens * m.cross_tokens if m.cross_tokens is not None else window
            return {
                "attention_scores": attention_pair_flops(m) * read,
                "indexer_scores": indexer_pair_flops(m) * everything,
            }
        case LatentAttention():
            read = sum_clipped(tokens, most=m.indexer.top_k if m.indexer else None)
            return {
                "attention_scores": latent_pair_flops(m, False) * read,
                "indexer_scores": indexer_pair_flops(m) * everything,
            }
        case CompressedAttention():
            entries = sum_clipped(tokens, m.ratio) if m.ratio else 0
            read = sum_clipped(tokens, m.ratio, m.indexer.top_k) if m.indexer else entries
            return {
                "attention_scores": attention_pair_flops(m)
                * (sum_clipped(tokens, most=m.window) + read),
                "indexer_scores": indexer_pair_flops(m) * entries,
            }
        case LinearAttention():
            return {"recurrence": tokens * recurrence_flops(m)}


def attention_pair_flops(m: Attention | CompressedAttention) -> int:
    """FLOPs of one query and one key, all heads."""
    if isinstance(m, CompressedAttention):
        return 2 * m.heads * 2 * m.head_dim
    return 2 * m.heads * (m.head_dim + m.v_head_dim)


def latent_pair_flops(m: LatentAttention, absorbed: bool) -> int:
    """MLA: keys of nope + rope and values of v dims, or a latent that is both (kv_lora_rank twice, rope once)."""
    if absorbed:
        return 2 * m.heads * (2 * m.kv_lora_rank + m.qk_rope_head_dim)
    return 2 * m.heads * (m.qk_nope_head_dim + m.qk_rope_head_dim + m.v_head_dim)


def indexer_pair_flops(m: Attention | LatentAttention | CompressedAttention) -> int:
    """One query and one key of a sparse indexer: a score for each small head, and their weighted sum (DeepSeek-V3.2 report, equation 1);
    MiniMax M3's block index takes the best of its heads."""
    if isinstance(m, Attention):
        return 2 * m.block_index.heads * m.block_index.head_dim if m.block_index else 0
    return 2 * m.indexer.heads * (m.indexer.head_dim + 1) if m.indexer else 0


def count_visible_keys(m: Attention, context: int) -> int:
    """Keys that a token reads: the last W of a window, those of its chunk (at most), the best blocks, an encoder's tokens."""
    if m.cross_tokens is not None:
        return m.cross_tokens
    if m.chunk:
        return (context - 1) % m.chunk + 1
    most = attention_reach(m)
    return context if most is None else min(context, most)


def attention_reach(m: Attention) -> int | None:
    return m.block_index.block * m.block_index.top_blocks if m.block_index else m.window


def recurrence_flops(m: LinearAttention) -> int:
    """Multiply-adds between a token and the state of n_v heads of d_k * d_v, as each recurrence is written (transformers: the functions
    `torch_*recurrent*` or the slow path of modeling_qwen3_next, kimi_linear, minimax, nemotron_h, jamba, rwkv, xlstm; RWKV-7 paper,
    equation 17).

    Lightning, Mamba and mLSTM add an outer product and read with the query: 2. The delta rule also reads with the key before it writes:
    3. RWKV-7 reads once more for its in-context rate and adds two outer products: 4. RWKV-4 has no products with a matrix; a convolution
    alone has no state.
    """
    times = {
        "gated_deltanet": 3,
        "kda": 3,
        "lightning": 2,
        "mamba2": 2,
        "mamba": 2,
        "mlstm": 2,
        "rwkv7": 4,
        "rwkv4": 0,
        "short_conv": 0,
    }
    return 2 * times[m.variant] * m.value_heads * m.key_head_dim * m.value_head_dim


def sum_clipped(tokens: int, every: int = 1, most: int | None = None) -> int:
    """The sum over t = 1 .. tokens of min(t // every, most)."""
    whole = tokens // every
    if most is not None and whole > most:
        return sum_clipped(every * most + every - 1, every) + most * (
            tokens - (every * most + every - 1)
        )
    return every * whole * (whole - 1) // 2 + whole * (tokens - every * whole + 1)


def sum_chunk_positions(tokens: int, chunk: int) -> int:
    """The sum over t of a token's place in its chunk."""
    whole, rest = divmod(tokens, chunk)
    return whole * sum_clipped(chunk) + sum_clipped(rest)


# --- weights that a step reads ------------------------------------------------------------------------------------


def count_weights_read(a: Architecture, batch: int = 1) -> dict[str, float]:
    """Weights, in elements, that one decoding step of `batch` sequences reads, by component: every matrix once, of the embedding a row a
    token, of each layer's experts those that some token chose."""
    apart = ("experts", "embedding", "per_layer_embedding", "head")
    by: dict[str, float] = {
        c: n for c, n in count_parameters(a).active_by_component.items() if c not in apart
    }
    by["embedding"] = batch * a.hidden_size
    if p := a.embedding.per_layer:
        by["per_layer_embedding"] = batch * p.width * len(a.layers)
    by["head"] = a.vocab_size * (a.hidden_size + a.head.bias)
    if experts := sum(
        layers * expected_distinct_experts(m, batch) * count_expert(m, a.hidden_size)
        for m, layers in iterate_moes(a)
    ):
        by["experts"] = experts
    return by


def expected_distinct_experts(m: MoE, batch: int) -> float:
    """How many of a layer's experts `batch` tokens are expected to choose: E * (1 - (1 - k / E)^B), when each token chooses k of E evenly
    and independently of the others (the chance that none of B chose one is (1 - k / E)^B; expectations add up). Zero experts are chosen
    among the others and have no weights."""
    return m.experts * (1 - (1 - m.active / (m.experts + m.zero_experts)) ** batch)


def iterate_moes(a: Architecture) -> Iterator[tuple[MoE, int]]:
    """Each mixture of experts, with the number of layers (or steps of layers) that hold it."""
    for kind, times in Counter(a.layers).items():
        for block in a.blocks_of(kind):
            if isinstance(block, MoE):
                yield block, times
