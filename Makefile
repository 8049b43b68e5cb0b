# Two commands on a fresh machine with Python 3.11 or newer:
#   make demo   installs into .venv and runs the main job into demo-output/
#   make test   installs into .venv and runs all checks and tests
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# slicer-core and the tests need no screen.
export QT_QPA_PLATFORM := offscreen

.PHONY: demo test lint bench screenshots weights evaluation clean

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

# The panel in every state, for docs/images.
screenshots: $(INSTALLED)
	$(PY) Testing/Host/screenshots.py docs/images

# Trains the bundled weights anew on digital patients (about eleven hours on two cores) and calibrates them. In
# parts: small patches turned and scaled, then as they are, then patches of nearly the whole head, then with more
# weight where there is much blood; IVIM's then wider, on two and three times the patients, ASL's on more treated
# ones. (The first five parts of the bundled ASL weights were trained before that network was told which inputs are
# present.)
TRAIN = $(PY) -m SynthCBVLib train --cases runs/cases --validation-list runs/validation.txt
AS_THEY_ARE = --set rotation=0 --set zoom=0
WIDE = $(AS_THEY_ARE) --set patch=1x192x160 --batch 4
DEEP = $(AS_THEY_ARE) --set patch=24x96x96 --batch 2 --set warmup=50
IVIM = --preset ivim --digital 100000:100110 wildtype
MORE = --preset ivim --digital 100000:100120 wildtype --digital 100200:100300 wildtype
MOST = --preset ivim --digital 100000:100120 wildtype --digital 100200:100400 wildtype
TREATED_TOO = --digital 100000:100110 wildtype --digital 110000:110030 recurrence --digital 110040:110070 response
ASL = --preset asl $(TREATED_TOO)
MORE_TREATED = --preset asl --digital 100000:100110 wildtype --digital 110000:110036 recurrence --digital 110100:110140 recurrence --digital 110040:110076 response --digital 110140:110180 response
CALIBRATION = --calibration 100100:100120 wildtype known --calibration 100140:100160 mutant known --calibration 100400:100430 wildtype known --calibration 100440:100470 mutant known
weights: $(INSTALLED)
	mkdir -p runs && seq 100100 100109 > runs/validation.txt
	$(TRAIN) --ssim 0.5 $(IVIM) --steps 4000 --validate-every 1000 --out runs/ivim-1.safetensors
	$(TRAIN) --ssim 1 $(IVIM) --steps 5000 --validate-every 500 --learning-rate 6e-4 $(AS_THEY_ARE) --from runs/ivim-1.safetensors --out runs/ivim-2.safetensors
	$(TRAIN) --ssim 1 $(IVIM) --steps 1800 --validate-every 300 --learning-rate 4e-4 $(WIDE) --from runs/ivim-2.safetensors --out runs/ivim-3.safetensors
	$(TRAIN) --ssim 1 $(IVIM) --steps 800 --validate-every 400 --learning-rate 5e-4 $(WIDE) --set strip=0.1 --set emphasis=30 --from runs/ivim-3.safetensors --out runs/ivim-4.safetensors
	$(TRAIN) --ssim 1 $(IVIM) --steps 8000 --validate-every 800 --learning-rate 1e-3 $(WIDE) --set warmup=100 --set strip=0.1 --set emphasis=60 --from runs/ivim-4.safetensors --out runs/ivim-5.safetensors
	seq 100100 100119 > runs/validation-more.txt
	$(TRAIN) --validation-list runs/validation-more.txt --ssim 2 $(MORE) --steps 10000 --validate-every 1000 --learning-rate 1e-3 $(WIDE) --set warmup=100 --set strip=0.1 --set emphasis=100 --width 20 --from runs/ivim-5.safetensors --out runs/ivim-6.safetensors
	$(TRAIN) --validation-list runs/validation-more.txt --ssim 4 $(MORE) --steps 6000 --validate-every 1000 --learning-rate 7e-4 $(WIDE) --set warmup=50 --set strip=0.1 --set emphasis=100 --from runs/ivim-6.safetensors --out runs/ivim-7.safetensors
	$(TRAIN) --validation-list runs/validation-more.txt --ssim 4 $(MORE) --steps 13000 --validate-every 1000 --learning-rate 8e-4 $(WIDE) --set warmup=200 --set strip=0.1 --set emphasis=100 --set seed=9007 --width 24 --from runs/ivim-7.safetensors --out runs/ivim-8.safetensors
	$(TRAIN) --validation-list runs/validation-more.txt --ssim 4 $(MOST) --steps 10500 --validate-every 1500 --learning-rate 8e-4 $(WIDE) --set warmup=100 --set strip=0.1 --set emphasis=100 --set seed=9109 --from runs/ivim-8.safetensors --out runs/ivim.safetensors
	$(TRAIN) --ssim 0.5 $(ASL) --steps 1400 --validate-every 350 --out runs/asl-1.safetensors
	$(TRAIN) --ssim 1 $(ASL) --steps 1600 --validate-every 400 --learning-rate 8e-4 $(AS_THEY_ARE) --set drop=0.3 --from runs/asl-1.safetensors --out runs/asl-2.safetensors
	$(TRAIN) --ssim 1 $(ASL) --steps 600 --validate-every 150 --learning-rate 8e-4 $(DEEP) --set drop=0.3 --from runs/asl-2.safetensors --out runs/asl-3.safetensors
	$(TRAIN) --ssim 1 $(ASL) --steps 2200 --validate-every 220 --learning-rate 1.2e-3 $(DEEP) --set drop=0.25 --set strip=0.1 --set emphasis=30 --from runs/asl-3.safetensors --out runs/asl-4.safetensors
	$(TRAIN) --ssim 2 $(ASL) --steps 2600 --validate-every 260 --learning-rate 1e-3 $(DEEP) --set drop=0.25 --set strip=0.1 --set emphasis=30 --from runs/asl-4.safetensors --out runs/asl-5.safetensors
	$(TRAIN) --ssim 2 $(MORE_TREATED) --steps 2400 --validate-every 300 --learning-rate 1e-3 $(DEEP) --set drop=0.25 --set strip=0.1 --set emphasis=30 --set seed=9110 --from runs/asl-5.safetensors --out runs/asl.safetensors
	$(PY) -m SynthCBVLib evaluate --model runs/ivim.safetensors --model runs/asl.safetensors --digital 60000 wildtype known $(CALIBRATION) --no-motion --out runs/calibration --write-calibrated SynthCBVLib/weights

# Writes docs/evaluation.md: trains what the bundled weights are compared with (about three hours on two cores; VGG is
# the file of VGG19's or VGG16's weights for the IVIM paper's loss), then evaluates all on digital patients that no
# training saw.
VARIANTS = ivim-5b-t2w ivim-10b ivim-5b ivim-f-t2w
KNOWN = wildtype known --digital 60020:60040 mutant known
TREATED = --digital 61000:61048 recurrence known unmeasured --digital 61060:61108 response known unmeasured
EVENLY = $(TRAIN) --ssim 0.5 $(TREATED_TOO) --steps 1400 --validate-every 350 --set drop_evenly=yes
VGG ?= vgg19-dcbb9e9d.pth
evaluation: $(INSTALLED)
	mkdir -p runs && seq 100100 100109 > runs/validation.txt
	for name in $(VARIANTS); do $(TRAIN) --ssim 0.5 --preset $$name --digital 100000:100110 wildtype --steps 4000 --validate-every 1000 --out runs/$$name.safetensors || exit; done
	$(TRAIN) --ssim 0.5 $(IVIM) --steps 4000 --validate-every 1000 --out runs/ivim-1.safetensors
	$(TRAIN) --ssim 0.5 $(IVIM) --steps 2000 --validate-every 500 --out runs/ivim-2000.safetensors
	$(TRAIN) --preset wang2023-small --digital 100000:100110 wildtype --steps 2000 --validate-every 500 --perceptual $(VGG) --out runs/wang2023-small.safetensors
	for name in asl asl-plain; do $(EVENLY) --preset $$name --out runs/$$name-evenly.safetensors || exit; done
	$(EVENLY) --preset asl-plain --width 8 --out runs/asl-plain-8.safetensors
	$(PY) -m SynthCBVLib evaluate --model ivim --model runs/ivim-1.safetensors --model runs/ivim-2000.safetensors $(VARIANTS:%=--model runs/%.safetensors) --model runs/wang2023-small.safetensors --model asl --model runs/asl-evenly.safetensors --model runs/asl-plain-8.safetensors --model runs/asl-plain-evenly.safetensors --digital 60000:60020 $(KNOWN) $(TREATED) $(CALIBRATION) --baselines runs/cases --no-motion --out docs

$(INSTALLED): pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check -c .ci/constraints.txt -e '.[slicer,test]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-bench demo-output build *.egg-info
