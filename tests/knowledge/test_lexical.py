"""The embedder that needs no model: what makes two texts alike."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fulfillment_assets.knowledge.lexical import LexicalEmbedder, stem
from fulfillment_assets.knowledge.vocabulary import ideas
from fulfillment_assets.settings import PROJECT_ROOT

EMBEDDER = LexicalEmbedder()


def likeness(first: str, second: str) -> float:
    one, other = EMBEDDER.embed([first, second])
    return float(one @ other)


def test_vectors_have_the_dimension_and_unit_length() -> None:
    vectors = EMBEDDER.embed(["refund of a late order", "x", "Größe & Maß 42"])
    assert vectors.shape == (3, EMBEDDER.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("text", ["", " \n", "\0"])
def test_a_text_without_words_is_no_error(text: str) -> None:
    assert np.isfinite(EMBEDDER.embed([text])).all()


def test_no_texts_give_no_vectors() -> None:
    assert EMBEDDER.embed([]).shape == (0, EMBEDDER.dimension)


def test_a_text_gets_the_same_vector_alone_in_company_and_in_another_process() -> None:
    text = "Who signs off a refund above the limit?"
    alone = EMBEDDER.embed([text])[0]
    assert (EMBEDDER.embed(["something else", text])[1] == alone).all()
    program = (
        "from fulfillment_assets.knowledge.lexical import LexicalEmbedder as E; e = E(); "
        f"print(e.fingerprint, e.embed([{text!r}]).tobytes().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT_ROOT,
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [EMBEDDER.fingerprint, alone.tobytes().hex()]


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("refunded orders", "the refund of an order", "the weight of a parcel"),
        ("reimbursement", "refund", "warehouse"),
        ("get my money back", "refund", "parcel"),
        ("lorry", "Road", "Flight"),
        ("tracking scann", "tracking scan", "apology letter"),
        ("who gives the green light", "approval by finance", "daily capacity of a block"),
    ],
)
def test_words_endings_synonyms_and_slips_are_understood(query: str, near: str, far: str) -> None:
    assert likeness(query, near) > likeness(query, far) + 0.1


def test_rule_ids_in_a_text_do_not_matter() -> None:
    assert likeness("- **RF-1.1** Money is paid back", "- **RF-9.7** Money is paid back") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("refund", "refunds", "refunded", "refunding"),
        ("ship", "ships", "shipped", "shipping"),
        ("policy", "policies"),
        ("delay", "delayed", "delays"),
        ("relocate", "relocated", "relocates"),
    ],
)
def test_forms_of_a_word_have_one_stem(words: tuple[str, ...]) -> None:
    assert len({stem(word) for word in words}) == 1


@pytest.mark.parametrize(
    ("word", "other"), [("carry", "card"), ("late", "latte"), ("ship", "shop")]
)
def test_other_words_have_another(word: str, other: str) -> None:
    assert stem(word) != stem(other)


def test_the_vocabulary_has_words_and_phrases_of_one_idea() -> None:
    assert ideas()["refund"] == ideas()["money back"] == ("refund",)
    assert set(ideas()["account"]) == {"pay", "card"}
