"""Starts one program, waits for its end and reports it; a process between evaluator and program.

`launch.py` runs `main` in a fresh interpreter, one per program. The program is its child, in
namespaces of its own, and cannot see or signal it. The supervisor holds the only descriptor for
results, kills the program when the evaluator asks for it or has died, and cleans up after the
program. It imports little, as every program waits for it.

Standard input: 8 bytes of length, the specification (`marshal`), then one byte if the program is to
be killed. `status_fd`: 4 bytes of length and a `marshal`ed dict, twice: once when the program runs
or cannot run, once when it has ended.
"""

import marshal
import os
import select
import sys

from codepretrain.evals.sandbox import confine, folder, kernel, memory_cgroup
from codepretrain.evals.sandbox.memory_cgroup import MemoryCgroup

# For annotations only; the real imports would cost a quarter of the start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWUTS = 0x0002_0000, 0x0200_0000, 0x0400_0000
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWPID = 0x0800_0000, 0x1000_0000, 0x2000_0000
_CLONE_NEWNET, _CLONE_INTO_CGROUP = 0x4000_0000, 0x2_0000_0000
_NAMESPACES = (
    _CLONE_NEWUSER
    | _CLONE_NEWPID
    | _CLONE_NEWNS
    | _CLONE_NEWNET
    | _CLONE_NEWIPC
    | _CLONE_NEWUTS
    | _CLONE_NEWCGROUP
)
_SIGKILL, _SIGCHLD = 9, 17  # the module `signal` takes 3 ms to import
_POLL_S = 0.01
_ORPHAN_POLL_S = 1.0


def main() -> None:
    spec = marshal.loads(_read(int.from_bytes(_read(8), "little")))
    for descriptor in (spec["status_fd"], spec["input_fd"]):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    layers, missing = list(spec["layers"]), {}
    while True:
        child = _Child(spec, layers)
        try:
            child.start()
        except _StartError as error:
            child.remove_traces()
            if error.layer:
                layers.remove(error.layer)
                missing[error.layer] = error.reason
            if not error.layer or error.layer in spec["required"]:
                _send(spec, {"problem": error.reason, "missing": missing})
                return
            continue
        if spec["input_fd"] is not None:  # the program's end alone: it closes with the program
            os.close(spec["input_fd"])
        try:
            _send(spec, {"layers": layers, "missing": missing})
            _send(spec, child.wait())
        finally:
            child.remove_traces()
        os._exit(0)  # the evaluator waits for it: no time for the interpreter's own end


def _read(size: int) -> bytes:
    content = b""
    while len(content) < size:
        chunk = os.read(0, size - len(content))
        if not chunk:
            raise SystemExit("the evaluator is gone")
        content += chunk
    return content


def _send(spec: "dict[str, Any]", message: "dict[str, Any]") -> None:
    content = marshal.dumps(message)
    os.write(spec["status_fd"], len(content).to_bytes(4, "little") + content)


class _StartError(Exception):
    """`layer` could not be set up; "" if it was something else."""

    def __init__(self, layer: str, reason: object) -> None:
        self.layer = layer
        self.reason = str(reason)


class _Child:
    """The process that becomes the program."""

    def __init__(self, spec: "dict[str, Any]", layers: "list[str]") -> None:
        self.spec = spec
        self.layers = layers
        self.folder: str | None = None
        self._group: MemoryCgroup | None = None
        self._pid = 0

    def start(self) -> None:
        """Raises _StartError unless the program runs in all layers."""
        self._refuse_foreign_layers()
        if "memory_cgroup" in self.layers:
            limits = self.spec["limits"]
            try:
                self._group = MemoryCgroup(
                    limits["memory_bytes"] + limits["disk_bytes"], self.spec["token"]
                )
            except OSError as error:
                raise _StartError("memory_cgroup", error) from error
        if "namespaces" not in self.layers:
            temporary, token = self.spec["temporary"], self.spec["token"]
            self.folder = folder.path_of(temporary, os.getpid(), token)
            folder.create(self.folder, self.spec["program"])
        proceed_read, proceed_write = os.pipe()
        report_read, report_write = os.pipe()
        try:
            self._pid = self._clone()
            if self._pid == 0:
                for descriptor in (proceed_write, report_read, self.spec["status_fd"]):
                    os.close(descriptor)
                confine.become_program(
                    self.spec, self.layers, self.folder, self._group, proceed_read, report_write
                )
            os.close(report_write)
            report_write = -1
            os.write(proceed_write, self._identify())
            _check_report(report_read)
        finally:
            for descriptor in (proceed_read, proceed_write, report_read, report_write):
                if descriptor >= 0:
                    os.close(descriptor)

    def wait(self) -> "dict[str, Any]":
        """Returns how the program ended; kills it if the evaluator says so or is gone."""
        parent = self.spec["parent"]
        watched, patience = [0], _POLL_S
        try:
            watched.append(os.pidfd_open(self._pid))
            patience = _ORPHAN_POLL_S
        except (AttributeError, OSError):  # not Linux, or forbidden by a container: ask
            pass
        options = os.WNOHANG
        while True:
            pid, status, usage = os.wait4(self._pid, options)
            if pid:
                break
            ready, _, _ = select.select(watched, [], [], patience)
            # Our input may stay open after the evaluator's death, held by a process that it forked.
            if 0 in ready or os.getppid() != parent:
                self._kill()
                options = 0
            elif ready:  # it has ended, and its number is not free yet
                self._kill_group()
        if len(watched) == 1:
            self._kill_group()
        self._pid = 0
        return {
            "exit_code": os.waitstatus_to_exitcode(status),
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "memory_exhausted": self._group is not None and self._group.was_exhausted(),
        }

    def remove_traces(self) -> None:
        """Ends the program, if it runs, and removes its directory and cgroup."""
        if self._pid:
            self._kill()
            os.waitpid(self._pid, 0)
        if self.folder:
            folder.remove(self.folder)
        if self._group:
            memory_cgroup.remove(self._group.path)

    def _refuse_foreign_layers(self) -> None:
        if sys.platform != "linux":
            for layer in self.layers:
                if layer != "limits":
                    raise _StartError(layer, "only Linux provides it")

    def _clone(self) -> int:
        """Forks, into new namespaces if they are asked for: there the child is process 1."""
        flags = _NAMESPACES if "namespaces" in self.layers else 0
        if self._group and self._group.version == 2:
            words = [0] * 11  # struct clone_args
            words[0], words[4], words[10] = flags | _CLONE_INTO_CGROUP, _SIGCHLD, self._group.entry
            arguments = b"".join(word.to_bytes(8, "little") for word in words)
            try:
                return kernel.system_call("clone3", arguments, len(arguments))
            except OSError as error:
                raise _StartError("memory_cgroup", error) from error
        if not flags:
            return os.fork()
        try:
            return kernel.system_call("clone", flags | _SIGCHLD, 0, 0, 0, 0)
        except OSError as error:
            raise _StartError("namespaces", error) from error

    def _identify(self) -> bytes:
        """Maps the child's user outside its user namespace; returns the child's instructions.

        Started by root it is `nobody` outside as well, if the files that it needs allow it.
        """
        message = confine.PROCEED
        if sys.platform == "linux":  # when memory runs out, the program dies before the trainer
            self._write_proc("oom_score_adj", "1000")
        if "namespaces" in self.layers:
            try:
                outside, groups = (os.geteuid(), os.getegid()), "deny"
                if self.spec["as_nobody"]:
                    outside, groups = (confine.NOBODY, confine.NOBODY), "allow"
                    message = confine.PROCEED_AS_NOBODY
                self._write_proc("setgroups", groups)
                self._write_proc("uid_map", f"{confine.NOBODY} {outside[0]} 1")
                self._write_proc("gid_map", f"{confine.NOBODY} {outside[1]} 1")
            except OSError as error:
                raise _StartError("namespaces", error) from error
        return message

    def _write_proc(self, name: str, text: str) -> None:
        with open(f"/proc/{self._pid}/{name}", "w") as file:
            file.write(text)

    def _kill(self) -> None:
        os.kill(self._pid, _SIGKILL)
        self._kill_group()

    def _kill_group(self) -> None:
        """Without a process namespace a program may have started others."""
        try:  # noqa: SIM105 (contextlib takes 2 ms to import)
            os.killpg(self._pid, _SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS answers "not permitted" for a zombie
            pass


def _check_report(descriptor: int) -> None:
    report = b""
    while chunk := os.read(descriptor, 4096):
        report += chunk
    if report == confine.READY:
        return
    layer, _, reason = report.removeprefix(confine.READY).decode().partition("\n")
    raise _StartError(layer, reason or "the process that becomes the program ended early")
