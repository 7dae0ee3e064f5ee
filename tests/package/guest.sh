#!/bin/bash
# The life of the package, under the systemd of a container of its own (package_test.py). The commands are README.md's,
# word for word where it has them.
set -euo pipefail
trap 'echo "FAILED in line $LINENO"; journalctl --no-pager --unit comityd | tail -n 30' ERR

say() { echo "-- $*"; }
is() { [ "$1" = "$2" ] || { echo "it is '$1', not '$2'"; return 1; }; }
of() { systemctl show comityd --property "$1" --value; }
fails() { if "$@" > /proof/failed 2>&1; then echo "should fail: $*"; return 1; fi; }

# until_true COMMAND...: for at most 60 s.
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
mkdir /proof/build
mv /proof/package /proof/build
cd /proof

say "installed, it waits for a configuration"
apt-get install ./build/package/comity_*.deb
is "$(stat -c '%a %U %G' /etc/comity)" "750 root comity"
is "$(stat -c '%a %U %G' /var/lib/comity)" "700 comity comity"
is "$(getent passwd comity | cut -d: -f6,7)" "/var/lib/comity:/usr/sbin/nologin"
is "$(systemctl is-enabled comityd)" enabled
is "$(of ActiveState)" inactive
is "$(of ConditionResult)" no
grep -q dns_bogus < <(zcat "$(man --where comity-causes)")
comityctl cause tls_alert > /dev/null

say "set up by one command, it serves"
{
  comityctl setup example.org --unattended
} > /proof/exchange/setup 2>&1
cat /proof/exchange/setup
is "$(of ActiveState)" active
is "$(find /var/lib/comity ! -user comity)" ""
is "$(stat -c %a /var/lib/comity/comity.db)" 600
is "$(stat -c '%a %U' /etc/comity/certs/example.org.key)" "600 comity"
comityctl dns records example.org
comityctl status
comityctl connections --s2s
comityctl user add bob@example.org --generate
is "$(comityctl user list)" "$(printf '%s\n' admin@example.org bob@example.org)"
comityctl user list
is "$(curl --silent --show-error --noproxy '*' http://127.0.0.1:9568/readyz)" ready

say "it is confined, and may open a low port all the same"
cat >> /etc/comity/comity.toml << TOML
[[listen]]
address = "[::]:443"
protocol = "auto"
tls = "direct"
[dns]
servers = ["127.0.0.1@5353"]
[limits]
handshake_timeout = "20s"
TOML
# As it is but for the patience of the watchdog.
mkdir /run/systemd/system/comityd.service.d
printf '[Service]\nWatchdogSec=3\n' > /run/systemd/system/comityd.service.d/proof.conf
systemctl daemon-reload
systemctl restart comityd
pid=$(of MainPID)
is "$(ps -o user= -p "$pid")" comity
status() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/status"; }
# What port 443 took is given up since, by every thread; and what programs could have by whoever has no such program.
is "$(awk '/^Cap(Inh|Prm|Eff|Amb):/ { print $2 }' "/proc/$pid"/task/*/status | sort -u)" 0000000000000000
is "$(status CapBnd)" 0000000000000400
is "$(awk '/^(NoNewPrivs|Seccomp):/ { print $1 $2 }' "/proc/$pid"/task/*/status | sort -u | tr '\n' ' ')" \
  "NoNewPrivs:1 Seccomp:2 "
# As many descriptors as the unit says, or as this container may give.
is "$(of LimitNOFILE)" 1048576
is "$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")" \
  "$(awk '/^Max open files/ { print ($5 < 1048576) ? $5 : 1048576 }' /proc/1/limits)"
grep -q '^Max core file size  *0  *0' "/proc/$pid/limits"
answers() { openssl s_client -connect "127.0.0.1:$1" "${@:2}" -verify_return_error -CAfile /etc/comity/ca.crt \
  -verify_hostname example.org -servername example.org < /dev/null > /proof/answer 2>&1 || { cat /proof/answer; return 1; }; }
answers 5222 -starttls xmpp -xmpphost example.org
answers 5223 -alpn xmpp-client
answers 5269 -starttls xmpp-server -xmpphost example.org
answers 5270 -alpn xmpp-server
answers 443 -alpn xmpp-client
grep -q 'ALPN protocol: xmpp-client' /proof/answer
# It resolves names within its sandbox: nobody answers there, and that is what it finds.
fails timeout 30 comityctl s2s explain other.example
grep -Eq 'dns_(servfail|timeout)' /proof/failed
# The kernel has refused it nothing that it asked for.
fails grep -Ei 'operation not permitted|permission denied|SECCOMP' \
  <(journalctl --no-pager --unit comityd | grep -Ev 'the resolver process is ready: |server.hardened')
logged() { journalctl --no-pager --unit comityd --grep "$1" > /dev/null; }
logged 'the resolver process is ready: .*seccomp'
logged 'server.hardened .*no capabilities, seccomp'

say "a reload takes what is right, and refuses what is wrong aloud"
sed -i 's/^handshake_timeout.*/handshake_timeout = "25s"/' /etc/comity/comity.toml
systemctl reload comityd
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

say "backed up while it runs, it goes back to that"
tar --create --file /var/backups/comity-etc.tar /etc/comity
sqlite3 /var/lib/comity/comity.db ".backup /var/backups/comity.db"
comityctl user delete bob@example.org
systemctl stop comityd
is "$(of Result)" success
install -m 600 -o comity -g comity /var/backups/comity.db /var/lib/comity/comity.db
rm -f /var/lib/comity/comity.db-wal /var/lib/comity/comity.db-shm
systemctl start comityd
is "$(comityctl user list)" "$(printf '%s\n' admin@example.org bob@example.org)"
tar --compare --file /var/backups/comity-etc.tar --directory /
rm /var/backups/comity*

say "an upgrade starts the new one"
pid=$(of MainPID)
dpkg --install build/package/comity_*.deb
is "$(of ActiveState)" active
[ "$(of MainPID)" != "$pid" ]

say "with a wrong configuration it stays down, and says why"
systemctl stop comityd
echo nonsense >> /etc/comity/comity.toml
fails systemctl start comityd
is "$(of ActiveState) $(of ExecMainStatus) $(of NRestarts)" "failed 78 0"
{
  journalctl --unit comityd
} > /proof/journal
grep -q 'comity.toml:[0-9]*:[0-9]*: ' /proof/journal

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
