#!/bin/sh
# Runs each fuzz target, or only the given ones, for some seconds. Stops at the first crash.
#
#     run.sh SECONDS [TARGET...]
#
# Stable Rust is enough: coverage is a pass of LLVM, and as this code has no unsafe code, a memory sanitizer
# would only check libraries. Overflows and failed debug assertions panic. libFuzzer needs a C++ compiler.
# New inputs are stored in target/corpus, crashing ones in target/crashes; the committed corpus/ is only read.
set -eu

seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(ls corpus)

host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# A separate target directory, because other builds use other flags.
out=target
RUSTFLAGS="--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 $coverage" \
    cargo build --quiet --locked --release --target "$host" --target-dir "$out"

for target; do
    mkdir -p "$out/corpus/$target" "$out/crashes"
    log="$out/$target.log"
    # -timeout: maximum time of one input, in seconds; -rss_limit_mb: maximum memory.
    if ! "$out/$host/release/$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 \
        -max_len=16384 -artifact_prefix="$out/crashes/$target-" -print_final_stats=1 \
        "$out/corpus/$target" "corpus/$target" >"$log" 2>&1
    then
        tail -n 40 "$log"
        echo "$target: failed; the input is in $(pwd)/$out/crashes" >&2
        exit 1
    fi
    awk -v target="$target" '
        /^stat::number_of_executed_units/ { runs = $2 }
        /^Done / { seconds = $(NF - 1) }
        END { printf "%-10s %d inputs in %d s, no crash\n", target, runs, seconds }' "$log"
done
