#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The rules of STYLE.md that a compiler cannot check, by reading the sources: who may include whom, which file alone may
# include a library, who may call a manager's apply and revert, where the disk is changed, who may print.
#
#   tests/lint/layers.sh [source folder]
#
# Prints "file:line: rule: …" for each finding and ends with 1. What is allowed in spite of a rule stands, with its reason,
# in tests/lint/exceptions; an exception nobody needs any more is a finding too.
set -u

root=${1:-${SRC:-$(dirname "$0")/../..}}
cd "$root" || exit 1

files=$(find core journal managers cli tests fuzz bench examples \
        \( -name build -o -name data -o -name corpus \) -prune -o -type f \( -name '*.c' -o -name '*.h' -o -name '*.def' \) -print \
        2>/dev/null | LC_ALL=C sort)
if [ -z "$files" ]; then
        echo "lint.layers: there is no source under $PWD" >&2
        exit 1
fi
exceptions=tests/lint/exceptions
[ -f "$exceptions" ] || exceptions=/dev/null

# shellcheck disable=SC2086 # one word per file: no name in this tree has a space
LC_ALL=C awk -v exceptions="$exceptions" '
function say(rule, text) {
        printf "%s:%d: %s: %s\n", FILENAME, FNR, rule, text
        n_findings++
}

function layer_of(path) {
        if (path ~ /^core\/base\//) return "base"
        if (path ~ /^(core|journal|managers|cli)\//) return substr(path, 1, index(path, "/") - 1)
        return ""
}

# May a file of layer `from` include `path`?
function may_include(from, path,   to) {
        to = layer_of(path)
        if (to == "") return 0
        if (to == from || to == "base") return 1
        if (from == "core") return path == "journal/journal.h" || path == "managers/manager.h"
        if (from == "cli") return path == "core/engine.h"
        return 0
}

function check_own(path) {
        if (path !~ /\//)
                say("include", "\"" path "\" is not written from the root of the tree")
        else if (layer != "" && !may_include(layer, path))
                say("include", layer " may not include \"" path "\"")
}

function check_library(path,   i) {
        if (path ~ /^(core|journal|managers|cli)\//) {
                say("include", "<" path "> is ours: write it in quotes")
                return
        }
        for (i = 1; i <= n_homes; i++) {
                if (path !~ home_header[i])
                        continue
                if (FILENAME !~ home_file[i])
                        say("library", "<" path "> belongs to " home_name[i])
                return
        }
        for (i = 1; i <= n_pairs; i++)
                if (path ~ pair_header[i] && !((i, FILENAME) in pair_seen)) {
                        pair_seen[i, FILENAME] = 1
                        if (++pair_count[i] > 2)
                                say("library", "<" path "> is included by more than one pair of files")
                }
}

function home(header, file, name) {
        n_homes++
        home_header[n_homes] = header
        home_file[n_homes] = file
        home_name[n_homes] = name
}

# `token` is found here; is it excepted?
function excepted(token) {
        if (!((FILENAME, token) in exception))
                return 0
        exception_used[FILENAME, token] = 1
        return 1
}

# Says something for each call of one of `names` (an alternation) in `text`: not x_name(), not p->name().
function check_calls(text, names, rule, why,   token) {
        while (match(text, "(^|[^A-Za-z0-9_.>])(" names ")[ \t]*[(]")) {
                token = substr(text, RSTART, RLENGTH)
                gsub(/[^A-Za-z0-9_]/, "", token)
                if (!excepted(token))
                        say(rule, token "() " why)
                text = substr(text, RSTART + RLENGTH)
        }
}

function check_words(text, words, rule, why,   token) {
        while (match(text, "(^|[^A-Za-z0-9_])(" words ")([^A-Za-z0-9_]|$)")) {
                token = substr(text, RSTART, RLENGTH)
                gsub(/[^A-Za-z0-9_]/, "", token)
                if (!excepted(token))
                        say(rule, token " " why)
                text = substr(text, RSTART + RLENGTH - 1)
        }
}

# The line without comments; `code` also without what stands in quotes. `in_comment` lives on from line to line.
function strip(line,   i, c, d, n, quote) {
        code = ""
        text = ""
        quote = ""
        if (!in_comment && line !~ /["\x27\/]/) {
                code = text = line
                return
        }
        n = length(line)
        for (i = 1; i <= n; i++) {
                c = substr(line, i, 1)
                d = substr(line, i, 2)
                if (in_comment) {
                        if (d == "*/") { in_comment = 0; i++ }
                } else if (quote != "") {
                        text = text c
                        if (c == "\\") { i++; text = text substr(line, i, 1) }
                        else if (c == quote) { quote = ""; code = code c }
                } else if (d == "/*") {
                        in_comment = 1
                        code = code " "
                        text = text " "
                        i++
                } else if (d == "//") {
                        break
                } else {
                        if (c == "\"" || c == "\x27") quote = c
                        code = code c
                        text = text c
                }
        }
}

BEGIN {
        home("^lmdb[.]h$", "^journal/store[.]c$", "journal/store.c")
        home("^curl/", "^managers/http_(url|wire)[.]c$", "managers/http_url.c and http_wire.c")
        home("^sodium([.]h$|/)", "^core/base/(digest|seal|signature)[.]c$", "core/base/digest.c, seal.c and signature.c")
        home("^cbor([.]h$|/)", "^core/base/cbor(_decode)?[.]c$", "core/base/cbor.c and cbor_decode.c")
        home("^jansson[.]h$", "^core/base/json[.]c$", "core/base/json.c")
        home("^yaml[.]h$", "^core/(spec_)?yaml[.]c$", "core/yaml.c")
        home("^archive(_entry)?[.]h$", "^managers/archive[.]c$", "managers/archive.c")
        home("^libsmartcols([.]h$|/)", "^cli/table[.]c$", "cli/table.c")
        home("^systemd/sd-(bus|bus-protocol|bus-vtable)[.]h$", "^managers/bus(_unit)?[.]c$", "managers/bus.c and bus_unit.c")
        # No fixed home: wherever it is, it is there alone (or in one pair).
        n_pairs = split("^zstd[.]h$ ^openssl/ ^systemd/sd-journal[.]h$ ^libpq-fe[.]h$ ^(mysql|mariadb)/ ^microhttpd[.]h$", pair_header, " ")

        disk = "rename|renameat|renameat2|unlink|unlinkat|remove|rmdir|mkdir|mkdirat|mknod|mknodat|mkfifo|mkfifoat|symlink" \
               "|symlinkat|link|linkat|truncate|ftruncate|fallocate|posix_fallocate|chmod|fchmod|fchmodat|chown|fchown|lchown" \
               "|fchownat|utime|utimes|utimensat|futimens|setxattr|lsetxattr|fsetxattr|removexattr|lremovexattr|fremovexattr" \
               "|mkstemp|mkostemp|mkstemps|mkdtemp|tmpfile|creat|pwrite|pwritev|copy_file_range|fsync|fdatasync|syncfs|sync" \
               "|acl_set_file|acl_set_fd|archive_write_disk_new|mount|umount|umount2"
        disk_words = "O_CREAT|O_TMPFILE|O_TRUNC|FICLONE|FS_IOC_SETFLAGS" \
               "|SYS_(renameat2?|rename|unlink(at)?|mkdir(at)?|symlink(at)?|link(at)?|fchmodat2?|ftruncate)"
        print_calls = "printf|vprintf|puts|putchar|perror|exit|err|errx|warnx"

        while ((getline row < exceptions) > 0) {
                n_rows++
                if (row ~ /^[ \t]*(#|$)/)
                        continue
                n = split(row, part, /[ \t]+/)
                if (n < 5) {
                        printf "%s:%d: exception: write: file, name, and the reason in a few words\n", exceptions, n_rows
                        n_findings++
                }
                exception[part[1], part[2]] = n_rows
        }
}

FNR == 1 {
        if (previous != "")
                end_of_file()
        previous = FILENAME
        n_files++
        layer = layer_of(FILENAME)
        in_comment = 0
        has_once = 0
        is_header = FILENAME ~ /[.]h$/
        if ($0 !~ /SPDX-License-Identifier: Apache-2.0/)
                say("licence", "the first line is not the SPDX line")
}

function end_of_file() {
        if (is_header && !has_once) {
                printf "%s:1: header: there is no #pragma once\n", previous
                n_findings++
        }
}

{ strip($0) }

text ~ /^[ \t]*#[ \t]*pragma[ \t]+once/ { has_once = 1; next }

text ~ /^[ \t]*#[ \t]*include/ {
        path = text
        if (match(path, /"[^"]*"/))
                check_own(substr(path, RSTART + 1, RLENGTH - 2))
        else if (layer != "" && match(path, /<[^>]*>/))
                check_library(substr(path, RSTART + 1, RLENGTH - 2))
        next
}

{
        if (code ~ /(^|[^A-Za-z0-9_])goto[ \t]+[A-Za-z_*]/)
                say("goto", "ownership by scope (_cleanup_) leaves nothing to jump to")
        check_calls(code, "system|popen", "shell", "starts a shell; children get an argv")
        check_calls(code, "atoi|atol|atoll|atof", "number", "cannot say that what it read is no number")
}

layer == "" { next }

code ~ /(->|[.])[ \t]*(apply|revert)[ \t]*[)]?[ \t]*[(]/ && FILENAME !~ /^core\/(txn|settle)[.]c$/ {
        if (!excepted("apply"))
                say("apply", "only core/txn.c and core/settle.c call apply and revert")
}

FILENAME !~ /^core\/base\/fs(_[a-z]+)?[.]c$/ && FILENAME != "journal/store.c" {
        check_calls(code, disk, "disk", "changes the disk: that is done in core/base/fs.c")
        check_words(code, disk_words, "disk", "changes the disk: that is done in core/base/fs.c")
        if (text ~ /(^|[^A-Za-z0-9_])f(d|re)?open[ \t]*[(].*"[rwa][^"]*"/ && text ~ /,[ \t]*"(w|a|r[^"]*[+])[^"]*"/ && !excepted("fopen"))
                say("disk", "fopen() for writing changes the disk: that is done in core/base/fs.c")
}

layer != "cli" && FILENAME != "core/base/log.c" {
        check_calls(code, print_calls, "print", "is for the command line alone")
        check_words(code, "stdout|stderr", "print", "is for the command line alone")
}

END {
        end_of_file()
        for (key in exception)
                if (!(key in exception_used)) {
                        split(key, part, SUBSEP)
                        printf "%s:%d: exception: %s does not need %s any more\n", exceptions, exception[key], part[1], part[2]
                        n_findings++
                }
        if (n_findings > 0) {
                printf "lint.layers: %d findings in %d files\n", n_findings, n_files
                exit 1
        }
        printf "lint.layers: %d files, nothing found\n", n_files
}
' $files
