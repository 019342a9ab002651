"""Random single changes of clean quantised checkpoints of every style: none is verified.

The changes that loaders take all the same are listed with their reasons. Sweeps of each kind of
change are in test_declared_storage.py; this is the net under them.
"""

from __future__ import annotations

import os
import random

import pytest
from helpers.quantised_checkpoints import CLEAN
from helpers.random_changes import KINDS

from llmarch.errors import ConfigError

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

SEED = os.environ.get("LLMARCH_SEED", "16")
"""Set it to look elsewhere."""
CHANGES = 20
"""Changes of each style."""
STYLES = [style for style in CLEAN if style not in ("ct-all-ignored", "bitnet-plain")]


@pytest.mark.parametrize("style", STYLES)
def test_random_changes(style: str) -> None:
    clean = CLEAN[style]()
    chooser = random.Random(SEED + style)
    made = 0
    while made < CHANGES:
        change = chooser.choice(KINDS)(clean, chooser)
        if change is None:
            continue
        made += 1
        what, changed = change
        try:
            status = changed.verified().status
        except ConfigError:
            continue
        assert status != "verified", f"{style}: {what}"
