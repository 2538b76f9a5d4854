"""Text that is safe to show."""


def printable(text: str) -> str:
    """Text for one line of a terminal: control characters, and bytes in file names that are not text, become
    escapes.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
