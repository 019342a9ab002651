"""Facts about attention that reads a choice of tokens: indexers, block indexers, compression."""

from __future__ import annotations

from ...views.numbers import number, plural
from ..schema import Attention, BlockIndex, CompressedAttention, Indexer, LatentAttention
from ..wording.mixers import compression_word, heads_word
from ..wording.names import name_title
from .attention import LATENT_RANK
from .fact import DETAIL, LEAD, ChangeRule, Fact

_INDEXED = (LatentAttention, CompressedAttention)


def _compressed_ranks(m: CompressedAttention) -> str:
    """Return `q 1,024, o 8 groups × 1,024`."""
    query = number(m.q_lora_rank)
    output = number(m.o_lora_rank)
    groups = plural(m.o_groups, "group")
    return f"q {query}, o {groups} × {output}"


def _compression(m: CompressedAttention) -> str:
    """Return what a layer reads beyond its window, with overlapping entries; or `none`."""
    text = compression_word(m) or "none"
    if m.series > 1:
        return f"{text}, {m.series} series"
    return text


def _indexer(m: LatentAttention | CompressedAttention) -> str | None:
    """Return `64 heads × 128, top 2,048`, or whose choice of tokens the mixer reads."""
    index = m.indexer
    if index is not None:
        top = number(index.top_k)
        return f"{heads_word(index)}, top {top}"
    if isinstance(m, LatentAttention) and m.index_from:
        return f"that of {name_title(m.index_from)}"
    return None


def _indexer_rope(index: Indexer) -> str:
    """Return how many of the indexer's dims rotate: `64 of 128 dims, interleaved`."""
    dims = f"{number(index.rope_dim)} of {number(index.head_dim)} dims"
    if index.rope_interleaved:
        return f"{dims}, interleaved"
    return dims


def _block_index(index: BlockIndex | None) -> str | None:
    """Return `4 heads × 128, best 16 blocks of 128, the last 1 among them`."""
    if index is None:
        return None
    words = [heads_word(index)]
    best = plural(index.top_blocks, "block")
    words.append(f"best {best} of {number(index.block)}")
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
        words=_compressed_ranks,
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
        words=_compression,
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
        _INDEXED,
        words=_indexer,
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
        _INDEXED,
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
        _INDEXED,
        words=_indexer_rope,
        takes="owner",
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
        words=_block_index,
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
