"""Numbers formatted for people."""

import math

PERCENT = " %"
MIN_DOUBT = 1e-6  # distance of a probability from 1 below which it is shown as a lower bound


def signed(value: float) -> str:
    """A logit, or a contribution to one, with its sign."""
    text = f"{value:+,.{0 if abs(value) >= 1000 else 2}f}".replace("-", "−")
    return text[1:] if text[1:] == "0.00" else text


def magnitude(value: float) -> str:
    """A number that is not negative with two decimals, or two significant digits where that is more."""
    return f"{value:.2g}" if 0 < value < 0.1 else signed(value).lstrip("+")


def rate(share: float) -> str:
    """A share, 0 … 1, in percent with two significant digits."""
    digits = 1 if share <= 0 else min(4, max(1, 1 - math.floor(math.log10(100 * share))))
    return f"{100 * share:.{digits}f}{PERCENT}"


def confidence(logit: float) -> str:
    """The probability of the predicted digit in percent, and never 100 %."""
    other = (1 - math.tanh(abs(logit) / 2)) / 2
    if other < MIN_DOUBT:
        return f"more than {100 * (1 - MIN_DOUBT):.4f}{PERCENT}"
    return f"{100 * (1 - other):.{max(1, math.ceil(-math.log10(other)) - 2)}f}{PERCENT}"


def a(digit: int) -> str:
    """A digit with its indefinite article: "a 0", "an 8"."""
    return f"{'an' if digit == 8 else 'a'} {digit}"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 image", "2,115 images"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
