"""Compare models by their figures, and plan the memory of one.

`python examples/compare_models.py`

The types are checked strictly (`make check`), as those of a program that uses llmarch are.
"""

from __future__ import annotations

import llmarch
from llmarch.errors import LlmarchError


def print_figures(references: list[str]) -> None:
    """Print parameters and cache of models, and what differs from the first."""
    compared = llmarch.compare(references)
    for row in compared.figures:
        print(row["model"], row["total_parameters"], row["cache_bytes_per_token"])
    for name, changes in compared.changes.items():
        worst = [change.rule for change in changes if change.severity == "weights"]
        print(f"{name}: {len(changes)} differences, {', '.join(worst[:3])}")


def print_plan(reference: str, gpus: str) -> None:
    """Print whether a model fits, and what is left for its cache."""
    reading = llmarch.load(reference)
    plan = reading.memory(gpus, context="32k", batch=8, engine="vllm")
    room: int | None = plan.room_bytes_per_gpu
    print(reading.name, reading.parameters.active, plan.fits, room)
    document = reading.to_dict()
    print(document["source"].get("repo_id"), document["parameters"]["total"])
    rows = llmarch.models("qwen3", moe=True)
    print([row["alias"] for row in rows])


if __name__ == "__main__":
    try:
        print_figures(["deepseek-v3", "kimi-k2", "glm-4.5"])
        print_plan("qwen3-30b-a3b", "2xH100")
    except LlmarchError as error:
        print(error.message, error.hint)
