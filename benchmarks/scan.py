"""Measure `llmarch scan` on local configs, and kill it at random: what is left must be completed.

    python benchmarks/scan.py speed FOLDER [--models 10000]
    python benchmarks/scan.py kills FOLDER [--models 2000] [--kills 10]

FOLDER is filled with configs of the bundled models, one folder a model, unless it exists. `speed`
runs one process and says rows a second of CPU and of wall, and the peak of memory after a tenth of
the models and after all. `kills` scans once undisturbed, then ends scans by SIGKILL at random until
there were so many kills, completes the last one, and compares the two files byte by byte, for each
format.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
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


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "kills"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=None)
    parser.add_argument("--kills", type=int, default=10)
    asked = parser.parse_args()
    fill(asked.folder, asked.models or (10_000 if asked.what == "speed" else 2_000))
    return speed(asked.folder) if asked.what == "speed" else kills(asked.folder, asked.kills)


if __name__ == "__main__":
    sys.exit(main())
