"""What a user can do something about: one sentence, printed without a traceback."""


class UserError(Exception):
    """Say in one sentence what is wrong and what to do."""


def short(text: object, most: int = 400) -> str:
    """Make one line of what others wrote, not longer than `most` and without control characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)[: 10 * most]).split())
    return line if len(line) <= most else line[: most - 3] + "..."
