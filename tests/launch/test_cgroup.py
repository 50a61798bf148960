"""Where the kernel counts processes that it killed for lack of memory."""

from codepretrain.errors import UserError
from codepretrain.launch.cgroup import num_oom_kills


def count(files: dict[str, str]) -> int:
    def read(path: str) -> str:
        if path not in files:
            raise UserError(f"there is no file {path}")
        return files[path]

    return num_oom_kills(read)


def test_version_2() -> None:
    events = "low 0\nhigh 0\nmax 8\noom 4\noom_kill 3\noom_group_kill 0\n"
    files = {"/proc/self/cgroup": "0::/pods/a\n", "/sys/fs/cgroup/pods/a/memory.events": events}
    assert count(files) == 3


def test_a_container_sees_its_group_at_the_root() -> None:
    files = {"/proc/self/cgroup": "0::/pods/a\n", "/sys/fs/cgroup/memory.events": "oom_kill 2\n"}
    assert count(files) == 2


def test_version_1_beside_version_2() -> None:
    files = {
        "/proc/self/cgroup": "4:memory:/a\n2:cpu,cpuacct:/\n0::/\n",
        "/sys/fs/cgroup/memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1",
        "/sys/fs/cgroup/memory.events": "oom_kill 9\n",
    }
    assert count(files) == 1


def test_the_whole_machine_where_no_group_counts() -> None:
    files = {"/proc/self/cgroup": "0::/\n", "/proc/vmstat": "pgfault 12\noom_kill 57\npgscan 1\n"}
    assert count(files) == 57


def test_a_system_that_does_not_count() -> None:
    assert count({}) == 0
    assert count({"/proc/self/cgroup": "?", "/proc/vmstat": "oom_kill many\n"}) == 0


def test_here() -> None:
    assert num_oom_kills() >= 0
