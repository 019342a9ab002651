"""The command `llmarch mcp`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperCommand

from . import app
from .common import ConfigOnly, Offline, examples

if TYPE_CHECKING:
    from ..checkpoint.reading import Observation, Reading


@app.command(
    cls=TyperCommand,  # without --output: what it prints is the protocol
    epilog=examples(
        "llmarch mcp",
        "llmarch mcp --offline",
        "claude mcp add llmarch -- llmarch mcp",
    ),
)
def mcp(config_only: ConfigOnly = False, offline: Offline = False) -> None:
    """Serve the Model Context Protocol on standard input and output, for agents."""
    import gc

    from .. import inspect
    from ..api.mcp_server import make_server

    gc.enable()  # a long run, other than those of most commands

    def load(reference: str) -> Reading | Observation:
        return inspect(reference, offline=offline, headers=not config_only)

    make_server(load).run("stdio")
