"""LongCat-Flash: two MLA blocks and two dense MLPs a layer, and a MoE beside the second half.

The MoE reads after the first attention and joins at the layer's end. Its router chooses among
experts that compute and zero experts that return their input, so how much serves a token varies.
The latents are multiplied after their norms. The published files hold an MTP module, one attention
and one MLP with an embedding of its own, which the config does not announce.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from ...errors import FactError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence, unknown
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = c.layer_count("num_layers")
    c.expect("num_hidden_layers", layers.value * 2)
    c.expect("attention_method", "MLA")
    return blocks.decoder(
        c,
        mixers={"full": _attention(c)},
        ffns={"dense": blocks.dense(c, "ffn_hidden_size"), "moe": _moe(c)},
        layer_kinds={
            "double": draft(s.LayerKind, steps=_steps()),
            "single": blocks.layer_kind("full", "dense"),
        },
        layers=same_evidence(["double"] * layers.value, layers),
        mtp=unknown("the config does not tell: tensors named model.mtp.* must"),
    )


def _steps() -> list[Draft]:
    """Return the steps of a layer.

    The MoE reads what the first MLP reads: the attention's output, normed once for both.
    """
    first_mlp = draft(s.Step, branches=[draft(s.Branch, block="ffns.dense")], pre_norm="rms")
    shortcut = draft(s.Step, branches=[draft(s.Branch, block="ffns.moe")], skip_from=1)
    return [
        blocks.pre_norm_step("mixers.full"),
        first_mlp,
        blocks.pre_norm_step("mixers.full"),
        blocks.pre_norm_step("ffns.dense"),
        shortcut,
    ]


def _attention(c: ConfigKeys) -> Draft:
    """Read MLA with factors on its latents."""
    c.expect("mla_scale_q_lora", True)
    c.expect("mla_scale_kv_lora", True)

    latent = blocks.latent_attention(c)
    q_rank = latent["q_lora_rank"]
    kv_rank = latent["kv_lora_rank"]
    return latent.replace(
        q_scale=_latent_scale(c, q_rank),
        kv_scale=_latent_scale(c, kv_rank),
    )


def _latent_scale(c: ConfigKeys, rank: Sourced) -> Sourced:
    """Return the factor on a latent: sqrt(hidden_size / rank)."""
    hidden = c.size("hidden_size")
    if rank.value is None:
        raise FactError(f"{rank.evidence.ref} is null, but the code divides by it")
    ratio = hidden.value / rank.value
    root = ratio**0.5
    formula = f"sqrt({hidden.evidence.ref} / {rank.evidence.ref})"
    return derived(root, formula)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE with its zero experts."""
    c.expect("zero_expert_type", "identity")
    c.expect("router_dtype", "float32")
    router = draft(
        s.Router,
        scoring="softmax",
        selection_bias=True,
        bias=c.describe_only("router_bias", False, "weights"),
        normalized=c.expect("norm_topk_prob", False),
        scale=c.number("routed_scaling_factor"),
    )
    return blocks.moe(
        c,
        router,
        experts=("n_routed_experts", "num_local_experts"),
        active=("moe_topk",),
        width="expert_ffn_hidden_size",
        zero_experts=c.size("zero_expert_num", least=0),
    )


_MTP_BLOCKS = {
    s.LatentAttention: tensors.latent_parts(),
    s.Dense: tensors.dense_parts("transformer_layer.mlp"),
}


def _mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    """Yield the MTP module, whose blocks have names of their own."""
    assert a.mtp and a.mtp.layer_kind
    width = a.hidden_size
    modules = tuple(range(a.mtp.modules))
    layer = "model.mtp.layers.{}."
    own_naming = replace(naming, norms=tensors.PRE_NORMS, blocks=_MTP_BLOCKS)
    yield from tensors.rows_of_layers(a, a.mtp.layer_kind, modules, layer, own_naming, "mtp")

    for norm in ("enorm.m", "hnorm.m"):
        yield tensors.TensorRow(
            pattern=f"{layer}{norm}.weight",
            shape=(width,),
            axes=(modules,),
            component="mtp",
        )

    yield tensors.TensorRow(
        pattern=f"{layer}eh_proj.weight",
        shape=(width, 2 * width),
        axes=(modules,),
        component="mtp",
        proves=("mtp.modules",),
    )
    yield tensors.TensorRow(
        pattern="model.mtp.norm.weight",
        shape=(width,),
        axes=(),
        component="mtp",
    )
    yield tensors.TensorRow(
        pattern="model.mtp.embed_tokens.weight",
        shape=(a.vocab_size, width),
        axes=(),
        component="mtp",
        proves=("mtp.own_embedding",),
    )


FAMILY = Family(
    name="longcat_flash",
    title="LongCat-Flash",
    ref=modeling("longcat_flash"),
    read=read,
    naming=tensors.Naming(
        linear_router=True,
        norms=(
            "input_layernorm.0",
            "post_attention_layernorm.0",
            "input_layernorm.1",
            "post_attention_layernorm.1",
        ),
        blocks={
            s.LatentAttention: tensors.latent_parts("self_attn.#"),
            s.Dense: tensors.dense_parts("mlps.#"),
            s.MoE: tensors.moe_parts(
                router="router.classifier", selection_bias="router.e_score_correction_bias"
            ),
        },
        mtp=_mtp_rows,
    ),
    conversions={"longcat_flash": tensors.EXPERT_CONVERSION},
    defaults={
        "longcat_flash": {
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 131072,
            "q_lora_rank": 1536,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "ffn_hidden_size": 12288,
            "expert_ffn_hidden_size": 2048,
            "n_routed_experts": 512,
            "moe_topk": 12,
            "zero_expert_num": 256,
            "routed_scaling_factor": 6.0,
        },
    },
    config_class={"longcat_flash": "LongcatFlashConfig"},
    mtp_layouts=blocks.stored_mtp("single", own_embedding=True),
)
