"""Parameter counts of single blocks (mixers, FFNs, norms), from their facts alone.

Each function adds up the matrices and vectors of a block, in elements, for the model's hidden size.
No names of tensors, no template, no family code: see `parameters.py`. Files named `modeling_x` are
those of transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

from ..architecture.schema import (
    FFN,
    Attention,
    BlockIndex,
    CompressedAttention,
    Dense,
    Indexer,
    LatentAttention,
    LinearAttention,
    Mixer,
    MoE,
    Norm,
    SharedTransformer,
)
from ..errors import FactError


def count_block(block: Mixer | FFN, hidden_size: int) -> dict[str, int]:
    """Count the parameters of a block by component."""
    match block:
        case Attention(query_experts=int()):
            return {
                "attention": count_attention(block, hidden_size),
                "experts": count_query_experts(block, block.query_experts or 0, hidden_size),
                "router": count_projection(hidden_size, block.query_experts or 0),
            }
        case Attention(transformer=SharedTransformer()):
            return count_own_transformer(block, hidden_size)
        case Attention():
            return {"attention": count_attention(block, hidden_size)}
        case LatentAttention():
            return {"attention": count_latent_attention(block, hidden_size)}
        case LinearAttention():
            return {"attention": count_linear_attention(block, hidden_size)}
        case CompressedAttention():
            return {"attention": count_compressed_attention(block, hidden_size)}
        case Dense():
            return {"mlp": count_dense(block, hidden_size)}
        case MoE():
            return {
                "experts": block.experts * count_expert(block, hidden_size),
                "router": count_router(block, hidden_size),
                "shared_experts": count_shared_experts(block, hidden_size),
                "mlp": hidden_size * block.output_bias,
                "latent_projections": 2 * hidden_size * (block.latent_width or 0),
            }


def count_projection(inputs: int, outputs: int, bias: bool = False) -> int:
    """Count a matrix [outputs, inputs], with or without bias."""
    matrix = inputs * outputs
    if bias:
        return matrix + outputs
    return matrix


def count_norm(norm: Norm, width: int) -> int:
    """Count a norm over `width` channels."""
    vectors = norm.weight + norm.bias
    return width * vectors


# --- softmax attention --------------------------------------------------------------------------


def count_attention(mixer: Attention, hidden_size: int) -> int:
    """Count MHA, GQA or MQA: projections with their biases, sinks, QK-norm, block index.

    Keys and values of another layer (`kv_from`) cost nothing here.
    """
    queries = mixer.heads * mixer.head_dim
    keys = mixer.kv_heads * mixer.head_dim
    values = mixer.kv_heads * mixer.v_head_dim
    if mixer.kv_from:
        keys = 0
    if mixer.kv_from or mixer.values_from_keys:
        values = 0
    inputs = queries + keys + values
    if mixer.query_experts:
        bias = hidden_size * mixer.output_bias
        return count_projection(hidden_size, keys + values, mixer.qkv_bias) + bias
    if mixer.gate == "elementwise":  # part of the queries' matrix, with a bias if they have one
        inputs += queries
    outputs = mixer.heads * mixer.v_head_dim
    total = count_projection(hidden_size, inputs, mixer.qkv_bias)
    if mixer.gate == "head":  # a matrix without a bias (transformers Step3p7Attention, Laguna)
        total += count_projection(hidden_size, mixer.heads, False)
    if mixer.gate_bias:
        total += mixer.heads
    total += count_projection(outputs, hidden_size, mixer.output_bias)
    total += _count_qk_norm(mixer, queries, keys)
    if mixer.sinks:
        total += mixer.heads
    if mixer.output_norm:
        total += outputs
    if mixer.differential:
        total += 4 * mixer.head_dim
    if mixer.block_index:
        total += _count_block_index(mixer.block_index, hidden_size)
    if mixer.relative:
        width = mixer.relative.width
        total += count_projection(hidden_size, mixer.heads * width)
        total += width * mixer.relative.extent
    if mixer.kv_conv:
        total += mixer.kv_conv * (keys + values)
    if mixer.conv_kernels:
        channels, (first, second) = queries + keys, mixer.conv_kernels
        total += channels * (first + 1)
        total += channels * (second * mixer.head_dim + 1)
    if mixer.dynamic_mask:
        total += mixer.kv_heads + count_projection(values, mixer.kv_heads, mixer.qkv_bias)
    return total


def count_own_transformer(mixer: Attention, hidden_size: int) -> dict[str, int]:
    """Count what a layer has of its own in a shared Transformer layer (modeling_zamba2)."""
    shared = mixer.transformer
    assert shared
    attention = count_projection(hidden_size, hidden_size)
    mlp = 0
    if shared.adapter_rank:
        rank = shared.adapter_rank
        inputs = 2 * hidden_size
        mlp = rank * (hidden_size + 2 * shared.ffn.width)
        if shared.attention_adapters:
            attention += 3 * rank * (inputs + inputs)
    return {"attention": attention, "mlp": mlp}


def count_shared_transformer(mixer: Attention, hidden_size: int) -> dict[str, int]:
    """Count what layers share of a Transformer layer, by component; nothing for other attention."""
    shared = mixer.transformer
    if shared is None:
        return {}
    queries = mixer.heads * mixer.head_dim
    keys_and_values = mixer.kv_heads * (mixer.head_dim + mixer.v_head_dim)
    inputs = count_projection(2 * hidden_size, queries + keys_and_values)
    output = count_projection(mixer.heads * mixer.v_head_dim, hidden_size)
    return {
        "attention": inputs + output,
        "mlp": count_dense(shared.ffn, hidden_size),
        "norms": 3 * hidden_size,
    }


def count_query_experts(mixer: Attention, experts: int, hidden_size: int) -> int:
    """Count the query and output matrices of so many experts of attention (modeling_jetmoe)."""
    width = mixer.kv_heads * mixer.head_dim
    projection = count_projection(hidden_size, width)
    pair = 2 * projection
    return experts * pair


def _count_qk_norm(mixer: Attention, queries: int, keys: int) -> int:
    """Count the weights of the norms of queries and keys."""
    norm = mixer.qk_norm
    if norm is not None and norm.key_scale:
        return mixer.kv_heads
    if norm is None or not norm.weight:
        return 0
    per_width = 2 if norm.bias else 1  # weight, and bias
    if norm.scope != "head":
        return per_width * (queries + keys)
    if mixer.kv_from:
        return per_width * mixer.head_dim
    return per_width * 2 * mixer.head_dim


def _count_block_index(index: BlockIndex, hidden_size: int) -> int:
    """Count the query heads, the one key, and a norm of each."""
    heads, head_dim = index.heads, index.head_dim
    return sum(
        [
            count_projection(hidden_size, heads * head_dim),  # queries
            count_projection(hidden_size, head_dim),  # key
            2 * head_dim,  # norms
        ]
    )


def count_latent_attention(mixer: LatentAttention, hidden_size: int) -> int:
    """Count MLA: queries, keys and values from their latents, output, indexer.

    Biases are on the down-projections and the output (modeling_deepseek_v3).
    """
    latent = mixer.kv_lora_rank
    rope_dim = mixer.qk_rope_head_dim
    kv_dim = mixer.qk_nope_head_dim + mixer.v_head_dim
    outputs = mixer.heads * mixer.v_head_dim
    total = sum(
        [
            _count_latent_queries(mixer, hidden_size),
            count_projection(hidden_size, latent + rope_dim, mixer.bias),  # kv_a
            latent,  # norm
            count_projection(latent, mixer.heads * kv_dim),  # kv_b
            count_projection(outputs, hidden_size, mixer.bias),  # o
        ]
    )
    if mixer.rope_norm:
        total += rope_dim
    if mixer.gate == "head":
        total += count_projection(hidden_size, mixer.heads)
    if mixer.gate == "elementwise":
        total += count_projection(hidden_size, outputs)
    if mixer.sinks:
        total += mixer.heads
    if mixer.indexer:
        query_inputs = mixer.q_lora_rank or hidden_size
        total += _count_indexer(mixer.indexer, query_inputs, hidden_size)
    return total


def _count_latent_queries(mixer: LatentAttention, hidden_size: int) -> int:
    """Count one projection of queries, or two with a norm between them."""
    rank = mixer.q_lora_rank
    head_dim = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim
    queries = mixer.heads * head_dim
    if rank is None:
        return count_projection(hidden_size, queries)
    down = count_projection(hidden_size, rank, mixer.bias)
    norm = rank
    up = count_projection(rank, queries)
    if mixer.gate == "from_queries":
        up = count_projection(2 * rank, queries + mixer.heads * mixer.v_head_dim)
    return down + norm + up


def _count_indexer(indexer: Indexer, query_inputs: int, hidden_size: int) -> int:
    """Count a lightning indexer, whose key has a LayerNorm."""
    heads, head_dim = indexer.heads, indexer.head_dim
    return sum(
        [
            count_projection(query_inputs, heads * head_dim),  # queries
            count_projection(hidden_size, head_dim),  # key
            2 * head_dim,  # norm
            count_projection(hidden_size, heads),  # weight of each head
        ]
    )


# --- DeepSeek V4 --------------------------------------------------------------------------------


def count_compressed_attention(mixer: CompressedAttention, hidden_size: int) -> int:
    """Count DeepSeek V4's attention (modeling_deepseek_v4): see the schema's CompressedAttention.

    One head is both key and value; the output projection is low-rank, group by group.
    """
    rank, head_dim = mixer.q_lora_rank, mixer.head_dim
    queries = mixer.heads * head_dim
    output_rank = mixer.o_groups * mixer.o_lora_rank
    total = sum(
        [
            count_projection(hidden_size, rank),  # q_a
            rank,  # norm
            count_projection(rank, queries),  # q_b
            count_projection(hidden_size, head_dim),  # key and value
            head_dim,  # norm
            count_projection(queries // mixer.o_groups, output_rank),  # o_a
            count_projection(output_rank, hidden_size),  # o_b
        ]
    )
    if mixer.sinks:
        total += mixer.heads
    if mixer.ratio:
        total += count_compressor(mixer, head_dim, hidden_size)
    if mixer.indexer:
        total += _count_compressed_indexer(mixer, mixer.indexer, hidden_size)
    return total


def _count_compressed_indexer(
    mixer: CompressedAttention, indexer: Indexer, hidden_size: int
) -> int:
    """Count an indexer whose queries come from the latent and whose keys are compressed."""
    heads, head_dim = indexer.heads, indexer.head_dim
    return sum(
        [
            count_projection(mixer.q_lora_rank, heads * head_dim),  # queries
            count_projection(hidden_size, heads),  # weight of each head
            count_compressor(mixer, head_dim, hidden_size),  # keys
        ]
    )


def count_compressor(mixer: CompressedAttention, width: int, hidden_size: int) -> int:
    """Count what makes a compressed entry of `width` channels."""
    channels = mixer.series * width
    return sum(
        [
            count_projection(hidden_size, channels),  # values
            count_projection(hidden_size, channels),  # weights
            mixer.ratio * channels,  # a bias for each token's place
            width,  # norm
        ]
    )


# --- recurrent layers ---------------------------------------------------------------------------


def count_linear_attention(mixer: LinearAttention, hidden_size: int) -> int:
    """Count a recurrent mixer. Raises FactError for a variant that no family has."""
    count_variant = VARIANTS.get(mixer.variant)
    if count_variant is None:
        raise FactError(f"the parameters of {mixer.variant} layers are not known")
    return count_variant(mixer, hidden_size)


def count_mamba2(mixer: LinearAttention, hidden_size: int) -> int:
    """Count Mamba-2 (modeling_nemotron_h, modeling_granitemoehybrid).

    Its groups are the key heads; one projection gives gate, x, B, C and dt.
    """
    heads = mixer.value_heads
    keys, values = _key_channels(mixer), _value_channels(mixer)
    convolved = values + 2 * keys  # x, B, C
    inputs = values + convolved + heads  # gate, x, B, C, dt
    return sum(
        [
            count_projection(hidden_size, inputs, mixer.bias),
            _count_convolution(mixer, convolved),
            3 * heads,  # A_log, D, dt_bias
            mixer.output_norm * values,  # norm over all channels
            count_projection(values, hidden_size, _has_output_bias(mixer)),
        ]
    )


def count_mamba(mixer: LinearAttention, hidden_size: int) -> int:
    """Count Mamba-1 (modeling_mamba, modeling_falcon_mamba, modeling_jamba)."""
    states, channels = _key_channels(mixer), _value_channels(mixer)
    rank = mixer.dt_rank or 0
    selected = rank + 2 * states  # dt, B, C
    norms = selected if mixer.inner_norm == "weighted" else 0
    return sum(
        [
            count_projection(hidden_size, 2 * channels, mixer.bias),  # gate, x
            _count_convolution(mixer, channels),
            count_projection(channels, selected) + norms,
            count_projection(rank, channels, bias=True),  # dt
            channels * states,  # A_log
            channels,  # D
            count_projection(channels, hidden_size, mixer.bias),  # out
        ]
    )


def count_rg_lru(mixer: LinearAttention, hidden_size: int) -> int:
    """Count Griffin's recurrent block (modeling_recurrent_gemma)."""
    channels, head_dim = _value_channels(mixer), mixer.value_head_dim
    gate = mixer.value_heads * count_projection(head_dim, head_dim, mixer.bias)
    return sum(
        [
            2 * count_projection(hidden_size, channels, mixer.bias),  # gate, x
            _count_convolution(mixer, channels),
            2 * gate,  # of the input, of the recurrence
            channels,  # decay
            count_projection(channels, hidden_size, mixer.bias),  # out
        ]
    )


def count_mlstm(mixer: LinearAttention, hidden_size: int) -> int:
    """Count mLSTM (modeling_xlstm), whose norm has a bias if the projections have."""
    keys, values = _key_channels(mixer), _value_channels(mixer)
    return sum(
        [
            count_projection(hidden_size, 2 * keys + values, mixer.bias),  # q, k, v
            count_projection(hidden_size, values, mixer.bias),  # output gate
            2 * count_projection(hidden_size, mixer.value_heads, bias=True),  # input, forget
            values * (1 + mixer.bias),  # norm
            count_projection(values, hidden_size, mixer.bias),  # out
        ]
    )


def count_rwkv4(mixer: LinearAttention, hidden_size: int) -> int:
    """Count RWKV-4's time mix (modeling_rwkv)."""
    channels = _value_channels(mixer)
    return sum(
        [
            3 * count_projection(hidden_size, channels),  # receptance, key, value
            3 * hidden_size,  # their mixes with the token before
            2 * channels,  # decay, bonus of the token itself
            count_projection(channels, hidden_size),  # out
        ]
    )


def count_short_conv(mixer: LinearAttention, hidden_size: int) -> int:
    """Count a gated short convolution (modeling_lfm2)."""
    width = _value_channels(mixer)
    return sum(
        [
            count_projection(hidden_size, 3 * width, mixer.bias),  # B, C, x
            _count_convolution(mixer, width),
            count_projection(width, hidden_size, mixer.bias),  # out
        ]
    )


def count_lightning(mixer: LinearAttention, hidden_size: int) -> int:
    """Count lightning attention (modeling_minimax)."""
    keys, values = _key_channels(mixer), _value_channels(mixer)
    norms = 0
    if mixer.qk_norm is not None:
        norms = 2 * mixer.key_head_dim
    return sum(
        [
            count_projection(hidden_size, 2 * keys + values, mixer.bias),  # q, k, v
            norms,  # of each query and key head
            values,  # norm over the whole width
            count_projection(hidden_size, values),  # output gate
            count_projection(values, hidden_size, bool(mixer.output_bias)),  # out
        ]
    )


def count_gated_deltanet(mixer: LinearAttention, hidden_size: int) -> int:
    """Count Gated DeltaNet (modeling_qwen3_next)."""
    heads = mixer.value_heads
    keys, values = _key_channels(mixer), _value_channels(mixer)
    convolved = 2 * keys + values  # q, k, v
    return sum(
        [
            count_projection(hidden_size, convolved + values),  # q, k, v, output gate
            count_projection(hidden_size, 2 * heads),  # beta and decay
            _count_convolution(mixer, convolved),
            2 * heads,  # A_log, dt_bias
            mixer.value_head_dim,  # norm over each head
            count_projection(values, hidden_size),  # out
        ]
    )


def count_kda(mixer: LinearAttention, hidden_size: int) -> int:
    """Count Kimi Delta Attention (modeling_kimi_linear).

    Decay and output gate have one matrix each, or two with the rank of a head between them.
    """
    heads, rank = mixer.value_heads, mixer.value_head_dim
    keys, values = _key_channels(mixer), _value_channels(mixer)
    convolved = 2 * keys + values  # q, k, v
    gate = count_projection(hidden_size, rank) + count_projection(rank, values)
    if mixer.full_rank:
        gate = count_projection(hidden_size, values)
    return sum(
        [
            count_projection(hidden_size, convolved),
            _count_convolution(mixer, convolved),
            gate,  # decay
            gate,  # output gate
            values,  # dt_bias
            heads,  # A_log
            count_projection(hidden_size, heads),  # beta
            mixer.value_head_dim,  # norm over each head
            count_projection(values, hidden_size),  # out
        ]
    )


VARIANTS: dict[str, Callable[[LinearAttention, int], int]] = {
    "mamba2": count_mamba2,
    "mamba": count_mamba,
    "rg_lru": count_rg_lru,
    "mlstm": count_mlstm,
    "rwkv4": count_rwkv4,
    "short_conv": count_short_conv,
    "lightning": count_lightning,
    "gated_deltanet": count_gated_deltanet,
    "kda": count_kda,
}
"""The variants of LinearAttention that families have."""


def _has_output_bias(mixer: LinearAttention) -> bool:
    if mixer.output_bias is None:
        return mixer.bias
    return mixer.output_bias


def _key_channels(mixer: LinearAttention) -> int:
    return mixer.key_heads * mixer.key_head_dim


def _value_channels(mixer: LinearAttention) -> int:
    return mixer.value_heads * mixer.value_head_dim


def _count_convolution(mixer: LinearAttention, channels: int) -> int:
    """Count the depthwise short convolution; 0 if there is none."""
    taps = mixer.conv_kernel or 0
    per_channel = taps + mixer.conv_bias
    return channels * per_channel


# --- feed-forward blocks ------------------------------------------------------------------------


def count_dense(ffn: Dense, hidden_size: int) -> int:
    """Count an MLP: gate (if gated) and up, then down, and what is within."""
    up = count_projection(hidden_size, ffn.width, ffn.bias)
    down = count_projection(ffn.width, hidden_size, ffn.bias)
    total = up + down
    if ffn.gated:
        total += up
    if ffn.inner_norm:
        total += ffn.width
    if ffn.channel_mix:  # the gate of the output, and two mixes with the token before
        total += count_projection(hidden_size, hidden_size)
        total += 2 * hidden_size
    return total + ffn.activation_numbers + ffn.learned_scale


def count_expert(moe: MoE, hidden_size: int) -> int:
    """Count one routed expert, which works on the latent width if there is one."""
    expert = Dense(
        width=moe.expert_width, activation=moe.activation, gated=moe.gated, bias=moe.bias
    )
    width = moe.latent_width or hidden_size
    return count_dense(expert, width)


def count_router(moe: MoE, hidden_size: int) -> int:
    """Count a router: its matrix, vectors of one value an expert, input scale, token table."""
    router = moe.router
    choices = moe.experts + moe.zero_experts
    rows = choices
    if router.scores_shared:
        rows += moe.shared_experts
    if router.product_keys:
        rows = 2 * isqrt(choices)
    total = count_projection(hidden_size, rows, router.bias)
    if router.hidden_width:
        total = _count_router_mlp(router.hidden_width, rows, hidden_size)
    if router.carries_state:
        total += router.hidden_width or 0
    total += router.learned_scale
    if router.selection_bias:
        total += choices
    if router.expert_scale:
        total += choices
    if router.input_scale:
        total += hidden_size
    if router.token_table:
        total += router.token_table * moe.active
    return total


def _count_router_mlp(width: int, choices: int, hidden_size: int) -> int:
    """Count a router that is an MLP with a norm (modeling_zaya)."""
    return sum(
        [
            count_projection(hidden_size, width, bias=True),
            width,  # norm
            2 * count_projection(width, width, bias=True),
            count_projection(width, choices),
        ]
    )


def count_shared_experts(moe: MoE, hidden_size: int) -> int:
    """Count the shared experts, together one MLP, and their gate."""
    if not moe.shared_width:
        return 0
    gated = moe.gated if moe.shared_gated is None else moe.shared_gated
    shared = Dense(
        width=moe.shared_width,
        activation=moe.activation,
        gated=gated,
        bias=moe.shared_bias,
    )
    total = count_dense(shared, hidden_size)
    if moe.shared_gate:
        total += hidden_size
    return total
