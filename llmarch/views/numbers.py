"""Numbers as people read them: counts, bytes in binary units, thetas, ratios."""

from __future__ import annotations


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
    if n >= 10**9:
        return f"{n / 10**9:,.2f} B"
    if n >= 10**6:
        return f"{n / 10**6:,.2f} M"
    return f"{n:,}"


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


def three_digits(n: float) -> str:
    """Return three significant digits, all of a whole number: `188`, `5.88`, `68.6`, `1,026`."""
    if n >= 100:
        return f"{n:,.0f}"
    digits = 1 if n >= 10 else 2
    return f"{n:,.{digits}f}".rstrip("0").rstrip(".")


def theta(t: float) -> str:
    """Return `1e6` for a large base that is short in that form, `150,000` otherwise."""
    if t < 1e6:
        return number(t)
    mantissa, _, exponent = f"{t:e}".partition("e")
    short = mantissa.rstrip("0").rstrip(".")
    if len(short) > 3:
        return number(t)
    return f"{short}e{int(exponent)}"


def epsilon(e: float) -> str:
    """Return `1e-6`."""
    return f"{e:g}".replace("e-0", "e-")


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
    digits = text.strip().lower().replace(",", "").replace("_", "")
    scale = {"k": 1024, "m": 1024**2}.get(digits[-1:])
    n = int(float(digits[:-1]) * scale) if scale else int(digits)
    if not 0 < n <= 2**40:
        raise ValueError(f"{text} is not a number of tokens")
    return n


def ratio(old: float, new: float) -> str:
    """Return how `new` compares with `old`: `× 1.5`, or `÷ 2` where it is a whole part.

    Empty where the numbers are equal, one of them is 0, or their signs differ.
    """
    if not old or not new or old == new or (old < 0) != (new < 0):
        return ""
    part = old / new
    if old > new and abs(part - round(part)) < 1e-9:
        return f"÷ {round(part):,}"
    times = new / old
    if f"{times:.3g}" == "1":
        return ""
    if times >= 100:
        return f"× {times:,.0f}"
    return f"× {times:.3g}" if times >= 0.01 else f"× {times:.1e}"
