r"""TPU v5e on Google Kubernetes Engine: one JobSet, admitted by Kueue.

Not run on a real cluster yet: docs/launch.md says what was tested and how.

Needs:    a cluster with a node pool of TPU v5e slices (ct5lp-hightpu-4t);
          JobSet and Kueue installed;
          a Kueue LocalQueue in the namespace `default`, with quota for google.com/tpu;
          on this machine, `gcloud container clusters get-credentials CLUSTER` and, for the
          bucket, `gcloud auth application-default login`;
          a bucket in the same region, and the data prepared there (`codepretrain prepare`);
          a Kubernetes service account, bound to one of Google Cloud that may read and write the
          bucket and read the secrets below (Workload Identity).
Set:      project, zone, cluster, queue, service_account; secrets, if the study needs any.
Run:      codepretrain launch submit --config experiments/scale.py --machine launch/gke_v5e.py \
            --workdir gs://BUCKET/FOLDER --machine.machine.project=PROJECT \
            --machine.machine.zone=us-west4-a --machine.machine.cluster=CLUSTER \
            --machine.machine.queue=QUEUE --machine.machine.service_account=NAME
Change:   --machine.machine.topology=v5e:16x16  --machine.machine.num_slices=2
          --machine.machine.capacity=spot
          --machine.machine.capacity=reserved --machine.machine.reservation=NAME
"""

from ml_collections import ConfigDict

from codepretrain.config.python_file import to_config_dict
from codepretrain.launch.machine import LaunchConfig, MachineConfig


def get_machine() -> ConfigDict:
    return to_config_dict(
        LaunchConfig(
            machine=MachineConfig(
                kind="gke",
                topology="v5e:4x4",
                image="python:3.12",  # Python 3.11 or later with pip; the rest is installed
                project=None,  # set it
                zone=None,  # set it: of the cluster; its region if it is regional
                cluster=None,  # set it
                queue=None,  # set it: a Kueue LocalQueue
                service_account=None,  # set it: of Kubernetes; None is the namespace's default
                secrets={},  # environment variable → name of a secret in Secret Manager
            )
        )
    )
