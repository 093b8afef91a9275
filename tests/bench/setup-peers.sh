#!/bin/bash
# Installs the job queues that scheduler.py compares with: Slurm and task-spooler from Debian, pueue into build/pueue.
# A queue that cannot be installed is reported as SKIPPED, and the bench runs without it. Safe to repeat.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
pueue=4.0.4

say() { echo "setup-peers: $*"; }
skipped() { echo "SKIPPED: $*" >&2; }
have() { for program; do command -v "$program" >/dev/null || return 1; done; }

# install NAME PROGRAMS PACKAGES: installs the packages if a program is missing. Their services are not started, because the
# bench starts its own.
install() {
  local name=$1 programs=$2 packages=$3 policy=/usr/sbin/policy-rc.d status
  # shellcheck disable=SC2086
  have $programs && return
  have apt-get || { skipped "$name: no apt-get here to install $packages"; return; }
  [ "$(id -u)" = 0 ] || { skipped "$name: run this as root, or install $packages"; return; }
  say "installing $packages"
  if [ -e "$policy" ]; then
    policy=   # this machine has its own policy
  else
    # shellcheck disable=SC2064
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  # shellcheck disable=SC2086
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
  status=$?
  [ -z "$policy" ] || rm -f "$policy"
  trap - EXIT
  # shellcheck disable=SC2086
  [ $status = 0 ] && have $programs || skipped "$name: apt-get cannot install $packages"
}

install Slurm "slurmctld slurmd sbatch squeue munged mungekey" "slurmctld slurmd slurm-client munge"
install task-spooler tsp task-spooler

if [ "$(build/pueue/bin/pueued --version 2>/dev/null)" != "pueued $pueue" ]; then
  say "building pueue $pueue: some minutes"
  # Outside of the repository, because its cargo settings are not meant for pueue.
  mkdir -p build/pueue
  root=$PWD/build/pueue
  (cd / && cargo install --quiet pueue --locked --version $pueue --force --root "$root" --target-dir "$root/target") ||
    skipped "pueue: cargo cannot install pueue $pueue"
  rm -rf build/pueue/target
fi
say "ready"
