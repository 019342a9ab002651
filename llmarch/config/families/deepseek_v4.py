"""DeepSeek V4 Flash and Pro: one latent head as key and value, a window on every layer, and beyond it compressed entries (CSA, HCA); four
residual streams under hyper-connections; MoE on every layer, the first few routed by token id, the others by the root of softplus.

The MTP module is a layer with a window alone, and makes one stream of its four as the model does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import (
    ConfigKeys,
    Draft,
    Family,
    Sourced,
    derived,
    draft,
    modeling,
    same_evidence,
    unknown,
)
from .deepseek import indexer
from .kimi_linear import both

RATIOS = {0: "sliding", 4: "csa", 128: "hca"}
TYPES = {
    "sliding_attention": 0,
    "compressed_sparse_attention": 4,
    "heavily_compressed_attention": 128,
}


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    kinds, after, how = attention_kinds(c, n)
    hashed, hash_how = hash_layers(c, n)
    parts = blocks.layer_wiring(
        [(k, "moe_hash" if h else "moe") for k, h in zip(kinds, hashed, strict=True)],
        both(how, hash_how),
    )
    mtp = mtp_after(c, parts, after, sorted(set(hashed)))
    mixers = {*kinds, *([after] if isinstance(mtp, Draft) else [])}
    c.expect("num_key_value_heads", 1)
    c.ignore("expert_dtype")  # how experts are stored
    c.expect("attention_bias", False)
    c.expect("mlp_bias", False)
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {name: lambda c, ratio=ratio: mixer(c, ratio) for ratio, name in RATIOS.items()}, mixers),
        ffns=blocks.read_used_blocks(c, {"moe": lambda c: moe(c, False), "moe_hash": lambda c: moe(c, True)}, ["moe", *(["moe_hash"] if any(hashed) else [])]),
        residual=draft(
            s.Residual, kind="hyper", streams=c.size("hc_mult"), iterations=c.size("hc_sinkhorn_iters"), eps=c.number("hc_eps")
        ),
        mtp=mtp,
        **parts,
    )  # fmt: skip


def attention_kinds(c: ConfigKeys, n: int) -> tuple[list[str], str, Sourced]:
    """The mixer of each layer, and of the MTP module: by layer_types, or the published compress_ratios, which have its entry at the end."""
    types, ratios = (
        c.items("layer_types", default=None, of=str),
        c.items("compress_ratios", default=None, of=int),
    )
    rates: Any = c.value("compress_rates", default=None).value
    if isinstance(rates, dict) and {
        TYPES.get(k): v for k, v in cast("dict[str, Any]", rates).items()
    } != {4: 4, 128: 128}:
        raise ConfigError(
            f"{c.file}: {c.key('compress_rates')} are {rates}; llmarch knows 4 for CSA and 128 for HCA"
        )
    given: list[Any] | None = (
        [TYPES.get(t) for t in types.value] if types.value is not None else ratios.value
    )
    source = types if types.value is not None else ratios
    if given is None:
        kinds = ["hca" if i < 2 or i % 2 == 0 else "csa" for i in range(n)]
        return (
            kinds,
            "sliding",
            derived(None, "no compress_ratios: HCA on layers 0 and 1, then HCA and CSA in turns"),
        )
    bad = next((r for r in given if r not in RATIOS), "")
    if bad != "" or len(given) < n:
        raise ConfigError(
            f"{c.file}: {source.evidence.ref} does not give each of {n} layers a ratio of 0, 4 or 128"
        )
    return [RATIOS[r] for r in given[:n]], RATIOS[given[n]] if len(given) > n else "sliding", source


def hash_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    types = c.items("mlp_layer_types", default=None, length=n, of=str)
    first = c.size("num_hash_layers", default=3, least=0)
    if types.value is not None:
        return [t == "hash_moe" for t in types.value], types
    return [i < first.value for i in range(n)], first


def mixer(c: ConfigKeys, ratio: int) -> Draft:
    """Values are turned as the keys they are, and the output back; YaRN only where entries are compressed, without its factor on scores."""
    dim, rope_dim = c.size("head_dim"), rotated(c)
    return draft(
        s.CompressedAttention,
        heads=c.size("num_attention_heads"),
        head_dim=dim,
        rope_dim=rope_dim,
        q_lora_rank=c.size("q_lora_rank"),
        o_groups=c.size("o_groups"),
        o_lora_rank=c.size("o_lora_rank"),
        window=c.size("sliding_window"),
        ratio=ratio,
        series=2 if ratio == 4 else 1,
        sinks=True,
        norm_eps=c.number("rms_norm_eps"),
        indexer=indexer(c, rope_dim, interleaved=True) if ratio == 4 else None,
        rope=turned(c, rope_dim, "compress" if ratio else "main"),
    )


def rotated(c: ConfigKeys) -> Sourced:
    if c.has("qk_rope_head_dim"):
        c.ignore("partial_rotary_factor")
        return c.size("qk_rope_head_dim")
    share, dim = c.number("partial_rotary_factor", default=64 / 512), c.size("head_dim")
    return derived(int(dim.value * share.value), f"int(head_dim * {share.evidence.ref})")


def turned(c: ConfigKeys, dim: Sourced, kind: str) -> Draft:
    """rope_theta alone for the window, compress_rope_theta with rope_scaling beyond; or the two entries that transformers saves."""
    nested = blocks.rope_keys(c)
    if nested.has("main") and nested.has("compress"):
        for name in ("main", "compress"):
            nested.child(name).ignore(*cast("Mapping[str, Any]", nested.data[name]))
        node = blocks.rope(c, dim, interleaved=True, layer_type=kind)
    else:
        node = blocks.rope(
            c,
            dim,
            interleaved=True,
            theta=c.number("compress_rope_theta" if kind == "compress" else "rope_theta"),
            scaled=kind == "compress",
        )
        c.ignore("compress_rope_theta")
    scaling = node["scaling"]
    if (
        scaling is not None
        and scaling["kind"].value == "yarn"
        and "attention_factor" not in scaling.fields
    ):
        return node.replace(scaling=scaling.replace(attention_factor=1.0))
    return node


def moe(c: ConfigKeys, hashed: bool) -> Draft:
    """Hash layers look the experts of a token id up, and weight them by their scores all the same."""
    scoring = c.word("scoring_func")
    c.expect("topk_method", "noaux_tc")
    width, shared = c.size("moe_intermediate_size"), c.size("n_shared_experts")
    clamp = c.number("swiglu_limit")
    router = draft(
        s.Router,
        scoring=same_evidence(
            {"sqrtsoftplus": "sqrt_softplus"}.get(scoring.value, scoring.value), scoring
        ),
        selection_bias=not hashed,
        token_table=c.size("vocab_size") if hashed else None,
        normalized=c.expect("norm_topk_prob", True),
        scale=c.number("routed_scaling_factor"),
    )
    return draft(
        s.MoE,
        experts=c.size("n_routed_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=width,
        activation=blocks.activation(c),
        clamp=clamp,
        shared_experts=shared,
        shared_width=derived(
            shared.value * width.value,
            f"{c.key('n_shared_experts')} * {c.key('moe_intermediate_size')}",
        ),
        shared_clamp=clamp,
        router=router,
    )


def mtp_after(
    c: ConfigKeys, parts: dict[str, Any], mixer_name: str, hashed: list[bool]
) -> Draft | Sourced:
    modules = c.size(
        "num_nextn_predict_layers",
        default=unknown(f"{c.file} has no num_nextn_predict_layers: tensors must tell"),
        least=0,
    )
    if not modules.value:
        return same_evidence(None, modules)
    kind = mixer_name if hashed == [False] else f"{mixer_name}_moe"
    parts["layer_kinds"].setdefault(
        kind,
        draft(
            s.LayerKind,
            steps=[blocks.pre_norm_step(f"mixers.{mixer_name}"), blocks.pre_norm_step("ffns.moe")],
        ),
    )
    return draft(s.MTP, modules=modules, layer_kind=kind, norms=3)


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    kind = next((k for k in ("sliding_moe", "sliding") if k in a.layer_kinds), None)
    if kind is not None:
        yield s.MTP(modules=1, layer_kind=kind, norms=3)


def mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    """Embedding and hidden state have a projection each."""
    m, h = a.mtp, a.hidden_size
    assert m and m.layer_kind
    numbers = (tuple(range(m.modules)),)
    yield from tensors.layer_rows(a, m.layer_kind, numbers[0], "mtp.{}.", naming, "mtp")
    for norm in ("enorm", "hnorm", "norm"):
        yield tensors.TensorRow(f"mtp.{{}}.{norm}.weight", (h,), numbers, "mtp")
    for name in ("e_proj", "h_proj"):
        yield tensors.TensorRow(f"mtp.{{}}.{name}.weight", (h, h), numbers, "mtp", ("mtp.modules",))
    yield from tensors.hyper_rows(
        f"mtp.{{}}.{naming.hyper[-1]}", a.residual.streams, 1, a, numbers, "mtp"
    )


def attention_parts(a: s.CompressedAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    at, part, groups = "attn", "attention", a.o_groups * a.o_lora_rank
    yield from tensors.linear(f"{at}.wq_a", a.q_lora_rank, hidden, part, ("q_lora_rank",))
    yield tensors.BlockTensor(f"{at}.q_norm.weight", (a.q_lora_rank,), part)
    yield from tensors.linear(
        f"{at}.wq_b", a.heads * a.head_dim, a.q_lora_rank, part, ("heads", "q_lora_rank")
    )
    yield from tensors.linear(f"{at}.wkv", a.head_dim, hidden, part, ("head_dim",))
    yield tensors.BlockTensor(f"{at}.kv_norm.weight", (a.head_dim,), part)
    yield from tensors.linear(
        f"{at}.wo_a", groups, a.heads * a.head_dim // a.o_groups, part, ("o_groups", "o_lora_rank")
    )
    yield from tensors.linear(f"{at}.wo_b", hidden, groups, part)
    if a.sinks:
        yield tensors.BlockTensor(f"{at}.attn_sink", (a.heads,), part, ("sinks",))
    if a.ratio:
        yield from compressor(f"{at}.compressor", a, a.head_dim, hidden)
    if x := a.indexer:
        yield from tensors.linear(
            f"{at}.indexer.wq_b", x.heads * x.head_dim, a.q_lora_rank, part, ("indexer.head_dim",)
        )
        yield from tensors.linear(
            f"{at}.indexer.weights_proj", x.heads, hidden, part, ("indexer.heads",)
        )
        yield from compressor(f"{at}.indexer.compressor", a, x.head_dim, hidden)


def compressor(
    at: str, a: s.CompressedAttention, width: int, hidden: int
) -> Iterator[tensors.BlockTensor]:
    for name in ("wkv", "wgate"):
        yield from tensors.linear(
            f"{at}.{name}", a.series * width, hidden, "attention", ("series",)
        )
    yield tensors.BlockTensor(f"{at}.norm.weight", (width,), "attention")
    yield tensors.BlockTensor(
        f"{at}.ape", (a.ratio, a.series * width), "attention", ("ratio", "series")
    )


FAMILY = Family(
    name="deepseek_v4",
    title="DeepSeek V4",
    ref=modeling("deepseek_v4"),
    read=read,
    naming=tensors.Naming(
        embedding="embed.weight",
        layer="layers.{}.",
        final_norm="norm",
        head="head",
        norms=("attn_norm", "ffn_norm"),
        hyper=("hc_attn_", "hc_ffn_", "hc_head_"),
        blocks={s.CompressedAttention: attention_parts, s.MoE: tensors.moe_parts("ffn", selection_bias="gate.bias", gate="w1", up="w3", down="w2")},
        mtp=mtp_rows,
    ),
    defaults={
        "deepseek_v4": {
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False,
            "max_position_embeddings": 1048576, "head_dim": 512, "q_lora_rank": 1024, "num_experts_per_tok": 6, "n_routed_experts": 256,
            "n_shared_experts": 1, "scoring_func": "sqrtsoftplus", "routed_scaling_factor": 1.5, "compress_rope_theta": 160000.0,
            "hc_mult": 4, "hc_sinkhorn_iters": 20, "hc_eps": 1e-6, "swiglu_limit": 10.0, "sliding_window": 128, "o_groups": 8,
            "o_lora_rank": 1024, "index_n_heads": 64, "index_head_dim": 128, "index_topk": 512,
        },
    },
    config_class={"deepseek_v4": "DeepseekV4Config"},
    mtp_layouts=mtp_layouts,
)  # fmt: skip
