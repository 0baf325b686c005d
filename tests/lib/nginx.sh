# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: Apache-2.0
# A real nginx for tests/system/*.sh, whose whole world is the test's root. Source it behind system.sh:
#
#   . "$SRC/tests/lib/system.sh"
#   . "$SRC/tests/lib/nginx.sh"
#   nginx_make sites|conf.d      its configuration below $root/etc/nginx, in one of the two layouts; a server block "plain.test" is the operator's
#   nginx_start, nginx_stop
#   nginx_dump                   all it would read, as `nginx -T` prints it: what "as before" is measured by
#   visit HOST PATH              what it answers
#   visit_status HOST PATH       and with which status
#
# $nginx_port is where it listens. `pawl` knows of it from here on. Its pid file and log lie where pawl looks for them by default.
need nginx curl

nginx_port=$((port + 12))
at_exit="nginx_stop ${at_exit:-}"

pawl() {
        "${nginx_pawl:-$PAWL}" --root "$root" --set "ports.range=[$port,$port_end]" --set "nginx.listen=127.0.0.1:$nginx_port" \
                --set "nginx.listen_tls=127.0.0.1:$((nginx_port + 1))" "$@"
}

nginx_run() { nginx -p "$root/" -c "$root/etc/nginx/nginx.conf" -e stderr "$@"; }

nginx_make() {
        mkdir -p "$root/etc/nginx/conf.d" "$root/run" "$root/var/log/nginx" "$root/tmp"
        [ "$1" = conf.d ] || mkdir -p "$root/etc/nginx/sites-available" "$root/etc/nginx/sites-enabled"
        user=
        [ "$(id -u)" -ne 0 ] || user="user $(id -un);"
        {
                echo "$user pid $root/run/nginx.pid; worker_processes 2; error_log $root/var/log/nginx/error.log notice;"
                echo "events { worker_connections 64; }"
                echo "http {"
                echo "  access_log off; default_type text/plain; server_names_hash_bucket_size 128;"
                for kind in client_body proxy fastcgi uwsgi scgi; do echo "  ${kind}_temp_path $root/tmp/$kind;"; done
                echo "  include $root/etc/nginx/conf.d/*.conf;"
                [ "$1" = conf.d ] || echo "  include $root/etc/nginx/sites-enabled/*;"
                echo "}"
        } >"$root/etc/nginx/nginx.conf"
        nginx_plain ""
}

# The operator's server block, with a line of theirs in it.
nginx_plain() {
        {
                echo "server { listen 127.0.0.1:$nginx_port default_server; server_name plain.test; $1"
                echo '  location / { return 404 "nothing here"; } }'
        } >"$root/etc/nginx/conf.d/plain.conf"
}

nginx_start() {
        nginx_run >"$dir/nginx.out" 2>&1 || fail "nginx does not start: $(cat "$dir/nginx.out")"
        wait_for 5 is_listening "$nginx_port" || fail "nginx does not listen"
}

nginx_stop() {
        [ -s "$root/run/nginx.pid" ] || return 0
        nginx_pid=$(cat "$root/run/nginx.pid")
        kill -TERM "$nginx_pid" 2>/dev/null || true
        wait_for 5 nginx_is_gone || true
        rm -f "$root/run/nginx.pid"
}
nginx_is_gone() { [ ! -e "/proc/$nginx_pid" ]; }
nginx_reload() { kill -HUP "$(cat "$root/run/nginx.pid")"; }

nginx_dump() { nginx_run -T 2>/dev/null; }
visit() { curl -s --max-time 5 -H "Host: $1" "http://127.0.0.1:$nginx_port$2"; }
visit_status() { curl -s --max-time 5 -o "$dir/page" -w '%{http_code}' -H "Host: $1" "http://127.0.0.1:$nginx_port$2"; }
