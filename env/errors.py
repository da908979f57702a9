"""Every typed error of the gym, with what the caller does about it.

| error | whose fault | policy |
|---|---|---|
| `UserError` | the person at the keyboard | one sentence (file, field, cure), exit code 2 |
| `ActionError` | the agent | told back as an observation; the turn counts; scored |
| `InfrastructureError` | ours or the machine's | retried, then masked; never a reward, never 0 |

A program that crashes or runs out of time is not an error here: it is an `Execution` with that status.
"""

from __future__ import annotations

MASKED_LIMIT = 0.05
"""Share of masked episodes above which training, sampling and evaluation warn: a rate may hang on which ones failed."""


class MedCopilotError(Exception):
    """Base of all typed errors."""


class UserError(MedCopilotError):
    """Bad input: the message names the file, the field and the cure. The command line exits with 2."""


class ActionError(MedCopilotError):
    """Text that is not a valid action; the message tells the agent precisely what to change."""

    def __init__(self, message: str, kind: str = "format") -> None:
        super().__init__(message)
        self.kind = kind
        """`format` (no JSON object), `schema` (wrong fields), or `not_allowed` (valid but not for this task)."""


class InfrastructureError(MedCopilotError):
    """Our machinery failed: retried and masked."""


class SandboxUnavailable(InfrastructureError, UserError):
    """No sandbox of the required tier works here: fails closed, with the cure in the message."""


class BoxDied(InfrastructureError):
    """A box vanished or broke its protocol while it was not running agent code."""


class EngineError(InfrastructureError):
    """A policy's engine or endpoint failed."""


class AgreementError(UserError):
    """Rows under a data-use agreement were about to leave the machine without recorded permission."""
