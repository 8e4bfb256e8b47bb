"""Whether a service is ready to serve."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

_REQUEST_SECONDS: Final = 2.0

HealthCheck = Callable[[], str | None]
"""Returns None when the service is ready, else the reason why it is not. It should not block."""

# A proxy from the environment must not come between us and a loopback address.
LOOPBACK_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http_health(url: str) -> HealthCheck:
    """A check that a GET of the URL succeeds within two seconds."""

    def check() -> str | None:
        try:
            with LOOPBACK_OPENER.open(url, timeout=_REQUEST_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            return f"{url} answered {error.code} {error.reason}"
        except urllib.error.URLError as error:
            return f"{url} did not answer: {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            return f"{url} did not answer: {error}"

    return check
