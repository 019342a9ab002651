"""What a model takes on one GPU or several, and what fits: weights, cache and state, in bytes.

What an engine keeps beside them (activations, captured graphs, libraries) is its allowance, by the
rules of `engines/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import has_experts, used_mixers
from ..architecture.schema import Architecture, Dense, MoE
from ..errors import ImpossiblePlan
from .block_division import block_errors, block_warnings
from .block_parameters import count_expert
from .cache import list_layer_parts
from .cache_parts import Convention
from .drafting import Drafter
from .engines import engine_of
from .engines.base import Engine, LayerParts
from .engines.pools import (
    AllowancePart,
    AllowanceRequest,
    Capacity,
    EngineOptions,
    ExpertTile,
    GPUTraits,
    Pool,
    PoolGroup,
    PoolRequest,
    ShareRequest,
    find_most,
)
from .parameters import count_drafter, count_mtp, count_parameters
from .sharding import (
    Parallel,
    Placement,
    check_tensor_degrees,
    count_rank_parameters,
    divisibility_errors,
    division_remarks,
    shard_architecture,
)
from .weight_formats import Weights

LONGEST_CONTEXT = 2**31
"""The longest context that is tried for a model without a limit."""

# --- plans --------------------------------------------------------------------------------------


@frozen
class Footprint(Frozen):
    """Bytes of weights, of what grows with the context or is a window, and of state."""

    weights: int
    cache: int
    state: int

    @property
    def total(self) -> int:
        """Return the bytes of all three."""
        kept = self.cache + self.state
        return self.weights + kept

    def times(self, n: int) -> Footprint:
        """Return the bytes of `n` of these."""
        return Footprint(
            weights=self.weights * n,
            cache=self.cache * n,
            state=self.state * n,
        )

    def to_dict(self) -> dict[str, int]:
        """Return the bytes as JSON, under names without and with their unit."""
        sizes = {
            "weights": self.weights,
            "cache": self.cache,
            "state": self.state,
            "total": self.total,
        }
        return sizes | {f"{name}_bytes": size for name, size in sizes.items()}


@frozen
class Reserve(Frozen):
    """What a user says that an engine keeps on a GPU, in bytes; None leaves it to the estimate."""

    activations: int | None = None
    graphs: int | None = None
    whole: int | None = None
    """All of the allowance, whatever its parts."""


@frozen
class Request(Frozen):
    """What a plan is made for."""

    context: int
    batch: int = 1
    parallel: Parallel = field(default_factory=Parallel)
    gpu_bytes: int | None = None
    """Memory of one GPU; None if no GPU is named, and then nothing fits or does not fit."""
    utilization: float | None = None
    """The share of `gpu_bytes` that may be filled; None: the engine's own default."""
    gpu_name: str = ""
    """The kind of GPU, on which some defaults of engines depend."""
    options: EngineOptions = field(default_factory=EngineOptions)
    reserve: Reserve = field(default_factory=Reserve)
    pool_bytes: int | None = None
    """Bytes of the cache's pool on a GPU, if the user says them; None: what is left."""
    speculative: bool = False
    """Whether the model's own MTP modules run."""
    text_only: bool = False
    """Whether encoders are left out."""
    cpu_expert_layers: int = 0
    """Layers, from the first on, whose routed experts stay in the memory of the CPU."""
    drafter: Drafter | None = None
    """Another model, or a head, that drafts tokens."""

    @property
    def sequences(self) -> int:
        """Return how many of the batch's sequences the fullest group of ranks serves."""
        groups = self.parallel.replicas
        return -(-self.batch // groups)

    @property
    def gpu(self) -> GPUTraits:
        """Return what an engine's defaults depend on."""
        name = self.gpu_name
        return GPUTraits(name, self.gpu_bytes)


@frozen
class Plan(Frozen):
    """What a model takes under a request."""

    request: Request
    convention: Convention
    weights: Weights
    one_copy: Footprint
    """A single undivided copy with the whole batch."""
    per_gpu: Footprint
    """The fullest GPU."""
    utilization: float
    """The share of a GPU that may be filled."""
    budget: int | None
    """Bytes of a GPU that may be filled; None without a GPU."""
    allowance: tuple[AllowancePart, ...]
    """What the engine keeps on the fullest GPU beside weights and cache."""
    room: int | None
    """Bytes that are left for the cache on the fullest GPU; None without a GPU. Where no version is
    named, the least that any version of the engine leaves."""
    room_version: str
    """The last version of the engine that leaves that; empty for the one that was read or named."""
    room_of_version_read: int | None
    """What the version that was read or named leaves."""
    version_rooms: dict[str, int]
    """What other versions leave that load the model, by the last that left it; empty where one is
    named, or no other is known."""
    capacity: Capacity | None
    """What the engine makes of the room; None without a GPU or a pool that was asked for."""
    groups: tuple[PoolGroup, ...]
    fits: bool | None
    """Whether the batch fits; None without a GPU."""
    largest_context: int | None
    """The longest context that fits at the batch asked for, at most `context_limit`; 0 if not even
    one token fits, None without a GPU."""
    any_context_fits: bool
    """Whether the model has no limit, and a context of any length fits at the batch asked for: what
    is kept of a sequence does not grow from some length on. `largest_context` is then the longest
    that was tried."""
    largest_batch: int | None
    """The largest batch that fits at the context asked for; None without a GPU."""
    context_limit: int | None
    """The model's own context length."""
    remarks: tuple[str, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    drafter_bytes: int | None
    """Bytes of an undivided copy of the MTP modules that the checkpoint holds, as `show` counts
    them; None if their layout is not known."""
    cpu_bytes: int
    """Bytes of weights that stay in the memory of the CPU."""
    cpu_cache_bytes: int
    """Bytes of cache and state that stay there: those of the layers that do."""
    placement: Placement
    """Which stage holds which layers, the embedding and the head."""
    layers: int
    """Decoder layers of the model."""
    degrees: dict[int, list[str]]
    """For each usual degree of tensor parallelism, why it is not possible; empty if it is."""

    @property
    def all_gpus(self) -> Footprint:
        """Return the bytes of all GPUs together."""
        gpus = self.request.parallel.gpus
        return self.per_gpu.times(gpus)

    @property
    def engine_version(self) -> str:
        """Return the version of the engine that was asked for, or that was read."""
        return self.request.options.version or engine_of(self.convention.engine).version

    @property
    def beyond_context(self) -> bool:
        """Return whether the context asked for is beyond the model's own."""
        return bool(self.context_limit) and self.request.context > (self.context_limit or 0)

    @property
    def has_work_on_cpu(self) -> bool:
        """Return whether the CPU computes layers or experts; embeddings are only looked up there.

        The head counts as a layer.
        """
        request = self.request
        if request.cpu_expert_layers or self.placement.head_stage is None:
            return True
        options = request.options
        if options.cache_on_cpu or options.offload_bytes:
            return True
        first = self.placement.stages[0]
        return first.start > 0

    @property
    def reserved(self) -> int:
        """Return the bytes that the engine keeps within its share beside weights and cache."""
        return reserved_bytes(self.allowance)

    @property
    def shares_the_rest(self) -> bool:
        """Return whether the share is of what weights and all else leave free."""
        return engine_of(self.convention.engine).shares_the_rest

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON, bytes as whole numbers."""
        request, parallel, weights = self.request, self.request.parallel, self.weights
        return {
            "context": request.context,
            "context_tokens": request.context,
            "batch": request.batch,
            "batch_sequences": request.batch,
            "engine": self.convention.engine,
            "engine_version": self.engine_version,
            "cache_dtype": self.convention.words,
            "weights": {
                "format": weights.name,
                "source": weights.source,
                "bits": weights.bits,
                "other_bits": weights.other_bits,
                "mtp_bytes": self.drafter_bytes,
                "mtp_loaded": request.speculative,
                "drafter": self._drafter_to_dict(),
                "encoders_loaded": not request.text_only,
            },
            "parallel": {
                "gpus": parallel.gpus,
                "tensor": parallel.tensor,
                "expert": parallel.expert,
                "replicas": parallel.replicas,
                "pipeline": parallel.pipeline,
                "decode_context": parallel.decode_context,
            },
            "one_copy": self.one_copy.to_dict(),
            "per_gpu": self.per_gpu.to_dict(),
            "cpu_weights_bytes": self.cpu_bytes,
            "cpu_cache_bytes": self.cpu_cache_bytes,
            "gpu_layers": request.options.gpu_layers,
            "cpu_expert_layers": request.cpu_expert_layers,
            "offload_bytes_per_gpu": request.options.offload_bytes,
            "cache_on_cpu": request.options.cache_on_cpu,
            "layer_split": list(request.options.split),
            "adapters": request.options.adapters,
            "adapter_rank": request.options.adapter_rank,
            "all_gpus": self.all_gpus.to_dict(),
            "gpu_bytes": request.gpu_bytes,
            "utilization": self.utilization,
            "budget_bytes": self.budget,
            "allowance": [allowance_to_dict(part) for part in self.allowance],
            "allowance_bytes": self.reserved,
            "room_bytes": self.room,
            "room_version": self.room_version or None,
            "room_bytes_of_version_read": self.room_of_version_read,
            "room_bytes_up_to_version": self.version_rooms,
            "pool": self._pool_to_dict(),
            "fits": self.fits,
            "largest_context": self.largest_context,
            "largest_context_tokens": self.largest_context,
            "any_context_fits": self.any_context_fits,
            "largest_batch": self.largest_batch,
            "largest_batch_sequences": self.largest_batch,
            "context_limit": self.context_limit,
            "context_limit_tokens": self.context_limit,
            "remarks": list(self.remarks),
            "assumptions": list(self.assumptions),
            "context_overflow": self.beyond_context,
            "warnings": list(self.warnings),
            "tensor_degrees": {str(degree): why for degree, why in self.degrees.items()},
        }

    def _drafter_to_dict(self) -> dict[str, Any] | None:
        drafter = self.request.drafter
        if drafter is None:
            return None
        return {
            "name": drafter.name,
            "bytes_per_gpu": drafter.rank_bytes(self.request.parallel),
            "tokens": self.request.options.draft_tokens,
        }

    def _pool_to_dict(self) -> dict[str, Any] | None:
        pool = self.capacity
        if pool is None:
            return None
        return {
            "memory_bytes": pool.memory_bytes,
            "tokens": pool.tokens,
            "concurrency": pool.concurrency,
            "concurrency_sequences": pool.concurrency,
            "blocks": pool.blocks,
            "block_bytes": pool.block_bytes,
            "blocks_per_sequence": pool.blocks_per_sequence,
            "groups": [
                {"kind": g.kind, "layers": g.layers, "block_tokens": g.block_tokens}
                for g in self.groups
            ],
        }


def reserved_bytes(parts: Iterable[AllowancePart]) -> int:
    """Return the bytes of the parts of an allowance that are within the engine's share."""
    total = 0
    for part in parts:
        if part.inside:
            total += part.size
    return total


def allowance_to_dict(part: AllowancePart) -> dict[str, Any]:
    """Return one part of an allowance as JSON."""
    return {
        "name": part.name,
        "bytes": part.size,
        "source": part.source,
        "given": part.given,
        "inside_share": part.inside,
    }


class Division:
    """How one model is divided over ranks: why it cannot be, or what a rank of each stage holds."""

    def __init__(self, a: Architecture, parallel: Parallel) -> None:
        self._architecture = a
        self._parallel = parallel
        self.errors = divisibility_errors(a, parallel)
        self._rank_parameters: dict[object, list[dict[str, int]]] = {}

    @cached_property
    def share(self) -> Architecture:
        """Return the share of one rank, with the layers of all stages."""
        return shard_architecture(self._architecture, self._parallel)

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Return what the division leaves undivided, in words."""
        remarks = division_remarks(self._architecture, self._parallel)
        return tuple(remarks)

    def rank_parameters(
        self, placement: Placement, tile: ExpertTile | None = None
    ) -> list[dict[str, int]]:
        """Return the parameters of a rank of each stage by component.

        placement: which stage holds what.
        tile: what kernels pad experts to; None: no padding.
        """
        key = (placement, tile)
        counted = self._rank_parameters.get(key)
        if counted is None:
            counted = self._count_ranks(placement, tile)
            self._rank_parameters[key] = counted
        return counted

    def _count_ranks(self, placement: Placement, tile: ExpertTile | None) -> list[dict[str, int]]:
        a, parallel = self._architecture, self._parallel
        counted: list[dict[str, int]] = []
        for stage, layers in enumerate(placement.stages):
            parameters = count_rank_parameters(a, parallel, stage, placement)
            names = a.layers[layers.start : layers.stop]
            counted.append(self._padded(parameters, names, tile))
        return counted

    def _padded(
        self, parameters: dict[str, int], layers: Sequence[str], tile: ExpertTile | None
    ) -> dict[str, int]:
        """Return parameters with experts padded to whole tiles."""
        if tile is None:
            return parameters
        share = self.share
        experts = parameters.get("experts", 0)
        for kind, times in Counter(layers).items():
            for block in share.blocks_of(kind):
                if isinstance(block, MoE):
                    padding = padding_of_experts(block, share.hidden_size, tile)
                    experts += times * padding
        return parameters | {"experts": experts}


def padding_of_experts(moe: MoE, hidden_size: int, tile: ExpertTile) -> int:
    """Return the parameters that padding adds to the routed experts of one layer."""
    stream = moe.latent_width or hidden_size
    multiple = tile.gated
    if not moe.gated:
        multiple = tile.ungated
    padded_stream = -(-stream // tile.stream) * tile.stream
    padded_width = -(-moe.expert_width // multiple) * multiple
    expert = count_expert(moe, hidden_size)
    grown = expert * padded_stream * padded_width // (stream * moe.expert_width)
    return moe.experts * (grown - expert)


@frozen
class MemoryShare(Frozen):
    """How a version of an engine shares a GPU among weights, its own memory and the cache."""

    version: str
    """The last version that shares it so; empty for the one that was read or asked for."""
    utilization: float
    allowances: list[list[AllowancePart]]
    """What the engine keeps beside weights and cache, by stage."""
    rooms: list[int] | None
    """Bytes for the cache, by stage; None without a GPU."""

    def room_of(self, stage: int) -> int | None:
        """Return the bytes for the cache in a stage; None without a GPU."""
        if self.rooms is None:
            return None
        return self.rooms[stage]


def least_share(read: MemoryShare, others: Sequence[MemoryShare]) -> MemoryShare:
    """Return the share that leaves least for the cache: what fits in it fits in every version."""
    least = read
    for other in others:
        if least.rooms is None or other.rooms is None:
            continue
        if min(other.rooms) < min(least.rooms):
            least = other
    return least


def check_drafter(a: Architecture, engine: Engine, request: Request) -> None:
    """Check that a draft model has the tokens of the model.

    vllm: vllm/config/speculative.py verify_equal_vocab_size_if_draft_model; sglang:
    srt/speculative (STANDALONE); llama.cpp translates the tokens of another.

    Raises ImpossiblePlan for another number of tokens, where the engine refuses it.
    """
    drafter = request.drafter
    if drafter is None or drafter.weights is None or request.options.other_vocabulary:
        return
    own = a.vocab_size
    drafted = drafter.architecture.vocab_size
    if engine.needs_equal_vocabularies and own != drafted:
        raise ImpossiblePlan(
            f"the drafter {drafter.name} has {drafted:,} tokens, the model {own:,}: "
            f"{engine.name} takes no draft model of another vocabulary"
        )


def rolled_back_tokens(request: Request) -> int:
    """Return the drafted tokens that states may be rolled back by; none of a whole draft model."""
    drafter = request.drafter
    is_head = drafter is not None and drafter.weights is None
    if request.speculative or is_head:
        return request.options.draft_tokens
    return 0


WeightCount = Callable[[Engine, Request, Weights], int]
"""A count of bytes of weights under a request."""


class Planner:
    """Make the plans of one model; what scenarios share is computed once."""

    def __init__(self, a: Architecture) -> None:
        self.architecture = a
        self._divisions: dict[Parallel, Division] = {}
        self._pools: dict[object, Pool] = {}
        self._placements: dict[object, Placement] = {}
        self._on_cpu: dict[object, tuple[Weights, int]] = {}
        self._cache_assumptions: dict[Convention, tuple[str, ...]] = {}

    def plan(self, request: Request, convention: Convention, weights: Weights) -> Plan:
        """Return the plan of a request.

        Raises ImpossiblePlan if the parallel degrees do not divide the architecture, or if the
        cache cannot be kept in the convention's dtype.
        """
        a, parallel = self.architecture, request.parallel
        division = self.division(parallel)
        if division.errors:
            raise ImpossiblePlan("; ".join(division.errors))
        engine = engine_of(convention.engine)
        if engine.has_block_checks:
            refused = block_errors(a, parallel, weights, engine.checks_columns(a))
            if refused:
                raise ImpossiblePlan("; ".join(refused))
        if request.speculative and not self._drafted_layers(request):
            raise ImpossiblePlan(self._no_mtp_words())
        check_drafter(a, engine, request)
        if request.cpu_expert_layers and not has_experts(a):
            raise ImpossiblePlan("it has no experts that could stay on the CPU")
        check_options(engine, request)
        ranks = parallel.tensor * parallel.pipeline
        pool = self.pool(request, convention)
        whole = pool
        if ranks > 1 or parallel.decode_context > 1 or self._has_layers_on_cpu(request):
            whole = self._whole_pool(request, convention)
        stages = range(parallel.pipeline)
        stage_weights = [self._stage_weights(engine, request, weights, stage) for stage in stages]
        matrix = self._remember("largest", engine, request, weights, self._cpu_matrix_bytes)
        read, *others = self._memory_shares(engine, request, stage_weights, matrix)
        shared = least_share(read, others)
        rooms, allowances = shared.rooms, shared.allowances
        budget = None
        if request.gpu_bytes is not None:
            budget = int(request.gpu_bytes * shared.utilization)
        fullest = self._fullest_stage(pool, request, stage_weights, allowances)
        room = capacity = fits = largest_context = largest_batch = None
        any_context_fits = False
        if rooms is not None:
            room = rooms[fullest]
            if engine.shares_the_rest and request.gpu_bytes is not None:
                budget = stage_weights[fullest] + reserved_bytes(allowances[fullest]) + room
            capacity = pool.capacity(rooms, request.context)
            fits = min(rooms) >= 0 and pool.fits(rooms, request.context, request.sequences)
            limit = a.context_length or LONGEST_CONTEXT
            largest_context = find_largest_context(pool, rooms, request.sequences, limit)
            if not a.context_length and largest_context == LONGEST_CONTEXT:
                any_context_fits = not pool.grows_at(LONGEST_CONTEXT)
            largest_batch = pool.largest_batch(rooms, request.context) * parallel.replicas
            if request.options.cache_on_cpu:
                capacity = largest_batch = None
        return Plan(
            request=request,
            convention=convention,
            weights=weights,
            one_copy=self._footprint(
                whole, self._whole_bytes(request, weights), request, request.batch
            ),
            per_gpu=self._footprint(
                pool, stage_weights[fullest], request, request.sequences, fullest
            ),
            utilization=shared.utilization,
            budget=budget,
            allowance=tuple(allowances[fullest]),
            room=room,
            room_version=shared.version,
            room_of_version_read=read.room_of(fullest),
            version_rooms={other.version: other.room_of(fullest) or 0 for other in others},
            capacity=capacity,
            groups=pool.groups,
            fits=fits,
            largest_context=largest_context,
            any_context_fits=any_context_fits,
            largest_batch=largest_batch,
            context_limit=a.context_length,
            remarks=division.remarks,
            assumptions=(
                *pool.assumptions,
                *self._layout_assumptions(convention),
                *_version_assumptions(engine, request, shared.version),
            ),
            warnings=tuple(self._warnings(engine, request, weights, allowances[fullest])),
            drafter_bytes=self._drafter_bytes(weights),
            cpu_bytes=self._remember("all", engine, request, weights, self._cpu_bytes),
            cpu_cache_bytes=self._cpu_cache_bytes(engine, request, convention),
            placement=self.placement(engine, request),
            layers=len(a.layers),
            degrees=self._degrees,
        )

    @cached_property
    def _parameters(self) -> dict[str, int]:
        counted = count_parameters(self.architecture)
        return counted.by_component

    def _no_mtp_words(self) -> str:
        """Return why the model's own MTP modules cannot run."""
        if self.architecture.mtp is None:
            return "it has no MTP modules of its own"
        return "the layout of its MTP modules is not known"

    @cached_property
    def _degrees(self) -> dict[int, list[str]]:
        return check_tensor_degrees(self.architecture)

    @staticmethod
    def _has_layers_on_cpu(request: Request) -> bool:
        options = request.options
        return options.gpu_layers is not None or options.cache_on_cpu

    # --- the parts of a plan

    def pool(self, request: Request, convention: Convention) -> Pool:
        """Return the pool of a rank; it is made once for requests that share it."""
        engine = engine_of(convention.engine)
        batched = engine.batched_tokens(request.gpu, request.options)
        sequences = engine.max_sequences(request.gpu, request.options)
        parallel, options = request.parallel, request.options
        drafter_name = ""
        if request.drafter is not None:
            drafter_name = request.drafter.name
        drafting = (request.speculative, drafter_name)
        key = (parallel, convention, options, batched, sequences, drafting)
        pool = self._pools.get(key)
        if pool is None:
            share = self.division(parallel).share
            layers = self._layer_parts(request, convention)
            if options.cache_on_cpu:
                layers = ()
            stages = self._pool_stages(engine, request, layers)
            pool = engine.pool(
                PoolRequest(
                    architecture=share,
                    convention=convention,
                    layers=layers,
                    options=options,
                    batched_tokens=batched,
                    max_sequences=sequences,
                    decode_context=parallel.decode_context,
                    stages=stages,
                    rolled_back=rolled_back_tokens(request),
                )
            )
            self._pools[key] = pool
        return pool

    def _whole_pool(self, request: Request, convention: Convention) -> Pool:
        """Return the pool of an undivided copy with all of its layers."""
        options = replace(request.options, gpu_layers=None, cache_on_cpu=False, split=())
        return self.pool(replace(request, parallel=Parallel(), options=options), convention)

    def _layer_parts(self, request: Request, convention: Convention) -> tuple[LayerParts, ...]:
        """Return what the layers of one rank keep, those of a drafter last."""
        share = self.division(request.parallel).share
        drafted = self._drafted_layers(request)
        layers = list_layer_parts(share, convention)
        drafts = convention
        if engine_of(convention.engine).draft_cache_dtype:
            drafts = Convention(convention.engine, engine_of(convention.engine).draft_cache_dtype)
        if drafted:
            layers += list_layer_parts(share, drafts, drafted)[len(layers) :]
        if request.drafter is None:
            return layers
        first = len(share.layers) + drafted
        return layers + request.drafter.layer_parts(request.parallel, drafts, first)

    def _pool_stages(
        self, engine: Engine, request: Request, layers: Sequence[LayerParts]
    ) -> tuple[range, ...]:
        """Return the layers whose cache each stage holds; empty if one stage holds all.

        The stage with the head runs the drafter too (vllm: v1/worker/gpu_model_runner.py).
        """
        placement = self.placement(engine, request)
        stages = list(placement.stages)
        if len(stages) == 1 and stages[0].start == 0:
            return ()
        stage = placement.head_stage
        if stage is not None and layers:
            last = max(layer.index for layer in layers)
            stop = max(stages[stage].stop, last + 1)
            stages[stage] = range(stages[stage].start, stop)
        return tuple(stages)

    def placement(self, engine: Engine, request: Request) -> Placement:
        """Return which stage holds which layers, the embedding and the head."""
        stages = request.parallel.pipeline
        options = request.options
        key = (engine.name, stages, request.gpu_name, options.gpu_layers, options.split)
        placement = self._placements.get(key)
        if placement is None:
            placement = engine.placement(self.architecture, stages, request.gpu, request.options)
            self._placements[key] = placement
        return placement

    def division(self, parallel: Parallel) -> Division:
        """Return the model's division over ranks; it is made once."""
        division = self._divisions.get(parallel)
        if division is None:
            division = Division(self.architecture, parallel)
            self._divisions[parallel] = division
        return division

    def _drafted_layers(self, request: Request) -> int:
        """Return how many layers of MTP modules run."""
        mtp = self.architecture.mtp
        if not request.speculative or mtp is None or mtp.layer_kind is None:
            return 0
        return mtp.modules

    def _all_parameters(self, request: Request) -> dict[str, int]:
        """Return the parameters of an undivided copy by component."""
        parameters = self._loaded(self._parameters, request)
        if request.speculative:
            return add_counts(parameters, count_drafter(self.architecture))
        return parameters

    def _drafter_bytes(self, weights: Weights) -> int | None:
        """Return the bytes of the MTP modules with their copies of embedding and head."""
        stored = count_mtp(self.architecture)
        if not stored:
            return stored
        layers = count_drafter(self.architecture)
        copies = stored - sum(layers.values())
        drafter = add_counts(layers, {"embedding": copies})
        return weights.bytes_of(drafter)

    def _loaded(self, parameters: dict[str, int], request: Request) -> dict[str, int]:
        """Return the parameters that are loaded: in text-only mode without encoders."""
        if not request.text_only:
            return parameters
        towers = self.architecture.towers
        loaded: dict[str, int] = {}
        for component, n in parameters.items():
            if component not in towers:
                loaded[component] = n
        return loaded

    def _stage_weights(self, engine: Engine, request: Request, weights: Weights, stage: int) -> int:
        """Return the bytes of a rank's weights in a pipeline stage."""
        division = self.division(request.parallel)
        tile = engine.expert_tile(weights.experts, request.gpu)
        placement = self.placement(engine, request)
        parameters = self._loaded(division.rank_parameters(placement, tile)[stage], request)
        if request.speculative and stage == placement.head_stage:
            parameters = add_counts(parameters, count_drafter(division.share))
        layers = placement.stages[stage]
        on_cpu = weights.bytes_of({"experts": self._cpu_experts(request, division.share, layers)})
        size = weights.bytes_of(parameters) - on_cpu
        size -= self._offloaded(request, parameters, weights)
        if request.drafter is not None and stage == placement.head_stage:
            size += request.drafter.rank_bytes(request.parallel)
        return size

    @staticmethod
    def _offloaded(request: Request, parameters: Mapping[str, int], weights: Weights) -> int:
        """Return the bytes of a rank's layers that stay on the CPU.

        Parameters of decoder layers, in turn, until as many bytes were moved as asked for (vllm:
        model_executor/offloader/uva.py; sglang: srt/utils/offloader.py OffloaderV1).
        """
        if not request.options.offload_bytes:
            return 0
        layers = {name: n for name, n in parameters.items() if name not in OUTSIDE_LAYERS}
        return min(request.options.offload_bytes, weights.bytes_of(layers))

    def _whole_bytes(self, request: Request, weights: Weights) -> int:
        """Return the bytes of an undivided copy, with the drafter."""
        parameters = self._all_parameters(request)
        size = weights.bytes_of(parameters)
        if request.drafter is not None:
            size += request.drafter.rank_bytes(Parallel())
        return size

    def _cpu_experts(self, request: Request, share: Architecture, layers: range) -> int:
        """Return the routed experts' parameters of a rank's layers that stay on the CPU.

        llama.cpp: common/arg.cpp, `--n-cpu-moe N`: tensors `ffn_(up|down|gate)_exps` of the first N
        layers.
        """
        parameters = 0
        stop = min(layers.stop, len(share.layers), request.cpu_expert_layers)
        for index in range(layers.start, stop):
            for block in share.blocks_of(share.layers[index]):
                if isinstance(block, MoE):
                    parameters += block.experts * count_expert(block, share.hidden_size)
        return parameters

    def _remember(
        self, name: str, engine: Engine, request: Request, weights: Weights, count: WeightCount
    ) -> int:
        """Return a count of bytes of weights; requests that place them alike share it."""
        placement = self.placement(engine, request)
        offload = (request.parallel, request.options.offload_bytes)
        key = (name, placement, request.cpu_expert_layers, request.text_only, id(weights), offload)
        found = self._on_cpu.get(key)
        if found is None:
            found = (weights, count(engine, request, weights))
            self._on_cpu[key] = found
        return found[1]

    def _cpu_bytes(self, engine: Engine, request: Request, weights: Weights) -> int:
        """Return the bytes of an undivided copy that stay on the CPU.

        They are the embedding, all of the layers that no stage holds, and experts of others.
        """
        a = self.architecture
        whole = replace(request, parallel=Parallel(pipeline=request.parallel.pipeline))
        placement = self.placement(engine, whole)
        on_gpus: dict[str, int] = {}
        for parameters in self.division(whole.parallel).rank_parameters(placement):
            on_gpus = add_counts(on_gpus, parameters)
        for layers in placement.stages:
            experts = self._cpu_experts(whole, a, layers)
            on_gpus = add_counts(on_gpus, {"experts": -experts})
        if not placement.embedding_stages:
            on_gpus["embedding"] = 0
        everything = self._loaded(self._parameters, request)
        rest = {name: max(0, n - on_gpus.get(name, 0)) for name, n in everything.items()}
        return weights.bytes_of(rest) + self._all_offloaded(engine, request, weights)

    def _all_offloaded(self, engine: Engine, request: Request, weights: Weights) -> int:
        """Return the bytes of all ranks' layers that stay on the CPU, of one group of ranks."""
        if not request.options.offload_bytes:
            return 0
        division, tensor = self.division(request.parallel), request.parallel.tensor
        placement = self.placement(engine, request)
        stages = division.rank_parameters(placement)
        return sum(tensor * self._offloaded(request, stage, weights) for stage in stages)

    def _cpu_matrix_bytes(self, engine: Engine, request: Request, weights: Weights) -> int:
        """Return the bytes of the largest matrix of a layer that is computed with on the CPU."""
        a = self.architecture
        placement = self.placement(engine, request)
        largest = 0
        for index, kind in enumerate(a.layers):
            on_cpu = not placement.holds(index)
            for block in a.blocks_of(kind):
                match block:
                    case MoE() if on_cpu or index < request.cpu_expert_layers:
                        stream = block.latent_width or a.hidden_size
                        size = block.experts * block.expert_width * stream
                        stored = weights.bytes_of({"experts": size})
                        largest = max(largest, stored)
                    case Dense() if on_cpu:
                        size = block.width * a.hidden_size
                        stored = weights.bytes_of({"mlp": size})
                        largest = max(largest, stored)
                    case _:
                        pass
        return largest

    def _cpu_cache_bytes(self, engine: Engine, request: Request, convention: Convention) -> int:
        """Return the bytes of cache and state of the layers that no stage holds."""
        placement = self.placement(engine, request)
        layer_count = len(self.architecture.layers)
        on_cpu = min(placement.stages[0].start, layer_count)
        if request.options.cache_on_cpu:
            on_cpu = layer_count + self._drafted_layers(request)
        rest = range(on_cpu)
        if not rest:
            return 0
        alone = replace(request, parallel=Parallel())
        layers = [part for part in self._layer_parts(alone, convention) if part.index in rest]
        pool = engine.pool(
            PoolRequest(
                architecture=self.architecture,
                convention=convention,
                layers=tuple(layers),
                options=request.options,
                batched_tokens=engine.batched_tokens(request.gpu, request.options),
                max_sequences=engine.max_sequences(request.gpu, request.options),
            )
        )
        return pool.bytes_at(request.context, request.batch)

    def _allowance(
        self, engine: Engine, request: Request, stage: int, weight_bytes: int, matrix: int
    ) -> list[AllowancePart]:
        """Return what the engine keeps on a rank of a stage, with the user's figures.

        matrix: bytes of the largest matrix that stays on the CPU.
        """
        reserve = request.reserve
        if reserve.whole is not None:
            return [AllowancePart("reserve", reserve.whole, "as given", given=True)]
        parts = engine.allowance(
            AllowanceRequest(
                architecture=self.architecture,
                share=self.division(request.parallel).share,
                weight_bytes=weight_bytes,
                gpu=request.gpu,
                ranks=request.parallel.tensor,
                batched_tokens=engine.batched_tokens(request.gpu, request.options),
                max_sequences=engine.max_sequences(request.gpu, request.options),
                last_stage=stage == request.parallel.pipeline - 1,
                context=request.context,
                sequences=request.sequences,
                stages=request.parallel.pipeline,
                options=request.options,
                text_only=request.text_only,
                cpu_matrix_bytes=matrix,
            )
        )
        given = {"activations": reserve.activations, "graphs": reserve.graphs}
        resolved: list[AllowancePart] = []
        for part in parts:
            size = given.pop(part.name, None)
            if size is not None:
                part = replace(part, size=size, source="as given", given=True)
            resolved.append(part)
        for name, size in given.items():
            if size is not None:
                resolved.append(AllowancePart(name, size, "as given", given=True))
        if request.options.adapters:
            resolved.append(self._adapters(engine, request, stage))
        return resolved

    def _adapters(self, engine: Engine, request: Request, stage: int) -> AllowancePart:
        """Return what the engine sets aside for LoRA adapters on a rank of a stage."""
        from .adapter_slots import adapter_part

        placement = self.placement(engine, request)
        held = placement.stages[stage]
        return adapter_part(
            self.architecture,
            self.division(request.parallel).share,
            self.architecture.layers[held.start : held.stop],
            count=request.options.adapters,
            rank=request.options.adapter_rank,
            has_embedding=stage in placement.embedding_stages,
            has_head=stage == placement.head_stage,
        )

    def _rooms(
        self,
        engine: Engine,
        request: Request,
        utilization: float,
        stage_weights: list[int],
        allowances: list[list[AllowancePart]],
    ) -> list[int] | None:
        """Return the bytes for the cache in each stage; None without a GPU or a given pool."""
        if request.pool_bytes is not None:
            return [request.pool_bytes] * len(stage_weights)
        memory = request.gpu_bytes
        if memory is None:
            return None
        rooms: list[int] = []
        for weight_bytes, parts in zip(stage_weights, allowances, strict=True):
            taken = weight_bytes + reserved_bytes(parts)
            room = int(memory * utilization) - taken
            if engine.shares_the_rest:
                room = int((memory - taken) * utilization)
            rooms.append(room)
        return rooms

    def _memory_shares(
        self, engine: Engine, request: Request, stage_weights: list[int], matrix: int
    ) -> list[MemoryShare]:
        """Return how the version that was read or asked for shares a GPU, then how others do.

        Without others where a version is named, the room is given, or there is no GPU.
        """
        versions = [request.options.version]
        is_given = request.reserve.whole is not None or request.pool_bytes is not None
        if not request.options.version and not is_given and request.gpu_bytes is not None:
            versions += engine.versions_that_load(self.architecture)
        read, *others = [
            self._memory_share(engine, request, version, stage_weights, matrix)
            for version in versions
        ]
        return [replace(read, version=""), *others]

    def _memory_share(
        self,
        engine: Engine,
        request: Request,
        version: str,
        stage_weights: list[int],
        matrix: int,
    ) -> MemoryShare:
        """Return how a version of the engine shares a GPU."""
        options = replace(request.options, version=version)
        request = replace(request, options=options)
        utilization = request.utilization
        if utilization is None:
            utilization = engine.share(self._share_request(request))
        allowances = [
            self._allowance(engine, request, stage, size, matrix)
            for stage, size in enumerate(stage_weights)
        ]
        rooms = self._rooms(engine, request, utilization, stage_weights, allowances)
        return MemoryShare(version, utilization, allowances, rooms)

    def _share_request(self, request: Request) -> ShareRequest:
        """Return what an engine's default share depends on."""
        parallel = request.parallel
        groups = 1
        if parallel.expert > 1:
            groups = parallel.replicas
        return ShareRequest(
            architecture=self.architecture,
            gpu=request.gpu,
            options=request.options,
            ranks=parallel.tensor * groups,
            stages=parallel.pipeline,
            groups=groups,
            has_decode_context=parallel.decode_context > 1,
            text_only=request.text_only,
            eager=request.reserve.graphs == 0,
        )

    def _fullest_stage(
        self,
        pool: Pool,
        request: Request,
        stage_weights: list[int],
        allowances: list[list[AllowancePart]],
    ) -> int:
        """Return the number of the stage whose ranks take most."""
        totals: list[int] = []
        for stage, weight_bytes in enumerate(stage_weights):
            kept = reserved_bytes(allowances[stage])
            held = pool.bytes_at(request.context, request.sequences, stage)
            totals.append(weight_bytes + kept + held)
        return totals.index(max(totals))

    def _footprint(
        self, pool: Pool, weight_bytes: int, request: Request, sequences: int, stage: int = 0
    ) -> Footprint:
        """Return the bytes of weights, and of the cache of sequences."""
        return Footprint(
            weights=weight_bytes,
            cache=pool.cache_bytes(request.context, sequences, stage),
            state=pool.state_bytes(request.context, sequences, stage),
        )

    def _layout_assumptions(self, convention: Convention) -> tuple[str, ...]:
        if convention not in self._cache_assumptions:
            mixers = list(used_mixers(self.architecture).values())
            engine = engine_of(convention.engine)
            lines = engine.layout_assumptions(self.architecture, mixers)
            self._cache_assumptions[convention] = tuple(lines)
        return self._cache_assumptions[convention]

    def _warnings(
        self,
        engine: Engine,
        request: Request,
        weights: Weights,
        allowance: Sequence[AllowancePart],
    ) -> list[str]:
        """Return what a reader must know about the request, as sentences."""
        lines: list[str] = []
        if engine.has_block_checks:
            a = self.architecture
            lines += block_warnings(a, request.parallel, weights, engine.checks_columns(a))
        limit = self.architecture.context_length
        if limit and request.context > limit:
            lines.append(f"the context asked for is beyond the model's own of {limit:,}")
        if request.gpu_bytes is not None and not any(part.inside for part in allowance):
            others = "activations, graphs and communication buffers"
            lines.append(f"{others} must fit into the rest of each GPU")
        return lines


OUTSIDE_LAYERS = ("embedding", "head", "final_norm", "per_layer_embedding", "positions")
"""Components that are not of the decoder's layers."""


def check_options(engine: Engine, request: Request) -> None:
    """Raise ImpossiblePlan for an option that the engine does not have."""
    options = request.options
    refused = {
        "experts on the CPU": request.cpu_expert_layers and not engine.keeps_experts_on_cpu,
        "layers on the CPU": options.gpu_layers is not None and not engine.keeps_layers_on_cpu,
        "cache on the CPU": options.cache_on_cpu and not engine.keeps_layers_on_cpu,
        "weights of layers on the CPU": options.offload_bytes and not engine.offloads_weights,
    }
    for what, is_refused in refused.items():
        if is_refused:
            raise ImpossiblePlan(f"{engine.name} keeps no {what}")
    if options.split and not engine.divides_by_layers:
        raise ImpossiblePlan(f"{engine.name} does not split its layers unequally")
    if request.parallel.expert > 1 and not engine.has_ranks:
        raise ImpossiblePlan(f"{engine.name} divides no experts over ranks")


def _version_assumptions(engine: Engine, request: Request, least: str) -> list[str]:
    """Return what rests on another version than the one that was asked for.

    least: the last version that leaves as little for the cache as is planned.
    """
    asked = request.options.version
    if least:
        return [
            f"memory as versions up to {least} share it, the least of all "
            f"({engine.name}@{engine.version} plans for the newest)"
        ]
    if not asked or asked == engine.version:
        return []
    if engine.is_newer(asked):
        return [f"rules of {engine.version}, the newest version that was read; {asked} may differ"]
    return [f"rules of memory as of {asked}, weights as of {engine.version}"]


def add_counts(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of two counts by component."""
    total = dict(one)
    for name, n in other.items():
        before = total.get(name, 0)
        total[name] = before + n
    return total


def make_plan(a: Architecture, request: Request, convention: Convention, weights: Weights) -> Plan:
    """Return the plan of a model.

    Raises ImpossiblePlan if the parallel degrees do not divide the architecture, or if the cache
    cannot be kept in the convention's dtype.
    """
    planner = Planner(a)
    return planner.plan(request, convention, weights)


def find_largest_context(pool: Pool, rooms: Sequence[int], batch: int, limit: int) -> int:
    """Return the most tokens of each of `batch` sequences that fit into the rooms of the stages.

    It is at most `limit`: bytes never fall with tokens.
    """
    if pool.fits(rooms, limit, batch):
        return limit
    return find_most(lambda tokens: pool.fits(rooms, tokens, batch), 0, limit)
