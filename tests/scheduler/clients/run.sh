#!/bin/sh
# Runs Cook's released clients, unmodified, against a scheduler. Installs them from PyPI below target/ the first time.
#   tests/scheduler/clients/run.sh SCHEDULER [more arguments of clients.py]
set -eu
cd "$(dirname "$0")/../../.."
scheduler=$1
shift
venv=target/clients
if ! [ -x $venv/bin/cs ]; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        # In Debian, ensurepip is in a separate package.
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
    fi
    python3 -m venv --clear $venv
    $venv/bin/pip install --quiet --requirement tests/scheduler/clients/requirements.txt
fi
exec $venv/bin/python tests/scheduler/clients/clients.py --scheduler "$scheduler" --cs $venv/bin/cs "$@"
