"""Make what figures need of a font: a table of advance widths, and two subsets to render PNG.

It runs by hand, once for each version of the font, and needs fontTools, Inter and DejaVu Sans
(Debian: fonts-inter, fonts-dejavu-core): python scripts/figure_font.py
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "llmarch" / "layout" / "advances.py"
FONTS = ROOT / "llmarch" / "renderers" / "fonts"
LICENCE = Path("/usr/share/doc/fonts-inter/copyright")
WEIGHTS = {
    "regular": ("Inter:regular", "DejaVu Sans:style=Book"),
    "semibold": ("Inter:semibold", "DejaVu Sans:style=Bold"),
}
"""By weight Inter, and the font whose widths must fit as well: all that a plain Debian has.
DejaVu has no semibold; browsers take its bold."""
CHARACTERS = sorted(
    {chr(code) for code in (*range(0x20, 0x7F), *range(0xA1, 0x180))}
    | set("αβγδεθλμπσωΔΣΩ–—‘’“”†•…‰‹›€→←↑↓−√∞≈≠≤≥")
)
HEADER = '''"""Advance widths of characters, in thousandths of the font size.

Written by scripts/figure_font.py.
Each is the widest of these fonts, so that text measured so fits in all of them, and in Helvetica,
Arial and Liberation Sans, which are narrower:

{fonts}
"""

from __future__ import annotations

'''


def font_file(style: str) -> Path:
    """Return the file of an installed font: `Inter:style=Regular`."""
    command = ["fc-match", "-f", "%{file}", style]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(found.stdout)


def advances(font: TTFont) -> dict[str, int]:
    """Return the advance width of each character that a font has, in thousandths of an em."""
    em = font["head"].unitsPerEm
    names = font.getBestCmap()
    widths: dict[str, int] = {}
    for character in CHARACTERS:
        if ord(character) in names:
            advance, _ = font["hmtx"][names[ord(character)]]
            widths[character] = round(1000 * advance / em)
    return widths


def version(font: TTFont) -> str:
    """Return the name and version of a font: `Inter, Version 3.019`."""
    name, number = font["name"].getDebugName(4), font["name"].getDebugName(5)
    return f"{name}, {number.partition(';')[0]}"


def with_quadratic_outlines(font: TTFont) -> TTFont:
    """Return a font with TrueType outlines instead of PostScript ones."""
    glyphs = font.getGlyphSet()
    outlines: dict[str, Any] = {}
    for name in font.getGlyphOrder():
        pen = TTGlyphPen(glyphs)
        glyphs[name].draw(Cu2QuPen(pen, font["head"].unitsPerEm / 1000, reverse_direction=True))
        outlines[name] = pen.glyph()
    font["loca"] = newTable("loca")
    font["glyf"] = newTable("glyf")
    font["glyf"].glyphOrder = font.getGlyphOrder()
    font["glyf"].glyphs = outlines
    for outline in outlines.values():
        outline.recalcBounds(font["glyf"])
    maxp = font["maxp"]
    maxp.tableVersion = 0x00010000
    for field in (
        "maxZones maxTwilightPoints maxStorage maxFunctionDefs maxInstructionDefs"
        " maxStackElements maxSizeOfInstructions maxComponentElements maxPoints maxContours"
        " maxCompositePoints maxCompositeContours maxComponentDepth"
    ).split():
        setattr(maxp, field, int(field == "maxZones"))
    maxp.recalc(font)
    font["post"].formatType = 3.0
    for tag in ("CFF ", "VORG"):
        if tag in font:
            del font[tag]
    font.sfntVersion = "\x00\x01\x00\x00"
    return font


def write_subset(source: Path, target: Path) -> None:
    """Write a font with the characters of figures and kerning, but nothing else."""
    options = subset.Options(layout_features=["kern", "mark"], hinting=False, notdef_outline=True)
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(CHARACTERS))
    subsetter.subset(font)
    font = with_quadratic_outlines(font)
    weight = source.stem.partition("-")[2]
    names = {1: "Inter", 2: "Regular", 16: "Inter", 17: weight}
    for name_id, name in names.items():
        font["name"].setName(name, name_id, 3, 1, 0x409)
    font["head"].modified = font["head"].created
    font.recalcTimestamp = False
    font.save(target)


def by_width(table: dict[str, int]) -> dict[int, str]:
    """Return the characters of each width, the narrowest first."""
    groups: dict[int, str] = {}
    for character, width in sorted(table.items(), key=lambda item: item[1]):
        groups[width] = groups.get(width, "") + character
    return groups


def main() -> None:
    """Write the table and the subsets."""
    FONTS.mkdir(exist_ok=True)
    tables: dict[str, dict[str, int]] = {}
    versions: dict[str, None] = {}
    for weight, (style, other_style) in WEIGHTS.items():
        inter_file = font_file(style)
        inter, other = TTFont(inter_file), TTFont(font_file(other_style))
        versions |= dict.fromkeys(version(font) for font in (inter, other))
        other_widths = advances(other)
        tables[weight] = {c: max(w, other_widths.get(c, 0)) for c, w in advances(inter).items()}
        write_subset(inter_file, FONTS / f"{inter_file.stem}.ttf")
    licence = LICENCE.read_text(encoding="utf-8").split("\nFiles: ", 1)[-1]
    (FONTS / "OFL.txt").write_text(f"Files: {licence}", encoding="utf-8")
    fonts = "\n".join(f"- {name}" for name in versions)
    text = HEADER.format(fonts=fonts)
    for weight, table in tables.items():
        text += f"{weight.upper()} = {by_width(table)!r}\n"
    TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
