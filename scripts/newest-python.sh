#!/bin/bash
# newest-python.sh: the locks and the unit suites on newer Pythons, and whether they and .venv/ make the same of
# 20,000 mails (scripts/differential). As root on Debian: each Python is that of a newer release, in a folder that
# mmdebstrap makes and removes. VERSIONS="3.13 3.14" chooses, and so does SUITES="tests/mime tests/graph".
set -euo pipefail
cd "$(dirname "$0")/.."

# The suites without servers; one folder more costs about a minute.
SUITES=${SUITES:-tests/mime tests/graph tests/smtp tests/gateway/test_settings.py}
VERSIONS=${VERSIONS:-3.13 3.14}
pip="/venv/bin/python -m pip --disable-pip-version-check"

# enter ROOT COMMAND: run it in the folder's own Debian.
enter() {
    env -u PIP_FIND_LINKS -u PYTHONPATH TMPDIR=/tmp HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$1" sh -ec "cd /project; $2"
}

# within VERSION ROOT: what happens there; mmdebstrap calls it, with /proc and /dev in place.
within() {
    local root=$2
    mkdir -p "$root/project" "$root/etc/ssl/certs"
    tar -xf "$scratch/tree.tar" -C "$root/project"
    cp "$scratch/pip.conf" "$root/etc/pip.conf"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    enter "$root" "python$1 -m venv /venv"
    enter "$root" "$pip install --quiet --require-hashes -r requirements/dev.txt"
    for lock in deploy tracing; do
        enter "$root" "$pip install --quiet --dry-run --ignore-installed --require-hashes -r requirements/$lock.txt"
    done
    enter "$root" "/venv/bin/pytest -n 2 --dist loadfile -m 'not soak and not services' $SUITES"
    until [ -e "$scratch/digests.end" ]; do sleep 1; done
    cp "$scratch/digests" "$root/digests"
    enter "$root" "/venv/bin/python -m scripts.differential --against /digests"
}

if [ "${1:-}" = --within ]; then
    within "$2" "$3"
    exit
fi

release_with() {
    case $1 in
    3.13) echo trixie ;;
    3.14) echo forky ;;
    *) echo "newest-python: no release of Debian is known for Python $1" >&2 && exit 1 ;;
    esac
}

absent() {
    echo "newest-python: $1" >&2
    [ "${REQUIRE_SERVICES:-}" != 1 ] || exit 1
    exit 0
}
[ "$(id -u)" = 0 ] || absent "skipped: it makes a Debian of its own, which takes root"
command -v mmdebstrap >/dev/null || absent "skipped: mmdebstrap is not installed (apt install mmdebstrap)"

scratch=$(mktemp -d)
chmod 755 "$scratch"
started=()
# mmdebstrap removes its folder when it is told to end, so it is waited for.
clean_up() {
    [ "${#started[@]}" = 0 ] || kill "${started[@]}" 2>/dev/null || true
    wait
    rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Packages come from where apt of this machine gets them, and pip's from where its pip does. A mirror may be a
# picture of an earlier day: its signatures count, its dates do not.
# shellcheck disable=SC2016 # apt-get itself puts the value in
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1)
{
    apt-config dump | grep -E '^Acquire::(https?|ftp|Retries|ForceIPv[46])' || true
    echo 'Acquire::Check-Valid-Until "false";'
} >"$scratch/apt.conf"
{
    echo "[global]"
    for name in index-url trusted-host proxy; do
        if value=$(.venv/bin/python -m pip config get "global.$name" 2>/dev/null); then
            echo "$name = $value"
        fi
    done
} >"$scratch/pip.conf"
tar --exclude=./.git --exclude=./.venv --exclude=__pycache__ -cf "$scratch/tree.tar" .

export scratch SUITES TMPDIR=$scratch

(
    .venv/bin/python -m scripts.differential >"$scratch/digests" || true
    touch "$scratch/digests.end"
) &
started+=("$!")
for version in $VERSIONS; do
    mmdebstrap --quiet --variant=apt --aptopt="$scratch/apt.conf" \
        --include="python$version,python$version-venv,procps,openssl,make,git" \
        --customize-hook="$PWD/scripts/newest-python.sh --within $version \"\$1\"" \
        "$(release_with "$version")" /dev/null ${mirror:+"$mirror"} >"$scratch/said-$version" 2>&1 &
    started+=("$!")
done

failed=""
at=0
for version in $VERSIONS; do
    at=$((at + 1))
    wait "${started[$at]}" || failed="$failed $version"
    echo "--- Python $version"
    grep -vE '^\.+( +\[ *[0-9]+%\])?$' "$scratch/said-$version" | tail -n 80
done
[ -z "$failed" ] || {
    echo "newest-python: not right with Python$failed" >&2
    exit 1
}
