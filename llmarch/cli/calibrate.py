"""The command `llmarch calibrate`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import app
from .common import (
    ConfigOnly,
    Format,
    Offline,
    Output,
    Refresh,
    end_if_partial,
    examples,
    fail,
    find_gpu,
    load_reference,
    models_argument,
    with_json_refusals,
    write,
)
from .completion import complete_gpus

if TYPE_CHECKING:
    from ..analyses.calibration import Calibration
    from ..checkpoint.reading import Reading


@app.command(
    epilog=examples(
        "llmarch calibrate vllm.log --gpus H100",
        "llmarch calibrate vllm.log qwen3-8b --gpus 2xL40S",
        "docker logs vllm 2>&1 | llmarch calibrate - --gpus H100",
    )
)
@with_json_refusals
def calibrate(
    log: Annotated[
        str, typer.Argument(metavar="LOG", help="A start-up log: a file, or - for standard input.")
    ],
    ref: Annotated[
        str | None,
        models_argument("The model. Default: the one that the log names.", "REF"),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus",
            metavar="[Nx]NAME",
            help="Kind of GPU. Without it, only what does not depend on one is compared.",
            autocompletion=complete_gpus,
        ),
    ] = None,
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Compare what an engine logged when it started with what llmarch plans for it."""
    from ..analyses import calibration
    from ..analyses.engines.estimates import shown_memory
    from ..sources.gpus import GPU
    from ..sources.log_files import read_log

    parsed = calibration.parse_log(read_log(log))
    name = ref or parsed.model
    if not name:
        fail("the log names no model", "name it: llmarch calibrate LOG REF")
    number, gpu = find_gpu(gpus)
    logged_bytes = parsed.figures.get("gpu")
    if gpu is None and logged_bytes is not None:
        gpu = GPU("as logged", shown_memory(int(logged_bytes)), calibration.LOGGED)
    options = replace(parsed.options, gpu=gpu)
    if number is not None and number > 1:
        options = replace(options, gpus=number)
    reading = load_reference(name, offline=offline, headers=not config_only, refresh=refresh)
    compared = calibration.calibrate(reading, parsed, options)
    write_calibration(format, reading, compared)
    end_if_partial([reading])


def write_calibration(format: Format, reading: Reading, compared: Calibration) -> None:
    """Write a log beside the plan of the same start."""
    from ..views.calibration import calibration_view

    write(
        format,
        "sheet",
        lambda: calibration_view(reading.name, compared),
        lambda: calibration_document(reading, compared),
    )


def calibration_document(reading: Reading, compared: Calibration) -> dict[str, Any]:
    """Return the JSON document of a comparison."""
    from ..renderers import json

    return json.calibration(reading, compared)
