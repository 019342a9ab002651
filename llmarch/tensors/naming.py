"""Where the published tensors of a family live: prefixes, names of norms and of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import (
    FFN,
    Architecture,
    Attention,
    Dense,
    LatentAttention,
    Mixer,
    MoE,
)
from .parts import BlockTensors, dense_parts, latent_parts, moe_parts, split_attention_parts

if TYPE_CHECKING:
    from .template import TensorRow

USUAL_BLOCKS: dict[type, BlockTensors] = {
    Attention: split_attention_parts(),
    LatentAttention: latent_parts(),
    Dense: dense_parts(),
    MoE: moe_parts(),
}
"""The names of blocks for which a family gives none: Llama's, DeepSeek's."""

PRE_NORMS = ("input_layernorm", "post_attention_layernorm")
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
SANDWICH_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)

SCORE_HEADS = {
    "sequence_classification": "score",
    "token_classification": "score",
    "question_answering": "qa_outputs",
    "reward": "score",
    "value": "v_head.summary",
}
"""Modules of heads that are not a language model's, by kind (transformers 5.23.0
modeling_layers.py; TRL AutoModelForCausalLMWithValueHead)."""

CLASSIFIER_HEADS = {**SCORE_HEADS, "token_classification": "classifier"}
"""The same for classes of their own, older than the shared ones (GPT-2, BLOOM, Falcon, MPT)."""


@frozen
class Naming(Frozen):
    """The names of a family's published tensors; those of a layer are relative to `layer`."""

    prefix: str = ""
    """What all names begin with: `language_model.` in a wrapper."""
    embedding: str = "model.embed_tokens.weight"
    positions: str = ""
    """The table of learned positions."""
    embedding_projections: tuple[str, str] = ("", "")
    """The matrices from a narrow embedding into the stream, and from it to the head."""
    embedding_affine: tuple[str, ...] = ()
    """The learned vectors on the embedding."""
    embedding_norm: str = ""
    """The norm right after the embedding."""
    layer: str = "model.layers.{}."
    """The prefix of a layer, with `{}` for its number."""
    kind_layers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The prefix of a layer for kinds of layers that are stacks of their own, numbered from 0."""
    initial_state: str = ""
    """The vector on which a stack of layers begins."""
    final_norm: str = "model.norm"
    head: str = "lm_head"
    score_heads: Mapping[str, str] = field(default_factory=lambda: SCORE_HEADS)
    """The module of a head that is not a language model's, by its kind; no prefix is before it."""
    norms: tuple[str, ...] = PRE_NORMS
    """A layer's norms in the order of its wiring."""
    kind_norms: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """The same for the kinds of layers that have other ones."""
    hyper: tuple[str, ...] = ()
    """Prefixes of hyper-connections: a layer's, in the order of its steps, and the last one's,
    which joins the streams after the layers."""
    altup: tuple[str, ...] = ()
    """The matrices to and from further streams (AltUp)."""
    blocks: Mapping[Any, BlockTensors] = field(default_factory=dict[Any, BlockTensors])
    """The tensors of a block by its path (`mixers.linear`) or its class. In their names `#` is the
    number of the block among the layer's blocks of that path."""
    convolutions: tuple[str, ...] = ()
    """The convolutions over the outputs of a layer's blocks, in their order."""
    affine: tuple[str, ...] = ()
    """The modules of the learned vectors of a layer's steps, in their order."""
    skip_scales: tuple[str, ...] = ()
    """The learned vectors on what the steps of a layer add to, in their order."""
    branch_gates: tuple[str, ...] = ()
    """The learned numbers of a layer's branches, in the order of its wiring."""
    layer_scale: str = "layer_scalar"
    """A layer's learned number."""
    per_layer: tuple[str, str, str] = ("", "", "")
    """The table, projection and norm of per-layer embeddings."""
    linear_router: bool = False
    """Whether routers are linear modules that quantisers replace. In most classes of transformers
    5.23.0 they are a parameter, and in vLLM 0.33.0 a GateLinear without a quant_config."""
    mtp: Callable[[Architecture, Naming], Iterable[TensorRow]] | None = None
    """The rows of MTP modules."""
    shared: Callable[[Architecture], Iterable[TensorRow]] | None = None
    """The rows of blocks whose weights layers share."""
    tower: Callable[[Architecture], Iterable[TensorRow]] | None = None
    """The rows of encoders."""

    def parts(self, path: str, block: Mixer | FFN) -> BlockTensors:
        """Return what names the tensors of a block. Raises KeyError if nothing does."""
        kind = type(block)
        builder = self.blocks.get(path)
        if builder is None:
            builder = self.blocks.get(kind)
        if builder is None:
            builder = USUAL_BLOCKS.get(kind)

        if builder is None:
            raise KeyError(f"no names for {path}")
        return builder


def in_base(naming: Naming, base: str) -> Naming:
    """Return the names with the decoder in another module of the class than `model`.

    Names of a decoder that is published in that module stay as they are.
    """
    fields = ("embedding", "positions", "embedding_norm", "layer", "final_norm")
    names = {name: getattr(naming, name) for name in fields}
    moved = {
        name: f"{base}.{value.removeprefix('model.')}"
        for name, value in names.items()
        if value.startswith("model.") and not value.startswith(f"{base}.")
    }
    return replace(naming, **moved)
