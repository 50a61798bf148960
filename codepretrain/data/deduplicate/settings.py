"""Settings of the search for near duplicates."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DeduplicationSettings:
    """What near duplicates are, and how they are found.

    Two texts are near duplicates if the Jaccard similarity of their sets of word n-grams is at
    least `threshold`. It is estimated from `num_permutations` minimal hashes. Pairs are candidates
    if all hashes of one of `num_bands` bands are equal: at similarity s, with probability
    1 − (1 − s^rows_per_band)^num_bands, which is 0.48 at s = 0.5, 0.995 at 0.7 and 1 − 3e-6 at 0.8.

    Source: Broder 1997 (MinHash); Indyk and Motwani 1998 (bands); Lee et al. 2022, who find near
    duplicates of training data so, with 5-grams of words. The n-gram size, number of permutations
    and threshold are those of Ben Allal et al. 2023 (SantaCoder), which Li et al. 2023 (StarCoder)
    keep. They take every candidate for a duplicate; here the estimate decides, so the bands
    may have few rows, which finds more.

    A study sets only `threshold` (`config.data.deduplication.min_similarity`, in (0, 1]).

    Attributes:
      ngram_size: words in an n-gram. A shorter text is one n-gram.
      num_permutations: at least num_bands × rows_per_band.
      memory_bytes: of all buffers together.
    """

    ngram_size: int = 5
    num_permutations: int = 256
    num_bands: int = 42
    rows_per_band: int = 6
    threshold: float = 0.7
    memory_bytes: int = 2**28

    @property
    def min_equal(self) -> int:
        """How many of the hashes' bytes must be equal: those of unequal hashes are in 1 of 256.

        Source: Li and König 2010 (b-bit minwise hashing): the share is s + (1 − s) / 256.
        """
        share = self.threshold + (1 - self.threshold) / 256
        return math.ceil(share * self.num_permutations - 1e-9)
