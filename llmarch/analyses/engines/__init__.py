"""Inference engines, one file each: how they store a cache, and what they keep of a GPU."""

from __future__ import annotations

from .base import Engine
from .ideal import Ideal
from .llama_cpp import LlamaCpp
from .mlx import MLX
from .sglang import SGLang
from .transformers import Transformers
from .trtllm import TensorRTLLM
from .vllm import VLLM

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (Ideal(), Transformers(), VLLM(), SGLang(), LlamaCpp(), TensorRTLLM(), MLX())
}
"""All engines by name."""
ALIASES = {
    "llamacpp": "llama.cpp",
    "llama_cpp": "llama.cpp",
    "llama-cpp": "llama.cpp",
    "tensorrt-llm": "trtllm",
    "tensorrt_llm": "trtllm",
    "trt-llm": "trtllm",
    "mlx-lm": "mlx",
    "hf": "transformers",
}


def find_engine(name: str) -> Engine | None:
    """Return the engine of a name in any case, or None."""
    lowered = name.lower()
    return ENGINES.get(ALIASES.get(lowered, lowered))


def engine_of(name: str) -> Engine:
    """Return the engine of a name. Raises ValueError for an unknown one."""
    engine = find_engine(name)
    if engine is None:
        known = ", ".join(ENGINES)
        raise ValueError(f"no engine is called {name!r}; known are {known}")
    return engine
