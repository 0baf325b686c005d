#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is wrong with a command line is told with what was meant, and ends with 2.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

run delpoy
status 2
out </dev/null
err <<'E'
pawl: there is no command "delpoy"
  try: Did you mean "pawl deploy"?
E

run list --jsn
status 2
err <<'E'
pawl: list does not take --jsn
  try: Did you mean --json?
E

run journal
status 2
err <<'E'
pawl: journal needs a second word
  try: "pawl help journal" shows them.
E

run journal verfy
status 2
has err 'Did you mean "pawl journal verify"?'

run rollback
status 2
err <<'E'
pawl: rollback needs SERVICE
  try: usage: pawl rollback SERVICE [flags]; "pawl help rollback" shows more.
E

run list web
status 2
has err 'list: "web" is one word too many'

run list --json=1
status 2
has err '--json takes no value'

run list --wait
status 2
has err '--wait needs DURATION'

run history -n 5x
status 2
has err '--lines needs a number from 0 to 1000000, not "5x"'
run history -n 18446744073709551617
status 2
run history -n -1
status 2
run show 12x
status 2
run list -- x
status 2
has err 'list takes no program behind "--"'

run --exit-codes simple delpoy
status 1
run --exit-codes sometimes list
status 2
has err '--exit-codes is detailed or simple, not "sometimes"'
PAWL_EXIT_CODES=simple run delpoy
status 1

run list --set ports.range
status 2
has err '"ports.range" is not KEY=VALUE'
run list --set no.such=1
status 10

run bogus
status 2
lacks err 'Did you mean'
run deploy . --prot 3
has err 'Did you mean --port?'
run upgrade web -e A=b
status 2
has err 'try: Change env in the spec and apply it.'

# A source that is not there: 2 on the command line, 10 in a spec.
printf 'pawl: 1\nsource: ./nothing-there\n' >missing.yaml
for command in 'plan missing.yaml' 'plan deploy missing.yaml'; do
        # shellcheck disable=SC2086 # words
        run $command
        status 10
        has err 'missing.yaml: the source'
done
run plan deploy ./nothing-there
status 2
run deploy ./nothing-there
status 2
has err 'there is no "./nothing-there"'
run recover --keep 4
status 2
has err '--keep needs the number of a transaction'
run recover 12 --keep 0
status 2
run recover 12 --keep 1 --forward
status 2
has err 'exclude each other'
run upgrade
status 2
has err 'upgrade needs one SERVICE, or --all'
run upgrade --all -v v2
status 2

# Common flags stand before and behind the command.
run list --json
status 0
cp "$T/out" "$T/behind"
run --json list
status 0
check "--json before and behind the command are the same" cmp -s "$T/out" "$T/behind"

# An empty variable behind --root must not mean the real host.
bare --root '' list
status 2
out </dev/null
err <<'E'
pawl: --root needs DIR
  try: Write --root / for the whole host.
E

# Nothing of all this made anything.
check "a wrong command line makes nothing below the root" test -z "$(ls -A "$ROOT")"
