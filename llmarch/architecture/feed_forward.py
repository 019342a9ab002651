"""Feed-forward blocks: dense MLPs, and mixtures of experts with their routers.

Matrices are written [outputs, inputs]; `hidden` is the width of the residual stream.
"""

from __future__ import annotations

from typing import Literal, Union

from .frozen import Strict, frozen


@frozen(kw_only=True)
class Dense(Strict):
    """A feed-forward block (MLP) that every token passes.

    - gated: gate and up [width, hidden] each, down [hidden, width];
      the output is down(activation(gate) · up)
    - not gated: up [width, hidden], down [hidden, width]; the output is down(activation(up))
    """

    kind: Literal["dense"] = "dense"
    """Which class of feed-forward block this is."""
    width: int
    """Intermediate size: how many channels lie between up and down projection."""
    activation: str
    """Activation function: `silu`, `gelu`, `gelu_tanh`, `relu2` (squared ReLU), `identity`. Gated
    with silu is SwiGLU, with gelu is GeGLU."""
    gated: bool = True
    """Whether a gate matrix multiplies the up projection: three matrices instead of two."""
    bias: bool = False
    """Whether every matrix of the block has a bias."""
    clamp: float | None = None
    """Bound of the intermediate values: the gate is clamped from above, up to ±clamp. None: not
    clamped."""
    clamp_after: bool = False
    """Whether the gate is clamped after its activation instead of before it."""
    alpha: float | None = None
    """Steepness of the activation, which is x · sigmoid(alpha · x) then (gpt-oss). None: the
    activation as it is named."""
    up_offset: int = 0
    """Constant added to up before it is multiplied by the gate (1 in gpt-oss)."""
    gate_scale: float = 1.0
    """Constant factor of the gate before its activation (Falcon-H1)."""
    inner_norm: bool = False
    """Whether an RMSNorm with weights [width] is on the input of the down projection (BitNet)."""
    learned_scale: bool = False
    """Whether the output is multiplied by one learned number (Inkling)."""
    activation_numbers: int = 0
    """Stored numbers of the activation: 4 of `xielu`, two slopes of which are learned. 0: none."""
    channel_mix: bool = False
    """Whether the block is RWKV's: its inputs are mixed with those of the token before, by learned
    vectors [hidden] for up and for a gate [hidden, hidden] on the output, whose activation is
    sigmoid."""
    per_layer: bool = False
    """Whether the intermediate values are multiplied by the layer's slice of the per-layer
    embedding, which is `width` wide (see `Embedding.per_layer`)."""
    sparsity: float | None = None
    """Share of the gate's values that is set to zero: only the highest 1 − sparsity pass (Gemma
    3n). None: all pass."""
    own_skip: bool = False
    """Whether the block's input is added to its normalised output (Gemma 3n's Laurel: two matrices
    of low rank without an activation)."""


@frozen(kw_only=True)
class Router(Strict):
    """How the experts of a token are chosen and weighted.

    logits → scoring → choice of the best → weights: normalised or not, times `scale`.
    """

    scoring: Literal[
        "softmax", "softmax_chosen", "sigmoid", "sigmoid_chosen", "sqrt_softplus", "sparsemixer"
    ]
    """How logits become scores:

    - `softmax`: over all experts
    - `softmax_chosen`: over the chosen experts only
    - `sigmoid`: each expert by itself
    - `sigmoid_chosen`: each chosen expert by itself; the choice is by logits (Kolibri)
    - `sqrt_softplus`: each expert by itself, sqrt(ln(1 + e^logit))
    - `sparsemixer`: two times the best of those left, by a softmax over the logits near it (Phi
      3.5 MoE)
    """
    normalized: bool
    """Whether the weights of the chosen experts are divided by their sum."""
    scale: float = 1.0
    """Constant factor of the weights, after they are normalised."""
    softcap: float | None = None
    """Soft cap of the logits before scoring: c · tanh(logit / c). None: no cap."""
    learned_scale: bool = False
    """Whether all weights are multiplied by one learned number (Inkling)."""
    scores_shared: bool = False
    """Whether the matrix has a row for each shared expert too, whose weights are normalised with
    those of the chosen experts (Inkling)."""
    hidden_width: int | None = None
    """Width of a router that is an MLP (ZAYA): a matrix [hidden_width, hidden] with a bias, an
    RMSNorm [hidden_width], two matrices [hidden_width, hidden_width] with biases, GELU behind each,
    and the matrix of choices [choices, hidden_width]. None: one matrix."""
    carries_state: bool = False
    """Whether the first output of an MLP router is added in the router of the next layer, times a
    learned vector [hidden_width], which this router has for the layer before it."""
    product_keys: bool = False
    """Whether an expert is a pair of keys (product keys, Doge): the matrix is [2 · floor(sqrt(
    experts)), hidden], and the score of a pair is the sum of the logits of its two keys."""
    selection_bias: bool = False
    """Whether a stored number for each expert [experts] is added to the scores for the choice only,
    not to the weights; to the logits if the choice is by these. It balances the load without a
    loss term."""
    bias: bool = False
    """Whether the router's matrix has a bias [experts], which the weights depend on too."""
    token_table: int | None = None
    """Rows of a stored table [token_table, active] that names the experts of each token id
    (DeepSeek V4's first layers). None: experts are chosen by score."""
    groups: int = 1
    """Number of groups that the experts are divided into for the choice. 1: no groups."""
    active_groups: int = 1
    """How many groups remain: experts are chosen from the best ones only."""
    group_score: Literal["max", "top2_sum"] | None = None
    """How a group is ranked: by its best score (`max`), or by the sum of its two best scores with
    the selection bias (`top2_sum`). None: there are no groups to rank."""
    weights: Literal["output", "input"] = "output"
    """What a weight multiplies: the expert's `output`, or its `input` (Llama 4)."""
    own_norm: bool = False
    """Whether the router reads the residual stream through an RMSNorm of its own without weight,
    instead of the block's input."""
    input_scale: bool = False
    """Whether its input is multiplied by a learned vector [hidden], divided by sqrt(hidden)."""
    expert_scale: bool = False
    """Whether each expert's weight is multiplied by a learned number [experts]."""


@frozen(kw_only=True)
class MoE(Strict):
    """A mixture of experts (MoE): a router sends each token to a few of many MLPs.

    - router [experts + zero_experts, hidden]
    - each routed expert: a `Dense` of `expert_width`
    - shared experts: together one `Dense` of `shared_width` that serves every token
    """

    kind: Literal["moe"] = "moe"
    """Which class of feed-forward block this is."""
    experts: int
    """Number of routed experts."""
    active: int
    """How many of them serve a token (top-k). With `zero_experts` it is the most that do."""
    expert_width: int
    """Intermediate size of each routed expert."""
    activation: str
    """Activation of all experts, as in `Dense.activation`."""
    gated: bool = True
    """Whether experts have a gate matrix, as in `Dense.gated`."""
    bias: bool = False
    """Whether the matrices of the routed experts have biases."""
    clamp: float | None = None
    """Bound of the routed experts' intermediate values, as in `Dense.clamp`. None: not clamped."""
    clamp_after: bool = False
    """Whether the gate is clamped after its activation, as in `Dense.clamp_after`."""
    alpha: float | None = None
    """Steepness of the activation, as in `Dense.alpha`. None: the activation as it is named."""
    up_offset: int = 0
    """Constant added to up, as in `Dense.up_offset`."""
    output_bias: bool = False
    """Whether a learned vector [hidden] is added to the sum of the experts (JetMoe)."""
    shared_experts: int = 0
    """Number of shared experts, which serve every token. 0: none."""
    shared_width: int = 0
    """Intermediate size of all shared experts together. 0: there are none."""
    shared_gate: bool = False
    """Whether the shared experts' output is multiplied by a sigmoid gate, from a matrix [1,
    hidden]."""
    shared_gated: bool | None = None
    """Whether the shared experts have a gate matrix, where it is not as `gated` (Doge). None: it
    is."""
    shared_bias: bool = False
    """Whether the matrices of the shared experts have biases."""
    shared_clamp: float | None = None
    """Bound of the shared experts' intermediate values, as in `Dense.clamp`. None: not clamped."""
    latent_width: int | None = None
    """Width that the stream is projected to for the routed experts [latent_width, hidden]; their
    sum is projected back [hidden, latent_width]. Router and shared experts read the stream itself.
    None: experts work on the stream."""
    zero_returns: Literal["input", "nothing"] = "input"
    """What a choice of the router returns that has no expert: its `input` (LongCat), or `nothing`,
    so that the token skips the block (ZAYA). Without effect where there are no `zero_experts`."""
    zero_experts: int = 0
    """Number of further choices of the router that have no weights; see `zero_returns`."""
    router: Router
    """How the experts of a token are chosen and weighted."""


FFN = Union[Dense, MoE]
