#!/bin/bash
# Installs pymesos and Yelp's task_processing into ../build/frameworks, for scenarios/frameworks.py.
# Debian 12, x86_64. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")"

say() { echo "setup: $*"; }
trap 'echo "setup: failed at line $LINENO: $BASH_COMMAND" >&2' ERR

venv=../build/frameworks
works() { $venv/bin/python -c 'import pymesos, task_processing.plugins.mesos.mesos_executor' 2>/dev/null; }
if ! works; then
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "setup: python3-venv is missing; install it or run this as root" >&2; exit 1; }
    say "installing python3-venv"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  fi
  say "installing pymesos and task_processing"
  rm -rf $venv
  python3 -m venv $venv
  $venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
  # Dependencies of requests, in any version.
  $venv/bin/pip install --quiet --disable-pip-version-check certifi charset-normalizer idna urllib3
  # The C part of http-parser does not compile with recent versions of Python. The rest works without
  # it.
  archive=../build/http-parser-0.9.0.tar.gz
  python3 ../src/download.py http-parser "$(basename $archive)" \
    441d3a57c6227230f98aa97539da006fda0f8f4880bc4c5cd895ff2138a52621 $archive
  packages=$($venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  tar -xzf $archive -C "$packages" --strip-components=1 --wildcards 'http-parser-0.9.0/http_parser/*.py'
  rm $archive
  works
fi
say "frameworks are ready"
