"""Names of what a text was cut from: the same name in every source.

Texts of one group are held out or trained on together, so two sources that read one repository
must name it alike: `repository:github.com/owner/name`, `thread:stackoverflow.com/1234`.
"""

import re

_SCP = re.compile(r"^(?:[^@/:]+@)?([^/:]+):(?!//)(.+)$")  # git@host:owner/name
_API = "api.github.com/repos/"


def repository_group(name: str) -> str:
    """Returns the group of a repository: of a URL of any kind, or of GitHub's `owner/name`.

    Case, credentials, `.git` and GitHub's programming interface make no difference.
    """
    text = name.strip().lower()
    _, separator, rest = text.partition("://")
    if separator:
        text = rest.rpartition("@")[2] if "@" in rest.split("/")[0] else rest
        host, slash, path = text.partition("/")
        text = host.split(":")[0] + slash + path
    elif found := _SCP.match(text):
        text = f"{found[1]}/{found[2]}"
    elif text.count("/") == 1:
        text = f"github.com/{text}"
    text = text.removeprefix("www.").strip("/").removesuffix(".git")
    if text.startswith(_API):
        text = f"github.com/{text.removeprefix(_API)}"
    return f"repository:{text}"


def thread_group(site: str, number: int | str) -> str:
    """Returns the group of a question with its answers: the site's host and the question's id."""
    return f"thread:{site.strip().lower()}/{number}"


def file_group(folder: str, name: str) -> str:
    """Returns the group of a file by its folder's name and its path below that folder."""
    return f"file:{folder}/{name}"


def page_group(url: str) -> str:
    """Returns the group of a web page: its address without scheme, `www.`, fragment, last slash."""
    text = url.strip().partition("#")[0]
    text = re.sub(r"^[a-z][a-z0-9+.-]*://", "", text, flags=re.IGNORECASE)
    host, slash, path = text.partition("/")
    return f"page:{host.lower().removeprefix('www.')}{slash}{path}".rstrip("/")
