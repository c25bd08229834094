# make repro   everything: corpus → features → training → talking heads → metrics, report
# make talk IMAGE=face.jpg AUDIO=speech.wav   a video of that face speaking (OUTPUT=talk.mp4), with no training, by a system that ships
#              (SYSTEM=pretrained/sinha); without arguments an example
# make test    the tests, with a whole small `dvc repro` among them;  make fast   without what takes long
# make mediapipe   adds the second landmark backend, which is not needed by default
# make ablations NAME=chen_s   a paper's ablations as experiments (profiles/ablations), one after the other
# make dag     render dvc.yaml from pipeline/dag.py and what the papers declare
# make lint    ruff;  make profile NAME=paper   write a profile's values into params.yaml

SHELL := /bin/bash
PYTHON := $(shell for p in python3.12 python3.11 python3 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && { echo $$p; break; }; done)
NAME ?= paper
SYSTEM ?= pretrained/sinha
IMAGE ?= data/example/portrait.png
AUDIO ?= data/example/speech.wav
OUTPUT ?= talk.mp4
# Stages are started as `python -m stages.X`: the environment's python must come first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro talk test fast lint profile ablations mediapipe dag

repro: .venv/.complete
	python -m pipeline.parameters
	python -m pipeline.repro

talk: .venv/.complete $(filter data/example/%,$(IMAGE) $(AUDIO))
	python -m pipeline.generate --system "$(SYSTEM)" --image "$(IMAGE)" --audio "$(AUDIO)" --output "$(OUTPUT)" --force

%/example/portrait.png %/example/speech.wav: | .venv/.complete
	python -m pipeline.demo.example

test: .venv/.complete
	python -m pytest -n auto --dist loadfile --no-loadscope-reorder

fast: .venv/.complete
	python -m pytest -n auto --dist loadfile -m "not slow"

dag: .venv/.complete
	python -m pipeline.dag

lint: .venv/.complete
	ruff check .
	ruff format --check .

profile: .venv/.complete
	python -m pipeline.profiles $(NAME)

ablations: .venv/.complete
	python -m pipeline.ablations $(NAME)

mediapipe: .venv/.complete
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-mediapipe.txt

.venv/.complete: requirements.txt
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or 3.12 is needed, and neither python3.12 nor python3.11 was found"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	.venv/bin/python -m pip check
	touch $@
