"""Synthetic code: problems, candidate solutions, and their verification in the sandbox.

problem: what a problem is. families: parametrised problems, the offline default. generate: problem
i of a seed. verify: runs a candidate and checks its results. render: the document. candidates:
files of candidate solutions. teacher: answers of an endpoint. distinctness: how much problems
differ.
"""
