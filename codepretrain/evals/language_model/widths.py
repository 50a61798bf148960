"""The few widths that token arrays are padded to, so that few shapes are compiled."""

_SMALLEST_WIDTH = 128  # narrower batches cost a compilation and save no time


def width_for(length: int, limit: int, *, least: int = _SMALLEST_WIDTH) -> int:
    """Returns the next power of two from `length`, at least `least`, at most `limit`."""
    return min(max(1 << (length - 1).bit_length(), least), limit)
