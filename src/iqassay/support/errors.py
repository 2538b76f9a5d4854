"""What a user did wrong, in one line."""

from __future__ import annotations


class UsageError(ValueError):
    """A path or an option that cannot be used as asked. The message is one line."""
