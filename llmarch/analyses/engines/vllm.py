"""vLLM: one pool of blocks that all layers share, in the share of a GPU that it may use.

Read in vLLM 0.33.0: v1/worker/gpu_worker.py (determine_available_memory), engine/arg_utils.py
(get_batch_defaults), platforms/interface.py (_align_hybrid_block_size), models/deepseek_v4/ and
model_executor/models/config.py; the planner is in `vllm_pools.py`, what other versions do otherwise
in `vllm_versions.py`. `gpu_memory_utilization` is the share of a GPU for weights, peak activations,
captured graphs and libraries; the pool gets the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from math import ceil

from ...architecture.schema import (
    Architecture,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
)
from ..cache_parts import ELEMENT_BYTES, MODEL_DTYPE_VARIANTS, CachePart, Convention
from ..weight_formats import FORMAT_BITS, GGML_FORMATS
from .base import (
    FLOAT_FORMATS,
    Engine,
    LayerParts,
    configured_state_dtype,
    has_latents,
    has_states,
    has_windows,
)
from .estimates import (
    AMD_NAMES,
    SORTED_LOGIT_BYTES,
    estimate_activations,
    graphs_part,
    process_parts,
    tables_part,
)
from .pools import (
    GIB,
    REMEMBERED,
    AllowancePart,
    AllowanceRequest,
    Capacity,
    EngineOptions,
    ExpertTile,
    GPUTraits,
    Launch,
    Pool,
    PoolGroup,
    PoolRequest,
    ShareRequest,
)
from .vllm_pools import (
    LayerSpec,
    PoolSettings,
    SpecGroup,
    block_bytes,
    block_tables,
    group_layers,
    keep_windows_whole,
    padded_block_bytes,
    stage_groups,
)
from .vllm_versions import (
    FIRST_LOADED,
    NEW_ENGINE,
    UNCHUNKED_CONTEXT,
    VERSION_READ,
    VersionRules,
    read_version,
    version_rules,
)

BLOCK = 16
"""Tokens of a block: CacheConfig.DEFAULT_BLOCK_SIZE (vllm/config/cache.py)."""
LATENT_BLOCK = 64
"""Tokens of a block that FlashMLA asks for (v1/attention/backends/mla/flashmla.py)."""
COMPRESSED_BLOCK = 256
COMPRESSED_WINDOW_BLOCK = 64
RING_BLOCKS = {4: 4, 128: 8}
"""Tokens of the blocks of DeepSeek V4's entries, window, and compressors by their ratio
(vllm: v1/attention/backends/mla/indexer.py and sparse_swa.py, models/deepseek_v4/compressor.py)."""
VLLM_CACHE_WORDS = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp8": "fp8",
    "nvfp4": "nvfp4",
    "fp8_ds_mla": "fp8_ds_mla",
    "nvfp4_ds_mla": "nvfp4_ds_mla",
    "fp8_per_token_head": "fp8_per_token_head",
    "int8_per_token_head": "int8_per_token_head",
    "int4_per_token_head": "int4_per_token_head",
}
"""What --kv-cache-dtype calls the dtypes (vllm/config/cache.py CacheDType)."""
NOT_LOADED = ("nf4", *(name for name in GGML_FORMATS if name not in FORMAT_BITS))
"""Formats of weights that it has no loader for: there is neither bitsandbytes nor GGUF in
model_executor/layers/quantization/__init__.py QuantizationMethods."""
BLACKWELL_NAMES = ("B200", "B300", "GB200", "GB300")
LARGE_GPU = 160 * GIB
MEDIUM_GPU = 70 * GIB
NO_COLUMNS = ("mamba", "short_conv", "rwkv4", "rwkv7")
"""Recurrent variants whose columns do not widen with drafted tokens (vllm: mamba_utils.py:
mamba1 and short_conv are called without num_spec)."""


class SharedBlocks(Pool):
    """vLLM's pool of blocks on a rank."""

    def __init__(self, request: PoolRequest) -> None:
        super().__init__(request)
        options = request.options
        self.rules = version_rules(options.version)
        mixers = list(request.architecture.mixers.values())
        packed = any(isinstance(mixer, CompressedAttention) for mixer in mixers)
        states = 2
        if options.prefix_caching is False:
            states = 1
        self.settings = PoolSettings(
            in_flight=request.batched_tokens * concurrent_batches(request, self.rules),
            states=states,
            decode_context=request.decode_context,
            packed=packed,
        )
        specs: list[LayerSpec] = []
        indices: list[int] = []
        for layer in request.layers:
            found = self._layer_specs(layer)
            specs += found
            indices += [layer.index] * len(found)
        if not self.rules.groups_windows:
            specs = keep_windows_whole(specs)
        self.spec_groups = group_layers(specs, packed, self.rules.group_ratio)
        self._sequence_blocks = lru_cache(REMEMBERED)(self._add_tables)
        tables = block_tables(self.spec_groups)
        self._tables = [table for table in tables if table.specs[0].kind != "state"]
        self._state_tables = [table for table in tables if table.specs[0].kind == "state"]
        self._stage_blocks = [self._block_bytes(self.spec_groups)]
        if request.stages:
            numbers = [range_of(indices, stage) for stage in request.stages]
            shares = [stage_groups(self.spec_groups, layers) for layers in numbers]
            self._stage_blocks = [self._block_bytes(share) for share in shares]

    # --- the layers' specs

    @cached_property
    def block_tokens(self) -> int:
        """Return the tokens of an attention block.

        With recurrent layers it grows until it covers the whole state of a layer, by the block
        that was asked for, by 128 with MLA (platforms/interface.py _align_hybrid_block_size).
        """
        mixers = list(self.request.architecture.mixers.values())
        if self.settings.packed:
            return COMPRESSED_BLOCK
        block = BLOCK
        if has_latents(mixers):
            block = LATENT_BLOCK
        block = self.request.options.block_size or block
        step = block
        if has_latents(mixers):
            step = max(block, self.rules.latent_step)
        state, entry = self._largest_state, self._largest_entry
        if not state or not entry:
            return block
        steps = ceil(state / (step * entry))
        return max(block, step * steps)

    @cached_property
    def _largest_state(self) -> int:
        """Return the bytes of the largest recurrent state of a layer; 0 without any."""
        return max((self._state_content(layer) for layer in self.request.layers), default=0)

    @cached_property
    def _largest_entry(self) -> int:
        """Return the bytes of a token in the attention layer that needs most; 0 without any."""
        largest = 0
        for layer in self.request.layers:
            for part in layer.parts:
                if part.kind in ("full", "latent", "sliding"):
                    largest = max(largest, part.entry_bytes)
        return largest

    def _state_content(self, layer: LayerParts) -> int:
        """Return the bytes of a layer's columns and state, with a column for each drafted token."""
        parts = [part for part in layer.parts if part.kind == "recurrent"]
        size = sum(part.entry_bytes for part in parts)
        mixer = self.request.architecture.mixers.get(layer.mixer)
        drafted = self.request.options.draft_tokens
        if drafted and isinstance(mixer, LinearAttention) and mixer.variant not in NO_COLUMNS:
            for part in parts:
                if part.role == "conv":
                    size += drafted * part.form[0] * ELEMENT_BYTES[part.dtype]
        return size

    def _layer_specs(self, layer: LayerParts) -> list[LayerSpec]:
        """Return what a layer asks of the pool."""
        specs: list[LayerSpec] = []
        for part in layer.parts:
            if part.kind != "recurrent":
                specs.append(self._part_spec(part))
        content = self._state_content(layer)
        if content:
            specs.append(self._state_spec(content))
        return specs

    def _state_spec(self, content: int) -> LayerSpec:
        """Return a state, padded to the bytes of an attention block."""
        padded = None
        page = self.block_tokens * self._largest_entry
        if page > content:
            padded = page
        drafted = self.request.options.draft_tokens
        return LayerSpec("state", self.block_tokens, content, padded, drafted=drafted)

    def _part_spec(self, part: CachePart) -> LayerSpec:
        """Return one part of a layer as a spec; DeepSeek V4's pages are padded to their unit."""
        form = (*part.form, part.dtype)
        block = self.block_tokens
        reach = part.most_tokens or 0
        match part.kind:
            case "sliding":
                return LayerSpec("sliding", block, block * part.entry_bytes, None, reach, form)
            case "chunked":
                return LayerSpec("chunked", block, block * part.entry_bytes, None, reach, form)
            case "sliding_latent":
                block = COMPRESSED_WINDOW_BLOCK
                content = block * part.entry_bytes
                return LayerSpec("sliding_mla", block, content, self._padded(content), reach, form)
            case "ring":
                return self._ring_spec(part)
            case "latent":
                content = int(block / part.tokens_per_entry) * part.entry_bytes
                form = (*form, int(part.tokens_per_entry), part.role)
                return LayerSpec("mla", block, content, self._padded(content), 0, form)
            case _ if part.role == "cross":
                return LayerSpec("cross", block, block * part.entry_bytes, None, 0, form)
            case _:
                return LayerSpec("full", block, block * part.entry_bytes, None, 0, form)

    def _ring_spec(self, part: CachePart) -> LayerSpec:
        """Return a compressor's ring: a window of float32 rows."""
        series = 2
        if part.ring == 128:
            series = 1
        block = RING_BLOCKS.get(part.ring // series, 4)
        content = block * part.entry_bytes // part.ring
        padded = self._padded(content)
        form = (part.entry_bytes // part.ring,)
        return LayerSpec("sliding_mla", block, content, padded, part.ring, form)

    def _padded(self, content: int) -> int | None:
        """Return the bytes that a page of DeepSeek V4 is padded to; None for other models."""
        if not self.settings.packed:
            return None
        unit = 512
        if self.request.convention.dtype in ("fp8", "fp8_ds_mla"):
            unit = 576
        return unit * ceil(content / unit)

    # --- the pool

    def _block_bytes(self, groups: Sequence[SpecGroup]) -> int:
        """Return the bytes of a block over the layers of a stage."""
        if self.settings.packed and not self.rules.has_dense_blocks:
            return padded_block_bytes(groups, self.rules.has_slot_blocks)
        return block_bytes(groups)

    def blocks_for(self, tokens: int) -> int:
        """Return the blocks that a sequence of `tokens` tokens takes."""
        return self._sequence_blocks(tokens)

    def _add_tables(self, tokens: int) -> int:
        growing = sum(table.blocks(tokens, self.settings) for table in self._tables)
        return growing + self._state_blocks

    def cache_bytes(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes of the blocks of all groups but the recurrent ones."""
        blocks = self.blocks_for(tokens) - self._state_blocks
        return sequences * blocks * self._stage_blocks[stage]

    def state_bytes(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes of the blocks that hold states."""
        return sequences * self._state_blocks * self._stage_blocks[stage]

    @cached_property
    def _state_blocks(self) -> int:
        return sum(table.blocks(1, self.settings) for table in self._state_tables)

    def block_count(self, rooms: Sequence[int]) -> int:
        """Return the blocks of the pool: as many as the stage with least has, or as asked for.

        v1/core/kv_cache_utils.py may_override_num_blocks.
        """
        if self.request.options.blocks is not None:
            return self.request.options.blocks
        counts = [
            max(0, room) // size
            for room, size in zip(rooms, self._stage_blocks, strict=True)
            if size
        ]
        return min(counts, default=0)

    def fits(self, rooms: Sequence[int], tokens: int, sequences: int) -> bool:
        """Return whether sequences of `tokens` tokens fit; one block is held back as the null."""
        if not self.spec_groups:
            return True
        needed = sequences * self.blocks_for(tokens)
        return needed < self.block_count(rooms)

    def capacity(self, rooms: Sequence[int], tokens: int) -> Capacity:
        """Return what vLLM prints: tokens in the pool, and maximum concurrency at the context."""
        blocks = self.block_count(rooms)
        one = self.blocks_for(tokens)
        concurrency = 0.0
        if one:
            concurrency = blocks / one
        held = int(concurrency * tokens)
        if not self.rules.prints_capacity:
            held = self._tokens_of_a_group(blocks)
        return Capacity(
            memory_bytes=max(0, min(rooms)),
            tokens=held,
            concurrency=concurrency,
            blocks=blocks,
            block_bytes=max(self._stage_blocks),
            blocks_per_sequence=one,
        )

    def _tokens_of_a_group(self, blocks: int) -> int:
        """Return the tokens of the blocks that one of the groups has, as versions before printed.

        v1/core/kv_cache_utils.py _report_kv_cache_config.
        """
        shortest = min((group.specs[0].block for group in self.spec_groups), default=0)
        groups = max(1, len(self.spec_groups))
        return blocks // groups * shortest * self.settings.decode_context

    def largest_batch(self, rooms: Sequence[int], tokens: int) -> int:
        """Return how many sequences of `tokens` tokens fit into the rooms of the stages."""
        one = self.blocks_for(tokens)
        if not one:
            return 0
        return max(0, self.block_count(rooms) - 1) // one

    @property
    def groups(self) -> tuple[PoolGroup, ...]:
        """Return the groups of layers that share blocks."""
        words = map(group_words, self.spec_groups)
        return tuple(words)

    @property
    def assumptions(self) -> list[str]:
        """Return what the figures of the pool rest on, in words."""
        mixers = list(self.request.architecture.mixers.values())
        lines = [f"pages of {self.block_tokens:,} tokens"]
        if self.settings.packed:
            lines = ["pages of 256 tokens, 64 of a window, 4 or 8 of a compressor"]
        if has_windows(mixers):
            tokens = self.settings.in_flight
            line = f"windows reserved for {tokens:,} tokens in flight"
            if concurrent_batches(self.request, self.rules) == 1 and self.rules.counts_batches:
                line += " (a batch; two with --async-scheduling, the default from 0.26 on)"
            lines.append(line)
        if has_states(mixers):
            lines.append(self._state_words())
        sizes = {len(group.layers) for group in self.spec_groups}
        if len(self.spec_groups) > 1:
            lines.append(f"{len(self.spec_groups)} groups of up to {max(sizes)} layers")
        return lines

    def _state_words(self) -> str:
        if self.settings.states == 2:
            return "two states a sequence (prefix caching on)"
        return "one state a sequence (prefix caching off)"


def concurrent_batches(request: PoolRequest, rules: VersionRules) -> int:
    """Return the batches that are scheduled and not yet settled.

    As many as there are pipeline stages, two of one stage if batches overlap (vllm/config/vllm.py
    max_concurrent_batches); one up to 0.25.
    """
    if not rules.counts_batches:
        return 1
    return max(request.options.batches_in_flight or 1, len(request.stages))


def group_words(group: SpecGroup) -> PoolGroup:
    """Return a group as it is shown."""
    spec = group.specs[0]
    layers = len(group.layers)
    return PoolGroup(spec.kind, layers, spec.block)


def range_of(indices: Sequence[int], stage: range) -> range:
    """Return the numbers of the specs whose decoder layer is in a stage; they are consecutive."""
    numbers = [number for number, index in enumerate(indices) if index in stage]
    if not numbers:
        return range(0)
    return range(numbers[0], numbers[-1] + 1)


class VLLM(Engine):
    """vLLM."""

    name = "vllm"
    version = VERSION_READ
    files = (
        "v1/core/kv_cache_planning.py",
        "v1/core/kv_cache_utils.py",
        "v1/kv_cache_interface.py",
        "v1/worker/gpu_worker.py",
        "platforms/interface.py",
        "engine/arg_utils.py",
    )
    utilization = version_rules("").utilization
    utilization_meaning = "weights, activations, graphs, libraries and the pool"
    casts_float32 = True
    has_stages = True
    offloads_weights = True
    has_sparse_layouts = True
    has_decode_context = True
    cache_dtypes = (*VLLM_CACHE_WORDS, "fp32")
    online_formats = {
        **FLOAT_FORMATS,
        "fp8": ("--quantization", "fp8_per_block"),
        "mxfp8": ("--quantization", "mxfp8"),
        "mxfp4": ("--quantization", "mxfp4"),
    }
    """Of older versions are `fp8` and `bitsandbytes` (vllm/config/quantization.py)."""
    formats_not_loaded = NOT_LOADED
    has_version_rules = True
    needs_equal_vocabularies = True
    launch_abbreviates = True
    other_versions = ("0.16", "0.19")
    follows_checkpoint = True
    divides_experts_across_groups = True
    has_block_checks = True
    launch_programs = (
        "vllm",
        "vllm.entrypoints.openai.api_server",
        "vllm.entrypoints.api_server",
        "vllm.entrypoints.cli.main",
    )
    launch_others = ("bench", "chat", "complete", "run-batch", "collect-env", "launch")
    launch_images = ("vllm-openai", "vllm/vllm")
    launch_positional = True
    launch_suffixes = True
    machine_note = ", and --headless on the others"
    launch_harmless = (
        r"O[123]|speculative-max-model-len|max-seq-len-to-capture",
        r"(?:api|allow|allowed|chat|code|collect|disable-log|distributed|enable-log|generation|log)"
        r"(?:-.*|ing-.*)?",
        r"(?:logits|master|middleware|otlp|override-generation|profiler|reasoning)(?:-.*)?",
        r"(?:response|return|root|seed|served|show|ssl|stream|structured|tokenizer|tool)(?:-.*)?",
        r"trust(?:-.*)?",
        r"(?:uvicorn|fail|shutdown|aggregate|hf-token|headless|host|port|nnodes|node|numa)(?:-.*)?",
        r"n|r",
        r"download-dir|load-format|revision|enable-auto-tool-choice|enable-prompt-tokens-details",
        r"enable-chunked-prefill|max-logprobs|scheduling-policy|disable-custom-all-reduce|uds",
        r"disable-access-log.*|disable-uvicorn.*|guided-decoding-.*|runner|task|convert",
        r"config-format",
        r"data-parallel-(?:address|rpc-port|backend|size-local|start-rank|hybrid-lb|external-lb)",
        r"dp[alpbhernm]|mm-processor-.*|limit-mm-.*|all2all-backend|moe-backend|attention-backend",
        r"enable-request-id-headers|enable-server-load-tracking|kv-cache-metrics.*|swap-space",
        r"safetensors-.*|use-tqdm-on-load|ignore-patterns|device|use-v2-block-manager",
    )
    log_sign = r"vLLM API server version|Initializing an? (?:V1 )?LLM engine|\bvllm\b"
    log_patterns = (
        ("version", r"vLLM API server version (\S+)"),
        ("version", r"LLM engine \(v([^)\s]+)\)"),
        ("weights", r"[Mm]odel loading took ([\d.]+) (Gi?B)"),
        ("weights", r"[Ll]oading model weights took ([\d.]+) (Gi?B)"),
        ("weights", r"model weights take ([\d.]+)(GiB)"),
        ("weights", r"weights memory: ([\d.]+)(GiB)"),
        ("activations", r"PyTorch activation peak memory takes ([\d.]+)(GiB)"),
        ("activations", r"torch peak memory increase: ([\d.]+)(GiB)"),
        ("runtime", r"non_torch_memory takes ([\d.]+)(GiB)"),
        ("runtime", r"non-torch forward increase memory: ([\d.]+)(GiB)"),
        ("graphs", r"Graph capturing finished in .*? took ([\d.]+) (GiB)"),
        ("graphs", r"Estimated CUDA graph memory: ([\d.]+) (GiB)"),
        ("gpu", r"total_gpu_memory \(([\d.]+)(GiB)\)"),
        ("gpu", r"\btotal_memory=([\d.]+)(GiB)"),
        ("room", r"Available KV cache memory: (-?[\d.]+) (GiB)"),
        ("room", r"memory reserved for KV Cache is ([\d.]+)(GiB)"),
        ("tokens", r"GPU KV cache size: ([\d,]+) tokens"),
        ("blocks", r"# (?:GPU|cuda) blocks: (\d+)"),
        ("concurrency", r"Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x"),
    )
    log_failures = (
        r"No available memory for the cache blocks",
        r"To serve at least one request with the model.*?(?= Try |$)",
        r"Free memory on device .*? is less than desired GPU memory utilization",
        r"CUDA out of memory",
    )
    log_settings = (
        r"'(\w+)': ('[^']*'|-?[\d.]+|True|False)",
        r"\b(\w+)=('[^']*'|-?[\d.]+|True|False|\w+)",
    )
    log_options = {"max_seq_len": "context"}
    launch_switches = frozenset(
        (
            "--enable-expert-parallel",
            "-ep",
            "--async-scheduling",
            "--no-async-scheduling",
            "--language-model-only",
            "--enable-prefix-caching",
            "--no-enable-prefix-caching",
            "--enforce-eager",
            "--enable-lora",
        )
    )
    launch_flags = {
        "--model": "model",
        "--tensor-parallel-size": "tensor",
        "-tp": "tensor",
        "--pipeline-parallel-size": "pipeline",
        "-pp": "pipeline",
        "--data-parallel-size": "data",
        "-dp": "data",
        "--decode-context-parallel-size": "decode_context",
        "-dcp": "decode_context",
        "--enable-expert-parallel": "expert",
        "-ep": "expert",
        "--async-scheduling": "async_scheduling",
        "--no-async-scheduling": "no_async_scheduling",
        "--language-model-only": "text_only",
        "--limit-mm-per-prompt": "encoder_limits",
        "--kv-cache-memory-bytes": "pool_bytes",
        "--kv-cache-memory": "pool_bytes",
        "--speculative-config": "speculative",
        "-sc": "speculative",
        "--speculative-config.method": "draft_method",
        "--speculative-config.model": "draft_model",
        "--speculative-config.num-speculative-tokens": "draft_tokens",
        "--speculative-model": "draft_model",
        "--num-speculative-tokens": "draft_tokens",
        "--rope-scaling": "rope_scaling",
        "--hf-overrides": "overrides",
        "--max-cudagraph-capture-size": "graph_batch",
        "--compilation-config": "compilation",
        "-cc": "compilation",
        "-O": "compilation",
        "--compilation-config.cudagraph-mode": "graph_mode",
        "-cc.cudagraph_mode": "graph_mode",
        "-O.cudagraph_mode": "graph_mode",
        "-O0": "eager",
        "--spec-method": "draft_method",
        "--spec-model": "draft_model",
        "--spec-tokens": "draft_tokens",
        "--quantization": "quantization",
        "-q": "quantization",
        "--dtype": "dtype",
        "--enable-prefix-caching": "prefix_caching",
        "--max-model-len": "context",
        "--kv-cache-dtype": "kv_dtype",
        "--gpu-memory-utilization": "utilization",
        "--device-memory-utilization": "utilization",
        "--max-num-batched-tokens": "batched_tokens",
        "--max-num-seqs": "max_sequences",
        "--block-size": "block_size",
        "--num-gpu-blocks-override": "blocks",
        "--cpu-offload-gb": "cpu_offload_gib",
        "--no-enable-prefix-caching": "no_prefix_caching",
        "--enforce-eager": "eager",
        "--enable-lora": "enable_lora",
        "--max-loras": "adapters",
        "--max-lora-rank": "adapter_rank",
    }

    def launch(self, server: Launch) -> list[str]:
        """Return the words of `vllm serve` (vllm: engine/arg_utils.py)."""
        words = ["vllm", "serve", server.model]
        for flag, degree in (
            ("--tensor-parallel-size", server.tensor),
            ("--pipeline-parallel-size", server.pipeline),
            ("--data-parallel-size", server.data),
            ("--decode-context-parallel-size", server.decode_context),
        ):
            if degree > 1:
                words += [flag, str(degree)]
        if server.expert > 1:
            words.append("--enable-expert-parallel")
        words += ["--max-model-len", str(server.context)]
        words += self.online_formats.get(server.weight_format, ())
        if server.offload_gib:
            words += ["--cpu-offload-gb", f"{server.offload_gib:g}"]
        if server.cache_dtype:
            words += ["--kv-cache-dtype", VLLM_CACHE_WORDS.get(server.cache_dtype, "auto")]
        if server.utilization is not None:
            words += ["--gpu-memory-utilization", f"{server.utilization:g}"]
        return words

    def machine_words(self, server: Launch) -> str:
        """Return the words of one of several machines (vllm: engine/arg_utils.py, parallel.py).

        Those after the first are started with --headless. Groups of ranks within a machine are
        numbered by its rank.
        """
        words = f"--nnodes {server.machines} --node-rank $NODE_RANK --master-addr $MASTER_ADDR"
        if server.data > 1 and server.data % server.machines == 0:
            words += f" --data-parallel-size-local {server.data // server.machines}"
        return words

    def block_index_dtype(self, convention: Convention) -> str:
        """Return the dtype of a block index's keys: they are not quantised."""
        return convention.unquantised_dtype

    def auto_cache_dtype(self, a: Architecture, gpu: GPUTraits) -> str:
        """Return FP8 for GLM with sparse attention on a B200 and its kin.

        model_executor/models/config.py GlmMoeDsaForCausalLM, Glm5NextModelConfig.
        """
        is_sparse = any(isinstance(m, LatentAttention) and m.indexer for m in a.mixers.values())
        if is_sparse and a.model_type.startswith("glm") and gpu.is_any_of(BLACKWELL_NAMES):
            return "fp8"
        return ""

    def sparse_dtype(self, dtype: str) -> str:
        """Return the dtype in which sparse attention keeps its cache.

        FlashMLA's sparse kernels keep an fp8 cache as fp8_ds_mla
        (v1/attention/backends/mla/flashmla_sparse.py).
        """
        if dtype == "fp8":
            return "fp8_ds_mla"
        return dtype

    def state_dtype(self, a: Architecture, mixer: LinearAttention, convention: Convention) -> str:
        """Return the dtype of the recurrent state.

        What the config says (LinearAttention.state_dtype), else the model's dtype, but float32 for
        KDA, RWKV and Nemotron-H (vllm: mamba_utils.py
        MambaStateDtypeCalculator, models/config.py).
        """
        if mixer.variant in MODEL_DTYPE_VARIANTS:
            return convention.unquantised_dtype
        configured = configured_state_dtype(mixer)
        if configured:
            return configured
        if mixer.variant in ("kda", "rwkv4", "rwkv7") or a.model_type == "nemotron_h":
            return "fp32"
        return convention.unquantised_dtype

    def is_newer(self, version: str) -> bool:
        """Return whether a version is newer than the one that was read."""
        return read_version(version) > read_version(self.version)

    def versions_that_load(self, a: Architecture) -> list[str]:
        """Return those of the other versions that load a model, the oldest first.

        Each stands for the versions up to it (model_executor/models/registry.py).
        """
        first = FIRST_LOADED.get(a.model_type, NEW_ENGINE)
        return [version for version in self.other_versions if read_version(version) >= first]

    def resolve_options(
        self, a: Architecture, options: EngineOptions, context: int
    ) -> EngineOptions:
        """Return options with the defaults of the version that is named.

        Prefixes of recurrent layers are kept by default from 0.28 on, two batches are in flight
        from 0.26 on, and up to 0.7 a prompt of at most 32,768 tokens is one batch. Without a
        version one batch is in flight, as vLLM's planner is asked for (docs/cache.md).
        """
        if not options.version:
            return options
        rules = version_rules(options.version)
        if options.prefix_caching is None and not rules.caches_states:
            has_no_states = not has_states(list(a.mixers.values()))
            options = replace(options, prefix_caching=has_no_states)
        if options.batches_in_flight is None and rules.counts_batches:
            options = replace(options, batches_in_flight=2)
        is_one_batch = not rules.has_new_engine and context <= UNCHUNKED_CONTEXT
        if options.batched_tokens is None and is_one_batch:
            options = replace(options, batched_tokens=max(context, 2048))
        return options

    def share(self, request: ShareRequest) -> float:
        """Return gpu_memory_utilization: 0.92, up to 0.19 0.9."""
        return version_rules(request.options.version).utilization

    def batched_tokens(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return max_num_batched_tokens of a server, by the GPU's memory.

        16,384 from 160 GiB, 8,192 from 70 GiB but for an A100 or a GB10, else 2,048.
        """
        if options.batched_tokens:
            return options.batched_tokens
        rules = version_rules(options.version)
        if not _is_large_tier(gpu, rules):
            return 2048
        is_largest = gpu.memory_bytes is not None and gpu.memory_bytes >= LARGE_GPU
        if is_largest and rules.has_large_batches:
            return 16384
        return 8192

    def max_sequences(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return max_num_seqs of a server: 1,024 where batches are large, else 256."""
        if options.max_sequences:
            return options.max_sequences
        if _is_large_tier(gpu, version_rules(options.version)):
            return 1024
        return 256

    def expert_tile(self, weight_format: str, gpu: GPUTraits) -> ExpertTile | None:
        """Return what its kernels pad experts to; None if they do not.

        MXFP4: 256 channels of the stream, 128 of an expert (Marlin on Hopper, TensorRT-LLM's
        kernels on Blackwell), 256 each on AMD (vllm: fused_moe/oracle/mxfp4.py
        mxfp4_round_up_hidden_size_and_intermediate_size). NVFP4: 64 of an expert, 128 without a
        gate (vllm: quantization/utils/flashinfer_fp4_moe.py).
        """
        if weight_format == "mxfp4":
            if gpu.is_any_of(AMD_NAMES):
                return ExpertTile(256, 256, 256)
            return ExpertTile(256, 128, 128)
        if weight_format == "nvfp4":
            return ExpertTile(1, 64, 128)
        return None

    def allowance(self, request: AllowanceRequest) -> list[AllowancePart]:
        """Return activations, graphs and libraries, which gpu_memory_utilization includes.

        Up to 0.16 logits were sorted and experts' buffers freed; up to 0.19 graphs came on top of
        the share.
        """
        rules = version_rules(request.options.version)
        if rules.sorts_logits:
            activations = estimate_activations(request, SORTED_LOGIT_BYTES, keeps_workspace=False)
        else:
            activations = estimate_activations(request)
        graphs = graphs_part(request, largest_captured_batch(request, rules))
        if not rules.has_graphs_inside:
            graphs = replace(graphs, inside=False)
        parts = [activations, graphs, *process_parts(request)]
        tables = tables_part(request)
        if tables is not None:
            parts.append(tables)
        return parts

    def pool(self, request: PoolRequest) -> Pool:
        """Return the pool of a rank's cache."""
        return SharedBlocks(request)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        sparse = any(isinstance(m, LatentAttention) and m.indexer for m in mixers)
        if sparse:
            return ["an fp8 cache of sparse attention as fp8_ds_mla"]
        return []


def largest_captured_batch(request: AllowanceRequest, rules: VersionRules) -> int:
    """Return the tokens of the largest captured graph (vllm/config/vllm.py _set_cudagraph_sizes).

    Twice the tokens of a decoding step, at most 512, on a B200 and its kin 1,024.
    """
    most = 512
    if rules.has_large_batches and request.gpu.is_any_of(BLACKWELL_NAMES):
        most = 1024
    if request.options.graph_batch:
        return min(request.options.graph_batch, request.batched_tokens)
    step = request.max_sequences * (1 + request.options.draft_tokens)
    return min(2 * step, most, request.batched_tokens)


def _is_large_tier(gpu: GPUTraits, rules: VersionRules) -> bool:
    """Return whether a GPU has vLLM's defaults of large ones: from 70 GiB on, or not known.

    A100 and GB10 have the small ones. Its defaults are those of the first GPU, which may be of any
    of the kinds.
    """
    if gpu.memory_bytes is None:
        return True
    small = "a100"
    if rules.has_small_spark:
        small = "a100|gb10|spark"
    is_small = all(re.search(small, kind.lower()) for kind in gpu.kinds)
    return gpu.memory_bytes >= MEDIUM_GPU and not is_small
