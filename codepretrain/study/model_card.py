"""What a working directory knows of a checkpoint, for the model card of its export."""

from collections.abc import Mapping
from typing import Any

from codepretrain.config.parse import to_dict
from codepretrain.errors import UserError
from codepretrain.files import journal
from codepretrain.metrics.evaluation_records import watch_folder
from codepretrain.model.size import num_parameters, num_parameters_non_embedding
from codepretrain.report.card_facts import CardFacts, CardPhase, CardSource
from codepretrain.report.evaluations import Evaluation, own_evaluations, read_evaluations, unusable
from codepretrain.rows.document_tallies import Tallies, tally_documents
from codepretrain.rows.manifest import rows_directories
from codepretrain.rows.store import RowStore
from codepretrain.study.describe import describe
from codepretrain.study.evaluations import kept_identities
from codepretrain.study.graph import Phase
from codepretrain.study.imports import import_identities
from codepretrain.study.provenance import code_version
from codepretrain.study.replicates import counts_of_phases, replicate_name
from codepretrain.study.workspace import Workspace, normalized_mixture


def card_facts(
    workspace: Workspace,
    name: str,
    step: int,
    *,
    ledger: Mapping[str, Any],
    tokenizer_sha256: str,
    command_line: str,
) -> CardFacts:
    """Returns what is known of a phase's checkpoint.

    Args:
      ledger: that is stored in the checkpoint.
      command_line: of the export.

    Raises:
      UserError: a record of the run is damaged.
    """
    config, phase = workspace.config, workspace.phases[name]
    evaluations, missing = _evaluations(workspace, name, step)
    starts = journal.read(workspace.run_dir(name) / "starts.jsonl", fields={"start": int})
    benchmarks = {e: of.benchmarks for e, of in config.evals.items() if of.benchmarks}
    decontamination = config.data.decontamination
    return CardFacts(
        study=config.name,
        phase=name,
        step=step,
        num_steps=phase.num_steps,
        fingerprint=workspace.fingerprint(name),
        model=to_dict(config.model),
        num_parameters=num_parameters(config.model),
        num_parameters_non_embedding=num_parameters_non_embedding(config.model),
        max_seq_len=config.data.max_seq_len,
        batch_size=config.training.batch_size,
        optimizer=to_dict(config.optimizer),
        tokens=phase.tokens_before + step * (phase.tokens // phase.num_steps),
        phases=_phases(workspace, phase, step),
        sources=_sources(workspace, phase, step),
        initial=_initial(workspace, phase),
        ledger=ledger,
        tokenizer_sha256=tokenizer_sha256,
        evaluations=evaluations,
        not_evaluated=missing,
        benchmarks=benchmarks,
        sought=tuple(decontamination.benchmarks),
        ngram_words=decontamination.ngram_words,
        start=starts[0] if starts else {},
        code_version=code_version(),
        command=command_line,
        num_replicates=_num_replicates(workspace, phase),
    )


def _phases(workspace: Workspace, phase: Phase, step: int) -> list[CardPhase]:
    """Returns the phases of the path, each up to the last step that another one starts from."""
    plan = describe(
        workspace.config,
        workspace.phases,
        source_sizes=workspace.source_sizes,
        imports=workspace.imports,
    )
    entries = {
        name: entry for entry in plan["phases"] for name in (entry["name"], *entry["aliases"])
    }
    used = {entries[phase.name]["name"]: step}
    for one in reversed(phase.path):
        entry = entries[one.name]
        starts = [(m["phase"], m["step"]) for m in entry.get("members") or ()]
        if entry["parent"] is not None:
            starts.append((entry["parent"], entry["parent_step"]))
        for parent, at in starts:
            used[parent] = max(used.get(parent, 0), at)
    return [
        CardPhase(
            plan=entries[one.name],
            step=used[entries[one.name]["name"]],
            mixture=normalized_mixture(one) if one.tokens else (),
            seeds=(
                None if entries[one.name]["parent"] else one.seeds.initialization_seed,
                one.seeds.data_order_seed,
            ),
        )
        for one in phase.path
    ]


def _sources(workspace: Workspace, phase: Phase, step: int) -> list[CardSource]:
    config = workspace.config
    sizes = workspace.source_sizes
    return [
        CardSource(
            name=source,
            kind=config.data.sources[source].kind,
            reader=config.data.sources[source].reader,
            tokens=sum(rows) * phase.max_seq_len,
            available=sizes[source].num_tokens if sizes[source].is_prepared else None,
            licenses=_licenses(workspace, source),
        )
        for source, rows in phase.draws_at(step).items()
        if sum(rows)
    ]


def _licenses(workspace: Workspace, source: str) -> Tallies | str:
    """Returns the licenses of the training documents, or why they are not known here."""
    try:
        folder = rows_directories(workspace.data_dir, [source], ["train"])[source, "train"]
        store = RowStore(folder, source=source, split="train")
        try:
            return tally_documents([store], "license")
        finally:
            store.close()
    except UserError as error:
        return str(error)


def _initial(workspace: Workspace, phase: Phase) -> tuple[str, str] | None:
    """Returns the imported model that the path starts from, and the hash of its weights."""
    names = [one.config.initial_checkpoint for one in phase.path]
    name = next((one for one in names if one is not None), None)
    if name is None:
        return None
    return name, import_identities(workspace.imports).get(name) or ""


def _evaluations(
    workspace: Workspace, name: str, step: int
) -> tuple[list[Evaluation], dict[str, str]]:
    """Returns the study's evaluations at a step, and why others have no result."""
    run_dir = workspace.run_dir(name)
    identities = kept_identities(workspace)
    found = [e for of in (watch_folder(run_dir), run_dir) for e in read_evaluations(of)]
    own = [e for e in own_evaluations(found, identities) if e.step == step]
    reasons = unusable(found, own, identities)
    have = {e.evaluator for e in own}
    missing = {
        evaluator: reasons.get((evaluator, step), "no result at this step")
        for evaluator in identities
        if evaluator not in have
    }
    order = list(identities)
    return sorted(own, key=lambda e: order.index(e.evaluator)), missing


def _num_replicates(workspace: Workspace, phase: Phase) -> int:
    counts = counts_of_phases(workspace.config)
    names = {replicate_name(of, phase.replicate): count for of, count in counts.items()}
    return names.get(phase.name, 1)
