"""NVIDIA TensorRT-LLM's PyTorch backend: blocks of one pool for each size of window.

Read in its repository at 0004396 (2026): tensorrt_llm/_torch/pyexecutor/_util.py KvCacheCreator
(configure_kv_cache_capacity, _cal_max_memory, _create_dummy_context_requests). It runs prompts of
max_num_tokens in all; the pool gets free_gpu_memory_fraction of what the device then has beyond the
peak: weights, activations and what is outside of torch. Blocks have 32 tokens; layers with the same
window share a pool, as its documentation says (features/kvcache.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from ...architecture.schema import Architecture, LinearAttention, Mixer
from ..cache_parts import Convention
from .base import Engine, configured_state_dtype
from .blocks import WindowPools
from .estimates import estimate_activations, process_parts
from .pools import AllowancePart, AllowanceRequest, EngineOptions, GPUTraits, Pool, PoolRequest

BLOCK_TOKENS = 32
"""Tokens of a block: KvCacheConfig.tokens_per_block."""


class TensorRTLLM(Engine):
    """NVIDIA TensorRT-LLM."""

    name = "trtllm"
    version = "0004396 (2026)"
    log_sign = r"\[TensorRT-LLM\]|\[TRT-LLM\]"
    log_patterns = (
        ("version", r"TensorRT-LLM version: (\S+)"),
        ("tokens", r"max tokens in paged KV cache \((\d+)\)"),
        ("tokens", r"Max tokens in paged KV cache: (\d+)"),
        ("room", r"Allocated ([\d.]+) (GiB) for max tokens in paged KV cache"),
    )
    log_settings = (r"\b(\w+)=('[^']*'|-?[\d.]+|True|False)",)
    log_options = {
        "model": "model",
        "tensor_parallel_size": "tensor",
        "pipeline_parallel_size": "pipeline",
        "max_seq_len": "context",
    }
    files = ("tensorrt_llm/_torch/pyexecutor/_util.py", "docs: features/kvcache.md")
    utilization = 0.9
    utilization_meaning = "the cache, of what weights and activations leave free"
    shares_the_rest = True
    follows_checkpoint = True
    has_stages = True
    cache_dtypes = ("bf16", "fp16", "fp32", "fp8", "int8", "nvfp4")

    def batched_tokens(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the tokens of one batch: max_num_tokens, 8,192 by default."""
        return options.batched_tokens or 8192

    def max_sequences(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the sequences of one batch: max_batch_size, 2,048 by default."""
        return options.max_sequences or 2048

    def state_dtype(self, a: Architecture, mixer: LinearAttention, convention: Convention) -> str:
        """Return the dtype of the recurrent state: the config's, else the model's."""
        configured = configured_state_dtype(mixer)
        return configured or convention.unquantised_dtype

    def allowance(self, request: AllowanceRequest) -> list[AllowancePart]:
        """Return what is kept beside weights and cache; it comes before the fraction.

        Prompts as long as the context fill a batch, and each gets one token sampled.
        """
        prompts = ceil(request.batched_tokens / max(1, request.context - 1))
        activations = estimate_activations(replace(request, max_sequences=prompts))
        return [activations, *process_parts(request)]

    def pool(self, request: PoolRequest) -> Pool:
        """Return the pools of blocks."""
        block = request.options.block_size or BLOCK_TOKENS
        return WindowPools(request, block)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        return [
            f"blocks of {BLOCK_TOKENS} tokens",
            "captured graphs in what the fraction leaves free, their size is not estimated",
        ]
