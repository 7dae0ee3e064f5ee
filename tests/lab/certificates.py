"""Certificates of a lab: an authority that every host trusts, one that none does, and what they sign.

What a scenario may ask of a certificate, all optional:

    dns = ["b.org"]          DNS names; the domain without any of dns, srv, xmpp
    srv = ["b.org"]          SRV names, for _xmpp-server (RFC 4985)
    xmpp = ["b.org"]         XmppAddr (RFC 6120 §13.7.1.4)
    authority = "lab"        or "other", which nobody trusts, or "self"
    days = [-20, -10]        valid from and until, in days from now
    usage = "serverAuth"     extended key usage
    chain = true             the authority's certificate follows the leaf, as DANE-TA takes it
"""

import datetime
import hashlib
import os
import pathlib
import ssl
import subprocess

KEYS = {"dns", "srv", "xmpp", "authority", "days", "usage", "chain"}
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256")


def openssl(*arguments, stdin=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode()}")
    return done.stdout


class Certificate:
    """A PEM certificate and its key, on disk. `chain` is what a server presents: the leaf, and what follows it."""

    def __init__(self, chain, key):
        self.chain, self.key = pathlib.Path(chain), pathlib.Path(key)

    def der(self):
        text = self.chain.read_text(encoding="ascii")
        end = "-----END CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(text[:text.index(end) + len(end)] + "\n")

    def public_key(self):
        """SubjectPublicKeyInfo, DER."""
        pem = openssl("x509", "-in", self.chain, "-noout", "-pubkey")
        return openssl("pkey", "-pubin", "-outform", "DER", stdin=pem)

    def association(self, selector, matching):
        """The data of a TLSA record, hexadecimal (RFC 6698 §2.1)."""
        data = (self.der, self.public_key)[selector]()
        return (data, hashlib.sha256(data).digest(), hashlib.sha512(data).digest())[matching].hex()


class Authorities:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(mode=0o700)
        self.known = {}
        self.serial = 1000

    def authority(self, name):
        if name not in self.known:
            made = Certificate(self.directory / f"{name}.crt", self.directory / f"{name}.key")
            openssl("req", "-x509", *CURVE, "-subj", f"/CN=Comity lab authority {name}", "-days", "30",
                    "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                    "-keyout", made.key, "-out", made.chain)
            self.known[name] = made
        return self.known[name]

    def issue(self, domain, wish, chain, key):
        """Makes a certificate for `domain` as `wish` says (the keys above) at these paths."""
        unknown = set(wish) - KEYS
        if unknown:
            raise ValueError(f"certificate of {domain}: unknown {', '.join(sorted(unknown))}")
        self.serial += 1
        issuer = wish.get("authority", "lab")
        extensions = (f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                      f"extendedKeyUsage={wish.get('usage', 'serverAuth,clientAuth')}\n"
                      f"subjectAltName={','.join(subject_names(domain, wish))}\n")
        old_mask = os.umask(0o077)
        try:
            if "days" in wish:
                self._issue_dated(domain, issuer, extensions, wish["days"], chain, key)
            else:
                # [req] is where -extensions looks; openssl wants a subject even when -subj gives one.
                settings = self.directory / f"{self.serial}.cnf"
                settings.write_text("[req]\ndistinguished_name=name\n[name]\n[leaf]\n" + extensions, encoding="ascii")
                signer = () if issuer == "self" else ("-CA", self.authority(issuer).chain,
                                                      "-CAkey", self.authority(issuer).key)
                openssl("req", "-x509", "-config", settings, "-extensions", "leaf", *CURVE, *signer, "-subj",
                        f"/CN=host of {domain}"[:60], "-set_serial", str(self.serial), "-days", "10", "-keyout", key,
                        "-out", chain)
        finally:
            os.umask(old_mask)
        if wish.get("chain") and issuer != "self":
            with open(chain, "a", encoding="ascii") as file:
                file.write(self.authority(issuer).chain.read_text(encoding="ascii"))
        return Certificate(chain, key)

    def _issue_dated(self, domain, issuer, extensions, days, chain, key):
        """By `openssl ca`, which alone takes both ends of the validity."""
        place = self.directory / f"{self.serial}"
        place.mkdir()
        (place / "index").write_text("", encoding="ascii")
        settings = place / "cnf"
        settings.write_text(
            f"[ca]\ndefault_ca=lab\n[lab]\ndatabase={place}/index\nnew_certs_dir={place}\nrand_serial=yes\n"
            f"default_md=sha256\npolicy=any\nemail_in_dn=no\n[any]\ncommonName=supplied\n[leaf]\n{extensions}",
            encoding="ascii")
        openssl("req", "-new", *CURVE, "-subj", f"/CN=host of {domain}"[:60], "-keyout", key, "-out", place / "csr")
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = ((now + datetime.timedelta(days=each)).strftime("%Y%m%d%H%M%SZ") for each in days)
        signer = ("-selfsign", "-keyfile", key) if issuer == "self" else (
            "-cert", self.authority(issuer).chain, "-keyfile", self.authority(issuer).key)
        openssl("ca", "-batch", "-notext", "-config", settings, "-extensions", "leaf", *signer, "-startdate", start,
                "-enddate", end, "-in", place / "csr", "-out", chain)


def subject_names(domain, wish):
    if not {"dns", "srv", "xmpp"} & set(wish):
        return [f"DNS:{domain}"]
    return ([f"DNS:{each}" for each in wish.get("dns", ())]
            + [f"otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.{each}" for each in wish.get("srv", ())]
            + [f"otherName:1.3.6.1.5.5.7.8.5;UTF8:{each}" for each in wish.get("xmpp", ())])
