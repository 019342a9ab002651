"""A pool of blocks for each length of window, as engines have that do not share blocks."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from ..cache_parts import CachePart
from .pools import Capacity, Pool, PoolGroup, PoolRequest


class WindowPools(Pool):
    """Blocks of tokens; layers with the same window share a pool, a sequence takes whole blocks."""

    def __init__(self, request: PoolRequest, block_tokens: int) -> None:
        super().__init__(request)
        self._block = block_tokens

    def part_bytes(self, part: CachePart, tokens: int) -> int:
        """Return the bytes of one layer's blocks, with a block more for a window."""
        held, spare = tokens, 0
        if part.most_tokens is not None and part.most_tokens < tokens:
            held, spare = part.most_tokens, 1
        blocks = ceil(held / self._block) + spare
        return int(blocks * self._block / part.tokens_per_entry) * part.entry_bytes

    def capacity(self, rooms: Sequence[int], tokens: int) -> Capacity:
        """Return what the rooms of the stages hold, for sequences of `tokens` tokens."""
        if any(not part.grows for stage in self.stages for part in stage):
            return super().capacity(rooms, tokens)
        sizes = [self.cache_bytes(self._block, 1, stage) for stage in range(len(self.stages))]
        blocks = min(max(0, room) // size for room, size in zip(rooms, sizes, strict=True))
        held = blocks * self._block
        one = ceil(tokens / self._block)
        return Capacity(max(0, min(rooms)), held, blocks / one, blocks, max(sizes), one)

    @property
    def groups(self) -> tuple[PoolGroup, ...]:
        """Return the groups of layers with the same window."""
        layers: dict[tuple[str, int | None], int] = {}
        for part, n in self.stages[0].items():
            key = (part.kind, part.most_tokens)
            layers[key] = layers.get(key, 0) + n
        return tuple(PoolGroup(kind, n, self._block) for (kind, _), n in layers.items())
