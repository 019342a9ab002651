"""The command line: parse arguments, call, render, exit code; nothing else. Each command imports what it needs.

Exit codes: 0 fine; 1 differences, with `diff --exit-code`; 2 usage or an error, with its message on stderr; 4 a checkpoint that could be
read only in part.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from .reader import Observation, Reading
    from .sources.gpus import GPU
    from .views import Sheet

app = typer.Typer(
    help="Tells what an LLM's architecture is, exactly, and what changed between two of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
PARTIAL = 4


class Format(StrEnum):
    """How to write the answer."""

    text = "text"
    json = "json"
    markdown = "markdown"


def examples(*lines: str) -> str:
    """An epilog of one example a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def complete(incomplete: str) -> list[str]:
    """Aliases of bundled models, for the shell."""
    from .reference import catalog

    return [alias for alias in catalog() if alias.startswith(incomplete.lower())]


Ref = Annotated[
    str, typer.Argument(metavar="REF", help="A bundled alias, org/name[@revision], a Hub URL, a folder or a file.", autocompletion=complete)
]
Output = Annotated[Format, typer.Option("--format", "-f", help="How to write the answer.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never touch the network.")]
ConfigOnly = Annotated[bool, typer.Option("--config-only", help="Read the config alone, no tensor headers.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Read headers again although they are cached.")]


@app.callback(invoke_without_command=True)
def top(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from . import __version__

        typer.echo(f"llmarch {__version__}")
        raise typer.Exit


@app.command(
    epilog=examples(
        "llmarch show qwen3-235b",
        "llmarch show Qwen/Qwen3-8B@main --format json",
        "llmarch show ./checkpoint --tensors",
        "llmarch show gemma3-27b --explain mixers.sliding.window",
    )
)
def show(
    ref: Ref,
    format: Output = Format.text,
    layers: Annotated[bool, typer.Option("--layers", help="Every layer.")] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="The tensors, folded by pattern, with shapes.")] = False,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="PATH", help="Where a fact comes from, such as mixers.full.rope.theta.")
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show what a model's architecture is."""
    reading = inspect(ref, offline=offline, headers=not config_only, refresh=refresh)
    if explain is not None:
        explained(reading, explain, format)
    elif format is Format.json:
        from .renderers import json

        typer.echo(json.text(json.show(reading)))
    else:
        sheet = pages(reading, layers, tensors)
        if format is Format.markdown:
            from .renderers import markdown

            typer.echo(markdown.sheet(sheet), nl=False)
        else:
            from .renderers import text

            text.sheet(sheet)
    if reading.status == "partial" or reading.raw.partial:
        raise typer.Exit(PARTIAL)


def pages(reading: Reading | Observation, layers: bool, tensors: bool) -> Sheet:
    """The sheet of a model, with the tables that were asked for."""
    from .reader import Observation

    if isinstance(reading, Observation):
        from . import views_observed as views

        sheet, more = views.sheet(reading), (views.layer_table, views.tensor_table)
        sheet.tables.extend(t(reading) for t, wanted in zip(more, (layers, tensors), strict=True) if wanted)
    else:
        from . import views

        sheet, more = views.sheet(reading), (views.layer_table, views.tensor_table)
        sheet.tables.extend(t(reading) for t, wanted in zip(more, (layers, tensors), strict=True) if wanted)
    return sheet


def explained(reading: Reading | Observation, path: str, format: Format) -> None:
    from . import explain

    facts = explain.find(reading, path)
    if format is Format.json:
        from .renderers import json

        typer.echo(json.text(explain.document(facts)))
    else:
        table = explain.table(facts)
        if format is Format.markdown:
            from .renderers import markdown

            typer.echo(markdown.table(table))
        else:
            from .renderers import text

            text.table(table)


@app.command(
    epilog=examples(
        "llmarch diff deepseek-v3 kimi-k2",
        "llmarch diff org/model@v1 org/model@main --exit-code",
        "llmarch diff llama3-8b olmo2-7b gemma2-9b --all",
    )
)
def diff(
    refs: Annotated[
        list[str], typer.Argument(metavar="REF REF...", help="Two models, or more for a comparison matrix.", autocompletion=complete)
    ],
    format: Output = Format.text,
    everything: Annotated[bool, typer.Option("--all", help="Equal facts too.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if there are differences.")] = False,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show how two models differ, or compare several."""
    if len(refs) < 2:
        fail("diff needs two models or more", "llmarch diff deepseek-v3 kimi-k2")
    readings = [load(ref, offline=offline, headers=not config_only, refresh=refresh) for ref in refs]
    from . import views

    compared = views.compare(readings, everything)
    if format is Format.json:
        from .renderers import json

        typer.echo(json.text(json.comparison(readings)))
    elif format is Format.markdown:
        from .renderers import markdown

        typer.echo(markdown.comparison(compared), nl=False)
    else:
        from .renderers import text

        text.comparison(compared)
    if any(r.status == "partial" or r.raw.partial for r in readings):
        raise typer.Exit(PARTIAL)
    if exit_code and not compared.same:
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "llmarch memory qwen3-235b --context 32k --batch 8 --gpus 8xH100",
        "llmarch memory deepseek-v3 --kv-dtype fp8 --weights fp8 --gpus 8xH200 --tp 8 --ep 8 --engine vllm",
        "llmarch memory llama3.1-8b gemma3-27b qwen3-next --context 128k",
    )
)
def memory(
    refs: Annotated[
        list[str], typer.Argument(metavar="REF...", help="One model, or several to set side by side.", autocompletion=complete)
    ],
    context: Annotated[
        str | None, typer.Option("--context", metavar="TOKENS", help="Tokens of a sequence: 4096, 128k, 1M. Default: what models share.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences at a time.")] = 1,
    kv_dtype: Annotated[
        str, typer.Option("--kv-dtype", metavar="DTYPE", help="Keys and values: bf16, fp16, fp8, fp32, fp8_ds_mla, ... (docs/cache.md).")
    ] = "bf16",
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="FORMAT", help="bf16, fp8, int4 or as-stored, which is the default.")
    ] = None,
    gpus: Annotated[str | None, typer.Option("--gpus", metavar="NxNAME", help="8xH100, RTX4090, 2x24GB.")] = None,
    tp: Annotated[int | None, typer.Option("--tp", min=1, help="Ranks that share the heads. Default: all GPUs.")] = None,
    ep: Annotated[int | None, typer.Option("--ep", min=1, help="Ranks that share the experts. Default: none, each is divided.")] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="By whose rules: ideal, vllm, sglang, transformers (docs/cache.md).")
    ] = "ideal",
    utilization: Annotated[
        float, typer.Option("--utilization", min=0.01, max=1.0, help="The share of a GPU that weights and cache may take.")
    ] = 0.9,
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show what a model takes: weights, cache and state, on one GPU or several, and what fits."""
    from .planning import Options, plans

    number, gpu = named(gpus)
    options = Options(tokens(context), batch, kv_dtype, weights, number, gpu, tp, ep, engine, utilization)
    readings = [load(ref, offline=offline, headers=not config_only, refresh=refresh) for ref in refs]
    planned = plans(readings, options)
    if format is Format.json:
        from .renderers import json

        typer.echo(json.text(json.memory(readings, planned, gpu)))
        return
    from .views_memory import view

    shown = view(planned, gpu.name if gpu else None)
    if format is Format.markdown:
        from .renderers import markdown

        typer.echo(markdown.memory(shown), nl=False)
    else:
        from .renderers import text

        text.memory(shown)


def named(gpus: str | None) -> tuple[int | None, GPU | None]:
    """How many GPUs, and which; nothing where none is named."""
    if gpus is None:
        return None, None
    from .sources.gpus import find

    return find(gpus)


def tokens(context: str | None) -> int | None:
    from . import units

    try:
        return None if context is None else units.tokens(context)
    except (ValueError, OverflowError):
        fail(f"--context {context}: a number of tokens is needed", "such as 4096, 128k or 1M")


@app.command("list", epilog=examples("llmarch list", "llmarch list --attention mla --moe", "llmarch list qwen"))
def list_models(
    name: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="Only models whose alias, name or family holds this text.")] = None,
    attention: Annotated[
        str | None, typer.Option("--attention", help="Only models with this attention: mha, gqa, mqa, mla, sliding, linear, ...")
    ] = None,
    moe: Annotated[bool | None, typer.Option("--moe/--dense", help="Only mixtures of experts, or only dense models.")] = None,
    format: Output = Format.text,
) -> None:
    """List the bundled models with their main facts."""
    from . import listing

    models = listing.select(name, attention, moe)
    if format is Format.json:
        from .renderers import json

        typer.echo(json.text(models))
        return
    table = listing.table(models)
    if format is Format.markdown:
        from .renderers import markdown

        typer.echo(markdown.table(table))
    else:
        from .renderers import text

        text.table(table)


@app.command()
def schema() -> None:
    """Print the JSON Schema of what `show`, `diff` and `memory` write with --format json."""
    from .contract import json_schema
    from .renderers import json

    typer.echo(json.text(json_schema()))


def inspect(ref: str, *, offline: bool, headers: bool, refresh: bool) -> Reading | Observation:
    """`llmarch.inspect`, with a progress bar on stderr where that is a terminal."""
    import llmarch

    if "/" not in ref or not sys.stderr.isatty():
        return llmarch.inspect(ref, offline=offline, headers=headers, refresh=refresh)
    from .renderers.progress import bar

    with bar() as progress:
        return llmarch.inspect(ref, offline=offline, headers=headers, refresh=refresh, progress=progress)


def load(ref: str, *, offline: bool, headers: bool, refresh: bool) -> Reading:
    """The same for commands that need all facts. An observed model ends the program: it cannot be compared or planned for."""
    from .reader import Observation

    reading = inspect(ref, offline=offline, headers=headers, refresh=refresh)
    if isinstance(reading, Observation):
        fail(reading.why, f"llmarch show {ref} tells what its tensors tell")
    return reading


def fail(message: str, hint: str | None = None, code: int = 2) -> NoReturn:
    """One clear message on stderr, and the exit code."""
    from .errors import printable

    lines = [printable(line) for line in message.split("\n")] + ([f"  {printable(line)}" for line in hint.split("\n")] if hint else [])
    typer.echo("error: " + "\n".join(lines), err=True)
    raise SystemExit(code)


def main() -> None:
    """Run the program: errors become one message and an exit code, never a traceback."""
    from .errors import LlmarchError

    try:
        app(prog_name="llmarch")
    except LlmarchError as error:
        fail(error.message, error.hint, error.exit_code)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
