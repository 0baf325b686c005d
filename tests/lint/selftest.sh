#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A lint that finds nothing proves nothing: plants one violation of each rule of layers.sh in a small clean tree and checks
# that it is found, under its rule and with its file; and that what looks like one and is none passes.
set -u

here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d "${TMPDIR:-/tmp}/pawl-lint.XXXXXX") || exit 1
trap 'rm -rf "$tree"' EXIT
n_wrong=0
n_cases=0

# put FILE LINE...: a file with its SPDX line; headers get their #pragma once.
put() {
        file=$tree/$1
        shift
        mkdir -p "${file%/*}"
        printf '/* SPDX-License-Identifier: Apache-2.0 */\n' >"$file"
        case $file in *.h) printf '#pragma once\n' >>"$file" ;; esac
        [ $# -eq 0 ] || printf '%s\n' "$@" >>"$file"
}

clean() {
        rm -rf "$tree"
        put core/base/error.h
        put core/base/fs.c '#include "core/base/error.h"' 'int f(void) { return rename("a", "b") + open("a", O_CREAT, 0600); }'
        put journal/journal.h '#include "core/base/error.h"'
        put journal/store.c '#include <lmdb.h>' '#include "journal/journal.h"' 'int g(int fd) { return fsync(fd); }'
        put managers/manager.h '#include "core/base/error.h"'
        put managers/http_wire.c '#include <curl/curl.h>' '#include "managers/manager.h"'
        put core/engine.h '#include "core/base/error.h"'
        put core/txn.c '#include "core/engine.h"' '#include "journal/journal.h"' '#include "managers/manager.h"' \
                'int t(const Manager *m) { return m->apply(m) + m->revert(m); }'
        put cli/main.c '#include <stdio.h>' '#include "core/engine.h"' 'int main(void) { printf("x"); return 0; }'
        put tests/unit/x.c '#include "core/txn.h"' '#include "journal/store.h"'
}

lint() {
        sh "$here/layers.sh" "$tree" >"$tree.out" 2>&1
        status=$?
        cat "$tree.out"
        rm -f "$tree.out"
        return $status
}

# passes WHAT: the tree as it stands is clean.
passes() {
        n_cases=$((n_cases + 1))
        if ! out=$(lint); then
                printf 'not ok: %s: should pass:\n%s\n' "$1" "$out"
                n_wrong=$((n_wrong + 1))
        fi
}

# finds RULE FILE LINE...: appending the lines to the file is one finding of that rule in that file.
finds() {
        rule=$1
        planted=$2
        shift 2
        n_cases=$((n_cases + 1))
        clean
        [ -f "$tree/$planted" ] || put "$planted"
        printf '%s\n' "$@" >>"$tree/$planted"
        if out=$(lint); then
                printf 'not ok: %s in %s was not found: %s\n' "$rule" "$planted" "$*"
                n_wrong=$((n_wrong + 1))
        elif ! printf '%s\n' "$out" | grep -q "^$planted:[0-9]*: $rule: "; then
                printf 'not ok: %s in %s was found as something else: %s\n%s\n' "$rule" "$planted" "$*" "$out"
                n_wrong=$((n_wrong + 1))
        fi
}

clean
passes "the clean tree"

# Upward.
finds include core/base/fs.c '#include "journal/journal.h"'
finds include core/base/fs.c '#include "core/engine.h"'
finds include core/base/error.h '#include "managers/manager.h"'
finds include journal/store.c '#include "core/engine.h"'
finds include journal/store.c '#include "cli/table.h"'
finds include managers/http.c '#include "core/txn.h"'
finds include core/txn.c '#include "cli/table.h"'
# Sideways.
finds include journal/store.c '#include "managers/manager.h"'
finds include managers/http.c '#include "journal/journal.h"'
# Private, or past the neighbour.
finds include core/txn.c '#include "journal/store.h"'
finds include core/txn.c '#include "journal/records.def"'
finds include core/txn.c '#include "managers/http.h"'
finds include cli/main.c '#include "core/txn.h"'
finds include cli/main.c '#include "journal/journal.h"'
finds include cli/serve/api.c '#include "managers/manager.h"'
# In disguise.
finds include cli/main.c '#  include   "core/txn.h" /* x */'
finds include cli/main.c '#include <core/txn.h>'
finds include core/txn.c '#include "engine.h"'
finds include core/txn.c '#include "../cli/table.h"'

# Libraries at home.
finds library core/txn.c '#include <lmdb.h>'
finds library journal/journal.h '#include <lmdb.h>'
finds library core/base/net.c '#include <curl/curl.h>'
finds library core/secrets.c '#include <sodium.h>'
finds library journal/codec.c '#include <cbor.h>'
finds library cli/render_json.c '#include <jansson.h>'
finds library core/spec.c '#include <yaml.h>'
finds library managers/tree.c '#include <archive_entry.h>'
finds library cli/main.c '#include <libsmartcols/libsmartcols.h>'
finds library managers/unit.c '#include <systemd/sd-bus.h>'
clean
put managers/a.c '#include <openssl/evp.h>'
put managers/b.c '#include <openssl/evp.h>'
passes "a library in one pair of files"
n_cases=$((n_cases + 1))
put managers/c.c '#include <openssl/evp.h>'
if lint >/dev/null; then
        echo 'not ok: a library in three files was not found'
        n_wrong=$((n_wrong + 1))
fi

# What nobody calls.
finds goto core/txn.c 'void j(void) { goto out; out:; }'
finds goto tests/unit/x.c '        goto out;'
finds shell managers/http.c 'int s(void) { return system("true"); }'
finds shell core/txn.c 'FILE *s(void) { return popen ("true", "r"); }'
finds shell tests/unit/x.c 'int s(void) { return system("true"); }'
finds number core/txn.c 'int n(const char *s) { return atoi(s); }'

# apply and revert.
finds apply core/plan.c 'int p(const Manager *m) { return m->apply(m); }'
finds apply managers/http.c 'int p(const Manager *m) { return m->revert(m); }'
finds apply cli/main.c 'int p(Manager m) { return m.apply(&m); }'
finds apply core/plan.c 'int p(const Manager *m) { return (*m->revert)(m); }'

# The disk.
for call in 'rename("a", "b")' 'renameat2(1, "a", 1, "b", 0)' 'unlink("a")' 'unlinkat(1, "a", 0)' 'mkdir("a", 0)' 'rmdir("a")' \
        'symlink("a", "b")' 'linkat(1, "a", 1, "b", 0)' 'ftruncate(1, 0)' 'fchmod(1, 0)' 'chown("a", 0, 0)' 'fsync(1)' \
        'open("a", O_WRONLY | O_CREAT, 0600)' 'fopen("a", "w")' 'fopen(p, "ae")' 'fopen(p, "r+")' 'mkostemp(p, 0)' \
        'syscall(SYS_renameat2, 1)' 'archive_write_disk_new()'; do
        finds disk core/txn.c "int d(void) { return x($call); }"
done
finds disk managers/http.c '        if (unlink(path) < 0)'
finds disk core/base/value.c '        return mkdir(path, 0700);'
finds disk journal/journal.h 'static inline int j(void) { return fsync(1); }'

# Printing.
finds print core/txn.c 'void p(void) { printf("x"); }'
finds print journal/store.c 'void p(void) { fprintf(stderr, "x"); }'
finds print managers/http.c 'void p(void) { exit(1); }'

# Files.
n_cases=$((n_cases + 2))
clean
printf '#pragma once\n' >"$tree/core/bare.h"
lint | grep -q '^core/bare.h:1: licence: ' || { echo 'not ok: a missing SPDX line was not found'; n_wrong=$((n_wrong + 1)); }
clean
printf '/* SPDX-License-Identifier: Apache-2.0 */\n' >"$tree/core/bare.h"
lint | grep -q '^core/bare.h:1: header: ' || { echo 'not ok: a missing #pragma once was not found'; n_wrong=$((n_wrong + 1)); }

# What looks like a violation and is none.
clean
put core/txn2.c '/* rename("a"), goto out; system("x") and #include "cli/x.h" */' '/*' ' * m->apply(m) and' '#include "cli/x.h"' \
        ' * unlink(a) */' '// printf("x")' 'int a(void) { return fs_rename("a") + host->unlink(x) + x.mkdir(y); }' \
        'const char *t = "goto out; system(\"x\") printf(\"stdout\") O_CREAT /* ";' 'int snprintf_it(void) { _exit(1); }' \
        'const Manager x = {.apply = x_apply, .revert = x_revert};' "char c = '\"'; /* rename(a) */" \
        'FILE *f = fopen(p, "re");'
passes "comments, strings, methods and longer names"

# Exceptions.
clean
put core/daemon.c 'int d(void) { return umask(0) + chmod("x", 0); }'
mkdir -p "$tree/tests/lint"
echo 'core/daemon.c chmod the socket must be ours alone' >"$tree/tests/lint/exceptions"
passes "an exception with a reason"
put core/daemon.c
n_cases=$((n_cases + 2))
lint | grep -q 'does not need chmod any more' || { echo 'not ok: a stale exception was not found'; n_wrong=$((n_wrong + 1)); }
put core/daemon.c 'int d(void) { return chmod("x", 0); }'
echo 'core/daemon.c chmod' >"$tree/tests/lint/exceptions"
lint | grep -q ': exception: write' || { echo 'not ok: an exception without a reason passed'; n_wrong=$((n_wrong + 1)); }

# An empty tree is not a clean one.
n_cases=$((n_cases + 1))
rm -rf "$tree"
mkdir "$tree"
if lint >/dev/null; then
        echo 'not ok: a tree without sources passed'
        n_wrong=$((n_wrong + 1))
fi

printf 'lint.selftest: %d cases, %d wrong\n' "$n_cases" "$n_wrong"
[ "$n_wrong" -eq 0 ]
