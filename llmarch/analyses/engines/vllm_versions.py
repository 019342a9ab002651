"""vLLM's versions: which of its rules hold since when.

Read in the sources of 0.6.6, 0.7.3, 0.8.5, 0.9.0 to 0.9.2, 0.10.2, 0.11.0 to 0.14.0, 0.16.0 to
0.28.0 and 0.30.0 to 0.33.0: v1/core/kv_cache_utils.py (groups, blocks, the tokens that are
printed), v1/kv_cache_interface.py and vllm/config/vllm.py (tokens in flight), engine/arg_utils.py
(defaults), v1/sample/ops/topk_topp_sampler.py, v1/worker/gpu_worker.py and envs.py (graphs),
platforms/interface.py and model_executor/models/config.py (blocks of hybrids).
"""

from __future__ import annotations

import re
from functools import lru_cache

from ...architecture.frozen import Frozen, frozen

VERSION_READ = "0.33.0"
"""The version whose rules hold unless another is named."""
NEW_ENGINE = (0, 8)
"""V1 is the default. Before, a prompt is one batch unless it is longer than 32,768 tokens."""
UNCHUNKED_CONTEXT = 32768
"""The longest context for which prompts were one batch before that."""
WINDOWS_GROUPED = (0, 9, 1)
"""Windows have blocks of their own; before, a model with full layers kept every token in them."""
NEAR_GROUPS = (0, 12)
"""Groups are as large as the largest kind of layers where that is below 1.25 times the smallest."""
UNSORTED = (0, 17)
"""Sampling does not sort the logits (apply_top_k_top_p_triton)."""
WIDE_GROUPS = (0, 18)
"""That ratio is 1.5."""
WIDE_LATENT_STEP = (0, 20)
"""Blocks of hybrids with MLA grow by 128 tokens, not by 64."""
GRAPHS_INSIDE = (0, 20)
"""Captured graphs are taken from the share: VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS."""
LARGER_SHARE = (0, 20)
"""gpu_memory_utilization is 0.92, not 0.9."""
PRINTED_CAPACITY = (0, 21)
"""The tokens that are printed are concurrency times context; before, blocks of a group."""
SLOT_BLOCKS = (0, 24)
"""A block of DeepSeek V4 has as many pages of each size as some group of layers needs; before, as
many of every size."""
BATCHES_COUNTED = (0, 26)
"""Windows are reserved for all batches in flight (VllmConfig.max_in_flight_tokens), not for one."""
STATES_CACHED = (0, 28)
"""Prefix caching is on by default with recurrent layers."""
LARGE_BATCHES = (0, 28)
"""16,384 tokens a batch from 160 GiB on, and graphs of up to 1,024 on data-centre Blackwell."""
DENSE_BLOCKS = (0, 28)
"""A block of DeepSeek V4 is as large as its largest group of layers."""
SMALL_SPARK = (0, 33)
"""A GB10 has the defaults of small GPUs."""

FIRST_LOADED = {
    "axk1": (0, 17),
    "beam": (0, 33),
    "cohere2_moe": (0, 21),
    "cohere_compass": (0, 30),
    "deepseek_v4": (0, 20),
    "dots3_note_text": (0, 28),
    "exaone_moe": (0, 27),
    "flint": (0, 33),
    "gemma4": (0, 19),
    "gemma4_text": (0, 19),
    "gemma4_unified": (0, 23),
    "granite_swa": (0, 30),
    "granitemoe_swa": (0, 30),
    "hrm_text": (0, 24),
    "hy_v3": (0, 20),
    "hy_v4": (0, 30),
    "hyperclovax": (0, 18),
    "inkling_text": (0, 26),
    "kolibri1": (0, 33),
    "laguna": (0, 21),
    "mellum": (0, 23),
    "minimax_m3_vl": (0, 24),
    "ministral3": (0, 20),
    "moss_transcribe_diarize": (0, 25),
    "olmo_hybrid": (0, 18),
    "qwen3_5": (0, 17),
    "qwen3_5_moe": (0, 17),
    "qwen3_5_moe_text": (0, 17),
    "qwen3_5_text": (0, 17),
    "step3p7": (0, 23),
    "vaultgemma": (0, 27),
}
"""The first version with a class for a model_type, of those that 0.16 has none for
(model_executor/models/registry.py of the versions above)."""


@frozen
class VersionRules(Frozen):
    """What holds in one version."""

    has_new_engine: bool
    """Whether prompts are chunked into batches by default (V1)."""
    groups_windows: bool
    """Whether windows have blocks of their own beside full layers."""
    group_ratio: float
    """Up to this ratio of the largest kind's layers to the smallest's, groups are as large as the
    largest kind."""
    latent_step: int
    """Tokens by which blocks of hybrids with MLA grow."""
    sorts_logits: bool
    """Whether sampling sorts the logits, and experts' buffers are freed before it."""
    has_graphs_inside: bool
    """Whether captured graphs are taken from the share."""
    utilization: float
    prints_capacity: bool
    """Whether the tokens that are printed are concurrency times context."""
    counts_batches: bool
    """Whether windows are reserved for all batches in flight."""
    caches_states: bool
    """Whether prefix caching is on by default with recurrent layers."""
    has_slot_blocks: bool
    """Whether blocks of DeepSeek V4 have pages of each size as needed."""
    has_dense_blocks: bool
    """Whether they are as large as the largest group of layers."""
    has_large_batches: bool
    """Whether GPUs of 160 GiB have larger batches, and Blackwell larger graphs."""
    has_small_spark: bool
    """Whether a GB10 has the defaults of small GPUs."""


def read_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, `0.19.1rc1` as (0, 19, 1); the one read for other text."""
    named = text or VERSION_READ
    matched = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", named)
    if matched is None:
        return read_version(VERSION_READ)
    numbers: list[int] = []
    for number in matched.groups():
        numbers.append(int(number or 0))
    return tuple(numbers)


@lru_cache
def version_rules(text: str) -> VersionRules:
    """Return what holds in a version; in the one that was read for other text."""
    version = read_version(text)
    ratio = 1.0
    if version >= NEAR_GROUPS:
        ratio = 1.25
    if version >= WIDE_GROUPS:
        ratio = 1.5
    latent_step = 64
    if version >= WIDE_LATENT_STEP:
        latent_step = 128
    utilization = 0.9
    if version >= LARGER_SHARE:
        utilization = 0.92
    return VersionRules(
        has_new_engine=version >= NEW_ENGINE,
        groups_windows=version >= WINDOWS_GROUPED,
        group_ratio=ratio,
        latent_step=latent_step,
        sorts_logits=version < UNSORTED,
        has_graphs_inside=version >= GRAPHS_INSIDE,
        utilization=utilization,
        prints_capacity=version >= PRINTED_CAPACITY,
        counts_batches=version >= BATCHES_COUNTED,
        caches_states=version >= STATES_CACHED,
        has_slot_blocks=version >= SLOT_BLOCKS,
        has_dense_blocks=version >= DENSE_BLOCKS,
        has_large_batches=version >= LARGE_BATCHES,
        has_small_spark=version >= SMALL_SPARK,
    )
