"""The vocabulary that family files are written in: reading facts with their evidence, and naming tensors.

A family file says what the keys of a config mean (`read`) and what the published tensors are called (`naming`). Reading gives
a tree of `Node`s whose leaves are `Fact`s; `build` turns the tree into schema objects and a table of evidence by dotted path.
A leaf that is a plain value is what the modelling code does whatever the config says: evidence `family`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from ..architecture.frozen import Record, record
from ..architecture.schema import (
    MTP,
    Architecture,
    Attention,
    BlockIndex,
    Branch,
    CompressedAttention,
    Conformer,
    ConvBlock,
    ConvTower,
    Dense,
    Embedding,
    Evidence,
    Head,
    Indexer,
    LatentAttention,
    LayerKind,
    Linear,
    LinearAttention,
    MoE,
    Norm,
    PerLayerEmbedding,
    QKNorm,
    Quantization,
    QueryScaling,
    Residual,
    Rope,
    RopeScaling,
    Router,
    Step,
    Tower,
)
from ..tensors.naming import (
    POST_NORMS,
    PRE_NORMS,
    SANDWICH_NORMS,
    Naming,
    Part,
    Row,
    attention_parts,
    dense_parts,
    fused_attention_parts,
    fused_dense_parts,
    fused_moe_parts,
    hyper_rows,
    latent_parts,
    layer_norms,
    layer_rows,
    linear,
    mamba2_parts,
    matrix_rows,
    moe_parts,
    mtp_as_layers,
    norm_rows,
    numbered,
    template,
    tower_rows,
)
from .blocks import (
    activation,
    attention,
    decoder,
    dense,
    dtype_of,
    head_dim,
    kv_heads,
    latent_attention,
    layer_norm,
    post_inside,
    pre,
    query_scaling,
    rms_norm,
    rope,
    rope_keys,
    rotary_dim,
    sandwich,
    scaling_of,
    sliding_layers,
    typed_rope,
    used,
    wire,
    wrapped,
)
from .evidence import Fact, Node, build, derived, fixed, like, make, unknown
from .keys import Config


@record
class Family(Record):
    """A model family. `ref`: the modelling code its facts were read from, `refs` that of single model_types; `defaults`: class defaults by
    model_type, of `config_class`; `naming`: published names, or a function of the architecture where these depend on it; `mtp_layouts`:
    see `mtp_candidates`."""

    name: str
    title: str
    ref: str
    read: Callable[[Config], Node]
    naming: Naming | Callable[[Architecture], Naming]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    config_class: Mapping[str, str] = field(default_factory=dict[str, str])
    refs: Mapping[str, str] = field(default_factory=dict[str, str])
    mtp_layouts: Callable[[Architecture], Iterable[MTP]] | None = None

    def config(self, data: Mapping[str, Any], file: str, model_type: str, spelled: Mapping[str, str | Evidence] | None = None) -> Config:
        return Config(data, file=file, spelled=spelled, **self._about(model_type))

    def part(self, c: Config, key: str, model_type: str) -> Config:
        """The config nested under `key` of a wrapper, read as `model_type`; the wrapper's own keys where it nests none."""
        if c.has(key):
            return c.child(key, **self._about(model_type))
        c.ignore(key)
        return Config(c.data, file=c.file, at=c.at, used=c.used, spelled=c.spelled, **self._about(model_type))

    def _about(self, model_type: str) -> dict[str, Any]:
        return {
            "family": self.name,
            "ref": self.refs.get(model_type, self.ref),
            "defaults": self.defaults.get(model_type),
            "defaults_ref": f"{TRANSFORMERS} {self.config_class.get(model_type, '')}",
            "model_type": model_type,
        }

    def names(self, a: Architecture) -> Naming:
        return self.naming(a) if callable(self.naming) else self.naming

    def template(self, a: Architecture) -> list[Row]:
        return [numbered(r) for r in template(a, self.names(a))]

    def mtp_candidates(self, a: Architecture) -> list[tuple[MTP, list[Row]]]:
        """The MTP layouts that checkpoints of the family are published with, each with its rows: for headers to decide between, as a
        config may not say whether the modules are stored, or whether with copies of embedding and head."""
        naming = self.names(a)
        if self.mtp_layouts is None or naming.mtp is None:
            return []
        return [(m, [numbered(r) for r in naming.mtp(replace(a, mtp=m), naming)]) for m in self.mtp_layouts(a)]


TRANSFORMERS = "transformers 5.23.0"


def modeling(model: str) -> str:
    """The modelling code of a transformers model, as `ref` gives it."""
    return f"{TRANSFORMERS} models/{model}/modeling_{model}.py"


__all__ = [
    "MTP", "POST_NORMS", "PRE_NORMS", "SANDWICH_NORMS", "TRANSFORMERS", "Architecture", "Attention", "BlockIndex", "Branch",
    "CompressedAttention", "Config", "Conformer", "ConvBlock", "ConvTower", "Dense", "Embedding", "Fact", "Family", "Head", "Indexer",
    "LatentAttention", "LayerKind", "Linear", "LinearAttention", "MoE", "Naming", "Node", "Norm", "Part", "PerLayerEmbedding", "QKNorm",
    "Quantization", "QueryScaling", "Residual", "Rope", "RopeScaling", "Router", "Row", "Step", "Tower", "activation", "attention",
    "attention_parts", "build", "decoder", "dense", "dense_parts", "derived", "dtype_of", "fixed", "fused_attention_parts",
    "fused_dense_parts", "fused_moe_parts", "head_dim", "hyper_rows", "kv_heads", "latent_attention", "latent_parts", "layer_norm",
    "layer_norms",
    "layer_rows", "like", "linear", "make", "mamba2_parts", "matrix_rows",
    "modeling", "moe_parts", "mtp_as_layers", "norm_rows", "post_inside", "pre", "query_scaling", "rms_norm", "rope", "rope_keys",
    "rotary_dim", "sandwich", "scaling_of", "sliding_layers", "tower_rows", "typed_rope", "unknown", "used", "wire", "wrapped",
]  # fmt: skip
