"""llmarch beside huggingface_hub (and hf-mem) on a header-only checkpoint, whole processes in turn, over a loopback Hub.

usage: hub.py ROOT ORG/NAME --tools DIR [--oracle PYTHON] [--python PYTHON] [--hf-mem PYTHON] [--rounds 5] [--rtt-ms 50] [--skip-faults]

ROOT      a folder ORG/NAME made by make_repo.py, such as
          make_repo.py DeepSeek-V3/config.json ROOT/deepseek-ai/DeepSeek-V3 --quant fp8-block --mtp --shard-gb 4.3
--tools   the folder of hub.py, the loopback stand-in for the Hub (redirects weights to another host, 50 ms a round trip)
--oracle  the Python that runs hub.py (starlette, uvicorn); --python the one with llmarch; --hf-mem one with hf-mem

Prints markdown tables: medians, ratios, bytes and requests as the server counted them, peak memory of the process.
hf-mem has its endpoint hard-coded: it runs with httpx2's requests rewritten from https://huggingface.co to the loopback Hub.
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
from collections.abc import Iterator
from contextlib import contextmanager
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
    return build(self, method, str(url).replace("https://huggingface.co", os.environ["HF_ENDPOINT"]), **kw)
httpx2.AsyncClient.build_request = rewritten
sys.argv = ["hf-mem", "--model-id", sys.argv[1], "--json-output"]
from hf_mem.cli import main
main()
"""


@dataclass
class Run:
    seconds: float
    peak_mb: float
    code: int
    out: str
    stats: dict[str, int]


@dataclass
class Server:
    url: str

    def stats(self, path: str = "__stats__") -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/{path}") as answer:
            return json.load(answer)


@contextmanager
def serve(args: argparse.Namespace, *options: str) -> Iterator[Server]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [
        args.oracle,
        f"{args.tools}/hub.py",
        args.root,
        str(port),
        "--rtt-ms",
        str(args.rtt_ms),
        "--redirect",
        *options,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}")
    try:
        for _ in range(100):
            time.sleep(0.1)
            try:
                server.stats()
                break
            except OSError:
                pass
        yield server
    finally:
        process.terminate()
        process.wait()


def run(server: Server, command: list[str], home: str) -> Run:
    """One process: wall time, peak memory, and what the server counted meanwhile."""
    server.stats("__reset__")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "LLMARCH_"))}
    env |= {
        "HF_ENDPOINT": server.url,
        "HF_HOME": f"{home}/hf",
        "LLMARCH_CACHE": f"{home}/llmarch",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
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
            seconds,
            usage.ru_maxrss / 1024,
            process.returncode,
            out.read().decode(errors="replace"),
            server.stats(),
        )


def rounds(
    server: Server, programs: dict[str, list[str]], count: int, keep: dict[str, str] | None = None
) -> dict[str, list[Run]]:
    """Each program `count` times, in turn; in a new home folder each time, unless `keep` names one."""
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(count):
        for name, command in programs.items():
            home = (keep or {}).get(name) or tempfile.mkdtemp()
            runs[name].append(run(server, command, home))
            if not (keep or {}).get(name):
                shutil.rmtree(home)
    return runs


def heading(title: str, *columns: str) -> None:
    print(f"\n### {title}\n\n| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def table(title: str, runs: dict[str, list[Run]], against: str) -> None:
    heading(
        title,
        "process",
        "wall s (median, min to max)",
        "ratio",
        "bytes read",
        "requests",
        "peak MB",
        "exit",
    )
    for name, each in runs.items():
        seconds = [r.seconds for r in each]
        ratio = statistics.median(
            r.seconds / b.seconds for r, b in zip(each, runs[against], strict=True)
        )
        wall = f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        last, peak = each[-1], max(r.peak_mb for r in each)
        print(
            f"| {name} | {wall} | {ratio:.2f} | {last.stats['bytes']:,} | {last.stats['requests']} | {peak:.0f} | {last.code} |"
        )
    print(f"\nratio: median of the ratios to `{against}` in the same round")


def shard_by_shard(args: argparse.Namespace, programs: Programs) -> Run:
    """The tables with and without cache; returns what llmarch says, as JSON."""
    with serve(args) as server:
        first = {"get_safetensors_metadata": programs.theirs, "llmarch show, cold": programs.show}
        if args.hf_mem:
            first["hf-mem"] = [args.hf_mem, "-c", HF_MEM, args.repo]
        runs = rounds(server, first, args.rounds)
        home = tempfile.mkdtemp()
        answer = run(server, programs.as_json, home)
        commit = json.loads(answer.out)["source"]["commit"]
        warm = {
            "llmarch show, warm, branch": programs.show,
            "llmarch show, warm, commit": [*programs.show[:-1], f"{args.repo}@{commit}"],
        }
        runs |= rounds(server, warm, args.rounds, dict.fromkeys(warm, home))
        shutil.rmtree(home)
    table(
        f"{args.repo}, shard by shard, {args.rtt_ms:.0f} ms a round trip, weights on another host",
        runs,
        "get_safetensors_metadata",
    )
    cold = statistics.median(r.seconds for r in runs["llmarch show, cold"])
    for name in warm:
        print(f"- {name}: {statistics.median(r.seconds for r in runs[name]) / cold:.2f} of cold")
    stats = runs["llmarch show, cold"][-1].stats
    print(f"- bytes read: {stats['bytes'] / size_of(args):.3f} of headers and index")
    print(f"- requests for weights: {stats['cdn']}, with a token: {stats['token_at_cdn']}")
    return answer


def at_once(args: argparse.Namespace, programs: Programs, answer: Run) -> None:
    with serve(args, "--one-request") as server:
        both = {
            "get_sharded_safetensors_metadata": programs.theirs_at_once,
            "llmarch show, cold": programs.show,
        }
        runs = rounds(server, both, args.rounds)
        same = run(server, programs.as_json, tempfile.mkdtemp()).out == answer.out
    table("all headers in one request", runs, "get_sharded_safetensors_metadata")
    print(f"- the same answer as shard by shard: {same}")


def faults(args: argparse.Namespace, programs: Programs, answer: Run) -> None:
    columns = (
        "server",
        "llmarch",
        "s",
        "requests",
        "refused",
        "same answer",
        "token at the other host",
        "get_safetensors_metadata",
    )
    heading("a network that misbehaves", *columns)
    for options in (
        "--fail-every 7 --fail-with 503",
        "--fail-every 7 --fail-with 429",
        "--fail-every 7 --fail-with reset",
        "--limit 200",
    ):
        with serve(args, *options.split()) as server:
            ours = run(server, programs.as_json, tempfile.mkdtemp())
            theirs = run(server, programs.theirs, tempfile.mkdtemp())
        refused, same = ours.stats["failed"] + ours.stats["limited"], ours.out == answer.out
        cells = (
            f"exit {ours.code}",
            f"{ours.seconds:.1f}",
            ours.stats["requests"],
            refused,
            same,
            ours.stats["token_at_cdn"],
        )
        print(f"| {options} | " + " | ".join(map(str, cells)) + f" | exit {theirs.code} |")


def size_of(args: argparse.Namespace) -> int:
    """Bytes of all headers and of the index."""
    folder = Path(args.root) / args.repo
    headers = sum(
        8 + int.from_bytes(file.open("rb").read(8), "little")
        for file in folder.glob("*.safetensors")
    )
    return headers + sum(file.stat().st_size for file in folder.glob("*.index.json"))


@dataclass
class Programs:
    """The command lines that are compared."""

    show: list[str]
    as_json: list[str]
    theirs: list[str]
    theirs_at_once: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root")
    parser.add_argument("repo")
    parser.add_argument("--tools", required=True)
    parser.add_argument("--oracle", default=sys.executable)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--hf-mem")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rtt-ms", type=float, default=50)
    parser.add_argument("--skip-faults", action="store_true")
    args = parser.parse_args()
    show = [args.python, "-m", "llmarch", "show", args.repo]
    calls = ("get_safetensors_metadata", "get_sharded_safetensors_metadata")
    programs = Programs(
        show,
        [*show, "--format", "json"],
        *([args.python, "-c", HF.format(call=call), args.repo] for call in calls),
    )
    answer = shard_by_shard(args, programs)
    at_once(args, programs, answer)
    if not args.skip_faults:
        faults(args, programs, answer)


if __name__ == "__main__":
    main()
