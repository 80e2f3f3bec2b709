#!/bin/sh
# Builds .venv/ from requirements/dev.txt, every file checked against its hash. Does nothing when that is done.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.installed
wanted="$(cksum <requirements/dev.txt) $PWD"

works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# `python3` may be older than a python3.11 beside it.
find_python() {
    for name in python3 python3.11 python3.12 python3.13 python3.14 python; do
        if works "$name"; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11 or newer is needed, and none of python3, python3.11 … is that. Install it," >&2
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

if [ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && works .venv/bin/python; then
    exit 0
fi
if ! works .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Building .venv/ with $("$python" --version); this happens once."
    make_venv "$python"
fi
echo "Installing requirements/dev.txt into .venv/ …"
.venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/dev.txt
echo "$wanted" >$stamp
