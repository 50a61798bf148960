"""The subject of the report on a working directory. Imports neither JAX nor the report's plots."""

from codepretrain.evals.averaged_scores import full_scores
from codepretrain.evals.contrast_scores import full_contrasts, full_pareto
from codepretrain.report.collect import PhaseInput, ReportInput
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import rows_directories
from codepretrain.study.describe import describe
from codepretrain.study.evaluations import kept_identities
from codepretrain.study.provenance import code_version
from codepretrain.study.registration import registrations
from codepretrain.study.workspace import Workspace, normalized_mixture


def report_input(workspace: Workspace, *, command_line: str) -> ReportInput:
    """Returns the subject of the report on a working directory."""
    config = workspace.config
    plan = describe(
        config, workspace.phases, source_sizes=workspace.source_sizes, imports=workspace.imports
    )
    phases = {
        phase["name"]: PhaseInput.from_plan(
            phase,
            run_dir=workspace.run_dir(phase["name"]),
            mixture=normalized_mixture(workspace.phases[phase["name"]]),
        )
        for phase in plan["phases"]
    }
    first = plan["phases"][0]
    directories = rows_directories(workspace.data_dir, config.data.sources)
    return ReportInput(
        study=config.name,
        command=command_line,
        code_version=code_version(),
        baseline=config.baseline,
        variants={name: tuple(path) for name, path in plan["variants"].items()},
        replicates={
            name: tuple(tuple(path) for path in paths) for name, paths in plan["replicates"].items()
        },
        shared_seeds=tuple(plan["shared_seeds"]),
        phases=phases,
        evaluators=kept_identities(workspace),
        averages=full_scores(config),
        contrasts=full_contrasts(config),
        registrations=registrations(workspace),
        pareto=full_pareto(config),
        rows={
            source: {split: str(directories[source, split]) for split in SPLITS}
            for source in sorted(config.data.sources)
        },
        num_parameters=first["parameters"],
        num_parameters_non_embedding=first["parameters_non_embedding"],
        details={
            "parameters": f"{first['parameters']:,}",
            "parameters without embeddings": f"{first['parameters_non_embedding']:,}",
        },
    )
