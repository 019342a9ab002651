"""GPT-2: learned positions, LayerNorm before each block, MHA, an ungated MLP, biases, tied.

Its matrices are Conv1D: stored as [inputs, outputs], unlike those of every other family. Queries,
keys and values are one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full", "n_layer", "num_hidden_layers")
    positions = c.size("n_positions", "max_position_embeddings")
    # keys of the first GPT-2 code, which nothing reads now
    c.ignore("n_ctx", "n_special", "predict_special_tokens", "output_past")
    c.describe_only("add_cross_attention", False, "weights")
    return blocks.decoder(
        c,
        hidden_size=c.size("n_embd", "hidden_size"),
        context_length=positions,
        embedding=blocks.embedding(c, positions=positions),
        final_norm="layer",
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        mixers={"full": attention(c)},
        ffns={"dense": mlp(c)},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


def attention(c: ConfigKeys) -> Draft:
    """Read MHA. Raises ConfigError if the heads do not divide the width."""
    scaled = c.flag("scale_attn_weights")
    return blocks.divided_attention(
        c,
        ("n_embd", "hidden_size"),
        ("n_head", "num_attention_heads"),
        scale=None if scaled.value else same_evidence(1.0, scaled),
        scale_by_depth=c.flag("scale_attn_by_inverse_layer_idx"),
        qkv_bias=True,
        output_bias=True,
    )


def mlp(c: ConfigKeys) -> Draft:
    """Read the MLP."""
    width = blocks.mlp_width(c, "n_inner", "n_embd", "hidden_size")
    activation = blocks.activation_name(c, "activation_function")
    return draft(s.Dense, width=width, activation=activation, gated=False, bias=True)


def conv1d(
    m: tensors.Module, name: str, inputs: int, outputs: int, *proves: str
) -> Iterator[tensors.BlockTensor]:
    """Yield a matrix stored as [inputs, outputs], and its bias."""
    yield m.tensor(f"{name}.weight", (inputs, outputs), *proves)
    yield m.vector(f"{name}.bias", outputs)


def attention_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of attention."""
    m = tensors.Module("attn", "attention")
    inner = a.heads * a.head_dim
    yield from conv1d(m, "c_attn", hidden, 3 * inner, "heads", "kv_heads", "head_dim")
    yield from conv1d(m, "c_proj", inner, hidden, "v_head_dim")


def dense_parts(f: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the MLP."""
    m = tensors.Module("mlp", "mlp")
    yield from conv1d(m, "c_fc", hidden, f.width, "width")
    yield from conv1d(m, "c_proj", f.width, hidden, "width")


FAMILY = Family(
    name="gpt2",
    title="GPT-2",
    ref=modeling("gpt2"),
    read=read,
    naming=tensors.Naming(
        embedding="wte.weight",
        positions="wpe.weight",
        layer="h.{}.",
        final_norm="ln_f",
        score_heads=tensors.CLASSIFIER_HEADS,
        norms=("ln_1", "ln_2"),
        blocks={s.Attention: attention_parts, s.Dense: dense_parts},
    ),
    conversions={"gpt2": tensors.Conversion(base="transformer")},
    defaults={
        "gpt2": {
            "n_positions": 1024,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": True,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
        },
    },
    config_class={"gpt2": "GPT2Config"},
)
