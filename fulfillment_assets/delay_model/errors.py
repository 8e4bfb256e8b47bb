"""What can go wrong with the delay model.

DelayModelError
├── FeatureError        an order cannot be turned into model features
├── TrainingDataError   a data set cannot be trained on
└── ArtifactError       the stored model is missing, damaged or does not fit this code
"""

from __future__ import annotations


class DelayModelError(Exception):
    """Base of every error of this package; its text is written for the user."""


class FeatureError(DelayModelError, ValueError):
    """An order has a feature that is missing, of the wrong type or outside the contract."""


class TrainingDataError(DelayModelError, ValueError):
    """A data set cannot be trained on; the text names the rows or the column at fault."""


class ArtifactError(DelayModelError):
    """The stored model must not be used; the text says why and what to do."""


class LibraryDriftWarning(UserWarning):
    """The model was trained with other library versions than those installed."""
