"""The names under which the checkpoints of a tool are read."""

from __future__ import annotations

MODELOPT_METHODS = frozenset(
    {"modelopt", "modelopt_fp4", "modelopt_fp8", "modelopt_mixed", "modelopt_mxfp8"}
)
"""Methods under which vLLM and SGLang read ModelOpt's checkpoints."""

AUTO_ROUND_METHODS = frozenset({"auto-round", "intel/auto-round", "inc"})
"""Methods under which auto-round's checkpoints are read; vLLM names its reader INC."""
