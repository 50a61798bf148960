"""The middle of the ladder: the mixtures and lengths of `ladder_30m.py` at 125M parameters. (ours)

Run:      codepretrain plan --config experiments/ladder_125m.py
Cost:     17,000 chip-hours (TPU v5e) at an assumed MFU of 0.4, three replicates (`plan`).
Expected: the order of the mixtures at 30M. DataDecide (2504.11393): ranking at one small size
          decides about 80% of the pairs at 1B.

`experiments/study/ladder.py` has the design, `experiments/ladder_30m.py` what is done with it.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from experiments.ladder_30m import BILLIONS
from experiments.study.ladder import MIXTURES, ladder, runs


def get_config() -> ConfigDict:
    return to_config_dict(ladder("125m", runs(MIXTURES, BILLIONS)))
