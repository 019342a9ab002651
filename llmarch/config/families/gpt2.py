"""GPT-2: learned positions, LayerNorm before each block, MHA with fused q, k, v, an ungated MLP, biases everywhere, tied embedding.

Its matrices are Conv1D: stored [in, out], unlike every other family's.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ConfigError
from ..vocabulary import (
    Attention,
    Config,
    Dense,
    Embedding,
    Fact,
    Family,
    Naming,
    Node,
    Part,
    activation,
    decoder,
    derived,
    layer_norm,
    make,
    modeling,
    pre,
    wire,
)


def read(c: Config) -> Node:
    layers, positions = c.layer_count("n_layer", "num_hidden_layers"), c.size("n_positions", "max_position_embeddings")
    hidden, heads = c.size("n_embd", "hidden_size"), c.size("n_head", "num_attention_heads")
    c.ignore("n_ctx", "n_special", "predict_special_tokens", "output_past")  # the first GPT-2 code's keys; nothing reads them now
    dim = derived(hidden.value // heads.value, "n_embd / n_head")
    if hidden.value % heads.value:
        raise ConfigError(f"{c.file}: n_embd {hidden.value:,} is not a multiple of n_head {heads.value:,}")
    scaled = c.flag("scale_attn_weights")
    full = make(
        Attention,
        heads=heads,
        kv_heads=heads,
        head_dim=dim,
        v_head_dim=dim,
        qkv_bias=True,
        output_bias=True,
        scale=None if scaled.value else Fact(1.0, scaled.evidence),
        scale_by_depth=c.flag("scale_attn_by_inverse_layer_idx"),
    )
    inner = c.size("n_inner", default=derived(4 * hidden.value, "4 * n_embd, as n_inner is null"))
    mlp = make(Dense, width=inner, activation=activation(c, "activation_function"), gated=False, bias=True)
    return decoder(
        c,
        hidden_size=hidden,
        context_length=positions,
        embedding=make(Embedding, tied=c.flag("tie_word_embeddings"), positions=positions),
        final_norm="layer",
        norms={"layer": layer_norm(c, "layer_norm_epsilon")},
        mixers={"full": full},
        ffns={"dense": mlp},
        **wire([("full", "dense")] * layers.value, layers, lambda block: pre(block, "layer")),
    )


def conv1d(name: str, inputs: int, outputs: int, component: str, proves: tuple[str, ...]) -> Iterator[Part]:
    yield Part(f"{name}.weight", (inputs, outputs), component, proves)
    yield Part(f"{name}.bias", (outputs,), component)


def attention_parts(a: Attention, hidden: int) -> Iterator[Part]:
    inner = a.heads * a.head_dim
    yield from conv1d("attn.c_attn", hidden, 3 * inner, "attention", ("heads", "kv_heads", "head_dim"))
    yield from conv1d("attn.c_proj", inner, hidden, "attention", ("v_head_dim",))


def dense_parts(f: Dense, hidden: int) -> Iterator[Part]:
    yield from conv1d("mlp.c_fc", hidden, f.width, "mlp", ("width",))
    yield from conv1d("mlp.c_proj", f.width, hidden, "mlp", ("width",))


FAMILY = Family(
    name="gpt2",
    title="GPT-2",
    ref=modeling("gpt2"),
    read=read,
    naming=Naming(
        embedding="wte.weight",
        positions="wpe.weight",
        layer="h.{}.",
        final_norm="ln_f",
        norms=("ln_1", "ln_2"),
        blocks={Attention: attention_parts, Dense: dense_parts},
    ),
    defaults={
        "gpt2": {
            "n_positions": 1024, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
            "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
        },
    },
    config_class={"gpt2": "GPT2Config"},
)  # fmt: skip
