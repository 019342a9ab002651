"""Which GGUF files of a folder or repository make one model, and which of the models is meant.

Pure functions of the list of file names. A repository of GGUF files has one model in many
quantisations: `org/name:Q4_K_M` picks one by the words in its name, or by the name of its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...architecture.frozen import Frozen, frozen
from ...errors import NotAModel, UnknownReference, printable

SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf", re.IGNORECASE)
"""Name of one of the files into which llama.cpp splits a model (llama_split_path)."""
_NOT_MODELS = re.compile(r"mmproj|imatrix", re.IGNORECASE)
"""In the names of projectors of images and sounds, and of importance matrices."""
_QUANTISATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d|TQ\d|BF16|F16|F32|MXFP4|NVFP4)[A-Za-z0-9_]*)", re.IGNORECASE
)
_DYNAMIC = "ud-"
_MOST_SHOWN = 30


@frozen
class GgufSet(Frozen):
    """The files of one model."""

    files: tuple[str, ...]
    """Those that are there, in order."""
    total: int
    """How many there are by their names."""

    @property
    def name(self) -> str:
        """Return the name of the model: of its file without number and suffix."""
        _, _, base = self.files[0].rpartition("/")
        split = SPLIT.fullmatch(base)
        if split is not None:
            return split["stem"]
        return re.sub(r"\.gguf$", "", base, flags=re.IGNORECASE)

    @property
    def tag(self) -> str:
        """Return what names the model among the others: its quantisation, else its name."""
        found = _QUANTISATION.findall(self.name)
        return found[-1] if found else self.name

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the files that are not there."""
        split = SPLIT.fullmatch(self.files[0])
        if split is None:
            return ()
        stem, total = split["stem"], split["total"]
        every = (f"{stem}-{number:05}-of-{total}.gguf" for number in range(1, self.total + 1))
        return tuple(name for name in every if name not in self.files)


MOST_PARTS = 1_000
"""Files of one model that are believed."""


def gguf_sets(files: Iterable[str]) -> list[GgufSet]:
    """Return the models among files, in the order of their names."""
    parts: dict[tuple[str, int], list[str]] = {}
    for name in sorted(files):
        if not name.lower().endswith(".gguf") or _NOT_MODELS.search(name):
            continue
        split = SPLIT.fullmatch(name)
        key = (name, 1)
        if split is not None:
            key = (split["stem"], min(int(split["total"]), MOST_PARTS))
        parts.setdefault(key, []).append(name)
    return [GgufSet(tuple(names), total) for (_, total), names in parts.items()]


def set_of(file: str, files: Iterable[str]) -> GgufSet:
    """Return the model that a file is of."""
    for found in gguf_sets(files):
        if file in found.files:
            return found
    return GgufSet((file,), 1)


def only_set(files: Iterable[str], name: str) -> GgufSet | None:
    """Return the model that GGUF files alone hold, None where there is no GGUF file.

    Raises NotAModel with the list where there are several.

    name: what the user calls the folder or repository.
    """
    sets = gguf_sets(files)
    if not sets:
        return None
    if len(sets) == 1:
        return sets[0]
    raise NotAModel(
        f"{name} has {len(sets)} GGUF models: {_listed(sets)}",
        f"name one: llmarch show {name}:{printable(sets[0].tag)}",
    )


def tagged_set(files: Iterable[str], tag: str, name: str) -> GgufSet:
    """Return the model that a tag picks: `Q4_K_M`, or the name of a file.

    Raises UnknownReference where it picks none, or several.
    """
    sets = gguf_sets(files)
    if not sets:
        raise UnknownReference(
            f"{name} has no GGUF files, of which {printable(tag)} could be one", f"name it {name}"
        )
    asked = tag.lower()
    asked = asked.removesuffix(".gguf")
    named = [found for found in sets if asked in _names(found)]
    if not named:
        named = [found for found in sets if asked == found.tag.lower()]
    if not named:
        word = re.compile(rf"(?<![a-z0-9]){re.escape(asked)}(?![a-z0-9_])")
        named = [found for found in sets if word.search(found.name.lower())]
    if len(named) > 1:
        plain = [found for found in named if not found.tag.lower().startswith(_DYNAMIC)]
        named = plain or named
    if len(named) == 1:
        return named[0]
    problem = "has no GGUF model" if not named else f"has {len(named)} GGUF models"
    raise UnknownReference(
        f"{name} {problem} {printable(tag)}", f"there are {_listed(named or sets)}"
    )


def _names(found: GgufSet) -> set[str]:
    """Return the names of a model's files, with and without folder and suffix."""
    names = {found.name.lower()}
    for file in found.files:
        bare = file.lower().removesuffix(".gguf")
        names |= {bare, bare.rpartition("/")[2]}
    return names


def _listed(sets: Sequence[GgufSet]) -> str:
    """Return the tags of models, or their files' names where two have one tag."""
    tags = [found.tag for found in sets]
    if len({*tags}) < len(tags):
        tags = [found.files[0] for found in sets]
    shown = [printable(tag, 80) for tag in tags[:_MOST_SHOWN]]
    if len(tags) > _MOST_SHOWN:
        shown.append(f"and {len(tags) - _MOST_SHOWN} more")
    return ", ".join(shown)
