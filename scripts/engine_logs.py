"""Compare plans with figures that engines logged: writes benchmarks/engines.md.

    python scripts/engine_logs.py [--check]

tests/fixtures/engine_logs.json has the figures with their sources, models and flags. A figure is
one of these:

- tokens, concurrency: what the engine printed for a pool of the memory that it printed
- room: memory for the cache, by GPU, share and flags
- weights: memory of a GPU after loading, with the tables of RoPE
- block: tokens of a block
- cache, state: bytes of a pool, in MiB or GiB

The aim is 1 % for tokens and concurrency, 2 % for weights, 5 % for room and never more than 1 GiB
too much; what is further off says why.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from llmarch import load  # noqa: E402
from llmarch.analyses.engines import engine_of  # noqa: E402
from llmarch.analyses.engines.pools import EngineOptions  # noqa: E402
from llmarch.analyses.engines.vllm import SharedBlocks  # noqa: E402
from llmarch.analyses.memory import Plan, Planner, Reserve  # noqa: E402
from llmarch.analyses.planning import PlanOptions, plan_request, resolve_requested_weights  # noqa: E402
from llmarch.sources.gpus import parse_gpus  # noqa: E402

LOGS = ROOT / "tests" / "fixtures" / "engine_logs.json"
PAGE = ROOT / "benchmarks" / "engines.md"
GIB, MIB = 2**30, 2**20
AIMS = {
    "tokens": 1,
    "concurrency": 1,
    "weights": 2,
    "room": 5,
    "block": 0,
    "stored": 1,
    "cache": 1,
    "state": 1,
}
"""How many percent a figure may be off."""
MOST_TOO_MUCH = GIB
"""Bytes of room that may be promised beyond what the engine had."""


class Compared(NamedTuple):
    """A figure, and what llmarch says."""

    row: dict[str, Any]
    predicted: float

    @property
    def percent(self) -> float:
        """Return by how many percent the prediction is off."""
        observed = self.row["observed"]
        return 100 * (self.predicted - observed) / observed

    @property
    def is_within(self) -> bool:
        """Return whether the prediction is within its aim."""
        row = self.row
        too_much = (self.predicted - row["observed"]) * GIB
        if row["figure"] == "room" and too_much > MOST_TOO_MUCH:
            return False
        return abs(self.percent) <= AIMS[row["figure"]] + 0.05


def read_logs() -> list[dict[str, Any]]:
    """Return the rows of the fixture."""
    return json.loads(LOGS.read_text(encoding="utf-8"))["rows"]


def compare(row: dict[str, Any]) -> Compared:
    """Return a row with the figure that llmarch predicts."""
    reading = load_model(row["model"])
    flags = dict(row.get("flags", {}))
    number, gpu = 1, None
    if "gpus" in flags:
        number, gpu = parse_gpus(flags.pop("gpus"))
    reserve = Reserve(graphs=flags.pop("graphs", None))
    pool_gib = flags.pop("pool_gib", None)
    options = PlanOptions(
        context=flags.pop("context", 8192),
        engine=row["engine"],
        kv_dtype=flags.pop("kv_dtype", "auto"),
        weights=flags.pop("weights", None),
        gpus=number if gpu else None,
        gpu=gpu,
        tensor=flags.pop("tp", None),
        pipeline=flags.pop("pp", None),
        expert=flags.pop("ep", None),
        utilization=flags.pop("utilization", None),
        text_only=flags.pop("text_only", False),
        speculative="draft_tokens" in flags,
        reserve=reserve,
        pool_bytes=int(pool_gib * GIB) if pool_gib else None,
        batch=flags.pop("batch", 1),
        engine_options=EngineOptions(version=row.get("version", ""), **flags),
    )
    planner = Planner(reading.architecture)
    request, convention = plan_request(reading.architecture, options)
    plan = planner.plan(
        request,
        convention,
        resolve_requested_weights(reading, options.weights, engine_of(row["engine"])),
    )
    pool = planner.pool(request, convention)
    return Compared(row, figure_of(plan, pool, row))


def figure_of(plan: Plan, pool: Any, row: dict[str, Any]) -> float:
    """Return the predicted figure of a row."""
    unit = MIB if row.get("unit") == "MiB" else GIB
    match row["figure"]:
        case "tokens":
            assert plan.capacity is not None
            return plan.capacity.tokens
        case "concurrency":
            assert plan.capacity is not None
            return round(plan.capacity.concurrency, 4)
        case "room":
            assert plan.room is not None
            return round(plan.room / unit, 4)
        case "weights":
            tables = sum(part.size for part in plan.allowance if part.name == "tables")
            return round((plan.per_gpu.weights + tables) / unit, 4)
        case "stored":
            return round((plan.one_copy.weights + (plan.drafter_bytes or 0)) / unit, 4)
        case "block":
            assert isinstance(pool, SharedBlocks)
            return pool.block_tokens
        case "cache":
            return round(plan.per_gpu.cache / unit, 4)
        case "state":
            return round(plan.per_gpu.state / unit, 4)
        case other:
            raise ValueError(other)


def load_model(model: str | dict[str, Any]) -> Any:
    """Return the reading of a row's model: a bundled one, or one that differs in some keys."""
    if isinstance(model, str):
        return load(model)
    spec = json.loads((ROOT / "specs" / f"{model['like']}.json").read_text(encoding="utf-8"))
    config = spec["config"]
    for path, value in model["set"].items():
        part = config
        *groups, key = path.split(".")
        for group in groups:
            part = part[group]
        part[key] = value
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return load(folder)


def page(compared: list[Compared]) -> str:
    """Return benchmarks/engines.md."""
    within = sum(c.is_within for c in compared)
    lines = [
        "# Plans against what engines logged",
        "",
        "<!-- Generated by scripts/engine_logs.py from tests/fixtures/engine_logs.json. -->",
        "",
        f"{within} of {len(compared)} figures are within the aim: tokens and concurrency 1 %, "
        "weights 2 %, room for the cache 5 % and never more than 1 GiB too much, pools 1 %, "
        "blocks equal. Figures are of one GPU; the flags are those that the source states. "
        "The rest says why it is off.",
        "",
        "| model | engine | figure | logged | predicted | off | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for c in compared:
        row = c.row
        mark = "" if c.is_within else f"**off**: {row.get('why', 'not explained')}"
        unit = row.get("unit", "")
        lines.append(
            f"| {row['title']} | {row['engine']} {row['version']} | {row['figure']}"
            f"{', ' + row['said'] if 'said' in row else ''} | {row['observed']:,} {unit} "
            f"| {c.predicted:,.6g} | {c.percent:+.2f} % | {mark} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the page, or check that it is up to date."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    text = page([compare(row) for row in read_logs()])
    if parser.parse_args().check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit("benchmarks/engines.md is out of date: run scripts/engine_logs.py")
        return
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
