"""The modules that the class of a base model has, which an adapter may target."""

from __future__ import annotations

from dataclasses import replace

from ...config.families import family_named
from ...tensors.class_modules import ClassModule, class_modules
from ..reading import Reading

_INPUTS_FIRST = frozenset({"gpt-sw3", "gpt2", "openai-gpt"})
"""Model types whose matrices are Conv1D (transformers 5.23.0 pytorch_utils.py)."""
_EXPERTS_INPUTS_FIRST = frozenset({"aria", "aria_text", "gpt_oss"})
"""Model types whose stacked experts say `is_transposed` (transformers 5.23.0 modeling code), which
PEFT goes by."""

_PARAMETER_ROUTERS = frozenset({"lfm2_moe", "qwen3_moe", "qwen3_vl_moe", "qwen3_vl_moe_text"})
"""Model types whose router is a parameter in transformers, although vLLM has a linear module."""


def modules_of_base(reading: Reading, *, stacks_experts: bool = True) -> list[ClassModule]:
    """Return the modules of the class that transformers builds of a model.

    stacks_experts: False for the class of transformers 4, which had experts one by one.
    """
    a = reading.architecture
    family = family_named(a.family)
    conversion = family.conversion(a)
    if a.model_type in _PARAMETER_ROUTERS or a.decoder_type in _PARAMETER_ROUTERS:
        conversion = replace(conversion, linear_router=False)
    naming = family.names(a)
    (head,) = conversion.parameters([f"{naming.prefix}{naming.head}.weight"])
    tied_head = None
    if a.embedding.tied and a.head.predicts_tokens:
        tied_head = (a.vocab_size, a.embedding_width)
    rows = [row for row in reading.rows if row.component != "mtp"]
    return class_modules(
        rows,
        conversion,
        head=head.removesuffix(".weight"),
        tied_head=tied_head,
        inputs_first=a.model_type in _INPUTS_FIRST,
        experts_inputs_first=a.model_type in _EXPERTS_INPUTS_FIRST,
        stacks_experts=stacks_experts,
    )
