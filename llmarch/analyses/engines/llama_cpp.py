"""llama.cpp: one buffer of cells for the whole context, allocated at the start.

Read in the llama.cpp that llama-cpp-python 0.3.36 carries: src/llama-kv-cache.cpp,
src/llama-kv-cache-iswa.cpp, src/llama-memory-recurrent.cpp, src/llama-hparams.cpp,
src/llama-context.cpp, src/llama-model.cpp, src/llama-arch.cpp, common/arg.cpp. Each slot has its
own stream of cells (`--parallel`), padded to 256. Sliding layers have min(context, window + ubatch)
cells, padded to 256. Recurrent layers keep columns and state in float32, whatever the type of the
cache. MLA caches the latent once.

Where layers lie (src/llama-model.cpp load_tensors): the token embedding is always on the CPU (a
tied head is loaded again as output), and of n layers and the output the last `-ngl` are on GPUs,
with their cache and state (`model.dev_layer` in the caches). MTP modules that the file holds count
as layers after the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil

from ...architecture.schema import (
    Architecture,
    Attention,
    LatentAttention,
    LinearAttention,
    Mixer,
    Quantization,
)
from ...errors import ImpossiblePlan
from ..cache_parts import GGML_BLOCK_BYTES, CachePart, Convention, kv_entry_bytes
from ..ggml_files import GGML_FILES
from ..sharding import Placement, usual_placement
from ..weight_formats import SIXTEEN_BITS, Weights
from .base import Engine
from .estimates import process_parts, token_activation_bytes
from .pools import (
    AllowancePart,
    AllowanceRequest,
    EngineOptions,
    GPUTraits,
    Launch,
    Pool,
    PoolRequest,
)

CELL_PADDING = 256
"""Cells are a multiple of this (llama-context.cpp, llama-kv-cache-iswa.cpp: GGML_PAD)."""
UBATCH = 512
"""Tokens of a physical batch by default (common/common.h: n_ubatch)."""
MASK_BYTES = 2
"""Bytes of a cell of the attention mask."""
FLOAT_BYTES = 4
"""Bytes of an activation or a logit."""
FLOAT_ACTIVATIONS = 2
"""Bytes of float32 activations as a multiple of those in 16 bits."""
PIPELINE_COPIES = 4
"""Copies of a graph's inputs where GPUs work as a pipeline."""
EVERY_LAYER = 999
"""More layers than any model has, as users write it for all of them."""
KEPT_METHODS = ("gguf", "mxfp4")
"""Methods of checkpoints whose weights are kept."""
DEQUANTISED_METHODS = ("bitnet", "compressed-tensors", "fp8", "gptq", "modelopt")
"""Methods whose weights the converter writes in 16 bits, but for 4-bit floats."""
FLOAT4_BITS = 5
"""More bits a weight than 4-bit floats take with their scales."""
PLAIN_CACHE_TYPES = ("bf16", "fp16", "fp32")
FULL_SIZE_TYPES = frozenset(("mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "phi3"))
"""Models whose windows the converter or the loader leaves out: their layers keep every token
(src/llama-model.cpp: hparams.swa_type stays NONE)."""


ROLLBACK_TYPES = frozenset(
    (
        "deepseek_v4",
        "lfm2",
        "lfm2_moe",
        "lfm2_vl",
        "nemotron_h",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen3_5_moe_text",
        "qwen3_5_text",
    )
)
"""Models that keep a state more for each token that MTP modules or a head draft
(src/llama-arch.cpp llm_arch_supports_rs_rollback, common/common.h need_n_rs_seq)."""
FILES_WITH_MTP = frozenset(
    (
        "cohere2_moe",
        "deepseek_v32",
        "exaone_moe",
        "glm4_moe",
        "glm4_moe_lite",
        "glm4v_moe",
        "glm_moe_dsa",
        "hy_v3",
        "mimo_v2_flash",
        "nemotron_h",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen3_next",
        "step3p5",
        "step3p7",
    )
)
"""Models whose MTP modules the converter writes as further layers (conversion/*.py: `block_count`
grows by them)."""
_CPU = "CPU"
"""How the name of a kind begins that is not a GPU."""


GGUF_WORDS = {"fp16": "f16", "fp32": "f32"}
"""What the names of files call formats."""


def gguf_name(server: Launch) -> str:
    """Return the GGUF file of a model, as converters name it: `Qwen3-8B-Q4_K_M.gguf`."""
    if server.model.endswith(".gguf"):
        return server.model
    name = server.model.rstrip("/").rsplit("/", 1)[-1]
    format = server.weight_format or "BF16"
    return f"{name}-{GGUF_WORDS.get(format, format).upper()}.gguf"


def compute_buffer(request: AllowanceRequest) -> AllowancePart:
    """Return the largest of what a graph needs at once: a layer, or the logits.

    Activations are float32 (ggml.c: ggml_mul_mat). A layer has the mask of all cells in 16 bits
    (src/llama-graph.cpp build_attn_inp_kq_mask, with flash attention), of which pipelined GPUs
    hold four copies (ggml-backend.cpp GGML_SCHED_MAX_COPIES). Logits are reserved for every token
    of a physical batch, beside the stream that they are made of (src/llama-context.cpp
    sched_reserve: n_outputs_max is n_batch; in logs 300 to 305 MiB for Qwen3 8B). The llama-server
    that was read limits them to a token a slot (tools/server/server-context.cpp
    server_output_limits), servers before and the library do not, so that they are counted. A matrix
    on the CPU is copied for large batches (`--op-offload`).
    """
    a, tokens = request.architecture, request.batched_tokens
    copies = 1
    if request.stages > 1:
        copies = PIPELINE_COPIES
    mask = copies * tokens * pad_cells(request.context) * MASK_BYTES
    layer = FLOAT_ACTIVATIONS * tokens * token_activation_bytes(request.share)
    size = layer + mask + request.cpu_matrix_bytes
    words = f"estimate: {tokens:,} tokens through a layer, in float32, and their mask"
    if request.cpu_matrix_bytes:
        words += ", a matrix copied from the CPU"
    if request.last_stage:
        logits = FLOAT_BYTES * tokens * (a.vocab_size + a.hidden_size)
        if logits > size:
            size = logits
            words = f"estimate: the logits of {tokens:,} tokens in float32"
    return AllowancePart("activations", size, words)


class CellPool(Pool):
    """The cells of all slots, allocated for the whole context."""

    def __init__(self, request: PoolRequest) -> None:
        super().__init__(request)
        self._ubatch = request.batched_tokens
        self._slots = request.options.unified_slots
        self._full = request.options.full_windows

    def part_bytes(self, part: CachePart, tokens: int) -> int:
        """Return the bytes of the cells of one layer's part in a slot of `tokens` tokens."""
        held = pad_cells(tokens)
        if part.most_tokens is not None and not self._full:
            reach = self._slots * part.most_tokens
            held = pad_cells(min(held, reach + self._ubatch))
        if part.tokens_per_entry > 1:
            held = pad_cells(ceil(held / part.tokens_per_entry))
        return held * part.entry_bytes

    def state_bytes(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes of states: a row for each slot and drafted token.

        src/llama-memory-recurrent.cpp, src/llama-kv-cache-dsv4.cpp: 1 + n_rs_seq.
        """
        rows = 1
        if self.request.architecture.model_type in ROLLBACK_TYPES:
            rows += self.request.rolled_back
        return super().state_bytes(tokens, sequences * self._slots * rows, stage)


def split_ends(split: Sequence[float], gpus: int) -> list[Fraction]:
    """Return where the part of each GPU ends, from 0 to 1.

    split: parts of the layers; GPUs beyond them get none (src/llama-model.cpp load_tensors).

    Raises ImpossiblePlan for more parts than GPUs, or without any part.
    """
    parts = [Fraction(str(part)) for part in split] or [Fraction(1)] * gpus
    if len(parts) > gpus:
        raise ImpossiblePlan(f"the layers are split over {len(parts)} GPUs, and there are {gpus}")
    total = sum(parts)
    if total <= 0:
        raise ImpossiblePlan("no GPU gets a part of the layers")
    parts += [Fraction(0)] * (gpus - len(parts))
    return [sum(parts[:count], Fraction(0)) / total for count in range(gpus + 1)]


def pad_cells(tokens: int) -> int:
    """Return the cells that are allocated for tokens."""
    blocks = ceil(tokens / CELL_PADDING)
    return CELL_PADDING * blocks


def count_file_layers(a: Architecture) -> int:
    """Return the layers of a GGUF file (block_count), MTP modules included where it holds them."""
    layers = len(a.layers)
    if a.mtp is None:
        return layers
    if a.model_type in FILES_WITH_MTP:
        layers += a.mtp.modules
    return layers


DEVICES = r"\b(?:CUDA|Metal|ROCm|Vulkan|SYCL)\w*"
"""What logs call the device of a buffer that is not on the CPU, as a regular expression."""


class LlamaCpp(Engine):
    """llama.cpp."""

    name = "llama.cpp"
    keeps_experts_on_cpu = True
    keeps_layers_on_cpu = True
    divides_by_layers = True
    has_stages = True
    has_ranks = False
    takes_all_gpus = True
    has_slots = True
    draft_tokens = 3
    splits_cache_dtype = True
    weight_formats = (
        *SIXTEEN_BITS,
        "fp32",
        *GGML_FILES,
        "q3_k",
        "q4_k",
        "q5_k",
        "nvfp4",
        "as-stored",
    )
    cache_dtypes = (*PLAIN_CACHE_TYPES, *GGML_BLOCK_BYTES)
    version = "llama-cpp-python 0.3.36"
    files = (
        "src/llama-kv-cache.cpp",
        "src/llama-kv-cache-iswa.cpp",
        "src/llama-memory-recurrent.cpp",
        "src/llama-hparams.cpp",
        "src/llama-model.cpp",
        "common/arg.cpp",
    )
    utilization = 1.0
    smaller_formats = ("q8_0", "q6_k", "q4_k_m")
    default_cache_dtype = "fp16"
    draft_cache_dtype = "fp16"
    utilization_meaning = "weights, cells, the compute buffer and libraries"

    log_sign = r"llama_context:|llama_kv_cache|llama_model_loader:|llm_load_"
    log_patterns = (
        ("version", r"^build: (\S+)"),
        ("weights", rf"{DEVICES} model buffer size = +([\d.]+) (MiB)"),
        ("activations", rf"{DEVICES} compute buffer size = +([\d.]+) (MiB)"),
        ("cache", r"llama_kv_cache\w*: size = +([\d.]+) (MiB)"),
        ("state", r"llama_memory_recurrent: size = +([\d.]+) (MiB)"),
    )
    log_sums = ("cache", "state")
    log_failures = (
        r"failed to allocate (?:buffer|compute)[\w ]*",
        r"unable to allocate \w+ buffer",
        r"cudaMalloc failed: out of memory",
    )
    log_settings = (
        r"general\.(name) +str += +(.+)",
        r"\b(file type) += (.+)",
        r"\b(n_ctx|n_seq_max|n_ubatch) += (\d+)",
        r"\b(kv_unified) += (true|1)",
        r"\b([KV]) \((\w+)\):",
    )
    log_options = {
        "name": "model",
        "file type": "file_type",
        "n_ctx": "cells",
        "n_seq_max": "batch",
        "n_ubatch": "batched_tokens",
        "kv_unified": "unified",
        "K": "kv_dtype",
        "V": "v_dtype",
    }
    launch_programs = ("llama-server", "llama-cli", "llama-mtmd-cli", "llama-bench")
    launch_images = ("llama.cpp:server", "llama.cpp:full", "llama.cpp:light")
    launch_harmless = (
        r"(?:api|alias|chat|completion|cont|embd|grammar|host|jinja|keep|log|metrics|no-webui)"
        r"(?:-.*)?",
        r"(?:port|prio|reasoning|samplers|seed|slot|slots|ssl|temp|threads|timeout|webui)(?:-.*)?",
        r"(?:min-p|top-k|top-p|repeat|presence|frequency|predict|n-predict|mlock|mmap)(?:-.*)?",
        r"(?:perf|verbose)(?:-.*)?|kvo|kv-offload",
        r"a|b|n|t|tb|s|to|fa|batch-size|flash-attn|warmup|cache-ram|cram|cache-reuse|context-shift",
        r"hf-token|hft|spm-infill|numa|no-mmap|cb|nocb|rope-.*|yarn-.*|color|i|cnv|p|f|e|sys",
        r"ctx-.*",
        r"fit.*|poll|cpu-.*-?range|dio|direct-io|main-gpu|mg",
        r"td|tbd|(?:threads|prio|poll|cpu-(?:mask|range|strict))(?:-batch)?-draft",
        r"spec-draft-(?:threads|prio|poll|cpu-mask|cpu-range|cpu-strict)(?:-batch)?",
        r"draft-(?:min|n-min|p-min|p-split)|spec-draft-(?:n-min|p-min|p-split)",
    )
    launch_switches = frozenset(
        (
            "-kvu",
            "--kv-unified",
            "--swa-full",
            "--no-mmproj",
            "-cmoe",
            "--cpu-moe",
            "-nkvo",
            "--no-kv-offload",
        )
    )
    launch_flags = {
        "-m": "model",
        "-hf": "repository",
        "-hfr": "repository",
        "--hf-repo": "repository",
        "-kvu": "unified",
        "--kv-unified": "unified",
        "--swa-full": "full_windows",
        "--no-mmproj": "text_only",
        "-mm": "encoders",
        "--mmproj": "encoders",
        "-mmu": "encoders",
        "--mmproj-url": "encoders",
        "-ctv": "v_dtype",
        "--cache-type-v": "v_dtype",
        "-ot": "override",
        "--override-tensor": "override",
        "--model": "model",
        "-c": "cells",
        "--ctx-size": "cells",
        "-np": "batch",
        "--parallel": "batch",
        "-ub": "batched_tokens",
        "--ubatch-size": "batched_tokens",
        "-ctk": "kv_dtype",
        "--cache-type-k": "kv_dtype",
        "-ncmoe": "cpu_moe",
        "--n-cpu-moe": "cpu_moe",
        "-ngl": "gpu_layers",
        "--gpu-layers": "gpu_layers",
        "--n-gpu-layers": "gpu_layers",
        "-cmoe": "cpu_moe",
        "--cpu-moe": "cpu_moe",
        "-nkvo": "cache_on_cpu",
        "--no-kv-offload": "cache_on_cpu",
        "-ts": "split",
        "--tensor-split": "split",
        "-sm": "split_mode",
        "--split-mode": "split_mode",
        "--rope-scale": "rope_scale",
        "--rope-freq-scale": "rope_freq_scale",
        "--yarn-orig-ctx": "rope_original",
        "--spec-type": "draft_method",
        "--spec-draft-n-max": "draft_tokens",
        "--draft": "draft_tokens",
        "--draft-n": "draft_tokens",
        "--draft-max": "draft_tokens",
        "-md": "draft_model",
        "--model-draft": "draft_model",
        "--spec-draft-model": "draft_model",
        "-hfd": "draft_repository",
        "-hfrd": "draft_repository",
        "--hf-repo-draft": "draft_repository",
        "--spec-draft-hf": "draft_repository",
    }

    def launch(self, server: Launch) -> list[str]:
        """Return the words of `llama-server` (llama.cpp: common/arg.cpp).

        The context is that of all slots together.
        """
        cells = str(server.context * server.sequences)
        words = ["llama-server", "-m", gguf_name(server), "-c", cells, "-np", str(server.sequences)]
        gpu_layers = server.gpu_layers
        if gpu_layers is None:
            gpu_layers = EVERY_LAYER
        if server.on_cpu:
            gpu_layers = 0
        words += ["-ngl", str(gpu_layers)]
        if server.cpu_expert_layers:
            words += ["--n-cpu-moe", str(server.cpu_expert_layers)]
        if server.split:
            words += ["-ts", ",".join(f"{part:g}" for part in server.split)]
        if server.cache_on_cpu:
            words.append("-nkvo")
        if server.cache_dtype:
            keys, _, values = server.cache_dtype.partition("/")
            names = {"fp16": "f16", "fp32": "f32"}
            words += ["-ctk", names.get(keys, keys)]
            words += ["-ctv", names.get(values or keys, values or keys)]
        return words

    def convert_weights(self, quantization: Quantization, weights: Weights) -> Weights:
        """Return what the converter writes: 4-bit floats as they are, all else in 16 bits.

        conversion/base.py (dequant_model, _generate_nvfp4_tensors, prepare_tensors) and
        conversion/deepseek.py (experts of DeepSeek V4).

        Raises ImpossiblePlan for methods that it does not read.
        """
        method = quantization.method
        words = f"{method} {quantization.format} {quantization.experts}"
        if method in KEPT_METHODS:
            return weights
        if method not in DEQUANTISED_METHODS:
            raise ImpossiblePlan(f"{self.name}'s converter reads no checkpoints of {method}")
        if method != "fp8" and "fp4" in words:
            return weights
        keeps_floats = "fp4" in words or quantization.format == "mixed_precision"
        bits: dict[str, float] = {}
        for component, stored in weights.bits.items():
            is_kept = stored >= 16 or (keeps_floats and stored < FLOAT4_BITS)
            bits[component] = stored if is_kept else 16.0
        if bits == weights.bits:
            return weights
        source = f"{method} in 16 bits, as {self.name}'s converter writes it"
        if all(n == 16 for n in bits.values()):
            return Weights("bf16", {}, 16, source)
        kept = ", ".join(name.replace("_", " ") for name, n in bits.items() if n < 16)
        return replace(weights, bits=bits, source=f"{source}; as stored: {kept}")

    def placement(
        self, a: Architecture, stages: int, gpu: GPUTraits, options: EngineOptions
    ) -> Placement:
        """Return which GPU holds which layers: the last `-ngl` of the layers and the output.

        GPUs get the parts of `-ts`, else equal ones, as of equal free memory (`--split-mode
        layer`). On a CPU without GPUs all lie together.
        """
        if gpu.name.startswith(_CPU):
            return usual_placement(len(a.layers), stages)
        layers = count_file_layers(a)
        on_gpus = layers + 1
        if options.gpu_layers is not None:
            on_gpus = min(options.gpu_layers, on_gpus)
        start = layers + 1 - on_gpus
        ends = [start + ceil(on_gpus * share) for share in split_ends(options.split, stages)]
        ranges = [range(ends[stage], ends[stage + 1]) for stage in range(stages)]
        ranges[-1] = range(ends[-2], max(ends[-2], layers))
        head_stage = None
        if on_gpus:
            head_stage = stages - 1
        return Placement(tuple(ranges), (), head_stage, (0,))

    def batched_tokens(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the tokens of a physical batch (`--ubatch-size`)."""
        return options.batched_tokens or UBATCH

    def limit_to_window(
        self, a: Architecture, mixer: Attention | LatentAttention, part: CachePart
    ) -> CachePart:
        """Return the part of a window; in models whose windows are left out, of every token."""
        if a.model_type in FULL_SIZE_TYPES:
            return part
        return super().limit_to_window(a, mixer, part)

    def conv_dtype(self, convention: Convention) -> str:
        """Return the dtype of the convolution's columns: float32."""
        return "fp32"

    def state_dtype(self, a: Architecture, mixer: LinearAttention, convention: Convention) -> str:
        """Return the dtype of the recurrent state: float32."""
        return "fp32"

    def indexer_dtype(self, convention: Convention) -> str:
        """Return the dtype of a sparse indexer's keys: that of the cache's keys."""
        return convention.dtype

    def block_index_dtype(self, convention: Convention) -> str:
        """Return the dtype of a block index's keys: that of the cache's keys."""
        return convention.dtype

    def block_index_bytes(self, mixer: Attention, convention: Convention) -> int:
        """Return the bytes of a token in a block index: a key, and as wide a value as any head's.

        src/llama-kv-cache-msa.cpp: the cache of the index is one of keys and values.
        """
        index = mixer.block_index
        width = 0
        if index is not None:
            width = index.head_dim
        return kv_entry_bytes(1, width, mixer.v_head_dim, convention.dtype, convention.values_dtype)

    def allowance(self, request: AllowanceRequest) -> list[AllowancePart]:
        """Return what is kept beside weights and cache: the compute buffer, and the runtime."""
        return [compute_buffer(request), *process_parts(request)]

    def pool(self, request: PoolRequest) -> Pool:
        """Return the cells of a device."""
        return CellPool(request)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        lines = [f"cells padded to {CELL_PADDING}, a stream for each slot"]
        if any(isinstance(m, Attention) and m.window for m in mixers):
            lines.append("windows hold W and a physical batch, padded")
        if any(isinstance(m, LinearAttention) for m in mixers):
            lines.append("states and convolution columns in float32")
        layers = count_file_layers(a)
        own = len(a.layers)
        count = f"{own} layers"
        if layers > own:
            count += f", {layers - own} of MTP"
        lines.append(f"-ngl counts {layers + 1}: {count} and the output")
        return lines
