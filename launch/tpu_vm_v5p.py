r"""TPU VMs with TPU v5p: queued resources, one for each slice.

Not run on real TPUs yet: docs/launch.md says what was tested and how.

Needs:    a Google Cloud project with quota for TPU v5p (v5p-128) in the zone, the Cloud
          TPU API and Secret Manager API enabled; on this machine, `gcloud auth login` and, for the
          bucket, `gcloud auth application-default login`;
          a bucket in the same region, and the data prepared there (`codepretrain prepare`);
          a service account that may read and write the bucket and read the secrets below.
Set:      project, zone, service_account; secrets, if the study needs any.
Run:      codepretrain launch submit --config experiments/scale.py --machine launch/tpu_vm_v5p.py \
            --workdir gs://BUCKET/FOLDER --machine.machine.project=PROJECT \
            --machine.machine.zone=us-east5-a
Change:   --machine.machine.topology=v5p:4x4x8  --machine.machine.num_slices=2
          --machine.machine.capacity=on_demand
          --machine.machine.capacity=reserved --machine.machine.reservation=NAME
"""

from ml_collections import ConfigDict

from codepretrain.config.python_file import to_config_dict
from codepretrain.launch.machine import LaunchConfig, MachineConfig


def get_machine() -> ConfigDict:
    return to_config_dict(
        LaunchConfig(
            machine=MachineConfig(
                kind="tpu_vm",
                topology="v5p:4x4x4",
                runtime_version="v2-alpha-tpuv5",
                capacity="spot",
                project=None,  # set it
                zone=None,  # set it
                service_account=None,  # None: the project's default account
                secrets={},  # environment variable → name of a secret in Secret Manager
            )
        )
    )
