"""Estimates of what engines keep on a GPU beside weights and cache, with the parts shown.

An engine measures these by a dry run; here they are counted from the shapes of the largest tensors
and from what public logs of vLLM show (engine logs). Nothing
is fitted to a model. Sizes are bytes.
"""

from __future__ import annotations

from ...architecture.layers import used_mixers
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
    Rope,
)
from .pools import GIB, AllowancePart, AllowanceRequest

ELEMENT = 2
"""Bytes of an activation."""
LOGIT_BYTES = 38
"""Bytes of a logit while a batch is sampled with top-k and top-p: the logit in 16 and in 32 bits,
the sorted copy with 64-bit indices, and the sort's own buffers (vllm: v1/sample/ops/
topk_topp_sampler.py apply_top_k_top_p; logs give 35 to 40)."""
RESIDUALS = 3
"""Tensors as wide as the stream that are alive beside the largest pair."""
RUNTIME = GIB // 5
"""Code modules, cuBLAS workspaces and metadata of one process."""
COMMUNICATION = 2 * GIB // 5
"""Buffers of collectives between ranks."""
AMD_RUNTIME = GIB
"""What ROCm's libraries keep in addition."""
GRAPH_BYTES_PER_LAYER = 6 * 2**20
"""Bytes of captured graphs per layer of the model, over all captured batch sizes."""
AXES_POSITIONS = 4
"""Positions of a table as a multiple of the context, where positions have several axes (vllm:
mrope.py cache_max_position_num)."""
AMD_NAMES = ("MI", "RX", "Radeon")


def estimate_activations(request: AllowanceRequest) -> AllowancePart:
    """Return the largest activations of one batch: a layer's, or those of sampling."""
    forward = request.batched_tokens * token_activation_bytes(request.share)
    sampling = 0
    if request.last_stage:
        sequences = min(request.max_sequences, request.batched_tokens)
        sampling = sequences * request.architecture.vocab_size * LOGIT_BYTES
    tokens = f"{request.batched_tokens:,} tokens through a layer"
    if sampling > forward:
        sequences = min(request.max_sequences, request.batched_tokens)
        tokens = f"sampling {sequences:,} sequences over the vocabulary"
    return AllowancePart("activations", max(forward, sampling), f"estimate: {tokens}")


def token_activation_bytes(share: Architecture) -> int:
    """Return the bytes of the activations of a token at their peak, on a rank.

    A layer's widest block (an MLP's gate, up and product; the same for each chosen expert, or its
    output), and the streams.
    """
    widest = 0
    for ffn in share.ffns.values():
        widest = max(widest, _ffn_elements(ffn, share.hidden_size))
    for mixer in used_mixers(share).values():
        widest = max(widest, _mixer_elements(mixer))
    return ELEMENT * (widest + RESIDUALS * share.hidden_size)


def _ffn_elements(ffn: FFN, hidden_size: int) -> int:
    match ffn:
        case Dense(width=width):
            return 3 * width
        case MoE(active=active, expert_width=width, shared_width=shared):
            outputs = max(2 * width, hidden_size)
            return active * (outputs + width) + 3 * shared


def _mixer_elements(mixer: Mixer) -> int:
    match mixer:
        case Attention(heads=heads, kv_heads=kv_heads):
            return 2 * heads * mixer.head_dim + kv_heads * (mixer.head_dim + mixer.v_head_dim)
        case LatentAttention(heads=heads):
            key_dim = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim
            return heads * (2 * key_dim + 2 * mixer.v_head_dim)
        case CompressedAttention(heads=heads, head_dim=dim):
            return 3 * heads * dim
        case LinearAttention(key_heads=keys, value_heads=values):
            return 2 * (2 * keys * mixer.key_head_dim + 2 * values * mixer.value_head_dim)


def tables_part(request: AllowanceRequest) -> AllowancePart | None:
    """Return the tables of cosines and sines, one for each different RoPE; None without any.

    They are loaded with the weights, whole on every rank (vllm: model_executor/layers/
    rotary_embedding: base.py, linear_scaling_rope.py, yarn_scaling_rope.py, mrope.py).
    """
    sizes: dict[Rope, int] = {}
    for mixer in used_mixers(request.architecture).values():
        rope = getattr(mixer, "rope", None)
        if isinstance(rope, Rope):
            positions = table_positions(rope, request.architecture.context_length or 0)
            sizes[rope] = positions * rope.rotary_dim * ELEMENT
    total = sum(sizes.values())
    if not total:
        return None
    return AllowancePart("tables", total, "cosines and sines of all positions")


def table_positions(rope: Rope, context: int) -> int:
    """Return the positions in the table of a RoPE, for the model's own context.

    With a position of several axes four times as many: videos have more positions than tokens.
    """
    scaling = rope.scaling
    factor, original = 1.0, context
    if scaling is not None:
        factor, original = scaling.factor or 1.0, scaling.original_context or context
    match scaling and scaling.kind:
        case "linear":
            return round(context * factor)
        case "yarn":
            return round(original * factor)
        case "longrope":
            return original + context
        case _ if rope.sections is not None:
            return AXES_POSITIONS * context
        case _:
            return context


def graphs_part(request: AllowanceRequest) -> AllowancePart:
    """Return the memory of captured graphs."""
    layers = len(request.architecture.layers)
    size = layers * GRAPH_BYTES_PER_LAYER
    words = f"estimate: captured graphs of {layers} layers"
    return AllowancePart("graphs", size, words)


def runtime_part(request: AllowanceRequest) -> AllowancePart:
    """Return what the driver, the libraries and collectives keep.

    The driver keeps some of what nvidia-smi shows: torch sees 0.3 to 0.9 GiB less (23.7 of 24 GiB,
    44.4 of 45, 79.2 of 79.7, 139.8 of 140.4).
    """
    size = RUNTIME
    words = ["libraries"]
    memory = request.gpu.memory_bytes
    if memory is not None:
        size += 3 * GIB // 10 + memory // 400
        words.append("the driver's share")
    if request.ranks > 1:
        size += COMMUNICATION
        words.append("collectives")
    if request.gpu.name.startswith(AMD_NAMES):
        size += AMD_RUNTIME
    return AllowancePart("runtime", size, f"estimate: {', '.join(words)}")
