"""Retries and waits between calls of a forge: what failed on the way, and what the forge asked to do later.

One policy for all forges, as a ``urllib3.Retry``: https://urllib3.readthedocs.io/en/stable/reference/urllib3.util.html
GitHub's etiquette (no parallel writes, a second between them, ``Retry-After``) is that of
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from requests import Session
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from hardener.bot.forge import SECONDS, TRIES, RateLimitError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

log = logging.getLogger("hardener.bot")

LONGEST = 900.0
"""Seconds: a forge that asks for a longer wait is asked again by the next run, not by this one."""
BACKOFF = 1.0
"""Seconds before the second retry; each one after it waits twice as long."""
BETWEEN_WRITES = 1.0
"""Seconds from one write to the next."""
STATUSES = (429, 500, 502, 503, 504)
METHODS = frozenset(("GET", "HEAD", "PUT", "DELETE", "PATCH", "POST"))
WRITES = frozenset(("PUT", "DELETE", "PATCH", "POST"))


class Patience(Retry):
    """Retry with a bound on the wait; a POST too, since the bot looks for what is there before it gives up on one."""

    def get_retry_after(self, response: Any) -> float | None:
        """Return how long the forge asks to wait, in seconds; raises ``RateLimitError`` where that is too long."""
        wait: float | None = super().get_retry_after(response)
        if wait is not None and wait > LONGEST:
            raise RateLimitError(wait, response.status)
        return wait

    def _sleep_backoff(self) -> None:
        if self.get_backoff_time() >= 5:
            log.warning("the forge does not answer well; next try in %.0f s", self.get_backoff_time())
        super()._sleep_backoff()

    def sleep_for_retry(self, response: Any) -> bool:
        """Wait as long as the forge asks to, and say so where a person would wonder."""
        wait = self.get_retry_after(response)
        if wait and wait >= 5:
            log.warning("the forge asks to wait %.0f s (rate limit)", wait)
        slept: bool = super().sleep_for_retry(response)
        return slept


def arguments() -> dict[str, Any]:
    """Return the arguments of a `Patience`."""
    return {
        "total": TRIES - 1,
        "backoff_factor": BACKOFF,
        "status_forcelist": list(STATUSES),
        "allowed_methods": METHODS,
        "raise_on_status": False,
    }


class Writing(HTTPAdapter):
    """Sends one request after the other, writes at least `BETWEEN_WRITES` apart, each with a time limit."""

    last_write = 0.0

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Send one request, after a pause where it writes."""
        if request.method in WRITES:
            time.sleep(max(0.0, Writing.last_write + BETWEEN_WRITES - time.monotonic()))
        options["timeout"] = options.get("timeout") or SECONDS
        try:
            return super().send(request, *args, **options)
        finally:
            if request.method in WRITES:
                Writing.last_write = time.monotonic()


def session() -> Session:
    """Return a session that waits and tries again as said above."""
    found = Session()
    for scheme in ("https://", "http://"):
        found.mount(scheme, Writing(max_retries=Patience(**arguments())))
    return found
