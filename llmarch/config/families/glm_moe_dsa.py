"""GLM-5 to 5.3: DeepSeek V3.2's blocks with other sizes.

From 5.2 on most layers read the choice of tokens that an earlier layer's indexer made. The MTP
module has an indexer of its own, and no copies of embedding and head.
"""

from __future__ import annotations

from typing import Any, cast

from ... import tensors
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    attention = _attention_layers(c)
    ffns = blocks.moe_after_dense_prefix(c)
    wiring = blocks.layer_wiring(attention, ffns)
    latent = blocks.latent_attention(c)
    interleaved = c.expect("indexer_rope_interleave", True)
    indexer = blocks.lightning_indexer(c, latent["qk_rope_head_dim"], interleaved=interleaved)
    mixers = {
        "full": latent.replace(indexer=indexer),
        "full_shared": latent.replace(indexer=None, index_from="full"),
    }
    if "full_shared" not in attention.value:
        del mixers["full_shared"]
    c.ignore("layer_types")  # which cache a layer gets
    c.ignore("index_share_for_mtp_iteration")  # how decoding reuses the MTP module's choice
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=blocks.deepseek_ffns(c, ffns, blocks.sigmoid_router),
        mtp=_mtp(c, wiring, ffns.value[-1]),
        **wiring,
    )


def _mtp(c: ConfigKeys, wiring: blocks.Wiring, ffn: str) -> Draft | Sourced:
    """Read the MTP module, whose layer always has an indexer. Add its layer kind to `wiring`."""
    modules = blocks.announced_mtp(c)
    if not modules.value:
        return same_evidence(None, modules)
    kind = blocks.add_layer_kind(wiring, "full", ffn)
    return blocks.mtp(c, kind, blocks.mtp_code("deepseek"))


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are `full_shared`, with an earlier layer's index, and which are `full`.

    This is given by indexer_types, by a pattern of F and S, or by a frequency with an offset.
    """
    layers = c.layer_count().value
    words = c.items("indexer_types", default=None, length=layers, entry=str)
    pattern = c.value("index_topk_pattern", default=None)
    every = c.size("index_topk_freq", default=1, least=0)
    offset = c.size("index_skip_topk_offset", default=2, least=0).value
    if words.value is not None:
        return _full_or_shared([word == "shared" for word in words.value], words)
    if pattern.value is not None:
        marks: Any = pattern.value
        if not isinstance(marks, (str, list)) or len(cast("list[Any]", marks)) < layers:
            raise ConfigError(
                f"{c.file}: {c.key('index_topk_pattern')} does not name {layers} layers"
            )
        marks = cast("list[Any]", marks)[:layers]
        return _full_or_shared([str(mark)[:1] in ("S", "s") for mark in marks], pattern)
    step = max(every.value, 1)
    reason = f"an indexer where max(i - {offset} + 1, 0) is a multiple of {step}"
    shared = [max(i - offset + 1, 0) % step != 0 for i in range(layers)]
    return _full_or_shared(shared, derived(None, reason))


def _full_or_shared(shared: list[bool], source: Sourced) -> Sourced:
    return same_evidence(["full_shared" if x else "full" for x in shared], source)


FAMILY = Family(
    name="glm_moe_dsa",
    title="GLM-5",
    ref=modeling("glm_moe_dsa"),
    read=read,
    naming=tensors.Naming(mtp=tensors.mtp_as_layers),
    conversions={"glm_moe_dsa": tensors.EXPERT_CONVERSION},
    defaults={
        "glm_moe_dsa": {
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 202752,
            "q_lora_rank": 2048,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 192,
            "qk_rope_head_dim": 64,
            "v_head_dim": 256,
            "first_k_dense_replace": 3,
            "n_shared_experts": 1,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 2.5,
            "index_n_heads": 32,
            "index_head_dim": 128,
            "index_topk": 2048,
        },
    },
    config_class={"glm_moe_dsa": "GlmMoeDsaConfig"},
    mtp_layouts=blocks.stored_mtp("full_moe", "full_dense", "full"),
)
