#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every deliberate mistake in the code has its row in mutants.def, and every row its mistake: what nobody makes is
# noticed by nobody.
set -u
made=$(grep -rhoE 'mutant_is\("[^"]+"\)' "$SRC/core" "$SRC/journal" "$SRC/managers" "$SRC/cli" | sed 's/.*"\(.*\)".*/\1/' | sort -u)
listed=$(sed -n 's/^MUTANT("\([^"]*\)".*/\1/p' "$SRC/tests/crash/mutants.def" | sort)
if [ -z "$made" ] || [ -z "$listed" ]; then
        echo "lint.mutants: it finds none: is it looking for the right thing?"
        exit 1
fi
twice=$(printf '%s\n' "$listed" | uniq -d)
n_wrong=0
for name in $made $listed; do
        if ! printf '%s\n' "$listed" | grep -qx -e "$name"; then
                echo "mutant_is(\"$name\") has no row in tests/crash/mutants.def"
                n_wrong=$((n_wrong + 1))
        elif ! printf '%s\n' "$made" | grep -qx -e "$name"; then
                echo "the row \"$name\" of tests/crash/mutants.def is made nowhere"
                n_wrong=$((n_wrong + 1))
        fi
done
[ -z "$twice" ] || echo "listed twice: $twice"
[ "$n_wrong" -eq 0 ] && [ -z "$twice" ]
