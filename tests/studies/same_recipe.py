"""One recipe of the demo, 8 times with other seeds: no difference between halves is real."""

from ml_collections import ConfigDict

from experiments import demo

PHASE = "balanced_init"
SEEDS = range(8)


def get_config() -> ConfigDict:
    config = demo.get_config()
    with config.unlocked():
        config.name = "same_recipe"
        config.phases = {PHASE: config.phases[PHASE]}
        config.variants = {"recipe": PHASE}
        config.baseline = None
        config.data.sources = {name: config.data.sources[name] for name in ("text", "code")}
        config.data.deduplication.keep_near = ()  # of a source that is left out
        config.evals = {
            name: config.evals[name]
            for name in ("validation", "prose_continuation", "code_continuation")
        }
        config.evals.validation.options.sources = "text, code"
        config.replicates = tuple(
            {"initialization_seed": seed, "data_order_seed": seed} for seed in SEEDS
        )
    return config
