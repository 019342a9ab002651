"""Short ids of changes, by which a reader accepts one. Pure.

An id is made of the model's reference, the rule, the places, and the values; of a finding, of what
was found. Wording, severity and versions of llmarch do not matter. A change to other values has
another id.
"""

from __future__ import annotations

import re

from ..architecture.fingerprint import digest
from ..architecture.schema import Change, Finding

ID_DIGITS = 12
ID = re.compile(r"[0-9a-f]{12}")
NUMBER = re.compile(r"\d[\d,]*")


def change_id(reference: str, change: Change, finding: Finding | None) -> str:
    """Return the id of a change of a model: twelve hexadecimal digits.

    finding: what the change is about; None for a fact.
    """
    places = sorted({change.path, *change.paths})
    if finding is None:
        values = [change.old, change.new]
    elif change.new is None:
        values = ["gone"]
    elif finding.old is not None or finding.new is not None:
        values = [finding.old, finding.new]
    else:  # the numbers of a message stay when its words are improved
        values = NUMBER.findall(finding.message)
    from hashlib import sha256

    text = digest([reference, change.rule, places, values])
    data = text.encode()
    digits = sha256(data).hexdigest()
    return digits[:ID_DIGITS]
