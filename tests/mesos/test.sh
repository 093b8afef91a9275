#!/bin/bash
# Tests an executor under a real Mesos master and agent:  test.sh PATH_TO_EXECUTOR [arguments of run.py]
# Without further arguments, the executor is then compared with the Python executor.
set -euo pipefail
here=$(dirname "$0")
[ $# -ge 1 ] || { echo "usage: $0 PATH_TO_EXECUTOR [arguments of run.py]" >&2; exit 2; }
"$here/setup.sh"
"$here/frameworks/setup.sh"
python3 "$here/run.py" --executor "$@"
[ $# = 1 ] || exit 0
"$here/../bench/setup.sh"
exec python3 "$here/differential.py" --executor "$1"
