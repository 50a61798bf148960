# Two commands for a newcomer: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test test-resume test-mesh test-hosts test-local test-signals test-attempts test-pod test-parity test-harness \
  test-serve test-storage test-preparation test-faults test-elastic test-slices test-statistics test-replicates \
  test-same-recipe pod-demo lint format lock benchmark benchmark-growth clean

demo: .venv/.installed
	$(BIN)/codepretrain run --config experiments/controlled.py
	$(BIN)/codepretrain run --config experiments/demo.py

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not campaign"

# Long campaigns: kill -9 and SIGTERM at random moments; one study on several meshes and hosts.
test-resume: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_resume.py -s

test-mesh: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_mesh.py -s

test-hosts: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_hosts.py -s

# Four processes with a disk each, killed: they go on from the disks that are left.
test-local: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_local_checkpoints.py -s

# SIGTERM, SIGINT and errors in every stage of a run, on one process and on two.
test-signals: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_signals.py -s

# Workers of an earlier attempt that are suspended and continued: they neither join nor write.
test-attempts: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_attempts.py -s

# The studies' steps as the TPU compiler compiles them for 256 chips: needs libtpu, and no TPU.
test-pod: .venv/.installed
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[tpu]'
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_pod.py -s

# Needs torch and transformers, which nothing else here does.
test-parity: .venv/.installed
	$(BIN)/pip install --quiet --constraint requirements.lock --constraint requirements-parity.lock \
	  --editable '.[parity]'
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_parity.py -s

# Every answer of the model against the harness's own `hf` backend; needs torch as well.
test-harness: .venv/.installed
	$(BIN)/pip install --quiet --constraint requirements.lock --constraint requirements-parity.lock \
	  --editable '.[eval,parity]'
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_harness.py -s

# The harness's own client of completions endpoints against `codepretrain serve`; needs transformers.
test-serve: .venv/.installed
	$(BIN)/pip install --quiet --constraint requirements.lock --constraint requirements-parity.lock \
	  --editable '.[eval,parity,serve]'
	$(BIN)/python -m pytest -m campaign tests/serve/test_local_completions.py -s

# Whole studies on an emulated object store, killed in every stage: the bits of a local run.
test-storage: .venv/.installed
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[storage-test]'
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_storage.py -s

# The same bytes of prepared data whatever prepares it, and after kill -9 in every stage.
test-preparation: .venv/.installed
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[storage-test]'
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_preparation.py tests/data -s

# Launched jobs, killed, stopped and terminated in every way: the bits of a run that nobody touched.
# FAULT_ROUNDS=4: each fault four times. Wrong clocks need a C compiler, network namespaces and mounts need root,
# and the object store needs the extra storage-test; what is missing is skipped.
test-faults: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_faults.py tests/campaigns/test_faults_of_storage.py -s

# A launched job that loses half of its hosts, goes on with the others, and grows again.
test-elastic: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_elastic.py -s

# Two independent phases on two local slices at once, and one after the other: the same bits.
test-slices: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_slices.py -s

# Coverage, error rates and power over 1,000 draws of scores whose effects are known.
test-statistics: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_statistics.py tests/campaigns/test_statistics_of_trees.py tests/campaigns/test_statistics_of_sections.py tests/campaigns/test_statistics_of_rare_answers.py -s

# Eight trained runs of one recipe, split at random into two arms: at most 2 of 20 splits may differ.
test-same-recipe: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_same_recipe.py -s

# A launched job of a study with two replicates: every trunk and every fingerprint trained once.
test-replicates: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_replicates.py -s

# The demo study by `launch` on four processes of this machine, with faults: the results of `make demo`.
pod-demo: .venv/.installed
	$(BIN)/python -m tests.campaigns.pod_demo

lint: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy codepretrain experiments launch benchmarks tests

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: .venv/.installed
	for name in loader pack planning train_step growth; do \
	  $(BIN)/python benchmarks/$$name.py || exit 1; done

# Host time and memory at the size of a pod: 64 hosts, 24.4M rows, 95,367 steps; 4 GB in .growth.
benchmark-growth: .venv/.installed
	$(BIN)/python benchmarks/pod_growth.py
	$(BIN)/python benchmarks/run_growth.py --folder .growth

.venv/.installed: setup.py requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[data,beam,eval,serve,dev]'
	touch $@

# The locks are made anew by hand, when versions are to move. torch has one of its own: built for
# CUDA it asks for other CUDA libraries than JAX. It is resolved for a platform where it asks for
# none, and which build of that release is installed is left to pip.
LOCK := $(BIN)/uv pip compile setup.py --python-version 3.11 --no-header --no-emit-index-url \
  --quiet --upgrade
lock:
	$(BIN)/pip install --quiet uv
	$(LOCK) --extra data --extra beam --extra gcs --extra s3 --extra storage-test --extra eval --extra serve --extra tpu --extra cuda --extra dev \
	  --output-file requirements.lock
	MACOSX_DEPLOYMENT_TARGET=14.0 $(LOCK) --extra parity --python-platform aarch64-apple-darwin \
	  --constraint requirements.lock --no-annotate --output-file requirements-parity.lock

clean:
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .mypy_cache
