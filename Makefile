# Two commands on a fresh machine with Python 3.11 or newer:
#   make demo   installs into .venv and runs the main job into demo-output/
#   make test   installs into .venv and runs all checks and tests
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# slicer-core and the tests need no screen.
export QT_QPA_PLATFORM := offscreen

.PHONY: demo test lint bench weights clean

demo: $(INSTALLED)
	$(PY) -m SynthCBVLib demo --out demo-output

test: $(INSTALLED) lint
	$(PY) -m pytest

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# Side-by-side measurements against peers, which get an environment of their own.
bench:
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --disable-pip-version-check -r Testing/Benchmarks/requirements.txt
	$(VENV)-bench/bin/python -m pip install --disable-pip-version-check --no-deps osipi-ivim==0.1.0
	$(VENV)-bench/bin/python Testing/Benchmarks/bench_ivim.py

# Trains the bundled weights anew on digital patients (about half an hour on two cores).
weights: $(INSTALLED)
	$(PY) -m SynthCBVLib train --workflow ivim --digital 64 --run runs/ivim --out SynthCBVLib/weights/ivim.safetensors
	$(PY) -m SynthCBVLib train --workflow asl --digital 64 --run runs/asl --out SynthCBVLib/weights/asl.safetensors

$(INSTALLED): pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check -c .ci/constraints.txt -e '.[slicer,test]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-bench demo-output build *.egg-info
