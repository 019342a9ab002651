"""The memory that an engine sets aside for LoRA adapters beside a model.

vLLM allocates, for each adapter that may run in one batch, two matrices for every matrix of the
decoder's layers, of the largest rank that it admits, whatever the adapters are. Of a matrix that is
divided among ranks, the side that is divided is divided here too.

Source: vLLM 0.33.0 lora/layers/ (create_lora_weights of base_linear, column_parallel_linear,
fused_moe, vocab_parallel_embedding, logits_processor) and lora/utils (get_supported_lora_modules).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..architecture.dtypes import CONFIG_DTYPE_BITS
from ..architecture.schema import FFN, Architecture, Attention, Dense, LatentAttention, Mixer, MoE
from ..errors import PlanError
from .engines.pools import AllowancePart

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values of `--max-lora-rank` (vLLM 0.33.0 LoRAConfig)."""
_BOTH = frozenset({"embedding", "head"})
_TABLES = {
    **dict.fromkeys(
        """
        apertus exaone exaone4 exaone_moe falcon_h1 granite granitemoe granitemoehybrid
        granitemoeshared hyperclovax jamba lfm2 lfm2_moe llama minicpm mixtral nemotron nemotron_h
        phimoe qwen3 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_moe solar
        """.split(),
        _BOTH,
    ),
    "cohere": frozenset({"embedding"}),
    "cohere2": frozenset({"embedding"}),
}
"""Model types whose class in vLLM 0.33.0 adapts the embedding or the head (`embedding_modules`)."""
_DEFAULT_BITS = 16

Sides = tuple[int, int]
"""Inputs and outputs of a matrix."""


def check_rank(engine: str, rank: int) -> None:
    """Raise PlanError for a rank that the engine does not admit."""
    if engine == "vllm" and rank not in VLLM_RANKS:
        ranks = ", ".join(map(str, VLLM_RANKS))
        raise PlanError(f"--max-lora-rank {rank}: vLLM admits {ranks}")


def adapter_part(
    a: Architecture,
    share: Architecture,
    layers: Iterable[str],
    *,
    count: int,
    rank: int,
    has_embedding: bool,
    has_head: bool,
) -> AllowancePart:
    """Return what an engine keeps for adapters on one rank.

    a: the whole model.
    share: the share of one rank.
    layers: the kinds of the layers that the rank holds.
    count: adapters that may run in one batch.
    rank: the largest rank that is admitted.
    has_embedding, has_head: whether the rank holds these.
    """
    sides = 0
    uncounted: dict[str, None] = {}
    for kind in layers:
        for block in share.blocks_of(kind):
            matrices = _matrices(a, block)
            if matrices is None:
                uncounted[block.kind] = None
                continue
            sides += sum(inputs + outputs for inputs, outputs in matrices)
    tables = _TABLES.get(a.model_type, frozenset[str]())
    table = a.vocab_size + a.hidden_size
    if has_embedding and "embedding" in tables:
        sides += table
    if has_head and "head" in tables:
        sides += table
    bits = CONFIG_DTYPE_BITS.get(a.dtype or "", _DEFAULT_BITS)
    size = count * rank * sides * bits // 8
    words = f"{count} of rank {rank} on every matrix of the layers"
    if uncounted:
        words += f"; not counted: {', '.join(uncounted)}"
    return AllowancePart("adapters", size, words)


def _matrices(a: Architecture, block: Mixer | FFN) -> list[Sides] | None:
    """Return the sides of the matrices of a block; None for a kind that is not counted."""
    match block:
        case Attention():
            return list(_attention(a.hidden_size, block))
        case LatentAttention():
            return list(_latent(a.hidden_size, block))
        case Dense():
            return list(_mlp(a.hidden_size, block.width, block.gated))
        case MoE():
            return list(_experts(a, block))
        case _:
            return None


def _attention(hidden: int, m: Attention) -> Iterator[Sides]:
    """Yield queries (with a gate, where each dim has one), keys, values and the output."""
    queries = m.heads * m.head_dim
    values = m.heads * m.v_head_dim
    gates = queries if m.gate == "elementwise" else 0
    yield hidden, queries + gates
    yield hidden, m.kv_heads * m.head_dim
    yield hidden, m.kv_heads * m.v_head_dim
    yield values, hidden


def _latent(hidden: int, m: LatentAttention) -> Iterator[Sides]:
    """Yield the projections to and from the latents of queries and of keys and values."""
    queries = m.heads * (m.qk_nope_head_dim + m.qk_rope_head_dim)
    inputs = hidden
    if m.q_lora_rank:
        yield hidden, m.q_lora_rank
        inputs = m.q_lora_rank
    yield inputs, queries
    yield hidden, m.kv_lora_rank + m.qk_rope_head_dim
    yield m.kv_lora_rank, m.heads * (m.qk_nope_head_dim + m.v_head_dim)
    yield m.heads * m.v_head_dim, hidden


def _mlp(hidden: int, width: int, gated: bool) -> Iterator[Sides]:
    """Yield gate, up and down."""
    if gated:
        yield hidden, width
    yield hidden, width
    yield width, hidden


def _experts(a: Architecture, m: MoE) -> Iterator[Sides]:
    """Yield the router, the matrices of each routed expert, and of the shared ones."""
    stream = m.latent_width or a.hidden_size
    whole = max((x.experts for x in a.ffns.values() if isinstance(x, MoE)), default=m.experts)
    yield a.hidden_size, whole
    for sides in _mlp(stream, m.expert_width, m.gated):
        yield m.experts * sides[0], m.experts * sides[1]
    if m.shared_width:
        shared_gated = m.gated if m.shared_gated is None else m.shared_gated
        yield from _mlp(a.hidden_size, m.shared_width, shared_gated)
    if m.shared_gate:
        yield a.hidden_size, 1
