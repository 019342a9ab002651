"""Tensors: the names and shapes that a family predicts from an Architecture, as a template of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from math import prod
from typing import Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    Dense,
    LatentAttention,
    Linear,
    LinearAttention,
    Mixer,
    MoE,
    Norm,
    QKNorm,
    Step,
    Tower,
)


@frozen
class TensorRow(Frozen):
    """One line of a family's template: a name pattern with `{}` for layer and expert numbers, the numbers each may take, a shape
    [out, in], the component its parameters count for, and the paths of the facts that its shape proves."""

    pattern: str
    shape: tuple[int, ...]
    axes: tuple[tuple[int, ...] | range, ...]
    component: str
    proves: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many tensors."""
        return prod(len(a) for a in self.axes)

    @property
    def parameters(self) -> int:
        return self.count * prod(self.shape)


@frozen
class BlockTensor(Frozen):
    """A tensor of a block, named relative to the layer; `experts` numbers for a `{}` in the name; `proves` names fields of the block."""

    name: str
    shape: tuple[int, ...]
    component: str
    proves: tuple[str, ...] = ()
    experts: int | None = None


BlockTensors = Callable[[Any, int], Iterable[BlockTensor]]
"""(block, hidden size) -> its tensors."""


def linear(
    name: str,
    outputs: int,
    inputs: int,
    component: str,
    proves: tuple[str, ...] = (),
    bias: bool = False,
) -> Iterator[BlockTensor]:
    yield BlockTensor(f"{name}.weight", (outputs, inputs), component, proves)
    if bias:
        yield BlockTensor(f"{name}.bias", (outputs,), component)


def attention_parts(
    at: str = "self_attn", q: str = "q_proj", k: str = "k_proj", v: str = "v_proj", o: str = "o_proj",
    q_norm: str = "q_norm", k_norm: str = "k_norm", sinks: str = "sinks", gate: str = "",
) -> BlockTensors:  # fmt: skip
    """Split projections q, k, v, o under `at`; the output gate is in q, or a matrix `gate` of its own."""

    def parts(a: Attention, hidden: int) -> Iterator[BlockTensor]:
        part = "attention"
        gates = {"elementwise": a.heads * a.head_dim, "head": a.heads, None: 0}[a.gate]
        yield from linear(
            f"{at}.{q}",
            a.heads * a.head_dim + (0 if gate else gates),
            hidden,
            part,
            ("heads", "head_dim"),
            a.qkv_bias,
        )
        if gate and gates:
            yield from linear(f"{at}.{gate}", gates, hidden, part, ("gate",))
        if a.kv_from is None:
            yield from linear(
                f"{at}.{k}", a.kv_heads * a.head_dim, hidden, part, ("kv_heads",), a.qkv_bias
            )
            if not a.values_from_keys:
                yield from linear(
                    f"{at}.{v}",
                    a.kv_heads * a.v_head_dim,
                    hidden,
                    part,
                    ("v_head_dim",),
                    a.qkv_bias,
                )
        yield from linear(f"{at}.{o}", hidden, a.heads * a.v_head_dim, part, (), a.output_bias)
        if a.qk_norm and a.qk_norm.weight:
            whole = a.qk_norm.scope == "projection"
            yield BlockTensor(
                f"{at}.{q_norm}.weight",
                (a.head_dim * (a.heads if whole else 1),),
                part,
                ("qk_norm.scope",),
            )
            if a.kv_from is None:
                yield BlockTensor(
                    f"{at}.{k_norm}.weight",
                    (a.head_dim * (a.kv_heads if whole else 1),),
                    part,
                    ("qk_norm.scope",),
                )
        if a.sinks:
            yield BlockTensor(f"{at}.{sinks}", (a.heads,), part, ("sinks",))
        if x := a.block_index:
            yield from linear(
                f"{at}.index_q_proj", x.heads * x.head_dim, hidden, part, ("block_index.heads",)
            )
            yield from linear(
                f"{at}.index_k_proj", x.head_dim, hidden, part, ("block_index.head_dim",)
            )
            for name in ("index_q_norm", "index_k_norm"):
                yield BlockTensor(f"{at}.{name}.weight", (x.head_dim,), part)

    return parts


def fused_attention_parts(
    at: str = "self_attn", qkv: str = "qkv_proj", o: str = "o_proj"
) -> BlockTensors:
    """Projections q, k, v in one matrix, one after the other (Phi-3, Qwen's vision towers)."""

    def parts(a: Attention, hidden: int) -> Iterator[BlockTensor]:
        rows, under = (
            a.heads * a.head_dim + a.kv_heads * (a.head_dim + a.v_head_dim),
            f"{at}." if at else "",
        )
        yield from linear(
            f"{under}{qkv}",
            rows,
            hidden,
            "attention",
            ("heads", "kv_heads", "head_dim"),
            a.qkv_bias,
        )
        yield from linear(
            f"{under}{o}", hidden, a.heads * a.v_head_dim, "attention", (), a.output_bias
        )

    return parts


def mamba2_parts(at: str) -> BlockTensors:
    """Mamba-2: gate, x, B, C and dt from one projection."""

    def parts(a: LinearAttention, hidden: int) -> Iterator[BlockTensor]:
        part, inner, groups = (
            "attention",
            a.value_heads * a.value_head_dim,
            a.key_heads * a.key_head_dim,
        )
        proves = ("value_heads", "value_head_dim", "key_heads", "key_head_dim")
        yield from linear(
            f"{at}.in_proj", 2 * inner + 2 * groups + a.value_heads, hidden, part, proves, a.bias
        )
        yield BlockTensor(
            f"{at}.conv1d.weight",
            (inner + 2 * groups, 1, a.conv_kernel or 0),
            part,
            ("conv_kernel",),
        )
        if a.conv_bias:
            yield BlockTensor(f"{at}.conv1d.bias", (inner + 2 * groups,), part, ("conv_bias",))
        for name in ("A_log", "D", "dt_bias"):
            yield BlockTensor(f"{at}.{name}", (a.value_heads,), part, ("value_heads",))
        yield BlockTensor(f"{at}.norm.weight", (inner,), part)
        yield from linear(f"{at}.out_proj", hidden, inner, part, (), a.bias)

    return parts


def latent_parts(at: str = "self_attn") -> BlockTensors:
    """MLA in DeepSeek's names, with the indexer where there is one."""

    def parts(a: LatentAttention, hidden: int) -> Iterator[BlockTensor]:
        part, qk = "attention", a.qk_nope_head_dim + a.qk_rope_head_dim
        if a.q_lora_rank is None:
            yield from linear(f"{at}.q_proj", a.heads * qk, hidden, part, ("heads", "q_lora_rank"))
        else:
            yield from linear(
                f"{at}.q_a_proj", a.q_lora_rank, hidden, part, ("q_lora_rank",), a.bias
            )
            yield BlockTensor(f"{at}.q_a_layernorm.weight", (a.q_lora_rank,), part)
            yield from linear(
                f"{at}.q_b_proj", a.heads * qk, a.q_lora_rank, part, ("heads", "q_lora_rank")
            )
        yield from linear(
            f"{at}.kv_a_proj_with_mqa",
            a.kv_lora_rank + a.qk_rope_head_dim,
            hidden,
            part,
            ("qk_rope_head_dim",),
            a.bias,
        )
        yield BlockTensor(f"{at}.kv_a_layernorm.weight", (a.kv_lora_rank,), part, ("kv_lora_rank",))
        yield from linear(
            f"{at}.kv_b_proj",
            a.heads * (a.qk_nope_head_dim + a.v_head_dim),
            a.kv_lora_rank,
            part,
            ("qk_nope_head_dim",),
        )
        yield from linear(
            f"{at}.o_proj", hidden, a.heads * a.v_head_dim, part, ("v_head_dim",), a.bias
        )
        if x := a.indexer:
            yield from linear(
                f"{at}.indexer.wq_b",
                x.heads * x.head_dim,
                a.q_lora_rank or hidden,
                part,
                ("indexer.head_dim",),
            )
            yield from linear(f"{at}.indexer.wk", x.head_dim, hidden, part, ("indexer.head_dim",))
            yield BlockTensor(f"{at}.indexer.k_norm.weight", (x.head_dim,), part)
            yield BlockTensor(f"{at}.indexer.k_norm.bias", (x.head_dim,), part)
            yield from linear(
                f"{at}.indexer.weights_proj", x.heads, hidden, part, ("indexer.heads",)
            )

    return parts


def dense_parts(
    at: str = "mlp", gate: str = "gate_proj", up: str = "up_proj", down: str = "down_proj"
) -> BlockTensors:
    def parts(f: Dense, hidden: int) -> Iterator[BlockTensor]:
        if f.gated:
            yield from linear(f"{at}.{gate}", f.width, hidden, "mlp", ("width",), f.bias)
        yield from linear(f"{at}.{up}", f.width, hidden, "mlp", ("width",), f.bias)
        yield from linear(f"{at}.{down}", hidden, f.width, "mlp", (), f.bias)

    return parts


def fused_dense_parts(
    at: str = "mlp", gate_up: str = "gate_up_proj", down: str = "down_proj"
) -> BlockTensors:
    """Gates and ups in one matrix (Phi-3, Granite 4's shared MLP)."""

    def parts(f: Dense, hidden: int) -> Iterator[BlockTensor]:
        yield from linear(
            f"{at}.{gate_up}", f.width * (2 if f.gated else 1), hidden, "mlp", ("width",), f.bias
        )
        yield from linear(f"{at}.{down}", hidden, f.width, "mlp", (), f.bias)

    return parts


def moe_parts(
    at: str = "mlp",
    router: str = "gate",
    selection_bias: str = "gate.e_score_correction_bias",
    token_table: str = "gate.tid2eid",
    experts: str = "experts.{}",
    shared: str | BlockTensors = "shared_experts",
    shared_gate: str = "shared_expert_gate",
    gate: str = "gate_proj",
    up: str = "up_proj",
    down: str = "down_proj",
    latent: tuple[str, str] = ("fc1_latent_proj", "fc2_latent_proj"),
) -> BlockTensors:
    """One tensor an expert, as most checkpoints are published; `shared` where the shared experts' own names are of another kind; `latent`:
    the projections to the experts' narrower width and back."""
    shared_mlp = shared if callable(shared) else dense_parts(f"{at}.{shared}", gate, up, down)

    def parts(f: MoE, hidden: int) -> Iterator[BlockTensor]:
        choices = f.experts + f.zero_experts
        yield from linear(
            f"{at}.{router}", choices, hidden, "router", ("experts", "zero_experts"), f.router.bias
        )
        if f.router.selection_bias:
            yield BlockTensor(
                f"{at}.{selection_bias}", (choices,), "router", ("router.selection_bias",)
            )
        if f.router.token_table:
            yield BlockTensor(
                f"{at}.{token_table}",
                (f.router.token_table, f.active),
                "router",
                ("router.token_table", "active"),
            )
        one = dense_parts(f"{at}.{experts}", gate, up, down)
        for p in one(
            Dense(width=f.expert_width, activation=f.activation, gated=f.gated, bias=f.bias),
            f.latent_width or hidden,
        ):
            yield replace(
                p,
                component="experts",
                experts=f.experts,
                proves=("expert_width", "experts") if p.proves else (),
            )
        if f.latent_width:
            yield from linear(
                f"{at}.{latent[0]}", f.latent_width, hidden, "latent_projections", ("latent_width",)
            )
            yield from linear(
                f"{at}.{latent[1]}", hidden, f.latent_width, "latent_projections", ("latent_width",)
            )
        yield from _shared(f, hidden, shared_mlp)
        if f.shared_gate:
            yield from linear(f"{at}.{shared_gate}", 1, hidden, "shared_experts", ("shared_gate",))

    return parts


def fused_moe_parts(
    at: str = "mlp",
    router: str = "router",
    shared: str | BlockTensors = "shared_expert",
    shared_gate: str = "shared_expert_gate",
    gate_up: str = "experts.gate_up_proj",
    down: str = "experts.down_proj",
    outputs_first: bool = False,
) -> BlockTensors:
    """All experts in one tensor [experts, inputs, outputs], gates and ups together, as gpt-oss and Llama 4 are published, or
    [experts, outputs, inputs] (`outputs_first`: Qwen3.5, Gemma 4, Granite)."""
    shared_mlp = shared if callable(shared) else dense_parts(f"{at}.{shared}")

    def parts(f: MoE, hidden: int) -> Iterator[BlockTensor]:
        yield from linear(
            f"{at}.{router}", f.experts, hidden, "router", ("experts",), f.router.bias
        )
        for name, inputs, outputs in (
            (gate_up, hidden, 2 * f.expert_width),
            (down, f.expert_width, hidden),
        ):
            shape = (f.experts, outputs, inputs) if outputs_first else (f.experts, inputs, outputs)
            yield BlockTensor(f"{at}.{name}", shape, "experts", ("expert_width", "experts"))
            if f.bias:
                yield BlockTensor(f"{at}.{name}_bias", (f.experts, outputs), "experts", ("bias",))
        yield from _shared(f, hidden, shared_mlp)
        if f.shared_gate:
            yield from linear(f"{at}.{shared_gate}", 1, hidden, "shared_experts", ("shared_gate",))

    return parts


def _shared(f: MoE, hidden: int, mlp: BlockTensors) -> Iterator[BlockTensor]:
    """The shared experts, one MLP together."""
    if f.shared_width:
        for p in mlp(Dense(width=f.shared_width, activation=f.activation, gated=f.gated), hidden):
            yield replace(
                p, component="shared_experts", proves=("shared_width",) if p.proves else ()
            )


USUAL_BLOCKS: dict[type, BlockTensors] = {
    Attention: attention_parts(),
    LatentAttention: latent_parts(),
    Dense: dense_parts(),
    MoE: moe_parts(),
}

PRE_NORMS = ("input_layernorm", "post_attention_layernorm")
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
SANDWICH_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)


@frozen
class Naming(Frozen):
    """Where a family's published tensors live. `norms`: a layer's norms in the order of its wiring; `blocks`: tensors of a block, by
    its path (`mixers.linear`) or its class, with `#` for its number among the layer's blocks of that path; `hyper`: prefixes of the layer's
    hyper-connections in the order of its steps, then that of the one after the last layer; `altup`: the matrices to and from further
    streams; `layer_scale`: a layer's learned number; `per_layer`: table, projection and norm of per-layer
    embeddings; `mtp`, `tower`: rows of the modules around the decoder."""

    prefix: str = ""
    embedding: str = "model.embed_tokens.weight"
    positions: str = ""
    layer: str = "model.layers.{}."
    final_norm: str = "model.norm"
    head: str = "lm_head"
    norms: tuple[str, ...] = PRE_NORMS
    hyper: tuple[str, ...] = ()
    altup: tuple[str, ...] = ()
    blocks: Mapping[Any, BlockTensors] = field(default_factory=dict[Any, BlockTensors])
    layer_scale: str = "layer_scalar"
    per_layer: tuple[str, str, str] = ("", "", "")
    mtp: Callable[[Architecture, Naming], Iterable[TensorRow]] | None = None
    tower: Callable[[Architecture], Iterable[TensorRow]] | None = None

    def parts(self, path: str, block: Mixer | FFN) -> BlockTensors:
        found = (
            self.blocks.get(path) or self.blocks.get(type(block)) or USUAL_BLOCKS.get(type(block))
        )
        if found is None:
            raise KeyError(f"no names for {path}")
        return found


def layer_norms(steps: Iterable[Step]) -> Iterator[str]:
    """The norms of a layer kind in the order of its wiring, by name in `norms`."""
    for s in steps:
        if s.pre_norm:
            yield s.pre_norm
        for b in s.branches:
            yield from (n for n in (b.pre_norm, b.post_norm) if n)
        yield from (n for n in (s.join_norm, s.after_norm) if n)


def norm_rows(
    name: str, norm: Norm, width: int, axes: tuple[tuple[int, ...], ...], component: str = "norms"
) -> Iterator[TensorRow]:
    if norm.weight:
        yield TensorRow(f"{name}.weight", (width,), axes, component)
    if norm.bias:
        yield TensorRow(f"{name}.bias", (width,), axes, component)


def layer_rows(
    a: Architecture,
    kind: str,
    numbers: tuple[int, ...],
    at: str,
    naming: Naming,
    component: str | None = None,
) -> Iterator[TensorRow]:
    """The tensors of the layers `numbers`, all of one kind, named under the pattern `at`."""
    steps = a.layer_kinds[kind].steps
    axes: tuple[tuple[int, ...], ...] = (numbers,) if "{}" in at else ()
    for name, used in zip(naming.norms, layer_norms(steps), strict=True):
        yield from norm_rows(at + name, a.norms[used], a.hidden_size, axes, component or "norms")
    if a.residual.kind == "hyper":
        n = a.residual.streams
        for name in naming.hyper[:-1]:
            yield from hyper_rows(at + name, (2 + n) * n, 3, a, axes, component or "residual")
    if a.residual.kind == "altup":
        yield from altup_rows(at, a, axes, component or "residual")
    met: Counter[str] = Counter()
    for s in steps:
        for b in s.branches:
            block = a.block(b.block)
            for p in naming.parts(b.block, block)(block, a.hidden_size):
                own = axes if p.experts is None else (*axes, range(p.experts))
                name = at + p.name.replace("#", str(met[b.block]))
                yield TensorRow(
                    name,
                    p.shape,
                    own,
                    component or p.component,
                    tuple(f"{b.block}.{f}" for f in p.proves),
                )
            met[b.block] += 1
    if a.layer_kinds[kind].learned_scale:
        yield TensorRow(
            at + naming.layer_scale,
            (1,),
            axes,
            component or "layer_scales",
            (f"layer_kinds.{kind}.learned_scale",),
        )


def hyper_rows(
    name: str,
    outputs: int,
    scales: int,
    a: Architecture,
    axes: tuple[tuple[int, ...], ...],
    component: str,
) -> Iterator[TensorRow]:
    """A hyper-connection: a matrix over all streams, its bias, and its scales."""
    yield TensorRow(
        f"{name}fn",
        (outputs, a.residual.streams * a.hidden_size),
        axes,
        component,
        ("residual.streams",),
    )
    yield TensorRow(f"{name}base", (outputs,), axes, component)
    yield TensorRow(f"{name}scale", (scales,), axes, component)


def altup_rows(
    at: str, a: Architecture, axes: tuple[tuple[int, ...], ...], component: str
) -> Iterator[TensorRow]:
    """Alternating updates of one layer."""
    n, h = a.residual.streams, a.hidden_size
    shapes = {
        "correction_coefs.weight": (n, n),
        "prediction_coefs.weight": (n * n, n),
        "modality_router.weight": (n, h),
    }
    for name, shape in {**shapes, "router_norm.weight": (h,), "correct_output_scale": (h,)}.items():
        yield TensorRow(
            f"{at}altup.{name}",
            shape,
            axes,
            component,
            ("residual.streams",) if len(shape) > 1 else (),
        )


def template(a: Architecture, naming: Naming) -> list[TensorRow]:
    """Every tensor that a checkpoint of this architecture holds, in published names. Tied heads have no row of their own."""
    p = naming.prefix
    h = a.hidden_size
    rows = [
        TensorRow(
            p + naming.embedding, (a.vocab_size, h), (), "embedding", ("vocab_size", "hidden_size")
        )
    ]
    if a.embedding.positions:
        rows.append(
            TensorRow(
                p + naming.positions,
                (a.embedding.positions, h),
                (),
                "embedding",
                ("embedding.positions",),
            )
        )
    if e := a.embedding.per_layer:
        (table, projection, norm), wide = naming.per_layer, len(a.layers) * e.width
        rows.append(
            TensorRow(
                p + table,
                (e.vocab_size, wide),
                (),
                "per_layer_embedding",
                ("embedding.per_layer.width",),
            )
        )
        rows.append(
            TensorRow(
                p + projection,
                (wide, h),
                (),
                "per_layer_projection",
                ("embedding.per_layer.width",),
            )
        )
        rows.append(TensorRow(p + norm, (e.width,), (), "per_layer_projection"))
    numbers: dict[str, list[int]] = {}
    for i, kind in enumerate(a.layers):
        numbers.setdefault(kind, []).append(i)
    for kind, at in numbers.items():
        rows.extend(layer_rows(a, kind, tuple(at), p + naming.layer, naming))
    if a.residual.kind == "hyper":
        rows.extend(hyper_rows(p + naming.hyper[-1], a.residual.streams, 1, a, (), "residual"))
    if a.residual.kind == "altup":
        further = (tuple(range(a.residual.streams - 1)),)
        rows.extend(
            TensorRow(f"{p}{name}.{{}}.weight", (h, h), further, "residual", ("residual.streams",))
            for name in naming.altup
        )
    if a.final_norm:
        rows.extend(norm_rows(p + naming.final_norm, a.norms[a.final_norm], h, ()))
    if not a.embedding.tied:
        rows.append(
            TensorRow(
                f"{p}{naming.head}.weight", (a.vocab_size, h), (), "head", ("embedding.tied",)
            )
        )
    if a.head.bias:
        rows.append(
            TensorRow(f"{p}{naming.head}.bias", (a.vocab_size,), (), "head", ("head.bias",))
        )
    if a.mtp and a.mtp.layer_kind and naming.mtp:
        rows.extend(naming.mtp(a, naming))
    if a.towers and naming.tower:
        rows.extend(naming.tower(a))
    return rows


def fold_numbers(row: TensorRow) -> TensorRow:
    """A row whose name has plain numbers in it (`self_attn.0.`) has them among its axes instead, as headers are folded too."""
    parts = row.pattern.split(".")
    if not any(p.isdigit() for p in parts):
        return row
    axes = iter(row.axes)
    own = tuple((int(p),) if p.isdigit() else next(axes) for p in parts if p == "{}" or p.isdigit())
    return replace(row, pattern=".".join("{}" if p.isdigit() else p for p in parts), axes=own)


def matrix_rows(
    name: str,
    m: Linear,
    shape: tuple[int, ...] = (),
    proves: tuple[str, ...] = (),
    component: str = "vision",
) -> Iterator[TensorRow]:
    """Yield an encoder's matrix that stands alone.

    shape: how the matrix is stored, if not as [outputs, inputs].
    """
    yield TensorRow(f"{name}.weight", shape or (m.outputs, m.inputs), (), component, proves)
    if m.bias:
        yield TensorRow(f"{name}.bias", (m.outputs,), (), component)


def tower_rows(
    t: Tower, layer: str, norms: tuple[str, ...], attention: BlockTensors, ffn: BlockTensors
) -> Iterator[TensorRow]:
    """The encoder layers of a tower, named under the pattern `layer`."""
    numbers = (tuple(range(t.layers)),)
    for name in norms:
        yield from norm_rows(layer + name, t.norm, t.hidden_size, numbers, "vision")
    heads = Attention(
        heads=t.heads,
        kv_heads=t.kv_heads or t.heads,
        head_dim=t.head_dim,
        v_head_dim=t.head_dim,
        qk_norm=QKNorm(scope="head") if t.qk_norm else None,
        qkv_bias=t.attention_bias,
        output_bias=t.attention_bias,
    )
    for p in attention(heads, t.hidden_size):
        yield TensorRow(
            layer + p.name,
            p.shape,
            numbers,
            "vision",
            ("towers.vision.hidden_size",) if p.proves else (),
        )
    for p in ffn(t.ffn, t.hidden_size):
        yield TensorRow(
            layer + p.name,
            p.shape,
            numbers,
            "vision",
            tuple(f"towers.vision.ffn.{f}" for f in p.proves),
        )


def mtp_as_layers(
    a: Architecture,
    naming: Naming,
    norms: tuple[str, ...] = ("enorm", "hnorm", "shared_head.norm"),
    head: str = "shared_head.head",
) -> Iterator[TensorRow]:
    """MTP modules stored as the layers after the last (DeepSeek V3, GLM-4.5): a layer, a projection, its norms, and copies."""
    m, h = a.mtp, a.hidden_size
    assert m and m.layer_kind
    numbers = tuple(range(len(a.layers), len(a.layers) + m.modules))
    at = naming.prefix + naming.layer
    yield from layer_rows(a, m.layer_kind, numbers, at, naming, "mtp")
    for norm in norms:
        yield TensorRow(f"{at}{norm}.weight", (h,), (numbers,), "mtp")
    yield TensorRow(f"{at}eh_proj.weight", (h, 2 * h), (numbers,), "mtp", ("mtp.modules",))
    if m.own_embedding:
        yield TensorRow(
            f"{at}embed_tokens.weight", (a.vocab_size, h), (numbers,), "mtp", ("mtp.own_embedding",)
        )
    if m.own_head:
        yield TensorRow(
            f"{at}{head}.weight", (a.vocab_size, h), (numbers,), "mtp", ("mtp.own_head",)
        )


def patch_rows(name: str, t: Tower, video: bool = False) -> Iterator[TensorRow]:
    """Yield the patch embedding as the convolution it is stored as.

    Its shape is [width, channels, p, p], or [width, channels, frames, p, p] for `video`.
    """
    frames = (t.patch_frames,) if video else ()
    channels = t.patch_embedding.inputs // (t.patch_size**2 * t.patch_frames)
    shape = (t.hidden_size, channels, *frames, t.patch_size, t.patch_size)
    yield from matrix_rows(name, t.patch_embedding, shape, ("towers.vision.patch_size",))


def position_rows(name: str, t: Tower, shape: tuple[int, ...] = ()) -> Iterator[TensorRow]:
    """Yield the table of positions, of another `shape` where it is not [positions, width]."""
    shape = shape or (t.positions, t.hidden_size)
    yield TensorRow(name, shape, (), "vision", ("towers.vision.positions",))


def projector_rows(t: Tower, *names: str) -> Iterator[TensorRow]:
    """Yield the matrices of the projector, a name each."""
    for name, matrix in zip(names, t.projector, strict=True):
        yield from matrix_rows(name, matrix)


def per_layer_input_parts(f: Dense, hidden: int) -> Iterator[BlockTensor]:
    """Per-layer embeddings (Gemma 3n and 4): the gate, and the projection back to the stream."""
    yield from linear("per_layer_input_gate", f.width, hidden, "mlp", ("width",))
    yield from linear("per_layer_projection", hidden, f.width, "mlp")
