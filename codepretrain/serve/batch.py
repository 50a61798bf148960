"""The jobs whose completions are written together, and what is written of them so far."""

from collections.abc import Sequence

from codepretrain.evals.language_model import Completion
from codepretrain.evals.language_model.prompts import Prompt
from codepretrain.serve.compute import Compute, sampling_of
from codepretrain.serve.job import Job

_MAX_PROMPTS = 10_000  # after them the batch ends, so that it does not remember prompts forever


class Batch:
    """Greedy jobs, or a single sampled job.

    A sampled job is alone, so its random numbers are keyed by its own seed and its own prompts.
    """

    def __init__(self, compute: Compute, first: Job) -> None:
        """Takes no job; the first one decides whether the batch is greedy."""
        self._compute = compute
        self.sampling = sampling_of(first.request)
        self._owners: list[tuple[Job, int]] = []  # of each prompt: its job, its number there
        self._written: dict[Job, dict[int, Completion]] = {}

    @property
    def jobs(self) -> list[Job]:
        """The jobs that are not complete."""
        return [*self._written]

    def has_room(self, job: Job) -> bool:
        """Returns whether a job can be added now."""
        if self.sampling is not None or job.request.temperature:
            return False
        num_open = sum(len(j.request.prompts) - len(w) for j, w in self._written.items())
        is_short = len(self._owners) < _MAX_PROMPTS
        return is_short and num_open < 2 * self._compute.num_slots

    def add(self, job: Job) -> list[Prompt]:
        """Adds a job and returns its prompts, which are numbered on from the last one."""
        prompts = self._compute.prompts(job.request, self.sampling)
        self._owners += [(job, number) for number in range(len(prompts))]
        self._written[job] = {}
        return prompts

    def complete(
        self, finished: Sequence[tuple[int, Completion]]
    ) -> list[tuple[Job, list[list[Completion]]]]:
        """Takes completions; returns the jobs that are complete, and removes them."""
        done = []
        for number, completion in finished:
            job, number_there = self._owners[number]
            written = self._written[job]
            written[number_there] = completion
            request = job.request
            num_samples = request.num_samples if self.sampling else 1
            if len(written) == len(request.prompts) * num_samples:
                del self._written[job]
                ordered = [written[n] for n in range(len(written))]
                by_prompt = [
                    ordered[n : n + num_samples] for n in range(0, len(ordered), num_samples)
                ]
                repeats = request.num_samples // num_samples
                done.append((job, [one * repeats for one in by_prompt]))
        return done
