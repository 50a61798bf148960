import pytest

from codepretrain.data.readers.groups import page_group, repository_group, thread_group


@pytest.mark.parametrize(
    "name",
    [
        "Owner/Name",
        "https://github.com/owner/name.git",
        "https://www.github.com/owner/name/",
        "https://user:secret@github.com:443/owner/name",
        "git@github.com:owner/name.git",
        "ssh://git@github.com/owner/name",
        "https://api.github.com/repos/owner/name",
    ],
)
def test_a_repository_has_one_group(name: str) -> None:
    assert repository_group(name) == "repository:github.com/owner/name"


def test_other_hosts_are_other_repositories() -> None:
    assert repository_group("git@gitlab.com:a/b/c.git") == "repository:gitlab.com/a/b/c"
    assert repository_group("https://host/x") == "repository:host/x"


def test_threads_and_pages() -> None:
    assert thread_group("StackOverflow.com", 7) == "thread:stackoverflow.com/7"
    assert page_group("HTTPS://www.A.org/b/#c") == page_group("http://a.org/b") == "page:a.org/b"
    assert page_group("a.org/b?C=d") == "page:a.org/b?C=d"
