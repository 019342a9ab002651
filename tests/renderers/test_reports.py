"""Reports in every format: valid by its schema, and the same facts in each.

Nothing in a repository's strings is taken for a part of the format.
"""

from __future__ import annotations

import gzip
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import xmlschema
from helpers.loopback import Hub
from helpers.models import files, having
from helpers.paths import FIXTURES
from helpers.program import Run

from llmarch.architecture.schema import Change
from llmarch.cli.check import ReportFormat, report_text
from llmarch.compare.report import ComparedSide, Report, Verdict, failed_report
from llmarch.compare.rules import CONSEQUENCES, SEVERITIES, rules_by_id
from llmarch.errors import ConfigError, ReadError
from llmarch.renderers import github, gitlab, junit, markdown, sarif, text
from llmarch.renderers import json as documents

pytestmark = pytest.mark.usefixtures("work")

SCHEMAS = FIXTURES / "schemas"
SARIF = jsonschema.Draft4Validator(
    json.loads(gzip.decompress((SCHEMAS / "sarif-2.1.0-rtm.5.json.gz").read_bytes()))
)
JUNIT = xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd")
GITLAB = jsonschema.Draft202012Validator(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["description", "check_name", "fingerprint", "severity", "location"],
            "additionalProperties": False,
            "properties": {
                "description": {"type": "string", "minLength": 1},
                "check_name": {"type": "string", "pattern": "^[a-z0-9-]+$"},
                "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
                "location": {
                    "type": "object",
                    "required": ["path", "lines"],
                    "additionalProperties": False,
                    "properties": {
                        "path": {"type": "string", "pattern": "^(?!\\./)"},
                        "lines": {
                            "type": "object",
                            "required": ["begin"],
                            "properties": {"begin": {"type": "integer", "minimum": 1}},
                        },
                    },
                },
            },
        },
    }
)
"""The fields that GitLab documents for Code Quality (docs.gitlab.com/ci/testing/code_quality)."""
EVIL = "\x1b[31m<b>&]]>\x00\ufffe%0A::error::|`x`\r\n::stop-commands::\u202e\ud800"

THETA = Change(
    rule="rope-theta-changed", path="mixers.full.rope.theta", old=1e6, new=1e4, severity="behaviour"
)
CONTEXT = Change(
    rule="context-changed", path="context_length", old=40_960, new=None, severity="capacity"
)
SHARD = Change(
    rule="shard-missing",
    path="model-00002.safetensors",
    old=None,
    new="model-00002.safetensors is not there",
    severity="weights",
)
ODD = Change(
    rule="dtype-changed", path=f"mixers.{EVIL}.x", old=EVIL, new=[EVIL], severity="quantization"
)
KEY = Change(rule="unread-key", path="a,b:c", old=None, new="is there", severity="info")

SAME = Verdict("Qwen/Qwen3-8B@main", "3f1c2e9", "3f1c2e9")
CHANGED = Verdict(
    "acme/bot@main",
    "3f1c2e9",
    "8d0b7aa",
    (SHARD, THETA, CONTEXT, KEY),
    ignored=2,
    model_line=7,
    fact_lines={"mixers.full.rope": 40},
)
HOSTILE = Verdict(
    f"acme/{EVIL}", None, None, (ODD,), partial=True, remarks=(EVIL,), model_line=99, against=EVIL
)
GONE = Verdict(
    "acme/gone",
    "3f1c2e9",
    None,
    error=ReadError(f"no repository {EVIL}", "check the spelling"),
    model_line=5,
)
PARTIAL = Verdict(
    "acme/half", "a", "b", partial=True, remarks=("read in part: a shard",), model_line=6
)

SIDES = (
    ComparedSide("acme/bot@v1", "acme/bot", "v1", "3f1c2e9" + "0" * 33),
    ComparedSide("acme/bot@v2", "acme/bot", "v2", "8d0b7aa" + "0" * 33),
)
REMARKED = Verdict(
    "acme/bot@v2",
    "3f1c2e9",
    "8d0b7aa",
    remarks=("another llmarch read it",),
    against="acme/bot@v1",
    old_side=SIDES[0],
    new_side=SIDES[1],
    seconds=1.25,
)
STOLEN = replace(REMARKED, changes=(THETA, CONTEXT, ODD, KEY))
IDENTIFIED = [
    replace(change, id=f"{number:x}a2b3c4d5e6f", **more)
    for number, (change, more) in enumerate(
        [
            (SHARD, {}),
            (THETA, {"key": "rope_theta", "key_old": 1e6, "key_new": 1e4}),
            (CONTEXT, {"key": "max_position_embeddings", "consequence": "prompts are cut"}),
            (ODD, {"key": "torch_dtype", "key_old": "a", "key_new": "b"}),
            (KEY, {}),
        ]
    )
]
"""A change of each severity as a check tells it: with its id, and its config key if it has one."""


NOTE = "pyproject.toml: no change needs the ignore dtype-changed any more"
REPORTS = {
    "remark": Report((REMARKED,), "behaviour", "llmarch.lock", notes=(NOTE,)),
    "revisions": Report((replace(STOLEN, changes=tuple(IDENTIFIED)),), "capacity"),
    **{
        severity: Report((replace(REMARKED, changes=(change,)),), "behaviour", "llmarch.lock")
        for severity, change in zip(SEVERITIES, IDENTIFIED, strict=True)
    },
    "usage": failed_report(ConfigError("llmarch.lock: no such file", "write one")),
    "clean": Report((SAME,), "behaviour", "llmarch.lock"),
    "empty": Report((), "behaviour", "llmarch.lock"),
    "changed": Report((SAME, CHANGED), "behaviour", "locks/my models.lock"),
    "hostile": Report((HOSTILE,), "info", f"{EVIL}.lock"),
    "unread": Report((GONE, PARTIAL, SAME), "behaviour", "llmarch.lock"),
    "pair": Report((CHANGED,), "weights"),
}


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]")


@pytest.mark.parametrize("kind", ReportFormat)
def test_every_format_says_what_could_not_be_read(kind: ReportFormat) -> None:
    """A format that drops an error or a partial reading would pass for a clean one."""
    content = report_text(REPORTS["unread"], kind)
    assert "no repository" in content
    assert "read in part: a shard" in content


@pytest.mark.parametrize("kind", ReportFormat)
@pytest.mark.parametrize("name", [*SEVERITIES, "remark", "revisions"])
def test_every_format_has_changes_and_remarks(kind: ReportFormat, name: str) -> None:
    """Each severity with title, meaning, config key and id; remarks; both sides with commits."""
    written = html.unescape(report_text(REPORTS[name], kind)).replace("\\", "")
    content = " ".join(written.replace("<!-- -->", "").split())
    wanted = ["another llmarch read it", "3f1c2e9", "8d0b7aa", "acme/bot@v1", "acme/bot@v2"]
    for c in (c for v in REPORTS[name].verdicts for c in v.changes):
        rule = rules_by_id()[c.rule]
        consequence = c.consequence or CONSEQUENCES[c.severity]
        wanted += [c.rule, rule.title, consequence, str(c.id)]
        if c.key is not None:
            wanted.append(c.key)
    if REPORTS[name].notes:
        wanted.append(NOTE)
    assert [word for word in wanted if word not in content] == []


@pytest.mark.parametrize("kind", ReportFormat)
def test_every_format_says_why_a_check_could_not_begin(kind: ReportFormat) -> None:
    assert "no such file" in report_text(REPORTS["usage"], kind)


def test_rules_that_fail_are_named_beside_the_level() -> None:
    report = replace(REPORTS["changed"], fail_rules=frozenset({"token-ids-changed"}))
    assert "at or above 'behaviour' or of token-ids-changed" in str(report)
    assert "at or above 'behaviour' or of token-ids-changed" in markdown.report(report)


def test_a_wrong_command_line_is_no_model_that_could_not_be_read() -> None:
    report = REPORTS["usage"]
    assert documents.report(report)["summary"]["models"] == 0
    for content in (github.report(report), markdown.report(report), str(report)):
        assert "could not be read" not in content and "nothing was checked" in content


@pytest.mark.parametrize("name", REPORTS)
def test_gitlab_is_valid(name: str) -> None:
    report = REPORTS[name]
    entries = json.loads(documents.json_text(gitlab.report(report)))
    GITLAB.validate(entries)
    changes = [c for v in report.verdicts for c in v.changes]
    named = [e for e in entries if not e["check_name"].startswith("llmarch-")]
    assert [e["check_name"] for e in named] == [c.rule for c in changes]
    assert [e["severity"] in ("major", "critical") for e in named] == [
        report.fails(c) for c in changes
    ]
    fingerprints = [e["fingerprint"] for e in entries]
    assert len(set(fingerprints)) == len(fingerprints), "GitLab shows one of several alike"
    if report.exit_code > 1:
        assert any(e["severity"] == "critical" for e in entries)


@pytest.mark.parametrize("name", REPORTS)
def test_sarif_describes_tool_and_rules(name: str) -> None:
    (run,) = json.loads(documents.json_text(sarif.report(REPORTS[name])))["runs"]
    driver = run["tool"]["driver"]
    assert driver["informationUri"].startswith("https://") and driver["version"]
    assert run["automationDetails"]["id"].endswith("/")
    for rule in driver["rules"]:
        assert rule["helpUri"].endswith(f"/docs/rules.md#{rule['id']}")
        assert rules_by_id()[rule["id"]].explanation in rule["help"]["markdown"]


def test_sarif_of_two_locks_are_two_analyses() -> None:
    ids = {
        sarif.report(Report((SAME,), "behaviour", file))["runs"][0]["automationDetails"]["id"]
        for file in ("a.lock", "b.lock", "")
    }
    assert len(ids) == 3


def test_links_of_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, used in (
        ("https://github.com/acme/llmarch", "https://github.com/acme/llmarch"),
        ("javascript:alert(1)", "https://github.com/OWNER/llmarch"),
        ("https://x/) [y](z", "https://github.com/OWNER/llmarch"),
    ):
        monkeypatch.setenv("LLMARCH_PROJECT_URL", given)
        assert sarif.report(REPORTS["clean"])["runs"][0]["tool"]["driver"]["informationUri"] == used


def test_markdown_links_rules_and_commits() -> None:
    content = markdown.report(REPORTS["behaviour"])
    assert f"[3f1c2e9](https://huggingface.co/acme/bot/commit/{SIDES[0].commit})" in content
    assert f"[8d0b7aa](https://huggingface.co/acme/bot/commit/{SIDES[1].commit})" in content
    assert "/docs/rules.md#rope-theta-changed): RoPE base changed: it loads, and" in content
    page = Path(FIXTURES.parent.parent, "docs/rules.md").read_text(encoding="utf-8")
    assert all(f'<a id="{id}"></a>' in page for id in rules_by_id())


def test_junit_has_times() -> None:
    root = ET.fromstring(junit.report(REPORTS["remark"]).encode())
    times = [element.attrib.get("time") for element in root.iter() if "name" in element.attrib]
    assert times == ["1.250"] * 3
    root = ET.fromstring(junit.report(REPORTS["clean"]).encode())
    assert all("time" not in element.attrib for element in root.iter())


@pytest.mark.parametrize("name", REPORTS)
def test_json_counts_what_it_has(name: str) -> None:
    document = documents.report(REPORTS[name])
    changes = [c for v in document["verdicts"] for c in v["changes"]]
    assert sum(document["counts"].values()) == len(changes)
    assert document["summary"]["failing"] == sum(c["fails"] for c in changes)
    assert document["llmarch_version"]
    for v, verdict in zip(REPORTS[name].verdicts, document["verdicts"], strict=True):
        assert verdict["outcome"] == REPORTS[name].outcome(v)
        if v.old_side is not None:
            assert verdict["old_model"]["commit"] == v.old_side.commit
    for c in changes:
        assert c["title"] == rules_by_id()[c["rule"]].title and c["meaning"].startswith(c["title"])


@pytest.mark.parametrize("kind", ReportFormat)
def test_no_format_passes_control_characters_on(kind: ReportFormat) -> None:
    assert CONTROL.findall(report_text(REPORTS["hostile"], kind)) == []


@pytest.mark.parametrize("name", REPORTS)
def test_sarif_is_valid(name: str) -> None:
    report = REPORTS[name]
    document = json.loads(documents.json_text(sarif.report(report)))
    SARIF.validate(document)
    (run,) = document["runs"]
    changes = [(v, c) for v in report.verdicts for c in v.changes]
    assert [r["ruleId"] for r in run["results"]] == [c.rule for _, c in changes]
    assert [run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] for r in run["results"]] == [
        c.rule for _, c in changes
    ]
    assert [r["level"] == "error" for r in run["results"]] == [report.fails(c) for _, c in changes]
    lines = [
        r["locations"][0].get("physicalLocation", {}).get("region", {}).get("startLine")
        for r in run["results"]
    ]
    assert lines == [v.line_of(c.path) if report.file else 1 for v, c in changes]
    (invocation,) = run["invocations"]
    assert invocation["exitCode"] == report.exit_code
    assert invocation["executionSuccessful"] == (
        report.exit_code in (0, 1) and not any(v.partial for v in report.verdicts)
    )
    prints = [json.dumps(r["partialFingerprints"]) for r in run["results"]]
    assert len(set(prints)) == len(prints)


def test_sarif_places() -> None:
    results = sarif.report(REPORTS["changed"])["runs"][0]["results"]
    places = {r["ruleId"]: r["locations"][0]["physicalLocation"] for r in results}
    assert places["rope-theta-changed"]["region"] == {"startLine": 40}, (
        "the line of the nearest thing above it that has one"
    )
    assert places["shard-missing"]["region"] == {"startLine": 7}
    assert places["shard-missing"]["artifactLocation"] == {
        "uri": "locks/my%20models.lock",
        "uriBaseId": "%SRCROOT%",
    }


@pytest.mark.parametrize("name", REPORTS)
def test_github_takes_the_sarif(name: str) -> None:
    """GitHub refuses a whole report for one result without a file, or with one that is no URI.

    See github/codeql-action issue 2459.
    """
    (run,) = sarif.report(REPORTS[name])["runs"]
    held = [*run["results"], *run["invocations"][0]["toolExecutionNotifications"]]
    for place in (place for part in held for place in part["locations"]):
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"([\w/.~-]|%[0-9A-F]{2})+", uri), uri
    assert all(part["locations"] for part in held)


@pytest.mark.parametrize(
    ("file", "uri", "base"),
    [
        ("llmarch.lock", "llmarch.lock", True),
        ("./a b/llmarch.lock", "a%20b/llmarch.lock", True),
        ("../llmarch.lock", "../llmarch.lock", True),
        ("/srv/a b.lock", "file:///srv/a%20b.lock", False),
        ("C:\\models\\llmarch.lock", "file:///C:/models/llmarch.lock", False),
        ("https://huggingface.co/a/b", "https%3A//huggingface.co/a/b", True),
        ("./", ".", True),
    ],
)
def test_sarif_files(file: str, uri: str, base: bool) -> None:
    """Only what lies in the project is relative to its root."""
    assert sarif.artifact(file) == {"uri": uri} | ({"uriBaseId": "%SRCROOT%"} if base else {})


@pytest.mark.parametrize("name", REPORTS)
def test_junit_is_valid(name: str) -> None:
    report = REPORTS[name]
    content = junit.report(report)
    JUNIT.validate(content)
    root = ET.fromstring(content.encode())
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(report.verdicts) == int(root.attrib["tests"])
    for case, v in zip(cases, report.verdicts, strict=True):
        kinds = [child.tag for child in case if child.tag != "system-out"]
        assert kinds == (
            ["failure"] if report.failing(v) else ["error"] if v.error or v.partial else []
        )
    assert int(root.attrib["failures"]) + int(root.attrib["errors"]) == len(
        root.findall(".//failure")
    ) + len(root.findall(".//error"))


@pytest.mark.parametrize("name", REPORTS)
def test_github_is_well_formed(name: str) -> None:
    report = REPORTS[name]
    lines = github.report(report).split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert re.fullmatch(r"::(error|warning|notice) [^\r\n]*::[^\r\n]*", line)
        properties = line.split("::", 2)[1]
        assert ":" not in properties and "\x1b" not in line and "\x00" not in line
    assert sum(line.startswith("::error ") for line in lines) == sum(
        len(report.failing(v)) + bool(v.error) + v.partial for v in report.verdicts
    )
    assert lines[-1].startswith("::notice title=llmarch check::")


def test_github_annotations() -> None:
    lines = github.report(REPORTS["changed"]).splitlines()
    assert lines[1].startswith(
        "::error file=locks/my models.lock,line=40,"
        "title=behaviour%3A rope-theta-changed::acme/bot@main (3f1c2e9 → 8d0b7aa): "
    )
    assert lines[1].endswith(
        "1,000,000 → 10,000%0ARoPE base changed: it loads, and answers differently"
    )
    assert lines[3].startswith(
        "::notice file=locks/my models.lock,line=7,"
        "title=info%3A unread-key::acme/bot@main (3f1c2e9 → 8d0b7aa): a,b:c: is there"
    )
    assert (
        lines[-1]
        == "::notice title=llmarch check::2 changes at or above 'behaviour' · 2 below · 2 ignored"
    )


def test_github_shows_ten_of_each() -> None:
    """No more than GitHub shows: what fails goes first, and the summary counts the rest."""
    many = [
        Change(rule="heads-changed", path=f"mixers.m{i}.heads", old=1, new=2, severity="weights")
        for i in range(25)
    ]
    few = [Change(rule="context-changed", path="context_length", old=1, new=2, severity="capacity")]
    lines = github.report(
        Report((Verdict("m", None, None, (*many, *few)),), "behaviour")
    ).splitlines()
    assert [
        sum(line.startswith(f"::{level} ") for line in lines)
        for level in ("error", "warning", "notice")
    ] == [10, 1, 1]
    assert lines[-1].endswith(
        "25 changes at or above 'behaviour' · 1 below, 15 annotations more than GitHub shows"
    )


@pytest.mark.parametrize("name", REPORTS)
def test_text_and_markdown_are_clean(name: str) -> None:
    report = REPORTS[name]
    plain, marked = text.captured(lambda out: text.report(report, out)), markdown.report(report)
    for content in (plain, marked, str(report)):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ud800\ufffe]", content)
        words = "nothing was checked" if report.is_unbegun else r"changes? at or above"
        assert re.search(words, content)
    assert "<b>" not in marked and "`x`" not in marked
    assert max(map(len, plain.splitlines())) <= 120


def test_markdown_folds_what_does_not_fail() -> None:
    content = markdown.report(REPORTS["changed"])
    failing, _, folded = content.partition("<details>")
    assert failing.startswith(
        "## ❌ llmarch check\n\n**2 changes at or above 'behaviour' · 2 below · 2 ignored**"
    )
    assert (
        "| behaviour | rope-theta-changed | mixers.full.rope.theta | 1,000,000 → 10,000 |"
        in failing
    )
    assert "context-changed" in folded and "context-changed" not in failing
    assert "✓ **Qwen/Qwen3-8B@<!-- -->main** 3f1c2e9: same architecture" in content
    assert markdown.report(REPORTS["unread"]).startswith("## ❔ llmarch check")
    assert markdown.report(REPORTS["clean"]).startswith("## ✅ llmarch check")


@pytest.mark.parametrize(
    "words",
    [
        "@octocat",
        "x @org/team",
        "#1",
        "acme/x#12",
        "GH-1",
        "https://evil.example",
        "www.evil.example",
        "&commat;octocat",
        "&#64;a",
    ],
)
def test_markdown_pings_nobody(words: str) -> None:
    """No mention, issue or address is left for GitHub, which looks for them after Markdown.

    That is in text without backslashes and with entities decoded.
    """
    shown = html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown.escape(words)))
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.", shown)
    assert shown.replace("<!-- -->", "") == words, "and it reads as it is"


def test_markdown_fits_into_a_comment() -> None:
    """GitHub takes 65,536 characters. What fails is never left out before what does not."""
    heads = [
        Change(rule="heads-changed", path=f"mixers.m{i}.heads", old=1, new=2, severity="weights")
        for i in range(400)
    ]
    long = Change(
        rule="dtype-changed", path="dtype", old="x" * 10**5, new=["y" * 10**5], severity="info"
    )
    wide = Report(
        tuple(Verdict(f"acme/m{n}@main", "a", "b", (*heads, long)) for n in range(20)),
        "behaviour",
        "llmarch.lock",
    )
    content = markdown.report(wide)
    assert len(content) < 65_536
    assert "**8,000 changes at or above 'behaviour'" in content and all(
        f"acme/m{n}@" in content for n in range(20)
    )
    assert content.count("and 380 more") == 20
    same = [Verdict(f"acme/s{n}@main", "aaaaaaa", "aaaaaaa") for n in range(3000)]
    content = markdown.report(Report((*same, GONE, CHANGED), "behaviour", "llmarch.lock"))
    assert len(content) < 65_536
    assert content.index("acme/bot") < content.index("acme/gone") < content.index("acme/s0@")
    assert re.search(r"and \d+ models more\n$", content)


@pytest.mark.parametrize("name", REPORTS)
def test_json_keeps_the_contract(name: str) -> None:
    from llmarch.architecture.json_schema import json_schema, validate

    document = documents.report(REPORTS[name])
    validate(document)
    if name != "hostile":
        schema = json_schema()
        jsonschema.Draft202012Validator(
            {"$ref": "#/$defs/CheckDocument", "$defs": schema["$defs"]}
        ).validate(json.loads(documents.json_text(document)))
    assert [v["reference"] for v in document["verdicts"]] == [
        v.name for v in REPORTS[name].verdicts
    ]


def test_exit_codes() -> None:
    """A certain change goes before a doubt, and a doubt is never 0."""
    assert {name: r.exit_code for name, r in REPORTS.items()} == {
        "clean": 0,
        "empty": 0,
        "changed": 1,
        "hostile": 1,
        "unread": 3,
        "pair": 1,
        "remark": 0,
        "revisions": 1,
        "usage": 2,
        "weights": 1,
        "behaviour": 1,
        "capacity": 0,
        "quantization": 0,
        "info": 0,
    }
    assert Report((PARTIAL,), "behaviour").exit_code == 4
    assert Report((GONE, CHANGED), "behaviour").exit_code == 1


def test_several_at_once(hub: Hub, run: Run) -> None:
    hub.push("acme/model", files("qwen3-0.6b"), "one")
    run("lock", "acme/model@main")
    hub.push("acme/model", files("qwen3-0.6b", having(rope_theta=7)), "two")
    args = [f"--output={kind}=report.{kind}" for kind in ReportFormat]
    _, err = run("check", "--lock", "none.lock", *args, code=2)
    assert "none.lock: no such file" in err
    for kind in ReportFormat:
        assert "none.lock: no such file" in Path(f"report.{kind}").read_text(), kind
    out, _ = run("check", *args, code=1)
    assert out == Path("report.text").read_text(), (
        "text goes to standard output too where nothing else does"
    )
    out, _ = run("check", *args, "--output", "markdown=-", code=1)
    assert out == Path("report.markdown").read_text()
    document: dict[str, Any] = json.loads(Path("report.sarif").read_text())
    SARIF.validate(document)
    JUNIT.validate("report.junit")
    place = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert (
        Path("llmarch.lock")
        .read_text()
        .splitlines()[place["region"]["startLine"] - 1]
        .strip()
        .startswith('"theta": 1000000')
    )
    assert f"line={place['region']['startLine']}," in Path("report.github").read_text()
    assert (
        json.loads(Path("report.json").read_text())["verdicts"][0]["changes"][0]["line"]
        == place["region"]["startLine"]
    )
