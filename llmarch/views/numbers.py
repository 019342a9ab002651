"""Numbers as people read them: counts, bytes in binary units, thetas, ratios."""

from __future__ import annotations


def number(n: float) -> str:
    """`151,936`; a float without needless digits."""
    if isinstance(n, int) or (n.is_integer() and abs(n) < 1e15):
        return f"{int(n):,}"
    return f"{n:,.6g}" if abs(n) >= 1e-4 else f"{n:.3g}"


def count(n: int) -> str:
    """Parameters: `235.09 B`, `596.05 M`, `12,288`."""
    if n >= 10**9:
        return f"{n / 10**9:,.2f} B"
    if n >= 10**6:
        return f"{n / 10**6:,.2f} M"
    return f"{n:,}"


def size(n: float) -> str:
    """Bytes: `188 KiB`, `5.88 GiB`; three figures."""
    if n < 1024:
        return f"{n:g} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        n /= 1024
        if n < 1024 or unit == "TiB":
            return f"{three(n)} {unit}"
    raise AssertionError


def flops(n: float) -> str:
    """Floating-point operations: `44.4 GFLOP`, `1.2 TFLOP`."""
    for unit in ("", "k", "M", "G", "T"):
        if n < 1000 or unit == "T":
            return f"{three(n)} {unit}FLOP"
        n /= 1000
    raise AssertionError


def three(n: float) -> str:
    """Three figures, whole numbers as they are: `188`, `5.88`, `68.6`, `1,026`."""
    digits = 0 if n >= 100 else 1 if n >= 10 else 2
    text = f"{n:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def theta(t: float) -> str:
    """`1e6` for a power-like large base, `150,000` otherwise."""
    if t >= 1e6:
        mantissa, _, exponent = f"{t:e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        if len(mantissa) <= 3:
            return f"{mantissa}e{int(exponent)}"
    return number(t)


def epsilon(e: float) -> str:
    """`1e-6`."""
    return f"{e:g}".replace("e-0", "e-")


def context(tokens: int) -> str:
    """`4k`, `128k`, `1M`: a context length in short; others in full."""
    if tokens % 1024 == 0 and tokens >= 1024:
        k = tokens // 1024
        return f"{k // 1024}M" if k % 1024 == 0 else f"{k:,}k"
    return f"{tokens:,}"


def tokens(text: str) -> int:
    """The number of tokens that `4096`, `131,072`, `128k` or `1M` means; k and M are powers of 1,024. Raises ValueError."""
    digits = text.strip().lower().replace(",", "").replace("_", "")
    scale = {"k": 1024, "m": 1024**2}.get(digits[-1:], 1)
    n = int(float(digits[:-1]) * scale) if scale > 1 else int(digits)
    if not 0 < n <= 2**40:
        raise ValueError(f"{text} is not a number of tokens")
    return n


def ratio(old: float, new: float) -> str:
    """How `new` compares: `× 1.5`, or `÷ 2` where it is a whole part; empty where there is nothing to say."""
    if not old or not new or old == new or (old < 0) != (new < 0):
        return ""
    if old > new and abs(old / new - round(old / new)) < 1e-9:
        return f"÷ {round(old / new):,}"
    r = new / old
    if f"{r:.3g}" == "1":
        return ""
    return f"× {r:,.0f}" if r >= 100 else f"× {r:.3g}" if r >= 0.01 else f"× {r:.1e}"
