"""Evaluation on tasks of lm-evaluation-harness, with the model running natively.

Reading order: `suite` (which tasks), `load_tasks` (their data), `render` (requests), `plan` and
`work` (token ids), `task_scores` and `choices` (grades), `averages`, `evaluation` (all of it).
`lm` is the same model for the harness's own command and functions.
"""

from codepretrain.evals.harness.declaration import EVALUATOR

__all__ = ["EVALUATOR"]
