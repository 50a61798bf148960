"""Supervised processes on this machine: two hosts with four CPU devices each.

The default of the documentation and of the tests: what happens to a job when a process dies or
hangs is the same here as on a pod.

Needs:    nothing.
Run:      codepretrain launch submit --config experiments/demo.py --machine launch/local.py
Change:   --machine.machine.hosts=4 --machine.machine.cpu_devices=2
          --machine.machine.num_slices=2     two groups of hosts: two phases at a time
"""

from ml_collections import ConfigDict

from codepretrain.config.python_file import to_config_dict
from codepretrain.launch.machine import LaunchConfig, MachineConfig


def get_machine() -> ConfigDict:
    return to_config_dict(LaunchConfig(machine=MachineConfig(kind="local", hosts=2, cpu_devices=4)))
