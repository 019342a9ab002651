"""The cost of a forward pass: floating-point operations, and the weights that a step reads.

A multiply-add is 2 FLOPs. What is not a sum of products (norms, activations, softmax, rotations,
decays) is left out: it is bound by memory. Each weight of a matrix takes part in one multiply-add
for each token (Kaplan et al. 2020, section 2.1: 2N per token without the embedding look-up).
Scores follow each mixer's own law; the functions name their sources. Checked against torch's
counter: tests/oracle/flops.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
)
from .block_parameters import count_expert
from .parameters import count_head, count_parameters, count_repeated

WITHOUT_PRODUCTS = frozenset({"embedding", "per_layer_embedding", "norms", "layer_scales", "other"})
"""Components that are looked up or scale the stream."""


@frozen
class Flops(Frozen):
    """FLOPs by component.

    Weights have the names of analyses/parameters.py; the others are `attention_scores`,
    `indexer_scores` and `recurrence`.
    """

    by_component: dict[str, int]

    @property
    def total(self) -> int:
        """Return the sum over all components."""
        components = self.by_component.values()
        return sum(components)


def flops_per_token(a: Architecture, context: int, *, absorbed: bool = True) -> Flops:
    """Return the FLOPs of one token that sees `context` tokens, itself included.

    absorbed: MLA as engines decode it, queries and values in the latent space (DeepSeek-V2 report,
        section 2.1.2 and appendix C); False: keys and values are expanded, as in training and
        prefill. The weights cost the same: kv_b is applied once a token in both.
    """

    def count(mixer: Mixer) -> dict[str, int]:
        return mixer_flops_per_token(mixer, context, absorbed)

    of_weights = weight_flops(a)
    of_mixers = sum_over_mixers(a, count)
    return Flops(of_weights | of_mixers)


def prefill_flops(a: Architecture, tokens: int) -> Flops:
    """Return the FLOPs of a prompt, in which each token sees those before it and itself."""

    def count(mixer: Mixer) -> dict[str, int]:
        return mixer_prefill_flops(mixer, tokens)

    total: dict[str, int] = {}
    per_token = weight_flops(a)
    for component, n in per_token.items():
        total[component] = n * tokens
    total |= sum_over_mixers(a, count)
    return Flops(total)


def weight_flops(a: Architecture) -> dict[str, int]:
    """Return the FLOPs of a token's products with weights: 2 for each weight that serves it.

    Only the chosen experts serve a token. A tied head is multiplied like any other head.
    """
    flops: dict[str, int] = {}
    for component, n in count_parameters(a).active_by_component.items():
        if component not in WITHOUT_PRODUCTS:
            flops[component] = 2 * n
    for component, n in count_repeated(a).items():
        if component not in WITHOUT_PRODUCTS:
            flops[component] = flops.get(component, 0) + 2 * n
    if a.embedding.tied and a.head.predicts_tokens:
        flops["head"] = flops.get("head", 0) + 2 * a.vocab_size * a.embedding_width
    return flops


def sum_over_mixers(a: Architecture, count: Callable[[Mixer], dict[str, int]]) -> dict[str, int]:
    """Add up what `count` returns for the mixers of all layers; components of 0 are left out."""
    totals: Counter[str] = Counter()
    for block, layers in iterate_blocks(a):
        if not isinstance(block, Mixer):
            continue
        for component, n in count(block).items():
            totals[component] += layers * n
    return {component: n for component, n in totals.items() if n}


def iterate_blocks(a: Architecture) -> Iterator[tuple[Mixer | FFN, int]]:
    """Yield each block of each kind of layer, with how often layers of that kind run."""
    for kind, layers in Counter(a.layers).items():
        runs = layers * a.layer_kinds[kind].runs
        for block in a.blocks_of(kind):
            yield block, runs


# --- what a mixer does with its cache or state --------------------------------------------------


def mixer_flops_per_token(mixer: Mixer, context: int, absorbed: bool) -> dict[str, int]:
    """Return the FLOPs of one token in one layer, by component.

    Softmax attention over n tokens takes heads * n * (d_k + d_v) multiply-adds (Vaswani et al.
    2017, equation 1), n being the tokens that the mixer lets it see.
    """
    match mixer:
        case Attention():
            keys = count_visible_keys(mixer, context)
            return _score_flops(
                attention_pair_flops(mixer) * keys, indexer_pair_flops(mixer) * context
            )
        case LatentAttention():
            keys = context
            if mixer.indexer:
                keys = min(context, mixer.indexer.top_k)
            if mixer.window:
                keys = min(context, mixer.window)
            return _score_flops(
                latent_pair_flops(mixer, absorbed) * keys, indexer_pair_flops(mixer) * context
            )
        case CompressedAttention():
            entries = 0
            if mixer.ratio:
                entries = context // mixer.ratio
            read = entries
            if mixer.indexer:
                read = min(entries, mixer.indexer.top_k)
            keys = min(context, mixer.window) + read
            return _score_flops(
                attention_pair_flops(mixer) * keys, indexer_pair_flops(mixer) * entries
            )
        case LinearAttention():
            return {"recurrence": recurrence_flops(mixer)}


def mixer_prefill_flops(mixer: Mixer, tokens: int) -> dict[str, int]:
    """Return the FLOPs of all tokens of a prompt in one layer, by component.

    It is the sum of `mixer_flops_per_token` over contexts 1 to `tokens`, with MLA expanded.
    """
    contexts = sum_clipped(tokens)
    match mixer:
        case Attention():
            keys = _sum_visible_keys(mixer, tokens)
            return _score_flops(
                attention_pair_flops(mixer) * keys, indexer_pair_flops(mixer) * contexts
            )
        case LatentAttention():
            keys = contexts
            if mixer.indexer:
                keys = sum_clipped(tokens, most=mixer.indexer.top_k)
            if mixer.window:
                keys = sum_clipped(tokens, most=mixer.window)
            return _score_flops(
                latent_pair_flops(mixer, absorbed=False) * keys,
                indexer_pair_flops(mixer) * contexts,
            )
        case CompressedAttention():
            entries = 0
            if mixer.ratio:
                entries = sum_clipped(tokens, mixer.ratio)
            read = entries
            if mixer.indexer:
                read = sum_clipped(tokens, mixer.ratio, mixer.indexer.top_k)
            keys = sum_clipped(tokens, most=mixer.window) + read
            return _score_flops(
                attention_pair_flops(mixer) * keys, indexer_pair_flops(mixer) * entries
            )
        case LinearAttention():
            return {"recurrence": tokens * recurrence_flops(mixer)}


def _score_flops(attention: int, indexer: int) -> dict[str, int]:
    return {"attention_scores": attention, "indexer_scores": indexer}


def attention_pair_flops(mixer: Attention | CompressedAttention) -> int:
    """Return the FLOPs of one query and one key with its value, over all heads."""
    value_dim = mixer.head_dim
    if isinstance(mixer, Attention):
        value_dim = mixer.v_head_dim
    channels = mixer.head_dim + value_dim
    return 2 * mixer.heads * channels


def latent_pair_flops(mixer: LatentAttention, absorbed: bool) -> int:
    """Return the FLOPs of one query and one key with its value in MLA, over all heads.

    Expanded, keys have nope + rope dims and values v dims. Absorbed, both are the latent: its rank
    counts twice, the rope dims once.
    """
    key_dim = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim
    value_dim = mixer.v_head_dim
    if absorbed:
        key_dim = mixer.kv_lora_rank + mixer.qk_rope_head_dim
        value_dim = mixer.kv_lora_rank
    channels = key_dim + value_dim
    return 2 * mixer.heads * channels


def indexer_pair_flops(mixer: Attention | LatentAttention | CompressedAttention) -> int:
    """Return the FLOPs of one query and one key of a sparse indexer; 0 without an indexer.

    Each small head gives a score, and their weighted sum is taken (DeepSeek-V3.2 report,
    equation 1); MiniMax M3's block index takes the best of its heads instead of a sum.
    """
    if isinstance(mixer, Attention):
        index = mixer.block_index
        if index is None:
            return 0
        return 2 * index.heads * index.head_dim
    indexer = mixer.indexer
    if indexer is None:
        return 0
    weighted_sum = 1
    return 2 * indexer.heads * (indexer.head_dim + weighted_sum)


def count_visible_keys(mixer: Attention, context: int) -> int:
    """Return how many keys a token reads.

    These are the last W of a window, those of its chunk so far, those of the best blocks, or an
    encoder's tokens.
    """
    if mixer.cross_tokens is not None:
        return mixer.cross_tokens
    if mixer.chunk:
        return (context - 1) % mixer.chunk + 1
    most = attention_reach(mixer)
    if most is None:
        return context
    return min(context, most)


def _sum_visible_keys(mixer: Attention, tokens: int) -> int:
    """Return the sum of `count_visible_keys` over contexts 1 to `tokens`."""
    if mixer.cross_tokens is not None:
        return tokens * mixer.cross_tokens
    if mixer.chunk:
        return sum_chunk_positions(tokens, mixer.chunk)
    return sum_clipped(tokens, most=attention_reach(mixer))


def attention_reach(mixer: Attention) -> int | None:
    """Return the most keys that a token reads, of its best blocks or of a window; None: all."""
    index = mixer.block_index
    if index is None:
        return mixer.window
    return index.block * index.top_blocks


RECURRENCE_PASSES = {
    "gated_deltanet": 3,
    "kda": 3,
    "lightning": 2,
    "mamba2": 2,
    "mamba": 2,
    "mlstm": 2,
    "rwkv7": 4,
    "rwkv4": 0,
    "short_conv": 0,
    "rg_lru": 0,
}
"""How often a token's step multiplies the whole state, as each recurrence is written.

Lightning, Mamba and mLSTM add an outer product and read with the query: 2. The delta rule also
reads with the key before it writes: 3. RWKV-7 reads once more for its in-context rate and adds two
outer products: 4. RWKV-4 and RG-LRU have no products with a matrix, a convolution alone no state.
Sources: transformers, functions `torch_*recurrent*` or the slow path of modeling_qwen3_next,
kimi_linear, minimax, nemotron_h, jamba, rwkv, xlstm; RWKV-7 paper, equation 17.
"""


def recurrence_flops(mixer: LinearAttention) -> int:
    """Return the FLOPs between a token and the state, value_heads matrices of d_k * d_v."""
    state = mixer.value_heads * mixer.key_head_dim * mixer.value_head_dim
    return 2 * RECURRENCE_PASSES[mixer.variant] * state


def sum_clipped(tokens: int, every: int = 1, most: int | None = None) -> int:
    """Return the sum over t = 1 .. tokens of min(t // every, most)."""
    last = tokens // every
    if most is not None and last > most:
        # The last t at which t // every is `most`.
        rising = every * (most + 1) - 1
        clipped = most * (tokens - rising)
        return sum_clipped(rising, every) + clipped
    # Each of 1 .. last - 1 is taken `every` times, `last` by the tokens that are left.
    whole_steps = every * last * (last - 1) // 2
    left = tokens - every * last + 1
    return whole_steps + last * left


def sum_chunk_positions(tokens: int, chunk: int) -> int:
    """Return the sum over t = 1 .. tokens of the place of t in its chunk, counted from 1."""
    whole_chunks, rest = divmod(tokens, chunk)
    of_whole_chunks = whole_chunks * sum_clipped(chunk)
    of_rest = sum_clipped(rest)
    return of_whole_chunks + of_rest


# --- weights that a step reads ------------------------------------------------------------------

READ_BY_TOKENS = ("experts", "embedding", "per_layer_embedding", "head")
"""Components for which a step does not read every active weight exactly once."""


def count_weights_read(a: Architecture, batch: int = 1) -> dict[str, float]:
    """Count the weights, in elements, that a decoding step of `batch` sequences reads.

    By component: every matrix once, a row a token of the embedding, and of each layer's experts
    those that some token is expected to choose.
    """
    read: dict[str, float] = {}
    for component, n in count_parameters(a).active_by_component.items():
        if component not in READ_BY_TOKENS:
            read[component] = n
    read["embedding"] = batch * a.embedding_width
    per_layer = a.embedding.per_layer
    if per_layer:
        read["per_layer_embedding"] = batch * per_layer.width * len(a.layers)
    read["head"] = count_head(a, tied=False)
    experts = 0.0
    for block, layers in iterate_blocks(a):
        if isinstance(block, MoE):
            chosen = layers * expected_distinct_experts(block, batch)
            experts += chosen * count_expert(block, a.hidden_size)
    if experts:
        read["experts"] = experts
    return read


def expected_distinct_experts(moe: MoE, batch: int) -> float:
    """Return how many of a layer's experts `batch` tokens are expected to choose.

    E * (1 - (1 - k / E)^B), if each token chooses k of E experts evenly and independently of the
    others: the chance that none of B tokens chose one is (1 - k / E)^B, and expectations add up.
    Zero experts are chosen among the others and have no weights.
    """
    choices = moe.experts + moe.zero_experts
    not_chosen = (1 - moe.active / choices) ** batch
    return moe.experts * (1 - not_chosen)
