"""Read and write the command lines that start engines' servers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import field

from ..architecture.frozen import Frozen, frozen
from ..errors import PlanError
from .engines import ENGINES
from .engines.base import Engine
from .engines.pools import Launch
from .launch_options import LineOptions, read_options
from .memory import Plan
from .planning import PlanOptions

MACHINE_GPUS = 8
"""GPUs of a usual machine: tensor parallelism stays within one."""
OPERATORS = frozenset(";&|<>()")
"""Characters of a shell that end a command."""
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
NEGATIVE_NUMBER = re.compile(r"-\d+(\.\d+)?")
"""A negative number, which is a value and no flag."""
SHORTEST_BEGINNING = 8
"""Characters of a flag that is read as the beginning of another, dashes included."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@frozen
class LaunchLine(Frozen):
    """What a command line says of a server."""

    model: str
    """The model, as the line names it."""
    options: PlanOptions
    said: LineOptions
    """What else the line says."""
    unread: tuple[str, ...] = field(default=())
    """Options that may change memory and are not read."""

    @property
    def notes(self) -> list[str]:
        """Return what a reader must know of the line, as sentences."""
        lines = list(self.said.notes)
        if self.unread:
            lines.append(f"not considered: {', '.join(self.unread)}")
        return lines


def machines_of(plan: Plan) -> int:
    """Return over how many usual machines the GPUs of a plan are."""
    gpus = plan.request.parallel.gpus
    return -(-gpus // MACHINE_GPUS)


def machine_notes(plan: Plan) -> list[str]:
    """Return how the command is run on several machines, as a sentence; empty for one."""
    machines = machines_of(plan)
    engine = ENGINES[plan.convention.engine]
    if machines == 1 or not engine.machine_words(Launch(model="", context=1, sequences=1)):
        return []
    last = machines - 1
    return [
        f"for {machines} machines of up to {MACHINE_GPUS} GPUs: run the command on each, with "
        f"NODE_RANK 0 to {last} and MASTER_ADDR the address of the first"
        f"{engine.machine_note}"
    ]


def launch_line(model: str, plan: Plan, options: PlanOptions) -> str:
    """Return the command that starts a server for a plan; empty if the engine has none.

    On several machines it has variables for what differs between them.
    """
    parallel = plan.request.parallel
    dtype = ""
    if options.kv_dtype.lower() != "auto":
        dtype = plan.convention.words
    engine = ENGINES[plan.convention.engine]
    stored = ""
    if engine.weight_formats:
        stored = plan.weights.experts
    server = Launch(
        model=model,
        context=plan.request.context,
        sequences=plan.request.sequences,
        tensor=parallel.tensor,
        pipeline=parallel.pipeline,
        data=parallel.replicas,
        expert=parallel.expert,
        decode_context=parallel.decode_context,
        gpu_layers=options.engine_options.gpu_layers,
        cpu_expert_layers=options.cpu_expert_layers,
        weight_format=options.weights or stored,
        offload_gib=plan.request.options.offload_bytes / 2**30,
        cache_on_cpu=plan.request.options.cache_on_cpu,
        split=plan.request.options.split,
        on_cpu=plan.request.gpu_name.startswith("CPU"),
        cache_dtype=dtype,
        utilization=options.utilization,
        machines=machines_of(plan),
    )
    command = shlex.join(engine.launch(server))
    if server.machines == 1 or not command:
        return command
    return f"{command} {engine.machine_words(server)}".rstrip()


def read_launch_line(line: str) -> LaunchLine:
    """Return what an engine's command line says.

    `vllm serve MODEL -tp 8`, `python -m vllm.entrypoints.openai.api_server --model MODEL`,
    `python -m sglang.launch_server --model-path MODEL`, `llama-server -m FILE`, and the same after
    variables, other commands, or `docker run … IMAGE`.

    Raises PlanError if no engine or no model can be seen, or for a value that is not possible.
    """
    engine, words = _server_words(_split_line(line))
    values, unread, others = _read_flags(words, engine)
    model = values.pop("model", "") or values.get("repository", "")
    model = model or _model_among(others, engine, words)
    if not model:
        raise PlanError("the command line names no model")
    if "$" in model:
        raise PlanError(f"the command line names the model by a variable: {model}")
    options, said = read_options(engine, values, model)
    if "repository" in values:
        model = model.partition(":")[0]
    return LaunchLine(model, options, said, tuple(unread))


def _split_line(line: str) -> list[str]:
    """Return the words of a command line, operators of the shell as words of their own."""
    joined = line.replace("\\\r\n", " ").replace("\\\n", " ")
    lexer = shlex.shlex(joined, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise PlanError(f"the command line cannot be read: {error}") from error


def _server_words(words: Sequence[str]) -> tuple[Engine, list[str]]:
    """Return the engine that a line starts, and the words after its program or image."""
    for position, word in enumerate(words):
        if ASSIGNMENT.fullmatch(word) and not word.startswith("-"):
            continue
        for engine in ENGINES.values():
            if not _is_program(word, engine):
                continue
            said = _until_operator(words[position + 1 :])
            if said[:1] and said[0] in engine.launch_others:
                raise PlanError(f"{word} {said[0]} starts no server")
            return engine, said
    for position, word in enumerate(words):
        for engine in ENGINES.values():
            if any(image in word for image in engine.launch_images):
                return engine, _until_operator(words[position + 1 :])
    known = ", ".join(name for e in ENGINES.values() for name in e.launch_programs[:1])
    raise PlanError("no engine is known that starts so", f"Known: {known}.")


def _is_program(word: str, engine: Engine) -> bool:
    """Return whether a word is a program of an engine: `vllm`, `/usr/bin/vllm`, a module."""
    name = word.rsplit("/", 1)[-1].removesuffix(".exe").removesuffix(".py")
    return name in engine.launch_programs


def _until_operator(words: Sequence[str]) -> list[str]:
    """Return the words up to the first operator of the shell or a comment."""
    kept: list[str] = []
    for word in words:
        if word == "#" or (word and set(word) <= OPERATORS):
            break
        kept.append(word)
    return kept


def _read_flags(
    words: Sequence[str], engine: Engine
) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the values of flags by option, flags that are not read, and words of no flag.

    The value of a flag without one is `true`.
    """
    values: dict[str, str] = {}
    unread: list[str] = []
    others: list[str] = []
    owner = ""
    for word in words:
        if not word.startswith("-") or NEGATIVE_NUMBER.fullmatch(word):
            if owner in values:
                values[owner] = word
            else:
                others.append(word)
            owner = ""
            continue
        flag, equals, value = word.partition("=")
        if flag.startswith("--"):
            flag = flag.replace("_", "-")
        option = engine.launch_flags.get(flag)
        owner = ""
        if option is None:
            if _is_harmless(flag, engine):
                continue
            option = _abbreviated(flag, engine)
        if option is None:
            unread.append(flag)
            continue
        values[option] = "true"
        if equals:
            values[option] = value
        elif flag not in engine.launch_switches:
            owner = option
    return values, list(dict.fromkeys(unread)), others


def _abbreviated(flag: str, engine: Engine) -> str | None:
    """Return the option whose flag begins so, as argparse takes it; None of none or several."""
    if not engine.launch_abbreviates or len(flag) < SHORTEST_BEGINNING:
        return None
    flags = engine.launch_flags.items()
    options: set[str] = set()
    for full, option in flags:
        if full.startswith(flag):
            options.add(option)
    if len(options) == 1:
        return options.pop()
    return None


def _is_harmless(flag: str, engine: Engine) -> bool:
    """Return whether a flag is known not to change the memory of weights and cache."""
    name = flag.lstrip("-").removeprefix("no-")
    return any(re.fullmatch(pattern, name) for pattern in engine.launch_harmless)


def _model_among(others: Sequence[str], engine: Engine, words: Sequence[str]) -> str:
    """Return the model that stands without a flag: after `serve`, or after an image.

    A word after an unknown flag may be its value, so that repositories go before others.
    """
    if not engine.launch_positional:
        return ""
    candidates = [word for word in others if word != "serve"]
    first = [word for word in words if word != "serve"][:1]
    if first and first == candidates[:1]:
        return first[0]
    repositories = [word for word in candidates if REPOSITORY.fullmatch(word)]
    return (repositories or candidates or [""])[-1]
