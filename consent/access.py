"""Access: on whose behalf the store is asked; a mandatory argument of every store call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """What a requester may see and write.

    Until consent is compiled into predicates there is one value, made only by
    :meth:`everything`; the store refuses anything that is not an ``Access``.

    ``reason`` says why this access was given; it is meant for logs and audit and
    must not hold identifying data.
    """

    reason: str
    unrestricted: bool = False

    @staticmethod
    def everything(reason: str) -> Access:
        """Access without restriction, for the development mode and local maintenance commands.

        Raises ValueError when no reason is given.
        """
        if not reason.strip():
            raise ValueError("Access.everything needs a reason")
        return Access(reason=reason, unrestricted=True)
