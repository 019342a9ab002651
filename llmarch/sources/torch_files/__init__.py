"""Read which tensors a file of torch.save holds, without running anything of it.

torch.save writes a zip archive (since 1.6) or a stream of pickles. Both state names, dtypes and
shapes in a pickle, which is a program. It is never run: `pickles` interprets the few instructions
that build plain values, and keeps what a global would make as a record. `archive` finds the pickle
in the zip directory, `header` makes the tensors of the records.
"""

from __future__ import annotations

from .header import FIRST_TORCH_READ, read_torch_file

__all__ = ["FIRST_TORCH_READ", "read_torch_file"]
