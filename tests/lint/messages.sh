#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/cli/README.md maps rules and errors to words and tests: every error of the table is there, with its exit status,
# and every test it names exists and holds those words (or, written in C, the error's name).
# shellcheck disable=SC2016 # backticks are Markdown's
set -eu
map=$SRC/tests/cli/README.md
n_problems=0
problem() {
        n_problems=$((n_problems + 1))
        echo "tests/cli/README.md: $*"
}

# "symbol slug exit", one error a line
errors=$(sed -n 's/^ERROR(\([A-Z_]*\), *"\([a-z-]*\)", *\([0-9]*\),.*/\1 \2 \3/p' "$SRC/core/base/errors.def")
[ -n "$errors" ] || problem "core/base/errors.def has no errors"

symbol_of() {
        echo "$errors" | while read -r symbol slug _; do
                [ "$slug" != "$1" ] || echo "$symbol"
        done
}

echo "$errors" >"$BUILD/lint.messages.errors"
while read -r _ slug exit; do
        grep -q "^| \`$slug\` | $exit | " "$map" || problem "there is no row \"$slug\" with the exit status $exit"
done <"$BUILD/lint.messages.errors"
rm "$BUILD/lint.messages.errors"

# Rows end with: | `what is said` | `test` |
n_rows=0
grep -E '\| `.*` \| `[^`]*` \|$' "$map" >"$BUILD/lint.messages.rows"
while read -r row; do
        n_rows=$((n_rows + 1))
        file=$(echo "$row" | sed 's/.*| `\([^`]*\)` |$/\1/')
        words=$(echo "$row" | sed 's/.*| `\(.*\)` | `[^`]*` |$/\1/')
        slug=$(echo "$row" | sed -n 's/^| `\([a-z-]*\)` |.*/\1/p')
        case $file in
        *.c) words=ERR_$(symbol_of "$slug") ;;
        esac
        if [ ! -f "$SRC/tests/cli/$file" ]; then
                problem "there is no test $file"
        elif ! grep -qF -e "$words" "$SRC/tests/cli/$file"; then
                problem "$file lacks \"$words\""
        fi
done <"$BUILD/lint.messages.rows"
rm "$BUILD/lint.messages.rows"
[ "$n_rows" -gt 40 ] || problem "only $n_rows rows could be read"

[ "$n_problems" -eq 0 ] || { echo "$n_problems problems"; exit 1; }
echo "$n_rows rows"
