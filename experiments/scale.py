"""Do the effects of code in the initialization hold at 2.8B parameters? (§3.2 of the paper.)

The variants, phases, token budgets, replicates and contrasts of `experiments/initialization.py`,
with 2.8B parameters.

Run:      codepretrain plan --config experiments/scale.py --topology v5e:16x16
Cost:     the paper reports 13,824 chip-hours (TPU v5e) per 200B tokens at 2.8B: about 122,000 in
          total for 1,760B tokens if cooldowns cost in proportion (our sum, not the paper's). Three
          replicates cost three times that; `--config.replicates=1` is what the paper did.
Expected: the natural-language average over that of 470M: balanced_text +33.1%, code_text +31.7%,
          balanced_only +30%; for balanced_text 2.7 times the knowledge and 2.5 times the code. The
          contrasts' published effects are those at 470M: no scores of 2.8B were published.

`tests/experiments/test_initialization.py` checks that only the model differs from
`initialization.py`.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.model.presets import preset
from experiments.initialization import study

MODEL_2_8B = preset("2_8b")  # inferred: 2.77B; see model/presets.py


def get_config() -> ConfigDict:
    return to_config_dict(study("scale", MODEL_2_8B))
