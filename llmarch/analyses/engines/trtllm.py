"""NVIDIA TensorRT-LLM's PyTorch backend: blocks of 32 tokens in a pool.

Read in its repository at 0004396 (2026): tensorrt_llm/_torch/pyexecutor/_util.py KvCacheCreator
(configure_kv_cache_capacity, _cal_max_memory, _create_dummy_context_requests). It runs prompts of
max_num_tokens in all; the pool gets free_gpu_memory_fraction of what the device then has beyond the
peak: weights, activations and what is outside of torch.

Sliding layers keep every token (at 001541b: tensorrt_llm/_torch/pyexecutor/resource_manager.py
KVCacheManager: max_attention_window is [max_seq_len] where it is not set). A log of gpt-oss-120b
with 1.1.0rc3 shows it: 73,728 bytes a token, of 36 layers. Only Gemma 4's file sets windows; newer
sources derive them for models that choose the second cache manager (NVIDIA/TensorRT-LLM#16942 and
#18767), which is not planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from ...architecture.schema import (
    Architecture,
    Attention,
    LatentAttention,
    LinearAttention,
    Mixer,
)
from ..cache_parts import CachePart, Convention
from .base import Engine, configured_state_dtype, has_windows
from .blocks import WindowPools
from .estimates import estimate_activations, process_parts
from .pools import (
    AllowancePart,
    AllowanceRequest,
    EngineOptions,
    ExpertTile,
    GPUTraits,
    Launch,
    Pool,
    PoolRequest,
)

BLOCK_TOKENS = 32
"""Tokens of a block: KvCacheConfig.tokens_per_block."""
TRTLLM_CACHE_WORDS = ("fp8", "nvfp4")
"""Words of `--kv_cache_dtype` beside auto, for which others are the model's own dtype."""
WINDOWED_TYPES = frozenset(("gemma4", "gemma4_text", "gemma4_unified"))
"""Models whose own file gives layers their windows (is_gemma4_hybrid)."""


class TensorRTLLM(Engine):
    """NVIDIA TensorRT-LLM."""

    name = "trtllm"
    version = "0004396 (2026)"
    launch_programs = ("trtllm-serve",)
    launch_images = ("tensorrt-llm/release",)
    launch_positional = True
    launch_harmless = (
        r"(?:backend|chat-template|config|host|log-level|metadata-server-config-file|port)",
        r"(?:reasoning-parser|served-model-name|server-role|tokenizer|tool-parser)",
        r"(?:trust-remote-code|cluster-size|gpus-per-node|num-postprocess-workers|fail-fast.*)",
    )
    launch_switches = frozenset(("--trust-remote-code",))
    launch_flags = {
        "--tp-size": "tensor",
        "--tensor-parallel-size": "tensor",
        "--pp-size": "pipeline",
        "--pipeline-parallel-size": "pipeline",
        "--ep-size": "expert",
        "--moe-expert-parallel-size": "expert",
        "--max-seq-len": "context",
        "--max-num-tokens": "batched_tokens",
        "--max-batch-size": "max_sequences",
        "--kv-cache-free-gpu-memory-fraction": "utilization",
        "--free-gpu-memory-fraction": "utilization",
        "--kv-cache-dtype": "kv_dtype",
    }
    log_sign = r"\[TensorRT-LLM\]|\[TRT-LLM\]"
    log_patterns = (
        ("version", r"TensorRT-LLM version: (\S+)"),
        ("weights", r"after loading model weights \(inside torch\).*?: ([\d.]+) (GiB)"),
        ("activations", r"allocated during inference \(inside torch\).*?: ([\d.]+) (GiB)"),
        ("runtime", r"Memory used outside torch .*?: ([\d.]+) (GiB)"),
        ("gpu", r"device total memory ([\d.]+) (GiB)"),
        ("tokens", r"max tokens in paged KV cache \((\d+)\)"),
        ("tokens", r"Max tokens in paged KV cache: (\d+)"),
        ("room", r"Allocated ([\d.]+) (GiB) for max tokens in paged KV cache"),
    )
    log_keeps_last = True
    log_settings = (
        r"\b(\w+)=('[^']*'|-?[\d.]+|True|False)",
        r"\b(fraction) is set ([\d.]+)",
    )
    log_options = {
        "model": "model",
        "tensor_parallel_size": "tensor",
        "pipeline_parallel_size": "pipeline",
        "max_seq_len": "context",
        "max_num_tokens": "batched_tokens",
        "max_batch_size": "max_sequences",
        "fraction": "utilization",
    }
    files = (
        "tensorrt_llm/_torch/pyexecutor/_util.py",
        "tensorrt_llm/_torch/pyexecutor/resource_manager.py",
        "docs: features/kvcache.md",
    )
    utilization = 0.9
    utilization_meaning = "the cache, of what weights and activations leave free"
    shares_the_rest = True
    follows_checkpoint = True
    has_stages = True
    has_groups = False
    cache_dtypes = ("bf16", "fp16", "fp32", *TRTLLM_CACHE_WORDS)

    def launch(self, server: Launch) -> list[str]:
        """Return the words of `trtllm-serve` (tensorrt_llm/commands/serve.py)."""
        words = ["trtllm-serve", server.model]
        for flag, degree in (
            ("--tp_size", server.tensor),
            ("--pp_size", server.pipeline),
            ("--ep_size", server.expert),
        ):
            if degree > 1:
                words += [flag, str(degree)]
        words += ["--max_seq_len", str(server.context)]
        if server.cache_dtype in TRTLLM_CACHE_WORDS:
            words += ["--kv_cache_dtype", server.cache_dtype]
        if server.utilization is not None:
            words += ["--kv_cache_free_gpu_memory_fraction", f"{server.utilization:g}"]
        return words

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

    def limit_to_window(
        self, a: Architecture, mixer: Attention | LatentAttention, part: CachePart
    ) -> CachePart:
        """Return the part of a window; of every token, unless the model's file sets windows."""
        if a.model_type in WINDOWED_TYPES:
            return super().limit_to_window(a, mixer, part)
        return part

    def expert_tile(self, weight_format: str, gpu: GPUTraits) -> ExpertTile | None:
        """Return what its kernels pad experts to: MXFP4 to 128 channels.

        tensorrt_llm/_torch/modules/fused_moe/quantization.py; a log of gpt-oss-120b has 63.32 GiB
        of the checkpoint's 60.8.
        """
        if weight_format == "mxfp4":
            return ExpertTile(128, 128, 128)
        return None

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
        lines = [f"blocks of {BLOCK_TOKENS} tokens"]
        if a.model_type not in WINDOWED_TYPES and has_windows(mixers):
            lines.append("sliding layers keep every token (unless max_attention_window says less)")
        return [
            *lines,
            "captured graphs in what the fraction leaves free, their size is not estimated",
        ]
