"""Replies held against the OpenAPI document of a deployment."""
import httpx
from schemathesis.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from schemathesis.core.failures import FailureGroup

# Status and type of a reply, and its shape.
FORM = [status_code_conformance, content_type_conformance]
CONFORMANCE = [*FORM, response_schema_conformance]


def demands(case, reply):
    """Whether the document would notice a reply of this status that has nothing in it."""
    empty = httpx.Response(
        reply.status_code, headers={"content-type": reply.headers["content-type"]}, content=b"{}", request=reply.request)
    empty.elapsed = reply.elapsed
    try:
        case.validate_response(empty, checks=CONFORMANCE)
    except FailureGroup:
        return True
    return False
