"""The schema: what an architecture is, as frozen records. No I/O, no formatting.

Blocks and norms are named and written once (`mixers`, `ffns`, `norms`). Layer kinds wire them, and
`layers` is a list of kind names. So a 5:1 pattern stays two kinds, differences line up across
families, and the placement of norms follows from the wiring instead of being declared. The facts
alone give the parameter count (`analyses/parameters.py`).

The meaning of a fact is the docstring under its field. The compiler drops these strings, so no
start pays for them; `meanings.py` reads them from the source for `show --explain`, the JSON Schema
and docs/glossary.md.

The records are frozen dataclasses of the standard library, because every start of the program pays
for them (`frozen.py`). pydantic (`json_schema.py`) makes a JSON Schema of them and validates
documents from outside. Sizes are numbers of elements, never bytes. A fact that is not known is
None, and its evidence gives the reason.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from .encoders import (
    Conformer,
    ConvBlock,
    ConvTower,
    Encoder,
    FeatureEmbedding,
    Linear,
    SpeechConformer,
    SpeechTower,
    Tower,
)
from .feed_forward import FFN, Dense, MoE, Router
from .frozen import Strict, frozen
from .mixers import (
    Attention,
    BlockIndex,
    CompressedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
    Mixer,
    QKNorm,
    QueryScaling,
    RelativeLogits,
    SharedTransformer,
)
from .primitives import Norm, Rope, RopeScaling
from .quantization import Quantization

__all__ = [
    "FFN",
    "MTP",
    "SCHEMA_VERSION",
    "Architecture",
    "Attention",
    "BlockIndex",
    "Branch",
    "Change",
    "CompressedAttention",
    "Conformer",
    "ConvBlock",
    "ConvTower",
    "Dense",
    "Embedding",
    "Encoder",
    "Evidence",
    "FeatureEmbedding",
    "Finding",
    "Head",
    "Indexer",
    "LatentAttention",
    "LayerKind",
    "Linear",
    "LinearAttention",
    "Mixer",
    "MoE",
    "Norm",
    "Other",
    "PerLayerEmbedding",
    "QKNorm",
    "Quantization",
    "QueryScaling",
    "RelativeLogits",
    "Residual",
    "Rope",
    "RopeScaling",
    "Router",
    "Severity",
    "SharedTransformer",
    "SpeechConformer",
    "SpeechTower",
    "Step",
    "Tower",
]

SCHEMA_VERSION = 1
"""Version of the JSON documents, and of the architectures within lock files."""

Severity = Literal["weights", "behaviour", "capacity", "quantization", "info"]
"""What a difference breaks, from worst; `llmarch.compare.rules` says what each means."""


@frozen(kw_only=True)
class Branch(Strict):
    """One block on the residual stream: norm, block, norm, factor."""

    block: str
    """Path of the block: `mixers.NAME` or `ffns.NAME`."""
    pre_norm: str | None = None
    """Name in `norms` of the norm on the block's input. None: none of its own."""
    post_norm: str | None = None
    """Name in `norms` of the norm on the block's output, before the addition. None: none."""
    scale: float = 1.0
    """Constant factor of the block's output, after its norm."""
    input_scale: float = 1.0
    """Constant factor of the block's input, after its norm."""
    learned_gate: bool = False
    """Whether the block's output is multiplied by the tanh of one learned number (Llama 3.2
    Vision)."""


@frozen(kw_only=True)
class Step(Strict):
    """One addition to the residual stream, by one branch or by several in parallel.

    stream = after_norm(skip_scale · stream + join_norm(sum of the branches)); every norm is
    optional. Where the norms are says what placement this is:

    - before the branch only: pre-norm
    - after the branch only: post-norm inside the residual (OLMo 2)
    - both: sandwich (Gemma 2 and later)
    - after the addition: post-norm, as in the first Transformer
    """

    branches: tuple[Branch, ...]
    """Blocks that read the same stream; their outputs are summed."""
    pre_norm: str | None = None
    """Name in `norms` of one norm that feeds all branches. None: each has its own, or none."""
    skip_from: int | None = None
    """Number within the layer, counted from 0, of the step whose normalised input the branches read
    instead of the stream (LongCat's shortcut). None: they read the stream."""
    join_norm: str | None = None
    """Name in `norms` of the norm on the sum of the branches. None: none."""
    after_norm: str | None = None
    """Name in `norms` of the norm on the stream after the addition. None: none."""
    residual: Literal["plain", "after_norm"] = "plain"
    """What the branches are added to: the stream (`plain`), or the output of the pre-norm, which
    takes the stream's place (`after_norm`: MiniMax-01 and M1)."""
    skip_scale: float = 1.0
    """Constant factor of what the branches are added to."""
    feeds_next: bool = False
    """Whether the sum of the branches is added to the input of the next step alone, before its
    norm, and not to the stream (Zamba)."""
    affine: bool = False
    """Whether the sum of the branches and what it is added to each get a learned vector added and
    are then multiplied by another [hidden] (ZAYA)."""
    learned_skip: bool = False
    """Whether what the branches are added to is multiplied by a learned vector [hidden] (Doge)."""


@frozen(kw_only=True)
class LayerKind(Strict):
    """One kind of layer: the steps that it takes, in order."""

    steps: tuple[Step, ...]
    """Steps in order: in most models a mixer, then a feed-forward block."""
    runs: int = 1
    """How often the layers of this kind run for a token, each time with keys and values of their
    own. More than 1 (HRM): there are two stacks, each of one kind. The first one runs so often on
    the sum of its own state and that of the second, which then runs on the sum of both states; that
    is repeated until the second has had all its runs. A norm is behind each run."""
    initial_state: bool = False
    """Whether the state of these layers begins as a learned vector [hidden] (HRM)."""
    learned_scale: bool = False
    """Whether the stream is multiplied by one learned number at the end of the layer (Gemma 4)."""


@frozen(kw_only=True)
class PerLayerEmbedding(Strict):
    """A second, narrow token embedding for every layer (Gemma 3n and 4).

    - table [vocab_size, layers · width]
    - projection of the token embedding [layers · width, hidden], normalised over `width` and added

    Each layer uses its slice in the feed-forward block that is `per_layer`.
    """

    width: int
    """Width of the slice of each layer."""
    vocab_size: int
    """Rows of the table: number of token ids that have an entry."""
    scale: float | None = None
    """Constant factor of the table's rows. None: 1."""


@frozen(kw_only=True)
class Embedding(Strict):
    """The token embedding [vocab_size, hidden_size], and what is added to it."""

    tied: bool
    """Whether the output head is the same matrix. Tied weights are stored and counted once."""
    scale: float | None = None
    """Constant factor of the embedding, such as sqrt(hidden_size) in Gemma. None: 1."""
    positions: int | None = None
    """Rows of a learned table of absolute positions [positions, hidden_size]. None: no table."""
    position_offset: int = 0
    """Row of the first position: rows before it belong to none (2 in OPT)."""
    sinusoidal: bool = False
    """Whether fixed sines and cosines of the position are added. They are computed, not stored."""
    width: int | None = None
    """Width of the table, where it is not that of the stream (OPT 350M): [vocab_size, width], with
    a matrix [hidden_size, width] after it and one [width, hidden_size] before the head, which is
    [vocab_size, width] too. None: hidden_size, and no such matrices."""
    affine: bool = False
    """Whether a learned vector [hidden] is added to the embedding, and another multiplies it
    (ZAYA)."""
    extra_rows: int = 0
    """Rows of the table beyond the vocabulary: tokens that are read and never predicted, for which
    the head has no rows. 0: none."""
    norm: str | None = None
    """Name in `norms` of a norm right after the embedding. None: none."""
    per_layer: PerLayerEmbedding | None = None
    """Second embedding for every layer. None: none."""


@frozen(kw_only=True)
class Head(Strict):
    """The output head, from the last hidden states to logits, labels or scores.

    - of a language model: [vocab_size, hidden_size]
    - of a classifier or reward model: [outputs, hidden_size], or with a hidden layer
      [inner_width, hidden_size] with a bias, ReLU, and [outputs, inner_width]
    """

    kind: Literal[
        "language_model",
        "sequence_classification",
        "token_classification",
        "question_answering",
        "reward",
        "value",
        "none",
    ] = "language_model"
    """What the head is for, by the class that the config names in `architectures`:

    - `language_model`: predicts the next token
    - `sequence_classification`, `token_classification`: labels for the text, or for each token
    - `question_answering`: start and end of an answer
    - `reward`: scores of an answer, or of its steps
    - `value`: estimates the reward beside the language model, for reinforcement learning
    - `none`: a base model, as embedding models are, whose hidden states are the result
    """
    outputs: int | None = None
    """Rows of a head that is not a language model's: its labels or scores. None: a language model
    has vocab_size, a base model none."""
    inner_width: int | None = None
    """Width of the hidden layer of a reward model's head. None: the head is one matrix."""
    lm_head: bool = False
    """Whether the head of the language model is there beside one of another kind."""
    bias: bool = False
    """Whether the head has a bias, one number for each output."""
    softcap: float | None = None
    """Soft cap of the logits: c · tanh(logit / c). None: no cap."""
    scale: float | None = None
    """Constant factor of the logits. None: 1."""
    normalized: Literal["rows", "columns"] | None = None
    """What is divided by its length before the matrix is used: its `rows`, one for each token
    (Baichuan 2), or its `columns` (Ling Plus). None: neither."""
    module: str | None = None
    """Name of the head's module in the checkpoint, where it is not the usual one of the kind
    (`v_head`). None: it is."""

    @property
    def predicts_tokens(self) -> bool:
        """Return whether there is the head of a language model, tied or not."""
        return self.kind == "language_model" or self.lm_head


@frozen(kw_only=True)
class MTP(Strict):
    """Multi-token prediction (MTP): further layers that predict the tokens after the next one.

    They serve speculative decoding. Each module is one layer, fed by a projection
    [hidden, 2 · hidden] of the normalised embedding and hidden state. Modules are not part of the
    parameter total.
    """

    modules: int
    """Number of modules, as the config announces or the checkpoint stores them."""
    layer_kind: str | None
    """Name in `layer_kinds` of the layer in each module. None: modules are announced, but their
    layout is not known."""
    norms: int = 0
    """Norms of each module beside those of its layer, each as wide as the stream."""
    own_embedding: bool = False
    """Whether each module stores a copy of the token embedding."""
    own_head: bool = False
    """Whether each module stores a copy of the output head."""


@frozen(kw_only=True)
class Other(Strict):
    """Tensors that no other fact explains. They count as parameters."""

    shape: tuple[int, ...]
    """Shape of each of them."""
    reason: str = field(compare=False)
    """What they are and why they are here; a remark, not compared."""
    count: int = 1
    """Number of tensors of that shape."""


@frozen(kw_only=True)
class Residual(Strict):
    """What runs from layer to layer: one stream, or several.

    `hyper` (manifold-constrained hyper-connections, DeepSeek V4), with n streams:

    - before each step a matrix [(2 + n) · n, n · hidden] with a bias and three scales reads all
      streams and gives three sets of weights: for the sum of streams that the step reads, for
      adding its output to each stream, and for mixing the streams with each other
    - after the last layer a matrix [n, n · hidden] with a bias and a scale makes one stream

    `altup` (alternating updates, Gemma 3n), with n streams:

    - a layer predicts all streams from all with coefficients [n², n], computes the active one and
      corrects the others with coefficients [n, n]; both depend on a router [n, hidden] with a norm
    - the active stream is multiplied by a learned vector [hidden]
    - n − 1 matrices [hidden, hidden] make the further streams from the embedding, and n − 1 take
      them back before their mean
    """

    kind: Literal["plain", "hyper", "altup"]
    """How the streams are kept: one `plain` stream, `hyper`-connections, or `altup`."""
    streams: int = 1
    """Number of streams, each of the hidden size."""
    active: int | None = None
    """`altup` only: number of the stream that layers compute on, counted from 0."""
    clip: float | None = None
    """`altup` only: bound of the coefficients in training; inference does not use it. None: no
    bound."""
    iterations: int | None = None
    """`hyper` only: iterations of Sinkhorn's method, which makes the weights between streams doubly
    stochastic."""
    eps: float | None = None
    """`hyper` only: ε of Sinkhorn's method, against division by zero."""
    mixing: bool = True
    """`hyper` only: whether a step mixes the streams with each other. False: each is kept as it is
    (Hy4), so that the matrix is [2n, n · hidden] with two scales, and there are no iterations."""
    write_scale: float = 2.0
    """`hyper` only: factor of the sigmoids with which a step's output is added to each stream."""
    conv_kernel: int | None = None
    """Width in tokens of a causal depthwise convolution without bias over each block's output
    [hidden, 1, conv_kernel], added to what it reads before the addition to the stream (Inkling).
    None: none."""
    depth_scaled: bool = False
    """Whether additions are weighed by their number i in the model, counted from 2: the branch by
    1 / sqrt(i), what it is added to by sqrt((i − 1) / i) (Beam)."""


@frozen(kw_only=True)
class Architecture(Strict):
    """A decoder language model: its blocks, how layers wire them, and what is around them."""

    family: str
    """Name of the llmarch family file that read the config."""
    model_type: str
    """`model_type` of the config, by which loaders pick the model's code."""
    decoder_type: str | None = None
    """`model_type` of the decoder in a wrapper that may hold another family's (LLaVA). None: the
    code of `model_type` says which decoder it is."""
    hidden_size: int
    """Width of the residual stream."""
    vocab_size: int
    """Rows of the token embedding, padding rows included but not `Embedding.extra_rows`."""
    context_length: int | None
    """Longest sequence in tokens that the config allows. None: the config does not say."""
    dtype: str | None
    """Dtype of the unquantised weights that the config names, such as `bfloat16`. None: it names
    none."""
    embedding: Embedding
    """Token embedding."""
    head: Head
    """Output head."""
    final_norm: str | None
    """Name in `norms` of the norm after the last layer. None: none."""
    mixers: dict[str, Mixer]
    """Token mixers by name, such as `full`, `sliding`, `linear`."""
    ffns: dict[str, FFN]
    """Feed-forward blocks by name, such as `dense`, `moe`."""
    norms: dict[str, Norm]
    """Norms by name, such as `rms`; each is as wide as what it normalises."""
    layer_kinds: dict[str, LayerKind]
    """Kinds of layers by name; `layers` says which layer is of which kind."""
    layers: tuple[str, ...]
    """Name of each layer's kind, in order; as many as the model has layers, MTP not counted."""
    residual: Residual = Residual(kind="plain")
    """What runs from layer to layer."""
    mtp: MTP | None = None
    """Multi-token prediction modules. None: none, or the config does not say."""
    towers: dict[str, Encoder] = field(default_factory=dict[str, Encoder])
    """Encoders of other modalities by name: `vision`, `audio`."""
    quantization: Quantization | None = None
    """Storage format of the weights that the config declares. None: it declares none."""
    other: dict[str, Other] = field(default_factory=dict[str, Other])
    """Tensors that no other fact explains, by name."""

    @property
    def embedding_width(self) -> int:
        """Return the width of the token embedding, in most models that of the stream."""
        return self.embedding.width or self.hidden_size

    @property
    def embedding_rows(self) -> int:
        """Return the rows of the token embedding, in most models those of the head."""
        return self.vocab_size + self.embedding.extra_rows

    def block(self, path: str) -> Mixer | FFN:
        """Return the block that a `Branch` names: `mixers.full` or `ffns.moe`."""
        group, _, name = path.partition(".")
        if group == "mixers":
            return self.mixers[name]
        return self.ffns[name]

    def blocks_of(self, kind: str) -> list[Mixer | FFN]:
        """Return the blocks of a layer kind, in the order of its wiring."""
        blocks: list[Mixer | FFN] = []
        for step in self.layer_kinds[kind].steps:
            for branch in step.branches:
                block = self.block(branch.block)
                blocks.append(block)
        return blocks


@frozen(kw_only=True)
class Evidence(Strict):
    """Where the value of a fact comes from."""

    kind: Literal["config", "default", "family", "derived", "tensor", "unknown"]
    """The source:

    - `config`: a key of the config
    - `default`: the default of the config class, because the config has no such key
    - `family`: what the modelling code does, whatever the config says
    - `derived`: computed from other facts
    - `tensor`: read from names or shapes of tensors
    - `unknown`: the value could not be determined
    """
    ref: str
    """The config key, class, file of modelling code, formula or tensors; for `unknown` the
    reason."""
    confirmed_by: tuple[str, ...] = ()
    """Tensors, folded by pattern, whose shapes agree with the value."""
    certainty: str = ""
    """How certain the value is, where the config was put together from what others say of it:
    `cited twice`, `derived`, `uncertain`. Empty: it is the published one."""


@frozen(kw_only=True)
class Finding(Strict):
    """Something about a checkpoint or its files that a reader must know."""

    rule: str
    """Stable id of the rule, such as `tensor-missing` (docs/rules.md)."""
    path: str
    """Path of the fact, or name of the tensor or file, that it is about."""
    message: str
    """What was found, as a sentence."""
    severity: Severity = "info"
    """What it breaks."""
    old: Any = None
    """What was expected. None: nothing."""
    new: Any = None
    """What was found instead. None: nothing."""


@frozen(kw_only=True)
class Change(Strict):
    """One difference between two architectures."""

    rule: str
    """Stable id of the rule, such as `kv-heads-changed` (docs/rules.md)."""
    path: str
    """Dotted path of the fact that differs."""
    old: Any
    """Value in the old model. None: it has no such fact."""
    new: Any
    """Value in the new model. None: it has no such fact."""
    severity: Severity
    """What the difference breaks."""
    old_path: str | None = None
    """Path of the fact in the old model, where its block has another name there. None: `path`."""
    new_path: str | None = None
    """Path of the fact in the new model, where its block has another name there. None: `path`."""
    paths: tuple[str, ...] = ()
    """Paths of all facts that changed alike, where several are told as one. Empty: `path` alone."""
    key: str | None = None
    """Dotted key of the config that made the difference. None: none alone, or not known."""
    key_old: Any = None
    """Value of the key in the old config. None: null, absent, or not known."""
    key_new: Any = None
    """Value of the key in the new config. None: null or absent."""
    consequence: str | None = None
    """What the difference means here, in a few words; `check` says it. Empty: nothing, as far as
    is known. None: nobody judged it."""
    id: str | None = None
    """Short stable id of the difference, for `check --accept`. None: nobody judged it."""
    fails: bool | None = None
    """Whether the difference fails the check. None: nobody judged it."""
