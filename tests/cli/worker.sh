#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A worker has no port that could be asked: it is deployed when it has stayed up for a moment, and has failed when it has not.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

mkdir v1 v2
printf '#!/bin/sh\necho works\nexec sleep 600\n' >v1/work
printf '#!/bin/sh\necho "no queue at 127.0.0.1"\nexit 3\n' >v2/work
chmod +x v1/work v2/work
for v in v1 v2; do
        printf 'pawl: 1\nname: worker\nkind: worker\nversion: %s\nsource: ./%s\nruntime: {exec: [work]}\n' $v $v >$v.yaml
done

run -q deploy v2.yaml
status 1
out </dev/null
err <<'E'
pawl: worker: deploy v2 failed: the program exited with status 3 after DUR
    no queue at 127.0.0.1
  put back: nothing is left of it
E

# What it printed is kept, and can be read although there is no such service.
run logs worker
status 0
out <<'E'
no queue at 127.0.0.1
E
run status worker
status 4
run logs never
status 2
err <<'E'
pawl: there is no service "never"
  try: Run "pawl list" to see the services, "pawl deploy" to make one.
E
printf '#!/bin/sh\necho waits\nexec sleep 600\n' >deaf
chmod +x deaf
printf 'pawl: 1\nsource: ./deaf\nport: auto\nhealth: {deadline: 1s}\nruntime: {stop_timeout: 300ms}\n' >wrongport.yaml
run deploy wrongport.yaml
status 4
has err 'try: See "pawl logs wrongport"; what is slow to start needs a longer health.deadline in the spec.'
run logs wrongport
status 0
out <<'E'
waits
E

run -q apply v1.yaml
status 0
out <<'E'
✓ worker v1 deployed
  Data:     DIR/root/var/lib/pawl-data/worker
E

# A version that did not stay up is held, like one that did not answer.
run apply v2.yaml
status 0
has out 'worker: v2 is held (the program exited with status 3 after DUR); --retry tries it again'
run -q apply v2.yaml --retry
status 1
err <<'E'
pawl: worker: apply v1 → v2 failed: the program exited with status 3 after DUR
    no queue at 127.0.0.1
  put back: v1 is running again; down DUR; nothing left over
  try: pawl logs worker
E
run list
out <<'E'
NAME    VERSION  PORT  ROUTE  STATUS
worker  v1       —     —      running
E
