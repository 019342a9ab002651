"""The share of a GPU that SGLang chooses for weights and pools: its `mem_fraction_static`.

Read in sglang 0.5.23: srt/arg_groups/memory_hook.py (handle_gpu_memory_settings,
reserve_for_graph_mb, adjust_mem_fraction_for_vlm), srt/arg_groups/cuda_graph_hook.py and
srt/model_executor/cuda_graph_config.py (prompts that are captured), srt/configs/model_config.py
(models whose images are off by default).
"""

from __future__ import annotations

from ...architecture.encoders import Tower
from ...architecture.layers import used_mixers
from ...architecture.schema import (
    Architecture,
    CompressedAttention,
    LinearAttention,
)
from .base import has_latents
from .estimates import AMD_NAMES
from .pools import GIB, EngineOptions, GPUTraits, ShareRequest

MIB = 2**20
CHUNKS = ((20, 2048), (60, 4096), (160, 8192))
"""Tokens of a chunk up to a GPU's GiB; beyond the last 16,384."""
DECODED_BATCHES = ((20, 8, 8), (35, 48, 160), (60, 32, 160), (160, 256, 512))
"""The largest captured batch up to a GPU's GiB, with less than four ranks and with more; beyond
the last 512."""
LARGEST_BATCH = 512
MANY_RANKS = 4
SMALLEST_CHUNK = 2048
WIDE_RESERVE_GPU = 60 * GIB
"""From here on at least 10 GiB are left out."""
LARGE_RESERVE = 10 * 1024
LATENT_PROMPTS = 1536
"""MiB of captured prompts with MLA."""
MANY_SEQUENCES = 300
"""Captured sequences from which attention-DP pads more."""
IMAGES_OFF = frozenset(("gemma3", "llama4", "step3_vl", "inkling_mm_model"))
"""Models that take no images unless `--enable-multimodal` is said (mm_disabled_models)."""
CAPTURED_WITH_IMAGES = frozenset(
    ("qwen3_5", "qwen3_5_moe", "kimi_k25", "minimax_m3_vl", "cohere2_vision", "paddleocr_vl")
)
"""Models that take images and whose prompts are captured all the same
(multimodal_breakable_cuda_graph_supported_model_archs)."""
DECODER_WIDTHS = frozenset(("qwen2_vl",))
"""Models whose vision_config says the decoder's width in `hidden_size` (transformers:
configuration_qwen2_vl.py)."""
STATED_WIDTHS = {"gemma3n": 2048}
"""Widths of vision configs that describe no ViT (transformers: configuration_gemma3n.py)."""
USUAL_TOWER = 24 * 1024**2
"""Layers times width squared of the encoder to which others are compared (ViT-L/14)."""
IMAGE_CACHE = 100 * MIB
"""Bytes of the cache of encoded images, taken from the pools' room
(sglang: kv_cache_configurator.py mm_runtime_reservation_gb: SGLANG_VLM_CACHE_SIZE_MB)."""


def default_chunk(gpu: GPUTraits) -> int:
    """Return chunked_prefill_size by the GPU's memory: 2,048 to 16,384."""
    memory = gpu.memory_bytes
    if memory is None:
        return 4096
    for limit, tokens in CHUNKS:
        if memory < limit * GIB:
            return tokens
    return 16384


def largest_decoded_batch(gpu: GPUTraits, options: EngineOptions, ranks: int) -> int:
    """Return the largest batch of a captured graph; at most `--max-running-requests`.

    `--cuda-graph-max-bs` says another.
    """
    if options.graph_batch:
        return options.graph_batch
    batch = LARGEST_BATCH
    memory = gpu.memory_bytes
    if memory is None:
        batch = 160
    else:
        for limit, few, many in DECODED_BATCHES:
            if memory < limit * GIB:
                batch = many if ranks >= MANY_RANKS else few
                break
    if options.max_sequences:
        batch = min(batch, options.max_sequences)
    return batch


def takes_images(a: Architecture, text_only: bool) -> bool:
    """Return whether a server takes images by default."""
    return bool(a.towers) and not text_only and a.model_type not in IMAGES_OFF


def default_share(request: ShareRequest) -> float:
    """Return mem_fraction_static of a GPU whose memory is known.

    The GPU without 512 MiB, 1.5 MiB a token of a chunk, 128 MiB a rank and what graphs take; at
    least 10 GiB from 60 GiB on. With an encoder of images it is cut by a twentieth and more.
    """
    memory = request.gpu.memory_bytes or 0
    chunk = request.options.batched_tokens or default_chunk(request.gpu)
    reserved = 512.0 + 1.5 * max(chunk, SMALLEST_CHUNK)
    reserved += request.ranks * request.stages * 128
    reserved += graph_reserve(request, chunk)
    if memory > WIDE_RESERVE_GPU:
        reserved = max(reserved, LARGE_RESERVE)
    total = memory / MIB
    share = round((total - reserved) / total, 3)
    return share * encoder_factor(request.architecture, request.text_only)


def graph_reserve(request: ShareRequest, chunk: int) -> float:
    """Return the MiB that are left out for captured graphs."""
    if request.eager:
        return 0
    batch = largest_decoded_batch(request.gpu, request.options, request.ranks)
    reserved = 2.0 * batch
    if request.groups > 1:
        reserved += 3 * batch * request.groups
        if batch > MANY_SEQUENCES:
            reserved += 1.5 * batch * request.groups
    if captures_prompts(request):
        if has_latents(list(used_mixers(request.architecture).values())):
            reserved += LATENT_PROMPTS
        else:
            reserved += 8 * count_prompt_sizes(chunk)
    return reserved


def captures_prompts(request: ShareRequest) -> bool:
    """Return whether prompts run in captured graphs, as they do on CUDA unless a rule says no."""
    a = request.architecture
    if request.stages > 1 or request.has_decode_context or request.gpu.is_any_of(AMD_NAMES):
        return False
    for mixer in used_mixers(a).values():
        if isinstance(mixer, CompressedAttention):
            return False
        if isinstance(mixer, LinearAttention) and mixer.variant == "kda":
            return False
    return not takes_images(a, request.text_only) or a.model_type in CAPTURED_WITH_IMAGES


def count_prompt_sizes(most: int) -> int:
    """Return how many numbers of tokens are captured up to the most.

    sglang: cuda_graph_hook.py generate_prefill_cuda_graph_batch_sizes.
    """
    steps = (
        range(4, 33, 4),
        range(48, 257, 16),
        range(288, 513, 32),
        range(576, 1025, 64),
        range(1280, 4097, 256),
        range(4608, most + 1, 512),
    )
    return sum(size <= most for sizes in steps for size in sizes)


def encoder_factor(a: Architecture, text_only: bool) -> float:
    """Return by what the share is multiplied for an encoder of images: 0.76 to 0.9975."""
    if not takes_images(a, text_only):
        return 1
    layers, width = 24, STATED_WIDTHS.get(a.model_type, 1024)
    for tower in a.towers.values():
        if isinstance(tower, Tower):
            layers, width = tower.layers, tower.hidden_size
            break
    if a.model_type in DECODER_WIDTHS:
        width = a.hidden_size
    growth = layers * width**2 / USUAL_TOWER - 1
    return 0.95 * max(0.8, min(1.05, 1 - 0.1 * growth))
