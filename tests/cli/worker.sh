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
