"""Compare llmarch with huggingface_hub (and hf-mem) on a header-only checkpoint.

Whole processes in turn, over a loopback Hub. Run by hand:

    hub.py ROOT ORG/NAME --tools DIR [--oracle PYTHON] [--python PYTHON] [--hf-mem PYTHON]
           [--rounds 5] [--rtt-ms 50] [--skip-faults]

ROOT      contains a folder ORG/NAME made by make_repo.py, for example by
          make_repo.py DeepSeek-V3/config.json ROOT/deepseek-ai/DeepSeek-V3
                       --quant fp8-block --mtp --shard-gb 4.3
--tools   the folder of hub.py, the loopback stand-in for the Hub (redirects weights to another
          host, 50 ms a round trip)
--oracle  the Python that runs that hub.py (starlette, uvicorn)
--python  the Python with llmarch
--hf-mem  the Python with hf-mem

Prints Markdown tables: medians, ratios, bytes and requests as the server counted them, processor
time and peak memory of the process. hf-mem has its endpoint hard-coded: its requests are rewritten
from https://huggingface.co to the loopback Hub.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HF = """
import sys
from huggingface_hub import HfApi
found = HfApi().{call}(sys.argv[1])
print(sum(sum(file.parameter_count.values()) for file in found.files_metadata.values()))
"""
HF_MEM = """
import sys, os, httpx2
build = httpx2.AsyncClient.build_request
def rewritten(self, method, url, **kw):
    url = str(url).replace("https://huggingface.co", os.environ["HF_ENDPOINT"])
    return build(self, method, url, **kw)
httpx2.AsyncClient.build_request = rewritten
sys.argv = ["hf-mem", "--model-id", sys.argv[1], "--json-output"]
from hf_mem.cli import main
main()
"""
BY_SHARD = "get_safetensors_metadata"
AT_ONCE = "get_sharded_safetensors_metadata"
"""huggingface_hub's calls."""
COLD = "llmarch show, cold"
WARM_BRANCH = "llmarch show, warm, branch"
WARM_COMMIT = "llmarch show, warm, commit"
FAULTS = (
    "--fail-every 7 --fail-with 503",
    "--fail-every 7 --fail-with 429",
    "--fail-every 7 --fail-with reset",
    "--limit 200",
)


@dataclass
class Options:
    """The command line, see the docstring of this file."""

    root: Path
    repo: str
    tools: Path
    oracle: str
    python: str
    hf_mem: str | None
    rounds: int
    rtt_ms: float
    skip_faults: bool

    @property
    def show(self) -> list[str]:
        """The command that is measured."""
        return [self.python, "-m", "llmarch", "show", self.repo]

    @property
    def show_json(self) -> list[str]:
        """The command whose output is compared."""
        return [*self.show, "--format", "json"]

    def call(self, name: str) -> list[str]:
        """Return the command that makes one of huggingface_hub's calls."""
        return [self.python, "-c", HF.format(call=name), self.repo]


@dataclass
class Run:
    """One process."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    code: int
    out: str
    stats: dict[str, int]
    """What the server counted meanwhile."""


@dataclass
class Server:
    """A running loopback Hub."""

    url: str

    def stats(self, path: str = "__stats__") -> dict[str, int]:
        """Return what it has counted; `__reset__` sets the counts to 0."""
        with urllib.request.urlopen(f"{self.url}/{path}") as answer:
            return json.load(answer)


@contextmanager
def serve(options: Options, *arguments: str) -> Iterator[Server]:
    """Run the loopback Hub on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [options.oracle, str(options.tools / "hub.py"), str(options.root), str(port)]
    command += ["--rtt-ms", str(options.rtt_ms), "--redirect", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}")
    try:
        for _ in range(100):
            time.sleep(0.1)
            with suppress(OSError):
                server.stats()
                break
        yield server
    finally:
        process.terminate()
        process.wait()


def run(server: Server, command: Sequence[str], home: str) -> Run:
    """Run one process, with caches in `home`."""
    server.stats("__reset__")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "LLMARCH_"))}
    env["HF_ENDPOINT"] = server.url
    env["HF_HOME"] = f"{home}/hf"
    env["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    env["LLMARCH_CACHE"] = f"{home}/llmarch"
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=env, cwd=home, stdout=out, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return Run(
            seconds=seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss / 1024,
            code=process.returncode,
            out=out.read().decode(errors="replace"),
            stats=server.stats(),
        )


def run_rounds(
    server: Server,
    programs: Mapping[str, Sequence[str]],
    rounds: int,
    home: str | None = None,
) -> dict[str, list[Run]]:
    """Run the programs in turn, so many times each.

    home: keep the caches of all runs here; None gives each run empty ones.
    """
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            own_home = home or tempfile.mkdtemp()
            runs[name].append(run(server, command, own_home))
            if home is None:
                shutil.rmtree(own_home)
    return runs


def median(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    """Return the median of a figure over runs."""
    return statistics.median(map(value, runs))


def seconds(run: Run) -> float:
    """Return the wall time."""
    return run.seconds


def cpu_seconds(run: Run) -> float:
    """Return the processor time."""
    return run.cpu_seconds


def print_heading(title: str, *columns: str) -> None:
    """Print a heading and the head of a table."""
    head = " | ".join(columns)
    print(f"\n### {title}\n\n| {head} |\n{'|---' * len(columns)}|")


def print_table(title: str, runs: Mapping[str, Sequence[Run]], reference: str) -> None:
    """Print a row for each program, with its ratio to the `reference`."""
    columns = ["process", "wall s (median, min to max)", "ratio", "CPU s", "bytes read"]
    columns += ["requests", "peak MB", "exit"]
    print_heading(title, *columns)
    for name, own in runs.items():
        walls = [run.seconds for run in own]
        pairs = zip(own, runs[reference], strict=True)
        ratio = statistics.median(run.seconds / other.seconds for run, other in pairs)
        peak = max(run.peak_mb for run in own)
        last = own[-1]
        cells = [
            name,
            f"{statistics.median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f})",
            f"{ratio:.2f}",
            f"{median(own, cpu_seconds):.2f}",
            f"{last.stats['bytes']:,}",
            str(last.stats["requests"]),
            f"{peak:.0f}",
            str(last.code),
        ]
        print(f"| {' | '.join(cells)} |")
    print(f"\nratio: median of the ratios to `{reference}` in the same round")


def measure_by_shard(options: Options) -> Run:
    """Print the table of reading shard by shard, cold and warm. Return what llmarch says."""
    with serve(options) as server:
        programs = {BY_SHARD: options.call(BY_SHARD), COLD: options.show}
        if options.hf_mem:
            programs["hf-mem"] = [options.hf_mem, "-c", HF_MEM, options.repo]
        runs = run_rounds(server, programs, options.rounds)
        home = tempfile.mkdtemp()
        answer = run(server, options.show_json, home)
        commit = json.loads(answer.out)["source"]["commit"]
        *show, repo = options.show
        warm = {WARM_BRANCH: options.show, WARM_COMMIT: [*show, f"{repo}@{commit}"]}
        runs |= run_rounds(server, warm, options.rounds, home)
        shutil.rmtree(home)
    title = f"{options.repo}, shard by shard, {options.rtt_ms:.0f} ms a round trip"
    print_table(f"{title}, weights on another host", runs, BY_SHARD)
    cold = median(runs[COLD], seconds)
    for name in warm:
        print(f"- {name}: {median(runs[name], seconds) / cold:.2f} of cold")
    stats = runs[COLD][-1].stats
    print(
        f"- bytes read: {stats['bytes'] / header_and_index_bytes(options):.3f} of headers and index"
    )
    print(f"- requests for weights: {stats['cdn']}, with a token: {stats['token_at_cdn']}")
    return answer


def measure_at_once(options: Options, answer: Run) -> None:
    """Print the table of reading all headers in one request."""
    with serve(options, "--one-request") as server:
        programs = {AT_ONCE: options.call(AT_ONCE), COLD: options.show}
        runs = run_rounds(server, programs, options.rounds)
        same = run(server, options.show_json, tempfile.mkdtemp()).out == answer.out
    print_table("all headers in one request", runs, AT_ONCE)
    print(f"- the same answer as shard by shard: {same}")


def measure_faults(options: Options, answer: Run) -> None:
    """Print the table of reading over a network that fails."""
    columns = ["server", "llmarch", "s", "requests", "refused", "same answer"]
    columns += ["token at the other host", BY_SHARD]
    print_heading("a network that misbehaves", *columns)
    for arguments in FAULTS:
        with serve(options, *arguments.split()) as server:
            ours = run(server, options.show_json, tempfile.mkdtemp())
            theirs = run(server, options.call(BY_SHARD), tempfile.mkdtemp())
        stats = ours.stats
        cells = [
            arguments,
            f"exit {ours.code}",
            f"{ours.seconds:.1f}",
            str(stats["requests"]),
            str(stats["failed"] + stats["limited"]),
            str(ours.out == answer.out),
            str(stats["token_at_cdn"]),
            f"exit {theirs.code}",
        ]
        print(f"| {' | '.join(cells)} |")


def header_and_index_bytes(options: Options) -> int:
    """Return the bytes of all headers and of the index."""
    folder = options.root / options.repo
    total = sum(file.stat().st_size for file in folder.glob("*.index.json"))
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            total += 8 + int.from_bytes(file.read(8), "little")
    return total


def parse_options() -> Options:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("repo")
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--oracle", default=sys.executable)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--hf-mem")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rtt-ms", type=float, default=50)
    parser.add_argument("--skip-faults", action="store_true")
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Measure and print."""
    options = parse_options()
    answer = measure_by_shard(options)
    measure_at_once(options, answer)
    if not options.skip_faults:
        measure_faults(options, answer)


if __name__ == "__main__":
    main()
