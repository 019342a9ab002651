"""What one rank holds of an architecture when heads and widths are divided over ranks (tensor parallelism) and experts too (expert
parallelism).

A rank's share is an Architecture again, so that cache and parameters are counted as ever. Divided: query heads, KV heads down to one
(then each is on several ranks), widths, recurrent heads and channels, the vocabulary. On every rank: MLA's latents with their
down-projections, indexers and their keys, DeepSeek V4's single head and compressors, routers, norms. Read from vllm 0.33.0:
config/model.py get_num_kv_heads, model_executor/layers/linear.py QKVParallelLinear, layers/mamba/mamba_utils.py, models/deepseek_v2.py
(replicated down-projections and indexer), layers/fused_moe/config.py (experts); sglang 0.5.23 does the same: srt/configs/model_config.py,
mamba_utils.py, pool_configurator.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import mixer_names
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


@frozen
class Parallel(Frozen):
    """`tensor` ranks share a copy of the heads; `expert` ranks share the experts (1: they are divided by width like all else). Of `gpus`
    in all, gpus / tensor groups serve sequences of their own."""

    tensor: int = 1
    expert: int = 1
    gpus: int = 1

    @property
    def replicas(self) -> int:
        """Groups of ranks that hold different sequences (data parallelism)."""
        return self.gpus // self.tensor

    @property
    def expert_width(self) -> int:
        """By how much each expert's width is divided: what tensor parallelism is left when experts are dealt out."""
        return max(1, self.tensor // self.expert)


def divisibility_errors(a: Architecture, p: Parallel) -> list[str]:
    """Why a division can't be: what does not divide. Empty where it can."""
    out = [
        f"{label} are not divisible by {n}"
        for label, size, n in divided_dimensions(a, p)
        if size % n
    ]
    for m in used_mixers(a):
        if isinstance(m, Attention) and m.kv_heads % p.tensor and p.tensor % m.kv_heads:
            out.append(f"{m.kv_heads} KV heads neither divide by {p.tensor} nor it by them")
        if (
            isinstance(m, LinearAttention)
            and m.variant == "mamba2"
            and m.key_heads % p.tensor
            and m.key_heads != 1
        ):
            out.append(f"{m.key_heads} state groups are not divisible by {p.tensor}")
    if p.gpus % p.tensor or p.gpus % p.expert:
        out.append(f"{p.gpus} GPUs are not a multiple of both TP {p.tensor} and EP {p.expert}")
    if p.tensor % p.expert and p.expert % p.tensor:
        out.append(f"TP {p.tensor} and EP {p.expert} do not divide one another")
    return list(dict.fromkeys(out))


def divided_dimensions(a: Architecture, p: Parallel) -> Iterator[tuple[str, int, int]]:
    """What must divide: in words, its size, and by how much it is divided."""
    n = p.tensor
    for m in used_mixers(a):
        match m:
            case Attention() | LatentAttention():
                yield f"{m.heads} query heads", m.heads, n
            case CompressedAttention():
                yield f"{m.heads} query heads", m.heads, n
                yield f"{m.o_groups} output groups", m.o_groups, n
            case LinearAttention() if m.variant in ("mamba", "short_conv", "rwkv4"):
                yield f"{m.value_head_dim:,} channels", m.value_head_dim, n
            case LinearAttention():
                yield f"{m.value_heads} recurrent heads", m.value_heads, n
                if m.variant != "mamba2":
                    yield f"{m.key_heads} recurrent key heads", m.key_heads, n
    for f in a.ffns.values():
        if isinstance(f, Dense):
            yield f"{f.width:,} feed-forward channels", f.width, n
        else:
            yield f"{f.expert_width:,} channels of an expert", f.expert_width, p.expert_width
            yield f"{f.shared_width:,} channels of shared experts", f.shared_width, n


def division_remarks(a: Architecture, p: Parallel) -> list[str]:
    """What a division that can be does not divide, in words."""
    out: list[str] = []
    n = p.tensor
    for m in used_mixers(a) if n > 1 else []:
        match m:
            case Attention() if m.kv_from is None and m.kv_heads < n:
                out.append(
                    f"{m.kv_heads} KV head{'s' if m.kv_heads > 1 else ''}: each on {n // m.kv_heads} ranks"
                )
            case LatentAttention():
                out.append(
                    "MLA latent and indexer keys on every rank"
                    if m.indexer
                    else "MLA latent on every rank"
                )
            case CompressedAttention():
                out.append(
                    "the single latent head, indexer keys and compressor states on every rank"
                )
            case LinearAttention() if m.variant == "mamba2" and m.key_heads % n:
                out.append(f"{m.key_heads} state group on every rank")
            case LinearAttention() if m.variant in ("rwkv4", "rwkv7"):
                out.append("token shifts on every rank")
            case _:
                pass
        if isinstance(m, Attention) and m.block_index:
            out.append("block index keys on every rank")
    for f in a.ffns.values():
        if isinstance(f, MoE) and f.experts % p.expert:
            out.append(
                f"EP {p.expert} does not divide {f.experts} experts: some ranks hold {-(-f.experts // p.expert)}"
            )
    out += [
        f"{name} encoder on every rank"
        for name, t in a.towers.items()
        if n > 1 and not can_shard_tower(t, n)
    ]
    return list(dict.fromkeys(out))


def check_tensor_degrees(a: Architecture) -> dict[int, list[str]]:
    """The usual degrees of tensor parallelism, each with what refuses it."""
    return {n: divisibility_errors(a, Parallel(n, 1, n)) for n in TENSOR_DEGREES}


def used_mixers(a: Architecture) -> list[Mixer]:
    return [a.mixers[n] for n in dict.fromkeys(m for k in a.layers for m in mixer_names(a, k))]


# --- a rank's share -----------------------------------------------------------------------------------------------


def shard_architecture(a: Architecture, p: Parallel) -> Architecture:
    """One rank's share (of ranks with unequal numbers of experts, the fullest one's)."""
    if p.tensor == p.expert == 1:
        return a
    towers = {
        name: shard_tower(t, p.tensor) if isinstance(t, Tower) else t
        for name, t in a.towers.items()
    }
    return replace(
        a,
        vocab_size=-(-a.vocab_size // p.tensor),
        mixers={name: shard_mixer(m, p.tensor) for name, m in a.mixers.items()},
        ffns={name: shard_ffn(f, p) for name, f in a.ffns.items()},
        towers=towers,
    )


def shard_mixer(m: Mixer, n: int) -> Mixer:
    match m:
        case Attention():
            return replace(m, heads=m.heads // n, kv_heads=max(1, m.kv_heads // n))
        case LatentAttention():
            return replace(m, heads=m.heads // n)
        case CompressedAttention():
            return replace(m, heads=m.heads // n, o_groups=m.o_groups // n)
        case LinearAttention() if m.variant in ("mamba", "short_conv", "rwkv4"):
            return replace(m, value_head_dim=m.value_head_dim // n)
        case LinearAttention():
            return replace(m, key_heads=max(1, m.key_heads // n), value_heads=m.value_heads // n)


def shard_ffn(f: FFN, p: Parallel) -> FFN:
    if isinstance(f, Dense):
        return replace(f, width=f.width // p.tensor)
    return replace(
        f,
        experts=-(-f.experts // p.expert),
        expert_width=f.expert_width // p.expert_width,
        shared_width=f.shared_width // p.tensor,
    )


def can_shard_tower(t: object, n: int) -> bool:
    return (
        isinstance(t, Tower)
        and t.heads % n == 0
        and (t.kv_heads or n) % n == 0
        and t.ffn.width % n == 0
    )


def shard_tower(t: Tower, n: int) -> Tower:
    """An encoder is divided like a decoder where it can be."""
    if not can_shard_tower(t, n):
        return t
    return replace(
        t,
        heads=t.heads // n,
        kv_heads=t.kv_heads and t.kv_heads // n,
        ffn=replace(t.ffn, width=t.ffn.width // n),
    )


def count_rank_parameters(a: Architecture, p: Parallel) -> dict[str, int]:
    """Parameters by component that one rank holds. Routers know all experts, wherever these are."""
    by = count_parameters(shard_architecture(a, p)).by_component
    return by | {"router": r} if (r := count_parameters(a).by_component.get("router")) else by


def parameter_bytes(n: dict[str, int], bits: Callable[[str], float]) -> int:
    """Bytes of parameters by component, each with its bits a weight."""
    return round(sum(elements * bits(component) / 8 for component, elements in n.items()))
