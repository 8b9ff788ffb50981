# Everything needs only Python 3.11 to 3.13, make and a package index.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test lint clean

quickstart: .venv/installed
	$(BIN)/pocketconv mnist fit --data sample --epochs 30 --batch-size 64 --learning-rate 0.002
	$(BIN)/pocketconv mnist evaluate
	$(BIN)/pocketconv mnist export
	@echo
	@echo "The run is in runs/mnist/, the files for phones and browsers with their MODEL_CARD.md in saved_models/mnist/."
	@echo "Curves and pictures: $(BIN)/tensorboard --logdir runs/mnist"
	@echo "Answer an image:     $(BIN)/pocketconv mnist predict YOUR.png"

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "pocketconv needs Python 3.11 to 3.13: make PYTHON=python3.12 quickstart")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf .venv
