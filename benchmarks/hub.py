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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from collections.abc import Iterator

HF = "from huggingface_hub import HfApi; import sys; m = HfApi().{call}(sys.argv[1]); print(sum(sum(f.parameter_count.values()) for f in m.files_metadata.values()))"
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
    command = [args.oracle, f"{args.tools}/hub.py", args.root, str(port), "--rtt-ms", str(args.rtt_ms), "--redirect", *options]
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
    env |= {"HF_ENDPOINT": server.url, "HF_HOME": f"{home}/hf", "LLMARCH_CACHE": f"{home}/llmarch", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return Run(seconds, usage.ru_maxrss / 1024, process.returncode, out.read().decode(errors="replace"), server.stats())


def rounds(server: Server, programs: dict[str, list[str]], count: int, keep: dict[str, str] | None = None) -> dict[str, list[Run]]:
    """Each program `count` times, in turn; in a new home folder each time, unless `keep` names one."""
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(count):
        for name, command in programs.items():
            home = (keep or {}).get(name) or tempfile.mkdtemp()
            runs[name].append(run(server, command, home))
            if not (keep or {}).get(name):
                shutil.rmtree(home)
    return runs


def table(title: str, runs: dict[str, list[Run]], against: str) -> None:
    base = statistics.median(r.seconds for r in runs[against])
    print(
        f"\n### {title}\n\n| process | wall s (median, min–max) | ratio | bytes read | requests | peak MB | exit |\n|---|---|---|---|---|---|---|"
    )
    for name, each in runs.items():
        seconds = [r.seconds for r in each]
        last = each[-1]
        ratio = statistics.median(r.seconds / b.seconds for r, b in zip(each, runs[against], strict=True))
        print(
            f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f}) | {ratio:.2f} | {last.stats['bytes']:,} "
            f"| {last.stats['requests']} | {max(r.peak_mb for r in each):.0f} | {last.code} |"
        )
    print(f"\nratio: median of the ratios to `{against}` of the same round; its own median is {base:.2f} s")


def answer(one: Run) -> Any:
    """What llmarch said, without what differs between servers."""
    try:
        document = json.loads(one.out)
    except ValueError:
        return one.out[-200:]
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    as_json = [*show, "--format", "json"]
    shard_by_shard = [args.python, "-c", HF.format(call="get_safetensors_metadata"), args.repo]
    at_once = [args.python, "-c", HF.format(call="get_sharded_safetensors_metadata"), args.repo]
    folder = Path(args.root) / args.repo
    headers = sum(8 + int.from_bytes(f.open("rb").read(8), "little") for f in folder.glob("*.safetensors"))
    index = sum(f.stat().st_size for f in folder.glob("*.index.json"))
    print(f"{args.repo}: {len(list(folder.glob('*.safetensors')))} shards, headers {headers:,} bytes, index {index:,} bytes")

    with serve(args) as server:
        programs = {"get_safetensors_metadata": shard_by_shard, "llmarch show, cold": show}
        if args.hf_mem:
            programs["hf-mem"] = [args.hf_mem, "-c", HF_MEM, args.repo]
        runs = rounds(server, programs, args.rounds)
        home = tempfile.mkdtemp()
        first = run(server, as_json, home)
        commit = json.loads(first.out)["source"]["commit"]
        warm = {"llmarch show, warm, branch": show, "llmarch show, warm, commit": [*show[:-1], f"{args.repo}@{commit}"]}
        runs |= rounds(server, warm, args.rounds, dict.fromkeys(warm, home))
        table(f"shard by shard, {args.rtt_ms:.0f} ms, redirect", runs, "get_safetensors_metadata")
        cold = statistics.median(r.seconds for r in runs["llmarch show, cold"])
        for name in warm:
            print(f"\n{name}: {statistics.median(r.seconds for r in runs[name]) / cold:.2f} × cold")
        read = runs["llmarch show, cold"][-1].stats
        print(
            f"\nbytes read: {read['bytes'] / (headers + index):.3f} × (headers + index); ranges for weights: {read['cdn']}; token at the other host: {read['token_at_cdn']}"
        )
        shutil.rmtree(home)
    with serve(args, "--one-request") as server:
        runs = rounds(server, {"get_sharded_safetensors_metadata": at_once, "llmarch show, cold": show}, args.rounds)
        table("one request", runs, "get_sharded_safetensors_metadata")
        same = run(server, as_json, tempfile.mkdtemp())
        print(f"\nthe same answer as shard by shard: {answer(same) == answer(first)}")
    if args.skip_faults:
        return
    print(
        "\n### faults\n\n| server | llmarch | s | requests | refused | same answer | token at CDN | get_safetensors_metadata |\n|---|---|---|---|---|---|---|---|"
    )
    for options in ("--fail-every 7 --fail-with 503", "--fail-every 7 --fail-with 429", "--fail-every 7 --fail-with reset", "--limit 200"):
        with serve(args, *options.split()) as server:
            ours = run(server, as_json, tempfile.mkdtemp())
            theirs = run(server, shard_by_shard, tempfile.mkdtemp())
            refused = ours.stats["failed"] + ours.stats["limited"]
            print(
                f"| {options} | exit {ours.code} | {ours.seconds:.1f} | {ours.stats['requests']} | {refused} | {answer(ours) == answer(first)} "
                f"| {ours.stats['token_at_cdn']} | exit {theirs.code} |"
            )


if __name__ == "__main__":
    main()
