"""Find which module of the base each stored tensor of an adapter belongs to.

PEFT writes `base_model.model.` before the name of a module in the class that was adapted, and what
the method calls the tensor after it. Adapters of transformers 4 have other names of modules, which
the names of checkpoints make equal (checkpoint/names.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ...sources.raw import TensorTable, fold, unfold
from ...tensors.conversion import Conversion
from ...tensors.template import TensorRow
from ..names import canonicalizer

_LEAVES = (
    r"lora_(?:A|B|E)(?:\.weight|\.bias)?",
    r"lora_embedding_[AB]",
    r"lora_magnitude_vector(?:\.weight)?",
    r"ia3_l",
    r"ln_tuning_layers\.(?:weight|bias)",
    r"hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2",
    r"vera_lambda_[bd]",
    r"hira_[AB]|delora_(?:A|B|lambda|w_norm)|hra_u|miss_block|fourierft_spectrum|c3a_kernel",
    r"oft_[RrS](?:\.weight)?|boft_[RsP]|vblora_logits_[AB]|poly_lora_[AB]",
    r"poly_router\.module_logits",
    r"randlora_(?:A|B|lambda|gamma)|adaption_gate|adaption_prompt",
    r"(?:token_adapter\.)?trainable_tokens_delta",
    r"weight|bias",
)
"""What PEFT's methods call their tensors, after the name of a module."""
_LEAF = re.compile(rf"\.((?:base_layer\.)*(?:{'|'.join(_LEAVES)}))$")
_SHARED = re.compile(
    r"(?:base_model\.)?(?:vera_[AB]|vblora_vector_bank|randlora_[AB]|prompt_embeddings"
    r"|internal_xlora_classifier\..*)"
)
"""Tensors that belong to no module of the base."""


class StoredTensor(NamedTuple):
    """A tensor of an adapter, with the module that it belongs to."""

    name: str
    """As it is stored."""
    dtype: str
    shape: tuple[int, ...] | None
    """None: only its name is known."""
    module: str
    """Name of the module as the adapter has it; empty: it belongs to none."""
    leaf: str
    """What follows the name of the module, without the dot: `lora_A.weight`."""


class ModuleNames:
    """Canonical names of the base's modules, by which spellings of a module are equal."""

    def __init__(self, rows: Sequence[TensorRow], conversion: Conversion) -> None:
        self._canonical, _ = canonicalizer([row.pattern for row in rows], conversion)
        self._keys: dict[str, str] = {}

    def key(self, module: str) -> str:
        """Return the canonical name of a module, numbers included."""
        key = self._keys.get(module)
        if key is None:
            key = self._keys[module] = self._make_key(module)
        return key

    def _make_key(self, module: str) -> str:
        """Return the canonical name of a module that was not asked for before."""
        pattern, index = fold(f"{module}.weight")
        canonical = self._canonical(pattern)
        if canonical.count("{}") != len(index):
            return module
        return unfold(canonical, index).removesuffix(".weight")

    def pattern_key(self, pattern: str) -> str:
        """Return the canonical name of a published or class name, folded."""
        name = pattern.removesuffix(".weight")
        return self._canonical(f"{name}.weight").removesuffix(".weight")


def stored_tensors(table: TensorTable) -> list[StoredTensor]:
    """Return the tensors of an adapter, each with its module."""
    stored: list[StoredTensor] = []
    for group in table:
        for index in group.indices:
            name = unfold(group.pattern, index)
            module, leaf = split_name(name)
            stored.append(StoredTensor(name, group.dtype, group.shape, module, leaf))
    return stored


def split_name(name: str) -> tuple[str, str]:
    """Return the module that a stored tensor belongs to, and what follows it.

    The module is empty for a tensor that all modules share.
    """
    if _SHARED.fullmatch(name):
        return "", name
    core = _without_prefix(name)
    found = _LEAF.search(core)
    if found is None:
        module, _, leaf = core.rpartition(".")
        return module, leaf
    leaf = found[1]
    if leaf == "lora_magnitude_vector.weight":  # PEFT before 0.12
        leaf = "lora_magnitude_vector"
    return core[: found.start()], leaf


def _without_prefix(name: str) -> str:
    """Return a name without what PEFT writes before the module."""
    for prefix in ("base_model.model.", "base_model."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name
