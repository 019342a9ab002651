"""GLM-5 to 5.3: DeepSeek V3.2's blocks with other sizes; from 5.2 on most layers read the choice that an earlier layer's indexer made.

The MTP module has an indexer of its own, and no copies of embedding and head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling
from .deepseek import feed_forward, indexer, mla, mtp_after, sparse_layers, v3_router


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    shared, how = index_layers(c, n)
    sparse, dense_how = sparse_layers(c, n)
    pairs = [
        ("full_shared" if x else "full", "moe" if s else "dense")
        for x, s in zip(shared, sparse, strict=True)
    ]
    parts = blocks.layer_wiring(
        pairs, derived(None, f"{how.evidence.ref}, {dense_how.evidence.ref}")
    )
    full = mla(c)
    full = full.replace(
        indexer=indexer(
            c, full["qk_rope_head_dim"], interleaved=c.expect("indexer_rope_interleave", True)
        )
    )
    mixers = (
        {"full": full, "full_shared": full.replace(indexer=None, index_from="full")}
        if any(shared)
        else {"full": full}
    )
    mtp = mtp_after(c, parts, copies=False)
    if isinstance(mtp, Draft):  # its layer always has an indexer
        last = "moe" if sparse[-1] else "dense"
        kind = f"full_{last}" if len(set(sparse)) > 1 else "full"
        parts["layer_kinds"].setdefault(
            kind,
            draft(
                s.LayerKind,
                steps=[blocks.pre_norm_step("mixers.full"), blocks.pre_norm_step(f"ffns.{last}")],
            ),
        )
        mtp = mtp.replace(layer_kind=kind)
    c.ignore(
        "layer_types", "index_share_for_mtp_iteration"
    )  # which cache a layer gets; how decoding reuses the MTP module's choice
    return blocks.decoder(
        c, mixers=mixers, ffns=feed_forward(c, sparse, v3_router), mtp=mtp, **parts
    )


def index_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    """Whether each layer shares an earlier one's index: by indexer_types, a pattern of F and S, or a frequency with an offset."""
    types = c.items("indexer_types", default=None, length=n, of=str)
    pattern = c.value("index_topk_pattern", default=None)
    every, offset = (
        c.size("index_topk_freq", default=1, least=0),
        c.size("index_skip_topk_offset", default=2, least=0),
    )
    if types.value is None and pattern.value is not None:
        marks: Any = pattern.value
        if not isinstance(marks, (str, list)) or len(cast("list[Any]", marks)) < n:
            raise ConfigError(f"{c.file}: {c.key('index_topk_pattern')} does not name {n} layers")
        return [str(p)[:1] in ("S", "s") for p in cast("list[Any]", marks)[:n]], pattern
    if types.value is not None:
        return [t == "shared" for t in types.value], types
    step = max(every.value, 1)
    rule = f"an indexer where max(i - {offset.value} + 1, 0) is a multiple of {step}"
    return [max(i - offset.value + 1, 0) % step != 0 for i in range(n)], derived(None, rule)


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    kind = next((k for k in ("full_moe", "full_dense", "full") if k in a.layer_kinds), None)
    if kind is not None:
        yield s.MTP(modules=1, layer_kind=kind, norms=3)


FAMILY = Family(
    name="glm_moe_dsa",
    title="GLM-5",
    ref=modeling("glm_moe_dsa"),
    read=read,
    naming=tensors.Naming(mtp=tensors.mtp_as_layers),
    defaults={
        "glm_moe_dsa": {
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 202752, "q_lora_rank": 2048, "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64,
            "v_head_dim": 256, "first_k_dense_replace": 3, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": True,
            "routed_scaling_factor": 2.5, "index_n_heads": 32, "index_head_dim": 128, "index_topk": 2048,
        },
    },
    config_class={"glm_moe_dsa": "GlmMoeDsaConfig"},
    mtp_layouts=mtp_layouts,
)  # fmt: skip
