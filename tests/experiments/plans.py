"""The experiments of the study, loaded and resolved once for all tests."""

import functools
from collections.abc import Mapping

from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.rows.data_dir import settings_hash
from codepretrain.study.fingerprint import fingerprints
from codepretrain.study.graph import Phase, resolve
from tests.conftest import ROOT

EXPERIMENTS = (
    *("initialization", "scale", "proportion", "code_properties", "cooldown", "recipes"),
    *("ladder_30m", "ladder_125m", "ladder_470m"),
)


@functools.cache
def experiment(name: str) -> StudyConfig:
    return load_study(ROOT / "experiments" / f"{name}.py")


@functools.cache
def phases(name: str) -> dict[str, Phase]:
    return resolve(experiment(name))


@functools.cache
def prints(name: str) -> dict[str, str]:
    """The fingerprint of every phase, as `plan` has it before data is prepared."""
    config = experiment(name)
    rows = {source: settings_hash(config, source) for source in config.data.sources}
    return fingerprints(config, phases(name), rows=rows, imports={})


def shares(name: str, phase: str) -> dict[str, float]:
    """The realized share of each source in a phase."""
    resolved = phases(name)[phase]
    return {
        source: rows / resolved.num_rows
        for source, rows in resolved.rows_per_source().items()
        if rows
    }


def epochs(name: str, phase: str) -> Mapping[str, float]:
    """How often each source of declared size has been read at the end of a phase."""
    config, resolved = experiment(name), phases(name)[phase]
    sizes = {source: of.num_tokens for source, of in config.data.sources.items()}
    draws = resolved.draws_at(resolved.num_steps)
    return {
        source: sum(rows) * resolved.max_seq_len / size
        for source, rows in draws.items()
        if (size := sizes[source])
    }
