"""Reading the header of a GGUF file: llmarch's reader against that of the `gguf` package.

    python benchmarks/gguf_headers.py [ROUNDS]

Writes a header-only file with the vocabulary of Qwen3-8B (151,936 tokens, as many merges) into a
temporary folder, and runs whole processes in turn: wall and CPU seconds, medians, and the ratio to
the package in the same round. `gguf` is a dev dependency.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, INNER, VOCABULARY = 36, 4096, 12288, 151_936
PROCESSES = {
    "gguf.GGUFReader": [
        "-c",
        "import sys, gguf; r = gguf.GGUFReader(sys.argv[1]); print(len(r.tensors))",
    ],
    "llmarch, reader alone": [
        "-c",
        "import sys; from pathlib import Path; from llmarch.sources.local import read_gguf_header;"
        " print(len(read_gguf_header(Path(sys.argv[1]), 'x.gguf').names))",
    ],
    "llmarch show": ["-m", "llmarch", "show"],
    "python -c pass": ["-c", "pass"],
}


def write(path: Path) -> None:
    """Write the file; its weights are a hole."""
    w = gguf.GGUFWriter(None, "qwen3")
    w.add_block_count(LAYERS)
    w.add_context_length(40960)
    w.add_embedding_length(WIDTH)
    w.add_feed_forward_length(INNER)
    w.add_head_count(32)
    w.add_head_count_kv(8)
    w.add_key_length(128)
    w.add_value_length(128)
    w.add_rope_freq_base(1e6)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_file_type(15)
    w.add_tokenizer_model("gpt2")
    w.add_token_list([f"token {i}" for i in range(VOCABULARY)])
    w.add_token_types([1] * VOCABULARY)
    w.add_token_merges([f"tok en{i}" for i in range(VOCABULARY)])
    shapes = {"token_embd": (VOCABULARY, WIDTH), "output": (VOCABULARY, WIDTH)}
    shapes["output_norm"] = (WIDTH,)
    for i in range(LAYERS):
        own = {"attn_q": (WIDTH, WIDTH), "attn_k": (1024, WIDTH), "attn_v": (1024, WIDTH)}
        own |= {"attn_output": (WIDTH, WIDTH), "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}
        own |= {"attn_q_norm": (128,), "attn_k_norm": (128,), "ffn_down": (WIDTH, INNER)}
        own |= {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH)}
        shapes |= {f"blk.{i}.{name}": shape for name, shape in own.items()}
    end = 0
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType.Q4_K if len(shape) > 1 else gguf.GGMLQuantizationType.F32
        block, size = gguf.GGML_QUANT_SIZES[kind]
        bytes_ = int(np.prod(shape)) // block * size
        w.add_tensor_info(f"{name}.weight", shape, np.dtype(np.float16), bytes_, raw_dtype=kind)
        end = gguf.GGUFWriter.ggml_pad(end, w.data_alignment) + bytes_
    w.write_header_to_file(path)
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    w.close()
    start = gguf.GGUFWriter.ggml_pad(path.stat().st_size, w.data_alignment)
    print(f"header: {path.stat().st_size:,} bytes")
    with path.open("r+b") as file:
        file.truncate(start + end)


def run(arguments: list[str], path: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments, str(path)], check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in PROCESSES}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "Qwen3-8B-Q4_K_M.gguf")
        write(path)
        for _ in range(rounds):
            for name, arguments in PROCESSES.items():
                taken[name].append(run(arguments, path))
    base = taken["gguf.GGUFReader"]
    print("| process | wall s | CPU s | wall, ratio | CPU, ratio |\n|---|---|---|---|---|")
    for name, times in taken.items():
        ratios = [(a / c, b / d) for (a, b), (c, d) in zip(times, base, strict=True)]
        columns = [statistics.median(column) for column in zip(*times, strict=True)]
        shares = [statistics.median(column) for column in zip(*ratios, strict=True)]
        print(
            f"| {name} | {columns[0]:.2f} | {columns[1]:.2f} | {shares[0]:.2f} | {shares[1]:.2f} |"
        )


if __name__ == "__main__":
    main()
