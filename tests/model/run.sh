#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Checks every model, then every mutant of it.
#
#   run.sh [--quick] BUILDDIR      --quick: the models without their mutants
#
# A model must have no error and no statement that is never reached, but those marked "unreached" with the reason.
# A mutant must have an error. Models and mutants are found by themselves: every *.pml but world.pml, and in it every
# line " * M<n>  <the rule>" of the first comment.
set -eu

quick=
if [ "${1-}" = --quick ]; then
        quick=yes
        shift
fi
if [ $# -ne 1 ]; then
        echo "usage: run.sh [--quick] BUILDDIR" >&2
        exit 2
fi
for tool in spin gcc awk; do
        command -v $tool >/dev/null || { echo "model: $tool is not here: skipped"; exit 77; }
done
here=$(cd "$(dirname "$0")" && pwd)
table=$here/../../journal/records.def
mkdir -p "$1/model.work"
work=$(cd "$1/model.work" && pwd)
rm -rf "$work"/*
sh "$here/names.sh" "$table" >"$work/names.h"
sh "$here/names.sh" --check "$table" "$here"/*.pml

# check MODEL MUTANT: writes $work/MODEL.MUTANT/result: errors states seconds
check() {
        run=$work/$1.$2
        mkdir -p "$run"
        cp "$work/names.h" "$here/world.pml" "$here/$1.pml" "$run"
        echo "broken 0 0" >"$run/result"
        : >"$run/pan.out"
        (
                cd "$run"
                spin -a -DM="$2" "$1.pml" >spin.out 2>&1 || exit 1
                optimize=-O0
                [ "$2" = 0 ] && optimize=-O2
                gcc $optimize -w -DSAFETY -DNOCLAIM -DNOFAIR -DMEMLIM=900 -o pan pan.c >gcc.out 2>&1 || exit 1
                timeout 60 ./pan -m400000 -w20 >pan.out 2>&1 || true
                awk '/errors: /           { sub(/.*errors: /, ""); errors = $1 }
                     /states, stored/     { states = $1 }
                     /elapsed time/       { seconds = $4 }
                     /max search depth too small|out of memory/ { short = 1 }
                     END { if (errors == "" || (short && errors == 0)) errors = "broken"
                           print errors, states + 0, seconds + 0 }' pan.out >result
                [ ! -f "$1.pml.trail" ] || spin -t -p -DM="$2" "$1.pml" |
                        awk -v commit="$(sed -n 's/^#define COMMIT //p' names.h)" -f "$here/schedule.awk" >schedule
                rm -f pan pan.?
        ) || true
}

# The statements of a correct model which were never reached, less those the source excuses.
unreached() {
        awk -v model="$work/$1.0/$1.pml" '
                BEGIN { while ((getline line < model) > 0) source[++n] = line }
                /^\t[a-z_]+\.pml:[0-9]+, state/ && !/"-end-"/ {
                        split($1, place, /[:,]/)
                        if (/crashes = / || source[place[2]] ~ /unreached/) next
                        print "  never reached: " $0
                }' "$work/$1.0/pan.out"
}

models=$(cd "$here" && ls ./*.pml | sed 's,^\./,,; s,\.pml$,,' | grep -v '^world$')
mutants() {
        awk '/^ \*\// { exit } /^ \* M[0-9]+ / { sub("M", "", $2); print $2 }' "$here/$1.pml"
}
rule() {
        [ "$2" = 0 ] && { echo "as it is"; return; }
        awk -v m="M$2" '/^ \*\// { exit } $2 == m { sub(/^ \* M[0-9]+ +/, ""); print }' "$here/$1.pml"
}

for model in $models; do
        for mutant in 0 $([ -n "$quick" ] || mutants "$model"); do
                echo "$model $mutant"
        done
done >"$work/list"
# Two jobs: the odd lines and the even lines.
for half in 0 1; do
        awk -v half=$half 'NR % 2 == half' "$work/list" | while read -r model mutant; do
                check "$model" "$mutant"
        done &
done
wait

bad=0 held=0 total=0 killed=0
while read -r model mutant; do
        read -r errors states seconds <"$work/$model.$mutant/result"
        verdict=WRONG
        if [ "$mutant" = 0 ]; then
                missed=$(unreached "$model")
                [ "$errors" = 0 ] && [ -z "$missed" ] && verdict=holds
                # grep exits 1 where it counts none
                asserts=$(grep -c 'assert(' "$here/$model.pml") || true
                [ $verdict = holds ] && held=$((held + asserts + 1)) # and no deadlock
        else
                missed=
                total=$((total + 1))
                case $errors in
                0) verdict=SURVIVES ;;
                broken) ;;
                *) verdict=killed killed=$((killed + 1)) ;;
                esac
        fi
        case $verdict in holds | killed) ;; *) bad=1 ;; esac
        printf '%-8s %-9s M%-3s %8s states %5s s  %s\n' $verdict "$model" "$mutant" "$states" "$seconds" \
                "$(rule "$model" "$mutant")"
        [ -z "$missed" ] || echo "$missed"
done <"$work/list"
# What tests/crash/trails.c replays on the real program; each once.
cat "$work"/*/schedule 2>/dev/null | sort -u >"$work/schedules" || true
echo "model: $held properties hold, $killed/$total mutants killed"
exit $bad
