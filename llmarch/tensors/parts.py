"""Names and shapes of the tensors of one block: attention, MLPs, mixtures of experts.

A builder (`split_attention_parts`) takes the names of a family and returns a function from a block
and the width of the stream to the block's tensors. Names are relative to the layer.
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
    MoE,
    QKNorm,
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
        full_name = name
        if self.prefix:
            full_name = f"{self.prefix}.{name}"
        return BlockTensor(
            name=full_name,
            shape=shape,
            component=self.component,
            proves=proves,
        )

    def vector(self, name: str, size: int, *proves: str) -> BlockTensor:
        """Return a tensor of one axis."""
        shape = (size,)
        return self.tensor(name, shape, *proves)

    def linear(
        self, name: str, outputs: int, inputs: int, *proves: str, bias: bool = False
    ) -> Iterator[BlockTensor]:
        """Yield a matrix [outputs, inputs], and its bias if it has one."""
        weight = f"{name}.weight"
        shape = (outputs, inputs)
        yield self.tensor(weight, shape, *proves)

        if bias:
            yield self.vector(f"{name}.bias", outputs)


def split_attention_parts(
    prefix: str = "self_attn",
    q: str = "q_proj",
    k: str = "k_proj",
    v: str = "v_proj",
    o: str = "o_proj",
    q_norm: str = "q_norm",
    k_norm: str = "k_norm",
    sinks: str = "sinks",
    gate: str = "",
    gate_bias: str = "gate_bias",
    output_norm: str = "attn_sub_norm",
) -> BlockTensors:
    """Return the names of attention with one matrix each for q, k, v and o.

    gate: the matrix of the output gate; without one the gate's rows are part of q.
    """
    module = Module(prefix, "attention")

    def parts(a: Attention, hidden: int) -> Iterator[BlockTensor]:
        """Yield the matrices, then norms, sinks and index as far as the block has them."""
        has_keys = a.kv_from is None
        has_values = has_keys and not a.values_from_keys
        gate_rows = _gate_rows(a)

        query_rows = a.heads * a.head_dim
        if not gate:
            query_rows += gate_rows
        query_facts = ("heads", "head_dim")
        yield from module.linear(q, query_rows, hidden, *query_facts, bias=a.qkv_bias)

        if gate and gate_rows:
            yield from module.linear(gate, gate_rows, hidden, "gate")

        if a.gate_bias:
            yield module.vector(gate_bias, a.heads, "gate_bias")

        if has_keys:
            key_rows = a.kv_heads * a.head_dim
            yield from module.linear(k, key_rows, hidden, "kv_heads", bias=a.qkv_bias)

        if has_values:
            value_rows = a.kv_heads * a.v_head_dim
            yield from module.linear(v, value_rows, hidden, "v_head_dim", bias=a.qkv_bias)

        output_inputs = a.heads * a.v_head_dim
        yield from module.linear(o, hidden, output_inputs, bias=a.output_bias)

        if a.qk_norm is not None:
            yield from _qk_norm_tensors(module, q_norm, a, a.qk_norm, a.heads)
            if has_keys:
                yield from _qk_norm_tensors(module, k_norm, a, a.qk_norm, a.kv_heads)

        if a.sinks:
            yield module.vector(sinks, a.heads, "sinks")

        if a.output_norm:
            yield module.vector(f"{output_norm}.weight", output_inputs, "output_norm")

        if a.differential:
            for name in ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"):
                yield module.vector(name, a.head_dim, "differential")

        if a.block_index:
            yield from _block_index_parts(module, a.block_index, hidden)

        if a.relative:
            width = a.relative.width
            yield from module.linear("r_proj", a.heads * width, hidden, "relative.width")
            profiles = (width, a.relative.extent)
            yield module.tensor("rel_logits_proj.proj", profiles, "relative.extent")

        if a.kv_conv:
            for name in ("k_sconv", "v_sconv"):
                shape = (a.kv_heads * a.head_dim, 1, a.kv_conv)
                yield module.tensor(f"{name}.conv1d.weight", shape, "kv_conv")

        if a.dynamic_mask:
            yield module.vector("A", a.kv_heads, "dynamic_mask")
            values = a.kv_heads * a.v_head_dim
            yield from module.linear("dt_proj", a.kv_heads, values, bias=a.qkv_bias)

    return parts


def _gate_rows(a: Attention) -> int:
    """Return how many rows the output gate has: one for each head or each of its dims."""
    if a.gate is None:
        return 0
    if a.gate == "head":
        return a.heads
    return a.heads * a.head_dim


def _qk_norm_tensors(
    module: Module, name: str, a: Attention, norm: QKNorm, heads: int
) -> Iterator[BlockTensor]:
    """Yield the weight and the bias of the norm on queries or keys of so many heads."""
    width = heads * a.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "head": (a.head_dim,),
        "own_head": (heads, a.head_dim),
        "projection": (width,),
    }
    shape = shapes[norm.scope]
    if norm.weight:
        yield module.tensor(f"{name}.weight", shape, "qk_norm.scope")
    if norm.bias:
        yield module.tensor(f"{name}.bias", shape, "qk_norm.bias")


def _block_index_parts(module: Module, index: BlockIndex, hidden: int) -> Iterator[BlockTensor]:
    """Yield the index of block-sparse attention: queries of several heads, keys of one."""
    head_dim = index.head_dim
    query_rows = index.heads * head_dim
    yield from module.linear("index_q_proj", query_rows, hidden, "block_index.heads")
    yield from module.linear("index_k_proj", head_dim, hidden, "block_index.head_dim")

    norms = ("index_q_norm.weight", "index_k_norm.weight")
    for name in norms:
        yield module.vector(name, head_dim)


def fused_attention_parts(
    prefix: str = "self_attn",
    qkv: str = "qkv_proj",
    o: str = "o_proj",
    q_norm: str = "q_norm",
    k_norm: str = "k_norm",
) -> BlockTensors:
    """Return the names of attention with q, k and v in one matrix, one after the other (Phi-3)."""
    module = Module(prefix, "attention")
    facts = ("heads", "kv_heads", "head_dim")

    def parts(a: Attention, hidden: int) -> Iterator[BlockTensor]:
        """Yield the fused matrix, the output matrix, and the norms of queries and keys."""
        query_rows = a.heads * a.head_dim
        key_rows = a.kv_heads * a.head_dim
        value_rows = a.kv_heads * a.v_head_dim

        rows = query_rows + key_rows + value_rows
        yield from module.linear(qkv, rows, hidden, *facts, bias=a.qkv_bias)

        output_inputs = a.heads * a.v_head_dim
        yield from module.linear(o, hidden, output_inputs, bias=a.output_bias)

        if a.qk_norm is not None:
            yield from _qk_norm_tensors(module, q_norm, a, a.qk_norm, a.heads)
            yield from _qk_norm_tensors(module, k_norm, a, a.qk_norm, a.kv_heads)

    return parts


def latent_parts(
    prefix: str = "self_attn", o: str = "o_proj", gate: str = "g_proj", sinks: str = "sinks"
) -> BlockTensors:
    """Return the names of MLA as DeepSeek has them, with the indexer if there is one."""
    module = Module(prefix, "attention")

    def parts(a: LatentAttention, hidden: int) -> Iterator[BlockTensor]:
        """Yield the matrices of queries, of keys and values, of the output, and the indexer."""
        yield from _latent_query_parts(module, a, hidden)

        latent = a.kv_lora_rank
        kv_a_rows = latent + a.qk_rope_head_dim
        kv_a = "kv_a_proj_with_mqa"
        yield from module.linear(kv_a, kv_a_rows, hidden, "qk_rope_head_dim", bias=a.bias)
        yield module.vector("kv_a_layernorm.weight", latent, "kv_lora_rank")
        if a.rope_norm:
            name = "k_rope_only_layernorm.weight"
            yield module.vector(name, a.qk_rope_head_dim, "rope_norm")

        kv_b_rows = a.heads * (a.qk_nope_head_dim + a.v_head_dim)
        yield from module.linear("kv_b_proj", kv_b_rows, latent, "qk_nope_head_dim")

        output_inputs = a.heads * a.v_head_dim
        yield from module.linear(o, hidden, output_inputs, "v_head_dim", bias=a.bias)

        if a.gate == "head":
            yield from module.linear(gate, a.heads, hidden, "gate")
        if a.gate == "elementwise":
            yield from module.linear(gate, output_inputs, hidden, "gate")

        if a.sinks:
            yield module.vector(sinks, a.heads, "sinks")

        if a.indexer:
            query_inputs = a.q_lora_rank or hidden
            yield from _indexer_parts(module, a.indexer, query_inputs, hidden)

    return parts


def _latent_query_parts(module: Module, a: LatentAttention, hidden: int) -> Iterator[BlockTensor]:
    """Yield the matrix of queries, or two with a norm between if queries have a latent."""
    head_dim = a.qk_nope_head_dim + a.qk_rope_head_dim
    query_rows = a.heads * head_dim
    facts = ("heads", "q_lora_rank")
    rank = a.q_lora_rank
    if rank is None:
        yield from module.linear("q_proj", query_rows, hidden, *facts)
        return

    yield from module.linear("q_a_proj", rank, hidden, "q_lora_rank", bias=a.bias)
    yield module.vector("q_a_layernorm.weight", rank)
    query_inputs = rank
    if a.gate == "from_queries":
        facts = (*facts, "gate")
        query_rows += a.heads * a.v_head_dim
        query_inputs = 2 * rank
    yield from module.linear("q_b_proj", query_rows, query_inputs, *facts)


def _indexer_parts(
    module: Module, indexer: Indexer, query_inputs: int, hidden: int
) -> Iterator[BlockTensor]:
    """Yield DeepSeek V3.2's indexer: queries from the latent, one key head, a weight a head."""
    heads = indexer.heads
    head_dim = indexer.head_dim
    query_rows = heads * head_dim
    yield from module.linear("indexer.wq_b", query_rows, query_inputs, "indexer.head_dim")
    yield from module.linear("indexer.wk", head_dim, hidden, "indexer.head_dim")

    for name in ("indexer.k_norm.weight", "indexer.k_norm.bias"):
        yield module.vector(name, head_dim)

    yield from module.linear("indexer.weights_proj", heads, hidden, "indexer.heads")


XIELU = {"alpha_p": (1,), "alpha_n": (1,), "beta": (), "eps": ()}
"""The numbers that an xIELU activation stores, and their shapes."""


def dense_parts(
    prefix: str = "mlp",
    gate: str = "gate_proj",
    up: str = "up_proj",
    down: str = "down_proj",
    inner_norm: str = "ffn_sub_norm",
) -> BlockTensors:
    """Return the names of an MLP with one matrix each for gate, up and down."""
    module = Module(prefix, "mlp")

    def parts(mlp: Dense, hidden: int) -> Iterator[BlockTensor]:
        """Yield the matrices to the MLP's width, then the one back."""
        width = mlp.width
        inner = [up]
        if mlp.gated:
            inner = [gate, up]

        for name in inner:
            yield from module.linear(name, width, hidden, "width", bias=mlp.bias)

        yield from module.linear(down, hidden, width, bias=mlp.bias)

        if mlp.learned_scale:
            yield module.vector("global_scale", 1, "learned_scale")
        if mlp.inner_norm:
            yield module.vector(f"{inner_norm}.weight", width, "inner_norm")
        if mlp.activation_numbers:
            for name, shape in XIELU.items():
                yield module.tensor(f"act_fn.{name}", shape, "activation_numbers")

    return parts


def fused_dense_parts(
    prefix: str = "mlp", gate_up: str = "gate_up_proj", down: str = "down_proj"
) -> BlockTensors:
    """Return the names of an MLP with gate and up in one matrix (Phi-3, Granite 4's shared MLP)."""
    module = Module(prefix, "mlp")

    def parts(mlp: Dense, hidden: int) -> Iterator[BlockTensor]:
        """Yield the fused matrix, then the one back."""
        width = mlp.width
        rows = width
        if mlp.gated:
            rows = 2 * width

        yield from module.linear(gate_up, rows, hidden, "width", bias=mlp.bias)
        yield from module.linear(down, hidden, width, bias=mlp.bias)

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
    expert_mlp = dense_parts(f"{prefix}.{experts}", gate, up, down)
    shared_gate = f"{prefix}.{shared_gate}"
    scores = Module(prefix, "router")
    projections = Module(prefix, "latent_projections")

    shared_mlp = shared
    if isinstance(shared_mlp, str):
        shared_mlp = dense_parts(f"{prefix}.{shared_mlp}", gate, up, down)

    def parts(moe: MoE, hidden: int) -> Iterator[BlockTensor]:
        """Yield the router, the experts with the projections around them, the shared experts."""
        settings = moe.router
        choices = moe.experts + moe.zero_experts
        facts = ("experts", "zero_experts")
        yield from scores.linear(router, choices, hidden, *facts, bias=settings.bias)

        if settings.selection_bias:
            yield scores.vector(selection_bias, choices, "router.selection_bias")

        if settings.token_table:
            shape = (settings.token_table, moe.active)
            yield scores.tensor(token_table, shape, "router.token_table", "active")

        width = moe.latent_width
        yield from _expert_parts(moe, expert_mlp, width or hidden)

        if width:
            narrow, widen = latent
            yield from projections.linear(narrow, width, hidden, "latent_width")
            yield from projections.linear(widen, hidden, width, "latent_width")

        yield from _shared_parts(moe, hidden, shared_mlp, shared_gate)

    return parts


def fused_moe_parts(
    prefix: str = "mlp",
    router: str = "router",
    shared: str | BlockTensors = "shared_expert",
    shared_gate: str = "shared_expert_gate",
    gate_up: str = "experts.gate_up_proj",
    down: str = "experts.down_proj",
    outputs_first: bool = False,
    selection_bias: str = "gate.e_score_correction_bias",
) -> BlockTensors:
    """Return the names of a MoE that has all experts in one tensor, gates and ups together.

    outputs_first: whether the shape is [experts, outputs, inputs] (Qwen3.5, Gemma 4, Granite)
    instead of [experts, inputs, outputs] (gpt-oss, Llama 4).
    """
    shared_gate = f"{prefix}.{shared_gate}"
    scores = Module(prefix, "router")
    stacked = Module(prefix, "experts")

    shared_mlp = shared
    if isinstance(shared_mlp, str):
        shared_mlp = dense_parts(f"{prefix}.{shared_mlp}")

    def experts(moe: MoE, name: str, inputs: int, outputs: int) -> Iterator[BlockTensor]:
        """Yield a matrix of all experts, and the biases if they have them."""
        shape = (moe.experts, inputs, outputs)
        if outputs_first:
            shape = (moe.experts, outputs, inputs)
        yield stacked.tensor(name, shape, "expert_width", "experts")

        if moe.bias:
            biases = (moe.experts, outputs)
            yield stacked.tensor(f"{name}_bias", biases, "bias")

    def parts(moe: MoE, hidden: int) -> Iterator[BlockTensor]:
        """Yield the router, the stacked experts, and the shared experts."""
        width = moe.expert_width
        bias = moe.router.bias
        yield from scores.linear(router, moe.experts, hidden, "experts", bias=bias)

        if moe.router.selection_bias:
            yield scores.vector(selection_bias, moe.experts, "router.selection_bias")

        yield from experts(moe, gate_up, inputs=hidden, outputs=2 * width)
        yield from experts(moe, down, inputs=width, outputs=hidden)

        if moe.output_bias:
            yield Module(prefix, "mlp").vector("bias", hidden, "output_bias")

        yield from _shared_parts(moe, hidden, shared_mlp, shared_gate)

    return parts


def _expert_parts(moe: MoE, mlp: BlockTensors, hidden: int) -> Iterator[BlockTensor]:
    """Yield the tensors of an expert; those whose shape tells its width prove that."""
    expert = Dense(
        width=moe.expert_width,
        activation=moe.activation,
        gated=moe.gated,
        bias=moe.bias,
    )
    for tensor in mlp(expert, hidden):
        facts: tuple[str, ...] = ()
        if tensor.proves:
            facts = ("expert_width", "experts")
        yield replace(
            tensor,
            component="experts",
            experts=moe.experts,
            proves=facts,
        )


def _shared_parts(moe: MoE, hidden: int, mlp: BlockTensors, gate: str) -> Iterator[BlockTensor]:
    """Yield the shared experts, which are one MLP together, and their gate if they have one."""
    component = "shared_experts"
    if moe.shared_width:
        gated = moe.shared_gated
        if gated is None:
            gated = moe.gated
        shared = Dense(
            width=moe.shared_width,
            activation=moe.activation,
            gated=gated,
            bias=moe.shared_bias,
        )
        for tensor in mlp(shared, hidden):
            facts: tuple[str, ...] = ()
            if tensor.proves:
                facts = ("shared_width",)
            yield replace(tensor, component=component, proves=facts)

    if moe.shared_gate:
        module = Module("", component)
        yield from module.linear(gate, 1, hidden, "shared_gate")


def per_layer_input_parts(block: Dense, hidden: int) -> Iterator[BlockTensor]:
    """Yield the block that adds per-layer embeddings (Gemma 3n and 4): a gate and a projection."""
    module = Module("", "mlp")
    linear = module.linear
    width = block.width
    yield from linear("per_layer_input_gate", width, hidden, "width")
    yield from linear("per_layer_projection", hidden, width)
