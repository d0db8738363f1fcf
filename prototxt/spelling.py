"""What a name that is not known may be meant to be: the same one, or a slip of the pen.

Likeness alone says nothing: forks call their types as those they vary (BinaryInnerProduct,
Pooling3D, UNPOOLING), and whoever takes the plain one gets another network.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 8
"""Of the names that there are."""


def meant(word: str, known: Iterable[str], *, shortest: int = 3) -> str:
    """Return the known name that differs in case and underscores alone, or by one slip; else "".

    A slip is a letter too few or too many, a wrong one or two that changed places, but for the
    first and for capitals, which stand for words (AdamW, PRoIPooling and PSROIPooling); words
    shorter than `shortest` have none, since theirs are names of their own.
    """
    names = list(known)
    plain = normal(word)
    same = next((name for name in names if normal(name) == plain), "")
    if same or len(plain) < shortest:
        return same
    return next((name for name in names if _is_slip(word, name)), "")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what to say where a word is none of the known names: the nearest, or a few of them.

    Names of layers and blobs of one file, where likeness is no trap as it is among types.
    """
    names = list(dict.fromkeys(known))
    plain = {normal(name): name for name in names}
    if found := get_close_matches(normal(word), plain, n=1, cutoff=0.5):
        return f"did you mean {plain[found[0]]!r}?"
    shown = ", ".join(map(repr, names[:SHOWN]))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there are {shown}{more}" if names else "there are none"


def normal(word: str) -> str:
    """Return a name without case and underscores."""
    return word.replace("_", "").lower()


def _is_slip(written: str, name: str) -> bool:
    word, other = normal(written), normal(name)
    if word[:1] != other[:1] or _digits(word) != _digits(other):
        return False
    same = (at for at, (a, b) in enumerate(zip(word, other, strict=False)) if a != b)
    start = next(same, min(len(word), len(other)))
    mine, theirs = word[start:], other[start:]
    if mine[:2] == theirs[1::-1] and mine[2:] == theirs[2:]:
        return True
    wrong, many, few = mine[1:] == theirs[1:], mine[1:] == theirs, mine == theirs[1:]
    if (wrong or many) and _is_capital(written, start):
        return False
    return many or ((wrong or few) and not _is_capital(name, start))


def _is_capital(word: str, at: int) -> bool:
    """Tell whether a letter of a name, underscores not counted, is a capital among small ones."""
    return word != word.upper() and word.replace("_", "")[at : at + 1].isupper()


def _digits(word: str) -> str:
    return "".join(filter(str.isdigit, word))
