"""One request at a time, for tests that say exactly who asks for what."""
import dataclasses
import json

from harness import patient_http
from pricing_oracle import Card

from .load import MODEL


@dataclasses.dataclass(frozen=True)
class Reply:
    status: int
    hold: str      # x-tollgate-request-id
    held: int      # millicredits
    charge: int    # what the reported usage costs; None without one
    text: str


def ask(cluster, instance, user, tokens, directives="", timeout=30):
    """A chat completion whose reply uses up its cap of so many tokens.

    Asked again, as a client would, when Redis did not answer within its 100 ms: on a busy machine that is no finding.
    """
    content = f"Hello [[mock tokens={tokens} {directives}]]"
    body = {"model": MODEL, "max_tokens": tokens, "messages": [{"role": "user", "content": content}]}
    headers = {"Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": user}
    url = f"http://127.0.0.1:{cluster.instances[instance].port}/v1/chat/completions"
    status, fields, raw = patient_http("POST", url, body, headers, timeout)
    reply = json.loads(raw) if status == 200 else {}
    usage, held = reply.get("usage"), fields.get("x-tollgate-held-millicredits")
    charge = usage and Card.newest_openai().charge(MODEL, usage, reply.get("service_tier"))
    return Reply(status, fields.get("x-tollgate-request-id"), held and int(held), charge, raw[:500].decode())


def balance(cluster, user):
    return cluster.postgres.query("SELECT balance_millicredits FROM credit_balance WHERE user_id = %s", user)[0][0]


def charged(cluster, hold):
    """What the ledger charges for a hold; None: it has no settlement."""
    rows = cluster.postgres.query("SELECT charged_millicredits FROM usage_effective WHERE hold_id = %s::uuid", hold)
    assert len(rows) < 2
    return rows[0][0] if rows else None


def milliseconds(uuid):
    """When a UUIDv7 says that it was made, since 1970."""
    return int(uuid.replace("-", "")[:12], 16)
