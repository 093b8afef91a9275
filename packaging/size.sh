#!/bin/sh
# Prints the size of a program by crate and by function, and fails if the file is larger than its budget.
#   packaging/size.sh TARGET executor|scheduler
# The figures come from the linker's map, because the shipped file has no symbols.
set -eu
target=$1
binary=target/$target/release/cook-$2
case $2 in
executor)
    # Raising this needs a reason that is worth it for every task that fetches the file.
    budget=763000
    packaging/cargo.sh "$target" build --quiet
    map=target/$target.map
    ;;
scheduler)
    # `make scheduler` has built it and written the map. Speed comes first, but it has to stay a small program.
    budget=2500000
    map=target/$target.scheduler.map
    ;;
*)
    echo "$0: unknown program: $2" >&2
    exit 2
    ;;
esac
# Size and name of each symbol: the third column, in hexadecimal, and the text after the fourth column and 16 spaces.
symbols=$(python3 - "$map" <<'END'
import re, sys
line = re.compile(r" *[0-9a-f]+ +[0-9a-f]+ +([0-9a-f]+) +[0-9]+ {17}(\S.*)")
found = {}
for text in open(sys.argv[1], errors="replace"):
    match = line.fullmatch(text.rstrip("\n"))
    if match and int(match[1], 16):
        found[match[2]] = found.get(match[2], 0) + int(match[1], 16)
# The escape sequences of Rust's legacy symbol mangling.
signs = {"$LT$": "<", "$GT$": ">", "$RF$": "&", "$BP$": "*", "$C$": ",", "$u20$": " ", "$LP$": "(", "$RP$": ")",
         "$u7b$": "{", "$u7d$": "}", "$u5b$": "[", "$u5d$": "]", "$u27$": "'", "..": "::"}
for name, size in sorted(found.items(), key=lambda it: -it[1]):
    name = re.sub(r"::h[0-9a-f]{16}$", "", name)
    if "$" in name:
        name = name.removeprefix("_")
        for sign, meaning in signs.items():
            name = name.replace(sign, meaning)
    print(size, name)
END
)

echo "bytes by crate"
echo "$symbols" | awk '{
    size = $1; name = $0; sub(/^[^ ]+ /, "", name); gsub(/[<&*]|mut |dyn /, "", name)
    crate = "(C and unnamed)"
    if (sub(/::.*/, "", name)) { crate = name; sub(/.* /, "", crate) }
    sum[crate] += size
} END { for (crate in sum) printf "%9d  %s\n", sum[crate], crate }' | sort -rn | head -25

echo "bytes by function"
echo "$symbols" | head -25 | awk '{ printf "%9d  ", $1; $1 = ""; print substr($0, 2, 110) }'

size=$(stat -c %s "$binary")
echo "$size bytes of $budget: $binary"
test "$size" -le "$budget"
