"""Model presets: the study's models and two smaller ones of the same design, all with head dim 128.

    name   vocabulary  d_model  layers  heads   d_ff  parameters  without embeddings
    30m        32,768      384      10      3  1,024       30.3M               17.7M
    125m       32,768      768      14      6  2,048      124.3M               99.1M
    470m      256,000    1,024      16      8  2,816      467.7M              205.5M
    2_8b      256,000    2,560      26     20  7,168    2,768.3M            2,112.9M

`470m` and `2_8b` are inferred: the paper reports only parameter counts and vocabulary, and these
shapes with head dim 128 and d_ff ≈ 2.75 · d_model match them. The smaller ones are ours.
"""

from codepretrain.config.parse import suggestion
from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError

_HEAD_DIM = 128


def _preset(*, vocab_size: int, d_model: int, num_layers: int, d_ff: int) -> ModelConfig:
    num_heads = d_model // _HEAD_DIM
    return ModelConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_heads,  # ours: no grouping
        head_dim=_HEAD_DIM,
        d_ff=d_ff,
    )


PRESETS: dict[str, ModelConfig] = {
    "30m": _preset(vocab_size=32_768, d_model=384, num_layers=10, d_ff=1024),
    "125m": _preset(vocab_size=32_768, d_model=768, num_layers=14, d_ff=2048),
    "470m": _preset(vocab_size=256_000, d_model=1024, num_layers=16, d_ff=2816),
    "2_8b": _preset(vocab_size=256_000, d_model=2560, num_layers=26, d_ff=7168),
}


def preset(name: str) -> ModelConfig:
    """Returns the model called `name`.

    Raises:
      UserError: no model has this name.
    """
    if name not in PRESETS:
        raise UserError(f"there is no model preset {name!r}{suggestion(name, list(PRESETS))}")
    return PRESETS[name]
