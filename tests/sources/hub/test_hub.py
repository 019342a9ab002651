"""Reading repositories over the network.

What is requested, what is never read, and what happens when the network misbehaves.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import (
    CONFIG,
    Sparse,
    index,
    llama,
    model,
    safetensors,
    sharded,
    with_header,
    write,
)
from helpers.loopback import TOKEN, Hub, commit_of
from huggingface_hub import constants

from llmarch import sources
from llmarch.errors import ConfigError, HeaderError, NotAModel, ReadError
from llmarch.sources import hub as entry
from llmarch.sources.hub import client as http
from llmarch.sources.hub import shards
from llmarch.sources.raw import RawModel, TensorTable
from llmarch.sources.references import parse_reference
from llmarch.sources.safetensors import budget

REPO = "acme/model"
ADAPTER = b'{"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-8B"}'


def read(text: str = REPO, **how: Any) -> RawModel:
    return sources.open(parse_reference(text), **how)


def rules(model: RawModel) -> list[str]:
    return [f.rule for f in model.findings]


def groups(model: RawModel) -> list[tuple[Any, ...]]:
    assert model.tensors is not None
    return [(g.pattern, g.dtype, g.shape, g.indices) for g in model.tensors]


def header_bytes(files: dict[str, bytes | Sparse]) -> int:
    return sum(len(f.head) for f in files.values() if isinstance(f, Sparse))


# What is read


def test_reads_config_and_headers_but_no_weights(hub: Hub) -> None:
    files = model(5, layers=64)
    commit = hub.add(REPO, files)
    found = read()
    tensors = llama(64)
    assert found.config == CONFIG
    assert (found.repo_id, found.commit, found.kind, found.partial) == (REPO, commit, "hub", False)
    assert found.tensors is not None
    assert len(found.tensors) == len(tensors)
    expected = TensorTable.from_tensors((n, d, s) for n, (d, s) in tensors.items())
    assert groups(found) == [(g.pattern, g.dtype, g.shape, g.indices) for g in expected]
    assert found.findings == []
    assert found.header_bytes == header_bytes(files)
    wanted = header_bytes(files) + sum(len(f) for f in files.values() if isinstance(f, bytes))
    assert (
        hub.bytes
        < 1.15 * wanted + 30_000
        < sum(f.size for f in files.values() if isinstance(f, Sparse)) / 1000
    )


def test_one_request_a_shard_and_all_of_one_commit(hub: Hub) -> None:
    commit = hub.add(REPO, model(20, layers=40))
    read()
    assert len(hub.asked(".safetensors", cdn=True)) == 20
    assert len(hub.asked("/revision/")) == 1
    assert all(f"/resolve/{commit}/" in r.path for r in hub.asked("/resolve/"))
    assert (
        len(hub.requests) == 4 + 2 * 20
    )  # look-up, all headers (not offered), config, index, and two hops a shard


def test_a_long_header_costs_one_more_request_for_the_rest_only(hub: Hub) -> None:
    file = safetensors(llama(300))
    assert len(file.head) > shards.FIRST_RANGE * 2
    hub.add(REPO, {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": file})
    found = read()
    assert found.tensors is not None
    assert len(found.tensors) == len(llama(300))
    assert [r.range for r in hub.asked("model.safetensors", cdn=True)] == [
        f"bytes=0-{shards.FIRST_RANGE - 1}",
        f"bytes={shards.FIRST_RANGE}-{len(file.head) - 1}",
    ]


def test_shards_are_fetched_at_the_same_time_but_not_all(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "CONNECTIONS", 6)
    hub.delay = 0.02
    hub.add(REPO, model(24, layers=30))
    read()
    assert 2 < hub.max_inflight <= 7


def test_a_server_that_ignores_range_does_not_make_us_download(hub: Hub) -> None:
    hub.ignore_range = True
    files = model(2, layers=20)
    hub.add(REPO, files)
    found = read()
    assert not found.partial
    assert (
        hub.bytes < 30_000_000 < sum(f.size for f in files.values() if isinstance(f, Sparse)) / 100
    )


def test_ignored_range_of_a_long_header(hub: Hub) -> None:
    hub.ignore_range = True
    hub.add(
        REPO,
        {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": safetensors(llama(300))},
    )
    found = read()
    assert found.tensors is not None
    assert len(found.tensors) == len(llama(300))


def test_revision_and_url(hub: Hub) -> None:
    hub.add(REPO, model(2))
    other = hub.add(REPO, {"config.json": b'{"model_type": "other"}'}, "v2")
    for text in (f"{REPO}@v2", f"{REPO}@{other}"):
        found = read(text)
        assert (found.config, found.commit, found.tensors) == ({"model_type": "other"}, other, None)
        assert hub.asked("safetensors-metadata") == []  # offered for main alone


def test_config_only(hub: Hub) -> None:
    hub.add(REPO, model(3))
    found = read(headers=False)
    assert (found.config, found.tensors, found.header_bytes) == (CONFIG, None, 0)
    assert [r.path.rpartition("/")[2] for r in hub.requests] == ["main", "config.json"]


def test_config_only_from_a_full_entry_of_the_cache(hub: Hub) -> None:
    hub.add(
        REPO,
        model(3)
        | {"model.safetensors.index.json": index({"a": "model-00001-of-00003.safetensors"})},
    )
    assert read().tensors is not None
    found = read(headers=False)
    assert (found.tensors, found.partial, found.findings) == (None, False, [])


def test_config_only_without_what_is_said_of_the_whole_index(hub: Hub) -> None:
    """A finding about many keys has the bare name of the file as its path."""
    weights = index({"a": "model-00001-of-00003.safetensors"})
    twice = ", ".join(f'"k{i}": 1, "k{i}": 2' for i in range(25))
    hub.add(
        REPO,
        model(3) | {"model.safetensors.index.json": b"{" + twice.encode() + b", " + weights[1:]},
    )
    found = read()
    assert "model.safetensors.index.json" in {f.path for f in found.findings}
    assert read(headers=False).findings == []


def test_progress(hub: Hub) -> None:
    hub.add(REPO, model(4))
    heard: list[tuple[int, int, str]] = []
    read(progress=lambda done, total, label: heard.append((done, total, label)))
    assert heard[0][:2] == (0, 4)
    assert heard[-1] == (4, 4, "reading headers")


def test_meanwhile_is_called_once(hub: Hub) -> None:
    hub.add(REPO, model(1))
    calls: list[int] = []
    read(meanwhile=lambda: calls.append(1))
    assert calls == [1]


def test_no_index(hub: Hub) -> None:
    files = model(3)
    del files["model.safetensors.index.json"]
    hub.add(REPO, files)
    found = read()
    assert found.tensors is not None
    assert len(found.tensors) == len(llama())
    assert not found.partial


def test_index_without_shards(hub: Hub) -> None:
    hub.add(REPO, {k: v for k, v in model(3).items() if not k.endswith(".safetensors")})
    found = read()
    assert found.tensors is not None
    assert (len(found.tensors), found.tensors.has_shapes, found.partial, rules(found)) == (
        len(llama()),
        False,
        True,
        ["shard-missing"],
    )


def test_shard_missing_from_the_repository(hub: Hub) -> None:
    files = model(3)
    del files["model-00002-of-00003.safetensors"]
    hub.add(REPO, files)
    found = read()
    assert found.partial
    assert rules(found) == ["shard-missing"]
    assert "model-00002-of-00003.safetensors" in found.findings[0].message
    assert hub.asked("model-00002-of-00003") == []


# The token


@pytest.mark.parametrize("one_request", [False, True])
def test_the_token_goes_to_the_hub_and_nowhere_else(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, one_request: bool
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.one_request = one_request
    hub.gated.add(REPO)
    hub.add(REPO, model(3))
    assert not read().partial
    assert {r.authorization for r in hub.requests if not r.cdn} == {f"Bearer {TOKEN}"}
    assert {r.authorization for r in hub.requests if r.cdn} <= {None}


def test_the_token_does_not_follow_a_look_up_to_another_host(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.foreign_lookup = True
    hub.add(REPO, model(1))
    read()
    assert {r.authorization for r in hub.requests if r.host.startswith("localhost")} == {None}


def test_no_request_but_ours(hub: Hub) -> None:
    """huggingface_hub's own header builder asks the Hub for a list of AI agents first."""
    hub.add(REPO, model(1))
    read()
    assert hub.asked("agent") == []


# One request for all headers


@pytest.mark.parametrize("count", [1, 7])
def test_all_headers_at_once_give_the_same_answer(hub: Hub, count: int) -> None:
    hub.add(REPO, model(count, layers=8, experts=4))
    slow = read(refresh=True)
    hub.reset()
    hub.one_request = True
    fast = read(refresh=True)
    assert hub.asked(".safetensors", cdn=True) == []
    assert len(hub.requests) == 4
    assert fast == RawModel(
        **{f: getattr(slow, f) for f in RawModel.__dataclass_fields__} | {"tensors": fast.tensors}
    )
    assert groups(fast) == groups(slow)


def test_a_wrong_index_is_found_either_way(hub: Hub) -> None:
    files = model(2)
    wrong = json.loads(files["model.safetensors.index.json"])  # type: ignore[arg-type]
    wrong["weight_map"]["lm_head.weight"] = "model-00001-of-00002.safetensors"
    wrong["weight_map"]["gone.weight"] = "model-00001-of-00002.safetensors"
    hub.add(REPO, files | {"model.safetensors.index.json": json.dumps(wrong).encode()})
    slow = read(refresh=True)
    hub.one_request = True
    fast = read(refresh=True)
    assert rules(slow) == ["index-tensor-missing", "index-wrong-shard"]
    assert fast.findings == slow.findings
    assert groups(fast) == groups(slow)


def test_headers_of_another_commit_are_not_mixed_in(hub: Hub) -> None:
    hub.add(REPO, model(2))
    hub.one_request, hub.commit_of_answer = True, "0" * 40
    assert not read().partial
    assert len(hub.asked(".safetensors", cdn=True)) == 2


@pytest.mark.parametrize("files", [model(3), {"model.safetensors": safetensors(llama())}])
def test_files_of_another_commit_are_not_taken(hub: Hub, files: dict[str, bytes | Sparse]) -> None:
    hub.add(REPO, files)
    hub.commit_of_file = "e" * 40
    with pytest.raises(ReadError, match="the server answered for another commit, eeee"):
        read()


def test_a_pinned_commit_that_the_server_answers_with_another(hub: Hub) -> None:
    pinned, other = hub.add(REPO, model(2)), hub.add(REPO, model(2), "other")
    assert read(f"{REPO}@{pinned}", refresh=True).commit == pinned
    hub.heads[REPO, pinned] = "other"
    with pytest.raises(ReadError, match=f"answers for commit {other} instead of {pinned}"):
        read(f"{REPO}@{pinned}", refresh=True)


@pytest.mark.parametrize("limit", ["MAX_ALL_BYTES", "MAX_ALL_TENSORS"])
@pytest.mark.parametrize("one_request", [False, True])
def test_all_headers_together_have_a_limit(
    hub: Hub, limit: str, one_request: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, model(3))
    hub.one_request = one_request and limit == "MAX_ALL_TENSORS"
    monkeypatch.setattr(budget, limit, {"MAX_ALL_BYTES": 2_000, "MAX_ALL_TENSORS": 30}[limit])
    with pytest.raises(HeaderError, match="this checkpoint"):
        read()


def test_an_answer_that_does_not_name_its_commit_is_checked(hub: Hub) -> None:
    hub.add(REPO, model(2))
    hub.one_request, hub.commit_header = True, False
    assert not read().partial
    assert len(hub.asked("/revision/main")) == 2
    assert hub.asked(".safetensors", cdn=True) == []


@pytest.mark.parametrize("fault", [500, 503, "reset", "drop"])
def test_without_that_answer_shards_are_read(hub: Hub, fault: int | str) -> None:
    hub.add(REPO, model(2))
    hub.one_request = True
    hub.broken["safetensors-metadata"] = fault
    assert not read().partial
    assert len(hub.asked(".safetensors", cdn=True)) == 2


FIRST = "model-00001-of-00003.safetensors"
ENTRY = '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'


@pytest.mark.parametrize(
    "tamper",
    [
        lambda text: json.dumps(json.loads(text)),  # with spaces
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(FIRST, "other.safetensors"),
        lambda text: f'{text[:-2]},"other.safetensors":{{{ENTRY}}}}}}}',
        lambda text: text[:-2] + text[text.index(f',"{FIRST}"'.replace("00001", "00002")) :],
        lambda text: text[: text.index(f',"{FIRST}"'.replace("00001", "00003"))] + "}}",
        lambda text: '{"index":{},"headers":{}}',
    ],
)  # fmt: skip
def test_an_answer_of_other_files_is_not_taken(hub: Hub, tamper: Callable[[str], str]) -> None:
    hub.add(REPO, model(3))
    hub.one_request = True
    whole = read(refresh=True)
    hub.tamper = tamper
    found = read(refresh=True)
    assert groups(found) == groups(whole)
    assert (found.partial, found.findings, found.header_bytes) == (False, [], whole.header_bytes)


# Faults


@pytest.mark.parametrize("fault", [503, 429, 500, "reset", "drop"])
def test_faults_are_repeated_until_the_answer_is_complete(hub: Hub, fault: int | str) -> None:
    hub.add(REPO, model(12, layers=24))
    whole = read(refresh=True)
    hub.fail_every, hub.fail_with = 5, fault
    again = read(refresh=True)
    assert not again.partial
    assert again.findings == []
    assert groups(again) == groups(whole)


def test_retry_after_is_honoured(hub: Hub) -> None:
    hub.add(REPO, model(1))
    hub.fail_every, hub.fail_with, hub.retry_after = 4, 429, "1"
    read()
    failed = hub.requests[3]
    assert (
        min(r.at for r in hub.requests if r.path == failed.path and r.at > failed.at)
        >= failed.at + 1
    )


def test_one_request_that_is_asked_to_wait_holds_up_no_other(hub: Hub) -> None:
    hub.add(REPO, model(40))
    hub.retry_after = "1"
    hub.stumbles = {f"__cdn__/{REPO}/{commit_of(REPO)}/model-000{i}": 1 for i in (10, 20)}
    read()
    first, last = hub.asked("/revision/")[0].at, sorted(r.at for r in hub.requests)[-3]
    assert last - first < 0.9


def test_a_rate_limit_holds_up_all(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.Client, "_sleep", lambda self, seconds: None)
    client = http.Client()
    for _ in range(http.ALL_WAIT):
        assert client.seconds_paused() == 0
        client._wait_before_retry(1, 10.0)
    assert client.seconds_paused() > 0


def test_a_server_that_asks_for_an_hour_is_not_waited_for(hub: Hub) -> None:
    hub.add(REPO, model(1))
    hub.broken["/revision/"], hub.retry_after = 429, "3600"
    started = time.monotonic()
    with pytest.raises(ReadError, match=r"429.*3600 s"):
        read()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("fault", [503, 403, 404, 300, "reset", "short"])
def test_a_shard_that_cannot_be_read_makes_the_reading_partial(hub: Hub, fault: int | str) -> None:
    hub.add(REPO, model(4))
    hub.broken["__cdn__/acme/model/" + commit_of(REPO) + "/model-00003"] = fault
    found = read()
    assert found.partial
    assert rules(found) == ["shard-unreadable"]
    assert found.findings[0].path == "model-00003-of-00004.safetensors"
    assert found.tensors is not None
    assert 0 < len(found.tensors) < len(llama())
    hub.broken.clear()
    assert not read().partial  # nothing partial was kept


def test_no_shard_can_be_read(hub: Hub) -> None:
    hub.add(REPO, model(20))
    hub.broken["__cdn__"] = 503
    with pytest.raises(
        ReadError, match="acme/model: none of its 20 shards could be read: HTTP 503"
    ):
        read()


def test_after_many_failures_the_rest_is_not_tried(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "CONNECTIONS", 2)
    hub.add(REPO, model(40, layers=60))
    hub.broken |= {f"__cdn__/{REPO}/{commit_of(REPO)}/model-000{i}": 500 for i in (1, 2, 3)}
    found = read()
    assert found.partial
    assert {f.rule for f in found.findings} == {"shard-unreadable"}
    assert len({r.path for r in hub.asked("__cdn__")}) < 30


def test_an_index_that_cannot_be_read(hub: Hub) -> None:
    hub.add(REPO, model(3))
    hub.broken["index.json"] = 500
    found = read()
    assert found.tensors is not None
    assert (len(found.tensors), found.partial, rules(found)) == (
        len(llama()),
        True,
        ["index-unreadable"],
    )


def test_a_silent_server_is_given_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    hub.broken["/revision/"] = "hang"
    hub.add(REPO, model(1))
    with pytest.raises(ReadError, match="timed out, 3 times"):
        read()


@pytest.mark.parametrize(
    "file",
    [
        "/revision/main",
        "/config.json",
        "safetensors-metadata",
        "/model.safetensors.index.json",
        "/model-00002",
    ],
)
def test_headers_that_never_end_are_given_up(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(http, "SILENCE", -0.5)
    hub.add(REPO, model(3))
    hub.broken[file if file[0] != "/" or "main" in file else commit_of(REPO) + file] = "interim"
    started = time.monotonic()
    if file in ("/revision/main", "/config.json"):
        with pytest.raises(ReadError, match="keeps the connection open, but does not answer"):
            read()
    else:
        left = {
            "/model.safetensors.index.json": ["index-unreadable"],
            "/model-00002": ["shard-unreadable"],
        }
        assert rules(read()) == left.get(file, [])
    assert time.monotonic() - started < 4


def test_no_network(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{s.getsockname()[1]}")
    started = time.monotonic()
    with pytest.raises(ReadError, match=r"cannot reach http://127") as error:
        read("Qwen/Qwen3-8B")
    assert time.monotonic() - started < 5
    assert "llmarch show qwen3-8b" in (error.value.hint or "")


def test_a_page_instead_of_an_answer(hub: Hub) -> None:
    hub.broken["/api/"] = "portal"
    with pytest.raises(ReadError, match="does not answer as a Hub does"):
        read()


def test_error_bodies_are_not_read_to_their_end(hub: Hub) -> None:
    hub.add(REPO, model(1) | {"config.json": Sparse(b"", 10_000_000_000)})
    with pytest.raises(ReadError, match="longer than"):
        read()
    assert hub.bytes < 60_000_000


def test_redirect_bodies_are_not_read_to_their_end(hub: Hub) -> None:
    hub.add(REPO, model(3))
    hub.broken["resolve/" + commit_of(REPO) + "/model-00002"] = "flood"
    found = read()
    assert found.partial
    assert "more than 20 redirects" in found.findings[0].message
    assert (
        hub.bytes < 300_000_000
    )  # of 20 times 65 MB; what was read is less than what the server could get rid of


def test_a_server_of_which_hardly_a_request_succeeds(hub: Hub) -> None:
    hub.add(REPO, model(1))
    hub.stumbles = {"__cdn__": 12}
    assert not read().partial


def test_an_error_in_another_encoding(hub: Hub) -> None:
    hub.add(REPO, model(1))
    hub.broken["config.json"], hub.retry_after = 418, "\x9b31m é"
    with pytest.raises(ReadError, match="HTTP 418"):
        read()


@pytest.mark.parametrize("fault", ["drip", "drip-404"])
def test_a_body_that_drips_is_given_up(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(http, "SLOW_SECONDS", 0.1)
    hub.add(REPO, model(3))
    hub.broken["__cdn__/acme/model/" + commit_of(REPO) + "/model-00002"] = fault
    started = time.monotonic()
    found = read()
    assert time.monotonic() - started < 2
    assert found.partial
    assert rules(found) == ["shard-unreadable"]


def test_a_repetition_begins_where_redirects_had_led(hub: Hub) -> None:
    hub.add(REPO, model(3))
    hub.stumbles = {f"__cdn__/{REPO}/{commit_of(REPO)}/model-0000{i}": 1 for i in (1, 2, 3)}
    assert not read().partial
    assert len(hub.asked("/resolve/" + commit_of(REPO) + "/model-")) == 3
    assert len(hub.asked("-of-", cdn=True)) == 6


def test_but_not_for_ever(hub: Hub) -> None:
    hub.add(REPO, model(1))
    hub.stumbles = {"__cdn__": 4}
    assert not read().partial
    assert len(hub.asked("/resolve/" + commit_of(REPO) + "/model-")) == 2


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("retry-after", "Wed, 21 Oct 99999999999 07:28:00 GMT"),
        ("ratelimit", '"api";r=0;t=' + "9" * 400),
        ("ratelimit", '"api";r=0;t=' + "9" * 5000),
    ],
)
def test_waits_that_are_no_number(header: str, value: str) -> None:
    assert http.requested_wait(http.httpx2.Headers({header: value})) is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "foo://x:1"),
        ("HTTP_PROXY", "::::"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_FILE", "/etc/passwd"),
        ("HF_TOKEN", "hf_\u00e9"),
        ("HF_ENDPOINT", "http://127.0.0.1:1 "),
        ("HF_ENDPOINT", "http://[bad"),
        ("HF_ENDPOINT", "http://" + "a" * 300),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "abc"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-1"),
    ],
)
def test_settings_that_cannot_be(homes: Path, variable: str, value: str) -> None:
    plain = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    settings = plain | {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(homes), variable: value}
    run = subprocess.run(
        [sys.executable, "-m", "llmarch", "show", REPO],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 3
    assert run.stderr.startswith("error: ")


# Refusals, each with what to do


def test_repositories_renamed_in_a_circle(hub: Hub) -> None:
    hub.moved |= {"a/b": "c/d", "c/d": "a/b"}
    with pytest.raises(
        ReadError, match="a/b: the look-up could not be read: more than 20 redirects"
    ):
        read("a/b")


def test_missing_repository(hub: Hub) -> None:
    with pytest.raises(ReadError, match="there is no repository acme/nothing") as error:
        read("acme/nothing")
    assert "HF_TOKEN" in (error.value.hint or "")


def test_missing_repository_of_a_bundled_model(hub: Hub) -> None:
    with pytest.raises(ReadError) as error:
        read("Qwen/Qwen3-8B")
    assert "llmarch show qwen3-8b" in (error.value.hint or "")


def test_missing_revision(hub: Hub) -> None:
    hub.add(REPO, model(1))
    with pytest.raises(ReadError, match="acme/model has no revision v9"):
        read(f"{REPO}@v9")


def test_gated(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add(REPO)
    hub.add(REPO, model(2))
    with pytest.raises(ReadError, match="gated") as error:
        read()
    assert f"{hub.url}/{REPO}" in (error.value.hint or "")
    assert "HF_TOKEN" in (error.value.hint or "")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert not read().partial


def test_renamed_repository_is_followed_and_said(hub: Hub) -> None:
    hub.moved["acme/old"] = REPO
    commit = hub.add(REPO, model(2))
    found = read("acme/old")
    assert (found.repo_id, found.commit, found.name) == (REPO, commit, "model")
    assert [(f.rule, f.old, f.new) for f in found.findings] == [("repo-moved", "acme/old", REPO)]
    hub.reset()
    assert read(f"acme/old@{commit}").findings == found.findings
    assert hub.requests == []


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        ({"adapter_config.json": ADAPTER, "adapter_model.safetensors": b""},
         "LORA adapter for Qwen/Qwen3-8B", "llmarch show Qwen/Qwen3-8B"),
        ({"model_index.json": b'{"_class_name": "FluxPipeline"}', "unet/config.json": b"{}"},
         r"diffusers pipeline \(FluxPipeline\)",
         "text_encoder"),
        ({"config.json": b'{"model_type": "bert", "architectures": ["BertModel"]}',
         "modules.json": b"[]", "model.safetensors": b""},
         r"sentence encoder \(BertModel\)", "decoder"),
        ({"onnx/model.onnx": b"", "README.md": b""},
         r"contains only files of other formats \(onnx/model.onnx\)", "converted from"),
        ({"README.md": b""}, "neither a config.json nor safetensors", "model repository"),
    ],
)  # fmt: skip
def test_not_a_model(hub: Hub, files: dict[str, bytes], message: str, hint: str) -> None:
    hub.add(REPO, files)
    with pytest.raises(NotAModel, match=message) as error:
        read()
    assert hint in (error.value.hint or "")
    assert error.value.message.startswith(REPO)
    assert hub.asked(".safetensors", cdn=True) == []


def test_native_format(hub: Hub) -> None:
    native = {
        "layers.0.attention.wq.weight": ("BF16", (4096, 4096)),
        "norm.weight": ("BF16", (4096,)),
    }
    hub.add(
        REPO, {"params.json": b'{"dim": 4096, "n_layers": 1}', **sharded(native, 2, "consolidated")}
    )
    found = read()
    assert (found.config_file, found.config) == ("params.json", {"dim": 4096, "n_layers": 1})
    assert found.tensors is not None
    assert len(found.tensors) == 2
    assert found.findings == []


def test_both_formats(hub: Hub) -> None:
    hub.add(
        REPO, model(2) | {"params.json": b"{}", "consolidated.safetensors": safetensors(llama())}
    )
    found = read()
    assert found.config_file == "config.json"
    assert found.tensors is not None
    assert len(found.tensors) == len(llama())
    assert [(f.rule, f.path) for f in found.findings] == [
        ("other-weights", "consolidated.safetensors")
    ]
    assert hub.asked("consolidated") == []


# Hostile repositories


def test_broken_config(hub: Hub) -> None:
    hub.add(REPO, model(1) | {"config.json": b'{"a": 1,\n "b": }'})
    with pytest.raises(ConfigError, match=r"config.json: not valid JSON at line 2, column 7"):
        read()


def test_broken_header_names_its_file(hub: Hub) -> None:
    hub.add(
        REPO,
        model(2)
        | {
            "model-00002-of-00002.safetensors": with_header(
                '{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,1]}}', 1
            )
        },
    )
    with pytest.raises(
        HeaderError, match=r"model-00002-of-00002.safetensors: tensor a: unknown dtype X9"
    ):
        read()


@pytest.mark.parametrize("length", [10**8 + 1, 2**63, 2**64 - 1])
def test_a_header_length_beyond_reason_is_refused_before_it_is_read(hub: Hub, length: int) -> None:
    hub.add(
        REPO,
        {
            "config.json": json.dumps(CONFIG).encode(),
            "model.safetensors": Sparse(length.to_bytes(8, "little"), 10**12),
        },
    )
    with pytest.raises(HeaderError, match=r"model.safetensors: it claims a header of"):
        read()
    assert hub.bytes < 200_000


def test_an_empty_shard(hub: Hub) -> None:
    hub.add(REPO, {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": b""})
    with pytest.raises(HeaderError, match="truncated"):
        read()


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd.safetensors",
        "/etc/x.safetensors",
        "a\\..\\b.safetensors",
        "C:/x.safetensors",
        "a\nb.safetensors",
    ],
)
def test_an_index_that_leaves_the_repository_is_refused(hub: Hub, path: str) -> None:
    hub.add(REPO, model(1) | {"model.safetensors.index.json": index({"a": path})})
    with pytest.raises(ConfigError, match="outside the repository") as error:
        read()
    assert "\n" not in error.value.message
    assert hub.asked("passwd") == []


def test_odd_file_names_are_ignored(hub: Hub) -> None:
    hub.add(
        REPO,
        model(1)
        | {"../evil.safetensors": b"", "\x1b[31mred.safetensors": b"", "[bold]x[/bold].json": b""}
        | {
            "model-1-of-" + "9" * 5000 + ".safetensors": b"",
            "model-" + "9" * 5000 + "-of-00001.safetensors": b"",
        },
    )
    found = read()
    assert found.files == (
        "README.md",
        "[bold]x[/bold].json",
        "config.json",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
    )


def test_control_characters_are_escaped_in_messages(hub: Hub) -> None:
    hub.add(
        REPO,
        {
            "adapter_config.json": json.dumps(
                {"base_model_name_or_path": "a/b\x1b[2J\nevil"}
            ).encode()
        },
    )
    with pytest.raises(NotAModel) as error:
        read()
    assert (error.value.message + (error.value.hint or "")).isprintable()


# Offline and caches


def test_second_run_of_a_branch_is_one_request_and_of_a_commit_none(hub: Hub) -> None:
    commit = hub.add(REPO, model(3, experts=3))
    first = read()
    hub.reset()
    second = read()
    assert [r.path for r in hub.requests] == [f"/api/models/{REPO}/revision/main"]
    assert groups(second) == groups(first)
    assert (second.config, second.files, second.findings, second.commit) == (
        first.config,
        first.files,
        first.findings,
        commit,
    )
    hub.reset()
    third = read(f"{REPO}@{commit}")
    assert hub.requests == []
    assert groups(third) == groups(first)
    assert (third.reference, third.revision) == (f"{REPO}@{commit}", commit)


def rewrite_entry(homes: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the one entry of the cache."""
    (path,) = homes.rglob("*.json.z")
    line, _, numbers = zlib.decompress(path.read_bytes()).partition(b"\n")
    head = json.loads(line)
    change(head)
    path.write_bytes(zlib.compress(json.dumps(head).encode() + b"\n" + numbers))


def test_an_entry_that_denies_what_the_hub_says_is_read_again(hub: Hub, homes: Path) -> None:
    hub.add(REPO, model(3))
    first = read()

    def plant(head: dict[str, Any]) -> None:
        head["documents"]["config.json"] += " "
        head["file_ids"] = {}

    rewrite_entry(homes, plant)
    assert read(offline=True).config == first.config  # nothing tells there
    hub.reset()
    assert read().config == first.config
    assert hub.asked("config.json") != []
    rewrite_entry(homes, lambda head: head["files"].insert(0, "0.txt"))
    assert read().files == first.files


def test_offline_by_an_old_name(hub: Hub) -> None:
    hub.moved["acme/old"] = REPO
    hub.add(REPO, model(2))
    first = read("acme/old")
    assert read("acme/old", offline=True).findings == first.findings


def test_a_branch_that_moved_on_is_read_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, model(3))
    read()
    hub.repos[REPO] = {"main": model(1)}
    monkeypatch.setattr("helpers.loopback.commit_of", lambda repo, revision="main": "a" * 40)
    assert read().commit == "a" * 40


def test_refresh_reads_again(hub: Hub) -> None:
    hub.add(REPO, model(3))
    read()
    hub.reset()
    read(refresh=True)
    assert len(hub.asked(".safetensors", cdn=True)) == 3


@pytest.mark.parametrize("by_flag", [True, False])
def test_offline_reads_the_cache_and_asks_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, by_flag: bool
) -> None:
    hub.add(REPO, model(3))
    first = read()
    hub.reset()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", not by_flag)
    assert groups(read(offline=by_flag)) == groups(first)
    with pytest.raises(ReadError, match="offline, and acme/other is not cached"):
        read("acme/other", offline=by_flag)
    with pytest.raises(ReadError, match="offline") as error:
        read("Qwen/Qwen3-8B@v3", offline=by_flag)
    assert "llmarch show qwen3-8b" in (error.value.hint or "")
    assert hub.requests == []


def snapshot(homes: Path, files: dict[str, bytes | Sparse], commit: str) -> Path:
    """The repository as huggingface_hub downloads it: blobs, and a snapshot of links to them."""
    repo = homes / "hf" / "models--acme--model"
    write(repo / "blobs", {name.replace("/", "-"): content for name, content in files.items()})
    folder = repo / "snapshots" / commit
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).symlink_to(Path("../../blobs") / name)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    return folder


def test_offline_reads_what_huggingface_hub_has_downloaded(homes: Path) -> None:
    commit = commit_of(REPO)
    folder = snapshot(homes, model(3), commit)
    for text in (REPO, f"{REPO}@{commit}"):
        found = read(text, offline=True)
        assert (found.kind, found.repo_id, found.commit, found.name) == (
            "hub",
            REPO,
            commit,
            "model",
        )
        assert found.tensors is not None
        assert len(found.tensors) == len(llama())
    local = sources.open(parse_reference(str(folder)))
    assert (local.kind, local.repo_id, local.commit) == ("local", REPO, commit)
    assert groups(local) == groups(found)


def test_offline_with_the_config_alone(homes: Path) -> None:
    snapshot(homes, {"config.json": json.dumps(CONFIG).encode()}, commit_of(REPO))
    found = read(offline=True)
    assert (found.config, found.tensors, rules(found)) == (CONFIG, None, ["headers-not-cached"])


def test_downloaded_files_are_not_fetched_again(hub: Hub, homes: Path) -> None:
    files = model(3)
    commit = hub.add(REPO, files)
    snapshot(homes, {k: v for k, v in files.items() if "00002" not in k}, commit)
    assert not read().partial
    assert [r.path.rpartition("/")[2] for r in hub.requests] == [
        "main",
        *["model-00002-of-00003.safetensors"] * 2,
    ]


def test_waits_have_jitter_and_a_limit(monkeypatch: pytest.MonkeyPatch, homes: Path) -> None:
    client = http.Client()
    slept: list[float] = []
    monkeypatch.setattr(http.Client, "_sleep", lambda self, seconds: slept.append(seconds))
    for attempt in range(1, 9):
        client._wait_before_retry(attempt, None)
    assert all(a < b for a, b in pairwise(slept[:5]))
    assert max(slept) <= http.LONGEST_WAIT * 1.25
    assert len({round(s % 0.25, 9) for s in slept}) > 1
