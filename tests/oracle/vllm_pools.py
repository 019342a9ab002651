"""What vLLM's own planner makes of the layers of bundled models: blocks, tokens, concurrency.

Run where vLLM 0.33.0's Python files are on the path, with torch for the CPU (no GPU is needed):

    PYTHONPATH=VLLM_FILES:. python tests/oracle/vllm_pools.py

It builds vLLM's own specs (v1/kv_cache_interface.py) from the facts of each bundled model, with the
shapes of states from vLLM's MambaStateShapeCalculator and the blocks of hybrids from its
Platform._align_hybrid_block_size, and asks get_kv_cache_configs and get_kv_cache_capacity. A
stand-in takes the place of the engine's configuration. llmarch's own rules of pools are not used.
Writes tests/fixtures/vllm_pools.json.gz.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.modules["torchvision"] = sys.modules["timm"] = None  # type: ignore[assignment]
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import torch  # noqa: E402
import vllm.config.vllm as vllm_config_module  # noqa: E402
import vllm.model_executor.layers.mamba.abstract as mamba_abstract  # noqa: E402
import vllm.model_executor.models as vllm_models  # noqa: E402
from vllm.model_executor.layers.mamba.mamba_utils import (  # noqa: E402
    MambaStateShapeCalculator as Shapes,
)
from vllm.platforms.interface import Platform  # noqa: E402
from vllm.v1.attention.backend import MultipleOf  # noqa: E402
from vllm.v1.core import kv_cache_planning as planning  # noqa: E402
from vllm.v1.core import kv_cache_utils as utils  # noqa: E402
from vllm.v1.kv_cache_interface import (  # noqa: E402
    ChunkedLocalAttentionSpec,
    FullAttentionSpec,
    KVCacheSpec,
    MambaSpec,
    MLAAttentionSpec,
    SlidingWindowMLASpec,
    SlidingWindowSpec,
)
from vllm.v1.kv_cache_layout import KVCacheLayout  # noqa: E402

import llmarch  # noqa: E402
from llmarch.architecture.layers import mixer_names  # noqa: E402
from llmarch.architecture.schema import (  # noqa: E402
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
)

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "tests" / "fixtures" / "vllm_pools.json.gz"
NOT_IN_VLLM = ("recurrent_gemma",)
"""Model types that vLLM 0.33.0 has no model for (model_executor/models/registry.py)."""
PLAIN = ("llama3-8b", "qwen3-235b", "deepseek-v3", "deepseek-v3.2", "glm-5.2", "mistral-7b")
ROWS_A_MODEL = 56
CONTEXTS = (777, 4096, 20000, 32768, 131072, 262144)
TORCH_DTYPES = {"bf16": torch.bfloat16, "fp8": torch.uint8}
STATE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, None: None}
GIB = 2**30


class Stand(SimpleNamespace):
    """A configuration of which attributes that nobody set are None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def engine_config(row: dict[str, Any], packed: bool, hybrid: bool) -> Stand:
    """Return the stand-in for the engine's configuration."""
    layout = KVCacheLayout.LBNHC
    if packed:
        layout = KVCacheLayout.BLHNC
    drafts = row["draft"]
    mode = "align" if row["prefix"] and hybrid else "none"
    return Stand(
        model_config=Stand(
            max_model_len=row["context"],
            original_max_model_len=row["context"],
            supports_kv_cache_grouping=False,
            architectures=[],
            dtype=torch.bfloat16,
        ),
        cache_config=Stand(
            block_size=row["block"],
            enable_prefix_caching=row["prefix"],
            mamba_cache_mode=mode,
            cache_dtype="auto" if row["kv"] == "bf16" else "fp8",
            kv_cache_layout=layout.name,
            get_resolved_kv_cache_layout=lambda: layout,
        ),
        parallel_config=Stand(
            tensor_parallel_size=row["tp"],
            decode_context_parallel_size=row["dcp"],
            prefill_context_parallel_size=1,
            pipeline_parallel_size=1,
        ),
        scheduler_config=Stand(
            max_num_batched_tokens=row["batched"],
            disable_hybrid_kv_cache_manager=False,
            max_num_encoder_input_tokens=0,
        ),
        attention_config=Stand(hisparse_config=None),
        device_config=Stand(device_type="cuda"),
        speculative_config=None,
        max_in_flight_tokens=row["batched"],
        num_prefill_lookahead_tokens=0,
        num_speculative_tokens=drafts,
    )


# --- specs of layers ----------------------------------------------------------------------------


def state_spec(a: Architecture, m: LinearAttention, tp: int, drafts: int) -> tuple[Any, Any]:
    """Return shapes and dtypes of one recurrent layer, by vLLM's calculators."""
    model = torch.bfloat16
    kernel = m.conv_kernel or 0
    match m.variant:
        case "lightning":
            shapes = Shapes.linear_attention_state_shape(m.value_heads, tp, m.value_head_dim)
            return shapes, (model,)
        case "short_conv":
            return Shapes.short_conv_state_shape(tp, m.value_head_dim, kernel), (model,)
        case "mamba2":
            width = m.value_heads * m.value_head_dim
            shapes = Shapes.mamba2_state_shape(
                tp,
                width,
                m.key_heads,
                m.value_heads,
                m.value_head_dim,
                m.key_head_dim,
                kernel,
                drafts,
            )
        case "gated_deltanet":
            shapes = Shapes.gated_delta_net_state_shape(
                tp, m.key_heads, m.value_heads, m.key_head_dim, m.value_head_dim, kernel, drafts
            )
        case "kda":
            shapes = Shapes.kda_state_shape(
                tp, m.value_heads, m.value_head_dim, m.key_heads, m.key_head_dim, kernel, drafts
            )
            return shapes, (model, torch.float32)
        case _:
            raise ValueError(m.variant)
    state = STATE_DTYPES[m.state_dtype]
    if state is None:
        state = torch.float32 if a.model_type == "nemotron_h" else model
    return shapes, (model, state)


def mixer_specs(
    a: Architecture, name: str, row: dict[str, Any], config: Stand
) -> Iterator[tuple[str, KVCacheSpec]]:
    """Yield the specs that a layer with this mixer registers."""
    m, tp = a.mixers[name], row["tp"]
    block, dtype = config.cache_config.block_size, TORCH_DTYPES[row["kv"]]
    match m:
        case Attention(kv_from=str()):
            return
        case Attention():
            kv = dict(
                num_kv_heads=max(1, m.kv_heads // tp),
                head_size=m.head_dim,
                head_size_v=m.v_head_dim,
                dtype=dtype,
                block_size=block,
            )
            if m.window:
                yield "attn", SlidingWindowSpec(**kv, sliding_window=m.window)
            elif m.chunk:
                yield "attn", ChunkedLocalAttentionSpec(**kv, attention_chunk_size=m.chunk)
            else:
                yield "attn", FullAttentionSpec(**kv)
            if m.block_index:
                yield (
                    "index",
                    MLAAttentionSpec(
                        block_size=block,
                        num_kv_heads=1,
                        head_size=m.block_index.head_dim,
                        dtype=torch.bfloat16,
                    ),
                )
        case LatentAttention():
            sparse = m.indexer is not None or m.index_from is not None
            packed_bytes = 656 if sparse and row["kv"] == "fp8" else None
            yield (
                "attn",
                MLAAttentionSpec(
                    block_size=block,
                    num_kv_heads=1,
                    head_size=m.kv_lora_rank + m.qk_rope_head_dim,
                    dtype=dtype,
                    state_content_bytes=packed_bytes,
                    is_index_group_leader=m.indexer is not None,
                ),
            )
            if m.indexer:
                width = m.indexer.head_dim + m.indexer.head_dim // 128 * 4
                yield (
                    "index",
                    MLAAttentionSpec(
                        block_size=block, num_kv_heads=1, head_size=width, dtype=torch.uint8
                    ),
                )
        case CompressedAttention():
            yield from compressed_specs(m, row)
        case LinearAttention():
            shapes, dtypes = state_spec(a, m, tp, row["draft"])
            yield (
                "state",
                MambaSpec(
                    shapes=tuple(map(tuple, shapes)),
                    dtypes=dtypes,
                    block_size=config.cache_config.mamba_block_size or row["context"],
                    page_size_padded=config.cache_config.mamba_page_size_padded,
                    mamba_cache_mode=config.cache_config.mamba_cache_mode,
                    num_speculative_blocks=row["draft"],
                ),
            )


def compressed_specs(m: CompressedAttention, row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield DeepSeek V4's specs (models/deepseek_v4/attention.py, compressor.py, sparse_swa.py)."""
    packed = row["kv"] == "fp8"
    alignment = 576 if packed else 512
    dtype = torch.uint8 if packed else torch.bfloat16
    content = 584 if packed else None
    version = "deepseek_v4"
    yield (
        "swa",
        SlidingWindowMLASpec(
            block_size=64,
            num_kv_heads=1,
            head_size=m.head_dim,
            dtype=dtype,
            sliding_window=m.window,
            state_content_bytes=content,
            alignment=alignment,
            model_version=version,
        ),
    )
    if not m.ratio:
        return
    yield (
        "attn",
        MLAAttentionSpec(
            block_size=256,
            num_kv_heads=1,
            head_size=m.head_dim,
            dtype=dtype,
            tokens_per_state=m.ratio,
            alignment=alignment,
            model_version=version,
            state_content_bytes=content,
        ),
    )
    coff = 1 + (m.ratio == 4)
    block = {4: 4, 128: 8}[m.ratio]
    yield "state", ring_spec(block, 2 * coff * m.head_dim, coff * m.ratio, alignment)
    if m.indexer:
        width = m.indexer.head_dim + m.indexer.head_dim // 128 * 4
        yield (
            "index",
            MLAAttentionSpec(
                block_size=256,
                num_kv_heads=1,
                head_size=width,
                dtype=torch.uint8,
                tokens_per_state=m.ratio,
                alignment=alignment,
            ),
        )
        yield (
            "index_state",
            ring_spec(block, 2 * coff * m.indexer.head_dim, coff * m.ratio, alignment),
        )


def ring_spec(block: int, width: int, window: int, alignment: int) -> SlidingWindowMLASpec:
    """Return the spec of a compressor's state."""
    return SlidingWindowMLASpec(
        block_size=block,
        num_kv_heads=1,
        head_size=width,
        dtype=torch.float32,
        sliding_window=window,
        alignment=alignment,
    )


def align_hybrid(a: Architecture, row: dict[str, Any], config: Stand) -> None:
    """Set the blocks of a model with recurrent layers, by vLLM's own function."""
    kinds = {m.kind for m in used(a)}
    attention = [m for m in used(a) if isinstance(m, (Attention, LatentAttention))]
    if "linear_attention" not in kinds or not attention:
        config.cache_config.mamba_block_size = row["context"]
        return
    first = attention[0]
    latent = isinstance(first, LatentAttention)
    states = next(m for m in used(a) if isinstance(m, LinearAttention))
    shapes, dtypes = state_spec(a, states, row["tp"], row["draft"])
    model = SimpleNamespace(
        get_mamba_state_shape_from_config=lambda c: shapes,
        get_mamba_state_dtype_from_config=lambda c: dtypes,
    )
    if isinstance(first, LatentAttention):
        heads, width = 1, first.kv_lora_rank + first.qk_rope_head_dim
    else:
        heads, width = max(1, first.kv_heads // row["tp"]), first.head_dim
    config.model_config.use_mla = latent
    config.model_config.get_num_kv_heads = lambda p: heads
    config.model_config.get_head_size = lambda: width
    backend = SimpleNamespace(
        customize_spec=lambda spec: spec,
        get_supported_kernel_block_sizes=lambda: [64] if latent else [MultipleOf(16)],
    )
    platform = type(
        "P", (Platform,), {"_find_non_ssm_backends": classmethod(lambda c, v: [backend])}
    )
    vllm_models.ModelRegistry.resolve_model_cls = lambda *x, **k: (model, "")  # type: ignore
    mamba_abstract.get_mamba_prefill_checkpoint_alignment = lambda c: None  # type: ignore
    vllm_config_module.set_current_vllm_config = lambda *x, **k: contextlib.nullcontext()  # type: ignore
    platform._align_hybrid_block_size(config, backend)  # type: ignore
    if config.cache_config.mamba_block_size is None:
        config.cache_config.mamba_block_size = row["context"]


def used(a: Architecture) -> list[Any]:
    """Return the mixers that layers use."""
    names = dict.fromkeys(name for kind in a.layers for name in mixer_names(a, kind))
    return [a.mixers[name] for name in names]


def ask(a: Architecture, row: dict[str, Any]) -> dict[str, Any]:
    """Return the planner's answer to a row."""
    mixers = used(a)
    packed = any(isinstance(m, CompressedAttention) for m in mixers)
    hybrid = any(isinstance(m, LinearAttention) for m in mixers)
    config = engine_config(row, packed, hybrid)
    if config.cache_config.block_size is None:
        latent = any(isinstance(m, LatentAttention) for m in mixers)
        config.cache_config.block_size = 64 if latent else 16
    align_hybrid(a, row, config)
    kinds = list(a.layers)
    if row["draft"] and a.mtp is not None and a.mtp.layer_kind is not None:
        kinds += [a.mtp.layer_kind] * a.mtp.modules
    specs: dict[str, KVCacheSpec] = {}
    for i, kind in enumerate(kinds):
        for j, name in enumerate(mixer_names(a, kind)):
            for part, spec in mixer_specs(a, name, row, config):
                specs[f"layers.{i}.{j}.{part}"] = spec
    groups = planning.get_global_kv_cache_groups(config, [specs])
    try:
        configs = planning.get_kv_cache_configs(config, [specs], [row["bytes"]], groups)
    except ValueError as error:
        if "larger than the available" in str(error) or "No available memory" in str(error):
            return {"fits": False}
        raise
    tokens, concurrency = utils.get_kv_cache_capacity(
        config, utils.generate_scheduler_kv_cache_config(configs)
    )
    pool = configs[0]
    return {
        "fits": True,
        "blocks": pool.num_blocks,
        "block_bytes": sum(t.size for t in pool.kv_cache_tensors[:1]) // max(1, pool.num_blocks),
        "tokens": tokens,
        "concurrency": concurrency,
        "groups": sorted(len(g.layer_names) for g in pool.kv_cache_groups),
    }


# --- rows ---------------------------------------------------------------------------------------


def sample(a: Architecture, rng: random.Random) -> dict[str, Any]:
    """Return a row of random settings that the model can have."""
    mixers = used(a)
    windows = any(isinstance(m, Attention) and (m.window or m.chunk) for m in mixers)
    compressed = any(isinstance(m, CompressedAttention) for m in mixers)
    latent = any(isinstance(m, LatentAttention) for m in mixers)
    tp = rng.choice((1, 2, 4, 8))
    dcp = 1
    if not windows and not compressed and rng.random() < 0.4:
        heads = [m.kv_heads for m in mixers if isinstance(m, Attention)]
        copies = min((max(1, tp // h) for h in heads), default=tp)
        dcp = rng.choice([d for d in (1, 2, 4, 8) if copies % d == 0])
    block = None
    if not compressed and rng.random() < 0.4:
        block = rng.choice((64, 128, 256) if latent else (16, 32, 64, 128))
    drafts = 0
    if a.mtp is not None and a.mtp.modules == 1 and a.mtp.layer_kind and rng.random() < 0.4:
        drafts = rng.choice((1, 2, 3))
    return {
        "tp": tp,
        "dcp": dcp,
        "kv": rng.choice(("bf16", "bf16", "fp8")),
        "context": rng.choice(CONTEXTS),
        "batched": rng.choice((1024, 2048, 8192, 16384)),
        "block": block,
        "prefix": rng.random() < 0.6,
        "draft": drafts,
        "bytes": int(rng.choice((0.5, 2, 8, 15.58, 44.59, 109.9)) * GIB * rng.uniform(0.9, 1.1)),
    }


def models() -> list[str]:
    """Return the bundled models with more than one kind of cache, and the plain kinds."""
    names: list[str] = []
    for path in sorted((ROOT / "specs").glob("*.json")):
        if path.stem == "index":
            continue
        a = llmarch.load(str(path)).architecture
        if a.model_type not in NOT_IN_VLLM and (path.stem in PLAIN or len(used(a)) > 1):
            names.append(path.stem)
    return names


def main() -> None:
    """Write the fixture."""
    rows: list[dict[str, Any]] = []
    for name in models():
        a = llmarch.load(name).architecture
        rng = random.Random(name)
        for _ in range(ROWS_A_MODEL):
            row = sample(a, rng)
            heads = [m for m in used(a) if isinstance(m, (Attention, LinearAttention))]
            if any(not divides(m, row["tp"]) for m in heads):
                row["tp"], row["dcp"] = 1, 1
            try:
                rows.append({"model": name, **row, "answer": ask(a, row)})
            except NotImplementedError as error:
                rows.append({"model": name, **row, "answer": {"refused": str(error)[:80]}})
        print(name, len(rows), flush=True)
    with gzip.GzipFile(OUT, "wb", mtime=0) as out:
        out.write(json.dumps({"vllm": "0.33.0", "rows": rows}).encode())


def divides(m: Attention | LinearAttention, tp: int) -> bool:
    """Return whether a mixer can be divided over ranks."""
    if isinstance(m, Attention):
        even = m.heads % tp == 0
        return even and (m.kv_heads % tp == 0 or tp % m.kv_heads == 0)
    if m.variant == "short_conv":
        return m.value_head_dim % tp == 0
    if m.variant == "mamba2" and m.key_heads == 1:
        return m.value_heads % tp == 0
    return m.value_heads % tp == 0 and m.key_heads % tp == 0


if __name__ == "__main__":
    main()
