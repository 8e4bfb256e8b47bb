"""What can go wrong with the models that are known here.

RegistryError
├── UnknownVersionError        no such version, or none of its files are kept
├── OtherModelError            the version's name belongs to another model
├── UnfitModelError            the model must not become champion, whoever asks for it
├── ChampionChangedError       another decision came first
└── NothingToRollBackToError   the champion is the first one
"""

from __future__ import annotations

from fulfillment_assets.delay_model.errors import DelayModelError


class RegistryError(DelayModelError):
    """Base of the registry's errors; the text is written for the user."""


class UnknownVersionError(RegistryError, LookupError):
    """There is no such version, or it was registered before model files were kept."""


class OtherModelError(RegistryError):
    """Another model is registered under the same version."""


class UnfitModelError(RegistryError):
    """The model does not call late what is known to be late."""


class ChampionChangedError(RegistryError):
    """Another decision moved the pointer first; nothing was changed by this one."""


class NothingToRollBackToError(RegistryError):
    """No version was champion before the present one."""
