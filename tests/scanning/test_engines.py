"""`llmarch.scan` mapped over several processes by an engine, as docs/scan.md has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import llmarch


def test_functions_that_use_the_package_are_pickled() -> None:
    """Engines send functions with the modules that they name."""
    import pickle

    import cloudpickle

    import llmarch.compare.diff

    def rows_of(references: list[str]) -> list[object]:
        return [row["family"] for row in llmarch.scan(references)]

    assert pickle.loads(cloudpickle.dumps(rows_of))(["qwen3-8b"]) == ["qwen3"]
    for module in (llmarch, llmarch.compare):
        assert pickle.loads(pickle.dumps(module)) is module


@pytest.mark.slow
def test_dask_maps_it_over_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask.bag
    from distributed import Client, LocalCluster

    monkeypatch.chdir(tmp_path)
    references = ["qwen3-8b", "gemma3-4b", "nothing here", "deepseek-v3", "llama3-8b", "gpt2"]
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        assert len({*client.run(os.getpid).values(), os.getpid()}) == 3
        bag = dask.bag.from_sequence(references, partition_size=2)
        rows = bag.map_partitions(llmarch.scan, headers=False).compute()
        single = client.gather(client.map(llmarch.scan, references[:2]))
    assert rows == llmarch.scan(references, headers=False)
    assert [row["status"] for row in rows].count("error") == 1
    assert [row["reference"] for (row,) in single] == references[:2]
