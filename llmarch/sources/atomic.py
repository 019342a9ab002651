"""Write files so that an interrupted or concurrent run never leaves half of one."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file whole or not at all: to a temporary file beside it, which is then renamed.

    Raises OSError.

    mode: permissions of the new file; None leaves those of a temporary file (only the user reads).
    """
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        try:
            file.write(data)
            file.close()
            if mode is not None:
                os.chmod(file.name, mode)
            os.replace(file.name, path)
        except BaseException:
            file.close()
            os.unlink(file.name)
            raise
