#!/bin/sh
# install.sh VENV REQUIREMENTS …: make the virtual environment of the image, every file checked against its hash.
set -eu
venv=$1
shift
python3 -m venv "$venv"
# shellcheck disable=SC2046 # words are meant: one option a file, without blanks in its name
"$venv/bin/python" -m pip --disable-pip-version-check --no-cache-dir install --quiet \
    --require-hashes --only-binary :all: $(printf -- '--requirement %s ' "$@")
# A copy, since a file capability is a property of the file: the python that everything else runs stays plain.
cp --dereference "$venv/bin/python" "$venv/bin/python-port25"
# What installs packages has no business in what runs.
"$venv/bin/python" -m pip --disable-pip-version-check uninstall --quiet --yes pip setuptools
