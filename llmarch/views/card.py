"""What a publisher puts on a model's card: the architecture as a badge, a table and a statement."""

from __future__ import annotations

from .. import __version__
from ..analyses.parameters import count_parameters
from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture
from ..architecture.wording.mixers import mixer_word
from ..checkpoint.reading import Observation, Reading, Status
from ..sources.raw import RawModel, abbreviate_commit
from . import numbers
from .documents import Sheet
from .inferred import inferred_sheet
from .model import model_sheet
from .wording import first_moe, used_mixer_names

STATUS_WORDS: dict[Status, str] = {
    "verified": "verified",
    "computed": "from config",
    "partial": "read in part",
    "conflict": "conflict",
    "observed": "observed",
}
"""The last words of a badge."""
MOST_KINDS = 2
"""Kinds of attention that a badge names; the others are counted."""
BADGE_LABEL = "architecture"
"""The left half of a badge."""


@frozen
class Badge(Frozen):
    """One line about a model, for a small picture."""

    words: str
    """`MoE · GQA · 235.09 B, 22.19 B active · verified`."""
    status: Status


@frozen
class ModelCard(Frozen):
    """The section of a model card about the architecture."""

    sheet: Sheet
    badge: Badge
    statement: str
    """Who read it, and from what."""


def model_card(reading: Reading | Observation) -> ModelCard:
    """Return the section of a card about a model."""
    if isinstance(reading, Reading):
        a = reading.architecture
        sheet = model_sheet(reading)
        words = design_words(a)
        words.append(parameter_words(a))
    else:
        sheet = inferred_sheet(reading)
        words = [*observed_words(reading)]
    status = reading.status
    words.append(STATUS_WORDS[status])
    badge = Badge(" · ".join(words), status)
    return ModelCard(sheet, badge, statement(reading.raw))


def design_words(a: Architecture) -> list[str]:
    """Return the kinds of attention and, of a mixture of experts, `MoE`."""
    names = used_mixer_names(a)
    distinct: dict[str, None] = {}
    for name in names:
        word = mixer_word(a.mixers[name])
        distinct[word] = None
    mixers = list(distinct)
    more = len(mixers) - MOST_KINDS
    if more > 0:
        mixers[MOST_KINDS:] = [f"{more} more"]
    words = [" + ".join(mixers)]
    if first_moe(a):
        words.insert(0, "MoE")
    return words


def parameter_words(a: Architecture) -> str:
    """Return the total, and the active parameters where they are fewer: `235.09 B, 22 B active`."""
    counted = count_parameters(a)
    words = numbers.count(counted.total)
    of_text = counted.total - counted.vision
    if counted.active != of_text:
        active = numbers.count(counted.active)
        words += f", {active} active"
    return words


def observed_words(o: Observation) -> list[str]:
    """Return the total of a model that no family reads, where it is known."""
    total = o.observed.total
    if total is None:
        return []
    return [numbers.count(total)]


def statement(raw: RawModel) -> str:
    """Return who read a model, and from what: `llmarch 0.2.0 read config.json at commit 1a2b`."""
    source = raw.config_file
    if raw.tensors is not None:
        source += " and the tensor headers"
    if raw.commit:
        short = abbreviate_commit(raw.commit)
        source += f" at commit {short}"
    return f"llmarch {__version__} read {source}"
