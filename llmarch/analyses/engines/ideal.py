"""`ideal`: exactly what will be read again, in the layout of the paper, and nothing else.

Nothing is paged, padded, replicated or reserved. It is not an engine's figure but the bound of all.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...architecture.schema import Architecture, Mixer
from .base import Engine, has_states


class Ideal(Engine):
    """No engine: the bytes that are read again."""

    name = "ideal"
    has_decode_context = True
    keeps_experts_on_cpu = True

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        lines = ["nothing paged, padded or replicated"]
        if has_states(mixers):
            lines.append("recurrent state float32 where the model's code computes it so")
        return lines
