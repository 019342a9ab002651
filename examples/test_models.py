"""A test of the models that a service runs: copy it beside your llmarch.lock.

`pytest examples/test_models.py`
"""

from __future__ import annotations

import llmarch
from llmarch.architecture.schema import Attention


def test_the_models_are_those_that_were_reviewed() -> None:
    """Every model of the lock has its architecture; after review, `llmarch check --update`."""
    report = llmarch.check()
    assert report.exit_code == 0, f"\n{report}"


def test_the_fine_tune_is_still_that_of_its_base() -> None:
    """The fine-tune added tokens, which is meant; nothing else may differ."""
    report = llmarch.check(
        "acme/support-bot", against="Qwen/Qwen3-0.6B", ignore=["vocabulary-changed"]
    )
    assert report.exit_code == 0, f"\n{report}"


def test_what_the_service_relies_on() -> None:
    """Facts of a model by their names, for what a lock would not say: that it fits our kernels."""
    attention = llmarch.load("Qwen/Qwen3-0.6B").architecture.mixers["full"]
    assert isinstance(attention, Attention)
    assert attention.head_dim == 128
    assert attention.window is None
