# make repro   everything: corpus → features → training → talking heads → metrics, report
# make talk IMAGE=face.jpg AUDIO=speech.wav   a video of that face speaking (OUTPUT=talk.mp4), with no training, by a system that ships
#              (SYSTEM=pretrained/sinha); without arguments an example
# make app     the same on a page in the browser, with camera and microphone; installs what the page needs first
# make test    the tests, with a whole small `dvc repro` among them;  make fast   without what takes long
# make mediapipe   adds the second landmark backend, which is not needed by default
# make ablations NAME=chen_s   a paper's ablations as experiments (profiles/ablations), one after the other
# make paper NAME=chen_s   a paper's own tables and figures, beside the published ones; runs what is missing first
# make dag     render dvc.yaml from pipeline/dag.py and what the papers declare
# make doctor  what this machine has of what all that needs, what is missing, and its mend
# make lint    ruff;  make profile NAME=paper   write a profile's values into params.yaml

SHELL := /bin/bash
# What the pinned packages are for; Debian has venv in a package of its own.
FITS := import ensurepip, sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON := $(shell for p in python3.12 python3.11 python3 python; do $$p -c '$(FITS)' 2>/dev/null && { echo $$p; break; }; done)
NAME ?= paper
SYSTEM ?= pretrained/sinha
IMAGE ?= data/example/portrait.png
AUDIO ?= data/example/speech.wav
OUTPUT ?= talk.mp4
# Stages are started as `python -m stages.X`: the environment's python must come first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro talk app test fast lint profile ablations paper mediapipe dag doctor

repro: .venv/.complete
	python -m pipeline.parameters
	python -m pipeline.repro

talk: .venv/.complete $(filter data/example/%,$(IMAGE) $(AUDIO))
	python -m pipeline.generate --system "$(SYSTEM)" --image "$(IMAGE)" --audio "$(AUDIO)" --output "$(OUTPUT)" --force

%/example/portrait.png %/example/speech.wav: | .venv/.complete
	python -m pipeline.demo.example

app: .venv/.app
	python -m pipeline.app --open

test: .venv/.complete
	python -m pytest -n auto --dist loadfile --no-loadscope-reorder

fast: .venv/.complete
	python -m pytest -n auto --dist loadfile -m "not slow"

dag: .venv/.complete
	python -m pipeline.dag

lint: .venv/.complete
	ruff check .
	ruff format --check .

doctor:
	@$(firstword $(wildcard .venv/bin/python) $(PYTHON) python3) -m pipeline.doctor

profile: .venv/.complete
	python -m pipeline.profiles $(NAME)

ablations: .venv/.complete
	python -m pipeline.ablations $(NAME)

paper: .venv/.complete
	python -m pipeline.paper $(NAME)

mediapipe: .venv/.complete
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-mediapipe.txt

.venv/.app: requirements-app.txt .venv/.complete
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-app.txt -c requirements.txt
	.venv/bin/python -m pip check
	touch $@

.venv/.complete: requirements.txt
	@test "$$(uname -s)" = Linux || { echo "error: this runs on Linux, not on $$(uname -s); on Windows take WSL 2, on macOS" \
	  "a container: docker run -it --platform linux/amd64 -v \"$$PWD\":/project -w /project python:3.12 make talk"; exit 1; }
	@$(or $(PYTHON),false) -c '$(FITS)' 2>/dev/null || { echo "error: Python 3.11 or 3.12 with venv is needed; install it" \
	  "(apt install python3.12-venv, or uv python install 3.12), or name one: make PYTHON=/path/to/python3.12 …"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	.venv/bin/python -m pip check
	touch $@
