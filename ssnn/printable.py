"""Text from outside, made safe to show: a file's name or content may hold escape characters, line feeds or worse."""

MAX_LENGTH = 2000  # characters of one text: enough for a path or two
ELLIPSIS = " … "


def printable(text: object) -> str:
    """The text in one line that any terminal, page or file can take.

    Characters that are not printable, among them line feeds, escape characters, those that change the direction of
    writing, and bytes of a file's name that no encoding knows, become U+FFFD. Of a text that is too long, beginning
    and end are kept.
    """
    text = str(text)
    if len(text) > MAX_LENGTH:
        half = (MAX_LENGTH - len(ELLIPSIS)) // 2
        text = text[:half] + ELLIPSIS + text[-half:]
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
