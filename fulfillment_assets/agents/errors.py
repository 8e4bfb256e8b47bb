"""What can go wrong around the agents, said so that the reader knows what to do."""

from __future__ import annotations


class UnknownDeviationError(LookupError):
    """There is no deviation with that id."""


class AskError(ValueError):
    """The agents cannot be asked to work on a deviation as it stands; the message says why."""


class ApprovalError(ValueError):
    """A request for approval cannot be decided as asked; the message says who decided it."""


class UnknownApprovalError(ApprovalError):
    """There is no request for approval with that id."""
