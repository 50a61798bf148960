"""The few widths that token arrays are padded to, so that few shapes are compiled."""

_SMALLEST_WIDTH = 128  # narrower batches cost a compilation and save no time


def width_for(length: int, limit: int, *, least: int = _SMALLEST_WIDTH) -> int:
    """Returns the next power of two from `length`, at least `least`, at most `limit`."""
    return min(max(1 << (length - 1).bit_length(), least), limit)


def rounded(length: int) -> int:
    """Returns the next width of a few: multiples of 16, of an eighth of a power of two from 256."""
    step = max(16, (1 << (max(length, 1) - 1).bit_length()) // 16)
    return -(-length // step) * step
