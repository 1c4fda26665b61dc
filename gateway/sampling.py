"""Which stretches of a long text stand for all of it, where only an estimate is wanted."""

SAMPLED_ABOVE_CHARS = 20_000
STRETCHES = 10


def stretches(text: str) -> tuple[list[str], bool]:
    """Return the text whole, or stretches spread evenly over it, cut where lines or words end.

    Returns:
        Together at most some `SAMPLED_ABOVE_CHARS` characters; and whether that is not all.
    """
    if len(text) <= SAMPLED_ABOVE_CHARS:
        return [text], False
    size = SAMPLED_ABOVE_CHARS // STRETCHES
    found = []
    for number in range(STRETCHES):
        start = (len(text) - size) * number // (STRETCHES - 1)
        if number > 0:
            start = _after(text, start, start + size // 2)
        end = start + size if number < STRETCHES - 1 else len(text)
        found.append(text[start:end])
    return found, True


def _after(text: str, start: int, stop: int) -> int:
    """Return where the first paragraph, line or word begins in a range; its start if none does."""
    for gap in ("\n\n", "\n", " "):
        at = text.find(gap, start, stop)
        if at >= 0:
            return at + len(gap)
    return start
