# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What a check found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be; None if it does not apply to this machine.
        detail: what was found.
        advice: what to do about it, one line; empty unless it failed.
    """

    name: str
    ok: bool | None
    detail: str
    advice: str = ""


class Problem(Exception):
    """A check failed.

    Args:
        detail: what was found.
        advice: what to do about it.
    """

    def __init__(self, detail: str, advice: str) -> None:
        super().__init__(detail)
        self.advice = advice


class NotHere(Exception):
    """A check does not apply to this machine; the message says why."""
