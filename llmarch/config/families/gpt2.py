"""GPT-2: learned positions, LayerNorm before each block, MHA with fused q, k, v, an ungated MLP, biases everywhere, tied embedding.

Its matrices are Conv1D: stored [in, out], unlike every other family's.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling


def read(c: ConfigKeys) -> Draft:
    layers, positions = (
        c.layer_count("n_layer", "num_hidden_layers"),
        c.size("n_positions", "max_position_embeddings"),
    )
    hidden, heads = c.size("n_embd", "hidden_size"), c.size("n_head", "num_attention_heads")
    c.ignore(
        "n_ctx", "n_special", "predict_special_tokens", "output_past"
    )  # the first GPT-2 code's keys; nothing reads them now
    dim = derived(hidden.value // heads.value, "n_embd / n_head")
    if hidden.value % heads.value:
        raise ConfigError(
            f"{c.file}: n_embd {hidden.value:,} is not a multiple of n_head {heads.value:,}"
        )
    scaled = c.flag("scale_attn_weights")
    full = draft(
        s.Attention,
        heads=heads,
        kv_heads=heads,
        head_dim=dim,
        v_head_dim=dim,
        qkv_bias=True,
        output_bias=True,
        scale=None if scaled.value else Sourced(1.0, scaled.evidence),
        scale_by_depth=c.flag("scale_attn_by_inverse_layer_idx"),
    )
    inner = c.size("n_inner", default=derived(4 * hidden.value, "4 * n_embd, as n_inner is null"))
    mlp = draft(
        s.Dense,
        width=inner,
        activation=blocks.activation(c, "activation_function"),
        gated=False,
        bias=True,
    )
    return blocks.decoder(
        c,
        hidden_size=hidden,
        context_length=positions,
        embedding=draft(s.Embedding, tied=c.flag("tie_word_embeddings"), positions=positions),
        final_norm="layer",
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        mixers={"full": full},
        ffns={"dense": mlp},
        **blocks.layer_wiring(
            [("full", "dense")] * layers.value,
            layers,
            lambda block: blocks.pre_norm_step(block, "layer"),
        ),
    )


def conv1d(
    name: str, inputs: int, outputs: int, component: str, proves: tuple[str, ...]
) -> Iterator[tensors.BlockTensor]:
    yield tensors.BlockTensor(f"{name}.weight", (inputs, outputs), component, proves)
    yield tensors.BlockTensor(f"{name}.bias", (outputs,), component)


def attention_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    inner = a.heads * a.head_dim
    yield from conv1d(
        "attn.c_attn", hidden, 3 * inner, "attention", ("heads", "kv_heads", "head_dim")
    )
    yield from conv1d("attn.c_proj", inner, hidden, "attention", ("v_head_dim",))


def dense_parts(f: s.Dense, hidden: int) -> Iterator[tensors.BlockTensor]:
    yield from conv1d("mlp.c_fc", hidden, f.width, "mlp", ("width",))
    yield from conv1d("mlp.c_proj", f.width, hidden, "mlp", ("width",))


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
        norms=("ln_1", "ln_2"),
        blocks={s.Attention: attention_parts, s.Dense: dense_parts},
    ),
    defaults={
        "gpt2": {
            "n_positions": 1024, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
            "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
        },
    },
    config_class={"gpt2": "GPT2Config"},
)  # fmt: skip
