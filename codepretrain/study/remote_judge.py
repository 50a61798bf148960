"""Judges a study's completions with a model behind an endpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from etils import epath

from codepretrain.endpoint.account import Account, Terms
from codepretrain.endpoint.chat import Endpoint
from codepretrain.evals.judge import remote
from codepretrain.evals.judge.match import Match
from codepretrain.evals.judge.result import JudgeResult, judge_folder
from codepretrain.study.win_rates import Pair, write_result
from codepretrain.study.workspace import Workspace

_JOURNAL = "verdicts.jsonl"


@dataclass(frozen=True)
class RemoteJudge:
    """A judge behind an endpoint, for the pairs of one study."""

    workspace: Workspace
    evaluator: str
    pairs: Sequence[Pair]
    endpoint: Endpoint
    terms: Terms

    @property
    def matches(self) -> list[Match]:
        return [match for pair in self.pairs for match in pair.matches]

    @property
    def folder(self) -> epath.Path:
        return judge_folder(self.workspace.workdir, remote.identity(self.endpoint))

    def estimate(self) -> remote.Estimate:
        """Returns what is left to pay for; sends nothing."""
        journal = self.folder / _JOURNAL
        return remote.estimate(self.matches, self.endpoint, self.terms, journal=journal)

    def run(
        self, *, announce: Callable[[str], None], on_answer: Callable[[Account], None]
    ) -> tuple[Account, dict[epath.Path, JudgeResult]]:
        """Asks for missing verdicts; returns the sums, and each result with its file.

        A comparison of which a verdict is missing is written too, and says how many are.
        """
        journal = self.folder / _JOURNAL
        account = remote.ask_judge(
            self.matches,
            self.endpoint,
            self.terms,
            journal=journal,
            announce=announce,
            on_answer=on_answer,
        )
        written = {}
        for pair in self.pairs:
            judged, models = remote.judgments(pair.matches, self.endpoint, journal=journal)
            path, result = write_result(
                self.workspace,
                evaluator=self.evaluator,
                pair=pair,
                judge=remote.identity(self.endpoint),
                judgments=judged,
                answered_by=models,
            )
            written[path] = result
        return account, written
