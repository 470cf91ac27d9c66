"""A session of the credits page, as a browser has it, without a browser."""
import re
import urllib.error
import urllib.parse
import urllib.request

from portal_tools import portal_link
from stripe_tools import NoRedirects


def submit(url, fields, headers=None):
    """Posts a form and follows nothing: (status, headers, text)."""
    data = urllib.parse.urlencode(fields).encode() if fields is not None else None
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.build_opener(NoRedirects).open(request, timeout=30) as reply:
            return reply.status, reply.headers, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


class PortalSession:
    """Opened by a link of a service key's."""

    def __init__(self, root, service_key, user):
        self.root, self.link = root, portal_link(root, service_key, user)
        self.link_token = urllib.parse.parse_qs(urllib.parse.urlparse(self.link).query)["token"][0]
        status, headers, text = submit(root + "/billing/open", {"token": self.link_token})
        assert status == 303 and "tollgate_portal=" in headers["set-cookie"], (status, text)
        self.cookie = headers["set-cookie"].split(";")[0]
        status, _, page = submit(root + "/billing?tab=settings", None, {"cookie": self.cookie})
        assert status == 200, page
        self.csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)[1]

    @property
    def headers(self):
        return {"cookie": self.cookie, "x-csrf-token": self.csrf}
