#!/bin/bash
# Tests an executor and a scheduler under a real Mesos master and agent:
#   test.sh PATH_TO_EXECUTOR PATH_TO_SCHEDULER [arguments of run.py]
# Without further arguments, the executor is then compared with the Python executor.
set -euo pipefail
here=$(dirname "$0")
[ $# -ge 2 ] || { echo "usage: $0 PATH_TO_EXECUTOR PATH_TO_SCHEDULER [arguments of run.py]" >&2; exit 2; }
executor=$1 scheduler=$2
shift 2
"$here/setup.sh"
"$here/frameworks/setup.sh"
python3 "$here/run.py" --executor "$executor" --scheduler "$scheduler" "$@"
[ $# = 0 ] || exit 0
"$here/../bench/setup.sh"
exec python3 "$here/differential.py" --executor "$executor"
