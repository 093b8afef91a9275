#!/bin/bash
# Installs a real Apache Mesos 1.11.0 into build/, for run.py. Debian 12, x86_64. Safe to repeat; takes
# about a second if there is nothing to do. Any failure ends it with a message and a non-zero status.
#
# Mesos is not built here. The Python package `mesos.scheduler` 1.11.0 contains all of libmesos in its
# extension module and exports its C++ symbols; src/mesos_lab.cpp is a small main() for it. README.md
# lists what is real and what is not.
set -euo pipefail
cd "$(dirname "$0")"

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }
trap 'echo "setup: failed at line $LINENO: $BASH_COMMAND" >&2' ERR

[ "$(uname -sm)" = "Linux x86_64" ] || die "the Mesos library is for Linux x86_64, but this is $(uname -sm)"
command -v dpkg-query apt-get >/dev/null || die "this needs a Debian system, whose packages have the libraries of Mesos"

# 1. Debian packages: the libraries of Mesos, the compilers for the launcher, and programs that the
# tests' jobs use.
packages=(libsvn1 libapr1 libsasl2-2 zlib1g gcc g++ libc6-dev binutils python3 ca-certificates curl jq)
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || die "these packages are missing; install them or run this as root: ${missing[*]}"
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# 2. The library, from the package index that pip is configured for. Both checksums are fixed.
mkdir -p build/lib build/libexec/mesos build/generated
library=build/lib/libmesos-1.11.0.so
library_sha256=84d7ee9af27e912636b139de40257df1ee4f56c201de6bba834278aa1e8fd64c
if ! echo "$library_sha256  $library" | sha256sum -c --status 2>/dev/null; then
  archive=build/mesos.scheduler-1.11.0.linux-x86_64.tar.gz
  archive_sha256=1d376f20bca6d05ee8b90c1c123a452b28753497ccc2f1c80ea3ac94c12e8f6e
  say "downloading mesos.scheduler 1.11.0 (27 MB)"
  python3 src/download.py mesos.scheduler "$(basename "$archive")" "$archive_sha256" "$archive"
  tar -xzf "$archive" -O ./usr/local/lib/python2.7/dist-packages/mesos/scheduler/_scheduler.so >"$library.part"
  echo "$library_sha256  $library.part" | sha256sum -c --status || die "the library in $archive has an unexpected checksum"
  chmod 755 "$library.part"
  mv "$library.part" "$library"
  rm "$archive"
fi

# 3. Stub libraries for those that Debian 12 no longer has, the launcher under its three names, and the
# fetcher. They are compiled only if a source has changed.
sources=$(cat setup.sh src/* | sha256sum)
if [ "$(cat build/sources 2>/dev/null)" != "$sources" ]; then
  say "compiling the launcher"
  python3 src/stubs.py "$library" --out build/generated
  for stub in ssl:libssl.so.1.0.0 crypto:libcrypto.so.1.0.0 curl:libcurl.so.4; do
    name=${stub%%:*} soname=${stub#*:}
    gcc -w -O1 -fPIC -shared "build/generated/$name.c" -o "build/lib/$soname" \
      -Wl,-soname,"$soname" -Wl,--version-script="build/generated/$name.map"
  done
  gcc -w -O1 -c build/generated/python.c -o build/generated/python.o
  # The symbol of the agent's constructor has about 900 characters, so it is read from the symbol table.
  agent_constructor=$(nm -D --defined-only "$library" | awk '$3 ~ /^_ZN5mesos8internal5slave5SlaveC1ERK/ {print $3}')
  [ -n "$agent_constructor" ] || die "$library has no constructor of the agent"
  g++ -std=c++17 -O1 -g -Wall -DAGENT_CONSTRUCTOR="\"$agent_constructor\"" -o build/libexec/mesos/mesos-lab.part \
    src/mesos_lab.cpp build/generated/python.o -Lbuild/lib -l:libmesos-1.11.0.so \
    -Wl,--disable-new-dtags,-rpath,'$ORIGIN/../../lib' -Wl,-rpath-link,build/lib
  mv build/libexec/mesos/mesos-lab.part build/libexec/mesos/mesos-lab   # replaces the file even while it is running
  for name in master agent containerizer; do ln -sf mesos-lab build/libexec/mesos/mesos-$name; done
  install -m 755 src/fetcher.py build/libexec/mesos/mesos-fetcher
  echo "$sources" >build/sources
fi
say "ready"
