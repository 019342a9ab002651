"""Recognise attention over a latent: MLA, and the compressed attention of DeepSeek V4."""

from __future__ import annotations

from typing import NamedTuple

from .recognised import ModuleTensors, Recognised
from .softmax import NO_ROPE_TENSORS, NO_WINDOW_TENSORS, OUTPUT_PROJECTIONS

# --- MLA ---


class _LatentSizes(NamedTuple):
    heads: int
    nope: int
    v: int


def recognise_latent_attention(tensors: ModuleTensors) -> Recognised | None:
    """Recognise MLA in DeepSeek's names; `embed_q` is kv_b absorbed per head, as MLX stores it."""
    kv_b = tensors.first("kv_b_proj.weight", "embed_q.weight")
    output = tensors.first(*OUTPUT_PROJECTIONS)
    if not kv_b or not output:
        return None
    if not tensors.has("kv_a_proj_with_mqa.weight", "kv_a_layernorm.weight"):
        return None

    found = Recognised("mixers", "latent_attention", "attention")
    queries = "q_b_proj.weight" if tensors.has("q_a_proj.weight") else "q_proj.weight"
    rope = _prove_ranks(tensors, found)
    _prove_latent_heads(tensors, found, (queries, kv_b, output), rope)
    if tensors.has("indexer.wk.weight", "indexer.weights_proj.weight"):
        _prove_indexer(tensors, found)

    found.leave_open("rope", reason=NO_ROPE_TENSORS)
    return found


def _prove_ranks(tensors: ModuleTensors, found: Recognised) -> int | None:
    """Prove the ranks of the latents, and return the width of the rotated part of keys."""
    kv_rank = tensors.size("kv_a_layernorm.weight", 0)
    if kv_rank is not None:
        found.prove("kv_lora_rank", kv_rank, "kv_a_layernorm.weight")

    q_rank = tensors.size("q_a_layernorm.weight", 0)
    if q_rank is not None and tensors.has("q_a_proj.weight"):
        found.prove("q_lora_rank", q_rank, "q_a_layernorm.weight")

    latent = "kv_a_proj_with_mqa.weight"
    width = tensors.outputs(latent)
    if width is None or kv_rank is None:
        return None

    rope = width - kv_rank
    found.prove("qk_rope_head_dim", rope, latent, ref="rows beyond kv_lora_rank")
    return rope


def _prove_latent_heads(
    tensors: ModuleTensors, found: Recognised, names: tuple[str, str, str], rope: int | None
) -> None:
    """Prove heads and head dims by the tensors of queries, keys with values, and output.

    kv_b has heads * (nope + v) rows, q has heads * (nope + rope), o has heads * v inputs, so that
    heads = (q - kv_b + o) / rope. kv_b absorbed per head is [heads, kv_lora_rank, nope].
    """
    queries = tensors.size(names[0], 0)
    keys = tensors.size("kv_b_proj.weight", 0)
    absorbed = tensors.shapes.get("embed_q.weight")
    out = tensors.inputs(names[2])
    if absorbed is not None and len(absorbed) == 3 and absorbed[0] > 0 and out is not None:
        heads, _, nope = absorbed
        sizes = _LatentSizes(heads, nope, out // heads)
    elif queries is not None and keys is not None and out is not None and rope:
        sizes = _solve_latent_sizes(queries, keys, out, rope)
    else:
        found.leave_open(
            "heads",
            "qk_nope_head_dim",
            "v_head_dim",
            reason="the shapes of q, kv_b and o are needed together",
        )
        return

    if sizes is not None:
        found.prove("heads", sizes.heads, *names, ref="(q - kv_b + o) / rope")
        found.prove("qk_nope_head_dim", sizes.nope, *names)
        found.prove("v_head_dim", sizes.v, *names)


def _solve_latent_sizes(queries: int, keys: int, out: int, rope: int) -> _LatentSizes | None:
    heads, rest = divmod(queries - keys + out, rope)
    if rest or heads <= 0:
        return None

    nope, nope_rest = divmod(keys - out, heads)
    v, v_rest = divmod(out, heads)
    if nope_rest or v_rest:
        return None
    return _LatentSizes(heads, nope, v)


def _prove_indexer(tensors: ModuleTensors, found: Recognised) -> None:
    keys, weights = "indexer.wk.weight", "indexer.weights_proj.weight"
    found.prove("indexer.head_dim", tensors.outputs(keys), keys)
    found.prove("indexer.heads", tensors.outputs(weights), weights)
    found.leave_open(
        "indexer.top_k", reason="how many tokens sparse attention reads is not in the tensors"
    )


# --- compressed attention ---


class _CompressedNames(NamedTuple):
    """The tensors that every compressed attention has."""

    q_a: str
    q_norm: str
    q_b: str
    kv: str
    kv_norm: str
    o_a: str
    o_b: str


def _compressed_names(tensors: ModuleTensors) -> _CompressedNames:
    """Return the names, as DeepSeek or as transformers writes them; "" for missing tensors."""
    return _CompressedNames(
        q_a=tensors.first("wq_a.weight", "q_a_proj.weight"),
        q_norm=tensors.first("q_norm.weight", "q_a_norm.weight"),
        q_b=tensors.first("wq_b.weight", "q_b_proj.weight"),
        kv=tensors.first("wkv.weight", "kv_proj.weight"),
        kv_norm=tensors.first("norm.weight", "kv_norm.weight"),
        o_a=tensors.first("wo_a.weight", "o_a_proj.weight"),
        o_b=tensors.first("wo_b.weight", "o_b_proj.weight"),
    )


def recognise_compressed_attention(tensors: ModuleTensors) -> Recognised | None:
    """Recognise DeepSeek V4's attention: one latent is both key and value.

    Queries and output are of low rank, and there may be a compressor of keys and values.
    """
    names = _compressed_names(tensors)
    if not all(names):
        return None

    found = Recognised("mixers", "compressed_attention", "attention")
    rank = tensors.size(names.q_norm, 0)
    if rank is not None:
        found.prove("q_lora_rank", rank, names.q_norm)

    head_dim = tensors.size(names.kv_norm, 0)
    if head_dim is not None:
        found.prove("head_dim", head_dim, names.kv_norm)

    _prove_sinks(tensors, found, names.q_b, head_dim)
    _prove_low_rank_output(tensors, found, names)
    _prove_compressor(tensors, found, head_dim)
    _prove_compressed_indexer(tensors, found)
    found.leave_open("window", reason=NO_WINDOW_TENSORS)
    found.leave_open("rope", reason=NO_ROPE_TENSORS)
    return found


def _prove_sinks(tensors: ModuleTensors, found: Recognised, q_b: str, head_dim: int | None) -> None:
    """Prove sinks, and by them the heads: there is one for each."""
    sinks = tensors.first("attn_sink", "sinks")
    if not sinks:
        return

    found.prove("sinks", True, sinks)
    queries = tensors.size(q_b, 0)
    if not head_dim or queries is None or queries % head_dim:
        return

    heads = queries // head_dim
    if tensors.size(sinks, 0) == heads:
        found.prove("heads", heads, sinks, q_b)


def _prove_low_rank_output(
    tensors: ModuleTensors, found: Recognised, names: _CompressedNames
) -> None:
    """Prove groups and rank of the output.

    o_a is [groups * rank, values / groups], o_b is [hidden, groups * rank]; values are as wide as
    queries.
    """
    values = tensors.size(names.q_b, 0)
    rows = tensors.size(names.o_a, 0)
    columns = tensors.size(names.o_a, 1)
    if not values or rows is None or not columns:
        return

    groups, rest = divmod(values, columns)
    if rest or rows % groups or rows != tensors.inputs(names.o_b):
        return

    found.prove(
        "o_groups",
        groups,
        names.q_b,
        names.o_a,
        ref=f"outputs of {names.q_b} by inputs of {names.o_a}",
    )
    found.prove("o_lora_rank", rows // groups, names.o_a)


def _prove_compressor(tensors: ModuleTensors, found: Recognised, head_dim: int | None) -> None:
    """Prove the compression by the table of positions [ratio, series * head_dim]."""
    table = tensors.first("compressor.ape", "compressor.position_bias")
    ratio = tensors.size(table, 0)
    width = tensors.size(table, 1)
    reason = "no compressor of keys and values is stored"
    if ratio is None or width is None or not head_dim:
        found.leave_open("ratio", reason=reason)
        return
    series, rest = divmod(width, head_dim)
    if rest:
        found.leave_open("ratio", reason=reason)
        return

    found.prove("ratio", ratio, table)
    found.prove("series", series, table)


def _prove_compressed_indexer(tensors: ModuleTensors, found: Recognised) -> None:
    norm = tensors.first(
        "indexer.compressor.norm.weight",
        "compressor.indexer.kv_norm.weight",
    )
    weights = tensors.first(
        "indexer.weights_proj.weight",
        "compressor.indexer.scorer.weights_proj.weight",
    )
    if not norm or not weights:
        return

    found.prove("indexer.head_dim", tensors.size(norm, 0), norm)
    found.prove("indexer.heads", tensors.outputs(weights), weights)
    found.leave_open(
        "indexer.top_k", reason="how many entries sparse attention reads is not in the tensors"
    )
