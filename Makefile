# The same commands by hand and in CI. `make demo` needs no root, no Docker, no GPU and no model hub.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS ?=

.PHONY: help venv check format test chaos demo screenshots clean

help:  ## what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: .venv/.ready  ## everything for development, in .venv

demo: .venv-demo/.ready  ## the whole system on this machine: make demo ARGS="--posts FILE --rate 50"
	.venv-demo/bin/mmsent demo $(ARGS)

check: .venv/.ready  ## lint, format, types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/.ready  ## put the code into shape
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

test: .venv/.ready  ## all tests: make test ARGS="-k batching"
	.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

chaos: .venv/.ready  ## faults under load on real servers: make chaos ARGS="--faults 10 --posts 5000"
	.venv/bin/python -m tests.chaos $(ARGS)

screenshots: .venv/.ready  ## the README's pictures of the dashboard, in docs/images
	.venv/bin/python docs/screenshots.py $(ARGS)

clean:  ## remove what the targets above made
	rm -rf .venv .venv-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/.ready: EXTRAS = dev
.venv/.ready: DOWNLOAD = a gigabyte or two, torch among it
.venv-demo/.ready: EXTRAS = demo
.venv-demo/.ready: DOWNLOAD = about 210 MB
.venv/.ready .venv-demo/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "mmsent needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "1/3 making $(@D) with $$($(PYTHON) --version), $(PYTHON)"
	@$(PYTHON) -m venv $(@D)
	@echo "2/3 getting uv, which installs packages fast"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@echo "3/3 downloading the packages: $(DOWNLOAD), unless this machine has them already"
	@$(@D)/bin/python -m uv pip install --python $(@D)/bin/python --constraints constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@
