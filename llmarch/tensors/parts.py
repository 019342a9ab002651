"""Names and shapes of the tensors of one block: attention, MLPs, mixtures of experts.

A builder (`attention_parts`) takes the names of a family and returns a function from a block and
the width of the stream to the block's tensors. Names are relative to the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import (
    Attention,
    BlockIndex,
    Dense,
    Indexer,
    LatentAttention,
    LinearAttention,
    MoE,
)


@frozen
class BlockTensor(Frozen):
    """A tensor of a block, named relative to the layer."""

    name: str
    """The name, with `{}` for the number of an expert if `experts` is set."""
    shape: tuple[int, ...]
    component: str
    """The component of the count that its parameters belong to."""
    proves: tuple[str, ...] = ()
    """Fields of the block that the shape proves."""
    experts: int | None = None
    """How many experts have such a tensor each."""


BlockTensors = Callable[[Any, int], Iterable[BlockTensor]]
"""From a block and the width of the stream to the block's tensors."""


@frozen
class Module(Frozen):
    """A module whose tensors have names under `prefix` and count for `component`."""

    prefix: str
    component: str

    def tensor(self, name: str, shape: tuple[int, ...], *proves: str) -> BlockTensor:
        """Return a tensor; `proves` names the fields of the block that its shape proves."""
        full_name = f"{self.prefix}.{name}" if self.prefix else name
        return BlockTensor(full_name, shape, self.component, proves)

    def vector(self, name: str, size: int, *proves: str) -> BlockTensor:
        """Return a tensor of one axis."""
        return self.tensor(name, (size,), *proves)

    def linear(
        self, name: str, outputs: int, inputs: int, *proves: str, bias: bool = False
    ) -> Iterator[BlockTensor]:
        """Yield a matrix [outputs, inputs], and its bias if it has one."""
        yield self.tensor(f"{name}.weight", (outputs, inputs), *proves)
        if bias:
            yield self.vector(f"{name}.bias", outputs)


def attention_parts(
    prefix: str = "self_attn",
    q: str = "q_proj",
    k: str = "k_proj",
    v: str = "v_proj",
    o: str = "o_proj",
    q_norm: str = "q_norm",
    k_norm: str = "k_norm",
    sinks: str = "sinks",
    gate: str = "",
) -> BlockTensors:
    """Return the names of attention with one matrix each for q, k, v and o.

    gate: the matrix of the output gate; without one the gate's rows are part of q.
    """
    m = Module(prefix, "attention")

    def parts(a: Attention, hidden: int) -> Iterator[BlockTensor]:
        gate_rows = _gate_rows(a)
        queries = a.heads * a.head_dim
        q_rows = queries if gate else queries + gate_rows
        yield from m.linear(q, q_rows, hidden, "heads", "head_dim", bias=a.qkv_bias)
        if gate and gate_rows:
            yield from m.linear(gate, gate_rows, hidden, "gate")
        if a.kv_from is None:
            keys = a.kv_heads * a.head_dim
            yield from m.linear(k, keys, hidden, "kv_heads", bias=a.qkv_bias)
            if not a.values_from_keys:
                values = a.kv_heads * a.v_head_dim
                yield from m.linear(v, values, hidden, "v_head_dim", bias=a.qkv_bias)
        yield from m.linear(o, hidden, a.heads * a.v_head_dim, bias=a.output_bias)
        if a.qk_norm and a.qk_norm.weight:
            yield m.vector(f"{q_norm}.weight", _norm_width(a, a.heads), "qk_norm.scope")
            if a.kv_from is None:
                yield m.vector(f"{k_norm}.weight", _norm_width(a, a.kv_heads), "qk_norm.scope")
        if a.sinks:
            yield m.vector(sinks, a.heads, "sinks")
        if a.block_index:
            yield from _block_index_parts(m, a.block_index, hidden)

    return parts


def _gate_rows(a: Attention) -> int:
    """Return how many rows the output gate has: one for each head or each of its dims."""
    if a.gate is None:
        return 0
    return a.heads if a.gate == "head" else a.heads * a.head_dim


def _norm_width(a: Attention, heads: int) -> int:
    """Return the width of the norm on queries or keys of so many heads."""
    whole = a.qk_norm is not None and a.qk_norm.scope == "projection"
    return heads * a.head_dim if whole else a.head_dim


def _block_index_parts(m: Module, index: BlockIndex, hidden: int) -> Iterator[BlockTensor]:
    """Yield the index of block-sparse attention: queries of several heads, keys of one."""
    queries = index.heads * index.head_dim
    yield from m.linear("index_q_proj", queries, hidden, "block_index.heads")
    yield from m.linear("index_k_proj", index.head_dim, hidden, "block_index.head_dim")
    for name in ("index_q_norm", "index_k_norm"):
        yield m.vector(f"{name}.weight", index.head_dim)


def fused_attention_parts(
    prefix: str = "self_attn", qkv: str = "qkv_proj", o: str = "o_proj"
) -> BlockTensors:
    """Return the names of attention with q, k and v in one matrix, one after the other (Phi-3)."""
    m = Module(prefix, "attention")

    def parts(a: Attention, hidden: int) -> Iterator[BlockTensor]:
        rows = a.heads * a.head_dim + a.kv_heads * (a.head_dim + a.v_head_dim)
        facts = ("heads", "kv_heads", "head_dim")
        yield from m.linear(qkv, rows, hidden, *facts, bias=a.qkv_bias)
        yield from m.linear(o, hidden, a.heads * a.v_head_dim, bias=a.output_bias)

    return parts


def mamba2_parts(prefix: str) -> BlockTensors:
    """Return the names of Mamba-2, whose gate, x, B, C and dt come from one projection."""
    m = Module(prefix, "attention")

    def parts(a: LinearAttention, hidden: int) -> Iterator[BlockTensor]:
        inner = a.value_heads * a.value_head_dim
        groups = a.key_heads * a.key_head_dim
        channels = inner + 2 * groups
        rows = inner + channels + a.value_heads
        facts = ("value_heads", "value_head_dim", "key_heads", "key_head_dim")
        yield from m.linear("in_proj", rows, hidden, *facts, bias=a.bias)
        yield m.tensor("conv1d.weight", (channels, 1, a.conv_kernel or 0), "conv_kernel")
        if a.conv_bias:
            yield m.vector("conv1d.bias", channels, "conv_bias")
        for name in ("A_log", "D", "dt_bias"):
            yield m.vector(name, a.value_heads, "value_heads")
        yield m.vector("norm.weight", inner)
        yield from m.linear("out_proj", hidden, inner, bias=a.bias)

    return parts


def latent_parts(prefix: str = "self_attn") -> BlockTensors:
    """Return the names of MLA as DeepSeek has them, with the indexer if there is one."""
    m = Module(prefix, "attention")

    def parts(a: LatentAttention, hidden: int) -> Iterator[BlockTensor]:
        queries = a.heads * (a.qk_nope_head_dim + a.qk_rope_head_dim)
        rank = a.q_lora_rank
        if rank is None:
            yield from m.linear("q_proj", queries, hidden, "heads", "q_lora_rank")
        else:
            yield from m.linear("q_a_proj", rank, hidden, "q_lora_rank", bias=a.bias)
            yield m.vector("q_a_layernorm.weight", rank)
            yield from m.linear("q_b_proj", queries, rank, "heads", "q_lora_rank")
        latent = a.kv_lora_rank
        kv_a = latent + a.qk_rope_head_dim
        yield from m.linear("kv_a_proj_with_mqa", kv_a, hidden, "qk_rope_head_dim", bias=a.bias)
        yield m.vector("kv_a_layernorm.weight", latent, "kv_lora_rank")
        kv_b = a.heads * (a.qk_nope_head_dim + a.v_head_dim)
        yield from m.linear("kv_b_proj", kv_b, latent, "qk_nope_head_dim")
        yield from m.linear("o_proj", hidden, a.heads * a.v_head_dim, "v_head_dim", bias=a.bias)
        if a.indexer:
            yield from _indexer_parts(m, a.indexer, rank or hidden, hidden)

    return parts


def _indexer_parts(
    m: Module, indexer: Indexer, query_inputs: int, hidden: int
) -> Iterator[BlockTensor]:
    """Yield DeepSeek V3.2's indexer: queries from the latent, one key head, a weight a head."""
    dim = indexer.head_dim
    queries = indexer.heads * dim
    yield from m.linear("indexer.wq_b", queries, query_inputs, "indexer.head_dim")
    yield from m.linear("indexer.wk", dim, hidden, "indexer.head_dim")
    yield m.vector("indexer.k_norm.weight", dim)
    yield m.vector("indexer.k_norm.bias", dim)
    yield from m.linear("indexer.weights_proj", indexer.heads, hidden, "indexer.heads")


def dense_parts(
    prefix: str = "mlp", gate: str = "gate_proj", up: str = "up_proj", down: str = "down_proj"
) -> BlockTensors:
    """Return the names of an MLP with one matrix each for gate, up and down."""
    m = Module(prefix, "mlp")

    def parts(f: Dense, hidden: int) -> Iterator[BlockTensor]:
        if f.gated:
            yield from m.linear(gate, f.width, hidden, "width", bias=f.bias)
        yield from m.linear(up, f.width, hidden, "width", bias=f.bias)
        yield from m.linear(down, hidden, f.width, bias=f.bias)

    return parts


def fused_dense_parts(
    prefix: str = "mlp", gate_up: str = "gate_up_proj", down: str = "down_proj"
) -> BlockTensors:
    """Return the names of an MLP with gate and up in one matrix (Phi-3, Granite 4's shared MLP)."""
    m = Module(prefix, "mlp")

    def parts(f: Dense, hidden: int) -> Iterator[BlockTensor]:
        rows = 2 * f.width if f.gated else f.width
        yield from m.linear(gate_up, rows, hidden, "width", bias=f.bias)
        yield from m.linear(down, hidden, f.width, bias=f.bias)

    return parts


def moe_parts(
    prefix: str = "mlp",
    router: str = "gate",
    selection_bias: str = "gate.e_score_correction_bias",
    token_table: str = "gate.tid2eid",
    experts: str = "experts.{}",
    shared: str | BlockTensors = "shared_experts",
    shared_gate: str = "shared_expert_gate",
    gate: str = "gate_proj",
    up: str = "up_proj",
    down: str = "down_proj",
    latent: tuple[str, str] = ("fc1_latent_proj", "fc2_latent_proj"),
) -> BlockTensors:
    """Return the names of a MoE with tensors of its own for each expert, as most are published.

    gate, up, down: the matrices of an expert.
    shared: the module of the shared experts, or their names if these are of another kind.
    latent: the projections to the experts' narrower width and back.
    """
    shared_mlp = shared if callable(shared) else dense_parts(f"{prefix}.{shared}", gate, up, down)
    expert_mlp = dense_parts(f"{prefix}.{experts}", gate, up, down)
    m = Module(prefix, "router")
    projections = Module(prefix, "latent_projections")

    def parts(f: MoE, hidden: int) -> Iterator[BlockTensor]:
        choices = f.experts + f.zero_experts
        bias = f.router.bias
        yield from m.linear(router, choices, hidden, "experts", "zero_experts", bias=bias)
        if f.router.selection_bias:
            yield m.vector(selection_bias, choices, "router.selection_bias")
        if f.router.token_table:
            shape = (f.router.token_table, f.active)
            yield m.tensor(token_table, shape, "router.token_table", "active")
        yield from _expert_parts(f, expert_mlp, f.latent_width or hidden)
        if f.latent_width:
            down_name, up_name = latent
            yield from projections.linear(down_name, f.latent_width, hidden, "latent_width")
            yield from projections.linear(up_name, hidden, f.latent_width, "latent_width")
        yield from _shared_parts(f, hidden, shared_mlp, f"{prefix}.{shared_gate}")

    return parts


def fused_moe_parts(
    prefix: str = "mlp",
    router: str = "router",
    shared: str | BlockTensors = "shared_expert",
    shared_gate: str = "shared_expert_gate",
    gate_up: str = "experts.gate_up_proj",
    down: str = "experts.down_proj",
    outputs_first: bool = False,
) -> BlockTensors:
    """Return the names of a MoE that has all experts in one tensor, gates and ups together.

    outputs_first: whether the shape is [experts, outputs, inputs] (Qwen3.5, Gemma 4, Granite)
    instead of [experts, inputs, outputs] (gpt-oss, Llama 4).
    """
    shared_mlp = shared if callable(shared) else dense_parts(f"{prefix}.{shared}")
    scores = Module(prefix, "router")
    stacked = Module(prefix, "experts")

    def experts(f: MoE, name: str, inputs: int, outputs: int) -> Iterator[BlockTensor]:
        matrix = (outputs, inputs) if outputs_first else (inputs, outputs)
        yield stacked.tensor(name, (f.experts, *matrix), "expert_width", "experts")
        if f.bias:
            yield stacked.tensor(f"{name}_bias", (f.experts, outputs), "bias")

    def parts(f: MoE, hidden: int) -> Iterator[BlockTensor]:
        yield from scores.linear(router, f.experts, hidden, "experts", bias=f.router.bias)
        yield from experts(f, gate_up, hidden, 2 * f.expert_width)
        yield from experts(f, down, f.expert_width, hidden)
        yield from _shared_parts(f, hidden, shared_mlp, f"{prefix}.{shared_gate}")

    return parts


def _expert_parts(f: MoE, mlp: BlockTensors, hidden: int) -> Iterator[BlockTensor]:
    """Yield the tensors of an expert; those whose shape tells its width prove that."""
    expert = Dense(width=f.expert_width, activation=f.activation, gated=f.gated, bias=f.bias)
    for tensor in mlp(expert, hidden):
        facts = ("expert_width", "experts") if tensor.proves else ()
        yield replace(tensor, component="experts", experts=f.experts, proves=facts)


def _shared_parts(f: MoE, hidden: int, mlp: BlockTensors, gate: str) -> Iterator[BlockTensor]:
    """Yield the shared experts, which are one MLP together, and their gate if they have one."""
    if f.shared_width:
        shared = Dense(width=f.shared_width, activation=f.activation, gated=f.gated)
        for tensor in mlp(shared, hidden):
            facts = ("shared_width",) if tensor.proves else ()
            yield replace(tensor, component="shared_experts", proves=facts)
    if f.shared_gate:
        yield from Module("", "shared_experts").linear(gate, 1, hidden, "shared_gate")


def per_layer_input_parts(f: Dense, hidden: int) -> Iterator[BlockTensor]:
    """Yield the block that adds per-layer embeddings (Gemma 3n and 4): a gate and a projection."""
    m = Module("", "mlp")
    yield from m.linear("per_layer_input_gate", f.width, hidden, "width")
    yield from m.linear("per_layer_projection", hidden, f.width)
