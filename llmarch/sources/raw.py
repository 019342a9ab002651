"""Raw evidence: what a source found, before any family reads it.

Plain slotted dataclasses and one table, because checkpoints contain 140,000 tensors. Tensors whose
names differ only in numbers are stored folded: `model.layers.3.mlp.experts.7.up_proj.weight` is the
pattern `model.layers.{}.mlp.experts.{}.up_proj.weight` at index (3, 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, NamedTuple

from ..architecture.schema import Finding

_NUMBER = re.compile(r"(?<![^.])(0|[1-9][0-9]{0,8})(?![^.])")
_DIGITS = b"0123456789"
_DIGITS_OR_SPACES = bytes(byte if byte in _DIGITS else 32 for byte in range(256))
_NEWLINES_AS_DOTS = bytes.maketrans(b"\n", b".")
_NUMBERS = {b"%d" % number: number for number in range(1000)}
"""Numbers of layers and experts as they are written. A look-up takes half the time of `int`."""

DtypeShape = tuple[str, tuple[int, ...] | None]
"""Dtype and shape of a tensor; ("", None) if only its name is known."""

_GroupKey = tuple[str, str, tuple[int, ...] | None, int]
"""Pattern, dtype, shape and count of numbers; the count because a name may contain `{}` itself."""

SHORT_COMMIT = 7
"""Digits of a commit that are shown."""

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8,
    "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Bits of one element of each safetensors dtype (safetensors 0.8, Dtype::bitsize)."""


class GgmlBlock(NamedTuple):
    """How a quantised type of ggml stores a row: in blocks, each with its scales."""

    elements: int
    bytes: int


GGML_BLOCKS = {
    "Q1_0": GgmlBlock(128, 18),
    "Q2_0": GgmlBlock(64, 18),
    "Q4_0": GgmlBlock(32, 18),
    "Q4_1": GgmlBlock(32, 20),
    "Q5_0": GgmlBlock(32, 22),
    "Q5_1": GgmlBlock(32, 24),
    "Q8_0": GgmlBlock(32, 34),
    "Q8_1": GgmlBlock(32, 40),
    "Q2_K": GgmlBlock(256, 84),
    "Q3_K": GgmlBlock(256, 110),
    "Q4_K": GgmlBlock(256, 144),
    "Q5_K": GgmlBlock(256, 176),
    "Q6_K": GgmlBlock(256, 210),
    "Q8_K": GgmlBlock(256, 292),
    "IQ1_S": GgmlBlock(256, 50),
    "IQ1_M": GgmlBlock(256, 56),
    "IQ2_XXS": GgmlBlock(256, 66),
    "IQ2_XS": GgmlBlock(256, 74),
    "IQ2_S": GgmlBlock(256, 82),
    "IQ3_XXS": GgmlBlock(256, 98),
    "IQ3_S": GgmlBlock(256, 110),
    "IQ4_NL": GgmlBlock(32, 18),
    "IQ4_XS": GgmlBlock(256, 136),
    "TQ1_0": GgmlBlock(256, 54),
    "TQ2_0": GgmlBlock(256, 66),
    "MXFP4": GgmlBlock(32, 17),
    "NVFP4": GgmlBlock(64, 36),
}
"""The quantised types of ggml (ggml/src/ggml-common.h), by their names."""
GGUF_WRITER = "gguf"
"""What `TensorTable.writer` is for the tensors of a GGUF file."""
TENSOR_INFOS = "tensor infos"
"""Key of a GGUF file's document under which its tensors are, folded: {pattern: [[dtype, shape,
count], …]}. No GGUF key has a blank."""


def stored_bits(elements: int, dtype: str) -> int:
    """Return the bits that elements of a dtype take in a file; 0 for a dtype that is not known."""
    block = GGML_BLOCKS.get(dtype)
    if block is not None:
        return elements // block.elements * block.bytes * 8
    return elements * DTYPE_BITS.get(dtype, 0)


def abbreviate_commit(commit: str) -> str:
    """Return the first digits of a commit, as git and the Hub show it."""
    return commit[:SHORT_COMMIT]


def fold(name: str) -> tuple[str, tuple[int, ...]]:
    """Return the pattern and the index of a name: `a.3.b.7` -> (`a.{}.b.{}`, (3, 7)).

    Only whole dotted parts count as numbers, and only plain ones (not `03`, not ten digits).
    """
    parts = _NUMBER.split(name)
    if len(parts) == 1 or "{}" in name:
        return name, ()
    words, numbers = parts[::2], parts[1::2]
    return "{}".join(words), tuple(map(int, numbers))


def unfold(pattern: str, index: tuple[int, ...]) -> str:
    """Return the name at an index: the inverse of `fold`."""
    if not index:
        return pattern
    parts = pattern.split("{}")
    numbers = (*map(str, index), "")
    return "".join([part + number for part, number in zip(parts, numbers, strict=True)])


def is_gguf_document(document: Mapping[str, Any]) -> bool:
    """Return whether a document is the metadata of a GGUF file, not a config."""
    general = document.get("general")
    return isinstance(general, dict) and "architecture" in general


def is_adapter_document(document: Mapping[str, Any]) -> bool:
    """Return whether a document is the config of a PEFT adapter, not of a model."""
    return "peft_type" in document and "model_type" not in document


@dataclass(slots=True)
class TensorGroup:
    """Tensors with the same pattern, dtype and shape."""

    pattern: str
    dtype: str
    shape: tuple[int, ...] | None
    indices: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    """The numbers in the name of each tensor."""

    @property
    def elements(self) -> int:
        """Stored elements of the whole group; 0 if only the names are known."""
        if self.shape is None:
            return 0
        return prod(self.shape) * len(self.indices)

    @property
    def bits(self) -> int:
        """Stored bits of the whole group."""
        return stored_bits(self.elements, self.dtype)


class _FoldedNames(NamedTuple):
    """Many names, folded together."""

    stripped: list[bytes]
    """Each name without its digits."""
    patterns: dict[bytes, str]
    """Stripped name -> its pattern."""
    widths: dict[bytes, int]
    """Stripped name -> how many numbers it has."""
    numbers: list[int]
    """The numbers in all names, in order."""


def _fold_together(names: Sequence[str]) -> _FoldedNames | None:
    """Fold names as one text; return None if they must be folded one by one.

    Deleting all digits turns `a.3.b.7` into `a..b.`, where each empty part stands for a number. So
    the few different stripped names give the patterns, and the runs of digits in the whole text
    give the indices, in order. The result is what `fold` gives for each name, because
    - each name is one line of the text;
    - no name contains `{}`, which `fold` leaves as it is;
    - no part was empty before (no `..`, no dot at either end): each empty part was a run of digits;
    - there are as many runs of digits as empty parts. Each empty part was one run, so there is no
      other: no digits in a word (`w1`);
    - each run is a key of _NUMBERS: written as `fold` demands (not `03`), and below 1,000.
    """
    text = "\n".join(names).encode("utf-8", "surrogatepass")
    stripped = text.translate(None, _DIGITS).split(b"\n")
    if len(stripped) != len(names):
        return None
    if b".." in b".%b." % text.translate(_NEWLINES_AS_DOTS):
        return None
    patterns: dict[bytes, str] = {}
    widths: dict[bytes, int] = {}
    for name in {*stripped}:
        if b"{}" in name:
            return None
        parts = name.decode("utf-8", "surrogatepass").split(".")
        patterns[name] = ".".join([part or "{}" for part in parts])
        widths[name] = parts.count("")
    runs = text.translate(_DIGITS_OR_SPACES).split()
    numbers = [number for number in map(_NUMBERS.get, runs) if number is not None]
    if not sum(map(widths.__getitem__, stripped)) == len(numbers) == len(runs):
        return None
    return _FoldedNames(stripped, patterns, widths, numbers)


class TensorTable:
    """Every tensor of a checkpoint, folded.

    Shape None and dtype "" mean that only the name is known (an index without its shards).
    """

    def __init__(self) -> None:
        self._groups: dict[_GroupKey, TensorGroup] = {}
        self.writer = ""
        """Library that wrote the files, as `format` in their headers says: `pt`, `mlx`; `gguf` for
        the tensors of a GGUF file, which have llama.cpp's names. Empty where they do not say, or
        differ."""

    @classmethod
    def from_tensors(
        cls, tensors: Iterable[tuple[str, str, tuple[int, ...] | None]]
    ) -> TensorTable:
        """Return the table of tensors given by name, dtype and shape."""
        table = cls()
        for name, dtype, shape in tensors:
            table.add(name, dtype, shape)
        return table

    def add(self, name: str, dtype: str, shape: tuple[int, ...] | None) -> None:
        """Add one tensor."""
        pattern, index = fold(name)
        key = (pattern, dtype, shape, len(index))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = TensorGroup(pattern, dtype, shape)
        group.indices.append(index)

    def add_group(self, group: TensorGroup) -> None:
        """Add a whole group. Its pattern, dtype and shape must not be in the table yet."""
        width = len(group.indices[0])
        key = (group.pattern, group.dtype, group.shape, width)
        self._groups[key] = group

    def extend(self, names: Sequence[str], kinds: Sequence[DtypeShape]) -> None:
        """Add many tensors: the same as `add` for each, in less than half the time.

        names: the name of each tensor.
        kinds: the dtype and shape of each. Equal kinds should be one object, for speed.
        """
        folded = _fold_together(names)
        if folded is None:
            for name, kind in zip(names, kinds, strict=True):
                self.add(name, *kind)
            return
        # A group is found by its stripped name and the id of its kind, because hashing a kind takes
        # long. Ids are unique while `kinds` is alive; equal kinds with two ids share one group.
        groups: dict[tuple[bytes, int], tuple[list[tuple[int, ...]], int]] = {}
        numbers = folded.numbers
        keys = zip(folded.stripped, map(id, kinds), strict=True)
        start = 0
        for key, kind in zip(keys, kinds, strict=True):
            found = groups.get(key)
            if found is None:
                name, _ = key
                pattern = folded.patterns[name]
                width = folded.widths[name]
                empty = TensorGroup(pattern, *kind)
                group = self._groups.setdefault((pattern, *kind, width), empty)
                found = groups[key] = (group.indices, width)
            indices, width = found
            indices.append(tuple(numbers[start : start + width]))
            start += width

    def take(self, other: TensorTable) -> None:
        """Move all tensors of `other` into this table; do not use `other` afterwards."""
        for key, group in other._groups.items():
            own = self._groups.get(key)
            if own is None:
                self._groups[key] = group
            else:
                own.indices += group.indices

    def __iter__(self) -> Iterator[TensorGroup]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return sum(len(group.indices) for group in self)

    @property
    def has_shapes(self) -> bool:
        """Whether the shape of every tensor is known."""
        return all(group.shape is not None for group in self)

    @property
    def elements(self) -> int:
        """Stored elements of all tensors."""
        return sum(group.elements for group in self)

    @property
    def bytes(self) -> int:
        """Bytes that all tensors take in their files."""
        return sum(group.bits for group in self) // 8


@dataclass(slots=True)
class RivalWeights:
    """A second set of weights in the same repository, which other engines read."""

    words: str
    """Which files they are: `the 2 files that model.safetensors.index.json lists`."""
    tensors: TensorTable
    partial: bool
    """Whether some of its files could not be read."""
    findings: list[Finding]


@dataclass(slots=True)
class RawModel:
    """What a source read: the config as parsed, and the tensor headers if there are any."""

    reference: str
    """As the user wrote it."""
    kind: Literal["spec", "local", "hub"]
    """Where it was read: a bundled spec, this machine, or the Hub."""
    name: str
    config: dict[str, Any] | None
    """None if there are only tensors."""
    config_file: str
    quantization_file: str = ""
    """Where the `quantization_config` comes from, if not from `config_file`."""
    repo_id: str | None = None
    revision: str | None = None
    commit: str | None = None
    tensors: TensorTable | None = None
    """None if no header was read."""
    other_kind: str = ""
    """What the model is, if not a decoder language model: `a text encoder (BertModel)`."""
    rival: RivalWeights | None = None
    """Where engines differ in which files they read: those that `tensors` are not of."""
    partial: bool = False
    """Whether some file could not be read; `findings` give the reason."""
    files: tuple[str, ...] = ()
    """Names in the folder or repository."""
    file_ids: dict[str, str] = field(default_factory=dict[str, str])
    """What identifies the content of files, by name, as far as it is known: `git:` and the hash of
    the blob, `sha256:` and the hash of the content, `size:` and the bytes, separated by blanks."""
    folder: str = ""
    """Of a local model: the path of its folder, as far as it has one."""
    is_download: bool = False
    """Whether it was read in the Hub's cache: the repository may have files that are not there."""
    header_bytes: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    provenance: dict[str, Any] | None = None
    """Of a spec: where its config was published."""
    published: tuple[dict[str, Any], ...] = ()
    """Of a spec: published figures."""
    released: str | None = None
    """Of a spec: the month of the release, `2024-12`."""
