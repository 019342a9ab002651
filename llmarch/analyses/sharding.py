"""What one rank holds of an architecture under tensor parallelism and expert parallelism.

Tensor parallelism divides heads and widths over ranks, expert parallelism the experts. A rank's
share is an Architecture again, so that cache and parameters are counted as ever. Divided: query
heads, KV heads down to one (then each is on several ranks), widths, recurrent heads and channels,
the vocabulary. On every rank: MLA's latents with their down-projections, indexers and their keys,
DeepSeek V4's single head and compressors, routers, norms. From vllm 0.33.0: vllm/config/model.py
get_num_kv_heads, model_executor/layers/linear.py QKVParallelLinear, layers/mamba/mamba_utils.py,
models/deepseek_v2.py (replicated down-projections and indexer), layers/fused_moe/config.py
(experts); sglang 0.5.23 does the same: srt/configs/model_config.py, mamba_utils.py,
pool_configurator.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import has_experts, used_mixers
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    CompressedAttention,
    Dense,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
    Tower,
)
from .parameters import count_parameters

TENSOR_DEGREES = (1, 2, 4, 8, 16, 32, 64)
"""The degrees of tensor parallelism that are tried."""
PER_LAYER_COMPONENTS = ("per_layer_embedding", "per_layer_projection")
"""Components outside the layers that are as wide as all layers, whatever a stage holds."""
CHANNEL_VARIANTS = ("mamba", "short_conv", "rwkv4")
"""Recurrent variants that are divided by channels, as they have no heads."""


@frozen
class Parallel(Frozen):
    """How a model is divided over GPUs."""

    tensor: int = 1
    """Ranks that share a copy of the heads."""
    expert: int = 1
    """Ranks that share the experts; with 1, experts are divided by width like all else."""
    gpus: int = 1
    """All GPUs: gpus / (tensor · pipeline) groups of ranks serve sequences of their own."""
    pipeline: int = 1
    """Stages that divide the layers."""
    decode_context: int = 1
    """Ranks of a tensor-parallel group that divide the tokens of a sequence among them."""
    experts_across_groups: bool = False
    """Whether groups with sequences of their own divide the routed experts among them, as vLLM does
    with and without expert parallelism."""

    @property
    def replicas(self) -> int:
        """Return how many groups of ranks hold different sequences (data parallelism)."""
        gpus_of_replica = self.tensor * self.pipeline
        return self.gpus // gpus_of_replica

    @property
    def expert_width(self) -> int:
        """Return by how much each expert's width is divided.

        It is what is left of tensor parallelism when the experts themselves are divided.
        """
        width = self.expert_ranks // self.expert
        return max(1, width)

    @property
    def expert_ranks(self) -> int:
        """Return the ranks of a stage over which the routed experts are divided."""
        if self.experts_across_groups:
            return self.tensor * self.replicas
        return max(self.tensor, self.expert)


@frozen
class Placement(Frozen):
    """Which GPUs hold the layers of a model, its embedding, head and encoders."""

    stages: tuple[range, ...]
    """Decoder layers of each pipeline stage, one after the other; those before the first stage are
    on the CPU."""
    embedding_stages: tuple[int, ...]
    """Stages that hold the embedding; none: it is on the CPU."""
    head_stage: int | None
    """The stage that holds the head, and of a tied one the matrix; None: it is on the CPU."""
    encoder_stages: tuple[int, ...]
    """Stages that hold the encoders."""

    def holds(self, layer: int) -> bool:
        """Return whether a GPU holds a decoder layer."""
        return any(layer in stage for stage in self.stages)


def usual_placement(layers: int, stages: int) -> Placement:
    """Return where the layers lie with all of them on GPUs.

    The first stage has the embedding, the last one the head, encoders are on every stage (vllm:
    model_executor/models/utils.py make_layers, models/qwen3.py; a tied matrix is on both).
    """
    ranges = tuple(stage_ranges(layers, stages))
    return Placement(ranges, (0,), stages - 1, tuple(range(stages)))


# --- what can be divided ------------------------------------------------------------------------


class DividedDimension(NamedTuple):
    """A size that a division must divide evenly."""

    label: str
    """The size in words: `32 query heads`."""
    size: int
    ranks: int


def divisibility_errors(a: Architecture, parallel: Parallel) -> list[str]:
    """Return why a division is not possible, in words; empty if it is possible."""
    errors = [
        f"{dimension.label} are not divisible by {dimension.ranks}"
        for dimension in divided_dimensions(a, parallel)
        if dimension.size % dimension.ranks
    ]
    tensor, expert, gpus = parallel.tensor, parallel.expert, parallel.gpus
    for mixer in used_mixers(a).values():
        match mixer:
            case Attention(kv_heads=heads) if heads % tensor and tensor % heads:
                errors.append(f"{heads} KV heads neither divide by {tensor} nor it by them")
            case LinearAttention(variant="mamba2", key_heads=groups) if groups != 1:
                if groups % tensor:
                    errors.append(f"{groups} state groups are not divisible by {tensor}")
            case _:
                pass
    errors += _stage_errors(a, parallel)
    errors += _decode_context_errors(a, parallel)
    if gpus % (tensor * parallel.pipeline) or (gpus // parallel.pipeline) % expert:
        errors.append(_count_error(parallel))
    if tensor % expert and expert % tensor:
        errors.append(f"TP {tensor} and EP {expert} do not divide one another")
    return list(dict.fromkeys(errors))


def _count_error(parallel: Parallel) -> str:
    """Return why the number of GPUs does not suit the degrees."""
    tensor, expert, gpus = parallel.tensor, parallel.expert, parallel.gpus
    if parallel.pipeline == 1:
        return f"{gpus} GPUs are not a multiple of both TP {tensor} and EP {expert}"
    return (
        f"{gpus} GPUs are not a multiple of TP {tensor} × PP {parallel.pipeline} "
        f"and of EP {expert} a stage"
    )


def _stage_errors(a: Architecture, parallel: Parallel) -> Iterator[str]:
    """Yield why the layers cannot be divided into stages."""
    layers = len(a.layers)
    stages = parallel.pipeline
    if stages > layers:
        yield f"{layers} layers are fewer than {stages} pipeline stages"


def _decode_context_errors(a: Architecture, parallel: Parallel) -> Iterator[str]:
    """Yield why ranks cannot divide the tokens of a sequence (vllm/config/parallel.py).

    The ranks are those that would hold copies of a KV head; windows are not divided.
    """
    ranks, degree = parallel.tensor, parallel.decode_context
    if degree == 1:
        return
    if ranks % degree:
        yield f"DCP {degree} does not divide TP {ranks}"
        return
    for mixer in used_mixers(a).values():
        match mixer:
            case Attention(window=None, chunk=None, kv_heads=heads):
                copies = max(1, ranks // heads)
                if copies % degree:
                    yield f"{heads} KV heads on {ranks} ranks have {copies} copies, not {degree}"
            case Attention():
                yield f"DCP {degree} does not divide windows"
            case CompressedAttention():
                yield f"DCP {degree} does not divide DeepSeek V4's windows"
            case _:
                pass


def stage_ranges(layers: int, stages: int) -> list[range]:
    """Return the layers of each pipeline stage.

    Layers that are left over go one each to the stages before the last, from the end on (vllm:
    distributed/utils.py get_pp_indices).
    """
    sizes = [layers // stages] * stages
    for i in range(2, layers % stages + 2):
        sizes[-i] += 1
    ranges: list[range] = []
    first = 0
    for size in sizes:
        end = first + size
        ranges.append(range(first, end))
        first = end
    return ranges


def divided_dimensions(a: Architecture, parallel: Parallel) -> Iterator[DividedDimension]:
    """Yield the sizes that must divide evenly."""
    mixers = used_mixers(a).values()
    for mixer in mixers:
        yield from _mixer_dimensions(mixer, parallel.tensor)
    for ffn in a.ffns.values():
        yield from _ffn_dimensions(ffn, parallel)


def _mixer_dimensions(mixer: Mixer, ranks: int) -> Iterator[DividedDimension]:
    match mixer:
        case LinearAttention(variant=variant, value_head_dim=size) if variant in CHANNEL_VARIANTS:
            yield DividedDimension(f"{size:,} channels", size, ranks)
        case LinearAttention(key_heads=keys, value_heads=values):
            yield DividedDimension(f"{values} recurrent heads", values, ranks)
            if mixer.variant != "mamba2":
                yield DividedDimension(f"{keys} recurrent key heads", keys, ranks)
        case CompressedAttention(heads=heads, o_groups=groups):
            yield DividedDimension(f"{heads} query heads", heads, ranks)
            yield DividedDimension(f"{groups} output groups", groups, ranks)
        case Attention(heads=heads) | LatentAttention(heads=heads):
            yield DividedDimension(f"{heads} query heads", heads, ranks)


def _ffn_dimensions(ffn: FFN, parallel: Parallel) -> Iterator[DividedDimension]:
    ranks = parallel.tensor
    match ffn:
        case Dense(width=width):
            yield DividedDimension(f"{width:,} feed-forward channels", width, ranks)
        case MoE(expert_width=width, shared_width=shared):
            label = f"{width:,} channels of an expert"
            yield DividedDimension(label, width, parallel.expert_width)
            label = f"{shared:,} channels of shared experts"
            yield DividedDimension(label, shared, ranks)


def division_remarks(a: Architecture, parallel: Parallel) -> list[str]:
    """Return what a possible division leaves undivided, in words."""
    remarks: list[str] = []
    if parallel.expert > 1 and not has_experts(a):
        remarks.append(f"EP {parallel.expert} divides nothing: there are no experts")
    if parallel.tensor > 1:
        for mixer in used_mixers(a).values():
            remarks += _undivided_of_mixer(mixer, parallel)
    for ffn in a.ffns.values():
        if isinstance(ffn, MoE) and ffn.experts % parallel.expert:
            most = -(-ffn.experts // parallel.expert)
            remarks.append(
                f"EP {parallel.expert} does not divide {ffn.experts} experts: "
                f"some ranks hold {most}"
            )
    if parallel.tensor > 1:
        for name, tower in a.towers.items():
            if not can_shard_tower(tower, parallel.tensor):
                remarks.append(f"{name} encoder on every rank")
    return list(dict.fromkeys(remarks))


def _undivided_of_mixer(mixer: Mixer, parallel: Parallel) -> Iterator[str]:
    """Yield what several ranks hold of a mixer."""
    ranks = parallel.tensor
    match mixer:
        case Attention():
            yield from _undivided_of_attention(mixer, parallel)
        case LatentAttention(indexer=indexer):
            what = "MLA latent"
            if indexer is not None:
                what = "MLA latent and indexer keys"
            copies = ranks // parallel.decode_context
            if parallel.decode_context == 1:
                yield f"{what} on every rank"
            elif copies > 1:
                yield f"{what}: each token on {copies} ranks"
        case CompressedAttention():
            yield "the single latent head, indexer keys and compressor states on every rank"
        case LinearAttention(variant="mamba2", key_heads=groups):
            if groups % ranks:
                yield f"{groups} state group on every rank"
        case LinearAttention(variant="rwkv4" | "rwkv7"):
            yield "token shifts on every rank"
        case _:
            pass


def _undivided_of_attention(mixer: Attention, parallel: Parallel) -> Iterator[str]:
    heads = mixer.kv_heads
    copies = parallel.tensor // heads // parallel.decode_context
    if mixer.kv_from is None and copies > 1:
        plural = "s"
        if heads == 1:
            plural = ""
        each = "each"
        if parallel.decode_context > 1:
            each = "each token"
        yield f"{heads} KV head{plural}: {each} on {copies} ranks"
    if mixer.block_index:
        yield "block index keys on every rank"


def check_tensor_degrees(a: Architecture) -> dict[int, list[str]]:
    """Return for each usual degree of tensor parallelism why it is not possible."""
    degrees: dict[int, list[str]] = {}
    for degree in TENSOR_DEGREES:
        parallel = Parallel(tensor=degree, gpus=degree)
        errors = divisibility_errors(a, parallel)
        degrees[degree] = errors
    return degrees


# --- a rank's share -----------------------------------------------------------------------------


def shard_architecture(a: Architecture, parallel: Parallel) -> Architecture:
    """Return the share of one rank; of ranks with unequal numbers of experts, the fullest."""
    ranks = parallel.tensor
    if ranks == parallel.expert_ranks == 1:
        return a
    mixers = {name: shard_mixer(mixer, ranks) for name, mixer in a.mixers.items()}
    ffns = {name: shard_ffn(ffn, parallel) for name, ffn in a.ffns.items()}
    towers = dict(a.towers)
    for name, tower in a.towers.items():
        if isinstance(tower, Tower):
            towers[name] = shard_tower(tower, ranks)
    return replace(
        a,
        vocab_size=-(-a.vocab_size // ranks),
        embedding=replace(a.embedding, extra_rows=-(-a.embedding.extra_rows // ranks)),
        mixers=mixers,
        ffns=ffns,
        towers=towers,
    )


def shard_mixer(mixer: Mixer, ranks: int) -> Mixer:
    """Return one rank's share of a mixer."""
    match mixer:
        case Attention(heads=heads, kv_heads=kv_heads):
            rank_kv_heads = max(1, kv_heads // ranks)
            return replace(mixer, heads=heads // ranks, kv_heads=rank_kv_heads)
        case LatentAttention(heads=heads):
            return replace(mixer, heads=heads // ranks)
        case CompressedAttention(heads=heads, o_groups=groups):
            return replace(mixer, heads=heads // ranks, o_groups=groups // ranks)
        case LinearAttention(variant=variant) if variant in CHANNEL_VARIANTS:
            return replace(mixer, value_head_dim=mixer.value_head_dim // ranks)
        case LinearAttention(key_heads=keys, value_heads=values):
            rank_keys = max(1, keys // ranks)
            return replace(mixer, key_heads=rank_keys, value_heads=values // ranks)


def shard_ffn(ffn: FFN, parallel: Parallel) -> FFN:
    """Return one rank's share of an FFN."""
    match ffn:
        case Dense():
            return replace(ffn, width=ffn.width // parallel.tensor)
        case MoE():
            return replace(
                ffn,
                experts=-(-ffn.experts // parallel.expert),
                expert_width=ffn.expert_width // parallel.expert_width,
                shared_width=ffn.shared_width // parallel.tensor,
            )


def can_shard_tower(tower: object, ranks: int) -> bool:
    """Return whether an encoder can be divided: a Vision Transformer whose sizes are divisible."""
    if not isinstance(tower, Tower):
        return False
    sizes = [tower.heads, tower.ffn.width]
    if tower.kv_heads:
        sizes.append(tower.kv_heads)
    rests = [size % ranks for size in sizes]
    return not any(rests)


def shard_tower(tower: Tower, ranks: int) -> Tower:
    """Return one rank's share of an encoder: divided like a decoder, or whole."""
    if not can_shard_tower(tower, ranks):
        return tower
    heads = tower.heads // ranks
    kv_heads = tower.kv_heads
    if kv_heads:
        kv_heads //= ranks
    width = tower.ffn.width // ranks
    ffn = replace(tower.ffn, width=width)
    return replace(tower, heads=heads, kv_heads=kv_heads, ffn=ffn)


def count_rank_parameters(
    a: Architecture,
    parallel: Parallel,
    stage: int | None = None,
    placement: Placement | None = None,
) -> dict[str, int]:
    """Count the parameters of one rank by component.

    stage: number of a pipeline stage; None: all layers.
    placement: which stage holds what; None: the usual placement.

    Routers are whole: they rank all experts, wherever these are.
    """
    part = a
    if stage is not None:
        placement = placement or usual_placement(len(a.layers), parallel.pipeline)
        layers = placement.stages[stage]
        part = replace(a, layers=a.layers[layers.start : layers.stop])
    share = count_parameters(shard_architecture(part, parallel)).by_component
    router = count_parameters(part).by_component.get("router")
    if router:
        share = share | {"router": router}
    if stage is None or placement is None:
        return share
    if a.embedding.per_layer:
        whole = count_parameters(shard_architecture(a, parallel)).by_component
        for component in PER_LAYER_COMPONENTS:
            share[component] = whole[component]
    if placement.head_stage is None:
        outside = count_parameters(replace(a, layers=())).by_component
        kept = {name: max(0, n - outside.get(name, 0)) for name, n in share.items()}
        share = kept | {name: n for name, n in outside.items() if name in a.towers}
        for component in PER_LAYER_COMPONENTS:
            share.pop(component, None)
    return _placed_parameters(a, share, stage, placement)


def _placed_parameters(
    a: Architecture, share: dict[str, int], stage: int, placement: Placement
) -> dict[str, int]:
    """Return a stage's parameters without what another stage or the CPU holds."""
    kept = dict(share)
    holds_embedding = stage in placement.embedding_stages
    holds_head = stage == placement.head_stage
    if not holds_embedding:
        kept.pop("per_layer_embedding", None)
    if not holds_embedding and not (a.embedding.tied and holds_head):
        kept.pop("embedding", None)
    if not holds_head:
        kept.pop("head", None)
    if stage not in placement.encoder_stages:
        for name in a.towers:
            kept.pop(name, None)
    return kept
