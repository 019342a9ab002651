"""What is not on this machine blocks no commit: `check --if-cached`, and `--changed` for hooks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.checkpoints import Sparse
from helpers.loopback import Files, commit_of
from helpers.models import files, having
from helpers.program import Run

pytestmark = pytest.mark.usefixtures("work")

BOT = "acme/bot"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 123456\n" % 1
CODE = {"modeling_bot.py": b"x = 1\n", "tokenizer.json": b"{}"}
ALONE = "the config alone was compared"
SHARD = "model-00002-of-00003.safetensors"


def write(folder: Path, repository: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in repository.items():
        with (folder / name).open("wb") as file:
            if isinstance(content, Sparse):
                file.write(content.head)
                file.truncate(content.size)
            else:
                file.write(content)


def download(home: Path, repository: Files) -> Path:
    """A repository as huggingface_hub has downloaded it."""
    folder = home / "hf" / f"models--{BOT.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit_of("first")
    write(snapshot, repository)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit_of("first"))
    return snapshot


def removed(*endings: str) -> Callable[[Path], None]:
    """Remove files by the end of their names."""

    def change(folder: Path) -> None:
        for path in [*folder.iterdir()]:
            if path.name.endswith(endings):
                path.unlink()

    return change


def as_pointers(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        path.write_bytes(POINTER)


def config_as_pointer(folder: Path) -> None:
    (folder / "config.json").write_bytes(POINTER)


def edit_theta(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rope_theta": 10_000}))


MISSING: dict[str, tuple[Callable[[Path], None], str]] = {
    "one shard": (removed(SHARD), ALONE),
    "all shards": (removed(".safetensors"), ALONE),
    "shards and index": (removed(".safetensors", ".index.json"), ALONE),
    "weights, code and tokenizer": (removed(".safetensors", ".py", "tokenizer.json"), ALONE),
    "pointers of LFS": (as_pointers, ALONE),
    "a config that is a pointer": (config_as_pointer, "not checked"),
}


@pytest.mark.parametrize("missing", MISSING)
def test_what_was_not_downloaded_blocks_no_commit(missing: str, homes: Path, run: Run) -> None:
    """Not even where an offline check is uncertain; what is certain still fails."""
    change, words = MISSING[missing]
    snapshot = download(homes, files("qwen3-0.6b", shards=3, more=CODE))
    run("lock", BOT, "--offline")
    run("check", "--offline")
    change(snapshot)
    assert run.json("check", "--offline", code=2 if "pointer" in missing else 4)
    out, _ = run("check", "--if-cached")
    assert words in out
    lock = Path("llmarch.lock").read_text()
    run("check", "--if-cached", "--update")
    assert Path("llmarch.lock").read_text() == lock, "half a model is not adopted"
    if words == ALONE:
        edit_theta(snapshot)
        assert "rope-theta-changed" in run("check", "--if-cached", code=1)[0]


@pytest.mark.parametrize("missing", [name for name in MISSING if name != "one shard"])
def test_weights_outside_of_the_projects_repository_block_no_commit(
    missing: str, tmp_path: Path, run: Run
) -> None:
    """A model in the project whose weights git ignores, or whose LFS files nobody has pulled."""
    change, words = MISSING[missing]
    write(Path("model"), files("qwen3-0.6b", shards=3))
    run("lock", "./model")
    change(Path("model"))
    assert words in run("check", "--if-cached")[0]
    if words == ALONE:
        edit_theta(Path("model"))
        assert "rope-theta-changed" in run("check", "--if-cached", code=1)[0]


def test_a_shard_that_is_missing_in_the_project_is_told(run: Run) -> None:
    """The others are there, so that it is none that nobody has downloaded."""
    write(Path("model"), files("qwen3-0.6b", shards=3))
    run("lock", "./model")
    Path("model", SHARD).unlink()
    assert "shard-missing" in run("check", "--if-cached", code=1)[0]


def test_a_model_that_no_family_reads(homes: Path, run: Run) -> None:
    """Of an observed model the keys of its config are compared."""
    unknown = having(model_type="nobody_reads_it", architectures=["NobodyForCausalLM"])
    snapshot = download(homes, files("qwen3-0.6b", unknown))
    run("lock", BOT, "--offline")
    removed(".safetensors")(snapshot)
    assert ALONE in run("check", "--if-cached")[0]
    edit_theta(snapshot)
    assert "rope_theta" in run("check", "--if-cached", code=1)[0]


def test_a_lock_without_the_config(homes: Path, run: Run) -> None:
    snapshot = download(homes, files("qwen3-0.6b"))
    run("lock", BOT, "--offline")
    document = json.loads(Path("llmarch.lock").read_text())
    del document["models"][BOT]["config"]
    Path("llmarch.lock").write_text(json.dumps(document))
    removed(".safetensors")(snapshot)
    assert "the lock has no config" in run("check", "--if-cached")[0]


def test_code_that_was_not_downloaded_is_not_gone(homes: Path, run: Run) -> None:
    """Neither with the lock of a whole repository, nor as an addition to the lock of a part."""
    snapshot = download(homes, files("qwen3-0.6b", more=CODE))
    run("lock", BOT, "--offline")
    removed(".py", "tokenizer.json")(snapshot)
    assert "remote-code-changed" not in run("check", "--offline")[0]
    run("lock", BOT, "--offline")
    write(snapshot, CODE)
    assert "remote-code-changed" not in run("check", "--offline")[0]
    run("lock", BOT, "--offline")
    second = snapshot.rename(snapshot.with_name(commit_of("second")))
    (snapshot.parent.parent / "refs" / "main").write_text(second.name)
    (second / "modeling_bot.py").write_bytes(b"x = 2\n")
    assert "remote-code-changed" in run("check", "--offline", code=1)[0]


def test_an_ignore_of_a_model_that_was_left_out_is_not_useless(homes: Path, run: Run) -> None:
    download(homes, files("qwen3-0.6b"))
    run("lock", BOT, "--offline")
    Path("llmarch.toml").write_text('ignore = ["vocabulary-changed"]\n')
    assert "matched no change" in run("check", "--if-cached")[0]
    (homes / "hf").rename(homes / "elsewhere")
    assert "matched no change" not in run("check", "--if-cached")[0]


# --- several references, and changed files ------------------------------------------------------


def names(run: Run, *args: str, code: int = 0) -> list[str]:
    return [verdict["reference"] for verdict in run.json("check", *args, code=code)["verdicts"]]


@pytest.fixture
def project(homes: Path, run: Run) -> None:
    """A git repository with three models of its own and two that come with llmarch."""
    for name in ("one", "two", "nested/three"):
        write(Path(name), files("qwen3-0.6b"))
    run("lock", "./one", "./two/config.json", "nested/three", "qwen3-8b", "gemma2-9b")
    Path("pyproject.toml").write_text('[tool.llmarch]\nfail-on = "behaviour"\n')
    git("init", "-q", ".")
    commit()


def git(*args: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "gc.auto=0")
    subprocess.run(["git", *who, *args], check=True, capture_output=True)


def commit() -> None:
    git("add", "*.toml", "*.lock")  # a file of zeros takes long to hash
    git("commit", "-q", "-m", "a commit")


ALL = ["./one", "./two/config.json", "gemma2-9b", "nested/three", "qwen3-8b"]


def test_several_references_and_patterns(project: None, run: Run) -> None:
    assert names(run, "qwen*", "./*", "gemma2-9b", "./one") == [
        "qwen3-8b",
        "./one",
        "./two/config.json",
        "gemma2-9b",
    ]
    assert "has no model zzz*" in run("check", "qwen*", "zzz*", code=2)[1]
    assert names(run, "qwen3-8b", "qwen3-0.6b", "--against", "qwen3-8b", code=1) == [
        "qwen3-8b",
        "qwen3-0.6b",
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ((), []),
        (("README.md", "src/config.json", "one/README.md"), []),
        (("one/config.json",), ["./one"]),
        (("./one/model.safetensors", "qwen3-8b"), ["./one"]),
        (("one/modeling.py",), ["./one"]),
        (("two/generation_config.json",), ["./two/config.json"]),
        (("nested/three/tokenizer.json", "one/a/b/config.json"), ["nested/three"]),
        (("pyproject.toml",), []),
        (("llmarch.lock",), ALL),
    ],
)
def test_changed_files_choose_models(
    project: None, run: Run, changed: tuple[str, ...], expected: list[str]
) -> None:
    """A lock as it was committed stands for all: `pre-commit run --all-files`."""
    assert names(run, "--changed", *changed) == expected


def test_of_a_changed_lock_the_entries_that_changed_are_checked(
    project: None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("lock", "qwen3-0.6b")
    assert names(run, "--changed", "llmarch.lock", "README.md") == ["qwen3-0.6b"]
    assert names(run, "--changed", "llmarch.lock", "one/config.json") == ["./one", "qwen3-0.6b"]
    commit()
    assert len(names(run, "--changed", "llmarch.lock")) == 6
    monkeypatch.setenv("PRE_COMMIT_FROM_REF", "HEAD~1")
    assert names(run, "--changed", "llmarch.lock") == ["qwen3-0.6b"], "a push has several commits"


def test_changed_settings_are_those_of_all_models(project: None, run: Run) -> None:
    Path("pyproject.toml").write_text('[tool.llmarch]\nfail-on = "behaviour"\n[tool.other]\n')
    assert names(run, "--changed", "pyproject.toml") == []
    Path("pyproject.toml").write_text('[tool.llmarch]\nfail-on = "weights"\n')
    assert names(run, "--changed", "pyproject.toml") == ALL
    Path("llmarch.toml").write_text('fail-on = "weights"\n')
    assert names(run, "--changed", "llmarch.toml") == ALL
    Path("llmarch.toml").write_text('fail-on = "nothing"\n')
    assert "nothing" in run("check", "--changed", "one/config.json", code=2)[1]


def test_a_project_without_git_or_without_a_lock(homes: Path, run: Run) -> None:
    """A hook that was set up before anything was locked stands in nobody's way."""
    assert "nothing was checked" in run("check", "--if-cached", "--changed", "a/config.json")[0]
    run("lock", "qwen3-8b")
    assert names(run, "--changed", "llmarch.lock") == ["qwen3-8b"]
    run("lock", "--remove", "qwen3-8b")
    assert names(run, "--changed", "llmarch.lock") == []
    assert "--changed" in run("check", "--changed", "a.json", "--against", "qwen3-8b", code=2)[1]
