"""DeepSeek V4 Flash and Pro: a window on every layer, and compressed entries beyond it (CSA, HCA).

One latent head serves as key and value. Four residual streams are mixed by hyper-connections.
Every layer has MoE; the first few route by token id, the others by the root of softplus. The MTP
module is a layer with a window alone, which joins its four streams as the model does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..findings import layer_list_length
from ..vocabulary import ConfigKeys, Family, modeling

_RATIOS = {0: "sliding", 4: "csa", 128: "hca"}
"""How many tokens make one compressed entry, and the name of the mixer that has them."""
_TYPES = {
    "sliding_attention": 0,
    "compressed_sparse_attention": 4,
    "heavily_compressed_attention": 128,
}
_RATES = {"compressed_sparse_attention": 4, "heavily_compressed_attention": 128}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    attention = _attention_layers(c)
    ffns = _ffn_layers(c)
    wiring = blocks.layer_wiring(attention.layers, ffns)
    mixers = {*attention.layers.value}
    mtp = None
    modules = blocks.announced_mtp(c)
    if modules.value:
        kind = blocks.add_layer_kind(wiring, attention.mtp, "moe")
        mixers.add(attention.mtp)
        mtp = blocks.mtp(c, kind, blocks.mtp_code("deepseek_v4"))
    c.expect("num_key_value_heads", 1)
    c.ignore("expert_dtype")  # how experts are stored
    c.expect("attention_bias", False)
    c.describe_only("mlp_bias", False, "weights")
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, _MIXERS, mixers),
        ffns=blocks.read_used_blocks(c, _FFNS, {"moe", *ffns.value}),
        residual=_hyper_connections(c),
        mtp=mtp if mtp is not None else same_evidence(None, modules),
        **wiring,
    )


class _AttentionLayers(NamedTuple):
    """The mixer of each layer, and that of the MTP module."""

    layers: Sourced
    mtp: str


def _attention_layers(c: ConfigKeys) -> _AttentionLayers:
    """Read the mixers from layer_types, or from the published compress_ratios.

    The latter have an entry for the MTP module at their end. Raises ConfigError for a ratio that
    llmarch does not know.
    """
    layers: int = c.layer_count().value
    types = c.items("layer_types", default=None, entry=str)
    ratios = c.items("compress_ratios", default=None, entry=int)
    rates: Any = c.value("compress_rates", default=None).value
    if isinstance(rates, dict) and rates != _RATES:
        raise ConfigError(
            f"{c.file}: {c.key('compress_rates')} is {rates}; llmarch supports 4 for CSA and 128"
            " for HCA"
        )
    source = ratios
    if types.value is not None:
        words: list[str] = types.value
        source = same_evidence([_TYPES.get(word) for word in words], types)
    if source.value is None:
        names = ["hca" if i < 2 or i % 2 == 0 else "csa" for i in range(layers)]
        reason = "no compress_ratios: HCA on layers 0 and 1, then HCA and CSA in turns"
        return _AttentionLayers(derived(names, reason), "sliding")
    given: list[int] = source.value
    if len(given) < layers or any(ratio not in _RATIOS for ratio in given):
        raise ConfigError(
            f"{c.file}: {source.evidence.ref} does not give each of {layers} layers a ratio of 0,"
            " 4 or 128"
        )
    key = "compress_ratios" if types.value is None else "layer_types"
    layer_list_length(c, key, len(given), layers)
    names = [_RATIOS[ratio] for ratio in given]
    mtp = names[layers] if len(names) > layers else "sliding"
    return _AttentionLayers(same_evidence(names[:layers], source), mtp)


def _ffn_layers(c: ConfigKeys) -> Sourced:
    """Read which layers route by token id: `moe_hash`, or `moe`."""
    first = c.size("num_hash_layers", default=3, least=0)
    words = c.items("mlp_layer_types", default=None, length=c.layer_count().value, entry=str)
    if words.value is not None:
        names = ["moe_hash" if word == "hash_moe" else "moe" for word in words.value]
        return same_evidence(names, words)
    return blocks.pattern_of(c, lambda i: "moe_hash" if i < first.value else "moe", first)


def _hyper_connections(c: ConfigKeys) -> Draft:
    """Read how the residual streams are mixed."""
    return draft(
        s.Residual,
        kind="hyper",
        streams=c.size("hc_mult"),
        iterations=c.size("hc_sinkhorn_iters"),
        eps=c.number("hc_eps"),
    )


def _mixer(c: ConfigKeys, ratio: int) -> Draft:
    """Read attention over a window, and with a `ratio` over compressed entries.

    Values are rotated as the keys they are, and the output is rotated back. Entries have YaRN,
    the window has not; YaRN's factor on scores is not applied.
    """
    rope_dim = _rotary_dim(c)
    indexer = blocks.lightning_indexer(c, rope_dim, interleaved=True) if ratio == 4 else None
    return draft(
        s.CompressedAttention,
        heads=c.size("num_attention_heads"),
        head_dim=c.size("head_dim"),
        rope_dim=rope_dim,
        q_lora_rank=c.size("q_lora_rank"),
        o_groups=c.size("o_groups"),
        o_lora_rank=c.size("o_lora_rank"),
        window=c.size("sliding_window"),
        ratio=ratio,
        series=2 if ratio == 4 else 1,
        sinks=True,
        norm_eps=c.number("rms_norm_eps"),
        indexer=indexer,
        rope=_compressed_rope(c, rope_dim) if ratio else _window_rope(c, rope_dim),
    )


def _rotary_dim(c: ConfigKeys) -> Sourced:
    """Read how many dims of a head are rotated."""
    if c.has("qk_rope_head_dim") and not c.has("partial_rotary_factor"):
        return c.size("qk_rope_head_dim")
    c.ignore("qk_rope_head_dim")
    share = c.number("partial_rotary_factor", default=64 / 512)
    return blocks.share_of_head(c.size("head_dim"), share)


def _window_rope(c: ConfigKeys, dim: Sourced) -> Draft:
    """Read RoPE within the window: `rope_theta` without scaling."""
    return _rope(c, dim, "main", c.number("rope_theta"), scaled=False)


def _compressed_rope(c: ConfigKeys, dim: Sourced) -> Draft:
    """Read RoPE of compressed entries: `compress_rope_theta` with `rope_scaling`."""
    return _rope(c, dim, "compress", c.number("compress_rope_theta"), scaled=True)


def _rope(c: ConfigKeys, dim: Sourced, entry: str, theta: Sourced, *, scaled: bool) -> Draft:
    """Read RoPE from the `entry` that transformers saves, or from the published keys."""
    keys = blocks.rope_keys(c)
    if keys.has("main") and keys.has("compress"):
        for name in ("main", "compress"):
            keys.child(name).ignore(*cast("Mapping[str, Any]", keys.data[name]))
        return blocks.rope(c, dim, interleaved=True, layer_type=entry, attention_factor=1.0)
    c.ignore("compress_rope_theta")
    return blocks.rope(c, dim, interleaved=True, theta=theta, scaled=scaled, attention_factor=1.0)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE of most layers."""
    return _experts(c, selection_bias=True)


def _hash_moe(c: ConfigKeys) -> Draft:
    """Read the MoE that looks the experts of a token id up, and weights them by their scores."""
    return _experts(c, selection_bias=False, token_table=c.size("vocab_size"))


def _experts(c: ConfigKeys, **choice: Any) -> Draft:
    """Read a MoE. `choice`: the fields of Router that say how experts are chosen."""
    scoring = c.word("scoring_func")
    c.expect("topk_method", "noaux_tc")
    names = {"sqrtsoftplus": "sqrt_softplus"}
    router = draft(
        s.Router,
        scoring=same_evidence(names.get(scoring.value, scoring.value), scoring),
        normalized=c.expect("norm_topk_prob", True),
        scale=c.number("routed_scaling_factor"),
        **choice,
    )
    clamp = c.number("swiglu_limit")
    return blocks.moe(
        c,
        router,
        experts=("n_routed_experts", "num_local_experts"),
        clamp=clamp,
        shared_clamp=clamp,
        shared_experts=c.expect("n_shared_experts", 1),
        shared_width=c.size("moe_intermediate_size"),
    )


_MIXERS = {name: partial(_mixer, ratio=ratio) for ratio, name in _RATIOS.items()}
_FFNS = {"moe": _moe, "moe_hash": _hash_moe}


def _mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    """Yield the MTP modules: a layer, norms, a projection each of embedding and hidden state."""
    m = a.mtp
    assert m and m.layer_kind
    h = a.hidden_size
    numbers = tuple(range(m.modules))
    yield from tensors.rows_of_layers(a, m.layer_kind, numbers, "mtp.{}.", naming, "mtp")
    for norm in ("enorm", "hnorm", "norm"):
        yield tensors.TensorRow(f"mtp.{{}}.{norm}.weight", (h,), (numbers,), "mtp")
    for name in ("e_proj", "h_proj"):
        pattern = f"mtp.{{}}.{name}.weight"
        yield tensors.TensorRow(pattern, (h, h), (numbers,), "mtp", ("mtp.modules",))
    head = f"mtp.{{}}.{naming.hyper[-1]}"
    yield from tensors.hyper_rows(head, a.residual.streams, 1, a, (numbers,), "mtp")


def _attention_parts(a: s.CompressedAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of attention: low-rank queries and output, one latent, and compressors."""
    m = tensors.Module("attn", "attention")
    inner = a.heads * a.head_dim
    yield from m.linear("wq_a", a.q_lora_rank, hidden, "q_lora_rank")
    yield m.vector("q_norm.weight", a.q_lora_rank)
    yield from m.linear("wq_b", inner, a.q_lora_rank, "heads", "q_lora_rank")
    yield from m.linear("wkv", a.head_dim, hidden, "head_dim")
    yield m.vector("kv_norm.weight", a.head_dim)
    outputs = a.o_groups * a.o_lora_rank
    yield from m.linear("wo_a", outputs, inner // a.o_groups, "o_groups", "o_lora_rank")
    yield from m.linear("wo_b", hidden, outputs)
    if a.sinks:
        yield m.vector("attn_sink", a.heads, "sinks")
    if a.ratio:
        yield from _compressor_parts("attn.compressor", a, a.head_dim, hidden)
    if a.indexer:
        yield from _indexer_parts(a, a.indexer, hidden)


def _indexer_parts(
    a: s.CompressedAttention, indexer: s.Indexer, hidden: int
) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the indexer, which has a compressor of its own."""
    m = tensors.Module("attn.indexer", "attention")
    queries = indexer.heads * indexer.head_dim
    yield from m.linear("wq_b", queries, a.q_lora_rank, "indexer.head_dim")
    yield from m.linear("weights_proj", indexer.heads, hidden, "indexer.heads")
    yield from _compressor_parts(f"{m.prefix}.compressor", a, indexer.head_dim, hidden)


def _compressor_parts(
    prefix: str, a: s.CompressedAttention, width: int, hidden: int
) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors that compress `ratio` tokens to an entry, in one or two series."""
    m = tensors.Module(prefix, "attention")
    columns = a.series * width
    for matrix in ("wkv", "wgate"):
        yield from m.linear(matrix, columns, hidden, "series")
    yield m.vector("norm.weight", width)
    yield m.tensor("ape", (a.ratio, columns), "ratio", "series")


_DEEPSEEK_V4_CONVERSION = tensors.Conversion(
    renames=(
        tensors.Rename(r"\.attn\.", ".self_attn."),
        tensors.Rename(r"\.ffn\.", ".mlp."),
        tensors.Rename(r"\.indexer\.compressor\.", ".compressor.indexer."),
        tensors.Rename(r"^embed\.weight(?!\w)", "embed_tokens.weight"),
        tensors.Rename(r"^head\.weight(?!\w)", "lm_head.weight"),
        tensors.Rename(r"^hc_head_(fn|base|scale)(?!\w)", r"hc_head.hc_\1"),
        tensors.Rename(r"\.attn_norm\.", ".input_layernorm."),
        tensors.Rename(r"\.ffn_norm\.", ".post_attention_layernorm."),
        tensors.Rename(r"\.hc_(attn|ffn)_(fn|base|scale)(?!\w)", r".\1_hc.\2"),
        tensors.Rename(r"\.attn_sink(?!\w)", ".sinks"),
        tensors.Rename(r"\.indexer\.weights_proj\.", ".compressor.indexer.scorer.weights_proj."),
        tensors.Rename(r"\.indexer\.wq_b\.", ".compressor.indexer.q_b_proj."),
        tensors.Rename(r"\.norm\.", ".kv_norm."),
        tensors.Rename(r"\.ape(?!\w)", ".position_bias"),
        tensors.Rename(r"\.wq_a\.", ".q_a_proj."),
        tensors.Rename(r"\.self_attn\.wq_b\.", ".self_attn.q_b_proj."),
        tensors.Rename(r"\.wkv\.", ".kv_proj."),
        tensors.Rename(r"\.wgate\.", ".gate_proj."),
        tensors.Rename(r"\.wo_([ab])\.", r".o_\1_proj."),
        tensors.Rename(r"\.q_norm\.", ".q_a_norm."),
        tensors.Rename(r"\.gate\.bias(?!\w)", ".gate.e_score_correction_bias"),
        tensors.Rename(r"\.shared_experts\.w1\.", ".shared_experts.gate_proj."),
        tensors.Rename(r"\.shared_experts\.w2\.", ".shared_experts.down_proj."),
        tensors.Rename(r"\.shared_experts\.w3\.", ".shared_experts.up_proj."),
    ),
    merges=tensors.MERGED_W_EXPERTS,
)
"""`deepseek_v4`."""


_DEFAULTS: dict[str, Any] = {
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "max_position_embeddings": 1048576,
    "head_dim": 512,
    "q_lora_rank": 1024,
    "num_experts_per_tok": 6,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "scoring_func": "sqrtsoftplus",
    "routed_scaling_factor": 1.5,
    "compress_rope_theta": 160000.0,
    "hc_mult": 4,
    "hc_sinkhorn_iters": 20,
    "hc_eps": 1e-6,
    "swiglu_limit": 10.0,
    "sliding_window": 128,
    "o_groups": 8,
    "o_lora_rank": 1024,
    "index_n_heads": 64,
    "index_head_dim": 128,
    "index_topk": 512,
}

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
        blocks={
            s.CompressedAttention: _attention_parts,
            s.MoE: tensors.moe_parts(
                "ffn", selection_bias="gate.bias", gate="w1", up="w3", down="w2"
            ),
        },
        mtp=_mtp_rows,
    ),
    conversions=dict.fromkeys(("deepseek_v4", "deepseek_ref"), _DEEPSEEK_V4_CONVERSION),
    defaults={"deepseek_ref": _DEFAULTS, "deepseek_v4": _DEFAULTS},
    config_class=dict.fromkeys(("deepseek_v4", "deepseek_ref"), "DeepseekV4Config"),
    mtp_layouts=blocks.stored_mtp("sliding_moe", "sliding"),
)
