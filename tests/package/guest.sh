#!/bin/bash
# The life of the package, under the systemd of a container of its own (package_test.py).
set -euo pipefail
trap 'echo "FAILED in line $LINENO"; journalctl --no-pager --unit comityd | tail -n 30' ERR

say() { echo "-- $*"; }
is() { [ "$1" = "$2" ] || { echo "it is '$1', not '$2'"; return 1; }; }
of() { systemctl show comityd --property "$1" --value; }
fails() { if "$@" > /proof/failed 2>&1; then echo "should fail: $*"; return 1; fi; }

# until COMMAND...: for at most 60 s.
until_true() {
  local end=$((SECONDS + 60))
  until "$@"; do
    [ $SECONDS -lt $end ] || { echo "not in time: $*"; return 1; }
    sleep 0.2
  done
}
systemctl start systemd-journald
ip link set lo up
# Images of containers forbid what installing a service does on a machine.
rm -f /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive

say "installed, it waits for a configuration"
dpkg --install /proof/comity_*.deb
is "$(stat -c '%a %U %G' /etc/comity)" "750 root comity"
is "$(stat -c '%a %U %G' /var/lib/comity)" "700 comity comity"
is "$(getent passwd comity | cut -d: -f6,7)" "/var/lib/comity:/usr/sbin/nologin"
is "$(systemctl is-enabled comityd)" enabled
is "$(of ActiveState)" inactive
is "$(of ConditionResult)" no
grep -q dns_bogus < <(zcat "$(man --where comity-causes)")
comityctl cause tls_alert > /dev/null

say "its first account is made before it runs, by root"
install -d -m 750 -o root -g comity /etc/comity/certs
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=comity.test -days 2 \
  -addext subjectAltName=DNS:comity.test -keyout /etc/comity/certs/comity.test.key \
  -out /etc/comity/certs/comity.test.crt 2> /dev/null
chown comity /etc/comity/certs/*
chmod 600 /etc/comity/certs/*.key
# A port below 1024 with all the others.
cat > /etc/comity/comity.toml << TOML
[[host]]
domain = "comity.test"
certificate = "certs/comity.test.crt"
private_key = "certs/comity.test.key"
[[listen]]
address = "[::]:5222"
[[listen]]
address = "[::]:5269"
protocol = "s2s"
[[listen]]
address = "[::]:443"
protocol = "auto"
tls = "direct"
[dns]
servers = ["127.0.0.1@5353"]
[limits]
handshake_timeout = "20s"
TOML
comityctl user add alice@comity.test --generate > /dev/null
is "$(find /var/lib/comity ! -user comity)" ""
is "$(stat -c %a /var/lib/comity/comity.db)" 600

say "started by its unit, it serves, and is confined"
# As it is but for the patience of the watchdog.
mkdir /run/systemd/system/comityd.service.d
printf '[Service]\nWatchdogSec=3\n' > /run/systemd/system/comityd.service.d/proof.conf
systemctl daemon-reload
systemctl start comityd
is "$(of ActiveState)" active
pid=$(of MainPID)
is "$(ps -o user= -p "$pid")" comity
status() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/status"; }
is "$(status CapEff) $(status CapPrm) $(status CapBnd)" "0000000000000400 0000000000000400 0000000000000400"
is "$(status NoNewPrivs) $(status Seccomp)" "1 2"
# As many descriptors as the unit says, or as this container may give.
is "$(of LimitNOFILE)" 1048576
is "$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")" \
  "$(awk '/^Max open files/ { print ($5 < 1048576) ? $5 : 1048576 }' /proc/1/limits)"
grep -q '^Max core file size  *0  *0' "/proc/$pid/limits"
is "$(curl --silent --show-error --noproxy '*' http://127.0.0.1:9568/readyz)" ready
is "$(comityctl user list)" alice@comity.test
comityctl status > /dev/null
answers() { openssl s_client -connect "127.0.0.1:$1" "${@:2}" -verify_return_error -CAfile /etc/comity/certs/comity.test.crt \
  -verify_hostname comity.test -servername comity.test < /dev/null > /proof/answer 2>&1 || { cat /proof/answer; return 1; }; }
answers 5222 -starttls xmpp -xmpphost comity.test
answers 5269 -starttls xmpp-server -xmpphost comity.test
answers 443 -alpn xmpp-client
grep -q 'ALPN protocol: xmpp-client' /proof/answer
# It resolves names within its sandbox: nobody answers there, and that is what it finds.
if comityctl --help | grep -q '^  s2s '; then
  timeout 30 comityctl s2s explain other.example > /proof/explained 2>&1 || true
  grep -Eq 'dns_(servfail|timeout)' /proof/explained
fi
# The kernel has refused it nothing that it asked for.
fails grep -Ei 'operation not permitted|permission denied|SECCOMP' <(journalctl --no-pager --unit comityd)

say "a reload takes what is right, and refuses what is wrong aloud"
sed -i 's/^handshake_timeout.*/handshake_timeout = "25s"/' /etc/comity/comity.toml
systemctl reload comityd
logged() { journalctl --no-pager --unit comityd --grep "$1" > /dev/null; }
until_true logged config.reload
sed -i 's/^handshake_timeout/handshake_timeuot/' /etc/comity/comity.toml
fails systemctl reload comityd
until_true logged 'comity.toml:[0-9]*:[0-9]*: .*handshake_timeuot'
is "$(of ActiveState) $(of MainPID)" "active $pid"
sed -i 's/^handshake_timeuot/handshake_timeout/' /etc/comity/comity.toml
systemctl reload comityd

say "hung, it is started anew"
kill -STOP "$pid"
began_anew() { [ "$(of NRestarts)" = 1 ] && [ "$(of ActiveState)" = active ]; }
until_true began_anew
[ "$(of MainPID)" != "$pid" ]
is "$(comityctl user list)" alice@comity.test

say "an upgrade starts the new one"
pid=$(of MainPID)
dpkg --install /proof/comity_*.deb
is "$(of ActiveState)" active
[ "$(of MainPID)" != "$pid" ]

say "with a wrong configuration it stays down, and says why"
systemctl stop comityd
is "$(of Result)" success
echo nonsense >> /etc/comity/comity.toml
fails systemctl start comityd
is "$(of ActiveState) $(of ExecMainStatus) $(of NRestarts)" "failed 78 0"

say "removed, it leaves configuration and data"
sed -i '$d' /etc/comity/comity.toml
systemctl reset-failed comityd
systemctl start comityd
dpkg --remove comity
fails pidof comityd
test -s /etc/comity/comity.toml
test -s /var/lib/comity/comity.db
test ! -e /usr/bin/comityd

# What is left then is looked for from outside, among all that has changed here.
say "purged"
dpkg --purge comity
say "all is well"
