"""The chance that one of k samples is right, estimated from n ≥ k samples."""

import math


def pass_at_k(num_samples: int, num_passed: int, k: int) -> float:
    """Returns the unbiased estimate of pass@k for one problem.

        1 - C(n - c, k) / C(n, k)

    This is the share of all sets of k of the n samples that have a sample that passed.

    Source: Chen et al., Evaluating Large Language Models Trained on Code, 2021, eq. 1.
    """
    assert 0 <= num_passed <= num_samples, (num_passed, num_samples)
    assert 1 <= k <= num_samples, (k, num_samples)
    return 1 - math.comb(num_samples - num_passed, k) / math.comb(num_samples, k)
