"""Every decoder type at its class defaults and with one field changed at a time is read exactly.

tests/oracle/model_types.py wrote the fixtures from transformers' classes: names, shapes and numbers
of all tensors. What is read here must have that total and match those tensors, or be refused; the
refusals are listed in helpers/model_types.py with the reason.
"""

from __future__ import annotations

import re
from functools import cache
from math import prod
from typing import Any

import pytest
from helpers.checkpoint_fixtures import local_model
from helpers.folded import folded_table
from helpers.model_types import CANNOT_RUN, DIFFERENT, ENCODER, REFUSED, WITHOUT_FIXTURE
from helpers.type_fixtures import TYPES, Tables, folded, read_fixture

from llmarch.analyses.parameters import count_parameters
from llmarch.checkpoint.reading import read_model
from llmarch.config.families import MODEL_TYPES
from llmarch.errors import ConfigError, NotAModel

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

READ = [name for name in TYPES if name in MODEL_TYPES]

LARGE = {"kimi_k25"}
"""Types of which every third setting is read: one takes more than a second."""

fixture = cache(read_fixture)


def wrong(model_type: str, row: dict[str, Any]) -> str | None:
    """Return what is read otherwise than transformers builds it, or None."""
    document = fixture(model_type)
    rows: Tables = document["tables"][row["tensors"]]
    config = {**row["saved"], "model_type": model_type}
    if not document["about"].get("whole"):
        config = {**document["rows"][0]["saved"], **config}
    table = folded_table(folded(rows), "BF16")
    try:
        reading = read_model(local_model(config, table, model_type))
    except (ConfigError, NotAModel) as error:
        return f"refused: {error}"
    total = sum(prod(shape) * count for _, shape, _, count in rows)
    counted = count_parameters(reading.architecture).total
    if counted != total:
        return f"total {counted:,} instead of {total:,}"
    broken = [f for f in reading.findings if f.severity == "weights"]
    if broken and all(f.rule == "config-refused" for f in broken):
        return f"refused: {broken[0].message}"
    if reading.status != "verified":
        found = "; ".join(f.message for f in reading.findings[:3])
        return f"{reading.status}: {found}"
    if row["set"] == {} and not any(e.confirmed_by for e in reading.evidence.values()):
        return "its shapes prove nothing"
    return None


@pytest.mark.parametrize("model_type", READ)
def test_each_setting_is_exact(model_type: str) -> None:
    failures: list[str] = []
    used: set[str] = set()
    rows = fixture(model_type)["rows"]
    if model_type in LARGE:
        rows = rows[::3]
    for row in rows:
        message = wrong(model_type, row)
        if message is None:
            continue
        settings = " ".join(f"{key}={value}" for key, value in row["set"].items())
        refused = message.startswith("refused")
        if refused and (ENCODER in settings or any(re.search(p, message) for p in CANNOT_RUN)):
            continue
        known = REFUSED if refused else DIFFERENT
        reasons = [p for p in known.get(model_type, {}) if re.search(p, settings)]
        used.update(reasons)
        if not reasons:
            failures.append(f"{settings or 'class defaults'}: {message}")
    assert failures == []
    if model_type in LARGE:
        return
    assert used == {*REFUSED.get(model_type, {}), *DIFFERENT.get(model_type, {})}, "outdated"


def test_every_model_type_has_a_fixture() -> None:
    absent = sorted(MODEL_TYPES.keys() - set(TYPES) - WITHOUT_FIXTURE.keys())
    assert absent == [], (
        f"{', '.join(absent)}: `make oracle ARGS='model_types {' '.join(absent)}'` needs "
        "no other files, or add the type to WITHOUT_FIXTURE with the reason"
    )
