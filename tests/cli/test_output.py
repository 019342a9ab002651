"""What every command writes, on any stream, and how a run ends that cannot go on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from helpers.facts import one_of_each_kind, reading
from helpers.program import Run

from llmarch.cli import common, main
from llmarch.compare.report import OUTCOMES
from llmarch.renderers import output, text
from llmarch.views.documents import Table
from llmarch.views.model import model_sheet
from llmarch.views.terms import ALL_TERMS

COMMANDS = [
    "show minimax-m1",
    "show qwen3-8b --all --layers -f markdown",
    "show gpt-oss-20b -f json",
    "show qwen3-8b --explain kv_heads",
    "diff qwen3-8b gpt-oss-20b deepseek-v3",
    "diff qwen3-8b llama3-8b -f markdown",
    "diff qwen3-8b llama3-8b -f json",
    "memory qwen3-8b --gpus 1xH100",
    "memory qwen3-8b gemma3-27b -f markdown",
    "memory qwen3-8b -f json",
    "fit qwen3-8b --gpus L40S",
    "fit qwen3-8b --gpus L40S -f markdown",
    "fit qwen3-8b --gpus L40S -f json",
    "list",
    "list -f markdown",
    "list -f json",
    "list -f csv",
    "like kimi-k2",
    "explain mla",
    "explain mla -f json",
    "explain",
    "show kimi-linear --new",
    "diff qwen3-8b llama3-8b --rules",
    "rules",
    "rules -f markdown",
    "rules -f json",
    "rules explain rope-theta-changed",
    "schema",
    "cache info",
    "--help",
    "show --help",
    "--version",
    "lock qwen3-8b -o {tmp}/x.lock",
    "check qwen3-8b --against llama3-8b",
    "check qwen3-8b --against llama3-8b -f json",
    "check qwen3-8b --against llama3-8b -f markdown",
    "check qwen3-8b --against qwen3-8b -f markdown",
    "check qwen3-8b --against llama3-8b -f github",
    "check qwen3-8b --against llama3-8b -f sarif",
    "check qwen3-8b --against llama3-8b -f junit",
    "show nothing-like-it-→",
]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "utf-8"])
@pytest.mark.parametrize("command", COMMANDS)
def test_any_stream_takes_every_output(
    command: str, encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written, errors = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(errors, encoding))
    monkeypatch.setattr(sys, "argv", ["llmarch", *command.format(tmp=tmp_path).split()])
    output.prepare_streams()
    with pytest.raises(SystemExit) as stop:
        main()
    sys.stdout.flush()
    sys.stderr.flush()
    fails = command.startswith("check") and "llama3" in command
    expected = 2 if "nothing" in command else int(fails)
    assert (stop.value.code or 0) == expected, errors.getvalue()
    printed = written.getvalue().decode(encoding)
    if command.endswith(("json", "sarif")) or command == "schema":
        json.loads(printed)
    if command.endswith("junit"):
        ElementTree.fromstring(printed.removeprefix('<?xml version="1.0" encoding="utf-8"?>'))
    if expected != 2 and "lock" not in command:
        assert printed.strip()


def test_marks_stay_apart_in_ascii() -> None:
    marks = ["✓", "✗", "?"]
    assert len({output.encodable(mark, "text", "ascii") for mark in marks}) == len(marks)


def test_marks_of_a_check_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep their meaning, apart from `x` for times and `?` for a character without a sign."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert [text.outcome_mark(mark) for mark in OUTCOMES.values()] == ["FAIL", "??  ", "ok  "]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert [text.outcome_mark(mark) for mark in OUTCOMES.values()] == list(OUTCOMES.values())


def test_every_symbol_has_a_sign() -> None:
    """What `show` and `explain` say of all kinds of models loses nothing in ASCII."""
    said = [
        part for term in ALL_TERMS for part in (term.name, term.meaning, term.formula, term.why)
    ]
    for alias in one_of_each_kind():
        sheet = model_sheet(reading(alias))
        said += [
            sheet.headline,
            *sheet.notes,
            *(line for _, lines in sheet.lines for line in lines),
        ]
    lost = {
        one for one in said if output.encodable(one, "text", "ascii").count("?") > one.count("?")
    }
    assert lost == set()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_columns_are_straight_on_any_stream(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign may be wider than what it stands for; it is measured, too."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    monkeypatch.setenv("COLUMNS", "100")
    rows = [["RoPE θ", "1e6 √2"], ["ε", "1 × 2"], ["plain", "≠ 3"]]
    text.table(Table(["", "value"], rows))
    sys.stdout.flush()
    lines = written.getvalue().decode(encoding).splitlines()
    starts = {
        line.index(word) for line, word in zip(lines, ["value", "1e6", "1 ", "!="], strict=True)
    }
    assert len(starts) == 1


def test_json_keeps_every_character() -> None:
    value = 'é→\U0001f600"\\'
    text = json.dumps(value, ensure_ascii=False)
    for encoding in ("ascii", "cp1252", "latin-1"):
        spelled = output.encodable(text, "json", encoding)
        spelled.encode(encoding)
        assert json.loads(spelled) == value


def run_process(command: str, **streams: object) -> subprocess.CompletedProcess[bytes]:
    arguments = [sys.executable, "-m", "llmarch", *command.split()]
    return subprocess.run(arguments, check=False, timeout=60, **streams)  # type: ignore[call-overload]


CLOSED = ["show qwen3-8b", "check qwen3-8b --against llama3-8b", "schema", "--help", "list -f json"]


@pytest.mark.parametrize("command", CLOSED)
def test_a_closed_pipe_is_an_exit_code_of_its_own(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = run_process(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (output.CLOSED_PIPE, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", CLOSED)
def test_a_full_disk_is_told(command: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = run_process(command, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 2
    assert b"No space left" in ended.stderr and b"Traceback" not in ended.stderr


def test_reports_for_files_are_written_before_standard_output(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = tmp_path / "x.sarif"
    command = f"check qwen3-8b --against llama3-8b --output text=- --output sarif={file}"
    run_process(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert json.loads(file.read_text(encoding="utf-8"))["runs"]


@pytest.mark.parametrize(
    "error", [KeyError("a"), RecursionError("deep"), ZeroDivisionError(), AssertionError("no")]
)
@pytest.mark.parametrize("command", ["show", "diff", "memory", "fit", "check", "lock"])
def test_a_fault_of_llmarch_is_no_result(
    command: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    import llmarch

    for name in ("inspect", "inspect_any"):
        monkeypatch.setattr(llmarch, name, fail)
    options = {"check": ["--against", "llama3-8b"], "diff": ["llama3-8b"]}
    _, message = run(command, "qwen3-8b", *options.get(command, []), code=70)
    assert type(error).__name__ in message and "Please report it" in message


def test_a_fault_before_the_command_runs(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(*_: object) -> None:
        raise ImportError("no module")

    monkeypatch.setattr("llmarch.cli.import_module", fail)
    assert "Please report it" in run("show", "qwen3-8b", code=70)[1]
    assert common.PARTIAL != 70


def test_a_wrong_option_is_in_the_reports_that_were_asked_for(run: Run, tmp_path: Path) -> None:
    """A build's log alone is not read: the annotation and the job's summary are."""
    summary = tmp_path / "summary.md"
    out, err = run(
        "check", "--bogus", "--output", "github=-", f"--output=markdown={summary}", code=2
    )
    assert "::error title=nothing was checked::No such option: --bogus" in out
    assert "--bogus" in err and "--bogus" in summary.read_text()
    assert "--bogus" in run("check", "--bogus", "--output", "nonsense", code=2)[1]
