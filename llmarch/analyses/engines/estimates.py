"""Estimates of what engines keep on a GPU beside weights and cache, with the parts shown.

An engine measures these by a dry run; here they are counted from the shapes of the largest tensors
and from what public logs of vLLM show (engine logs). Nothing
is fitted to a model. Sizes are bytes.
"""

from __future__ import annotations

from typing import NamedTuple

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
    Tower,
)
from .pools import GIB, AllowancePart, AllowanceRequest

ELEMENT = 2
"""Bytes of an activation."""
LOGIT_BYTES = 14
"""Bytes of a logit while a batch is sampled: the logit in 16 and in 32 bits, its probability and a
random number in 32 bits (vllm: v1/sample/sampler.py, v1/sample/ops/topk_topp_sampler.py
forward_native and random_sample; 52 logs of vLLM 0.19 give 14 to 15 in all)."""
SORTED_LOGIT_BYTES = 38
"""The same where logits are sorted for top-k and top-p, as vLLM did up to 0.16: with a sorted copy,
64-bit indices and the sort's own buffers (logs give 35 to 40)."""
RESIDUALS = 3
"""Tensors as wide as the stream that are alive beside the largest pair, or while sampling."""
RUNTIME = GIB // 4
"""Code modules, cuBLAS workspaces and metadata of one process (logs of vLLM from 0.18 on: 0.24 to
0.27 GiB)."""
COMMUNICATION = 2 * GIB // 5
"""Buffers of collectives between other ranks."""
SWITCH_COMMUNICATION = 37 * GIB // 20
"""Buffers of collectives between ranks whose NVLink switches reduce (NCCL's NVLS, from Hopper on;
logs of vLLM 0.19 on H100: 1.82 GiB with 2 ranks to 1.96 with 4, whatever the model; of 0.10 on
A100, which has none: 0.1 to 0.3)."""
AMD_RUNTIME = GIB
"""What ROCm's libraries keep in addition."""
GRAPH_BYTES_PER_LAYER = 3 * 2**20 // 8
"""Bytes of a layer's captured graphs for each captured batch size, of both kinds (50 logs of vLLM
0.19: 0.2 MiB of piecewise graphs, 0.17 of full ones)."""
FIRST_GRAPH_BYTES = 2**27
"""Bytes of the first captured graph (logs: 84 to 224 MiB)."""
SPLITS = 32
"""Parts into which attention divides a sequence in captured graphs, with a float32 result each
(logs: 32 * batch * heads * dim * 4 bytes to the MiB; vllm: v1/attention/backends/flash_attn.py
max_num_splits)."""
AXES_POSITIONS = 4
"""Positions of a table as a multiple of the context, where positions have several axes (vllm:
mrope.py cache_max_position_num)."""
MOST_IMAGE_TOKENS = 16384
"""Tokens of the largest image where any size is taken: max_pixels of Qwen's processors
(transformers: models/qwen2_vl/image_processing_qwen2_vl.py: 28 * 28 * 1280 by default, 12,845,056
pixels in the published files)."""
AMD_NAMES = ("MI", "RX", "Radeon")
SWITCH_NAMES = ("H100", "H200", "H20", "H800", "GH200", "B200", "B300", "GB")
"""How the names of GPUs begin whose NVLink switches reduce, unless they say PCIe."""


def estimate_activations(
    request: AllowanceRequest, logit_bytes: int = LOGIT_BYTES, keeps_workspace: bool = True
) -> AllowancePart:
    """Return the largest activations of one batch: a layer's, or those of sampling.

    logit_bytes: bytes of a logit while a batch is sampled.
    keeps_workspace: whether the buffers of routed experts stay allocated while a batch is sampled.
    """
    share, batched = request.share, request.batched_tokens
    workspace = 0
    if keeps_workspace:
        workspace = batched * ELEMENT * workspace_elements(share)
    forward = batched * token_activation_bytes(share, with_experts=not keeps_workspace)
    sampling = 0
    sequences = min(request.max_sequences, batched)
    if request.last_stage:
        sampling = sequences * request.architecture.vocab_size * logit_bytes
        if keeps_workspace:
            sampling += batched * ELEMENT * RESIDUALS * share.hidden_size
    words = f"{batched:,} tokens through a layer"
    if sampling > forward:
        words = f"sampling {sequences:,} sequences over the vocabulary"
    if workspace:
        words += f", buffers of experts for {batched:,} tokens"
    size = max(forward, sampling) + workspace
    encoded = encoder_pass(request)
    size += encoded.features
    if encoded.activations > size:
        size = encoded.activations
        words = f"{encoded.patches:,} patches through a layer of the encoder"
    return AllowancePart("activations", size, f"estimate: {words}")


class EncoderPass(NamedTuple):
    """What the largest batch of images takes."""

    patches: int = 0
    activations: int = 0
    """Bytes of the activations in a layer of the encoder."""
    features: int = 0
    """Bytes of the encoded tokens, which are kept while the decoder runs."""


def encoder_pass(request: AllowanceRequest) -> EncoderPass:
    """Return what the largest batch of images takes; nothing without an encoder that runs.

    As many images of the largest size as a batch of tokens has room for, at least one (vllm:
    v1/worker/gpu_model_runner.py profile_run, v1/core/encoder_cache_manager.py
    compute_mm_encoder_budget).
    """
    found = EncoderPass()
    if request.text_only:
        return found
    for tower in request.architecture.towers.values():
        if isinstance(tower, Tower):
            one = image_patches(tower)
            images = max(1, request.batched_tokens // max(1, one // tower.merge**2))
            patches = images * one
            width = 2 * tower.ffn.width + RESIDUALS * tower.hidden_size
            tokens = patches // tower.merge**2
            features = tokens * request.share.hidden_size * ELEMENT
            if patches * width * ELEMENT > found.activations:
                found = EncoderPass(patches, patches * width * ELEMENT, features)
    return found


def image_patches(tower: Tower) -> int:
    """Return the patches of the largest image: of its own size, else of 16,384 tokens."""
    if tower.image_size is None:
        merged = tower.merge**2
        return MOST_IMAGE_TOKENS * merged
    side = tower.image_size // tower.patch_size
    return side * side


def workspace_elements(share: Architecture) -> int:
    """Return the elements of a token in the buffers that routed experts keep allocated.

    For each chosen expert its activation or its output, and its gate and up or its output, in two
    buffers (vllm: model_executor/layers/fused_moe/experts/triton_moe.py workspace_shapes; 8 logs of
    vLLM 0.19 agree within 4 %).
    """
    most = 0
    for ffn in share.ffns.values():
        if isinstance(ffn, MoE):
            stream = ffn.latent_width or share.hidden_size
            entry = ffn.expert_width
            if ffn.gated:
                entry *= 2
            buffers = max(ffn.expert_width, stream) + max(entry, stream)
            most = max(most, ffn.active * buffers)
    return most


def token_activation_bytes(share: Architecture, with_experts: bool = True) -> int:
    """Return the bytes of the activations of a token at their peak, on a rank.

    A layer's widest block (an MLP's gate, up and product; the same for each chosen expert, or its
    output), and the streams.

    with_experts: whether routed experts count.
    """
    widest = 0
    for ffn in share.ffns.values():
        if isinstance(ffn, MoE) and not with_experts:
            widest = max(widest, 3 * ffn.shared_width)
            continue
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


def graphs_part(request: AllowanceRequest, largest: int) -> AllowancePart:
    """Return the memory of captured graphs.

    largest: the largest batch that is captured.
    """
    layers = len(request.architecture.layers)
    sizes = count_captured_sizes(largest)
    first = max(FIRST_GRAPH_BYTES, split_bytes(request.share, min(largest, request.max_sequences)))
    size = layers * GRAPH_BYTES_PER_LAYER * sizes + first
    words = f"estimate: graphs of {layers} layers for {sizes} batches up to {largest:,}"
    return AllowancePart("graphs", size, words)


def count_captured_sizes(largest: int) -> int:
    """Return how many batch sizes are captured up to the largest.

    1, 2, 4, then every 8th below 256 and every 16th from there on (vllm/config/vllm.py
    _set_cudagraph_sizes).
    """
    small = sum(size <= largest for size in (1, 2, 4))
    eights = len(range(8, min(largest + 1, 256), 8))
    sixteens = len(range(256, largest + 1, 16))
    return small + eights + sixteens


def split_bytes(share: Architecture, sequences: int) -> int:
    """Return the bytes of the partial results of attention that is divided into splits."""
    widest = 0
    for mixer in used_mixers(share).values():
        match mixer:
            case (
                Attention(heads=heads, v_head_dim=dim)
                | LatentAttention(heads=heads, kv_lora_rank=dim)
            ):
                widest = max(widest, heads * dim)
            case _:
                pass
    return SPLITS * sequences * widest * 4


def process_parts(request: AllowanceRequest) -> list[AllowancePart]:
    """Return what each process takes whatever it runs: libraries, and the driver's share.

    torch sees 0.3 to 0.9 GiB less than the driver shows (23.7 of 24 GiB, 44.4 of 45, 79.2 of 79.7,
    139.8 of 140.4); nothing is known of it without a GPU.
    """
    parts = [_runtime_part(request)]
    memory = request.gpu.memory_bytes
    if memory is not None:
        words = "estimate: the driver's share of the memory that it shows"
        parts.append(AllowancePart("driver", memory - usable_memory(memory), words))
    return parts


def _runtime_part(request: AllowanceRequest) -> AllowancePart:
    """Return what libraries and collectives keep."""
    size = RUNTIME
    words = ["libraries"]
    name = request.gpu.name
    if request.ranks > 1:
        size += COMMUNICATION
        if request.gpu.is_any_of(SWITCH_NAMES) and "PCIe" not in name:
            size += SWITCH_COMMUNICATION - COMMUNICATION
        words.append("collectives")
    if request.gpu.is_any_of(AMD_NAMES):
        size += AMD_RUNTIME
    return AllowancePart("runtime", size, f"estimate: {', '.join(words)}")


def usable_memory(shown: int) -> int:
    """Return the bytes that programs see of what the driver shows."""
    return shown - 3 * GIB // 10 - shown // 400


def shown_memory(usable: int) -> int:
    """Return the bytes that the driver shows where programs see so many."""
    return (usable + 3 * GIB // 10) * 400 // 399
