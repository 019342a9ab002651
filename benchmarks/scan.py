"""Measure `llmarch scan` on local configs, and kill it at random: what is left must be completed.

    python benchmarks/scan.py speed FOLDER [--models 10000]
    python benchmarks/scan.py kills FOLDER [--models 2000] [--kills 10]
    python benchmarks/scan.py hub FOLDER [--models 1000] [--rate 100]

FOLDER is filled with configs of the bundled models, one folder a model, unless it exists. `speed`
runs one process and says rows a second of CPU and of wall, and the peak of memory after a tenth of
the models and after all. `kills` scans once undisturbed, then ends scans by SIGKILL at random until
there were so many kills, completes the last one, and compares the two files byte by byte, for each
format. `hub` scans repositories of one small model each on the tests' loopback Hub, 50 ms a round
trip, at most `--rate` requests a second to it (its other host, for weights, is not counted).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPECS = Path(__file__).parent.parent / "specs"


def fill(folder: Path, models: int) -> None:
    """Write so many configs into a folder, unless it exists."""
    if folder.exists():
        return
    specs = [json.loads(path.read_bytes()) for path in sorted(SPECS.glob("*.json"))]
    configs = [spec["config"] for spec in specs if spec.get("config_file") == "config.json"]
    for i in range(models):
        target = folder / f"{i % 100:02}" / f"m{i:05}"
        target.mkdir(parents=True)
        (target / "config.json").write_text(json.dumps(configs[i % len(configs)]))


def command(folder: Path, output: Path, *options: str) -> list[str]:
    """Return the words of a scan."""
    return [sys.executable, "-m", "llmarch", "scan", str(folder), "-o", str(output), *options]


def measure(folder: Path, *options: str) -> dict[str, float]:
    """Return seconds and peak megabytes of a scan of a folder in a process of its own."""
    output = folder.with_name("speed.ndjson")
    output.unlink(missing_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    subprocess.run(command(folder, output, *options), check=False, stderr=subprocess.DEVNULL)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with output.open("rb") as file:
        rows = sum(1 for _ in file)
    return {"rows": rows, "wall": wall, "cpu": cpu, "megabytes": after.ru_maxrss / 1024}


def speed(folder: Path) -> int:
    """Print how fast a scan is, and its memory on a tenth of the models and on all."""
    tenth = folder.with_name(f"{folder.name}-tenth")
    if not tenth.exists():
        tenth.mkdir()
        for part in sorted(folder.iterdir())[:10]:
            subprocess.run(["cp", "-r", str(part), str(tenth)], check=True)
    for name in (tenth, folder):
        found = measure(name, "--processes", "1")
        rate = found["rows"] / found["cpu"]
        print(
            f"{found['rows']:,.0f} rows: {rate:,.0f} a second of CPU, wall {found['wall']:.1f} s, "
            f"CPU {found['cpu']:.1f} s, peak so far {found['megabytes']:.0f} MB"
        )
    return 0


def kills(folder: Path, wanted: int) -> int:
    """Print whether scans that were killed are completed; return the exit code."""
    wrong = 0
    seed = random.Random(0)
    for suffix in ("ndjson", "csv", "parquet"):
        whole = folder.with_name(f"whole.{suffix}")
        killed = folder.with_name(f"killed.{suffix}")
        for path in (whole, killed, killed.with_name(f"{killed.name}.unfinished.ndjson")):
            path.unlink(missing_ok=True)
        started = time.monotonic()
        subprocess.run(command(folder, whole), check=False, stderr=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        done = 0
        while done < wanted:
            process = subprocess.Popen(command(folder, killed), stderr=subprocess.DEVNULL)
            time.sleep(seed.uniform(0.3, max(0.5, seconds / 3)))
            process.send_signal(signal.SIGKILL)
            done += process.wait() == -signal.SIGKILL
            if killed.exists() and process.returncode == 0:
                killed.unlink()
        subprocess.run(command(folder, killed), check=False, stderr=subprocess.DEVNULL)
        same = killed.read_bytes() == whole.read_bytes()
        wrong += not same
        print(f"{suffix}: {done} kills, {'the same' if same else 'NOT THE SAME'}", flush=True)
    return wrong


def hub(folder: Path, models: int, rate: float) -> int:
    """Print how fast repositories of a loopback Hub are scanned, and the CPU of both sides."""
    sys.path.insert(0, str(SPECS.parent / "tests"))
    from helpers.loopback import serve
    from helpers.models import files as files_of

    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "hub.ndjson"
    output.unlink(missing_ok=True)
    files = files_of("qwen3-0.6b")
    with serve() as served, tempfile.TemporaryDirectory() as home:
        served.delay = 0.05
        references = [f"acme/m{i:04}" for i in range(models)]
        for reference in references:
            served.add(reference, files)
        listed = folder / "refs.txt"
        listed.write_text("\n".join(references))
        environment = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": home}
        environment["LLMARCH_CACHE"] = f"{home}/cache"
        options = ["-r", str(listed), "-o", str(output), "--rate", str(rate)]
        before = time.process_time()
        started = time.monotonic()
        words = [sys.executable, "-m", "llmarch", "scan", *options]
        subprocess.run(words, check=False, env=environment, stderr=subprocess.DEVNULL)
        wall = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        asked = len(served.asked("", cdn=False))
    with output.open("rb") as file:
        rows = sum(1 for _ in file)
    print(
        f"{rows:,} rows, wall {wall:.1f} s, {asked / wall:.0f} requests a second of {rate:g}, "
        f"CPU {used.ru_utime + used.ru_stime:.1f} s, peak {used.ru_maxrss / 1024:.0f} MB, "
        f"CPU of the Hub {time.process_time() - before:.1f} s"
    )
    return 0


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "kills", "hub"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=None)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=100)
    asked = parser.parse_args()
    if asked.what == "hub":
        return hub(asked.folder, asked.models or 1_000, asked.rate)
    fill(asked.folder, asked.models or (10_000 if asked.what == "speed" else 2_000))
    return speed(asked.folder) if asked.what == "speed" else kills(asked.folder, asked.kills)


if __name__ == "__main__":
    sys.exit(main())
