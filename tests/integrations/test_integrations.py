"""Where people use the gate: what README and docs/ci.md tell them to copy, the GitHub Action, the
pre-commit hooks, the pytest example.

All of it runs without a network: against the loopback Hub, and with packages that are installed
here already.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.loopback import Hub
from helpers.models import files, fixture, having, layers, resized
from helpers.paths import ROOT

BASE, BOT = "Qwen/Qwen3-0.6B", "acme/support-bot"
SHIM = f'#!/bin/sh\nexec "{sys.executable}" -m llmarch "$@"\n'


pytestmark = [pytest.mark.usefixtures("work"), pytest.mark.slow]


def shell(script: str, *, code: int = 0, **env: str) -> str:
    """A script as GitHub runs it: bash, which ends at the first command that fails. llmarch is on
    the path.
    """
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT), **env},
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def offline_install() -> dict[str, str]:
    """What lets pip build and install llmarch without a network: nothing else is installed, and
    what it needs is found here.
    """
    return {
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONPATH": sysconfig.get_path("purelib"),
    }


@pytest.fixture(autouse=True)
def on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`llmarch` is this repository's, whether or not it is installed."""
    program = tmp_path / "bin" / "llmarch"
    program.parent.mkdir()
    program.write_text(SHIM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def models(hub: Hub) -> Hub:
    """The models of the recipes: a base, a fine-tune with added tokens, and an FP8 copy of that."""
    config, tensors = fixture("qwen3-0.6b-reduced-fp8-block")
    n = config["num_hidden_layers"]
    plain = {k: v for k, v in config.items() if k != "quantization_config"}
    hub.add(BASE, files("qwen3-0.6b", lambda _: plain, layers(n)))
    tuned, rows = plain | {"vocab_size": 151_940}, resized(151_940)
    hub.push(BOT, files("qwen3-0.6b", lambda _: tuned, lambda t: rows(layers(n)(t))), "first")
    hub.add(
        f"{BOT}-FP8",
        files("qwen3-0.6b", lambda _: config | {"vocab_size": 151_940}, lambda _: rows(tensors)),
    )
    return hub


def push_theta(hub: Hub) -> None:
    """A commit to the fine-tune that edits its RoPE base."""
    content = dict(hub.repos[BOT]["first"])
    data = content["config.json"]
    assert isinstance(data, bytes)
    hub.push(
        BOT,
        content | {"config.json": json.dumps(json.loads(data) | {"rope_theta": 10_000}).encode()},
        "theta",
    )


def blocks(file: str, section: str, language: str) -> list[str]:
    """The fenced blocks of a section."""
    text = (ROOT / file).read_text(encoding="utf-8")
    part = text.partition(f"\n## {section}")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


# README and docs/ci.md


def test_the_recipes_of_the_readme(models: Hub) -> None:
    pin, tune, quantised = blocks("README.md", "In CI", "sh")
    (transcript,) = blocks("README.md", "In CI", "console")
    assert "llmarch.lock: 2 models" in shell(pin)
    assert "1 ignored" in shell(tune)
    assert "quantization-changed" in shell(quantised)
    push_theta(models)
    out = shell("llmarch check", code=1)
    commits = re.compile(r"\b[0-9a-f]{7}\b")
    shown = transcript.removeprefix("$ llmarch check\n")
    assert commits.sub("", shown).split() == commits.sub("", out).split(), (
        "the README shows what the program prints"
    )
    shell(tune, code=1)
    shell(quantised, code=1)
    shell("llmarch check --update; llmarch check")


def test_the_exit_codes_of_the_readme() -> None:
    """The table of the README is that of errors.py."""
    from llmarch import errors

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = dict(re.findall(r"^\| (\d) \| (.*) \|$", text, re.MULTILINE))
    ours = dict(re.findall(r"^(\d)  (.*)$", errors.__doc__ or "", re.MULTILINE))
    assert set(readme) == set(ours) == set("012345")
    assert {code: said.replace("`", "") for code, said in readme.items()} == {
        code: said.replace("`", "") for code, said in ours.items()
    }


def test_settings_of_the_docs(models: Hub) -> None:
    (text,) = blocks("docs/ci.md", "Settings", "toml")
    assert "llmarch" in tomllib.loads(text)["tool"]
    Path("pyproject.toml").write_text(text)
    shell(f"llmarch lock {BOT}@main && llmarch check")


def test_the_template_for_gitlab(models: Hub) -> None:
    """Its script, but for the installation, as a runner has it; the docs include it."""
    document = yaml.safe_load((ROOT / "templates" / "llmarch.yml").read_text())
    job, variables = document["llmarch"], document["variables"]
    included = yaml.safe_load(blocks("docs/ci.md", "GitLab CI", "yaml")[0])
    assert included["include"][0]["remote"].endswith("/templates/llmarch.yml")
    assert set(included["llmarch"]["variables"]) <= set(variables)
    install, check = job["script"]
    assert install == 'pip install --quiet "$LLMARCH_INSTALL"'
    cache = str(Path(".llmarch-cache").absolute())
    env = {"LLMARCH_LOCK": variables["LLMARCH_LOCK"], "LLMARCH_CACHE": cache}
    assert variables["LLMARCH_CACHE"].endswith(f"/{Path(cache).name}")
    shell(f"llmarch lock {BOT}@main && {check}", **env)
    push_theta(models)
    shell(check, code=1, **env)
    reports = job["artifacts"]["reports"]
    assert job["artifacts"]["when"] == job["cache"]["when"] == "always"
    assert job["cache"]["paths"] == [f"{Path(cache).name}/"] and Path(cache).is_dir()
    assert "rope-theta-changed" in Path(reports["junit"]).read_text()
    assert json.loads(Path(reports["codequality"]).read_text())


def test_workflow_of_the_docs() -> None:
    """It uses the action with inputs that it has, and uploads what that writes."""
    job = yaml.safe_load(blocks("docs/ci.md", "GitHub Actions", "yaml")[0])["jobs"]["llmarch"]
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    ours = next(step for step in job["steps"] if "llmarch@" in step.get("uses", ""))
    assert set(ours["with"]) <= set(action["inputs"])
    assert (
        next(step for step in job["steps"] if "upload-sarif@" in step.get("uses", ""))["with"][
            "sarif_file"
        ]
        == ours["with"]["sarif"]
    )
    comment = job["steps"][-1]["run"]
    assert (
        f"--body-file {ours['with']['markdown']}" in comment
        and job["permissions"]["pull-requests"] == "write"
    )


# The action


def step_named(name: str) -> dict[str, Any]:
    """A step of the action."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    return next(step for step in steps if step["name"] == name)


def test_the_action_pins_what_it_installs() -> None:
    """Actions by commit, packages by hash; headers are cached between runs."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    uses = [step["uses"] for step in steps if "uses" in step]
    assert uses and all(re.search(r"@[0-9a-f]{40}$", name) for name in uses)
    text = (ROOT / "action-requirements.txt").read_text()
    pinned = re.findall(r"^([\w-]+)==\S+ .*\\\n(?=    --hash=sha256:)", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[\w-]+==", text, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["project"]["dependencies"], "hatchling"]
    names = {re.split(r"[<>=\[ ]", name)[0].replace("_", "-") for name in needed}
    assert names <= set(pinned)


def run_action(step: dict[str, Any], inputs: dict[str, str], code: int = 0, **env: str) -> str:
    """A step of the action, with its expressions filled in."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    values = {f"inputs.{k}": inputs.get(k, v["default"]) for k, v in action["inputs"].items()} | {
        "github.action_path": str(ROOT)
    }
    filled = {
        k: re.sub(r"\$\{\{ (\S+) \}\}", lambda m: values[m[1]], v) for k, v in step["env"].items()
    }
    assert step["shell"] == "bash" and "${{" not in step["run"], (
        "inputs reach the script as variables only"
    )
    return shell(step["run"], code=code, **filled, **env)


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The variables of a runner."""
    names = ("GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
    for name in names:
        (tmp_path / name).write_text("before\n")
    (tmp_path / "temp").mkdir()
    return {name: str(tmp_path / name) for name in names} | {"RUNNER_TEMP": str(tmp_path / "temp")}


def test_the_action_checks(models: Hub, runner: dict[str, str]) -> None:
    check = step_named("llmarch check")
    shell(f"llmarch lock {BASE} {BOT}@main")

    def outputs() -> list[str]:
        return Path(runner["GITHUB_OUTPUT"]).read_text().splitlines()

    assert "::notice title=llmarch check::no changes" in run_action(check, {}, **runner)
    push_theta(models)
    out = run_action(
        check, {"sarif": "out.sarif", "junit": "out.xml", "markdown": "out.md"}, code=1, **runner
    )
    assert "::error file=llmarch.lock,line=" in out and f"✗ {BOT}@main" in out
    assert (
        json.loads(Path("out.sarif").read_text())["runs"][0]["results"] and Path("out.xml").exists()
    )
    summary = Path(runner["GITHUB_STEP_SUMMARY"]).read_text()
    assert summary.startswith("before\n## ✅") and summary.endswith(Path("out.md").read_text())
    assert Path("out.md").read_text().startswith("## ❌ llmarch check")
    run_action(check, {"ignore": "rope-theta-changed\n  context-changed:*\n"}, **runner)
    run_action(check, {"fail-on": "weights"}, **runner)
    run_action(
        check, {"reference": BOT, "against": BASE, "ignore": "vocabulary-changed"}, code=1, **runner
    )
    run_action(check, {"reference": "acme/gone", "against": BASE}, code=3, **runner)
    run_action(check, {"lock": "other.lock"}, code=2, **runner)
    run_action(
        check, {"reference": "--update", "lock": "$(touch pwned); `touch pwned`"}, code=2, **runner
    )
    assert outputs() == ["before", *(f"exit-code={n}" for n in (0, 1, 0, 0, 1, 3, 2, 2))]
    assert not Path("pwned").exists()


def commands(log: str) -> list[str]:
    """The commands that a runner finds in a log (actions/runner, ActionCommand.cs):

    `::name …::` at the start of a line, behind blanks; `##[name …]` anywhere; nothing between
    ::stop-commands:: and its token.
    """
    found: list[str] = []
    stopped = ""
    for line in log.splitlines():
        match = re.match(r"\s*::([\w-]+)(?: [^\n]*?)?::(.*)", line) or re.search(
            r"##\[([\w-]+)[^\]]*\](.*)", line
        )
        if match is None or (stopped and match[1] != stopped):
            continue
        if match[1] != stopped and match[1] != "stop-commands":
            found.append(match[1])
        stopped = match[2] if match[1] == "stop-commands" else ""
    assert not stopped, "at the end, commands are taken again"
    return found


def test_a_repository_cannot_command_the_runner(models: Hub, runner: dict[str, str]) -> None:
    """A key of a config reaches the log in the report, a reference in an error; neither is a
    command there.
    """
    check = step_named("llmarch check")
    shell(f"llmarch lock {BOT}@main")
    content = dict(models.repos[BOT]["first"])
    data = content["config.json"]
    assert isinstance(data, bytes)
    evil = (
        "##[set-output name=exit-code;]0",
        "##[add-mask]e",
        "::stop-commands::x",
        "x" * 90 + " ::error::fake",
    )
    models.push(
        BOT,
        content | {"config.json": json.dumps(json.loads(data) | dict.fromkeys(evil, 1)).encode()},
        "evil",
    )
    out = run_action(check, {}, **runner)
    assert "##[set-output name=exit-code;]0" in out, "it is told, nevertheless"
    assert commands(out) == ["notice"] * 5
    out = run_action(check, {"reference": "##[add-mask]e"}, code=2, **runner)
    assert "##[add-mask]e" in out and commands(out) == ["error", "notice"]
    out = run_action(check, {"lock": "##[add-mask]e"}, code=2, **runner)
    assert "##[add-mask]e: no such file" in out, "errors are in the log too"
    assert commands(out) == ["error", "notice"], "and an annotation"
    assert "no such file" in Path(runner["GITHUB_STEP_SUMMARY"]).read_text()


def test_the_action_needs_a_python(tmp_path: Path, runner: dict[str, str]) -> None:
    """The first Python that is new enough, or an error that says what to do."""
    install = step_named("Install llmarch")
    old = tmp_path / "old"
    old.mkdir()
    (old / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    (old / "python3").write_text("#!/bin/sh\nexit 1\n")
    (old / "python3").chmod(0o755)
    out = run_action(install, {}, code=2, **{**runner, "PATH": str(old)})
    assert "::error title=llmarch check::Python 3.11 or later is needed" in out
    (old / "python3.12").write_text("#!/bin/sh\necho ran $1 >&2\n[ $1 = -c ]\n")
    (old / "python3.12").chmod(0o755)
    run_action(install, {}, code=1, **{**runner, "PATH": str(old)})


def test_the_action_installs(tmp_path: Path, runner: dict[str, str]) -> None:
    install = step_named("Install llmarch")
    run_action(install, {}, **runner, **offline_install())
    assert Path(runner["GITHUB_PATH"]).read_text() == "before\n", "the user's path stays as it is"
    added = f"{runner['RUNNER_TEMP']}/llmarch/bin"
    env = {**os.environ, "PYTHONPATH": offline_install()["PYTHONPATH"]}
    done = subprocess.run(
        [f"{added}/llmarch", "show", "qwen3-8b"],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        check=True,
    )
    assert "Qwen3-8B" in done.stdout


# pre-commit


def git(*args: str, cwd: Path) -> str:
    who = (
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "commit.gpgsign=false",
    )
    return subprocess.run(
        ["git", *who, *args], cwd=cwd, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """This repository as it is now, as a git repository of its own."""
    target = tmp_path / "clone"
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split(
        "\0"
    ):
        if name and (ROOT / name).is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    git("init", "-q", "-b", "main", cwd=target)
    git("add", "-A", cwd=target)
    git("commit", "-q", "-m", "as it is", cwd=target)
    return target


def test_the_hooks(models: Hub, clone: Path, tmp_path: Path) -> None:
    """A real pre-commit installs llmarch from a clone and runs both hooks: a model in the
    repository, and one on the Hub.
    """
    project = tmp_path / "project"
    (project / "model").mkdir(parents=True)
    config, _ = fixture("qwen3-0.6b")
    (project / "model" / "config.json").write_text(json.dumps(config))
    hooks = [h["id"] for h in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())]
    shown = yaml.safe_load(blocks("docs/ci.md", "pre-commit", "yaml")[0])["repos"]
    assert (
        [h["id"] for h in shown[0]["hooks"]] == hooks == ["llmarch-check", "llmarch-check-offline"]
    )
    revision = git("rev-parse", "HEAD", cwd=clone).strip()
    entry = {"repo": str(clone), "rev": revision, "hooks": [{"id": h} for h in hooks]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [entry]}))
    git("init", "-q", cwd=project)
    shell(f"cd {project} && llmarch lock ./model && git add -A")
    install = {
        **offline_install(),
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        "GIT_CONFIG_COUNT": "1",
    }
    install |= {"GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}

    def hook(*args: str, code: int = 0) -> str:
        return shell(
            f"cd {project} && {sys.executable} -m pre_commit run {' '.join(args)}",
            code=code,
            **install,
        )

    assert "Passed" in hook("llmarch-check-offline", "--all-files")
    (project / "model" / "config.json").write_text(json.dumps(having(rope_theta=10_000)(config)))
    git("add", "-A", cwd=project)
    out = hook("llmarch-check-offline", code=1)
    assert "rope-theta-changed" in out and "exit code: 1" in out
    (project / "README.md").write_text("# Nothing of a model\n")
    git("reset", "-q", cwd=project)
    git("add", "README.md", cwd=project)
    assert "(no files to check)" in hook("llmarch-check-offline")
    shell(f"cd {project} && rm llmarch.lock && llmarch lock {BOT}@main && git add -A")
    pushing = ("llmarch-check", "--hook-stage", "pre-push", "--all-files")
    assert "Passed" in hook(*pushing)
    push_theta(models)
    assert "rope-theta-changed" in hook(*pushing, code=1)


# pytest


def test_the_example(models: Hub, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "test_models.py", "test_models.py")
    shell(f"llmarch lock {BASE} {BOT}@main")
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider test_models.py"
    assert "3 passed" in shell(command)
    push_theta(models)
    out = shell(command, code=1)
    assert (
        "2 failed" in out
        and f"{BOT}@main: behaviour: rope-theta-changed: mixers.full.rope.theta: 1,000,000 → 10,000"
        in out
    )
    (text,) = blocks("docs/ci.md", "pytest", "python")
    Path("test_docs.py").write_text(text)
    assert "1 failed" in shell(f"{sys.executable} -m pytest -q test_docs.py", code=1)
