"""Compare plans with what an engine logged when it started.

A log says what the engine measured: weights, what it keeps beside them, the room that is left, and
what it makes of it. Where a plan differs, the parts say which estimate is off; and the plan with
the logged room says whether the rule of the pool is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..errors import PlanError
from .engines import ENGINES
from .engines.base import Engine
from .launch_options import options_of_flags
from .memory import Plan
from .planning import ModelPlanner, PlanOptions, shared_context

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading

UNITS = {"GiB": 2**30, "GB": 2**30, "MiB": 2**20}
"""Bytes of the units that logs name; engines that print GB divide by 2^30 all the same (vllm:
utils/mem_constants.py, sglang: srt/utils/common.py get_available_gpu_memory)."""
SIZES = ("gpu", "weights", "activations", "graphs", "runtime", "room", "cache", "state")
"""Figures in bytes, in the order in which they are shown."""
ROOM_COUNTS = ("tokens", "blocks", "concurrency")
"""Figures that follow from the room."""
GPU_PARTS = ("gpu", "weights", "activations", "graphs", "runtime")
"""What is taken from a GPU before the room is left."""
LEAST_OF_RANKS = ("room", "tokens", "blocks")
"""Figures of which the rank with least counts; of the others the rank with most."""
AIMS = {"tokens": 1, "blocks": 1, "concurrency": 1, "weights": 2, "cache": 1, "state": 1, "room": 5}
"""How many percent a figure may be off before a reason is looked for; others: 25."""
UNSAID = ("None", "False", "false", "auto", "")
"""Values of settings that ask for nothing."""
LOGGED = "the log"
"""The source of a GPU whose memory the log says."""
MOST_LINES = 1_000_000
"""Lines of a log that are read."""
MOST_CHARACTERS = 20_000
"""Characters of a line that are read."""
_ESCAPES = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


@frozen
class EngineLog(Frozen):
    """What a start-up log says."""

    engine: str
    version: str
    """Version of the engine as it logged it; empty if it did not."""
    model: str
    """The model that was loaded, as it was named; empty if the log does not say."""
    options: PlanOptions
    """The options that the log repeats."""
    figures: dict[str, float]
    """Sizes in bytes, counts, and the concurrency by name."""
    request_tokens: int | None
    """Tokens of a request for the concurrency."""
    failure: str = ""
    """What the log says of a start that failed for want of memory; empty if it did not."""

    @property
    def room(self) -> float | None:
        """Return the bytes of the cache's room; None if none were logged, or none were left."""
        room = self.figures.get("room", 0)
        if room <= 0:
            return None
        return room


def parse_log(text: str) -> EngineLog:
    """Return what a start-up log of vLLM, SGLang, llama.cpp or TensorRT-LLM says.

    Raises PlanError if no engine can be recognised, or if it logged no figure that is known.
    """
    lines = [line[:MOST_CHARACTERS] for line in _ESCAPES.sub("", text).splitlines()[:MOST_LINES]]
    engine = _engine_of_log(lines)
    figures: dict[str, float] = {}
    words: dict[str, str] = {}
    patterns = [(name, re.compile(pattern)) for name, pattern in engine.log_patterns]
    request_tokens = None
    for line in lines:
        for name, pattern in patterns:
            match = pattern.search(line)
            if match is None:
                continue
            if name == "version":
                words[name] = match[1]
            elif name == "concurrency":
                request_tokens = int(match[1].replace(",", ""))
                figures[name] = float(match[2])
            else:
                _keep(engine, figures, name, _figure(match))
    figures = engine.settle_log(figures)
    if not figures:
        raise PlanError(
            f"the log of {engine.name} has no figure of memory",
            "Give the lines from the start of the server to its first request.",
        )
    settings = _read_settings(engine, lines)
    model = settings.pop("model", "")
    options = options_of_flags(engine, settings)
    version = words.get("version", "")
    if engine.has_version_rules:
        engine_options = replace(options.engine_options, version=version)
        options = replace(options, engine_options=engine_options)
    return EngineLog(
        engine=engine.name,
        version=version,
        model=model,
        options=options,
        figures=figures,
        request_tokens=request_tokens,
        failure=_read_failure(engine, lines),
    )


def _read_failure(engine: Engine, lines: Sequence[str]) -> str:
    """Return what a log says of a start that failed for want of memory; empty if it did not."""
    for expression in engine.log_failures:
        pattern = re.compile(expression)
        for line in lines:
            match = pattern.search(line)
            if match is not None:
                return match[0].strip()
    return ""


def _engine_of_log(lines: Sequence[str]) -> Engine:
    """Return the engine whose signs are on most lines."""
    most, found = 0, None
    for engine in ENGINES.values():
        if not engine.log_sign:
            continue
        sign = re.compile(engine.log_sign)
        patterns = [re.compile(pattern) for _, pattern in engine.log_patterns]
        seen = 0
        for line in lines:
            seen += bool(sign.search(line)) + any(p.search(line) for p in patterns)
        if seen > most:
            most, found = seen, engine
    if found is None:
        known = ", ".join(engine.name for engine in ENGINES.values() if engine.log_sign)
        raise PlanError("the log is not from a supported engine", f"Known: {known}.")
    return found


def _figure(match: re.Match[str]) -> float:
    """Return the number of a match; in bytes, and the sum of several, if it has units."""
    groups = match.groups()
    if len(groups) == 1:
        return float(groups[0].replace(",", ""))
    pairs = zip(groups[::2], groups[1::2], strict=True)
    return sum(float(number) * UNITS[unit] for number, unit in pairs)


def _keep(engine: Engine, figures: dict[str, float], name: str, value: float) -> None:
    """Keep a figure of several ranks, of the rank that decides; of a trial and a start the last."""
    known = figures.get(name, value)
    if name in engine.log_sums:
        figures[name] = figures.get(name, 0) + value
    elif engine.log_keeps_last:
        figures[name] = value
    elif name in LEAST_OF_RANKS:
        figures[name] = min(known, value)
    else:
        figures[name] = max(known, value)


def _read_settings(engine: Engine, lines: Sequence[str]) -> dict[str, str]:
    """Return the options of the command line that the log repeats, by the plan's names.

    The first line that has a setting counts, or the last one where trials come first.
    """
    settings: dict[str, str] = {}
    for expression in engine.log_settings:
        pattern = re.compile(expression)
        for line in lines:
            for name, value in pattern.findall(line):
                cleaned = value.strip().strip("'\"")
                flag = name.replace("_", "-")
                if cleaned == "False" and f"--no-{flag}" in engine.launch_flags:
                    settings.setdefault(engine.launch_flags[f"--no-{flag}"], "true")
                option = engine.log_options.get(name) or engine.launch_flags.get(f"--{flag}")
                if option is None or cleaned in UNSAID:
                    continue
                if engine.log_keeps_last or option not in settings:
                    settings[option] = cleaned.replace("True", "true")
    return settings


class FigureDifference(NamedTuple):
    """One figure as logged and as planned."""

    name: str
    logged: float
    planned: float | None
    """None: a plan has no such figure without a kind of GPU."""
    with_logged_room: float | None
    """What the plan says with the logged room; None: it does not depend on it."""

    @property
    def percent(self) -> float | None:
        """Return by how many percent the plan is off; None without a figure, or of nothing."""
        planned = self.planned
        logged = self.logged
        if planned is None or logged <= 0:
            return None
        return 100 * (planned - logged) / logged

    @property
    def is_within(self) -> bool:
        """Return whether the plan is as near as it aims to be."""
        if self.name == "room" and self.planned is not None and self.logged <= 0:
            return self.planned <= 0
        return self.percent is None or abs(self.percent) <= AIMS.get(self.name, 25)


@frozen
class Calibration(Frozen):
    """A log beside the plan of the same start."""

    log: EngineLog
    plan: Plan
    differences: tuple[FigureDifference, ...]
    reasons: tuple[str, ...]
    """Where plan and log differ, and why, as sentences."""
    switches: str
    """Options of `memory` with which a plan has what was logged."""
    command: str
    """The command of a plan that has what was logged."""

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON."""
        return {
            "engine": self.log.engine,
            "engine_version_logged": self.log.version,
            "engine_version_read": ENGINES[self.log.engine].version,
            "model_logged": self.log.model,
            "context_tokens": self.plan.request.context,
            "figures": [
                {
                    "figure": d.name,
                    "unit": figure_unit(d.name),
                    "logged": d.logged,
                    "planned": d.planned,
                    "planned_with_logged_room": d.with_logged_room,
                    "percent": d.percent,
                }
                for d in self.differences
            ],
            "reasons": list(self.reasons),
            "failure": self.log.failure,
            "switches": self.switches,
            "command": self.command,
        }


def figure_unit(name: str) -> str:
    """Return the unit of a figure: `bytes`, `tokens`, `blocks` or `sequences`."""
    if name in SIZES:
        return "bytes"
    if name == "concurrency":
        return "sequences"
    return name


def calibrate(reading: Reading, log: EngineLog, options: PlanOptions) -> Calibration:
    """Return a log beside the plan of the model.

    options: those of the log, with the kind of GPU if the user names one.

    Raises PlanError if the model cannot be planned so.
    """
    own = reading.architecture.context_length
    context = log.request_tokens or options.context or shared_context([own])
    options = replace(options, context=context)
    planner = ModelPlanner(reading)
    plan = planner.plan(options).plan
    logged_room = log.room
    given = None
    if logged_room is not None:
        given = planner.plan(replace(options, pool_bytes=int(logged_room))).plan
    planned = _planned_figures(plan)
    following: dict[str, float] = {}
    if given is not None:
        following = _planned_figures(given)
    differences: list[FigureDifference] = []
    for name in (*SIZES, *ROOM_COUNTS):
        if name in log.figures:
            with_room = following.get(name) if name in ROOM_COUNTS else None
            differences.append(
                FigureDifference(name, log.figures[name], planned.get(name), with_room)
            )
    return Calibration(
        log=log,
        plan=plan,
        differences=tuple(differences),
        reasons=tuple(_reasons(differences, log, plan, bool(reading.architecture.towers))),
        switches=_switches(log),
        command=_command(reading, options, log),
    )


def _planned_figures(plan: Plan) -> dict[str, float]:
    """Return the figures of a plan by the names of a log's."""
    figures: dict[str, float] = {
        "weights": plan.per_gpu.weights,
        "cache": plan.per_gpu.cache,
        "state": plan.per_gpu.state,
    }
    figures["weights"] += sum(part.size for part in plan.allowance if part.name == "tables")
    if plan.request.gpu_bytes is not None:
        parts = {part.name: part.size for part in plan.allowance}
        figures |= parts
        figures["gpu"] = plan.request.gpu_bytes - parts.get("driver", 0)
    if plan.room is not None:
        figures["room"] = plan.room
    capacity = plan.capacity
    if capacity is not None:
        figures["tokens"] = capacity.tokens
        figures["concurrency"] = capacity.concurrency
        if capacity.blocks is not None:
            figures["blocks"] = capacity.blocks
    return figures


def _reasons(
    differences: Sequence[FigureDifference], log: EngineLog, plan: Plan, has_encoders: bool
) -> list[str]:
    """Return where plan and log differ and why, as sentences."""
    by_name = {d.name: d for d in differences}
    lines: list[str] = []
    if log.failure:
        lines.append(f"the engine did not start: {log.failure}")
    elif log.room is None and "room" in log.figures:
        lines.append("the engine did not start: no memory was left for the cache")
    weights = by_name.get("weights")
    if weights is not None and not weights.is_within:
        lines.append(_weights_reason(weights, plan, has_encoders))
    room = by_name.get("room")
    if room is not None and not room.is_within and room.planned is not None:
        lines += _room_reasons(room, by_name, plan)
    for name in ROOM_COUNTS:
        count = by_name.get(name)
        if count is not None:
            lines += _count_reasons(count, log)
    return lines


def _weights_reason(weights: FigureDifference, plan: Plan, has_encoders: bool) -> str:
    """Return why weights may differ."""
    more = weights.logged > (weights.planned or 0)
    if more:
        return (
            "weights: the engine holds more than the plan: another format (--weights), MTP modules "
            "or a drafter (--speculative), or padding of its kernels"
        )
    reason = "weights: the engine holds less than the plan: another format (--weights)"
    if plan.request.text_only or not has_encoders:
        return reason
    return f"{reason}, or encoders that are not loaded (--text-only)"


def _room_reasons(
    room: FigureDifference, by_name: dict[str, FigureDifference], plan: Plan
) -> list[str]:
    """Return which part of a GPU accounts for another room."""
    missing = (room.planned or 0) - room.logged
    told = 0.0
    parts: list[str] = []
    for name in GPU_PARTS:
        part = by_name.get(name)
        if part is not None and part.planned is not None:
            more = _lost_room(part, plan)
            told += more
            parts.append(f"{name} {_signed(more)}")
    line = f"room: the plan has {_signed(missing)} of the log's"
    if parts:
        line += f"; of that the log tells: {', '.join(parts)}"
    rest = missing - told
    if abs(rest) > abs(missing) / 10:
        line += f"; not told by the log: {_signed(rest)} (other memory on the GPU, its real size)"
    return [line]


def _lost_room(part: FigureDifference, plan: Plan) -> float:
    """Return the bytes of room that the logged figure of a part takes beyond the planned one."""
    outside = {each.name for each in plan.allowance if not each.inside}
    if part.name in outside:
        return 0.0
    if part.name == "gpu":
        usable = sum(each.size for each in plan.allowance if each.name == "driver")
        return (plan.budget or 0) - usable - plan.utilization * part.logged
    return part.logged - (part.planned or 0)


def _count_reasons(count: FigureDifference, log: EngineLog) -> list[str]:
    """Return whether tokens or concurrency differ by the room or by the rule of the pool."""
    if count.with_logged_room is None or not count.logged:
        return []
    off = 100 * (count.with_logged_room - count.logged) / count.logged
    if abs(off) > AIMS[count.name]:
        read = ENGINES[log.engine].version
        logged = log.version or "not logged"
        versions = f"version read: {read}; logged: {logged}"
        reason = (
            f"{count.name}: {off:+.1f} % even with the logged room: the rule of the pool is "
            f"another ({versions}), or a flag is not in the log"
        )
        return [reason]
    if not count.is_within:
        return [f"{count.name}: follows from the room; with the logged room it is {off:+.2f} % off"]
    return []


def _signed(size: float) -> str:
    return f"{size / 2**30:+.2f} GiB"


def _switches(log: EngineLog) -> str:
    """Return the options of `memory` with which a plan has what was logged."""
    gib = {name: log.figures[name] / 2**30 for name in log.figures if name in SIZES}
    words: list[str] = []
    for name in ("activations", "graphs"):
        if name in gib:
            words += [f"--{name}", f"{gib[name]:.2f}GiB"]
    if log.room is not None:
        words = ["--kv-cache-memory", f"{gib['room']:.2f}GiB"]
    return " ".join(words)


def _command(reading: Reading, options: PlanOptions, log: EngineLog) -> str:
    """Return the command of a plan that has what was logged."""
    engine = log.engine
    engine_options = options.engine_options
    if engine_options.version:
        engine += f"@{engine_options.version}"
    words = ["llmarch", "memory", str(reading.raw.reference), "--engine", engine]
    if options.gpu is not None:
        words += ["--gpus", _gpus_words(options)]
    for flag, value in (
        ("--context", options.context),
        ("--batch", options.batch if options.batch > 1 else None),
        ("--tp", options.tensor if (options.gpus or 1) > 1 else None),
        ("--pp", options.pipeline if (options.pipeline or 1) > 1 else None),
        ("--dp", options.data if (options.data or 1) > 1 else None),
        ("--ep", options.expert if (options.expert or 1) > 1 else None),
        ("--dcp", options.decode_context if (options.decode_context or 1) > 1 else None),
        ("--utilization", options.utilization),
        ("--weights", options.weights),
        ("--kv-dtype", options.kv_dtype if options.kv_dtype != "auto" else None),
        ("--max-num-batched-tokens", engine_options.batched_tokens),
        ("--max-num-seqs", engine_options.max_sequences),
        ("--block-size", engine_options.block_size),
    ):
        if value is not None:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    if engine_options.prefix_caching is not None:
        words.append("--prefix-caching" if engine_options.prefix_caching else "--no-prefix-caching")
    if engine_options.batches_in_flight is not None:
        overlaps = engine_options.batches_in_flight > 1
        words.append("--async-scheduling" if overlaps else "--no-async-scheduling")
    if options.text_only:
        words.append("--text-only")
    return f"{shlex.join(words)} {_switches(log)}".rstrip()


def _gpus_words(options: PlanOptions) -> str:
    """Return GPUs as the command line takes them."""
    gpu, count = options.gpu, options.gpus or 1
    name = ""
    if gpu is not None:
        name = gpu.name
        if gpu.source == LOGGED:
            name = f"{gpu.memory_bytes / 2**30:.2f}GiB"
    if count == 1:
        return name
    return f"{count}x{name}"
