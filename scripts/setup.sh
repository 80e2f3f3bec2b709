#!/bin/sh
# Builds .venv/ from requirements/dev.txt, every file checked against its hash. Does nothing when that is done.
# PYTHON=/usr/bin/python3 chooses the interpreter; a .venv/ of another one is built again.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.installed

works() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; }

# Where an interpreter is installed, and its version: the same for all of its names and environments.
which_one() { "$1" -c 'import sys; print(sys.base_prefix, sys.version.split()[0])' 2>/dev/null || echo none; }

chosen() { [ -z "${PYTHON:-}" ] || [ "$(which_one .venv/bin/python)" = "$(which_one "$PYTHON")" ]; }

installed() { echo "$(cksum <requirements/dev.txt) $PWD $(which_one .venv/bin/python)"; }

# `python3` may be older than a python3.11 beside it.
find_python() {
    for name in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14 python}; do
        if works "$name"; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11 to 3.14 is needed; ${PYTHON:-none of python3, python3.11 …} is not that. Install it," >&2
    echo "for instance with: apt install python3 python3-venv, or: brew install python@3.12" >&2
    exit 1
}

# Debian splits ensurepip off; its own pip, where there is one, can install into a venv without.
make_venv() {
    if "$1" -c 'import ensurepip' 2>/dev/null; then
        "$1" -m venv --clear .venv
    elif "$1" -m pip --version >/dev/null 2>&1; then
        "$1" -m venv --clear --without-pip .venv
        "$1" -m pip --disable-pip-version-check --python .venv/bin/python install --quiet pip
    else
        echo "$1 cannot make virtual environments here. Install them, for instance with: apt install python3-venv" >&2
        exit 1
    fi
}

if works .venv/bin/python && chosen && [ "$(cat $stamp 2>/dev/null)" = "$(installed)" ]; then
    exit 0
fi
# Without pip it is the environment of a Python that is gone, or was never finished.
if ! works .venv/bin/python || ! chosen || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Building .venv/ with $("$python" --version); this happens once."
    make_venv "$python"
fi
echo "Installing requirements/dev.txt into .venv/ …"
.venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/dev.txt
installed >$stamp
