"""StarCoder and SantaCoder (GPTBigCode): GPT-2 with one key/value head and plain linear layers."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full", "n_layer", "num_hidden_layers")
    positions = c.size("n_positions", "max_position_embeddings")
    c.ignore("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "inference_runner")
    c.ignore("max_batch_size", "max_sequence_length", "pad_key_length", "pre_allocate_kv_cache")
    c.ignore("validate_runner_input", "n_ctx", "num_key_value_heads")
    c.ignore("runner_max_sequence_length")
    return blocks.decoder(
        c,
        hidden_size=c.size("n_embd", "hidden_size"),
        context_length=positions,
        embedding=blocks.embedding(c, positions=positions),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers={"full": _attention(c)},
        ffns={"dense": blocks.gpt_mlp(c, "n_inner", "n_embd", "hidden_size")},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read MQA, or MHA without multi_query."""
    shared = c.flag("multi_query")
    scaled = c.flag("scale_attn_weights")
    groups = {"kv_heads": same_evidence(1, shared)} if shared.value else {}
    return blocks.divided_attention(
        c,
        ("n_embd", "hidden_size"),
        ("n_head", "num_attention_heads"),
        **groups,
        scale=None if scaled.value else same_evidence(1.0, scaled),
        qkv_bias=True,
        output_bias=True,
    )


FAMILY = Family(
    name="gpt_bigcode",
    title="GPTBigCode",
    ref=modeling("gpt_bigcode"),
    read=read,
    naming=tensors.Naming(
        score_heads=tensors.CLASSIFIER_HEADS,
        embedding="transformer.wte.weight",
        positions="transformer.wpe.weight",
        layer="transformer.h.{}.",
        final_norm="transformer.ln_f",
        norms=("ln_1", "ln_2"),
        blocks={
            s.Attention: tensors.fused_attention_parts("attn", "c_attn", "c_proj"),
            s.Dense: tensors.dense_parts(up="c_fc", down="c_proj"),
        },
    ),
    conversions={"gpt_bigcode": tensors.Conversion(base="transformer")},
    defaults={
        "gpt_bigcode": {
            "activation_function": "gelu_pytorch_tanh",
            "layer_norm_epsilon": 1e-5,
            "multi_query": True,
            "n_positions": 1024,
            "scale_attn_weights": True,
            "tie_word_embeddings": True,
        },
    },
    config_class={"gpt_bigcode": "GPTBigCodeConfig"},
)
