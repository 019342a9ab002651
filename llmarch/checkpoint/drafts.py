"""Recognise draft heads, which predict tokens for another model and are not models by themselves.

Their configs are often the target's, number of layers included. By its config or by the names of
its tensors:

- EAGLE and EAGLE-3 (github.com/SafeAILab/EAGLE model/cnets.py; sgl-project/SpecForge; NVIDIA
  Model-Optimizer): `fc` joins embedding and hidden states, one or few layers follow (`midlayer`);
  `d2t` and `t2d` map a smaller vocabulary
- speculators (vllm-project/speculators): `speculators_config`, `speculators_model_type`
- Medusa (FasterDecoding/Medusa model/medusa_model.py): heads of residual blocks and a matrix
- modules of multi-token prediction by themselves (lmsys/DeepSeek-V3-NextN for SGLang)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from ..errors import UnknownFamily
from ..sources.raw import RawModel

CONFIG_KEYS = {
    "speculators_config": "a draft model of speculators",
    "speculators_model_type": "a draft model of speculators",
    "draft_vocab_size": "an EAGLE-3 draft head",
    "eagle_config": "an EAGLE draft head",
    "eagle_aux_hidden_state_layer_ids": "an EAGLE-3 draft head",
    "dflash_config": "a DFlash draft model",
    "medusa_num_heads": "Medusa heads",
    "medusa_num_layers": "Medusa heads",
}
"""Config keys that only draft heads have."""

DRAFT_MODEL_TYPES = {
    "eagle": "an EAGLE draft head",
    "eagle3": "an EAGLE-3 draft head",
    "medusa": "Medusa heads",
    "mlp_speculator": "an MLP speculator",
    "speculator_model": "a draft model of speculators",
}
"""Values of model_type that only draft heads have."""

CLASSES = (
    (r"^Eagle3|Eagle3$", "an EAGLE-3 draft head"),
    (r"^Eagle(?![\d_])|LMEagle$|ModelEagle$", "an EAGLE draft head"),
    (r"Medusa", "Medusa heads"),
    (r"Speculator", "a draft model of speculators"),
    (r"DFlash|DraftModel", "a draft model"),
    (r"NextN$|MTP(Model)?$", "modules of multi-token prediction by themselves"),
)
"""Patterns of the names of classes in `architectures`."""

CLASS_WORDS = ("Eagle", "Medusa", "Speculator", "DFlash", "DraftModel", "NextN", "MTP")
"""One of these is in each of those names, so that most are told without a pattern."""


class DraftHead(UnknownFamily):
    """A draft head: observed by its tensors, never read as the model that its config describes."""

    def __init__(self, kind: str, source: str, reference: str) -> None:
        """Say what shows it.

        kind: `an EAGLE-3 draft head`
        source: the config key, class or tensor that shows it
        reference: what it was read from
        """
        super().__init__(
            f"{reference} is {kind} ({source}): it predicts tokens for another model, which its"
            " config may describe",
            "With tensor headers, `llmarch show` tells what is stored of it.",
        )
        self.kind = kind


def draft_error(raw: RawModel) -> DraftHead | None:
    """Return the error that says that a repository has a draft head, if it has one."""
    sign = config_sign(raw.config or {})
    if sign is None and raw.tensors is not None:
        from .draft_tensors import tensor_sign

        sign = tensor_sign(raw.tensors)
    if sign is None:
        return None
    kind, source = sign
    return DraftHead(kind, source, raw.reference)


def config_sign(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what draft head a config is of, and what shows it; None if it is of none."""
    for key, kind in CONFIG_KEYS.items():
        if config.get(key) is not None:
            return kind, key
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in DRAFT_MODEL_TYPES:
        return DRAFT_MODEL_TYPES[model_type], f"model_type {model_type}"
    named = config.get("architectures")
    if not isinstance(named, list):
        return None
    for name in cast("list[Any]", named):
        if not isinstance(name, str) or not any(word in name for word in CLASS_WORDS):
            continue
        for pattern, kind in CLASSES:
            if re.search(pattern, name):
                return kind, f"architectures names {name}"
    return None
