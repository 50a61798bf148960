"""Makes small git repositories with the system's git."""

import os
import subprocess
from pathlib import Path

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"))
}


class Repository:
    """A repository with a working tree; commits are a minute apart."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        self.num_commits = 0
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *arguments: str) -> str:
        date = f"@{1_700_000_000 + 60 * self.num_commits} +0000"
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            **_IDENTITY,
        }
        command = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def commit(self, message: str, files: dict[str, str | bytes | None]) -> str:
        """Writes (None: removes) files and commits them; returns the commit's id."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.num_commits += 1
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD").strip()

    def object_file(self, revision: str) -> Path:
        """Returns the file of a loose object."""
        name = self.git("rev-parse", revision).strip()
        return self.path / ".git" / "objects" / name[:2] / name[2:]

    def damage(self, revision: str) -> None:
        """Overwrites a loose object."""
        path = self.object_file(revision)
        path.chmod(0o644)
        path.write_bytes(b"garbage")
