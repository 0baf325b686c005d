#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A service that runs under a unit somebody wrote by hand becomes pawl's in one transaction: it runs as it did, or the old unit runs again.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"

port=3100
# shellcheck disable=SC2119
is_answer() { [ "$(answer)" = "$1" ] || fail "it answers \"$(answer)\", not \"$1\""; }

machine_boot
machine_put "$BUILD/examples/web-v1" /usr/local/bin/shop
machine_put "$BUILD/examples/web-v2" /root/shop-v2
machine_exec chmod 755 /usr/local/bin/shop /root/shop-v2
machine_exec useradd --system --user-group shopkeeper
machine_exec sh -c 'cat >/etc/systemd/system/shop.service' <<'END'
[Unit]
Description=The shop
After=network.target
[Service]
User=shopkeeper
ExecStart=/usr/local/bin/shop --motto "a b" $NOTHING
Environment=PORT=3100 "GREETING=good day"
WorkingDirectory=/var/tmp
LimitNOFILE=12345
Nice=3
Restart=always
RestartSec=300ms
[Install]
WantedBy=multi-user.target
END
machine_exec systemctl enable -q --now shop.service
expect 0 pawl init
wait_for 5 answer || fail "the shop does not open"

# ---- Looking changes nothing.
machine_snapshot before
expect 0 pawl adopt shop --dry-run
says 'shop: adopt'
says 'stop shop'
says 'remove etc/systemd/system/shop.service'
machine_is_as before
expect 1 pawl adopt nobody
says 'there is no unit "nobody.service"'
says 'systemctl list-units'
expect 0 pawl doctor
says 'pawl-recover.service is not installed'
expect 10 pawl adopt dbus
says 'its file is not in /etc/systemd/system'
machine_is_as before

# ---- What would be lost is in the way, and what to do about it is said.
machine_exec sh -c 'mkdir /etc/systemd/system/shop.service.d; printf "[Service]\nNice=4\n" >/etc/systemd/system/shop.service.d/nice.conf; systemctl daemon-reload'
expect 10 pawl adopt shop
told <<'END'
pawl: "shop.service" cannot be adopted: it has drop-ins, which would be lost
  try: Write them into its file ("systemctl cat" shows them), remove them, restart it, then adopt it.
END
machine_exec sh -c 'rm -r /etc/systemd/system/shop.service.d; systemctl daemon-reload'
machine_exec sh -c 'cp /etc/systemd/system/shop.service /root/shop.unit; sed -i "/^ExecStart=/a ExecStartPre=/bin/true" /etc/systemd/system/shop.service; systemctl daemon-reload'
expect 10 pawl adopt shop
told <<'END'
pawl: "shop.service" cannot be adopted: it has ExecStartPre=
  try: Move what it does into the program, or into a unit of its own that runs before or behind it; then restart it and adopt it.
END
machine_exec sh -c 'cp /root/shop.unit /etc/systemd/system/shop.service; rm /root/shop.unit; systemctl daemon-reload'
machine_is_as before

# ---- One that does not answer under pawl's unit is put back: its file, its enablement, and it runs.
machine_exec sh -c 'printf "#!/bin/sh\nexec sleep 1000\n" >/usr/local/bin/deaf; chmod 755 /usr/local/bin/deaf
        printf "[Service]\nExecStart=/usr/local/bin/deaf\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/deaf.service'
machine_exec systemctl enable -q --now deaf.service
machine_snapshot before
main=$(machine_exec systemctl show -P MainPID deaf.service)
expect 4 pawl adopt deaf -p 3999
says 'put back'
machine_is_as before
[ "$(machine_exec systemctl show -P MainPID deaf.service)" != "$main" ] || fail "it was not stopped at all"

# ---- Adopted: the same program, user, arguments, environment and settings.
expect 0 pawl adopt shop.service -v v1
says '✓ shop v1 adopted'
is_answer 'hello from v1'
expect 1 machine_exec test -e /etc/systemd/system/shop.service
expect 1 machine_exec test -e /etc/systemd/system/multi-user.target.wants/shop.service
machine_exec grep -q 'ExecStart=/usr/local/bin/shop' /etc/pawl/shop/adopted.unit || fail "the old text is lost"
main=$(machine_exec systemctl show -P MainPID pawl-shop.service)
[ "$(machine_exec ps -o user= -p "$main" | cut -c1-7)" = shopkee ] || fail "it runs as somebody else"
[ "$(machine_exec ps -o ni= -p "$main" | tr -d ' ')" = 3 ] || fail "it lost a setting"
machine_exec grep -q 'Max open files *12345' "/proc/$main/limits" || fail "it lost a limit"
machine_exec grep -zqx 'GREETING=good day' "/proc/$main/environ" || fail "it lost a variable"
machine_exec sh -c "tr '\\0' '\\n' <\"/proc/$main/cmdline\"" | grep -qx 'a b' || fail "it lost an argument"
[ "$(machine_exec readlink "/proc/$main/cwd")" = /var/tmp ] || fail "it runs elsewhere"
expect 0 pawl check shop
expect 0 pawl upgrade shop --source /root/shop-v2 -v v2
is_answer 'hello from v2'
expect 2 pawl adopt shop
machine_cut
machine_boot
wait_for 5 answer || fail "it is not started by the next boot"
is_answer 'hello from v2'

# ---- What pawl wrote for it goes with it; what an operator put beside that stays.
machine_exec test -e /etc/systemd/system/pawl-shop.service.d/adopted.conf || fail "there is no drop-in to take away"
machine_exec sh -c 'printf "[Service]\nNice=4\n" >/etc/systemd/system/pawl-shop.service.d/mine.conf'
expect 0 pawl remove shop --purge --yes
[ "$(machine_exec ls /etc/systemd/system/pawl-shop.service.d)" = mine.conf ] || fail "the wrong drop-ins are left"
say "adopted, or left as it was"
