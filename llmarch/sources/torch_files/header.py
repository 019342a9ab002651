"""The tensors that a file of torch.save states: name, dtype and shape of each.

Source: torch 2.13, torch.serialization (_save, _legacy_save) and torch._utils (_rebuild_tensor and
its kin).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple, cast

from ...errors import HeaderError, printable
from ..raw import DTYPE_BITS, DtypeShape
from ..safetensors import Header
from .archive import ReadPart, ZipEntry, entry_start, read_directory
from .pickles import PersistentId, PickledCall, PickledGlobal, PickleReader

FIRST_TORCH_READ = 100_000
"""Bytes that are read at the beginning of a file; the pickle of most is shorter."""
MAX_PICKLE = 200_000_000
"""Bytes of a pickle with the names; that of 140,000 tensors has 25 MB."""
_MAX_TENSORS = 500_000
_MAX_DIMS = 64
_MAX_SIZE = 1 << 62
_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_STORAGES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64",
}
_DTYPES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
    "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
}
_TENSOR_CALLS = frozenset(
    {
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
    }
)
_WRAPPING_CALLS = frozenset(
    {
        "torch._tensor._rebuild_from_type_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.nn.parameter.Parameter",
    }
)
_PLAIN_GLOBALS = frozenset(
    {
        "builtins.dict", "builtins.list", "builtins.set", "collections.Counter",
        "collections.OrderedDict", "collections.defaultdict", "torch.Size", "torch.Tensor",
        "torch._C._nn.Parameter", "torch.device", "torch.serialization._get_layout",
        "torch.storage.TypedStorage", "torch.storage.UntypedStorage", "torch.storage._TypedStorage",
        "torch.storage._UntypedStorage", "__builtin__.dict", "__builtin__.set",
        "torch._utils._rebuild_device_tensor_from_numpy",
    }
)  # fmt: skip
_STATE_KEYS = ("state_dict", "model", "module", "model_state_dict")
"""Keys under which trainers put the tensors of the model (Lightning, NeMo, Megatron, DeepSpeed)."""


class TorchTensor(NamedTuple):
    """A tensor as its pickle states it."""

    kind: DtypeShape
    storage: str
    """Key of its storage."""
    storage_bytes: int


def read_torch_file(read: ReadPart, *, file: str, file_size: int) -> Header:
    """Return the tensors of a file of torch.save.

    Raises HeaderError for another kind of file, and for what torch.save does not write.

    read: returns a part of the file.
    file: its name, for messages.
    file_size: its bytes.
    """
    reader = _FileReader(read, file, file_size)
    if reader.bytes(0, 4) == _ZIP_MAGIC:
        return reader.read_archive()
    return reader.read_legacy()


class _FileReader:
    """Reads parts of one file, the first of which is kept."""

    def __init__(self, read: ReadPart, file: str, size: int) -> None:
        self._source = read
        self.file = file
        self.size = size
        self.bytes_read = 0
        self._first = b""

    def bytes(self, start: int, count: int) -> bytes:
        """Return a part of the file, fewer bytes at its end."""
        if not self._first:
            self._first = self._source(0, min(FIRST_TORCH_READ, self.size))
            self.bytes_read += len(self._first)
        if start + count <= len(self._first):
            return self._first[start : start + count]
        part = self._source(start, count)
        self.bytes_read += len(part)
        return part

    def read_archive(self) -> Header:
        """Return the tensors that the pickle in a zip archive states."""
        entries = read_directory(self.bytes, self.file, self.size)
        pickles = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            found = f"{len(pickles)} of them" if pickles else "none"
            raise self.error(f"it is a zip archive with {found} of data.pkl, not of torch.save")
        entry = entries[pickles[0]]
        if not entry.is_stored or entry.size > MAX_PICKLE:
            raise self.error("its data.pkl is packed or too long; torch.save stores it")
        start = entry_start(self.bytes, self.file, entry)
        data = self.bytes(start, entry.size)
        if len(data) < entry.size:
            raise self.error("truncated, its data.pkl ends early")
        stream = _Stream(data, self.file)
        pickle = PickleReader(stream.take, self.file)
        state = pickle.read()
        prefix = entry.name.removesuffix("data.pkl")
        header = self._header(state, pickle)
        self._check_storages(header.storages, entries, prefix)
        return header.header

    def read_legacy(self) -> Header:
        """Return the tensors that a stream of pickles states (torch before 1.6)."""
        stream = _FileStream(self)
        pickle = PickleReader(stream.take, self.file)
        first = self.bytes(0, 2)
        if first[:1] != b"\x80":
            raise self.error("it is neither a zip archive nor a pickle")
        if pickle.read() != _LEGACY_MAGIC or pickle.read() != _LEGACY_PROTOCOL:
            raise self.error("it is a pickle, but not one of torch.save")
        pickle.read()  # the byte order
        state = pickle.read()
        header = self._header(state, pickle)
        self._check_total(header.storages, stream.position)
        return header.header

    def _header(self, state: object, pickle: PickleReader) -> _StatedTensors:
        """Return the tensors of what was pickled."""
        storages: dict[str, int] = {}
        names: list[str] = []
        kinds: list[DtypeShape] = []
        same: dict[DtypeShape, DtypeShape] = {}
        for name, value in _flattened(_state_dict(state)):
            tensor = self._tensor(name, value)
            if tensor is None:
                continue
            names.append(name)
            kinds.append(same.setdefault(tensor.kind, tensor.kind))
            if tensor.storage:
                known = storages.setdefault(tensor.storage, tensor.storage_bytes)
                storages[tensor.storage] = max(known, tensor.storage_bytes)
            if len(names) > _MAX_TENSORS:
                raise self.error(f"it has more than {_MAX_TENSORS:,} tensors")
        foreign = [g.path for g in pickle.globals if not _is_plain(g)]
        metadata = {"format": "pt"}
        if foreign:
            metadata["globals"] = ", ".join(foreign[:5])
        data_size = sum(storages.values())
        header = Header(self.file, self.bytes_read, data_size, names, kinds, metadata)
        return _StatedTensors(header, storages)

    def _tensor(self, name: str, value: object) -> TorchTensor | None:
        """Return the tensor that a value is; None if it is none. Raises HeaderError.

        A call that is not known to make a plain tensor gives one of unknown dtype and shape.
        """
        while isinstance(value, PickledCall) and _path(value.function) in _WRAPPING_CALLS:
            value = _wrapped(value)
        if not isinstance(value, PickledCall):
            return None
        path = _path(value.function)
        if path not in _TENSOR_CALLS:
            return TorchTensor(("", None), "", 0) if "rebuild" in path else None
        arguments = value.arguments
        if not isinstance(arguments, tuple) or len(cast("tuple[Any, ...]", arguments)) < 3:
            raise self.error("a tensor without a shape", name)
        storage, _, sizes, *others = cast("tuple[Any, ...]", arguments)
        shape = self._shape(sizes, name)
        stored_dtype, key, elements = self._storage(storage, name)
        dtype = stored_dtype
        if path.endswith("_v3"):
            dtype = _DTYPES.get(_name_of(others[-1] if others else None), "")
        if not dtype:
            raise self.error("a dtype that is not known", name)
        size = elements * DTYPE_BITS.get(stored_dtype, 8) // 8
        return TorchTensor((dtype, shape), key, size)

    def _shape(self, sizes: object, name: str) -> tuple[int, ...]:
        """Return a shape. Raises HeaderError."""
        if isinstance(sizes, PickledCall) and _path(sizes.function) == "torch.Size":
            arguments = cast("Any", sizes.arguments)
            if isinstance(arguments, tuple) and len(cast("tuple[Any, ...]", arguments)) == 1:
                (sizes,) = cast("tuple[object]", arguments)
        if not isinstance(sizes, tuple | list):
            raise self.error("a shape that is not a tuple", name)
        shape = tuple(cast("tuple[Any, ...]", sizes))
        is_plain = all(type(size) is int and 0 <= size < _MAX_SIZE for size in shape)
        if not is_plain or len(shape) > _MAX_DIMS or prod(shape) >= _MAX_SIZE:
            raise self.error("a shape that no tensor has", name)
        return shape

    def _storage(self, storage: object, name: str) -> tuple[str, str, int]:
        """Return dtype, key and elements of a storage. Raises HeaderError."""
        value = storage.value if isinstance(storage, PersistentId) else None
        if not isinstance(value, tuple) or len(cast("tuple[Any, ...]", value)) < 5:
            raise self.error("a storage that torch.save does not write", name)
        word, kind, key, _, elements, *_ = cast("tuple[Any, ...]", value)
        if word != "storage" or type(elements) is not int or not 0 <= elements < _MAX_SIZE:
            raise self.error("a storage that torch.save does not write", name)
        storage_name = _name_of(kind)
        dtype = _STORAGES.get(storage_name, "")
        if storage_name == "UntypedStorage":
            dtype = "U8"
        return dtype, str(key), elements

    def _check_storages(
        self, storages: Mapping[str, int], entries: Mapping[str, ZipEntry], prefix: str
    ) -> None:
        """Check that each storage is in the archive with its size. Raises HeaderError."""
        for key, size in storages.items():
            entry = entries.get(f"{prefix}data/{key}")
            if entry is None:
                raise self.error(f"its storage {printable(key, 40)} is not in the archive")
            if entry.size != size:
                raise self.error(
                    f"its storage {printable(key, 40)} takes {size:,} bytes, but"
                    f" {entry.size:,} are stored"
                )
        self._check_total(storages, 0)

    def _check_total(self, storages: Mapping[str, int], start: int) -> None:
        """Check that the file can hold all storages. Raises HeaderError."""
        total = sum(storages.values())
        if start + total > self.size:
            raise self.error(f"truncated, its tensors take {total:,} bytes")

    def error(self, problem: str, tensor: str = "") -> HeaderError:
        """Return the error with the file and, where one is at fault, the tensor."""
        place = f"{printable(tensor)}: " if tensor else ""
        return HeaderError(f"{printable(self.file)}: {place}{problem}")


class _StatedTensors(NamedTuple):
    """The tensors, and the bytes of each storage."""

    header: Header
    storages: dict[str, int]


class _Stream:
    """Gives bytes one after the other."""

    def __init__(self, data: bytes, file: str) -> None:
        self._data = data
        self._file = file
        self._position = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes. Raises HeaderError at the end."""
        end = self._position + count
        part = self._data[self._position : end]
        if len(part) < count:
            raise HeaderError(f"{printable(self._file)}: truncated, its pickle ends early")
        self._position = end
        return part


class _FileStream:
    """Gives bytes of a file one after the other, and reads it in parts that grow."""

    def __init__(self, reader: _FileReader) -> None:
        self._reader = reader
        self._data = bytearray()
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes. Raises HeaderError at the end."""
        end = self.position + count
        while len(self._data) < end:
            have = len(self._data)
            if have > MAX_PICKLE:
                raise self._reader.error("its pickles are too long")
            part = self._reader.bytes(have, max(FIRST_TORCH_READ, have, end - have))
            if not part:
                raise self._reader.error("truncated, its pickle ends early")
            self._data += part
        part = bytes(self._data[self.position : end])
        self.position = end
        return part


def _state_dict(state: object) -> dict[Any, Any]:
    """Return the dict with the tensors, which trainers put into another one."""
    outer = _as_dict(state)
    for key in _STATE_KEYS:
        inner = _as_dict(outer.get(key))
        if inner and not any(map(_is_tensor, outer.values())):
            return inner
    return outer


def _flattened(state: dict[Any, Any]) -> Iterator[tuple[str, object]]:
    """Yield names and values; those of dicts within others are joined by dots.

    Each dict is entered once, so that one that holds itself ends.
    """
    waiting: list[tuple[str, dict[Any, Any]]] = [("", state)]
    entered: set[int] = set()
    while waiting:
        prefix, items = waiting.pop()
        if id(items) in entered:
            continue
        entered.add(id(items))
        for key, value in items.items():
            name = f"{prefix}{key}" if isinstance(key, str | int) else ""
            if not name or len(name) > 1_000:
                continue
            inner = _as_dict(value)
            if inner:
                waiting.append((f"{name}.", inner))
            else:
                yield name, value


def _as_dict(value: object) -> dict[Any, Any]:
    """Return a dict, or the items of an OrderedDict; empty for anything else."""
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value)
    if isinstance(value, PickledCall) and _path(value.function).startswith("collections."):
        return value.items
    return {}


def _is_tensor(value: object) -> bool:
    """Return whether a value is what a tensor is made by."""
    return isinstance(value, PickledCall) and "rebuild" in _path(value.function)


def _wrapped(call: PickledCall) -> object:
    """Return what a parameter, or a tensor of another class, is made of."""
    arguments = call.arguments
    if not isinstance(arguments, tuple):
        return None
    values = list(cast("tuple[Any, ...]", arguments))
    if not values:
        return None
    if _path(call.function).endswith("_rebuild_from_type_v2") and len(values) >= 3:
        function, _, inner = values[:3]
        return PickledCall(function, inner)
    return values[0]


def _path(function: object) -> str:
    """Return the path of a global; empty for anything else."""
    return function.path if isinstance(function, PickledGlobal) else ""


def _name_of(value: object) -> str:
    """Return the name of a global of torch; empty for anything else."""
    if isinstance(value, PickledGlobal) and value.module.split(".")[0] == "torch":
        return value.name
    return ""


def _is_plain(found: PickledGlobal) -> bool:
    """Return whether a global makes tensors and plain values alone."""
    path = found.path
    if path in _TENSOR_CALLS or path in _WRAPPING_CALLS or path in _PLAIN_GLOBALS:
        return True
    is_torch = found.module in ("torch", "torch.storage")
    return is_torch and (found.name in _STORAGES or found.name in _DTYPES)
