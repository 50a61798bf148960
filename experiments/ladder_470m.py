"""The top of the ladder: the six doses of code at 470M, short runs for the fits, and the target.

The short runs (10 and 20B tokens, ours) are the third size that a law of parameters and tokens
needs. The target, 200B tokens (paper, §3.3), are the six arms of `experiments/proportion.py`: the
same fingerprints, trained once.

Run:      codepretrain plan --config experiments/proportion.py experiments/ladder_470m.py
Cost:     180B tokens of short runs, once: about 4,300 chip-hours (TPU v5e) in proportion to the
          paper's 4,736 per 200B; the target costs nothing beside `proportion`.
Expected: losses at 200B within the intervals predicted from the shorter and smaller runs.

`experiments/study/ladder.py` has the design, `experiments/ladder_30m.py` what is done with it.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from experiments.study.ladder import COMMON_BILLIONS, OF_DOSES, TARGET_BILLIONS, ladder, runs


def get_config() -> ConfigDict:
    return to_config_dict(ladder("470m", runs(OF_DOSES, (10, COMMON_BILLIONS, TARGET_BILLIONS))))
