"""Write to standard output and standard error: the one place, whatever their encoding.

Streams that are not UTF-8 (a pipe on Windows, PYTHONIOENCODING) cannot hold all that llmarch
writes. Documents then spell such characters in the way of their format, texts have ASCII signs for
llmarch's own symbols and `?` for the rest. A pipe that the reader has closed ends the program.
"""

from __future__ import annotations

import codecs
import os
import sys
from typing import Literal, TextIO

CLOSED_PIPE = 141
"""The exit code where the reader of a pipe has closed it: that of a program which SIGPIPE ends."""
Form = Literal["text", "json", "markup"]
"""How a character is spelled that the stream cannot hold: as an ASCII sign, as JSON escapes it, or
as a character reference (Markdown and XML)."""
_SIGNS = {
    "✓": "ok", "✗": "FAIL", "❔": "??", "✅": "ok", "❌": "FAIL", "⚠": "!", "…": "...",
    "–": "-", "—": "-", "→": "->", "×": "x", "÷": "/", "·": "-", "•": "*", "−": "-", "≤": "<=",
    "≥": ">=", "≈": "~", "≠": "!=", "±": "+-", "θ": "theta", "ε": "eps", "α": "alpha",
    "β": "beta", "∥": "||", "“": '"', "”": '"',
    "‘": "'", "’": "'", "½": "1/2", "²": "^2", "³": "^3", "√": "sqrt", "∞": "inf",
    "█": "#", "▁": "_", "▄": "=", "░": ".", "▒": ":", "▀": "^", "▖": ",", "▚": "%",
    "●": "*", "○": "o", "▲": "^", "△": "A", "■": "#", "□": "+", "◆": "@", "◇": "v",
    "─": "-", "│": "|", "┤": "+", "└": "+", "┴": "+", "├": "+", "┬": "+", "┼": "+", "━": "-",
    "╸": "-", "╺": "-", "⋅": "*", "←": "<-", "⌊": "floor(", "⌋": ")", "⊙": "*", "ᵀ": "^T",
    "⁻": "^-", "¹": "1", "₁": "_1", "₂": "_2", "σ": "sigma", "Σ": "sum", "λ": "lambda",
    "Λ": "Lambda", "Δ": "Delta", "Φ": "Phi", "µ": "mu", "′": "'",
}  # fmt: skip
"""llmarch's own symbols in ASCII."""


class SafeStream:
    """A standard stream whose reader may go away: the program ends then, without a message."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, value: str) -> int:
        """Write text. Raises SystemExit if nobody reads it any more."""
        try:
            return self._stream.write(value)
        except BrokenPipeError:
            raise SystemExit(CLOSED_PIPE) from None

    def flush(self) -> None:
        """Send what was written. Raises SystemExit if nobody reads it any more."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise SystemExit(CLOSED_PIPE) from None

    def __getattr__(self, name: str) -> object:
        """Return anything else of the stream itself."""
        stream = self._stream
        return getattr(stream, name)


def prepare_streams() -> None:
    """Make the standard streams of this process safe to write any text to.

    A stream that was closed before the program began takes everything and keeps nothing.
    """
    codecs.register_error("llmarch-text", _as_signs)
    sys.stdout = _prepared(sys.stdout)
    sys.stderr = _prepared(sys.stderr)


def _prepared(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="llmarch-text")
    safe: TextIO = SafeStream(stream)  # pyright: ignore[reportAssignmentType]
    return safe


def write_text(value: str, form: Form = "text", *, error: bool = False, end: str = "\n") -> None:
    """Write text to standard output and send it.

    value: the text.
    form: what the text is.
    error: write to standard error instead.
    end: what is written after it.
    """
    stream = sys.stdout
    if error:
        stream = sys.stderr
    encoding = stream.encoding or "utf-8"
    shown = encodable(value, form, encoding)
    stream.write(shown + end)
    stream.flush()


def encodable(value: str, form: Form, encoding: str) -> str:
    """Return text with characters that an encoding lacks spelled as the form allows."""
    try:
        value.encode(encoding)
    except UnicodeEncodeError:
        codecs.register_error("llmarch-text", _as_signs)
        codecs.register_error("llmarch-json", _as_json)
        handler = {"text": "llmarch-text", "json": "llmarch-json", "markup": "xmlcharrefreplace"}
        return value.encode(encoding, handler[form]).decode(encoding)
    return value


def _as_signs(error: UnicodeError) -> tuple[str, int]:
    """Replace characters by ASCII signs: an error handler for `encode`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_SIGNS.get(character, "?") for character in characters), error.end


def _as_json(error: UnicodeError) -> tuple[str, int]:
    """Replace characters by JSON's escapes: an error handler for `encode`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end
