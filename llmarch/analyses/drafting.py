"""Models and heads that draft tokens for another model, as its engine loads them beside it.

vLLM and SGLang divide a drafter over the same tensor-parallel ranks and keep its layers in the
target's pool (vllm: v1/spec_decode; draft_tensor_parallel_size is the target's by default);
llama.cpp keeps cells for it as for a model (common/speculative.cpp).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, Attention
from ..errors import ImpossiblePlan, PlanError
from .cache import list_layer_parts
from .cache_layouts import mixer_cache_parts
from .cache_parts import Convention
from .engines.base import LayerParts
from .sharding import Parallel, count_rank_parameters, divisibility_errors, shard_architecture
from .weight_formats import Weights

if TYPE_CHECKING:
    from ..checkpoint.reading import Observation


@frozen
class Drafter(Frozen):
    """A model that drafts, or a head whose layers are known from its config."""

    name: str
    architecture: Architecture
    """The draft model; of a head the target, whose dtype its cache has."""
    weights: Weights | None = None
    """How a draft model's weights are held. None: a head."""
    head_layers: tuple[Attention, ...] = ()
    """The attention of each layer of a head, undivided; empty for a model."""
    head_bytes: int = 0
    """Bytes that a head stores."""

    def rank_bytes(self, parallel: Parallel) -> int:
        """Return the bytes of weights on one rank.

        Raises ImpossiblePlan if a draft model is not divisible by the ranks.
        """
        if self.weights is None:
            return ceil(self.head_bytes / parallel.tensor)
        ranks = Parallel(tensor=parallel.tensor, gpus=parallel.tensor)
        errors = divisibility_errors(self.architecture, ranks)
        if errors:
            raise ImpossiblePlan(f"the drafter {self.name}: {'; '.join(errors)}")
        return self.weights.bytes_of(count_rank_parameters(self.architecture, ranks))

    def layer_parts(
        self, parallel: Parallel, convention: Convention, first: int
    ) -> tuple[LayerParts, ...]:
        """Return what its layers keep on one rank.

        first: the number of its first layer, after those of the target.
        """
        if self.weights is not None:
            ranks = Parallel(tensor=parallel.tensor, gpus=parallel.tensor)
            share = shard_architecture(self.architecture, ranks)
            return tuple(
                replace(layer, mixer=f"drafter {layer.mixer}", index=first + layer.index)
                for layer in list_layer_parts(share, convention)
            )
        layers: list[LayerParts] = []
        for number, attention in enumerate(self.head_layers):
            kv_heads = max(1, attention.kv_heads // parallel.tensor)
            rank = replace(attention, kv_heads=kv_heads)
            parts = mixer_cache_parts(self.architecture, rank, convention)
            layers.append(LayerParts("drafter", first + number, tuple(parts)))
        return tuple(layers)


def draft_head(head: Observation, target: Architecture) -> Drafter:
    """Return an EAGLE head, from what it stores and from the attention that its config describes.

    Raises PlanError if its config does not say how many KV heads it has.
    """
    config = cast("Mapping[str, Any]", head.raw.config or {})
    nested = config.get("transformer_layer_config")
    if isinstance(nested, Mapping):
        config = cast("Mapping[str, Any]", nested)
    heads = _number(config, "num_attention_heads")
    kv_heads = _number(config, "num_key_value_heads") or heads
    width = _number(config, "hidden_size")
    head_dim = _number(config, "head_dim")
    if not head_dim and heads and width:
        head_dim = width // heads
    if not heads or not kv_heads or not head_dim:
        raise PlanError(
            f"the drafter {head.name}: its config does not describe its attention",
            "It needs num_attention_heads, num_key_value_heads, and head_dim or hidden_size.",
        )
    attention = Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim, v_head_dim=head_dim)
    layers = _number(config, "num_hidden_layers") or 1
    tensors = head.raw.tensors
    stored = 0
    if tensors is not None:
        stored = tensors.bytes
    return Drafter(
        name=head.name,
        architecture=target,
        head_layers=(attention,) * layers,
        head_bytes=stored,
    )


def _number(config: Mapping[str, Any], key: str) -> int | None:
    """Return a positive whole number of a config, or None."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if value <= 0:
        return None
    return value
