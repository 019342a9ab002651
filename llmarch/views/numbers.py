"""Numbers as people read them: counts, bytes in binary units, thetas, ratios."""

from __future__ import annotations

TOKEN_UNITS = {"k": 1024, "m": 1024**2}
MOST_TOKENS = 2**40
SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "t": 2**40,
}
"""What people write after a size in bytes."""


def number(n: float) -> str:
    """Return `151,936`; a float with six significant digits at most."""
    if isinstance(n, int):
        return f"{n:,}"
    if n.is_integer() and abs(n) < 1e15:
        return f"{int(n):,}"
    if abs(n) < 1e-4:
        return f"{n:.3g}"
    return f"{n:,.6g}"


def count(n: int) -> str:
    """Return a number of parameters: `235.09 B`, `596.05 M`, `12,288`."""
    if n < 10**6:
        return f"{n:,}"
    millions = n / 10**6
    if n < 10**9:
        return f"{millions:,.2f} M"
    billions = n / 10**9
    return f"{billions:,.2f} B"


def plural(n: int, noun: str) -> str:
    """Return `1 module`, `2 modules`."""
    if n == 1:
        return f"1 {noun}"
    return f"{n:,} {noun}s"


def size(n: float) -> str:
    """Return bytes in binary units with three significant digits: `188 KiB`, `5.88 GiB`."""
    if n < 1024:
        return f"{n:g} B"
    for unit in ("KiB", "MiB", "GiB"):
        n /= 1024
        if n < 1024:
            return f"{three_digits(n)} {unit}"
    return f"{three_digits(n / 1024)} TiB"


def flops(n: float) -> str:
    """Return floating-point operations in decimal units: `44.4 GFLOP`, `1.2 TFLOP`."""
    for unit in ("", "k", "M", "G"):
        if n < 1000:
            return f"{three_digits(n)} {unit}FLOP"
        n /= 1000
    return f"{three_digits(n)} TFLOP"


def duration(seconds: float) -> str:
    """Return a time in its usual unit: `32 ms`, `1.9 s`, `3.2 min`, `1.1 h`."""
    if seconds < 1:
        return f"{three_digits(seconds * 1000)} ms"
    if seconds < 120:
        return f"{three_digits(seconds)} s"
    if seconds < 7200:
        return f"{three_digits(seconds / 60)} min"
    return f"{three_digits(seconds / 3600)} h"


def three_digits(n: float) -> str:
    """Return three significant digits, all of a whole number: `188`, `5.88`, `68.6`, `1,026`."""
    if n >= 100:
        return f"{n:,.0f}"
    text = f"{n:,.2f}"
    if n >= 10:
        text = f"{n:,.1f}"
    return text.rstrip("0").rstrip(".")


def theta(t: float) -> str:
    """Return `1e6` for a large base that is short in that form, `150,000` otherwise."""
    if t < 1e6:
        return number(t)
    scientific = f"{t:e}"
    mantissa, _, exponent = scientific.partition("e")
    short = mantissa.rstrip("0").rstrip(".")
    if len(short) > 3:
        return number(t)
    power = int(exponent)
    return f"{short}e{power}"


def epsilon(e: float) -> str:
    """Return `1e-6`."""
    text = f"{e:g}"
    return text.replace("e-0", "e-")


def context(tokens: int) -> str:
    """Return a context length in short where it is a multiple of 1,024: `4k`, `128k`, `1M`."""
    thousands, rest = divmod(tokens, 1024)
    if rest or not thousands:
        return f"{tokens:,}"
    millions, rest = divmod(thousands, 1024)
    if rest:
        return f"{thousands:,}k"
    return f"{millions}M"


def tokens(text: str) -> int:
    """Return the number of tokens that `4096`, `131,072`, `128k` or `1M` means.

    k and M are powers of 1,024. Raises ValueError for other text and for lengths out of bounds.
    """
    digits = text.strip().lower()
    for separator in (",", "_"):
        digits = digits.replace(separator, "")
    scale = TOKEN_UNITS.get(digits[-1:])
    n = int(float(digits[:-1]) * scale) if scale else int(digits)
    if not 0 < n <= MOST_TOKENS:
        raise ValueError(f"{text} is not a number of tokens")
    return n


def ratio(old: float, new: float) -> str:
    """Return how `new` compares with `old`: `× 1.5`, or `÷ 2` where it is a whole part.

    Empty where the numbers are equal, one of them is 0, or their signs differ.
    """
    if old == new or old * new <= 0:
        return ""
    part = old / new
    whole = round(part)
    if old > new and abs(part - whole) < 1e-9:
        return f"÷ {whole:,}"
    times = new / old
    three = f"{times:.3g}"
    if three == "1":
        return ""
    if times >= 100:
        return f"× {times:,.0f}"
    if times < 0.01:
        return f"× {times:.1e}"
    return f"× {three}"


def size_bytes(text: str) -> int:
    """Return the bytes of a size: `1.5GiB`, `800 MB`, `0`. Raises ValueError for other text."""
    cleaned = text.replace(",", "").replace("_", "").strip().lower()
    digits = cleaned.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = cleaned.removeprefix(digits).strip()
    if unit not in SIZE_UNITS:
        raise ValueError(f"{text!r} has no known unit")
    value = float(digits)
    if not 0 <= value < 2**60:
        raise ValueError(f"{text!r} is not a size")
    return int(value * SIZE_UNITS[unit])
