"""Inkling: a bias by distance that queries mix, short convolutions, shared experts with weights.

Convolutions are over keys, values and the outputs of blocks. There is no RoPE; the embedding is
normed, and the head divides by a factor of muP.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("unpadded_vocab_size", "rms_norm_eps_moe_gate", "shared_expert_sink")
    c.ignore("chain_hidden_post_norm", "mtp_hidden_states_first", "mtp_local_layer_ids")
    c.ignore("number_of_conv_states", "num_mtp_layers")  # the class leaves MTP out
    layers = _attention_layers(c)
    first = c.size("dense_mlp_idx", default=0, least=0)
    ffns = blocks.moe_layers(c, lambda i: i >= first.value, first)
    divisor = c.positive("logits_mup_width_multiplier", "embedding_multiplier")
    norm = blocks.rms_norm(c)
    return blocks.decoder(
        c,
        context_length=c.size("max_position_embeddings", "model_max_length"),
        embedding=draft(s.Embedding, tied=False, norm="rms"),
        head=draft(s.Head, scale=derived(1 / divisor.value, f"1 / {divisor.evidence.ref}")),
        norms={"rms": norm},
        mixers=blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value),
        ffns=blocks.read_used_blocks(c, {"dense": _mlp, "moe": _moe}, ffns.value),
        residual=draft(s.Residual, kind="plain", conv_kernel=_kernel(c)),
        **blocks.layer_wiring(layers, ffns),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide: those of a list, or all but every sixth."""
    names = {"hybrid": "full", "hybrid_sliding": "sliding"}
    listed = blocks.listed_layers(c, names)
    local = c.items("local_layer_ids", default=None, entry=int)
    if listed.value is not None:
        return listed
    if local.value is not None:
        inside = set(local.value)
        return blocks.pattern_of(c, lambda i: "sliding" if i in inside else "full", local)
    reason = derived(None, "every 6th layer is full, the others slide")
    return blocks.pattern_of(c, lambda i: "sliding" if (i + 1) % 6 else "full", reason)


def _kernel(c: ConfigKeys) -> Sourced:
    """Read the width of all convolutions."""
    return c.size("conv_kernel_size", "sconv_kernel_size")


def _full(c: ConfigKeys) -> Draft:
    """Read attention without a window, whose queries may grow with the position."""
    start = c.optional(c.size, "log_scaling_n_floor")
    growth = c.number("log_scaling_alpha")
    scaling = None
    if start.value is not None:
        scaling = draft(s.QueryScaling, beta=growth, original_context=start, shift=1, smooth=True)
    mixer = _attention(c, "", c.size("rel_extent"))
    return mixer.replace(query_scaling=scaling if scaling else same_evidence(None, start))


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window, over which its bias by distance reaches."""
    window = c.size("sliding_window_size", "sliding_window")
    return _attention(c, "swa_", window).replace(window=window)


def _attention(c: ConfigKeys, prefix: str, extent: Sourced) -> Draft:
    """Read attention from keys with a prefix.

    extent: how far its bias by distance reaches.
    """
    dim = c.size(f"{prefix}head_dim")
    return draft(
        s.Attention,
        heads=c.size(f"{prefix}num_attention_heads"),
        kv_heads=c.size(f"{prefix}num_key_value_heads"),
        head_dim=dim,
        v_head_dim=dim,
        qk_norm=draft(s.QKNorm, scope="head"),
        scale=derived(1 / dim.value, "1 / head_dim"),
        relative=draft(s.RelativeLogits, width=c.size("d_rel"), extent=extent),
        kv_conv=_kernel(c),
    )


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP of layers without experts."""
    return blocks.dense(c, _widths(c)[0], learned_scale=True)


def _widths(c: ConfigKeys) -> tuple[str, str]:
    """Return the keys of the widths of an MLP and of an expert.

    With `dense_intermediate_size` that of the experts is `intermediate_size`.
    """
    if c.has("dense_intermediate_size"):
        return "dense_intermediate_size", "intermediate_size"
    c.ignore("dense_intermediate_size")
    return "intermediate_size", "moe_intermediate_size"


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose router weighs the shared experts too."""
    width = _widths(c)[1]
    router = draft(
        s.Router,
        scoring="sigmoid",
        normalized=True,
        selection_bias=True,
        scale=c.number("route_scale"),
        learned_scale=True,
        scores_shared=True,
    )
    return blocks.moe(
        c,
        router,
        experts=("n_routed_experts", "num_local_experts"),
        width=width,
        **blocks.shared_experts(c, "n_shared_experts", width=width),
    )


def _moe_parts(moe: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the router, the stacked experts, and the stacked shared experts."""
    router = tensors.Module("mlp.gate", "router")
    experts = tensors.Module("mlp.experts", "experts")
    shared = tensors.Module("mlp.shared_experts", "shared_experts")
    rows = moe.experts + moe.shared_experts
    yield router.tensor("weight", (rows, hidden), "experts", "shared_experts")
    yield router.vector("e_score_correction_bias", moe.experts, "router.selection_bias")
    yield router.vector("global_scale", 1, "router.learned_scale")
    facts = ("expert_width", "experts")
    gate_up = (moe.experts, 2 * moe.expert_width, hidden)
    yield experts.tensor("gate_up_proj", gate_up, *facts)
    yield experts.tensor("down_proj", (moe.experts, hidden, moe.expert_width), *facts)
    count = moe.shared_experts
    width = moe.shared_width // max(1, count)
    for name in ("gate_proj", "up_proj"):
        yield shared.tensor(name, (count, width, hidden), "shared_width")
    yield shared.tensor("down_proj", (count, hidden, width))


FAMILY = Family(
    name="inkling",
    title="Inkling",
    ref=modeling("inkling"),
    read=read,
    naming=tensors.Naming(
        embedding_norm="model.embed_tokens.embed_norm",
        convolutions=("attn_sconv.conv1d", "mlp_sconv.conv1d"),
        blocks={s.MoE: _moe_parts},
    ),
    defaults={
        "inkling_text": {
            "conv_kernel_size": 4,
            "d_rel": 16,
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 6144,
            "intermediate_size": 24576,
            "log_scaling_alpha": 0.1,
            "log_scaling_n_floor": None,
            "logits_mup_width_multiplier": 24.0,
            "max_position_embeddings": 131072,
            "moe_intermediate_size": 3072,
            "n_routed_experts": 256,
            "n_shared_experts": 2,
            "num_attention_heads": 64,
            "num_experts_per_tok": 6,
            "num_hidden_layers": 66,
            "num_key_value_heads": 8,
            "rel_extent": 1024,
            "rms_norm_eps": 1e-6,
            "route_scale": 8.0,
            "sliding_window_size": 512,
            "swa_head_dim": 128,
            "swa_num_attention_heads": 64,
            "swa_num_key_value_heads": 16,
            "vocab_size": 201024,
        },
    },
    config_class={"inkling_text": "InklingTextConfig"},
)
