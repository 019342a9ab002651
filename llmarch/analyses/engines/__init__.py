"""Inference engines, one file each: how they store a cache, and what they keep of a GPU.

An engine's file is imported when the engine is asked for: `show` needs the ideal one alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from ...errors import ImpossiblePlan
from .base import Engine

ENGINE_CLASSES = {
    "ideal": "ideal.Ideal",
    "transformers": "transformers.Transformers",
    "vllm": "vllm.VLLM",
    "sglang": "sglang.SGLang",
    "llama.cpp": "llama_cpp.LlamaCpp",
    "trtllm": "trtllm.TensorRTLLM",
    "mlx": "mlx.MLX",
}
"""File and class of each engine, by its name."""


class Engines(Mapping[str, Engine]):
    """All engines by name."""

    def __getitem__(self, name: str) -> Engine:
        """Return the engine of a name. Raises KeyError for an unknown one."""
        path = ENGINE_CLASSES[name]
        return _engine(path)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(ENGINE_CLASSES)

    def __len__(self) -> int:
        """Return how many engines there are."""
        return len(ENGINE_CLASSES)


@cache
def _engine(path: str) -> Engine:
    """Import a file and make its engine."""
    module_name, _, name = path.rpartition(".")
    module = import_module(f".{module_name}", __name__)
    engine_class: type[Engine] = getattr(module, name)
    return engine_class()


ENGINES = Engines()
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
    usual_name = ALIASES.get(lowered, lowered)
    return ENGINES.get(usual_name)


def engine_of(name: str) -> Engine:
    """Return the engine of a name. Raises ImpossiblePlan for an unknown one."""
    engine = find_engine(name)
    if engine is None:
        known = ", ".join(ENGINES)
        raise ImpossiblePlan(f"no engine is called {name!r}; known are {known}")
    return engine
