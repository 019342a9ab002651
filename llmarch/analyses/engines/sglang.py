"""SGLang: pools of tokens, one for full layers, one for sliding ones, and slots of states.

Read in sglang 0.5.23: srt/model_executor/pool_configurator.py,
srt/mem_cache/kv_cache_configurator.py, srt/configs/mamba_utils.py, srt/configs/model_config.py,
srt/arg_groups/memory_hook.py. `mem_fraction_static` is the share for weights and pools; activations
and graphs are outside of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from ...architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
)
from ..cache_parts import FIXED_ROLES, CachePart, Convention
from .base import FLOAT_FORMATS, Engine, attention_span, configured_state_dtype, has_windows
from .estimates import estimate_activations, graphs_part, process_parts
from .pools import (
    AllowancePart,
    AllowanceRequest,
    Capacity,
    EngineOptions,
    GPUTraits,
    Launch,
    Pool,
    PoolGroup,
    PoolRequest,
    ShareRequest,
    find_most,
)
from .sglang_share import (
    IMAGE_CACHE,
    default_chunk,
    default_share,
    largest_decoded_batch,
    takes_images,
)

SHARE = Fraction(4, 5)
"""The sliding pool's tokens as a share of the full pool's: swa_full_tokens_ratio (sglang:
srt/server_args.py)."""
COMPRESSED_SHARE = Fraction(1, 10)
"""The same share for DeepSeek V4, by its own default (sglang: pool_configurator.py)."""
POOLS = frozenset(
    ("llama4", "deepseek_v4", "gpt_oss", "mimo_v2_flash", "step3p5", "step3p7", "gemma4", "laguna")
)
"""Models that have a sliding pool at all; in others a sliding layer keeps every token
(sglang: model_config.py is_hybrid_swa_model)."""
STATE_SHARE = Fraction(9, 19)
"""The states' share of the room: mamba_full_memory_ratio 0.9 of states to cache (srt/
arg_groups/fields/schedule.py)."""
SLOTS_PER_REQUEST = 3
"""Slots of states that a running request takes with the radix cache on
(sglang: kv_cache_configurator.py MAMBA_CACHE_SIZE_MAX_RUNNING_REQUESTS_RATIO)."""
TRACKED_SLOTS = 2
"""Slots more of models whose states are tracked while batches overlap, as they do by default
(sglang: mem_cache/allocation_sizing.py get_mamba_tracking_slots)."""
TRACKED_TYPES = frozenset(
    (
        "qwen3_next",
        "qwen3_5",
        "qwen3_5_moe",
        "kimi_linear",
        "falcon_h1",
        "granitemoehybrid",
        "nemotron_h",
        "nemotron_h_moe",
        "bailing_hybrid",
        "bailing_moe_v2_5",
        "inkling",
        "inkling_mm_model",
    )
)
"""Models whose states are tracked (sglang: srt/arg_groups/overrides.py
_MAMBA_EXTRA_BUFFER_ARCHS)."""
DRAFTED_REQUESTS = 48
"""Running requests with speculative decoding, unless `--max-running-requests` says another
(sglang: srt/arg_groups/speculative_hook.py)."""
LONG_RING = 128
"""Tokens of a ring of which each request has one of its own."""
COMPRESSED_PAGE = 256
"""Tokens of a page of DeepSeek V4's pools (srt/arg_groups/model_overrides/deepseek_v4.py)."""
SPARE_SLOTS = 1
"""Slots beside those that max_mamba_cache_size names (srt/mem_cache/memory_pool.py)."""
UNCHECKED_COLUMNS = ("mimo_v2_flash", "mimo_v2")
"""Models whose queries, keys and values may end within a block of FP8."""


class StageMemory(NamedTuple):
    """What a token and a request take in a pipeline stage, in bytes."""

    cell: Fraction
    """A token of the full pool, with its share of the sliding one."""
    state: int
    """A slot of recurrent states."""
    ring: int
    """Rings of a request, which compressors of DeepSeek V4 work on."""


class StateSlots(NamedTuple):
    """Slots of recurrent states."""

    slots: int
    """Slots that requests and the radix cache use."""
    bytes: int
    """What they take, with the spare slot and the states of drafted tokens."""


class TokenPool(Pool):
    """SGLang's pools of tokens, and slots of states."""

    def __init__(self, request: PoolRequest) -> None:
        super().__init__(request)
        compressed = any(
            isinstance(mixer, CompressedAttention) for mixer in request.architecture.mixers.values()
        )
        share = SHARE
        if compressed:
            share = COMPRESSED_SHARE
        if request.options.sliding_share is not None:
            share = Fraction(str(request.options.sliding_share))
        self.sliding_share = share

    def part_bytes(self, part: CachePart, tokens: int) -> int:
        """Return the bytes of one layer's part: windows have a share of the tokens."""
        if part.most_tokens is None:
            return part.bytes_at(tokens)
        share = self.sliding_share
        held = tokens * share.numerator // share.denominator
        return held * part.entry_bytes

    def state_bytes(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes of the slots of sequences, and of the spare slot.

        A step that drafts keeps a state for each of its tokens besides.
        """
        one = super().state_bytes(tokens, 1, stage)
        slots = sequences + SPARE_SLOTS
        states = 1 + self._checked_tokens
        each = one * states
        return slots * each

    def capacity(self, rooms: Sequence[int], tokens: int) -> Capacity:
        """Return the tokens of the full pool, and how many sequences it holds.

        States take their share of the room first.
        """
        most = min(self._held_tokens(rooms, 1), default=0)
        slots = self._held_requests(rooms)
        concurrency = most / tokens
        if slots is not None:
            concurrency = min(concurrency, slots)
        least = min(rooms)
        room = max(0, least)
        return Capacity(room, most, concurrency)

    def fits(self, rooms: Sequence[int], tokens: int, sequences: int) -> bool:
        """Return whether the pools hold the tokens and the states of sequences."""
        if min(rooms) < 0:
            return False
        slots = self._held_requests(rooms)
        if slots is not None and slots < sequences:
            return False
        needed = sequences * tokens
        held_tokens = self._held_tokens(rooms, sequences)
        return all(held >= needed for held in held_tokens)

    def largest_batch(self, rooms: Sequence[int], tokens: int) -> int:
        """Return how many sequences of `tokens` tokens fit into the rooms of the stages."""
        most = int(self.capacity(rooms, tokens).concurrency)
        return find_most(lambda n: self.fits(rooms, tokens, n), 0, most + 1)

    def _held_tokens(self, rooms: Sequence[int], sequences: int) -> list[int]:
        """Return the tokens of the full pool of each stage that has one."""
        held: list[int] = []
        for room, memory in zip(rooms, self._stage_memory, strict=True):
            left = max(0, room)
            if memory.state:
                left = max(0, left - self._states(left, memory.state).bytes)
            left -= memory.ring * (sequences + SPARE_SLOTS)
            if memory.cell:
                held.append(max(0, int(left / memory.cell)))
        most = self.request.options.pool_tokens
        if most is not None:
            held = [min(tokens, most) for tokens in held]
        return held

    def _held_requests(self, rooms: Sequence[int]) -> float | None:
        """Return the requests that have slots of states; None without recurrent states."""
        slots = [
            self._states(max(0, room), memory.state).slots
            for room, memory in zip(rooms, self._stage_memory, strict=True)
            if memory.state
        ]
        if not slots:
            return None
        return min(slots) / self._slots_per_request

    @property
    def _slots_per_request(self) -> int:
        """Return the slots that a running request takes: one alone without the radix cache."""
        if self.request.options.prefix_caching is False:
            return 1
        if self.request.architecture.model_type.removesuffix("_text") in TRACKED_TYPES:
            return SLOTS_PER_REQUEST + TRACKED_SLOTS
        return SLOTS_PER_REQUEST

    @property
    def _checked_tokens(self) -> int:
        """Return the tokens that a step checks (speculative_num_draft_tokens); 0 if none drafts."""
        drafted = self.request.options.draft_tokens
        if not drafted:
            return 0
        return drafted + 1

    def _states(self, room: int, state: int) -> StateSlots:
        """Return the slots of states that a room gets, and what they take.

        Each running request has states of all tokens of a step besides (sglang:
        kv_cache_configurator.py _handle_max_mamba_cache).

        state: the bytes of a slot.
        """
        options, checked = self.request.options, self._checked_tokens
        each = self._slots_per_request
        if options.prefix_caching is False and options.max_sequences:
            slots = options.max_sequences
        else:
            budget = int(room * STATE_SHARE) - state * (SPARE_SLOTS + checked)
            slots = max(0, budget * each // (state * (each + checked)))
        held = slots + SPARE_SLOTS
        if checked:
            requests = min(options.max_sequences or DRAFTED_REQUESTS, slots // each)
            held += (requests + SPARE_SLOTS) * checked
        return StateSlots(slots, held * state)

    @cached_property
    def _stage_memory(self) -> list[StageMemory]:
        """Return what a token and a request take in each stage.

        A ring of DeepSeek V4's overlapping compressor is one for each page of the sliding pool, of
        the other one for each request (sglang: srt/model_executor/pool_configurator.py
        DSV4PoolConfigurator).
        """
        found: list[StageMemory] = []
        for parts in self.stages:
            cell, state, ring = Fraction(0), 0, 0
            for part, layers in parts.items():
                if part.kind == "ring" and part.ring < LONG_RING:
                    cell += self.sliding_share * layers * part.entry_bytes / COMPRESSED_PAGE
                elif part.kind == "ring":
                    ring += layers * part.entry_bytes
                elif part.role in FIXED_ROLES:
                    state += layers * part.bytes_at(1)
                elif part.most_tokens is not None:
                    cell += self.sliding_share * layers * part.bytes_per_token
                else:
                    cell += layers * part.bytes_per_token
            found.append(StageMemory(cell, state, ring))
        return found

    @property
    def groups(self) -> tuple[PoolGroup, ...]:
        """Return the pools: of full layers, of sliding ones, of states."""
        layers: dict[str, int] = {}
        for part, n in self.stages[0].items():
            if part.role in ("kv", "state"):
                kind = part.kind
                if part.most_tokens is not None:
                    kind = "sliding"
                layers[kind] = layers.get(kind, 0) + n
        return tuple(PoolGroup(kind, n, 1) for kind, n in layers.items())

    @property
    def assumptions(self) -> list[str]:
        """Return what the figures of the pool rest on, in words."""
        mixers = list(self.request.architecture.mixers.values())
        lines: list[str] = []
        if has_windows(mixers):
            lines.append("sliding layers keep every token")
            if any(part.most_tokens is not None for stage in self.stages for part in stage):
                share = float(self.sliding_share)
                lines = [f"windows in a pool of {share:g} × the tokens"]
        if any(part.role == "state" and part.kind == "recurrent" for part in self.stages[0]):
            each = self._slots_per_request
            lines.append(f"states: 9/19 of the room, one slot to spare, {each} a running request")
            if self._checked_tokens:
                lines.append(f"and {self._checked_tokens} of the tokens of a step that drafts")
        return lines


class SGLang(Engine):
    """SGLang."""

    name = "sglang"
    draft_tokens = 3
    counts_checked_tokens = True
    version = "0.5.23"
    files = (
        "srt/model_executor/pool_configurator.py",
        "srt/mem_cache/kv_cache_configurator.py",
        "srt/configs/mamba_utils.py",
        "srt/arg_groups/memory_hook.py",
    )
    utilization_meaning = "weights and pools"
    casts_float32 = True
    keeps_shared_layers = True
    needs_equal_vocabularies = True
    launch_abbreviates = True
    has_stages = True
    offloads_weights = True
    has_sparse_layouts = True
    has_decode_context = True
    cache_dtypes = ("bf16", "fp16", "fp32", "fp8", "fp8_ds_mla")
    online_formats = {
        **FLOAT_FORMATS,
        "fp8": ("--quantization", "fp8"),
        "mxfp8": ("--quantization", "mxfp8"),
        "nf4": ("--quantization", "bitsandbytes", "--load-format", "bitsandbytes"),
    }
    follows_checkpoint = True
    has_block_checks = True
    launch_programs = ("sglang", "sglang.launch_server", "launch_server")
    launch_harmless = (
        r"(?:api|chat|completion|crash|dist|enable-metrics|enable-request|host|port|log|nccl)"
        r"(?:-.*)?|nnodes(?:-.*)?",
        r"(?:node|random-seed|reasoning|revision|sampling|served|show|skip|ssl|stream)(?:-.*)?",
        r"(?:tokenizer|tool|trust|watchdog|weight-version|warmups|decode-log|download)(?:-.*)?",
        r"load(?:-.*)?",
        r"schedule-policy|schedule-conservativeness|attention-backend|.*-attention-backend",
        r"moe-(?:runner|a2a)-backend|disable-custom-all-reduce|enable-mixed-chunk|grammar-backend",
        r"device|base-gpu-id|gpu-id-step|enable-cache-report|file-storage-path|tp-comm-.*",
        r"init-expert-location|deepep-mode|load-balance-method|enable-torch-compile|model-impl",
    )
    log_sign = r"server_args=|max_total_num_tokens=|\bsglang\b"
    log_patterns = (
        ("version", r"\bsglang[ =]v?(\d[\w.]*)"),
        ("weights", r"Load weight end\..*? mem usage=([\d.]+) (GB)"),
        ("graphs", r"Capture .*?(?i:cuda graph) end\..*? mem usage=([\d.]+) (GB)"),
        ("room", r"KV Cache is allocated\..*? KV size: ([\d.]+) (GB)"),
        ("room", r"KV Cache is allocated\..*? K size: ([\d.]+) (GB), V size: ([\d.]+) (GB)"),
        ("windows_room", r"SWAKVPool mem usage: ([\d.]+) (GB)"),
        ("states_room", r"conv_state size: ([\d.]+) ?(GB), ssm_state size: ([\d.]+) ?(GB)"),
        ("tokens", r"max_total_num_tokens=(\d+)"),
    )
    log_failures = (r"Not enough memory", r"CUDA out of memory")
    log_settings = (
        r"\b(\w+)=('[^']*'|-?[\d.]+|True|False)",
        r"'(\w+)': ('[^']*'|-?[\d.]+|True|False)",
    )
    log_options = {"context_len": "context"}
    launch_switches = frozenset(
        (
            "--disable-radix-cache",
            "--disable-cuda-graph",
            "--enable-dp-attention",
            "--language-only",
        )
    )
    launch_flags = {
        "--model-path": "model",
        "--model": "model",
        "--tp-size": "tensor",
        "--tensor-parallel-size": "tensor",
        "--tp": "tensor",
        "--pp-size": "pipeline",
        "--pipeline-parallel-size": "pipeline",
        "--ep-size": "expert",
        "--ep": "expert",
        "--page-size": "block_size",
        "--swa-full-tokens-ratio": "sliding_share",
        "--decode-context-parallel-size": "decode_context",
        "--attn-dp-size": "attention_data",
        "--attention-data-parallel-size": "attention_data",
        "--enable-dp-attention": "attention_data_switch",
        "--language-only": "text_only",
        "--speculative-algorithm": "draft_method",
        "--speculative-draft-model-path": "draft_model",
        "--speculative-draft-model": "draft_model",
        "--speculative-num-draft-tokens": "draft_tokens",
        "--speculative-num-steps": "draft_steps",
        "--speculative-eagle-topk": "draft_top",
        "--quantization": "quantization",
        "--dtype": "dtype",
        "--dcp-size": "decode_context",
        "--expert-parallel-size": "expert",
        "--context-length": "context",
        "--kv-cache-dtype": "kv_dtype",
        "--mem-fraction-static": "utilization",
        "--chunked-prefill-size": "batched_tokens",
        "--max-running-requests": "max_sequences",
        "--max-total-tokens": "pool_tokens",
        "--cuda-graph-max-bs": "graph_batch",
        "--cuda-graph-max-bs-decode": "graph_batch",
        "--json-model-override-args": "overrides",
        "--disable-radix-cache": "no_prefix_caching",
        "--disable-cuda-graph": "eager",
        "--dp-size": "data",
        "--data-parallel-size": "data",
        "--dp": "data",
        "--cpu-offload-gb": "cpu_offload_gib",
    }

    def settle_log(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Return the figures of a log; the room is that of all pools, states included."""
        settled = dict(figures)
        windows = settled.pop("windows_room", None)
        states = settled.pop("states_room", 0)
        if windows is not None:
            settled["room"] = windows
        if "room" in settled:
            settled["room"] += states
        return settled

    def launch(self, server: Launch) -> list[str]:
        """Return the words of SGLang's server (sglang: srt/server_args.py).

        Groups that share experts are attention-DP, whose ranks its tensor parallelism counts
        (arg_groups/fields/parallel.py: attn_dp_size); other groups are replicas (dp_size).
        """
        words = ["python", "-m", "sglang.launch_server", "--model-path", server.model]
        shares_experts = server.data > 1 and server.expert > 1
        ranks = server.tensor
        if shares_experts:
            ranks *= server.data
        if ranks > 1:
            words += ["--tp-size", str(ranks)]
        if shares_experts:
            words += ["--attn-dp-size", str(server.data)]
        elif server.data > 1:
            words += ["--dp-size", str(server.data)]
        if server.pipeline > 1:
            words += ["--pp-size", str(server.pipeline)]
        if server.expert > 1:
            words += ["--ep-size", str(server.expert)]
        if server.decode_context > 1:
            words += ["--dcp-size", str(server.decode_context)]
        words += ["--context-length", str(server.context)]
        words += self.online_formats.get(server.weight_format, ())
        if server.offload_gib:
            words += ["--cpu-offload-gb", f"{server.offload_gib:g}"]
        if server.cache_dtype:
            names = {"fp8": "fp8_e4m3", "bf16": "bfloat16", "fp8_ds_mla": "fp8_e4m3"}
            words += ["--kv-cache-dtype", names.get(server.cache_dtype, "auto")]
        if server.utilization is not None:
            words += ["--mem-fraction-static", f"{server.utilization:g}"]
        return words

    def machine_words(self, server: Launch) -> str:
        """Return the words of one of several machines (sglang: srt/server_args.py)."""
        return (
            f"--nnodes {server.machines} --node-rank $NODE_RANK --dist-init-addr $MASTER_ADDR:20000"
        )

    def limit_to_window(
        self, a: Architecture, mixer: Attention | LatentAttention, part: CachePart
    ) -> CachePart:
        """Return the part of a window; in models without a sliding pool, of every token."""
        if a.model_type.removesuffix("_text") not in POOLS:
            return part
        reach = attention_span(mixer)
        return replace(part, most_tokens=reach)

    def sparse_dtype(self, dtype: str) -> str:
        """Return the dtype in which sparse attention keeps its cache (DSA)."""
        if dtype == "fp8":
            return "fp8_ds_mla"
        return dtype

    def state_dtype(self, a: Architecture, mixer: LinearAttention, convention: Convention) -> str:
        """Return the dtype of the recurrent state: the config's, else float32.

        srt/configs/mamba_utils.py mamba2_state_dtype.
        """
        return configured_state_dtype(mixer) or "fp32"

    def checks_columns(self, a: Architecture) -> bool:
        """Return whether queries, keys and values of a rank must be whole blocks each.

        srt/layers/quantization/fp8.py validate_block_quant_shapes; MiMo's model skips the check
        (srt/models/mimo_v2.py: skip_block_quant_check).
        """
        return a.model_type not in UNCHECKED_COLUMNS

    def share(self, request: ShareRequest) -> float:
        """Return mem_fraction_static as SGLang chooses it (`sglang_share.py`)."""
        if request.gpu.memory_bytes is None:
            return self.utilization
        return default_share(request)

    def batched_tokens(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return chunked_prefill_size by the GPU's memory: 2,048 to 16,384."""
        return options.batched_tokens or default_chunk(gpu)

    def max_sequences(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the largest batch of a captured graph of one rank: 8 to 512."""
        return largest_decoded_batch(gpu, options, 1)

    def allowance(self, request: AllowanceRequest) -> list[AllowancePart]:
        """Return activations, graphs and libraries, which are outside mem_fraction_static.

        Of the share, only what the driver and libraries keep before the weights is lost, and the
        cache of encoded images.
        """
        largest = largest_decoded_batch(request.gpu, request.options, request.ranks)
        outside = [estimate_activations(request), graphs_part(request, largest)]
        parts = [replace(part, inside=False) for part in outside]
        if takes_images(request.architecture, request.text_only):
            parts.append(AllowancePart("images", IMAGE_CACHE, "the cache of encoded images"))
        return [*parts, *process_parts(request)]

    def pool(self, request: PoolRequest) -> Pool:
        """Return the pools of a rank's cache."""
        return TokenPool(request)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        return []
