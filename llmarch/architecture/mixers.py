"""Token mixers: softmax attention in its forms, and layers with a recurrent state.

Matrices are written [outputs, inputs]; `hidden` is the width of the residual stream.
"""

from __future__ import annotations

from typing import Literal, Union

from .feed_forward import Dense
from .frozen import Strict, frozen
from .primitives import Rope


@frozen(kw_only=True)
class QKNorm(Strict):
    """Norm of queries and keys, one for each, before their product (QK-norm)."""

    scope: Literal["head", "own_head", "projection"]
    """What is normalised at once, and how wide the weights are:

    - `head`: each head by itself; weights [head_dim], shared by all heads
    - `own_head`: each head by itself, with weights of its own; [heads, head_dim] and
      [kv_heads, head_dim]
    - `projection`: all heads together; weights [heads · head_dim] and [kv_heads · head_dim]
    """
    norm_kind: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    """Which norm it is, as in `Norm.kind`: `rmsnorm` or `layernorm`."""
    bias: bool = False
    """Whether each norm has a learned bias, as wide as its weight."""
    offset: int = 0
    """Constant added to the weight, as in `Norm.offset`: 1 multiplies by (1 + weight)."""
    weight: bool = True
    """Whether the two norms have learned weights. False: normalise only, no tensors."""
    key_scale: bool = False
    """Whether keys are multiplied by a learned number for each KV head [kv_heads] (ZAYA)."""
    after_rope: bool = False
    """Whether queries and keys are normalised after the rotation (Llama 4) instead of before it."""


@frozen(kw_only=True)
class QueryScaling(Strict):
    """Scaling of queries with their position, so that attention stays sharp in long contexts.

    Factor: 1 + beta · ln(1 + floor((position + shift) / original_context)).
    """

    beta: float
    """Strength of the scaling. 0 would be none."""
    original_context: int
    """Tokens of one step: below it, the factor is 1."""
    shift: int = 0
    """Number added to the position, which counts from 0: Llama 4 adds 1, Ministral 3 nothing."""
    power: bool = False
    """Whether the factor is a power instead: (1 + (position + shift) / original_context)^beta
    (Beam)."""
    smooth: bool = False
    """Whether the factor is 1 + beta · ln(max(1, (position + shift) / original_context)) instead
    (Inkling)."""


@frozen(kw_only=True)
class Indexer(Strict):
    """The lightning indexer of DeepSeek Sparse Attention, which chooses the tokens to read.

    It scores earlier tokens with small heads, and attention reads the `top_k` best. The score is
    the sum over heads of weight · ReLU(query · key). Tensors:

    - queries [heads · head_dim, q_lora_rank] (from the query latent, or [.., hidden] without one)
    - one key for all heads [head_dim, hidden], with a LayerNorm (weight and bias)
    - weights of the heads [heads, hidden]
    """

    heads: int
    """Number of the indexer's query heads. They share one key."""
    head_dim: int
    """Dims of each head and of the key. The key of every token is cached."""
    top_k: int
    """How many tokens (or compressed entries) each query reads at most."""
    rope_dim: int
    """How many dims of each head and of the key rotate, by the RoPE of the mixer."""
    rope_interleaved: bool = False
    """How rotated dims are paired, as in `Rope.interleaved`; it may differ from the mixer's own."""


@frozen(kw_only=True)
class BlockIndex(Strict):
    """The indexer of block-sparse attention (MiniMax-M3), which chooses the blocks to read.

    It scores blocks of tokens with small heads, and attention reads the `top_blocks` best. A block
    scores as its best token does. Queries and keys rotate as the attention's own. Tensors:

    - queries [heads · head_dim, hidden] and one key for all heads [head_dim, hidden]
    - an RMSNorm [head_dim] for each
    """

    heads: int
    """Number of the indexer's query heads. The query heads of the attention are divided among them:
    each chooses the blocks for its share."""
    head_dim: int
    """Dims of each head and of the key. The key of every token is cached."""
    block: int
    """Tokens in a block."""
    top_blocks: int
    """How many blocks each query reads, the local ones included."""
    local_blocks: int = 0
    """How many of the latest blocks are always among those that are read."""
    norm_offset: int = 0
    """Constant added to the weights of its norms, as in `Norm.offset`."""


@frozen(kw_only=True)
class RelativeLogits(Strict):
    """A learned bias of the scores by distance (Inkling), mixed by each query for itself.

    - a matrix of mixtures [heads · width, hidden]
    - profiles over the distance [width, extent], which all heads share
    """

    width: int
    """Number of profiles that each query mixes."""
    extent: int
    """Tokens back to which the bias reaches; farther scores have none."""


@frozen(kw_only=True)
class SharedTransformer(Strict):
    """What makes a mixer a whole Transformer layer that several layers share (Zamba).

    - its input is the stream beside the token embedding [2 · hidden], normed by an RMSNorm
      [2 · hidden], so that queries, keys and values have inputs of that width
    - an RMSNorm [hidden] and the feed-forward block follow the attention
    - a matrix [hidden, hidden] of each layer's own is behind it

    The layers that name the same mixer have its weights in common, which are stored once, but for
    that matrix and the adapters.
    """

    ffn: Dense
    """Feed-forward block behind the attention."""
    adapter_rank: int | None = None
    """Rank of each layer's own adapter beside the gate and up projections [rank, hidden] and [2 ·
    width, rank] (Zamba2). None: no adapters."""
    attention_adapters: bool = False
    """Whether each layer has such adapters beside queries, keys and values too [rank, 2 · hidden]
    and [2 · hidden, rank]."""


@frozen(kw_only=True)
class Attention(Strict):
    """Softmax attention: multi-head (MHA), grouped-query (GQA) or multi-query (MQA).

    - query [heads · head_dim, hidden]
    - key [kv_heads · head_dim, hidden]
    - value [kv_heads · v_head_dim, hidden]
    - output [hidden, heads · v_head_dim]
    """

    kind: Literal["attention"] = "attention"
    """Which class of mixer this is."""
    heads: int
    """Number of query heads."""
    kv_heads: int
    """Number of key/value heads, each shared by heads / kv_heads query heads. As many as `heads` is
    MHA, 1 is MQA, between them is GQA. The KV cache is proportional to it."""
    head_dim: int
    """Dims of each query and key head. heads · head_dim need not be the hidden size."""
    v_head_dim: int
    """Dims of each value head; in most models as many as `head_dim`."""
    qk_norm: QKNorm | None = None
    """RMSNorm of queries and keys. None: none."""
    qkv_bias: bool = False
    """Whether the query, key and value projections have a bias."""
    output_bias: bool = False
    """Whether the output projection has a bias."""
    window: int | None = None
    """Length of the sliding window in tokens, the query's own token included: position p reads p −
    window + 1 to p. None: no window. MiMo-V2 counts only the tokens before its own, so there
    position p reads window + 1 tokens."""
    chunk: int | None = None
    """Length in tokens of the chunks that the context is cut into (Llama 4): a query reads the
    tokens of its own chunk up to itself. None: no chunks."""
    alibi: float | None = None
    """ALiBi: a score loses slope · distance, with a slope of its own for each head. Of n heads (a
    power of two) the i-th, counted from 1, has slope 2^(−alibi · i / n). None: no ALiBi."""
    sinks: bool = False
    """Whether each query head has a learned logit [heads] that joins the softmax and has no value
    (attention sink), so that a head can attend to nothing."""
    gate: Literal["elementwise", "head"] | None = None
    """Gate on the attention's output, before the output projection:

    - `elementwise`: one factor for each dim, from a matrix [heads · head_dim, hidden]
    - `head`: one factor for each query head, from a matrix [heads, hidden]

    The matrix may be stored within the query projection. None: no gate."""
    gate_activation: Literal["sigmoid", "softplus"] = "sigmoid"
    """Activation of the gate. Without effect where `gate` is None."""
    gate_bias: bool = False
    """Whether a learned number for each query head [heads] is added to the gate before its
    activation (Beam)."""
    output_norm: bool = False
    """Whether an RMSNorm with weights [heads · v_head_dim] is on the input of the output projection
    (BitNet)."""
    differential: bool = False
    """Differential attention: the second half of the heads is subtracted from the first, times a
    factor of each layer from four learned vectors [head_dim], and each pair of heads is normed
    without weights (DiffLlama)."""
    relative: RelativeLogits | None = None
    """Bias of the scores by distance that each query mixes. None: none."""
    kv_conv: int | None = None
    """Width in tokens of causal depthwise convolutions without bias over keys and over values
    [kv_heads · head_dim, 1, kv_conv], each added to what it reads (Inkling). None: none."""
    transformer: SharedTransformer | None = None
    """What stands around the attention where the mixer is a whole Transformer layer that several
    layers share (Zamba). None: attention alone, and each layer has its own."""
    conv_kernels: tuple[int, int] | None = None
    """Compressed convolutional attention (ZAYA): widths in tokens of two causal convolutions over
    queries and keys, C = (heads + kv_heads) · head_dim channels, depthwise [C, 1, width] and within
    each head [C, head_dim, width], both with a bias. The mean of a query and its key is added to
    both behind them. Half of each value comes from the token before. None: none."""
    dynamic_mask: int | None = None
    """Dynamic mask (Doge): how many keys a query reads at most, by a score of their values. With
    learned numbers A [kv_heads] and a matrix [kv_heads, kv_heads · v_head_dim], which has a bias if
    the projections have, the score exp(A · softplus(matrix · values)) of each KV head is added to
    its attention scores. None: no mask."""
    query_experts: int | None = None
    """Mixture of attention (JetMoe): number of experts, each with a query matrix [kv_heads ·
    head_dim, hidden] and an output matrix [hidden, kv_heads · head_dim]. A router [query_experts,
    hidden] chooses heads / kv_heads of them for a token; a softmax over the chosen weighs their
    outputs. None: one query and one output matrix."""
    clip: float | None = None
    """Bound of queries, keys and values: each element is clamped to ±clip. None: not clamped."""
    sees_ahead: Literal["vision", "prefix"] | None = None
    """Which tokens attend to each other in both directions: those of one image (`vision`), or all
    of the prompt (`prefix`: PaliGemma). None: none, attention is strictly causal."""
    kv_from: str | None = None
    """Name of the mixer whose keys and values this one reuses: those of its last layer before. It
    has no key and value projections then, and caches nothing. None: its own."""
    cross_tokens: int | None = None
    """Cross attention: how many tokens of an encoder are attended to, at most. Their keys and
    values are computed once. None: self-attention."""
    values_from_keys: bool = False
    """Whether values are the output of the key projection, before QK-norm and RoPE, so that there
    is not a value matrix. Keys and values are cached separately all the same."""
    value_norm: bool = False
    """Whether an RMSNorm without weight is applied to each value head."""
    value_scale: float | None = None
    """Constant factor of the values, before they are cached. None: 1."""
    block_index: BlockIndex | None = None
    """Indexer of block-sparse attention. None: every visible token is read."""
    softcap: float | None = None
    """Soft cap of the scores: c · tanh(score / c). None: no cap."""
    scale: float | None = None
    """Factor of query · key. None: 1 / sqrt(head_dim)."""
    scale_by_depth: bool = False
    """Whether scores are divided by the number of the layer as well, counted from 1 (a GPT-2
    option)."""
    query_scaling: QueryScaling | None = None
    """Scaling of queries with their position. None: none."""
    rope: Rope | None = None
    """Rotary positions. None: no position in attention (NoPE), or learned positions (see
    `Embedding.positions`)."""


@frozen(kw_only=True)
class LatentAttention(Strict):
    """Multi-head latent attention (MLA): all keys and values are projected from one small latent.

    Only the latent and one rotary key are cached. With nope = qk_nope_head_dim and
    rope = qk_rope_head_dim:

    - query down [q_lora_rank, hidden], query up [heads · (nope + rope), q_lora_rank]
    - or one query matrix [heads · (nope + rope), hidden] without `q_lora_rank`
    - latent and rotary key [kv_lora_rank + rope, hidden]
    - keys and values from the latent [heads · (nope + v_head_dim), kv_lora_rank]
    - output [hidden, heads · v_head_dim]
    - an RMSNorm on each latent
    """

    kind: Literal["latent_attention"] = "latent_attention"
    """Which class of mixer this is."""
    heads: int
    """Number of heads, for queries, keys and values alike."""
    q_lora_rank: int | None
    """Width of the query latent. None: queries come from one plain matrix."""
    kv_lora_rank: int
    """Width of the latent that keys and values are projected from: what is cached of each token,
    beside the rotary key."""
    qk_nope_head_dim: int
    """Dims of each query and key head that carry no position."""
    qk_rope_head_dim: int
    """Dims of each query head that rotate, and of the one rotary key that all heads share. They
    exist without RoPE too; then nothing rotates them."""
    v_head_dim: int
    """Dims of each value head."""
    norm_eps: float | None = None
    """ε of the norms on the latents, as in `Norm.eps`. None: not known."""
    bias: bool = False
    """Whether the down-projections and the output projection have a bias."""
    scale: float | None = None
    """Factor of query · key. None: 1 / sqrt(qk_nope_head_dim + qk_rope_head_dim). With YaRN it may
    include the factor of `RopeScaling.mscale_all_dim`."""
    query_scaling: QueryScaling | None = None
    """Scaling of queries with their position. None: none."""
    rope: Rope | None = None
    """Rotary positions of the rope dims. None: no position in attention (NoPE)."""
    indexer: Indexer | None = None
    """Indexer of sparse attention, which chooses the tokens that are read. None: none of its
    own."""
    index_from: str | None = None
    """Name of the mixer whose choice of tokens this one reuses: that of its last layer before.
    None: its own choice, or every token."""
    gate: Literal["elementwise", "head", "from_queries"] | None = None
    """Gate on the attention's output, before the output projection; its activation is a sigmoid:

    - `head`: one factor for each head, from a matrix [heads, hidden] (Ling 2.6)
    - `elementwise`: one factor for each dim, from a matrix [heads · v_head_dim, hidden] (Hy4)
    - `from_queries`: one factor for each dim, from the matrix of the queries, which reads their
      latent after and before its norm [heads · (nope + rope + v_head_dim), 2 · q_lora_rank] (A.X
      K2)

    None: no gate."""
    window: int | None = None
    """Length of the sliding window in tokens, as in `Attention.window` (dots3). None: no window."""
    rope_norm: bool = False
    """Whether the rotary key of dots3 has an RMSNorm with weights [qk_rope_head_dim], before
    RoPE."""
    sinks: bool = False
    """Whether each head has a learned logit [heads] that joins the softmax and has no value
    (attention sink), as in `Attention.sinks`."""
    q_scale: float | None = None
    """Constant factor of the queries (LongCat). None: 1."""
    kv_scale: float | None = None
    """Constant factor of the latent after its norm, not of the rotary key (LongCat). None: 1."""


@frozen(kw_only=True)
class LinearAttention(Strict):
    """A mixer with a state of constant size instead of a cache that grows with the context.

    With K = key_heads · key_head_dim and V = value_heads · value_head_dim:

    - `lightning`: query, key and value [2K + V, hidden], gate [V, hidden], norm [V],
      output [hidden, V]
    - `gated_deltanet`: query, key, value and gate [2K + 2V, hidden], β and decay [2 · value_heads,
      hidden], norm [value_head_dim], output [hidden, V]
    - `kda`: query, key and value [2K + V, hidden], decay and gate of rank value_head_dim each,
      β [value_heads, hidden], norm [value_head_dim], output [hidden, V]
    - `mamba2`: gate, x, B, C and dt [2V + 2K + value_heads, hidden], norm [V], output [hidden, V]
    - `mamba`: gate and x [2V, hidden], dt, B and C from x [dt_rank + 2K, V], dt [V, dt_rank], a
      decay [V, K], output [hidden, V]
    - `rg_lru`: gate and x [V, hidden] each, two gates of x for each head [value_heads,
      value_head_dim, value_head_dim], a decay [V], output [hidden, V], all but the decay with bias
    - `mlstm`: query, key and value [2K + V, hidden], output gate [V, hidden], input and forget
      gates [value_heads, hidden] with bias, norm [V], output [hidden, V]
    - `rwkv4`: receptance, key and value [V, hidden] each, their three mixes with the token before
      [hidden], decay and bonus [V], output [hidden, V]
    - `short_conv`: B, C and x [3V, hidden], output [hidden, V]
    """

    kind: Literal["linear_attention"] = "linear_attention"
    """Which class of mixer this is."""
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
        "rg_lru",
    ]
    """The recurrence:

    - `lightning`: linear attention with a constant decay for each head
    - `gated_deltanet`: delta rule with a learned decay for each head
    - `kda` (Kimi Delta Attention): delta rule with a learned decay for each channel
    - `mamba2`, `mamba`: selective state space models
    - `short_conv`: a gated short convolution without a recurrent state
    - `rg_lru` (real-gated linear recurrent unit, Griffin): one gated number for each channel
    - `rwkv4`: a decaying mean of values, weighted by the exponential of their keys
    - `mlstm` (xLSTM): a matrix with input and forget gates, and a normaliser
    - `rwkv7`: known to the cache and FLOP analyses; no family reads it yet
    """
    key_heads: int
    """Number of query and key heads. In Mamba-2 the groups that share B and C."""
    value_heads: int
    """Number of value heads, each with a state of its own. In Mamba-2 its heads."""
    key_head_dim: int
    """Dims of each query and key head. In Mamba the size of the state of each channel."""
    value_head_dim: int
    """Dims of each value head. In Mamba-2 its head dim; in `short_conv` the number of channels."""
    conv_kernel: int | None = None
    """Width in tokens of the causal depthwise convolution over query, key and value (in Mamba x, B
    and C). The last conv_kernel − 1 tokens are kept in the state. None: no convolution."""
    conv_bias: bool = False
    """Whether the convolution has a bias."""
    bias: bool = False
    """Whether the projections have a bias: in and out, but out where `output_bias` says."""
    output_bias: bool | None = None
    """Whether the projection out has a bias, where it is not as `bias` (Falcon-H1). None: it is."""
    gate: str | None = None
    """Activation of the gate on the output, before the output projection: `sigmoid`, `silu`,
    `gelu_tanh` or what the config names. None: no such gate."""
    gate_first: bool = False
    """Whether the gate is applied before the output's norm (Mamba-2) instead of after it."""
    norm_groups: int = 1
    """Number of groups of channels that the output's norm treats separately (Mamba-2). 1: the norm
    is not divided."""
    output_norm: bool = True
    """Whether there is the norm that the variant has on its output. Without effect for variants
    that have none. False: none (Falcon-H1)."""
    dt_rank: int | None = None
    """Rank of the time steps in `mamba`. None: another variant."""
    inner_norm: Literal["weighted", "weightless"] | None = None
    """RMSNorms of time steps, B and C in `mamba`, `weighted` (Jamba) or `weightless` (Falcon
    Mamba). None: none."""
    full_rank: bool = False
    """Whether decay and output gate of `kda` come from one matrix each [V, hidden] (Ling 2.6),
    instead of two with the rank of a head between them."""
    decay_bound: float | None = None
    """Bound of the logarithm of the decay of `kda`, which then is the bound times a sigmoid (Ling
    2.6). None: a softplus without a bound."""
    beta_scale: float = 1.0
    """Constant factor of the strength β with which `gated_deltanet` writes: 2 lets the state change
    its sign (OLMo Hybrid)."""
    input_scales: tuple[float, ...] | None = None
    """Constant factors of gate, x, B, C and dt (Falcon-H1). None: 1 each."""
    gate_softcap: float | None = None
    """Soft cap of the input and forget gates of `mlstm`: c · tanh(gate / c). None: no cap."""
    qk_norm: QKNorm | None = None
    """RMSNorm of queries and keys of `lightning` (Ling 2.5). None: none."""
    rope: Rope | None = None
    """Rotary positions of queries and keys of `lightning` (Ling 2.5). None: none."""
    state_dtype: str | None = None
    """Dtype of the recurrent state that the config asks for, such as `float32`. None: the config
    does not say; engines then choose."""


@frozen(kw_only=True)
class CompressedAttention(Strict):
    """DeepSeek V4's attention: a window of tokens, and compressed entries for those beyond it.

    One head is key and value at once, for all query heads.

    - query down [q_lora_rank, hidden], query up [heads · head_dim, q_lora_rank]
    - key and value [head_dim, hidden]
    - output, low-rank: for each of `o_groups` groups of heads
      [o_lora_rank, heads · head_dim / o_groups], then [hidden, o_groups · o_lora_rank]
    - an RMSNorm on the query latent and on the key; each query head has one without weight

    The last `rope_dim` dims of queries and keys rotate. Values are the rotated keys, so the output
    is rotated back. A compressor (where `ratio` is not 0) makes an entry as a weighted mean of
    series · ratio tokens, channel by channel:

    - values and weights [series · head_dim, hidden] each
    - a bias [ratio, series · head_dim] by place in the block, and an RMSNorm [head_dim]

    An indexer has a compressor of its own width instead of a key projection.
    """

    kind: Literal["compressed_attention"] = "compressed_attention"
    """Which class of mixer this is."""
    heads: int
    """Number of query heads. They share one key/value head."""
    head_dim: int
    """Dims of each query head, and of the one head that is key and value."""
    rope_dim: int
    """How many dims of each head rotate: the last ones."""
    q_lora_rank: int
    """Width of the query latent."""
    o_groups: int
    """Number of groups of heads in the low-rank output projection."""
    o_lora_rank: int
    """Width that each group of heads is projected to before the output."""
    window: int
    """Length in tokens of the sliding window that every layer reads uncompressed, the query's own
    token included."""
    ratio: int
    """Tokens for each compressed entry beyond the window:

    - 0: no entries, the window alone
    - 4 (CSA): an indexer picks the best entries
    - 128 (HCA): all entries are read
    """
    series: int = 1
    """How many blocks of `ratio` tokens each entry covers. 2: neighbouring entries overlap."""
    sinks: bool = True
    """Whether each query head has a learned logit [heads] in the softmax, as `Attention.sinks`."""
    norm_eps: float | None = None
    """ε of the norms on the latents, as in `Norm.eps`. None: not known."""
    indexer: Indexer | None = None
    """Indexer that chooses which compressed entries are read. None: all are read."""
    rope: Rope | None = None
    """Rotary positions of the last `rope_dim` dims. None: no position in attention."""


Mixer = Union[Attention, LatentAttention, LinearAttention, CompressedAttention]
