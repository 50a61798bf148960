"""Several studies of one working directory: what they share, and what all of them cost.

Phases with one fingerprint are one run, whatever each study calls them. A variant's name says
nothing outside its study: two variants are the same if their replicates end in the same runs.
Contrasts stay those of their studies, with families of their own.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from codepretrain.report.accounts import device_seconds, time_seconds
from codepretrain.report.collect import ReportInput, RunResults, StudyResults
from codepretrain.report.content import Content
from codepretrain.rows.manifest import RowsManifest

Relation = Literal["same runs", "some of the same runs", "other runs"]


@dataclass(frozen=True, kw_only=True)
class SameName:
    """A variant's name in several studies; `paths`: study → its phases in the first replicate."""

    variant: str
    relation: Relation
    paths: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What runs cost, each counted once.

    Attributes:
      tokens: planned.
      trained_tokens: by the last logged step.
      seconds: of all sessions.
      device_seconds: times the devices of each session; None if these are not known.
    """

    tokens: int
    trained_tokens: int
    seconds: float
    device_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Together:
    """Several studies of one working directory.

    Attributes:
      contents: study → its report, in the order in which they were given.
      phases: fingerprint → study → the name of the phase there.
      runs: every run and manifest once, by names that are unique among the studies; no variants.
      same_names: names of variants that several studies have.
      same_variants: variants with other names that are the same runs, as study → variant.
      same_contrasts: contrasts that ask the same of the same runs, as (study, contrast).
      costs: study → of all its runs. new_costs: of those that no study before it has.
      total: of all runs.
    """

    contents: Mapping[str, Content]
    phases: Mapping[str, Mapping[str, str]]
    runs: StudyResults
    same_names: Sequence[SameName]
    same_variants: Sequence[Mapping[str, str]]
    same_contrasts: Sequence[Sequence[tuple[str, str]]]
    costs: Mapping[str, Cost]
    new_costs: Mapping[str, Cost]
    total: Cost

    @property
    def studies(self) -> tuple[str, ...]:
        return tuple(self.contents)

    @property
    def shared(self) -> Mapping[str, Mapping[str, str]]:
        """The phases of more than one study."""
        return {key: names for key, names in self.phases.items() if len(names) > 1}

    def to_json(self) -> dict[str, Any]:
        """Returns what is not in the results of each study."""
        return {
            "shared": [
                {"fingerprint": key, "names": names, "run": self._run_of(key).plan.run_dir}
                for key, names in self.shared.items()
            ],
            "same_names": self.same_names,
            "same_variants": self.same_variants,
            "same_contrasts": self.same_contrasts,
            "costs": self.costs,
            "new_costs": self.new_costs,
            "total": self.total,
        }

    def _run_of(self, fingerprint: str) -> RunResults:
        runs = self.runs.runs.values()
        return next(run for run in runs if run.plan.fingerprint == fingerprint)


def bring_together(contents: Sequence[Content]) -> Together:
    """Returns several studies with what they share. Their names must differ."""
    by_study = {content.results.spec.study: content for content in contents}
    assert len(by_study) == len(contents), "two studies have one name"
    phases: dict[str, dict[str, str]] = {}
    runs: dict[str, RunResults] = {}
    new_costs = {}
    for study, content in by_study.items():
        of_study = content.results.runs
        new_costs[study] = _cost(r for r in of_study.values() if r.plan.fingerprint not in runs)
        for name, run in of_study.items():
            runs.setdefault(run.plan.fingerprint, run)
            phases.setdefault(run.plan.fingerprint, {}).setdefault(study, name)
    return Together(
        contents=by_study,
        phases=phases,
        runs=_merged(by_study, phases, runs),
        same_names=tuple(_same_names(by_study)),
        same_variants=tuple(_same_variants(by_study)),
        same_contrasts=tuple(_same_contrasts(by_study)),
        costs={name: _cost(c.results.runs.values()) for name, c in by_study.items()},
        new_costs=new_costs,
        total=_cost(runs.values()),
    )


def _cost(runs: Iterable[RunResults]) -> Cost:
    once = {run.plan.fingerprint: run for run in runs}.values()
    devices = [device_seconds(run) for run in once]
    known = [seconds for seconds in devices if seconds is not None]
    return Cost(
        tokens=sum(run.plan.tokens for run in once),
        trained_tokens=sum(run.last_step * run.plan.step_tokens for run in once),
        seconds=sum(sum(time_seconds(run).values()) for run in once),
        device_seconds=sum(known) if len(known) == len(devices) else None,
    )


def _merged(
    contents: Mapping[str, Content],
    phases: Mapping[str, Mapping[str, str]],
    runs: Mapping[str, RunResults],
) -> StudyResults:
    names = _unique_names(phases)
    renamed = {}
    for fingerprint, run in runs.items():
        study = next(iter(phases[fingerprint]))
        of_study = contents[study].results.runs
        parent = run.plan.parent
        if parent is not None:
            parent = names[of_study[parent].plan.fingerprint]
        plan = dataclasses.replace(run.plan, parent=parent)
        name = names[fingerprint]
        renamed[name] = dataclasses.replace(run, name=name, plan=plan)
    spec = ReportInput(
        study=" + ".join(contents),
        command=next(iter(contents.values())).results.spec.command,
        code_version=next(iter(contents.values())).results.spec.code_version,
        baseline=None,
        variants={},
        phases={name: run.plan for name, run in renamed.items()},
        evaluators={},
        rows={},
    )
    return StudyResults(spec=spec, runs=renamed, manifests=_manifests(contents), problems=())


def _unique_names(phases: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Returns fingerprint → a name: `study/phase`, or `phase` where several studies share it."""
    found = {}
    for fingerprint, of in phases.items():
        first = next(iter(of.values()))
        found[fingerprint] = first if len(of) > 1 else f"{next(iter(of))}/{first}"
    for fingerprint, name in found.items():
        if list(found.values()).count(name) > 1:
            of = phases[fingerprint]
            found[fingerprint] = f"{'+'.join(of)}/{next(iter(of.values()))}"
    return found


def _manifests(contents: Mapping[str, Content]) -> dict[str, dict[str, RowsManifest]]:
    """Returns source → split → manifest; `study/source` where studies have other rows of it."""
    found: dict[str, dict[str, RowsManifest]] = {}
    for study, content in contents.items():
        for source, splits in content.results.manifests.items():
            hashes = {split: manifest.hash for split, manifest in splits.items()}
            for name in (source, f"{study}/{source}"):
                known = found.setdefault(name, dict(splits))
                if {split: manifest.hash for split, manifest in known.items()} == hashes:
                    break
    return found


def _ends(content: Content, variant: str) -> tuple[str, ...]:
    """Returns the fingerprints of the last phases of a variant's replicates."""
    return tuple(path[-1].plan.fingerprint for path in content.results.replicates(variant))


def _same_names(contents: Mapping[str, Content]) -> Iterator[SameName]:
    studies: dict[str, list[str]] = {}
    for study, content in contents.items():
        for variant in content.results.spec.variants:
            studies.setdefault(variant, []).append(study)
    for variant, having in studies.items():
        if len(having) == 1:
            continue
        ends = [frozenset(_ends(contents[study], variant)) for study in having]
        relation: Relation = "same runs"
        if len(set(ends)) > 1:
            relation = "some of the same runs" if _any_common(ends) else "other runs"
        paths = {study: contents[study].results.spec.variants[variant] for study in having}
        yield SameName(variant=variant, relation=relation, paths=paths)


def _any_common(sets: Sequence[frozenset[str]]) -> bool:
    """Returns whether an element is in more than one set."""
    return len(frozenset().union(*sets)) < sum(len(one) for one in sets)


def _same_variants(contents: Mapping[str, Content]) -> Iterator[dict[str, str]]:
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for study, content in contents.items():
        for variant in content.results.spec.variants:
            found.setdefault(_ends(content, variant), {}).setdefault(study, variant)
    for names in found.values():
        if len(set(names.values())) > 1:
            yield names


def _same_contrasts(contents: Mapping[str, Content]) -> Iterator[list[tuple[str, str]]]:
    found: dict[Any, list[tuple[str, str]]] = {}
    for study, content in contents.items():
        for name, contrast in content.results.spec.contrasts.items():
            arms = sorted((_ends(content, v), weight) for v, weight in contrast.arms.items())
            found.setdefault((contrast.metric, tuple(arms)), []).append((study, name))
    for names in found.values():
        if len({study for study, _ in names}) > 1:
            yield names
