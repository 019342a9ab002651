"""Facts about attention that reads a choice of tokens: indexers, block indexers, compression."""

from __future__ import annotations

from ...views.numbers import number
from ..schema import Attention, CompressedAttention, LatentAttention
from ..wording.mixers import compression_word
from .attention import LATENT_RANK
from .fact import DETAIL, LEAD, ChangeRule, Fact

INDEXED = (LatentAttention, CompressedAttention)


def compressed_ranks(m: CompressedAttention) -> str:
    """Return `q 1,024, o 8 groups × 1,024`."""
    return f"q {number(m.q_lora_rank)}, o {m.o_groups} groups × {number(m.o_lora_rank)}"


def compression_or_none(m: CompressedAttention) -> str:
    """Return what a layer reads beyond its window, with overlapping entries; or `none`."""
    text = compression_word(m) or "none"
    return f"{text}, {m.series} series" if m.series > 1 else text


def indexer(m: LatentAttention | CompressedAttention) -> str | None:
    """Return `64 heads × 128, top 2,048`, or whose choice of tokens the mixer reads."""
    if m.indexer:
        return f"{m.indexer.heads} heads × {m.indexer.head_dim}, top {m.indexer.top_k:,}"
    if isinstance(m, LatentAttention) and m.index_from:
        return f"that of {m.index_from}"
    return None


def indexer_rope(m: LatentAttention | CompressedAttention) -> str | None:
    """Return how many of the indexer's dims rotate: `64 of 128 dims, interleaved`."""
    if m.indexer is None:
        return None
    dims = f"{m.indexer.rope_dim} of {m.indexer.head_dim} dims"
    return f"{dims}, interleaved" if m.indexer.rope_interleaved else dims


def block_index(m: Attention) -> str | None:
    """Return `4 heads × 128, best 16 blocks of 128, the last 1 among them`."""
    index = m.block_index
    if index is None:
        return None
    words = [
        f"{index.heads} heads × {index.head_dim}",
        f"best {index.top_blocks} blocks of {index.block}",
    ]
    if index.local_blocks:
        words.append(f"the last {index.local_blocks} among them")
    if index.norm_offset:
        words.append(f"norm weight + {index.norm_offset}")
    return ", ".join(words)


FACTS = (
    Fact(
        "mixers.*.{q_lora_rank,o_lora_rank}",
        "Attention",
        "latent ranks",
        LATENT_RANK,
        (CompressedAttention,),
        words=compressed_ranks,
        takes="block",
        unit="dims",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.o_groups",
        "Attention",
        "latent ranks",
        ChangeRule(
            "output-groups-changed",
            "weights",
            "number of output projection groups changed",
            "Heads are gathered in different groups, whose matrices have different shapes.",
        ),
        (CompressedAttention,),
        words=None,
        unit="groups",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.{ratio,series}",
        "Attention",
        "compression",
        ChangeRule(
            "compression-changed",
            "weights",
            "compression of the cache changed",
            "An entry of the cache stands for a different number of tokens. Compressors have "
            "different shapes, or were added or removed, and the cache has a different size.",
        ),
        (CompressedAttention,),
        words=compression_or_none,
        takes="block",
    ),
    Fact(
        "mixers.*.indexer{,.heads,.head_dim}",
        "Attention",
        "sparse indexer",
        ChangeRule(
            "indexer-changed",
            "weights",
            "sparse-attention indexer changed",
            "The indexer was added or removed, or has different shapes. Its keys take a different "
            "amount of the cache.",
        ),
        INDEXED,
        words=indexer,
        takes="block",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.indexer.top_k",
        "Attention",
        "sparse indexer",
        ChangeRule(
            "indexer-top-k-changed",
            "behaviour",
            "number of tokens that sparse attention reads changed",
            "Prompts longer than that number get different answers and take a different time.",
        ),
        INDEXED,
        words=None,
        unit="tokens",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.index_from",
        "Attention",
        "sparse indexer",
        ChangeRule(
            "index-sharing-changed",
            "weights",
            "sharing of the sparse-attention indexer changed",
            "Layers gain or lose an indexer of their own, with its weights.",
        ),
        (LatentAttention,),
        words=None,
        rank=LEAD,
    ),
    Fact(
        "mixers.*.indexer.{rope_dim,rope_interleaved}",
        "Attention",
        "indexer RoPE",
        ChangeRule(
            "indexer-rope-changed",
            "behaviour",
            "rotary positions of the indexer changed",
            "Sparse attention chooses other tokens.",
        ),
        INDEXED,
        words=indexer_rope,
        takes="block",
        rank=DETAIL,
    ),
    Fact(
        "mixers.*.block_index{,.heads,.head_dim}",
        "Attention",
        "block index",
        ChangeRule(
            "block-index-changed",
            "weights",
            "block indexer changed",
            "The heads that choose blocks of tokens were added or removed, or have different "
            "shapes.",
        ),
        (Attention,),
        words=block_index,
        takes="block",
        rank=LEAD,
    ),
    Fact(
        "mixers.*.block_index.{block,top_blocks,local_blocks}",
        "Attention",
        "block index",
        ChangeRule(
            "block-choice-changed",
            "behaviour",
            "blocks that sparse attention reads changed",
            "Attention reads more, fewer or other blocks of tokens. Long prompts get different "
            "answers and take a different time.",
        ),
        (Attention,),
        words=None,
        rank=LEAD,
    ),
)
