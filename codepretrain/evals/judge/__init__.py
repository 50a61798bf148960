"""Pairwise judging of recorded completions.

match: the two completions of a prompt, and how they were judged. recorded: reads them from runs.
criteria: what a judge is asked. verdict: its answer. remote: a judge behind an endpoint, each
verdict paid once. local: our own language model as a judge.
"""
