#!/bin/bash
# Installs the programs that bench.py compares with: the Python cook-executor 0.1.19 into build/venv (which
# ../mesos/differential.py uses too), and the Debian packages catatonit, tini and s6. Debian 12, x86_64. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")"

say() { echo "setup: $*"; }
trap 'echo "setup: failed at line $LINENO: $BASH_COMMAND" >&2' ERR

# If the executor cannot be run, an earlier installation was incomplete: install it anew.
venv=build/venv
if ! $venv/bin/cook-executor --version >/dev/null 2>&1; then
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "setup: python3-venv is missing; install it or run this as root" >&2; exit 1; }
    say "installing python3-venv"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  fi
  say "installing cook-executor 0.1.19"
  rm -rf $venv
  python3 -m venv $venv
  $venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
  # The C part of http-parser does not compile with recent versions of Python. The rest works without it.
  archive=build/http-parser-0.9.0.tar.gz
  python3 ../mesos/src/download.py http-parser "$(basename $archive)" \
    441d3a57c6227230f98aa97539da006fda0f8f4880bc4c5cd895ff2138a52621 $archive
  packages=$($venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  tar -xzf $archive -C "$packages" --strip-components=1 --wildcards 'http-parser-0.9.0/http_parser/*.py'
  rm $archive
  $venv/bin/cook-executor --version >/dev/null
fi

missing=
for pair in catatonit=catatonit tini=tini s6-supervise=s6; do
  command -v "${pair%=*}" >/dev/null || missing="$missing ${pair#*=}"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ]; then
    say "installing$missing"
    # shellcheck disable=SC2086
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; } ||
      echo "SKIPPED: apt-get cannot install$missing" >&2
  else
    echo "SKIPPED:$missing: install them, or run this as root" >&2
  fi
fi
say "ready"
