"""vLLM's planner of KV pools: how layers share blocks, and how many blocks a sequence takes.

Read in vLLM 0.33.0: v1/core/kv_cache_planning.py (get_kv_cache_groups and what it calls,
get_kv_cache_configs), v1/core/kv_cache_utils.py (get_max_concurrency_for_kv_cache_config),
v1/kv_cache_interface.py (the specs). tests/fixtures/vllm_pools.json.gz has the planner's own
answers; tests/oracle/vllm_pools.py made them.

Layers that share a pool need blocks of equal bytes. Layers of equal form are grouped; each group
has as many layers as the smallest kind (as the largest if that is below 1.5 times the smallest),
the last group of a kind is padded. A block serves one group, so every sequence takes blocks for
each group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Literal, NamedTuple

from ...architecture.frozen import Frozen, frozen
from ...errors import ImpossiblePlan

SpecKind = Literal["full", "mla", "sliding", "sliding_mla", "chunked", "state", "cross"]
TOKEN_KINDS = ("full", "mla")
"""Kinds that keep every token, and so may share one table of blocks."""
WINDOW_KINDS = ("sliding", "sliding_mla")
GROUP_RATIO = 1.5
"""Up to this ratio of the largest kind's layers to the smallest's, groups are as large as the
largest kind (vllm_versions.py has those of other versions)."""


@frozen
class LayerSpec(Frozen):
    """What one layer asks of the pool (a KVCacheSpec)."""

    kind: SpecKind
    block: int
    """Tokens of a block."""
    content: int
    """Bytes of a block's content."""
    padded: int | None = None
    """Bytes that a block is padded to; None without padding."""
    reach: int = 0
    """Tokens of the window or of the chunk; tokens of the encoder for cross attention."""
    form: tuple[int | str, ...] = ()
    """What else tells layers apart: heads, dims, dtype."""
    drafted: int = 0
    """States in addition to those of a sequence: one for each drafted token."""

    @property
    def page(self) -> int:
        """Return the bytes of a block."""
        if self.padded is None:
            return self.content
        return self.padded


@frozen
class PoolSettings(Frozen):
    """What the planner takes from the engine's configuration."""

    in_flight: int
    """Tokens that are scheduled and not yet settled."""
    states: int = 1
    """States of a sequence: two where prefix caching keeps the last ones."""
    decode_context: int = 1
    packed: bool = False
    """Whether blocks are outermost in memory, so that groups of unlike pages are packed."""
    retained: int = 0
    """Tokens kept below a window, for several prediction modules."""


class SpecGroup(NamedTuple):
    """Layers that share one table of blocks: the number and spec of each."""

    layers: tuple[int, ...]
    specs: tuple[LayerSpec, ...]

    @property
    def page(self) -> int:
        """Return the bytes of a block over all layers of the group."""
        pages = [spec.page for spec in self.specs]
        return sum(pages)


# --- how many blocks a sequence takes -----------------------------------------------------------


def blocks_of_layer(spec: LayerSpec, tokens: int, settings: PoolSettings) -> int:
    """Return the blocks that a sequence of `tokens` tokens takes in a layer.

    Raises ImpossiblePlan for windows under decode context parallelism, which vLLM refuses.
    """
    match spec.kind:
        case "full" | "mla":
            held = ceil(tokens / settings.decode_context)
            return ceil(held / spec.block)
        case "sliding" | "sliding_mla":
            if settings.decode_context > 1:
                raise ImpossiblePlan("vLLM has no decode context parallelism for sliding windows")
            reach = spec.reach - 1 + settings.retained + settings.in_flight
            return ceil(min(reach, tokens) / spec.block) + 1
        case "chunked":
            return ceil(min(spec.reach + settings.in_flight, tokens) / spec.block)
        case "state":
            return settings.states + spec.drafted
        case "cross":
            return ceil(spec.reach / spec.block)


class BlockTable(NamedTuple):
    """Groups of layers that take as many blocks as one another."""

    specs: tuple[LayerSpec, ...]
    """The different specs of a group."""
    groups: int

    def blocks(self, tokens: int, settings: PoolSettings) -> int:
        """Return the blocks that a sequence of `tokens` tokens takes in all of the groups.

        _max_memory_usage_bytes_from_groups.
        """
        most = max(blocks_of_layer(spec, tokens, settings) for spec in self.specs)
        return self.groups * most


def block_tables(groups: Sequence[SpecGroup]) -> list[BlockTable]:
    """Return the tables of groups, groups with the same specs together."""
    counts: dict[tuple[LayerSpec, ...], int] = {}
    for group in groups:
        specs = tuple(dict.fromkeys(group.specs))
        counts[specs] = counts.get(specs, 0) + 1
    return [BlockTable(specs, n) for specs, n in counts.items()]


# --- groups -------------------------------------------------------------------------------------


def keep_windows_whole(specs: Sequence[LayerSpec]) -> list[LayerSpec]:
    """Return layers whose windows keep every token beside layers that do.

    v1/core/kv_cache_utils.py unify_hybrid_kv_cache_specs, of versions that had one kind of block.
    """
    if not any(spec.kind in TOKEN_KINDS for spec in specs):
        return list(specs)
    whole: list[LayerSpec] = []
    for spec in specs:
        if spec.kind in ("sliding", "chunked"):
            spec = replace(spec, kind="full", reach=0)
        whole.append(spec)
    return whole


def group_layers(
    specs: Sequence[LayerSpec], packed: bool = False, ratio: float = GROUP_RATIO
) -> list[SpecGroup]:
    """Return the groups of a model's layers (get_kv_cache_groups).

    ratio: of the largest kind's layers to the smallest's, up to which groups are as large as the
    largest kind.

    Raises ImpossiblePlan if blocks of equal bytes are not possible.
    """
    if not specs:
        return []
    everything = tuple(range(len(specs)))
    if len(set(specs)) == 1 or is_uniform_type(specs):
        return [SpecGroup(everything, tuple(specs))]
    if packed and len({spec.page for spec in specs}) > 1:
        return pack_groups(specs)
    try:
        unified = unify_pages(specs)
    except ImpossiblePlan:
        promoted = promote_windows(specs)
        if promoted is None:
            raise
        return [SpecGroup(everything, promoted)]
    return _equal_groups(unified, ratio)


def is_uniform_type(specs: Sequence[LayerSpec]) -> bool:
    """Return whether all layers need the same slots of tokens (UniformTypeKVCacheSpecs)."""
    first = specs[0]
    if any(spec.block != first.block for spec in specs):
        return False
    match first.kind:
        case "full" | "mla":
            return all(spec.kind in TOKEN_KINDS for spec in specs)
        case "sliding":
            return all(s.kind in WINDOW_KINDS and s.reach == first.reach for s in specs)
        case "sliding_mla":
            return all(s.kind == "sliding_mla" and s.reach == first.reach for s in specs)
        case "chunked":
            return all(s.kind == "chunked" and s.reach == first.reach for s in specs)
        case "state":
            return all(
                s.kind == "state" and s.page == first.page and s.drafted == first.drafted
                for s in specs
            )
        case "cross":
            return all(spec.kind == "cross" for spec in specs)


def unify_pages(specs: Sequence[LayerSpec]) -> list[LayerSpec]:
    """Return the layers with blocks of equal bytes (unify_kv_cache_spec_page_size).

    A smaller block takes more tokens if that divides, else it is padded; a state is always padded.
    Raises ImpossiblePlan for latents that do not divide.
    """
    largest = max(spec.page for spec in specs)
    return [_unified(spec, largest) for spec in specs]


def _unified(spec: LayerSpec, largest: int) -> LayerSpec:
    if spec.page == largest:
        return spec
    if spec.kind == "state":
        return replace(spec, padded=largest)
    if largest % spec.page == 0:
        ratio = largest // spec.page
        block = spec.block * ratio
        return replace(spec, block=block, content=spec.content * ratio)
    if spec.kind == "mla":
        raise ImpossiblePlan("a latent's block divides no block of the other layers")
    return replace(spec, padded=largest)


def promote_windows(specs: Sequence[LayerSpec]) -> tuple[LayerSpec, ...] | None:
    """Return the layers with windows stored as full attention, or None if that does not help.

    _try_get_full_allocation_fallback_groups: for latents beside plain windows.
    """
    kinds = {spec.kind for spec in specs}
    if kinds - {"mla", "full", "sliding"} or "mla" not in kinds or "sliding" not in kinds:
        return None
    blocks = {spec.block for spec in specs if spec.kind in TOKEN_KINDS}
    if len(blocks) != 1:
        return None
    block = next(iter(blocks))
    promoted: list[LayerSpec] = []
    for spec in specs:
        if spec.kind == "sliding":
            content = spec.content * block // spec.block
            spec = replace(spec, kind="full", block=block, content=content, reach=0)
        promoted.append(spec)
    if not is_uniform_type(promoted):
        return None
    return tuple(promoted)


def _equal_groups(specs: Sequence[LayerSpec], ratio: float) -> list[SpecGroup]:
    """Return groups of equal size (_get_kv_cache_groups_uniform_page_size)."""
    buckets: dict[LayerSpec, list[int]] = {}
    for number, spec in enumerate(specs):
        buckets.setdefault(spec, []).append(number)
    sizes = [len(layers) for layers in buckets.values()]
    size = min(sizes)
    if max(sizes) < ratio * size:
        size = max(sizes)
    groups: list[SpecGroup] = []
    for spec, layers in buckets.items():
        number_of_groups = ceil(len(layers) / size)
        for i in range(number_of_groups):
            chosen = tuple(layers[i::number_of_groups])
            groups.append(SpecGroup(chosen, (spec,) * len(chosen)))
    return groups


# --- packed groups (DeepSeek V4) ----------------------------------------------------------------


class _Bucket(NamedTuple):
    """Layers of one uniform type, and those of each size of page in it."""

    layers: list[int]
    by_page: dict[int, list[int]]

    @property
    def balanced(self) -> bool:
        """Return whether each size of page has as many layers."""
        return len({len(layers) for layers in self.by_page.values()}) == 1

    @property
    def repeats(self) -> int:
        """Return the most layers that share a size of page."""
        return max(len(layers) for layers in self.by_page.values())

    def widest_group_bytes(self, groups: int) -> int:
        """Return the bytes of the largest of `groups` groups that the bucket is split into."""
        return sum(ceil(len(layers) / groups) * page for page, layers in self.by_page.items())


def pack_groups(specs: Sequence[LayerSpec]) -> list[SpecGroup]:
    """Return groups whose pages of unlike bytes are packed in a block.

    _get_packed_kv_cache_groups.
    """
    buckets = _uniform_buckets(specs)
    floor = max((b.repeats for b in buckets if b.balanced and len(b.by_page) > 1), default=0)
    repeats: int | None = None
    if floor:
        repeats = least_padding([b.repeats for b in buckets if b.balanced], floor)

    def groups_for(bucket: _Bucket) -> int:
        if bucket.balanced and repeats is not None:
            return ceil(bucket.repeats / repeats)
        return 1

    def has_states(bucket: _Bucket) -> bool:
        kind = specs[bucket.layers[0]].kind
        return kind == "state" or (repeats is None and kind in WINDOW_KINDS)

    def smallest_split(bucket: _Bucket) -> int:
        if has_states(bucket):
            return len(bucket.layers)
        return groups_for(bucket)

    anchor = max(b.widest_group_bytes(smallest_split(b)) for b in buckets)
    groups: list[SpecGroup] = []
    for bucket in buckets:
        number_of_groups = groups_for(bucket)
        if has_states(bucket):
            in_a_block = max(anchor // specs[bucket.layers[0]].page, 1)
            number_of_groups = max(number_of_groups, ceil(len(bucket.layers) / in_a_block))
        groups += _split(bucket, number_of_groups, specs)
    return groups


def _uniform_buckets(specs: Sequence[LayerSpec]) -> list[_Bucket]:
    """Return the layers in buckets of one uniform type each, in the order of the first."""
    gathered: list[list[int]] = []
    for number, spec in enumerate(specs):
        for layers in gathered:
            first = specs[layers[0]]
            if is_uniform_type([first, spec]):
                layers.append(number)
                break
        else:
            gathered.append([number])
    buckets: list[_Bucket] = []
    for layers in gathered:
        by_page: dict[int, list[int]] = {}
        for number in layers:
            page = specs[number].page
            by_page.setdefault(page, []).append(number)
        buckets.append(_Bucket(layers, by_page))
    return buckets


def _split(bucket: _Bucket, number: int, specs: Sequence[LayerSpec]) -> list[SpecGroup]:
    """Return the groups of a bucket: each has every number-th repeat of its pattern."""
    if number == 1:
        return [SpecGroup(tuple(bucket.layers), tuple(specs[n] for n in bucket.layers))]
    columns: list[list[int]] = list(bucket.by_page.values())
    patterns: list[tuple[int, ...]] = list(zip(*columns, strict=False))
    groups: list[SpecGroup] = []
    for i in range(number):
        chosen = tuple(layer for pattern in patterns[i::number] for layer in pattern)
        groups.append(SpecGroup(chosen, tuple(specs[n] for n in chosen)))
    return groups


def least_padding(sizes: Sequence[int], floor: int) -> int:
    """Return the group size from `floor` on that pads least, the larger of equals.

    _approximate_gcd.
    """
    best = floor
    least: int | None = None
    for size in range(floor, max(sizes) + 1):
        padding = sum(-n % size for n in sizes)
        if least is None or padding <= least:
            best, least = size, padding
    return best


# --- the pool -----------------------------------------------------------------------------------


def block_bytes(groups: Sequence[SpecGroup]) -> int:
    """Return the bytes of a block over all layers of a rank: those of the widest group."""
    pages = [group.page for group in groups]
    return max(pages, default=0)


def padded_block_bytes(groups: Sequence[SpecGroup], has_slots: bool) -> int:
    """Return the bytes of a block of DeepSeek V4 in versions that padded pages to those of latents.

    has_slots: whether a block has as many pages of each size as some group needs
    (_get_kv_cache_config_packed); before, as many as any group needs of any size
    (_get_kv_cache_config_deepseek_v4).
    """
    latents = {spec.page for group in groups for spec in group.specs if spec.kind == "mla"}
    if not latents:
        return block_bytes(groups)
    slots = dict.fromkeys(sorted(latents), 0)
    for group in groups:
        padded = Counter(_padded_page(spec.page, list(slots)) for spec in group.specs)
        for page, layers in padded.items():
            slots[page] = max(slots[page], layers)
    if has_slots:
        return sum(page * layers for page, layers in slots.items())
    return sum(slots) * max(slots.values())


def _padded_page(page: int, sizes: Sequence[int]) -> int:
    """Return the smallest of some sizes that holds a page, else the largest."""
    return min((size for size in sizes if size >= page), default=sizes[-1])


def stage_groups(groups: Sequence[SpecGroup], layers: range) -> list[SpecGroup]:
    """Return what a pipeline stage holds of each group (_project_kv_cache_groups_to_worker)."""
    projected: list[SpecGroup] = []
    for group in groups:
        pairs = [(n, s) for n, s in zip(group.layers, group.specs, strict=True) if n in layers]
        projected.append(SpecGroup(tuple(n for n, _ in pairs), tuple(s for _, s in pairs)))
    return projected
