# Two commands for a newcomer: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test test-resume test-mesh lint format lock benchmark clean

demo: .venv/.installed
	$(BIN)/codepretrain run --config experiments/demo.py

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not campaign"

# Long campaigns: kill -9 and SIGTERM at random moments; one study on several meshes and hosts.
test-resume: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_resume.py -s

test-mesh: .venv/.installed
	$(BIN)/python -m pytest -m campaign tests/campaigns/test_mesh.py -s

lint: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy codepretrain experiments

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: .venv/.installed
	for name in loader planning train_step growth; do \
	  $(BIN)/python benchmarks/$$name.py || exit 1; done

.venv/.installed: setup.py requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[data,dev]'
	touch $@

# The lock covers every extra; it is made anew by hand, when versions are to move.
lock:
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile setup.py --python-version 3.11 --all-extras --no-header \
	  --no-emit-index-url --quiet --upgrade --output-file requirements.lock

clean:
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .mypy_cache
