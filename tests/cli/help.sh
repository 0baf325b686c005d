#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Help comes from the tables: every command is in it, and knows its own.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

bare help
status 0
err </dev/null
cp "$T/out" "$T/all"
for command in apply deploy upgrade rollback remove plan check list status inspect history show recover start stop restart logs \
        'journal list' 'journal verify' init doctor config version help completion; do
        has out "  $command "
        # shellcheck disable=SC2086 # two words
        bare help $command
        status 0
        has out "usage: pawl $command"
        has out '--json'
        cp "$T/out" "$T/one"
        # shellcheck disable=SC2086
        bare $command --help
        status 0
        check "$command --help is help $command" cmp -s "$T/one" "$T/out"
        cp "$T/all" "$T/out"
done

bare
status 2
check "pawl alone shows the help" cmp -s "$T/all" "$T/out"
bare --help
status 0
bare help frobnicate
status 2

bare help spec
status 0
has out 'runtime '
has out 'Not supported yet: '
bare help journal
status 0
has out '  journal verify '
bare help doctor
check "a question ends with one mark" grep -qx 'Is this host fit for pawl?' "$T/out"
bare --json help spec
status 0
has out '"text": "key '
bare --json completion bash
status 0
has out '"text": "# bash completion'

bare version
status 0
has out 'pawl 0.'
cp "$T/out" "$T/one"
bare --version
status 0
check "--version is version" cmp -s "$T/one" "$T/out"

bare help upgrade
out <<'E'
usage: pawl upgrade [SERVICE] [flags]

Without --version, to the newest that the source has. A version that is held (it failed its
health check, or was rolled back from) is skipped, and refused where --version names it;
--retry tries it again. The content of a path or url gets the name that --version says.

Flags:
  -v, --version V            the version
      --source SOURCE        another path or url to upgrade from
      --retry                try a held version again
      --all                  all services
      --overwrite            write over what was edited by hand
      --strict               a service without its route is an error (exit 4)

Flags of every command:
      --root DIR             work below DIR instead of / (PAWL_ROOT)
      --json                 one JSON object on stdout
  -q, --quiet                only changes and errors
      --wait DURATION        wait that long for another pawl
      --request-id ID        the same ID again gives the same outcome
      --exit-codes KIND      detailed, or simple: 0 and 1 alone
      --no-color             no colours (NO_COLOR)
      --set KEY=VALUE        set a key of the host configuration for this run
  -h, --help                 this text
E
