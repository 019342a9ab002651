"""The vocabulary: what an architecture is made of. No I/O, no formatting, nothing of ours imported but its kind of class.

Blocks and norms are named and written once (`mixers`, `ffns`, `norms`), layer kinds wire them, and `layers` is a list
of kind names; so a 5:1 pattern stays two words, diffs align across families, and norm placement is derived from the
wiring instead of declared. The facts alone predict the parameter count (`analyses/parameters.py`).

These are frozen standard dataclasses, because every start of the program pays for them; pydantic (`contract.py`) turns
them into a JSON Schema and validates documents that come from outside. Sizes are counts of elements, never bytes.
A fact that is not known is None, and its evidence says why.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal, Union

from .frozen import Frozen, frozen

SCHEMA_VERSION = 1

Severity = Literal["weights", "behaviour", "capacity", "quantization", "info"]
"""What a difference breaks, from worst; `llmarch.compare.rules` says what each means."""


class Strict(Frozen):
    """Documents from outside may hold no other keys (read by pydantic, see contract.py)."""

    __pydantic_config__ = {"extra": "forbid"}


@frozen(kw_only=True)
class Norm(Strict):
    """A normalisation: `rmsnorm` or `layernorm`; `offset` 1 multiplies by (1 + weight); `weight` False has no tensor."""

    kind: Literal["rmsnorm", "layernorm"]
    eps: float | None = None
    offset: int = 0
    bias: bool = False
    weight: bool = True


@frozen(kw_only=True)
class RopeScaling(Strict):
    """How rotary frequencies are stretched beyond the trained context; fields that a kind does not have are None.

    `alpha`: the base is theta * alpha^(dim / (dim - 2)) at every length (Hunyuan)."""

    kind: Literal["linear", "dynamic", "llama3", "yarn", "longrope"]
    factor: float | None = None
    original_context: int | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    attention_factor: float | None = None
    alpha: float | None = None
    truncate: bool | None = None
    short_factor: tuple[float, ...] | None = None
    long_factor: tuple[float, ...] | None = None


@frozen(kw_only=True)
class Rope(Strict):
    """Rotary positions: `rotary_dim` of each head's dims turn; pairs are (i, i + half), or (2i, 2i + 1) if interleaved.

    `span`: pairs and frequencies are laid out over that many dims, of which only rotary_dim turn (None: over rotary_dim). `sections`:
    positions have several axes (time, height, width), and so many pairs follow each; `sections_interleaved`: in turns instead of one
    after the other."""

    theta: float
    rotary_dim: int
    interleaved: bool = False
    span: int | None = None
    sections: tuple[int, ...] | None = None
    sections_interleaved: bool = False
    scaling: RopeScaling | None = None


@frozen(kw_only=True)
class QKNorm(Strict):
    """A norm of queries and keys: over each `head`, or over the whole `projection`."""

    scope: Literal["head", "projection"]
    offset: int = 0
    weight: bool = True
    after_rope: bool = False


@frozen(kw_only=True)
class QueryScaling(Strict):
    """Queries times 1 + beta * ln(1 + floor((pos + shift) / original_context)): longer contexts, sharper attention."""

    beta: float
    original_context: int
    shift: int = 0


@frozen(kw_only=True)
class Indexer(Strict):
    """DeepSeek sparse attention's lightning indexer: scores all earlier tokens, attention reads the `top_k` best."""

    heads: int
    head_dim: int
    top_k: int
    rope_dim: int
    rope_interleaved: bool = False


@frozen(kw_only=True)
class BlockIndex(Strict):
    """Block-sparse attention's own indexer: small heads score blocks of `block` tokens, attention reads the `top_blocks` best.

    q [heads * head_dim, hidden], one k [head_dim, hidden], each with an RMSNorm of head_dim, then turned as the attention's own; one key of
    head_dim a token is cached. A block scores as its best token; each head chooses for as many query heads; the last `local_blocks` are
    always among the chosen."""

    heads: int
    head_dim: int
    block: int
    top_blocks: int
    local_blocks: int = 0
    norm_offset: int = 0


@frozen(kw_only=True)
class Attention(Strict):
    """Softmax attention: MHA (kv_heads = heads), GQA or MQA (kv_heads = 1).

    q [heads * head_dim, hidden], k [kv_heads * head_dim, hidden], v [kv_heads * v_head_dim, hidden],
    o [hidden, heads * v_head_dim]. `window`: a query sees that many last tokens; `chunk`: the tokens of its own chunk.
    `rope` None is NoPE (or learned positions, see `Embedding.positions`). `sinks`: one learned logit a query head.
    `kv_from`: the mixer whose keys and values it reads, having and caching none of its own; `values_from_keys`: no v matrix, values are
    the key projection's output (cached apart all the same); `value_norm`: an RMSNorm without weight on values; `value_scale`
    multiplies them.
    Scores are times `scale` (None: head_dim^-0.5), and divided by the layer's number, counted from 1, with `scale_by_depth`.
    `clip`: queries, keys and values are cut at plus and minus it. `sees_ahead`: tokens of one image see one another in both directions.
    `cross_tokens`: cross attention, to that many tokens of an encoder (at most), whose keys and values are made once.
    """

    kind: Literal["attention"] = "attention"
    heads: int
    kv_heads: int
    head_dim: int
    v_head_dim: int
    qk_norm: QKNorm | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    window: int | None = None
    chunk: int | None = None
    sinks: bool = False
    gate: Literal["elementwise", "head"] | None = None
    gate_activation: Literal["sigmoid", "softplus"] = "sigmoid"
    clip: float | None = None
    sees_ahead: Literal["vision"] | None = None
    kv_from: str | None = None
    cross_tokens: int | None = None
    values_from_keys: bool = False
    value_norm: bool = False
    value_scale: float | None = None
    block_index: BlockIndex | None = None
    softcap: float | None = None
    scale: float | None = None
    scale_by_depth: bool = False
    query_scaling: QueryScaling | None = None
    rope: Rope | None = None


@frozen(kw_only=True)
class LatentAttention(Strict):
    """Multi-head latent attention (MLA): keys and values come from one latent of kv_lora_rank, which is what is cached.

    q_a [q_lora_rank, hidden], q_b [heads * (nope + rope), q_lora_rank] (or one plain q_proj without q_lora_rank),
    kv_a [kv_lora_rank + rope, hidden], kv_b [heads * (nope + v), kv_lora_rank], o [hidden, heads * v]; both latents have an RMSNorm
    of `norm_eps`. `rope` None is NoPE: the rope dims are there, and nothing turns them. `index_from`: the mixer whose choice of tokens it
    reads, having no indexer of its own. `q_scale` multiplies queries, `kv_scale` the normed latent (not the rope dims).
    """

    kind: Literal["latent_attention"] = "latent_attention"
    heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    norm_eps: float | None = None
    bias: bool = False
    scale: float | None = None
    query_scaling: QueryScaling | None = None
    rope: Rope | None = None
    indexer: Indexer | None = None
    index_from: str | None = None
    q_scale: float | None = None
    kv_scale: float | None = None


@frozen(kw_only=True)
class LinearAttention(Strict):
    """A mixer with a state of fixed size instead of a growing cache.

    `lightning`: decay fixed per head; `gated_deltanet`: delta rule, decay per head; `kda` (Kimi Delta Attention): decay per channel;
    `mamba2`: value heads are its heads, key heads its groups, key_head_dim its state size; `mamba` (1): one value head of d_inner,
    key_head_dim its state size; `short_conv`: a gated convolution alone, one value head of hidden width. `rwkv4`, `rwkv7`, `mlstm` are
    known to the analyses only. `conv_kernel`: width of the short convolution before it, with `conv_bias` or not; `bias`: the projections
    in and out have one; `gate`: the output gate's activation, applied before the output's norm with `gate_first`; `norm_groups`: that
    norm is over each of so many groups; `state_dtype`: what the config wants the state kept in (None: it does not say).
    """

    kind: Literal["linear_attention"] = "linear_attention"
    variant: Literal[
        "lightning",
        "gated_deltanet",
        "kda",
        "mamba2",
        "mamba",
        "short_conv",
        "rwkv4",
        "rwkv7",
        "mlstm",
    ]
    key_heads: int
    value_heads: int
    key_head_dim: int
    value_head_dim: int
    conv_kernel: int | None = None
    conv_bias: bool = False
    bias: bool = False
    gate: Literal["sigmoid", "silu"] | None = None
    gate_first: bool = False
    norm_groups: int = 1
    state_dtype: str | None = None


@frozen(kw_only=True)
class CompressedAttention(Strict):
    """DeepSeek V4's attention: one latent head of `head_dim` is both key and value, and what lies beyond `window` is compressed.

    `ratio` 0: the window alone; 4 (CSA): one entry every 4 tokens, of which an `indexer` picks the best; 128 (HCA): one entry every 128
    tokens, all read.
    q_a [q_lora_rank, hidden], q_b [heads * head_dim, q_lora_rank], kv [head_dim, hidden]; both latents have an RMSNorm of `norm_eps`, and
    queries one more without weight over each head. The last `rope_dim` dims turn; the output is turned back, as values are keys. The output
    projection is low-rank: each of `o_groups` groups of heads to o_lora_rank, then [hidden, o_groups * o_lora_rank].
    An entry is a mean of `series` * ratio tokens, weighted channel by channel: values and weights [series * head_dim, hidden] each, a bias
    [ratio, series * head_dim], an RMSNorm of head_dim; with 2 series entries overlap. An indexer has such a compressor of its own width
    instead of a key projection; its queries come from the latent.
    """

    kind: Literal["compressed_attention"] = "compressed_attention"
    heads: int
    head_dim: int
    rope_dim: int
    q_lora_rank: int
    o_groups: int
    o_lora_rank: int
    window: int
    ratio: int
    series: int = 1
    sinks: bool = True
    norm_eps: float | None = None
    indexer: Indexer | None = None
    rope: Rope | None = None


Mixer = Union[Attention, LatentAttention, LinearAttention, CompressedAttention]


@frozen(kw_only=True)
class Dense(Strict):
    """A feed-forward block every token passes: gate and up [width, hidden] (or up alone if not gated), down [hidden, width].

    `clamp`: the gate is cut above it and up on both sides, the gate after its activation with `clamp_after`; `alpha`: the activation is x *
    sigmoid(alpha * x); `up_offset` is added to up. `per_layer`: the hidden values are times the layer's slice of the per-layer embedding
    (`Embedding.per_layer`), which has that width. `sparsity`: of the gate's values only those in the highest 1 - sparsity pass. `own_skip`:
    its input is added to its normed output (Gemma 3n's Laurel, two matrices of low rank without an activation: `identity`).
    """

    kind: Literal["dense"] = "dense"
    width: int
    activation: str
    gated: bool = True
    bias: bool = False
    clamp: float | None = None
    clamp_after: bool = False
    alpha: float | None = None
    up_offset: int = 0
    per_layer: bool = False
    sparsity: float | None = None
    own_skip: bool = False


@frozen(kw_only=True)
class Router(Strict):
    """How experts are chosen and weighted.

    `scoring`: softmax over all experts, softmax over the chosen (`softmax_chosen`), sigmoid, or the root of softplus (`sqrt_softplus`);
    `softcap`: logits are cut softly before it. `selection_bias`: a per-expert table added for the choice only; `bias`: an ordinary bias of
    the router's linear. `token_table`: nothing is ranked, a stored table of that many token ids names the experts that serve each. Of
    `groups` groups of experts the best `active_groups` stay, ranked by `group_score`. `normalized`: the chosen weights are divided by their
    sum; then times `scale`.
    `own_norm`: it reads the residual stream through an RMSNorm of its own without weight, times a learned [hidden] `input_scale` over
    sqrt(hidden); `expert_scale`: a learned factor for each expert's weight.
    """

    scoring: Literal["softmax", "softmax_chosen", "sigmoid", "sqrt_softplus"]
    normalized: bool
    scale: float = 1.0
    softcap: float | None = None
    selection_bias: bool = False
    bias: bool = False
    token_table: int | None = None
    groups: int = 1
    active_groups: int = 1
    group_score: Literal["max", "top2_sum"] | None = None
    weights: Literal["output", "input"] = "output"
    own_norm: bool = False
    input_scale: bool = False
    expert_scale: bool = False


@frozen(kw_only=True)
class MoE(Strict):
    """A mixture of experts: a router [experts, hidden], `experts` MLPs of `expert_width` of which `active` serve a token,
    and shared experts (together one MLP of `shared_width`) that serve every token, `shared_gate`d by a sigmoid [1, hidden] or not.
    `latent_width`: routed experts work on a projection of the stream to that width [latent, hidden], and their sum is projected back;
    router and shared experts read the stream itself. `zero_experts`: so many more that the router may choose, which return their input:
    `active` is then the most that serve a token. `clamp`, `clamp_after`, `alpha` and `up_offset` as in Dense; `shared_clamp`: the shared
    experts' own."""

    kind: Literal["moe"] = "moe"
    experts: int
    active: int
    expert_width: int
    activation: str
    gated: bool = True
    bias: bool = False
    clamp: float | None = None
    clamp_after: bool = False
    alpha: float | None = None
    up_offset: int = 0
    shared_experts: int = 0
    shared_width: int = 0
    shared_gate: bool = False
    shared_clamp: float | None = None
    latent_width: int | None = None
    zero_experts: int = 0
    router: Router


FFN = Union[Dense, MoE]


@frozen(kw_only=True)
class Branch(Strict):
    """One block on the residual stream: `block` is `mixers.NAME` or `ffns.NAME`, norms are names in `norms`, output is times `scale`."""

    block: str
    pre_norm: str | None = None
    post_norm: str | None = None
    scale: float = 1.0


@frozen(kw_only=True)
class Step(Strict):
    """One addition to the residual stream, by one branch or several in parallel.

    `pre_norm` feeds all branches, `join_norm` is on their sum, `after_norm` on the stream after the addition.
    `residual`: the stream is taken `plain`, or `after_norm` (the pre-norm's output takes its place, times `skip_scale`).
    `skip_from`: the branches read what the layer's step of that number read, normed there, instead of the stream (LongCat's shortcut).
    """

    branches: tuple[Branch, ...]
    pre_norm: str | None = None
    skip_from: int | None = None
    join_norm: str | None = None
    after_norm: str | None = None
    residual: Literal["plain", "after_norm"] = "plain"
    skip_scale: float = 1.0


@frozen(kw_only=True)
class LayerKind(Strict):
    """The steps of one kind of layer, in order; `learned_scale`: at its end the stream is times one learned number."""

    steps: tuple[Step, ...]
    learned_scale: bool = False


@frozen(kw_only=True)
class PerLayerEmbedding(Strict):
    """A second, narrow embedding for every layer: one table [vocab_size, layers * width], times `scale`, to which a projection of the token
    embedding [layers * width, hidden], normed at `width`, is added. Each layer takes its slice in an FFN that is `per_layer`."""

    width: int
    vocab_size: int
    scale: float | None = None


@frozen(kw_only=True)
class Embedding(Strict):
    """Token embedding [vocab_size, hidden]; `tied`: the head is the same matrix; `positions`: rows of a learned position table."""

    tied: bool
    scale: float | None = None
    positions: int | None = None
    norm: str | None = None
    per_layer: PerLayerEmbedding | None = None


@frozen(kw_only=True)
class Head(Strict):
    """From the last hidden state to logits: [vocab_size, hidden], with or without bias, soft cap and scale."""

    bias: bool = False
    softcap: float | None = None
    scale: float | None = None


@frozen(kw_only=True)
class MTP(Strict):
    """Multi-token prediction: `modules` extra layers of `layer_kind`, each fed by a projection [hidden, 2 * hidden] of normed
    embedding and hidden state. `norms` counts hidden-wide norms beside the layer's own; `own_embedding` and `own_head` say whether a
    module stores copies of the embedding and the head. `layer_kind` None: announced, but its layout is not known."""

    modules: int
    layer_kind: str | None
    norms: int = 0
    own_embedding: bool = False
    own_head: bool = False


@frozen(kw_only=True)
class Linear(Strict):
    """A matrix [outputs, inputs] with or without bias."""

    inputs: int
    outputs: int
    bias: bool = False


@frozen(kw_only=True)
class Tower(Strict):
    """An encoder of another modality: a Vision Transformer and the projector to the decoder's width.

    `patch_embedding` is the patch convolution as a matrix (inputs = channels * patch^2); `positions`: rows of a learned table;
    `layer_norms`: norms per layer of `norm`; `outer_norms`: those before and after the layers; `pooling_head`: a learned query that
    attends to all patches, a norm and another `ffn`. The projector merges `merge` x `merge` patches into one token; `projector_norms`:
    widths of its norms (weights only, or with `projector_norm_bias`). `kv_heads` None: as many as heads; `qk_norm`: one RMSNorm of q and
    k over each head. `patch_frames`: frames of a video that a patch spans; `position_axes`: tables of `positions` rows, one an axis.
    `deepstack`: encoder layers whose output, through a projector of its own kind (normed after merging), is added to the stream after the
    decoder's first layers. `clipped`: each linear of the layers has four stored bounds of inputs and outputs; `standardized`: a stored mean
    and scale of the features;
    `layer_scales`: the output of each half of a layer is times a learned [hidden]. `tokens`: how many an image becomes, at most.
    """

    kind: str
    layers: int
    hidden_size: int
    heads: int
    head_dim: int
    attention_bias: bool
    ffn: Dense
    norm: Norm
    layer_norms: int = 2
    outer_norms: int = 0
    image_size: int | None = None
    patch_size: int
    patch_embedding: Linear
    positions: int = 0
    class_token: bool = False
    rope: Rope | None = None
    pooling_head: bool = False
    merge: int = 1
    projector: tuple[Linear, ...] = ()
    projector_activation: str | None = None
    projector_norms: tuple[int, ...] = ()
    projector_norm_bias: bool = False
    kv_heads: int | None = None
    qk_norm: bool = False
    patch_frames: int = 1
    position_axes: int = 1
    deepstack: tuple[int, ...] = ()
    clipped: bool = False
    standardized: bool = False
    tokens: int | None = None
    layer_scales: bool = False


@frozen(kw_only=True)
class Conformer(Strict):
    """An audio encoder: two convolutions (3 x 3, stride 2, channels `subsampling`) with a norm each and a matrix `subsampled` to its width;
    layers of half an FFN, local attention with relative positions, a gated convolution of `conv_kernel`, half an FFN and a norm; `output`
    [out, hidden] where there is one, and the projector. Layers have two FFNs [width, hidden], [hidden, width] with a norm before and after
    each; attention q, k, v, o and relative keys [hidden, hidden], a learned scale per head dim, norms before and after; the convolution's
    matrices [2 * hidden, hidden] and [hidden, hidden], norms before and within. `clipped` as in Tower (relative keys have no bounds);
    `vocabulary` as in ConvTower.
    """

    kind: str
    layers: int
    hidden_size: int
    heads: int
    width: int
    activation: str
    norm: Norm
    conv_kernel: int
    chunk: int
    left_context: int
    right_context: int
    softcap: float | None = None
    subsampling: tuple[int, ...]
    subsampled: Linear
    output: Linear | None = None
    vocabulary: int = 0
    projector: tuple[Linear, ...] = ()
    clipped: bool = False


@frozen(kw_only=True)
class ConvBlock(Strict):
    """A block of a convolutional encoder, with RMSNorms (weights only) behind its convolutions.

    `edge`: kernel x kernel from `inputs` to `width`, 1 x 1 to `outputs`, a norm each. `inverted`: depthwise `kernel` on inputs (0: none),
    1 x 1 to width, depthwise `mid_kernel` (0: none), 1 x 1 to outputs, a norm each, and a learned scale. `attention`: a norm, queries of
    `width`, one key and one value head of `key_width`, behind a depthwise `kernel` with a norm each (0: none), an output matrix, and a
    learned scale.
    """

    kind: Literal["edge", "inverted", "attention"]
    inputs: int
    outputs: int
    width: int
    kernel: int = 0
    mid_kernel: int = 0
    key_width: int = 0


@frozen(kw_only=True)
class ConvTower(Strict):
    """A convolutional image encoder: a 3 x 3 `stem` with bias and norm, `stages` of blocks, and a fusion of the last two stages.

    The fusion is [width, their outputs], [outputs, width], a norm each and one over all. `vocabulary`: rows of an embedding of tokens of
    its own kind, which share the projector with its features; a norm each.
    """

    kind: str
    stem: int
    stages: tuple[tuple[ConvBlock, ...], ...]
    fusion_width: int
    outputs: int
    tokens: int | None = None
    vocabulary: int = 0
    projector: tuple[Linear, ...] = ()


@frozen(kw_only=True)
class Quantization(Strict):
    """How the checkpoint stores its weights, as the config declares it; the architecture is the same without it."""

    method: str
    bits: float | None = None
    format: str | None = None
    block: tuple[int, ...] | None = None
    group_size: int | None = None
    activations: str | None = None
    excluded: tuple[str, ...] = ()


@frozen(kw_only=True)
class Other(Strict):
    """A tensor that no fact above explains, with its reason; `count` of that shape."""

    shape: tuple[int, ...]
    reason: str = field(compare=False)
    count: int = 1


@frozen(kw_only=True)
class Residual(Strict):
    """What runs from layer to layer: one `plain` stream, or several `streams`.

    `hyper` (manifold-constrained hyper-connections): before each step a matrix [(2 + streams) * streams, streams * hidden] with bias and
    three scales reads all streams, and gives the weights of their sum that the step reads, of its output to each, and of each to each; the
    last are made doubly stochastic by `iterations` of Sinkhorn's method. After the last layer [streams, streams * hidden] with bias and
    scale makes one.

    `altup` (alternating updates): a layer predicts all streams from all with [streams^2, streams] coefficients, works on the `active` one,
    and corrects the others with [streams, streams]; both depend on a router [streams, hidden] with a norm; the active one is times a
    learned [hidden]. A matrix [hidden, hidden] makes each further stream from the embedding, and another takes it back before their mean.
    What a per-layer input adds goes to the others. `clip`: the most that a coefficient may be in training.
    """

    kind: Literal["plain", "hyper", "altup"]
    streams: int = 1
    active: int | None = None
    clip: float | None = None
    iterations: int | None = None
    eps: float | None = None


@frozen(kw_only=True)
class Architecture(Strict):
    """A decoder language model. `layers` names the kind of each layer in order; see the module's docstring."""

    family: str
    model_type: str
    hidden_size: int
    vocab_size: int
    context_length: int | None
    dtype: str | None
    embedding: Embedding
    head: Head
    final_norm: str | None
    mixers: dict[str, Mixer]
    ffns: dict[str, FFN]
    norms: dict[str, Norm]
    layer_kinds: dict[str, LayerKind]
    layers: tuple[str, ...]
    residual: Residual = Residual(kind="plain")
    mtp: MTP | None = None
    towers: dict[str, Tower | Conformer | ConvTower] = field(
        default_factory=dict[str, "Tower | Conformer | ConvTower"]
    )
    quantization: Quantization | None = None
    other: dict[str, Other] = field(default_factory=dict[str, Other])

    def block(self, path: str) -> Mixer | FFN:
        """The block that a Branch names: `mixers.full` or `ffns.moe`."""
        group, _, name = path.partition(".")
        return self.mixers[name] if group == "mixers" else self.ffns[name]

    def blocks_of(self, kind: str) -> list[Mixer | FFN]:
        """The blocks of a layer kind, in the order of its wiring."""
        return [self.block(b.block) for s in self.layer_kinds[kind].steps for b in s.branches]


@frozen(kw_only=True)
class Evidence(Strict):
    """Where a fact comes from.

    `config`: the key `ref`; `default`: the class default of `ref` because the key is absent; `family`: what the modelling code `ref` does;
    `derived`: computed, `ref` says from what; `tensor`: read from a tensor; `unknown`: not to be had, `ref` says why.
    """

    kind: Literal["config", "default", "family", "derived", "tensor", "unknown"]
    ref: str
    confirmed_by: tuple[str, ...] = ()


@frozen(kw_only=True)
class Finding(Strict):
    """Something a reader must know: `rule` is the stable id, `path` a fact or a tensor, `severity` what it breaks."""

    rule: str
    path: str
    message: str
    severity: Severity = "info"
    old: Any = None
    new: Any = None


@frozen(kw_only=True)
class Change(Strict):
    """One difference between two architectures at a dotted path; a side that lacks the path is None."""

    rule: str
    path: str
    old: Any
    new: Any
    severity: Severity
