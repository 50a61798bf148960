import dataclasses

from codepretrain.data.document import Document
from codepretrain.data.keys import group_joins, group_key

COMMIT = Document(id="a", text="x", source="s", origin="o", group="repository:a/n")


def test_a_commit_joins_the_repositories_that_contain_it() -> None:
    fork = dataclasses.replace(COMMIT, group="repository:b/n")
    shared = dataclasses.replace(COMMIT, other_groups=("repository:b/n", "repository:c/n"))
    of_c = dataclasses.replace(COMMIT, group=None, id="repository:c/n")
    assert group_joins(shared) == [
        (group_key(COMMIT), group_key(fork)),
        (group_key(COMMIT), group_key(of_c)),
    ]
    assert group_joins(COMMIT) == []
