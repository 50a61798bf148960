"""The jobs whose completions are written together, and what is written of them so far."""

import dataclasses
from collections.abc import Sequence

from codepretrain.evals.language_model import Completion
from codepretrain.evals.language_model.prompts import Prompt
from codepretrain.serve.compute import Compute, sampling_of
from codepretrain.serve.job import Job

_MAX_PROMPTS = 10_000  # after them the batch ends, so that it does not remember prompts forever
_UNSEEDED = 1 << 20  # the first number of prompts without a seed: more than a request has


class Batch:
    """Greedy jobs, or sampled jobs with the same settings.

    Random numbers are keyed by the seed and by the prompt's number in its own request, so jobs with
    one seed may share a batch, and each gets what it gets alone. A job without a seed joins any
    batch of its settings: its prompts get numbers that no other has.
    """

    def __init__(self, compute: Compute, first: Job) -> None:
        """Takes no job; the first one decides how tokens are chosen."""
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
        wanted, request = sampling_of(job.request), job.request
        if wanted is not None and request.seed is None and self.sampling is not None:
            wanted = dataclasses.replace(wanted, seed=self.sampling.seed)
        if wanted != self.sampling or len(self._owners) >= _MAX_PROMPTS:
            return False
        num_open = sum(self._num_prompts(j) - len(w) for j, w in self._written.items())
        return num_open < 2 * self._compute.num_slots

    def add(self, job: Job) -> list[Prompt]:
        """Adds a job and returns its prompts, which are numbered on from the last one."""
        prompts = self._compute.prompts(job.request, self.sampling)
        if self.sampling is not None and job.request.seed is None:
            first = _UNSEEDED + len(self._owners)
            prompts = [
                dataclasses.replace(one, counters=(first + one.counters[0], one.counters[1]))
                for one in prompts
            ]
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
            if len(written) == self._num_prompts(job):
                del self._written[job]
                done.append((job, self._by_prompt(job, written)))
        return done

    def _num_prompts(self, job: Job) -> int:
        """Returns how often a job's prompts are completed: greedy ones once for all samples."""
        request = job.request
        return len(request.prompts) * (request.num_samples if self.sampling else 1)

    def _by_prompt(self, job: Job, written: dict[int, Completion]) -> list[list[Completion]]:
        """Returns the completions of each prompt, one per sample."""
        num_samples = job.request.num_samples
        ordered = [written[number] for number in range(len(written))]
        if self.sampling is None:
            return [[one] * num_samples for one in ordered]
        return [ordered[n : n + num_samples] for n in range(0, len(ordered), num_samples)]
