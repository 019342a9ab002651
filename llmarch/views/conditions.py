"""Conditions over facts of models, as `list --where` takes them: parsed, never run as code.

    condition   = clause, { "or", clause }
    clause      = part, { "and", part }
    part        = "not", part | "(", condition, ")" | comparison
    comparison  = NAME, [ SIGN, VALUE ]

A sign is `==` (or `=`), `!=`, `<`, `<=`, `>` or `>=`. A value is a number (`128`, `1e6`, `128k`,
`100B`), a word, `yes`, `no`, `none`, or text in quotes. A name alone holds where a model has it. A
comparison holds where one of a model's values does; `!=` is the opposite of `==`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import ConditionError, did_you_mean, similar_names

Values = Callable[[str], Sequence[Any]]
"""Returns the values that one model has for a name: none, one, or those of several blocks."""
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>==|!=|<=|>=|=|<|>)|(?P<open>\()|(?P<close>\))"
    r"|(?P<quoted>\"[^\"]*\"|'[^']*')|(?P<word>[^\s()=!<>\"']+))"
)
_NUMBER = re.compile(r"(\d[\d,_]*(?:\.\d+)?(?:e[+-]?\d+)?)([kmbt]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 2**10, "m": 10**6, "b": 10**9, "t": 10**12}
"""What letters after a number mean: k as for contexts, the others as for parameters."""
_WORDS = {"yes": True, "true": True, "no": False, "false": False, "none": None}
_KEYWORDS = ("and", "or", "not")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DATE = re.compile(r"\d{4}(-\d\d){0,2}")
_DEEPEST = 50
"""Parts within each other, which each take some of Python's stack."""
_SHOWN = 100
"""Characters of a condition that an error shows."""
_MOST_KNOWN = 24
"""Known words that an error lists."""


class Token(NamedTuple):
    """A piece of a condition: its kind (a group of the pattern, or `end`), text and place."""

    kind: str
    text: str
    start: int

    @property
    def is_keyword(self) -> bool:
        """Return whether it is `and`, `or` or `not`."""
        return self.kind == "word" and self.text.lower() in _KEYWORDS


class NameComparison(NamedTuple):
    """A name with a sign and a value, or a name alone."""

    name: Token
    sign: Token | None = None
    value: Token | None = None

    def holds(self, values: Values) -> bool:
        """Return whether a model's values are as it says."""
        found = values(self.name.text)
        if self.sign is None or self.value is None:
            return any(found)
        if self.sign.text == "!=":
            return not any(is_equal(value, self.value) for value in found)
        if self.sign.text in ("=", "=="):
            return self.is_absence(found) or any(is_equal(value, self.value) for value in found)
        return any(is_ordered(value, self.sign.text, self.value) for value in found)

    def is_absence(self, found: Sequence[Any]) -> bool:
        """Return whether `none` is asked for and there is nothing."""
        assert self.value is not None
        return not found and self.value.text.lower() == "none"

    def comparisons(self) -> Iterator[NameComparison]:
        """Yield itself."""
        yield self


class Negation(NamedTuple):
    """`not` and a part."""

    part: Condition

    def holds(self, values: Values) -> bool:
        """Return whether the part does not hold."""
        return not self.part.holds(values)

    def comparisons(self) -> Iterator[NameComparison]:
        """Yield the comparisons of the part."""
        yield from self.part.comparisons()


class Junction(NamedTuple):
    """Parts joined by `and`, or by `or`."""

    join: Callable[[Iterator[bool]], bool]
    """`all` or `any`."""
    parts: tuple[Condition, ...]

    def holds(self, values: Values) -> bool:
        """Return whether all parts hold, or one of them."""
        return self.join(part.holds(values) for part in self.parts)

    def comparisons(self) -> Iterator[NameComparison]:
        """Yield the comparisons of all parts."""
        for part in self.parts:
            yield from part.comparisons()


Condition = NameComparison | Negation | Junction


# Values


def parse_number(text: str) -> float | None:
    """Return the number that a text means, None for other text: `128k` is 131,072, `1B` 10⁹."""
    matched = _NUMBER.fullmatch(text)
    if matched is None:
        return None
    digits = matched[1]
    unit = matched[2].lower()
    for separator in (",", "_"):
        digits = digits.replace(separator, "")
    factor = _UNITS[unit]
    return float(digits) * factor


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_equal(value: Any, wanted: Token) -> bool:
    """Return whether a value is the wanted one, whatever its case; a date is its year, too."""
    text = wanted.text.lower()
    if is_number(value):
        return value == parse_number(text)
    if value is None or isinstance(value, bool):
        return wanted.kind == "word" and text in _WORDS and value is _WORDS[text]
    own = str(value).lower()
    is_date = _DATE.fullmatch(own) and _DATE.fullmatch(text)
    return own.startswith(text) if is_date else own == text


def is_ordered(value: Any, sign: str, wanted: Token) -> bool:
    """Return whether a number or a date stands so to the wanted one.

    Dates are compared as far as the shorter one goes.
    """
    compare = _ORDERS[sign]
    if is_number(value):
        number = parse_number(wanted.text)
        return number is not None and compare(value, number)
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    known = min(len(value), len(wanted.text))
    return compare(value[:known], wanted.text[:known])


# Parsing


class Parser:
    """Parse one condition by descent."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self.read_tokens())
        self.depth = 0

    def read_tokens(self) -> Iterator[Token]:
        """Yield the pieces, the end last. Raises ConditionError at a sign that begins none."""
        place = 0
        end = len(self.text.rstrip())
        while place < end:
            matched = _TOKEN.match(self.text, place)
            if matched is None:
                rest = self.text[place:].lstrip()
                start = len(self.text) - len(rest)
                raise self.error(Token("sign", rest[:1], start), f"{rest[:1]} means nothing here")
            kind = str(matched.lastgroup)
            text = matched[kind]
            start = matched.start(kind)
            if kind == "quoted":
                text = text[1:-1]
            yield Token(kind, text, start)
            place = matched.end()
        yield Token("end", "", end)

    def error(self, token: Token, message: str, hint: str | None = None) -> ConditionError:
        """Return the error about a piece, with a caret below it."""
        return ConditionError(f"{message}\n{pointed(self.text, token)}", hint)

    def parse(self) -> Condition:
        """Return the condition. Raises ConditionError for what is none."""
        found = self.junction("or", any, self.clause)
        rest = self.tokens[0]
        if rest.kind != "end":
            raise self.error(rest, "`and` or `or` is missing here")
        return found

    def clause(self) -> Condition:
        """Parse parts joined by `and`."""
        return self.junction("and", all, self.part)

    def junction(
        self,
        word: str,
        join: Callable[[Iterator[bool]], bool],
        parse_part: Callable[[], Condition],
    ) -> Condition:
        """Parse parts joined by a word."""
        parts = [parse_part()]
        while self.tokens[0].kind == "word" and self.tokens[0].text.lower() == word:
            self.tokens.pop(0)
            parts.append(parse_part())
        if len(parts) == 1:
            return parts[0]
        return Junction(join, tuple(parts))

    def part(self) -> Condition:
        """Parse a comparison, one after `not`, or a condition in parentheses."""
        first = self.tokens.pop(0)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(first, "there is too much within parentheses or after `not`")
        parsed = self.part_after(first)
        self.depth -= 1
        return parsed

    def part_after(self, first: Token) -> Condition:
        """Parse the part that begins with a piece, which has been taken."""
        if first.is_keyword and first.text.lower() == "not":
            return Negation(self.part())
        if first.kind == "open":
            inner = self.junction("or", any, self.clause)
            last = self.tokens.pop(0)
            if last.kind != "close":
                raise self.error(last, "a closing parenthesis is missing here")
            return inner
        if first.kind != "word" or first.is_keyword:
            raise self.error(first, "the name of a fact is missing here", "such as moe.experts")
        if self.tokens[0].kind != "sign":
            return NameComparison(first)
        sign = self.tokens.pop(0)
        value = self.tokens.pop(0)
        if value.kind not in ("word", "quoted") or value.is_keyword:
            raise self.error(value, f"a value is missing after {sign.text}")
        return NameComparison(first, sign, value)


def pointed(text: str, token: Token) -> str:
    """Return the line of a condition around a piece, and below it carets under the piece."""
    first = max(0, token.start - _SHOWN // 2)
    before = "…" if first else ""
    line = text[first : first + _SHOWN].replace("\n", " ").replace("\t", " ")
    carets = "^" * max(1, min(len(token.text), _SHOWN // 2))
    blank = " " * (len(before) + token.start - first)
    return f"  {before}{line}\n  {blank}{carets}"


def parse_condition(text: str) -> Condition:
    """Return the condition that a text says. Raises ConditionError that points at a fault."""
    return Parser(text).parse()


# Against what models have


def check_condition(
    text: str, condition: Condition, values: Values, names: Callable[[], Sequence[str]]
) -> None:
    """Raise ConditionError where a name is not a fact, or a value that no fact can have.

    text: the condition as it was written.
    condition: the same, parsed.
    values: returns all values that models have for a name.
    names: returns the names to offer instead of an unknown one.
    """
    parser = Parser(text)
    for one in condition.comparisons():
        found = values(one.name.text)
        if not found:
            message = f"no bundled model has a fact {one.name.text}"
            hint = near_names(one.name.text, names())
            raise parser.error(one.name, message, hint)
        if one.sign is not None and one.value is not None:
            check_value(parser, one.name, one.sign, one.value, found)


def near_names(name: str, names: Sequence[str]) -> str:
    """Return a hint with the names that look like one, else how names are found."""
    near = did_you_mean(similar_names(name.lower(), names))
    return near or (
        "`llmarch show REF --all` lists facts; the last parts of a path suffice: moe.experts"
    )


def check_value(
    parser: Parser, name: Token, sign: Token, value: Token, found: Sequence[Any]
) -> None:
    """Raise ConditionError for a value that cannot be compared with those that models have."""
    text = value.text
    has_numbers = any(map(is_number, found))
    has_words = any(isinstance(one, (str, bool)) for one in found)
    is_dated = any(isinstance(one, str) and _DATE.fullmatch(one) for one in found)
    is_plain = text.lower() in _WORDS
    if sign.text in _ORDERS:
        if is_dated and not has_numbers:
            if not _DATE.fullmatch(text):
                raise parser.error(value, f"{name.text} is a date", "such as 2025-04")
        elif not has_numbers:
            message = f"{name.text} is a word: it is only equal or not"
            raise parser.error(sign, message, f"Known: {known_words(found)}.")
        elif parse_number(text) is None:
            raise parser.error(value, f"{name.text} is a number", "such as 128, 32k or 1.5B")
        return
    if is_plain or is_dated or any(is_equal(one, value) for one in found):
        return
    if has_numbers and not has_words and parse_number(text) is None:
        raise parser.error(value, f"{name.text} is a number", "such as 128, 32k or 1.5B")
    if has_words:
        words = sorted({str(one).lower() for one in found if isinstance(one, str)})
        near = did_you_mean(similar_names(text.lower(), words))
        hint = near or f"Known: {known_words(found)}."
        raise parser.error(value, f"no bundled model has {name.text} {text}", hint)


def known_words(found: Sequence[Any]) -> str:
    """Return the words among values, the first of many."""
    shown: set[str] = set()
    for value in found:
        if isinstance(value, str):
            shown.add(value)
        elif value is True:
            shown.add("yes")
        elif value is False:
            shown.add("no")
    words = sorted(shown)
    listed = ", ".join(words[:_MOST_KNOWN])
    if len(words) > _MOST_KNOWN:
        listed += ", …"
    return listed
