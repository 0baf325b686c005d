#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What was done stands in the history, newest first, and in the journal, record by record.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run history
status 0
out <<'E'
Nothing was done yet.
E
run -q deploy "$FILES/web-v1" -v v1 -n web
run -q upgrade web --source "$FILES/web-v2" -v v2
run -q upgrade web --source "$FILES/web-v3" -v v3
run -q remove web

run history web
status 0
# The columns are as wide as what stands in them: blanks are told apart from words, not counted.
placeholders "$T/out" | tr -s ' ' >"$T/squeezed"
cp "$T/squeezed" "$T/out"
out <<'E'
TX WHEN ACTOR SERVICE FLOW VERSIONS RESULT TOOK EXPOSED DOWN REASON
TX TIME ACTOR web remove v2 done DUR — — —
TX TIME ACTOR web upgrade v2 → v3 put back DUR DUR DUR no answer on 127.0.0.1:PORT: the program exited with status…
TX TIME ACTOR web upgrade v1 → v2 done DUR DUR DUR —
TX TIME ACTOR web deploy v1 done DUR DUR — —
E
run history -n 1
status 0
check "-n 1 is one line" test "$(wc -l <"$T/out")" -eq 2
run history nix
status 2

tx=$(awk 'NR == 2 { print $1 }' "$T/out")
run history -n 1
tx=$(awk 'NR == 2 { print $1 }' "$T/out")
run show "$tx"
status 0
has out "remove web"
has out begin
has out commit
has out end
run history
lacks out REASON
tx=$(awk '/put back/ { print $1 }' "$T/out")
run show "$tx"
status 0
has out 'Result:      put back'
has out 'Reason:      no answer on 127.0.0.1:PORT: the program exited with status 1'
check "the record says why" grep -q 'failed .*: no answer on 127.0.0.1' "$T/out"
run show 999999
status 2

run journal list -n 2
status 0
check "-n 2 is two records" test "$(wc -l <"$T/out")" -eq 3
run journal list --from 1 -n 1
has out genesis
run journal show 1
status 0
has out 'kind: genesis'
has out 'time: TIME'
run journal show 999999
status 2
run journal verify
status 0
has out 'sound: true'
run journal export
status 0
check "one line of JSON per record" test "$(grep -c '^{.*}$' "$T/out")" -eq "$(wc -l <"$T/out")"
run history
cp "$T/out" "$T/before"
run journal rebuild
status 0
run history
check "the rows made again say the same" cmp -s "$T/before" "$T/out"

# The operator's name is what the person says it is.
PAWL_OPERATOR=alice@edge7 run -q deploy "$FILES/web-v1" -v v1 -n two
run history two
check "the operator" grep -q 'alice@edge7' "$T/out"
