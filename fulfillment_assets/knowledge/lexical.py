"""An embedder that needs neither a download nor a network: hashed words and character n-grams.

Three blocks stand side by side in a vector: stems of words and of their pairs, ideas of the trade
(`vocabulary`), and character n-grams, which forgive spelling. In each a term counts by
1 + log(its frequency) (Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008,
6.4.1), and each has unit length before it is weighted.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from fulfillment_assets.knowledge.vocabulary import ideas

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

Vectors = npt.NDArray[np.float32]

_VERSION: Final = 1
_WORD_BUCKETS: Final = 1024
_CHARACTER_BUCKETS: Final = 384
_WEIGHTS: Final = {"words": 1.0, "ideas": 0.8, "characters": 0.5}

_RULE_ID: Final = re.compile(r"\*\*[A-Z]{2,3}-\d+\.\d+\*\*")
_WORD: Final = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")
_COMMON_WORDS: Final = """
a about above after all also am an and any are as at be because been before being below both but
by can could did do does doing done for from get gets got had has have having he her here hers
him his how i if in into is it its just may me might mine more must my no nor not now of off on
once only or other our ours out own same shall she should so some still such than that the their
theirs them then there these they this those to too very was we were what when where which while
who whom whose why will with would yes yet you your yours order orders rule rules
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_SUFFIXES: Final = (
    ("ies", "y"), ("sses", "ss"), ("ness", ""), ("ments", ""), ("ment", ""), ("ations", ""),
    ("ation", ""), ("ings", ""), ("ing", ""), ("edly", ""), ("ed", ""), ("ly", ""), ("ers", ""),
    ("er", ""), ("es", ""), ("s", ""), ("e", ""),
)  # fmt: skip
_SHORTEST_STEM: Final = 3


class LexicalEmbedder:
    """Turns texts into unit vectors by the words in them; the same text gives the same vector."""

    name: Final = "lexical"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes whenever the same text would get another vector."""
        parts = repr((_VERSION, _WEIGHTS, _WORD_BUCKETS, _CHARACTER_BUCKETS, _SUFFIXES))
        words = repr((sorted(_COMMON), sorted(ideas().items())))
        return f"lexical-{hashlib.sha256((parts + words).encode()).hexdigest()[:12]}"

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return _WORD_BUCKETS + len(_idea_columns()) + _CHARACTER_BUCKETS

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, dimension) of n texts, each of unit length; that of an empty text is zero."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        words, characters = _vectorizers()
        lowered = [_RULE_ID.sub(" ", text).lower() for text in texts]
        blocks = [
            _damped(words.transform(lowered).toarray()) * _WEIGHTS["words"],
            _damped(_idea_counts(lowered)) * _WEIGHTS["ideas"],
            _damped(characters.transform(lowered).toarray()) * _WEIGHTS["characters"],
        ]
        return _unit(np.hstack(blocks)).astype(np.float32)


@functools.cache
def _vectorizers() -> tuple[HashingVectorizer, HashingVectorizer]:
    from sklearn.feature_extraction.text import HashingVectorizer

    shared: dict[str, Any] = {"norm": None, "dtype": np.float64}
    return (
        HashingVectorizer(analyzer=_terms, n_features=_WORD_BUCKETS, **shared),
        HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), n_features=_CHARACTER_BUCKETS, **shared
        ),
    )


def _terms(text: str) -> Iterator[str]:
    stems = [stem(word) for word in _WORD.findall(text) if word not in _COMMON]
    yield from stems
    yield from (f"{first} {second}" for first, second in itertools.pairwise(stems))


@functools.lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The word without its ending, so that `refunded` and `refunds` are one."""
    for suffix, replacement in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            short = word[: len(word) - len(suffix)] + replacement
            # planned, shipping: the doubled consonant is part of the ending.
            if suffix in {"ed", "ing", "er"} and short[-1] == short[-2] and short[-1] not in "lsz":
                short = short[:-1]
            return short.removesuffix("e")
    return word


@functools.cache
def _idea_columns() -> dict[str, int]:
    names = sorted({idea for found in ideas().values() for idea in found})
    return {name: column for column, name in enumerate(names)}


@functools.cache
def _idea_words() -> tuple[dict[str, tuple[int, ...]], list[tuple[re.Pattern[str], list[int]]]]:
    """Columns of each stem, and of each phrase."""
    columns = _idea_columns()
    single: dict[str, tuple[int, ...]] = {}
    phrases: list[tuple[re.Pattern[str], list[int]]] = []
    for words, names in ideas().items():
        found = [columns[name] for name in names]
        if " " in words:
            phrases.append((re.compile(rf"\b{re.escape(words)}\b"), found))
        else:
            single[stem(words)] = tuple({*single.get(stem(words), ()), *found})
    return single, phrases


def _idea_counts(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    single, phrases = _idea_words()
    counts = np.zeros((len(texts), len(_idea_columns())))
    for row, text in zip(counts, texts, strict=True):
        for word in _WORD.findall(text):
            for column in single.get(stem(word), ()):
                row[column] += 1
        for phrase, columns in phrases:
            if hits := len(phrase.findall(text)):
                row[columns] += hits
    return counts


def _damped(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.abs(counts)
    return _unit(np.sign(counts) * np.log1p(size, where=size > 0, out=np.zeros_like(size)))


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = vectors / np.where(length > 0, length, 1)
    return unit
