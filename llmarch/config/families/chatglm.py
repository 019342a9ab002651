"""ChatGLM 2 and 3, and GLM-4 of 2024: GQA with one matrix for q, k and v.

Half of each head rotates, in pairs of neighbouring dims; the base of RoPE is 10000 times
`rope_ratio`. Gate and up are one matrix.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, hard_coded
from ..vocabulary import ConfigKeys, Family


def read(c: ConfigKeys) -> Draft:
    """Read a decoder. Raises UnknownFamily for ChatGLM 1 and for GLM-4V."""
    blocks.refuse_kin(c, {"inner_hidden_size": "ChatGLM 1", "vision_config": "GLM-4V"})
    c.expect("apply_residual_connection_post_layernorm", False)
    c.expect("pre_seq_len", None)
    c.ignore("fp32_residual_connection", "attention_softmax_in_fp32", "bias_dropout_fusion")
    c.ignore("apply_query_key_layer_scaling", "original_rope", "prefix_projection")
    c.ignore("quantization_bit", "vocab_size")
    c.expect("num_hidden_layers", c.layer_count("num_layers").value)
    bias = c.flag("add_bias_linear")
    mlp = draft(s.Dense, width=c.size("ffn_hidden_size"), activation="silu", bias=bias)
    norm = blocks.layer_norm(c, "layernorm_epsilon")
    if c.flag("rmsnorm").value:
        norm = blocks.rms_norm(c, "layernorm_epsilon")
    final_norm = None
    if c.flag("post_layer_norm").value:
        final_norm = "rms"
    return blocks.decoder(
        c,
        embedding=blocks.untied_embedding(c),
        final_norm=final_norm,
        vocab_size=c.size("padded_vocab_size"),
        context_length=c.size("seq_length"),
        norms={"rms": norm},
        mixers={"full": _attention(c, bias)},
        ffns={"dense": mlp},
        **blocks.layer_wiring(blocks.every_layer(c, "full", "num_layers"), "dense"),
    )


def _attention(c: ConfigKeys, bias: Sourced) -> Draft:
    """Read GQA, MQA or MHA."""
    heads = c.size("num_attention_heads")
    dim = c.size("kv_channels")
    groups = heads
    if c.flag("multi_query_attention").value:
        groups = c.size("multi_query_group_num")
    c.ignore("multi_query_group_num")
    either = derived(bias.value or c.flag("add_qkv_bias").value, "add_bias_linear or add_qkv_bias")
    return draft(
        s.Attention,
        heads=heads,
        kv_heads=groups,
        head_dim=dim,
        v_head_dim=dim,
        qkv_bias=either,
        output_bias=bias,
        rope=_rope(c, dim),
    )


def _rope(c: ConfigKeys, dim: Sourced) -> Draft:
    """Read RoPE over half of a head."""
    ratio = c.number("rope_ratio", default=hard_coded(1.0, c.ref)).value
    theta = derived(10000.0 * ratio, "10000 * rope_ratio")
    half = derived(dim.value // 2, "kv_channels / 2")
    return draft(s.Rope, theta=theta, rotary_dim=half, interleaved=True)


FAMILY = Family(
    name="chatglm",
    title="ChatGLM",
    ref="THUDM/chatglm3-6b/modeling_chatglm.py",
    read=read,
    naming=tensors.Naming(
        embedding="transformer.embedding.word_embeddings.weight",
        layer="transformer.encoder.layers.{}.",
        final_norm="transformer.encoder.final_layernorm",
        head="transformer.output_layer",
        blocks={
            s.Attention: tensors.fused_attention_parts(
                "self_attention", "query_key_value", "dense"
            ),
            s.Dense: tensors.fused_dense_parts(gate_up="dense_h_to_4h", down="dense_4h_to_h"),
        },
    ),
    defaults={
        "chatglm": {
            "add_bias_linear": False,
            "add_qkv_bias": False,
            "ffn_hidden_size": 13696,
            "kv_channels": 128,
            "layernorm_epsilon": 1e-5,
            "multi_query_attention": False,
            "multi_query_group_num": 1,
            "post_layer_norm": True,
            "rmsnorm": True,
            "seq_length": 2048,
        },
    },
    config_class={"chatglm": "ChatGLMConfig"},
    other_classes={"chatglm": ("ChatGLM",)},
)
