"""People of the operator's, as tests make and use them."""

import base64
import contextlib
import hashlib
import hmac
import json
import struct
import time
import urllib.error
import urllib.request


# A code of the step before arrives before the next boundary, where it would be two steps old and refused.
ARRIVAL_SECONDS = 6


def totp(secret, offset=0):
    """RFC 6238, as an authenticator app has it."""
    left = 30 - time.time() % 30
    if offset < 0 and left < ARRIVAL_SECONDS:
        time.sleep(left + 0.05)
    step = int(time.time() // 30) + offset
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">q", step), hashlib.sha1).digest()
    start = digest[19] & 15
    return f"{(struct.unpack('>I', digest[start:start + 4])[0] & 0x7fffffff) % 1_000_000:06d}"


def call(base, method, path, body=None, headers=None, timeout=60):
    """(status, fields, JSON or text)"""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        base + path, data=data, method=method,
        headers={**({"content-type": "application/json"} if data is not None else {}), **(headers or {})})
    try:
        reply = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        reply = error
    text = reply.read()
    try:
        parsed = json.loads(text) if text else None
    except ValueError:
        parsed = text.decode()
    return reply.status, reply.headers, parsed


@contextlib.contextmanager
def nobody_but(sql, *names):
    """Whoever other tests let in cannot sign in meanwhile, but for these."""
    others = [name for (name,) in sql(
        "UPDATE admin_user SET state = 'disabled' WHERE state = 'active' AND name <> ALL(%s) RETURNING name", list(names))]
    try:
        yield
    finally:
        sql("UPDATE admin_user SET state = 'active' WHERE name = ANY(%s)", others)


class Person:
    """Invited by the command, enrolled by the API; `offset` keeps count of the codes that were used."""

    password = "correct horse battery staple"

    def __init__(self, base, cli, name, role):
        self.base, self.name, self.role = base, name, role
        self.email = f"{name}@example.com"
        token = cli("staff", "create", "--email", self.email, "--name", name, "--role", role).stdout.strip()
        self.token = token.split("#")[-1]
        status, _, begun = call(base, "POST", "/api/admin/enrolment/begin", {"token": self.token})
        assert status == 200, begun
        self.secret = begun["totpSecret"]
        self.enrolment_code = totp(self.secret, offset=-1)
        status, _, done = call(
            base, "POST", "/api/admin/enrolment",
            {"token": self.token, "password": self.password, "code": self.enrolment_code})
        assert status == 200, done
        self.recovery = done["recoveryCodes"]
        self.cookie = self.csrf = None

    def try_sign_in(self, **changes):
        body = {"email": self.email, "password": self.password, "code": totp(self.secret), **changes}
        return call(self.base, "POST", "/api/admin/session", body)

    def sign_in(self, **changes):
        status, fields, body = self.try_sign_in(**changes)
        assert status == 200, (status, body)
        self.cookie = fields["set-cookie"].split(";")[0]
        self.csrf = body["csrfToken"]
        return self

    @property
    def headers(self):
        return {"cookie": self.cookie, "x-csrf-token": self.csrf}
