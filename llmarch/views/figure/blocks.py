"""Blocks as a figure shows them: their class, what their box says, and their picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...architecture.catalogue import CATALOGUE
from ...architecture.schema import (
    FFN,
    Architecture,
    Attention,
    CompressedAttention,
    Dense,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
)
from ...architecture.wording.feed_forward import ffn_class_title
from ...architecture.wording.mixers import mixer_class_title
from ..numbers import number
from .description import (
    BarsPicture,
    ExpertsPicture,
    HeadsPicture,
    Mark,
    PartRole,
    Picture,
)

Block = Mixer | FFN

MOST_VALUES = 3
"""Different numbers of the variants of a block that are listed; of more, the range is given."""
NUMBERS = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?")


def block_class(block: Block) -> str:
    """Return the class of a block: blocks of one class share a box and a panel."""
    match block:
        case Attention() if block.cross_tokens is not None:
            return "cross_attention"
        case LinearAttention():
            return block.variant
        case Dense() if block.per_layer:
            return "per_layer"
        case Dense() if block.own_skip:
            return "laurel"
        case _:
            return block.kind


def block_part(block: Block) -> str:
    """Return for which part of a layer a block stands: `mixer`, `ffn`, or its class."""
    if not isinstance(block, (Dense, MoE)):
        return "mixer"
    name = block_class(block)
    if name in ("dense", "moe"):
        return "ffn"
    return name


def class_title(block: Block) -> str:
    """Return the class of a block in words: `Grouped-query attention`."""
    if isinstance(block, (Dense, MoE)):
        return ffn_class_title(block)
    return mixer_class_title(block)


def block_role(block: Block) -> PartRole:
    """Return what a block is for."""
    match block:
        case LinearAttention():
            return "linear"
        case Dense():
            return "dense"
        case MoE():
            return "moe"
        case _:
            return "attention"


def group_of(block: Block) -> str:
    """Return the part of an architecture that holds a block: `mixers` or `ffns`."""
    if isinstance(block, (Dense, MoE)):
        return "ffns"
    return "mixers"


def title_of(blocks: Iterable[Block]) -> str:
    """Return the titles of blocks of one class, each once."""
    titles = map(class_title, blocks)
    different = dict.fromkeys(titles)
    return " / ".join(different)


# What a box says


def box_phrases(block: Block) -> dict[str, str]:
    """Return the phrases of a block's box, by the label of the fact."""
    group = group_of(block)
    phrases: dict[str, str] = {}
    for fact in CATALOGUE:
        if fact.group != group or not fact.box or not fact.belongs_to(block):
            continue
        if isinstance(fact.box, str):
            phrase = fact.box.format_map(vars(block))
        else:
            phrase = fact.box(block)
        if phrase:
            phrases[fact.label] = phrase
    return phrases


def box_line(blocks: Sequence[Block]) -> str:
    """Return what the box of blocks of one class says: `32 heads, 8 KV`."""
    by_block = [box_phrases(block) for block in blocks]
    labels = dict.fromkeys(label for phrases in by_block for label in phrases)
    merged: list[str] = []
    for label in labels:
        found = [phrases[label] for phrases in by_block if label in phrases]
        merged.append(merged_text(found))
    return ", ".join(merged)


def merged_text(texts: Sequence[str]) -> str:
    """Return one text where all agree, else each in order: `RoPE 10,000 / 1e6`.

    Words that all begin with are said once. Of many numbers the range is given.
    """
    different = list(dict.fromkeys(texts))
    if len(different) == 1:
        return different[0]
    if len(different) > MOST_VALUES and all(map(NUMBERS.fullmatch, different)):
        ordered = sorted(different, key=number_value)
        return f"{ordered[0]} – {ordered[-1]}"
    words = [text.split(" ") for text in texts]
    common = common_words(words)
    first, *others = words
    shown = [" ".join(first)]
    for other in others:
        rest = other[common:]
        shown.append(" ".join(rest))
    return " / ".join(shown)


def number_value(text: str) -> float:
    """Return the number that a text with separators stands for."""
    digits = text.replace(",", "")
    return float(digits)


def common_words(texts: Sequence[Sequence[str]]) -> int:
    """Return how many words all texts begin with; each keeps one word at least."""
    longest = min(map(len, texts)) - 1
    count = 0
    for words in zip(*texts, strict=False):
        is_common = len(set(words)) == 1
        if count >= longest or not is_common:
            break
        count += 1
    return count


def without_numbers(text: str) -> str:
    """Return a text with each number replaced by 0."""
    return NUMBERS.sub("0", text)


def mark_of(one: str, other: str) -> Mark:
    """Return how two texts differ: `size` if in numbers alone."""
    if one == other:
        return ""
    if without_numbers(one) == without_numbers(other):
        return "size"
    return "form"


# Pictures


def pictures_of(a: Architecture, blocks: Iterable[Block]) -> list[Picture]:
    """Return the pictures of blocks of one class, two at most where they differ."""
    found: dict[Picture, None] = {}
    for block in blocks:
        picture = picture_of(a, block)
        if picture is not None:
            found[picture] = None
    return list(found)[:2]


def picture_of(a: Architecture, block: Block) -> Picture | None:
    """Return the picture of a block, None for one that needs none."""
    match block:
        case Attention():
            return HeadsPicture(heads=block.heads, kv_heads=block.kv_heads)
        case LatentAttention():
            cached = block.kv_lora_rank + block.qk_rope_head_dim
            return latent_picture(a, block.q_lora_rank, cached)
        case CompressedAttention():
            return latent_picture(a, block.q_lora_rank, block.head_dim)
        case LinearAttention():
            if block.variant == "short_conv":
                return None
            return HeadsPicture(heads=block.value_heads, kv_heads=block.key_heads, linear=True)
        case Dense():
            if block.per_layer or block.own_skip:
                return None
            bars = (width_bar("stream", a.hidden_size), width_bar("hidden", block.width))
            return BarsPicture(bars=bars, role="dense")
        case MoE():
            return experts_picture(block)


def latent_picture(a: Architecture, query_rank: int | None, cached: int) -> BarsPicture:
    """Return the widths of the stream and of the latents that are made of it.

    a: the architecture.
    query_rank: width of the query latent, None without one.
    cached: elements that are cached of each token.
    """
    stream = width_bar("stream", a.hidden_size)
    kept = width_bar("cached", cached)
    bars = (stream, kept)
    if query_rank:
        query = width_bar("query latent", query_rank)
        bars = (stream, query, kept)
    return BarsPicture(bars=bars, role="attention", last_is_kept=True)


def width_bar(label: str, width: int) -> tuple[str, int]:
    """Return label and length of a bar."""
    shown = number(width)
    words = f"{label} {shown}"
    return words, width


def experts_picture(block: MoE) -> ExpertsPicture:
    """Return the experts of a mixture; shared ones are counted in widths of a routed one."""
    shared = 0
    if block.shared_width:
        shared = max(1, round(block.shared_width / max(block.expert_width, 1)))
    return ExpertsPicture(
        experts=block.experts,
        active=min(block.active, block.experts),
        zero_experts=block.zero_experts,
        shared=shared,
    )
