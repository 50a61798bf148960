import dataclasses

from codepretrain.data.document import Document
from codepretrain.data.keys import group_joins, group_key, source_key

COMMIT = Document(id="a", text="x", source="s", origin="o", group="repository:a/n")


def test_a_commit_joins_the_repositories_that_contain_it() -> None:
    fork = dataclasses.replace(COMMIT, group="repository:b/n")
    shared = dataclasses.replace(COMMIT, other_groups=("repository:b/n", "repository:c/n"))
    of_c = dataclasses.replace(COMMIT, group="repository:c/n", source="t")
    assert group_joins(shared) == [
        (group_key(COMMIT), group_key(fork)),
        (group_key(COMMIT), group_key(of_c)),
    ]
    assert group_joins(COMMIT) == []


def test_a_group_has_one_key_in_every_source_and_an_id_has_not() -> None:
    alone = dataclasses.replace(COMMIT, group=None, id="train.jsonl:1")
    others = [
        dataclasses.replace(alone, source="t"),
        dataclasses.replace(alone, id="train.jsonl:2"),
        dataclasses.replace(alone, group=alone.id),
    ]
    assert len({group_key(document) for document in [alone, *others]}) == 4
    assert group_key(alone) ^ source_key("s") == group_key(others[0]) ^ source_key("t")
    assert group_key(dataclasses.replace(COMMIT, source="t")) == group_key(COMMIT)
