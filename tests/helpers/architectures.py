"""Architectures written down by hand, for tests of analyses: of models without a family yet, and of
single mixers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmarch.architecture.schema import (
    Architecture,
    Attention,
    BlockIndex,
    Branch,
    CompressedAttention,
    Embedding,
    Head,
    Indexer,
    LatentAttention,
    LayerKind,
    LinearAttention,
    Mixer,
    Step,
)


def architecture(
    mixers: Mapping[str, Mixer],
    layers: Sequence[str | tuple[str, ...]],
    *,
    model_type: str = "test",
    hidden_size: int = 4096,
    context: int | None = None,
) -> Architecture:
    """A decoder of these mixers; a layer is the name of one, or of several in turn."""
    kinds = {
        "+".join(k) if isinstance(k, tuple) else k: k if isinstance(k, tuple) else (k,)
        for k in layers
    }
    return Architecture(
        family="test",
        model_type=model_type,
        hidden_size=hidden_size,
        vocab_size=1000,
        context_length=context,
        dtype="bfloat16",
        embedding=Embedding(tied=True),
        head=Head(),
        final_norm=None,
        mixers=dict(mixers),
        ffns={},
        norms={},
        layer_kinds={
            name: LayerKind(steps=tuple(Step(branches=(Branch(block=f"mixers.{m}"),)) for m in k))
            for name, k in kinds.items()
        },
        layers=tuple("+".join(k) if isinstance(k, tuple) else k for k in layers),
    )


def gqa(heads: int, kv_heads: int, k: int, v: int | None = None, **more: Any) -> Attention:
    return Attention(heads=heads, kv_heads=kv_heads, head_dim=k, v_head_dim=v or k, **more)


def mla(
    heads: int = 128, rank: int = 512, rope: int = 64, indexer: Indexer | None = None, **more: Any
) -> LatentAttention:
    dims = {"q_lora_rank": 1536, "qk_nope_head_dim": 128, "v_head_dim": 128} | more
    return LatentAttention(
        heads=heads, kv_lora_rank=rank, qk_rope_head_dim=rope, indexer=indexer, **dims
    )


def lightning_indexer(heads: int = 64, dim: int = 128, top_k: int = 2048) -> Indexer:
    return Indexer(heads=heads, head_dim=dim, top_k=top_k, rope_dim=min(64, dim))


def recurrent(
    variant: Any,
    key: tuple[int, int],
    value: tuple[int, int],
    conv: int | None = 4,
    state_dtype: str | None = None,
) -> LinearAttention:
    """`key` and `value`: heads and head dim."""
    return LinearAttention(
        variant=variant,
        key_heads=key[0],
        key_head_dim=key[1],
        value_heads=value[0],
        value_head_dim=value[1],
        conv_kernel=conv,
        state_dtype=state_dtype,
    )


def mamba2(heads: int, head_dim: int, groups: int, state: int, conv: int = 4) -> LinearAttention:
    return recurrent("mamba2", (groups, state), (heads, head_dim), conv)


def v4(
    ratio: int,
    *,
    heads: int = 64,
    dim: int = 512,
    rope: int = 64,
    window: int = 128,
    index_dim: int = 128,
    top_k: int = 512,
) -> CompressedAttention:
    """DeepSeek V4: a window alone (0), CSA (4, with an indexer), HCA (128)."""
    index = (
        Indexer(heads=64, head_dim=index_dim, top_k=top_k, rope_dim=rope) if ratio == 4 else None
    )
    return CompressedAttention(
        heads=heads,
        head_dim=dim,
        rope_dim=rope,
        q_lora_rank=1024,
        o_groups=8,
        o_lora_rank=1024,
        window=window,
        ratio=ratio,
        series=2 if index else 1,
        indexer=index,
    )


def _deepseek_v4(csa: int, hca: int, sliding: int) -> Architecture:
    layers = ["sliding"] * sliding + ["csa"] * csa + ["hca"] * hca
    return architecture(
        {"sliding": v4(0), "csa": v4(4), "hca": v4(128)},
        layers,
        model_type="deepseek_v4",
        context=1048576,
    )


def _block_sparse(
    kv_heads: int, dim: int, index_dim: int, dense: int, sparse: int, **more: Any
) -> Architecture:
    index = BlockIndex(heads=4, head_dim=index_dim, block=128, top_blocks=16)
    mixers = {"full": gqa(64, kv_heads, dim), "sparse": gqa(64, kv_heads, dim, block_index=index)}
    return architecture(mixers, ["full"] * dense + ["sparse"] * sparse, **more)


FLAGSHIPS: dict[str, Architecture] = {
    "falcon-40b": architecture(
        {"full": gqa(128, 8, 64)}, ["full"] * 60, model_type="falcon", hidden_size=8192
    ),
    "glm-5": architecture(
        {"full": mla(64, indexer=lightning_indexer(32))}, ["full"] * 78, model_type="glm_moe_dsa"
    ),
    "glm-5.2": architecture(
        {"full": mla(64, indexer=lightning_indexer(32)), "shared": mla(64)},
        ["full"] * 21 + ["shared"] * 57,
        model_type="glm_moe_dsa",
    ),
    "mimo-v2-flash": architecture(
        {"full": gqa(64, 4, 192, 128), "sliding": gqa(64, 8, 192, 128, window=129, sinks=True)},
        ["full"] * 9 + ["sliding"] * 39,
        model_type="mimo_v2_flash",
    ),
    "gemma4-31b": architecture(
        {"sliding": gqa(32, 16, 256, window=1024), "full": gqa(32, 4, 512, values_from_keys=True)},
        (["sliding"] * 5 + ["full"]) * 10,
        model_type="gemma4",
    ),
    "gemma4-26b": architecture(
        {"sliding": gqa(16, 8, 256, window=1024), "full": gqa(16, 2, 512, values_from_keys=True)},
        (["sliding"] * 5 + ["full"]) * 5,
        model_type="gemma4",
    ),
    "gemma4-e2b": architecture(
        {
            "sliding": gqa(8, 1, 256, window=512),
            "full": gqa(8, 1, 512),
            "shared_sliding": gqa(8, 1, 256, window=512, kv_from="sliding"),
            "shared_full": gqa(8, 1, 512, kv_from="full"),
        },
        (["sliding"] * 4 + ["full"]) * 3 + (["shared_sliding"] * 4 + ["shared_full"]) * 4,
        model_type="gemma4",
    ),
    "gemma4-e4b": architecture(
        {
            "sliding": gqa(8, 2, 256, window=512),
            "full": gqa(8, 2, 512),
            "shared_sliding": gqa(8, 2, 256, window=512, kv_from="sliding"),
            "shared_full": gqa(8, 2, 512, kv_from="full"),
        },
        (["sliding"] * 5 + ["full"]) * 4 + (["shared_sliding"] * 5 + ["shared_full"]) * 3,
        model_type="gemma4",
    ),
    "step-3.5-flash": architecture(
        {"full": gqa(64, 8, 128), "sliding": gqa(96, 8, 128, window=512)},
        (["full"] + ["sliding"] * 3) * 11 + ["full"],
        model_type="step3p5",
    ),
    "longcat-flash": architecture(
        {"full": mla(64)}, [("full", "full")] * 28, model_type="longcat_flash"
    ),
    "minimax-m3": _block_sparse(4, 128, 128, 3, 57, model_type="minimax_m3_vl"),
    "qwen3.5-397b": architecture(
        {
            "full": gqa(32, 2, 256),
            "linear": recurrent("gated_deltanet", (16, 128), (64, 128), state_dtype="float32"),
        },
        (["linear"] * 3 + ["full"]) * 15,
        model_type="qwen3_5_moe",
    ),
    "nemotron-3-nano": architecture(
        {"full": gqa(32, 2, 128), "mamba": mamba2(64, 64, 8, 128)},
        ["mamba"] * 23 + ["full"] * 6,
        model_type="nemotron_h",
        hidden_size=2688,
    ),
    "nemotron-3-super": architecture(
        {"full": gqa(32, 2, 128), "mamba": mamba2(128, 64, 8, 128)},
        ["mamba"] * 40 + ["full"] * 8,
        model_type="nemotron_h",
    ),
    "deepseek-v4-flash": _deepseek_v4(21, 20, 2),
    "deepseek-v4-pro": _deepseek_v4(30, 31, 0),
    "phi-4": architecture({"full": gqa(40, 10, 128)}, ["full"] * 40),
    "xlstm-7b": architecture(
        {"mlstm": recurrent("mlstm", (8, 256), (8, 512), None)}, ["mlstm"] * 32
    ),
    "grok-2.5": architecture({"full": gqa(64, 8, 128)}, ["full"] * 64),
    "trinity-large": architecture(
        {"sliding": gqa(48, 8, 128, window=4096), "full": gqa(48, 8, 128)},
        (["sliding"] * 3 + ["full"]) * 15,
    ),
    "ling-2.5": architecture(
        {"full": mla(64), "linear": recurrent("lightning", (64, 128), (64, 128), None)},
        ["full"] * 10 + ["linear"] * 70,
    ),
    "qwen3.6-35b-a3b": architecture(
        {"full": gqa(16, 2, 256), "linear": recurrent("gated_deltanet", (16, 128), (32, 128))},
        (["linear"] * 3 + ["full"]) * 10,
    ),
    "qwen3.6-27b": architecture(
        {"full": gqa(24, 4, 256), "linear": recurrent("gated_deltanet", (16, 128), (48, 128))},
        (["linear"] * 3 + ["full"]) * 16,
    ),
    "hy3": architecture({"full": gqa(64, 8, 128)}, ["full"] * 80),
    "laguna-xs.2": architecture(
        {"full": gqa(48, 8, 128), "sliding": gqa(64, 8, 128, window=512)},
        (["full"] + ["sliding"] * 3) * 10,
        model_type="laguna",
    ),
    "gemma3-270m": architecture(
        {"sliding": gqa(4, 1, 256, window=512), "full": gqa(4, 1, 256)},
        (["sliding"] * 5 + ["full"]) * 3,
    ),
    "glm-4.5-air": architecture({"full": gqa(96, 8, 128)}, ["full"] * 46),
    "mistral-small-4": architecture({"full": mla(32, 256, 64)}, ["full"] * 36),
}
"""Models by their published constants, as their configs and modelling code have them."""
