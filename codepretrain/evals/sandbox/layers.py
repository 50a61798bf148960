"""The layers of isolation: what each one enforces, and which of them an evaluation requires."""

import sys
from collections.abc import Mapping, Sequence

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError

LAYERS = {
    "limits": "limits on CPU time, address space, file size, open files and locked memory",
    "namespaces": "a file system of its own with the interpreter alone, no other process, no "
    "network, all its files together bounded in size",
    "capabilities": "no privileges of root",
    "landlock": "reads only the interpreter and system libraries, writes only its own directory",
    "seccomp": "only the system calls on a list: no process or thread, socket, pipe, signal, lock "
    "or change of metadata",
    "memory_cgroup": "a limit on all memory, the kernel's and that of files included",
}
# The memory cgroup is used wherever it is granted, but few containers grant it. Without it memory
# is still bounded: address space by `limits`, files by `namespaces`; `seccomp` refuses what else
# holds memory of the kernel, such as pipes and sockets.
REQUIRED_LAYERS = ("limits", "namespaces", "capabilities", "landlock", "seccomp")


def parse_layers(text: str, *, path: str) -> tuple[str, ...]:
    """Returns the layers named in a comma-separated list, in the order of `LAYERS`.

    Raises:
      UserError: a name that is no layer, or a list without `limits`. `path` is the option's.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in LAYERS:
            raise UserError(
                f"{path}: no sandbox layer {name!r:.80}{suggestion(name, list(LAYERS))}"
            )
    if "limits" not in names:
        raise UserError(f"{path}: expected at least 'limits', got {text!r:.80}")
    return tuple(name for name in LAYERS if name in names)


def missing_layers(
    missing: Mapping[str, str], required: Sequence[str], *, option: str
) -> UserError | None:
    """Returns the error for required layers that this machine does not grant, or None.

    Args:
      missing: layer → why it could not be set up.
      required: the layers without which no program may run.
      option: the path of the option that lists the required layers.
    """
    lacking = [name for name in required if name in missing]
    if not lacking:
        return None
    reasons = "; ".join(f"{name} ({_reason(name, missing[name])})" for name in lacking)
    rest = ",".join(name for name in required if name not in lacking)
    return UserError(
        f"the sandbox for generated programs requires layers that this machine does not grant: "
        f"{reasons}. Run the evaluation on a machine that grants them, or accept a weaker sandbox "
        f"with {option}={rest!r}"
    )


_SOURCES = {
    "namespaces": "the kernel or the container allows no unprivileged user namespaces; see the "
    "sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and "
    "kernel.apparmor_restrict_unprivileged_userns, and the container's seccomp profile",
    "landlock": "the kernel is older than 5.13 or was started without Landlock, or the container "
    "blocks it",
    "seccomp": "the kernel or the container offers no seccomp filter",
    "memory_cgroup": "no memory cgroup may be created here; containers mount cgroups read-only",
}


def _reason(layer: str, error: str) -> str:
    if sys.platform != "linux":
        return "only Linux provides it"
    return f"{error}: {_SOURCES[layer]}" if layer in _SOURCES else error
