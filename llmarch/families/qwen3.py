"""Qwen3: GQA with an RMSNorm over each query and key head, pre-norm; dense (`qwen3`) or MoE without shared expert (`qwen3_moe`)."""

from __future__ import annotations

from ..family import Config, Fact, Family, MoE, Naming, Node, QKNorm, Router, attention, decoder, dense, derived, make, wire


def read(c: Config) -> Node:
    n = c.layer_count().value
    bias = c.flag("attention_bias")
    full = attention(c, qk_norm=make(QKNorm, scope="head"), qkv_bias=bias, output_bias=bias)
    mixers, mixer_of, how = windows(c, full, n)
    ffns: dict[str, Node] = {}
    sparse = sparse_layers(c, n) if c.data.get("model_type") == "qwen3_moe" else [False] * n
    if any(sparse):
        ffns["moe"] = moe(c)
    if not all(sparse):
        ffns["dense"] = dense(c)
    c.ignore("intermediate_size")
    layers = [(m, "moe" if s else "dense") for m, s in zip(mixer_of, sparse, strict=True)]
    return decoder(c, mixers=mixers, ffns=ffns, **wire(layers, how))


def moe(c: Config) -> Node:
    router = make(Router, scoring="softmax", normalized=c.flag("norm_topk_prob"))
    return make(
        MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("moe_intermediate_size"),
        activation=c.word("hidden_act"),
        router=router,
    )


def sparse_layers(c: Config, n: int) -> list[bool]:
    """Sparse unless in mlp_only_layers, and where (i + 1) is a multiple of decoder_sparse_step."""
    only = set(c.items("mlp_only_layers", default=[], of=int).value)
    step = c.size("decoder_sparse_step", default=1).value
    return [i not in only and (i + 1) % step == 0 for i in range(n)]


def windows(c: Config, full: Node, n: int) -> tuple[dict[str, Node], list[str], Fact]:
    """Sliding windows as Qwen2 and Qwen3 have them: by layer_types, or on layers from max_window_layers on if use_sliding_window."""
    use, window = c.flag("use_sliding_window", default=False), c.size("sliding_window", default=None)
    first = c.size("max_window_layers", default=n, least=0)
    types = c.items("layer_types", default=None, length=n, of=str)
    if types.value is not None:
        of = ["sliding" if t == "sliding_attention" else "full" for t in types.value]
        how = types
    elif use.value and window.value:
        of = ["sliding" if i >= first.value else "full" for i in range(n)]
        how = derived(None, "use_sliding_window, max_window_layers")
    else:
        of, how = ["full"] * n, derived(None, f"{use.evidence.ref} is false: every layer is full")
    mixers = {"full": full} if "full" in of else {}
    if "sliding" in of:
        mixers["sliding"] = full.but(window=window)
    return mixers, of, how


FAMILY = Family(
    name="qwen3",
    title="Qwen3",
    ref="transformers 5.23.0 models/qwen3_moe/modeling_qwen3_moe.py",
    read=read,
    naming=Naming(),
    defaults={
        "qwen3": {"attention_bias": False, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "head_dim": 128},
        "qwen3_moe": {"attention_bias": False, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "norm_topk_prob": False},
    },
    config_class={"qwen3": "Qwen3Config", "qwen3_moe": "Qwen3MoeConfig"},
)
