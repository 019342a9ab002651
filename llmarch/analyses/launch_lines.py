"""Read and write the command lines that start engines' servers."""

from __future__ import annotations

import shlex

from ..errors import PlanError
from .engines import ENGINES
from .engines.base import Engine
from .engines.pools import EngineOptions, Launch
from .memory import Plan, Reserve
from .planning import PlanOptions

ALL_LAYERS = 100_000
"""More layers than any model has: what a flag without a number means."""


def launch_line(model: str, plan: Plan, options: PlanOptions) -> str:
    """Return the command that starts a server for a plan; empty if the engine has none."""
    parallel = plan.request.parallel
    dtype = ""
    if options.kv_dtype.lower() != "auto":
        dtype = plan.convention.dtype
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
        weight_format=options.weights or "",
        cache_dtype=dtype,
        utilization=options.utilization,
    )
    return shlex.join(ENGINES[plan.convention.engine].launch(server))


def read_launch_line(line: str) -> tuple[str, PlanOptions]:
    """Return the model and the options that an engine's command line says.

    `vllm serve MODEL --tensor-parallel-size 8`, `python -m sglang.launch_server --model-path MODEL`
    and `llama-server -m FILE`. Flags that do not change memory are passed over.

    Raises PlanError if no engine or no model can be seen.
    """
    try:
        words = shlex.split(line.replace("\\\n", " "))
    except ValueError as error:
        raise PlanError(f"the command line cannot be read: {error}") from error
    engine = _engine_of_line(words)
    values = _read_flags(words, engine)
    model = values.pop("model", "") or _model_of_line(words)
    if not model:
        raise PlanError("the command line names no model")
    return model, options_of_flags(engine, values)


def _engine_of_line(words: list[str]) -> Engine:
    names = {word.rsplit("/", 1)[-1] for word in words}
    for engine in ENGINES.values():
        if names & set(engine.launch_programs):
            return engine
    known = ", ".join(name for e in ENGINES.values() for name in e.launch_programs[:1])
    raise PlanError("no engine is known that starts so", f"Known: {known}.")


def _read_flags(words: list[str], engine: Engine) -> dict[str, str]:
    """Return the values of the flags that matter; `true` for flags without one."""
    values: dict[str, str] = {}
    for position, word in enumerate(words):
        flag, equals, value = word.partition("=")
        name = engine.launch_flags.get(flag.replace("_", "-") if flag.startswith("--") else flag)
        if name is None:
            continue
        following = words[position + 1 : position + 2]
        if not equals:
            value = "true"
            if following and not following[0].startswith("-"):
                value = following[0]
        values[name] = value
    return values


def _model_of_line(words: list[str]) -> str:
    """Return what stands after `serve`."""
    if "serve" in words:
        after = words[words.index("serve") + 1 :]
        if after and not after[0].startswith("-"):
            return after[0]
    return ""


def options_of_flags(engine: Engine, values: dict[str, str]) -> PlanOptions:
    """Return the options of a plan. Raises PlanError for a value that is no number."""

    def number(name: str) -> int | None:
        if name not in values:
            return None
        return read_tokens(values[name])

    tensor, data, expert = number("tensor") or 1, number("data"), None
    attention_data = number("attention_data")
    if attention_data:
        data, tensor = attention_data, max(1, tensor // attention_data)
    if "expert" in values:
        expert = tensor * (data or 1)
        if values["expert"].isdigit():
            expert = int(values["expert"])
    batch, context = number("batch") or 1, number("context")
    cells = number("cells")
    if cells is not None:
        context = cells // batch
    utilization = None
    if "utilization" in values:
        utilization = float(values["utilization"])
    cpu_expert_layers = 0
    if "cpu_moe" in values:
        cpu_expert_layers = ALL_LAYERS
        if values["cpu_moe"].isdecimal():
            cpu_expert_layers = int(values["cpu_moe"])
    reserve = Reserve()
    if "eager" in values:
        reserve = Reserve(graphs=0)
    pipeline = number("pipeline") or 1
    return PlanOptions(
        context=context,
        batch=batch,
        kv_dtype=values.get("kv_dtype", "auto"),
        gpus=tensor * pipeline * (data or 1),
        tensor=tensor,
        expert=expert,
        engine=engine.name,
        utilization=utilization,
        pipeline=pipeline,
        data=data,
        decode_context=number("decode_context"),
        engine_options=EngineOptions(
            batched_tokens=number("batched_tokens"),
            max_sequences=number("max_sequences"),
            prefix_caching="no_prefix_caching" not in values,
            block_size=number("block_size"),
        ),
        reserve=reserve,
        cpu_expert_layers=cpu_expert_layers,
    )


def read_tokens(text: str) -> int:
    """Return a number as engines read it: `32k` is 32,000, `32K` 32,768, `25.6k` 25,600.

    vllm: utils/argparse_utils.py human_readable_int. Raises PlanError for other text.
    """
    factors = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
    factor = factors.get(text[-1:], 1)
    digits = text
    if factor > 1:
        digits = text[:-1]
    try:
        return int(float(digits) * factor)
    except (ValueError, OverflowError) as error:
        raise PlanError(f"{text!r} is not a number") from error
