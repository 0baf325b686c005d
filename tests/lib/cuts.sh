# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# What a tier that cuts the power of machines counted, as a table, and for the table in tests/crash/README.md (counts.h).
#
#   cuts_report TIER RESULTS SEED FULL    RESULTS has a line per cut: its flow, 1 where the boot behind it was cut as well, 1 where it failed, milliseconds
#
# FULL is "yes" where nothing was left out. Fails when there is a failure, or nothing at all.

cuts_report() {
        printf '%-10s %7s %7s %9s %8s\n' flow cuts twice failures seconds
        awk '{ cuts[$1]++; twice[$1] += $2; failed[$1] += $3; msec[$1] += $4 } END {
                for (flow in cuts)
                        print flow, cuts[flow], twice[flow], failed[flow], msec[flow]
        }' "$2" | LC_ALL=C sort >"$2.flows"
        awk '{ printf "%-10s %7d %7d %9d %8.1f\n", $1, $2, $3, $4, $5 / 1000 }' "$2.flows"
        [ -z "${PAWL_COUNTS:-}" ] || cuts_keep "$1" "$4" <"$2.flows"
        awk -v seed="$3" '{ cuts += $2; twice += $3; failed += $4; msec += $5 } END {
                printf "%-10s %7d %7d %9d %8.1f\nseed %d\n", "total", cuts, twice, failed, msec / 1000, seed
                exit cuts == 0 || failed > 0
        }' "$2.flows"
}

# As count_write() does it.
cuts_keep() {
        mkdir -p "$PAWL_COUNTS"
        while read -r flow cuts twice failed msec; do
                echo "$cuts points $((cuts + twice)) states 0 classes 0 faults $failed failures $msec msec 0 left $([ "$2" = yes ] && echo 0 || echo 1) sample" \
                        >"$PAWL_COUNTS/$1.$flow"
        done
}
