#!/bin/bash
# signed_zones.sh DIRECTORY PORT: makes zones under test. in every state that DNSSEC knows, and nsd.conf to serve them on
# 127.0.0.1. trusted.ds holds the trust anchor.
set -euo pipefail
cd "$1"
port=$2
now=$(date +%s)

at() { date -u -d "@$((now + $1))" +%Y%m%d%H%M%S; }

# zone NAME: begins NAME.zone; its records come on standard input.
zone() {
  {
    printf '$ORIGIN %s.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 30\n@ NS ns\nns A 127.0.0.1\n' "$1"
    cat
  } > "$1.zone"
}

# sign NAME BEGIN END [OPTION]: makes NAME.signed, with signatures from BEGIN to END, seconds from now. The key is kept,
# so that the parent can be told of it first.
sign() {
  ldns-signzone -i "$(at "$2")" -e "$(at "$3")" ${4:+"$4"} -f "$1.signed" "$1.zone" "$(cat "$1.key-name")"
}

for name in test sec.test bogus.test expired.test unproven.test; do
  ldns-keygen -a ECDSAP256SHA256 -k "$name" > "$name.key-name"
done

service='
_xmpp-server._tcp SRV 10 0 5269 xmpp
_xmpps-server._tcp SRV 5 0 5270 alias
xmpp A 192.0.2.1
xmpp AAAA 2001:db8::1
alias CNAME xmpp
_5269._tcp.xmpp TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
_5270._tcp.xmpp TLSA 2 0 1 1111111111111111111111111111111111111111111111111111111111111111'

zone sec.test <<< "$service
@ A 192.0.2.7
toplain CNAME xmpp.plain.test.
tobogus CNAME xmpp.bogus.test.
loop1 CNAME loop2
loop2 CNAME loop1
chain0 A 192.0.2.1
$(for i in {1..20}; do echo "chain$i CNAME chain$((i - 1))"; done)
$(for i in {1..200}; do echo "_big._tcp SRV $i 1 5269 a-target-with-a-long-name-number-$i"; done)
$(for i in {1..64}; do echo "many A 192.0.2.$i"; done)
brief 0 A 192.0.2.1
lasting 604800 A 192.0.2.1
dots._tcp SRV 1 1 5269 a\\.b
dots._tcp SRV 2 1 5269 good
onlydots._tcp SRV 1 1 5269 a\\.b
root._tcp SRV 0 0 0 .
UPPER._tcp SRV 1 1 5269 TARGET.Sec.Test."
zone plain.test <<< "$service
tosec CNAME xmpp.sec.test."
zone bogus.test <<< "$service"
zone expired.test <<< "$service"
zone unproven.test <<< "$service"
zone test <<< "$(for child in sec plain bogus expired unproven; do echo "$child NS ns.$child
ns.$child A 127.0.0.1"; done)
$(cat "$(cat sec.test.key-name).ds" "$(cat bogus.test.key-name).ds" "$(cat expired.test.key-name).ds" \
  "$(cat unproven.test.key-name).ds")
moved DNAME sec
www A 192.0.2.80"

sign test -3600 86400
sign sec.test -3600 86400 -n  # NSEC3; the others have NSEC
sign bogus.test -3600 86400
sign expired.test -172800 -86400
cp plain.test.zone plain.test.signed
cp unproven.test.zone unproven.test.signed  # the parent says that it is signed
# What somebody has changed under way.
sed -i -E 's/^(xmpp\.bogus\.test\..*IN[[:space:]]A[[:space:]]).*/\1203.0.113.6/
  s/([[:space:]]SRV[[:space:]]+10 0 )5269/\16666/' bogus.test.signed
cp "$(cat test.key-name).ds" trusted.ds

{
  printf 'server:\n ip-address: 127.0.0.1@%s\n server-count: 1\n username: ""\n zonesdir: "%s"\n' "$port" "$PWD"
  printf ' pidfile: "%s/nsd.pid"\n database: ""\n zonelistfile: "%s/zone.list"\n' "$PWD" "$PWD"
  printf ' xfrdfile: "%s/xfrd.state"\n logfile: "%s/nsd.log"\nremote-control:\n control-enable: no\n' "$PWD" "$PWD"
  for name in test sec.test plain.test bogus.test expired.test unproven.test; do
    printf 'zone:\n name: %s\n zonefile: %s.signed\n' "$name" "$name"
  done
} > nsd.conf
