"""The smallest models of the ladder: ten mixtures of text, web code and markup. (ours)

What do small models say about the proportion of code (§3.3 of arXiv 2408.10914) in larger ones? The
three files of the ladder and what is predicted from them: `experiments/study/ladder.py`.

    ten mixtures × 10, 20 and 40B tokens; at 20B with 3 initializations × 3 data orders, which tells
    the two kinds of seeds apart, elsewhere with 3 replicates

Run:      codepretrain plan --config experiments/ladder_30m.py experiments/ladder_125m.py \
              experiments/ladder_470m.py
Cost:     10,300 chip-hours (TPU v5e) at an assumed MFU of 0.4, all replicates (`plan`); 30M
          parameters have an embedding of 98M.
Expected: bits per byte of text rise and those of code fall with the share of code. Accuracies are
          near chance: rank mixtures by bits.

Report:   codepretrain report --config experiments/ladder_30m.py experiments/ladder_125m.py \
              experiments/ladder_470m.py
          has the predictions for 470M beside what it did (docs/report.md).
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from experiments.study.ladder import COMMON_BILLIONS, CROSSED, MIXTURES, ladder, runs, variant
from experiments.study.study import REPLICATES

BILLIONS = (10, COMMON_BILLIONS, 40)


def get_config() -> ConfigDict:
    phases = runs(MIXTURES, BILLIONS)
    crossed = [variant(name, COMMON_BILLIONS) for name in MIXTURES]
    fewer = {name: len(REPLICATES) for name in phases if name not in crossed}
    return to_config_dict(ladder("30m", phases, replicates=CROSSED, num_replicates=fewer))
