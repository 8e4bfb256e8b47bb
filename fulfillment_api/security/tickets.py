"""Tickets: let a browser into the live stream, where it can send no header with its key.

A ticket is good for a minute, for the live stream alone, and as long as its key is not revoked; so
it may stand in an address, where a key may not. Nothing is stored: the key's hash signs it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass
from typing import Final

from fulfillment_api.roles import PREFIX
from fulfillment_api.security.keys import ApiKey

SECONDS: Final = 60
PARAMETER: Final = "ticket"

PATHS: Final = frozenset({f"{PREFIX}/live", f"{PREFIX}/ws/kpi"})
"""Where tickets are taken."""

_FORM: Final = re.compile(r"(?a:fft_([0-9a-f]{32})_(\d{1,12})_([0-9a-f]{64}))")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket that was shown.

    Attributes:
        key_id: the key that it was made with.
        expires: Unix time, in seconds.
    """

    key_id: uuid.UUID
    expires: int
    signature: str

    @classmethod
    def parse(cls, text: str) -> Ticket | None:
        """Read a ticket; None: it is none."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        return cls(uuid.UUID(hex=found[1]), int(found[2]), found[3])

    def is_good(self, key: ApiKey, now: float) -> bool:
        """Whether its key made it and is not revoked, and it has not expired."""
        signed = hmac.compare_digest(self.signature, _sign(key, self.expires))
        return signed and self.expires >= now and key.revoked_at is None


def make_ticket(key: ApiKey, expires: int) -> str:
    """A ticket that is good until `expires`, in Unix time."""
    return f"fft_{key.id.hex}_{expires}_{_sign(key, expires)}"


def _sign(key: ApiKey, expires: int) -> str:
    text = f"live stream {key.id} {expires}"
    return hmac.new(key.hash, text.encode(), hashlib.sha256).hexdigest()
