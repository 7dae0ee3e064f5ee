#!/bin/bash
# A new user at a machine of the lab, with README.md alone: its commands, in its order (new_user.py).
set -euo pipefail
trap 'echo "FAILED in line $LINENO"; journalctl --no-pager --unit comityd | tail -n 30' ERR
exchange=/proof/exchange

# When each part began, for the one outside. Its last line is where the user is.
part() { echo "$(date +%s.%N) $*" >> $exchange/parts; }

# until_there FILE: until the one outside has put it there.
until_there() {
  local end=$((SECONDS + 120))
  until [ -e "$exchange/$1" ]; do
    [ $SECONDS -lt $end ] || { echo "no $1"; return 1; }
    sleep 0.05
  done
}

# The machine as it was rented: DNS by the lab's resolver and from the lab's root, whose anchor Debian's package would
# have; the authority that all here trust; and certbot has been there.
systemctl start systemd-journald
rm -f /usr/sbin/policy-rc.d /etc/resolv.conf
cp $exchange/resolv.conf /etc/resolv.conf
cp $exchange/anchors /usr/share/dns/root.key
cp $exchange/authority.crt /usr/local/share/ca-certificates/lab.crt
update-ca-certificates > /dev/null 2>&1
install -d -m 700 /etc/letsencrypt/live/example.org
install -m 644 $exchange/fullchain.pem $exchange/privkey.pem /etc/letsencrypt/live/example.org/
chmod 600 /etc/letsencrypt/live/example.org/privkey.pem
export DEBIAN_FRONTEND=noninteractive
mkdir /proof/build
mv /proof/package /proof/build
cd /proof

part "apt-get install"
apt-get install ./build/package/comity_*.deb > $exchange/apt 2>&1 || { cat $exchange/apt; false; }

part "comityctl setup"
{
  comityctl setup example.org --unattended
} > $exchange/setup 2>&1 || { cat $exchange/setup; false; }

# The lab's addresses are private ones, which are never dialled unless told.
printf '[s2s]\nallowed_addresses = ["10.77.0.0/24", "fd77::/64"]\n' >> /etc/comity/comity.toml
systemctl reload comityd

part "publish the records"
comityctl dns records example.org > $exchange/records.making
mv $exchange/records.making $exchange/records

part "comityctl check --wait"
timeout 120 comityctl check example.org --wait > $exchange/check 2>&1 || { cat $exchange/check; false; }

part "federate"
touch $exchange/checked
until_there chatted

part "look"
comityctl connections --s2s | tee $exchange/connections
comityctl s2s explain prosody.org > $exchange/explain || { cat $exchange/explain; false; }
grep -q 'secure' $exchange/explain
part "done"
