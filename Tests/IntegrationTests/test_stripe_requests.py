"""What we send to Stripe, against the typed parameters of Stripe's own Python package, with unknown fields forbidden.

stripe_requests.json holds every request as it goes over the wire; Swift's RecordedRequestTests fails when it is not
what StripeAPI sends.
"""
import json
import pathlib
import re
import types
import typing
from urllib.parse import parse_qsl, urlsplit

import pytest
import stripe
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from stripe import _request_options, params
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

HERE = pathlib.Path(__file__).parent
REQUESTS = json.loads((HERE / "stripe_requests.json").read_text())
OPERATIONS = HERE.parents[1] / "Sources" / "StripeAPI" / "Operations"

# operation -> method, path, the parameters of the package
EXPECTED = {
    "CreateCheckoutSession": ("POST", "/v1/checkout/sessions", params.checkout.SessionCreateParams),
    "RetrieveCheckoutSession": ("GET", "/v1/checkout/sessions/cs_test_1", params.checkout.SessionRetrieveParams),
    "ExpireCheckoutSession": ("POST", "/v1/checkout/sessions/cs_test_1/expire", params.checkout.SessionExpireParams),
    "ListCheckoutSessions": ("GET", "/v1/checkout/sessions", params.checkout.SessionListParams),
    "CreateCustomer": ("POST", "/v1/customers", params.CustomerCreateParams),
    "CreateOffSessionPayment": ("POST", "/v1/payment_intents", params.PaymentIntentCreateParams),
    "ListPaymentMethods": ("GET", "/v1/customers/cus_1/payment_methods", params.CustomerListPaymentMethodsParams),
    "CreateRefund": ("POST", "/v1/refunds", params.RefundCreateParams),
    "ReadPayment.payment_intents": ("GET", "/v1/payment_intents/pi_1", params.PaymentIntentRetrieveParams),
    "ReadPayment.refunds": ("GET", "/v1/refunds", params.RefundListParams),
    "ReadPayment.disputes": ("GET", "/v1/disputes", params.DisputeListParams),
    "RetrieveAccount": ("GET", "/v1/account", params.AccountRetrieveCurrentParams),
    "RetrieveEvent": ("GET", "/v1/events/evt_1", params.EventRetrieveParams),
    "ListEvents": ("GET", "/v1/events", params.EventListParams),
    "ListPaymentIntents": ("GET", "/v1/payment_intents", params.PaymentIntentListParams),
    "ListRefunds": ("GET", "/v1/refunds", params.RefundListParams),
    "ListDisputes": ("GET", "/v1/disputes", params.DisputeListParams),
    "ListCharges": ("GET", "/v1/charges", params.ChargeListParams),
    "ListBalanceTransactions": ("GET", "/v1/balance_transactions", params.BalanceTransactionListParams),
    "ListWebhookEndpoints": ("GET", "/v1/webhook_endpoints", params.WebhookEndpointListParams),
}
# Sent by ReadPayment too, and recorded there.
PARTS = {"RetrievePaymentIntent": "ReadPayment.payment_intents", "ReadPayment": "ReadPayment.refunds"}


def whole_number(text):
    if not isinstance(text, str) or not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError("not a whole number")
    return int(text)


def flag(text):
    if text not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text == "true"


def strict(kind):
    """The same type as the package has it, but as Stripe's server takes it: no field that is unknown, no word that is
    not listed (the package adds `|str` to every list of words), numbers and flags as a form spells them."""
    if kind is int:
        return typing.Annotated[int, BeforeValidator(whole_number)]
    if kind is bool:
        return typing.Annotated[bool, BeforeValidator(flag)]
    if is_typeddict(kind):
        return strict_dict(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (NotRequired, Required):
        return origin[strict(arguments[0])]
    if origin in (typing.Union, types.UnionType):
        kept = [argument for argument in arguments if typing.get_origin(argument) is not UntypedStripeObject]
        if any(typing.get_origin(a) is typing.Literal and set(typing.get_args(a)) != {""} for a in kept):
            kept = [argument for argument in kept if argument is not str]
        return typing.Union[tuple(strict(argument) for argument in kept)]
    if origin is list:
        return list[strict(arguments[0])]
    if origin is dict:
        return dict[arguments[0], strict(arguments[1])]
    return kind


def strict_dict(kind):
    # How a call is made (api_key, headers, …) stands beside what is sent, which only the latter goes over the wire.
    beside = set(_request_options.RequestOptions.__annotations__)
    # What is inherited is spelt with the names of its own module, and one that is there for type checkers only.
    names = {**vars(_request_options), "StripeContext": object}
    hints = get_type_hints(kind, localns=names, include_extras=True)
    fields = {name: strict(hint) for name, hint in hints.items() if name not in beside}
    copy = TypedDict("Strict" + kind.__name__, fields)
    copy.__pydantic_config__ = ConfigDict(extra="forbid")
    return copy


def nested(form):
    """`a[b][0]=c` -> {"a": {"b": ["c"]}}; a field that comes twice is an error."""
    tree = {}
    for name, value in parse_qsl(form, keep_blank_values=True, strict_parsing=bool(form)):
        head, *rest = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]+\])*)", name).groups()
        keys = [head] + re.findall(r"\[([^\[\]]+)\]", rest[0])
        place = tree
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        assert keys[-1] not in place, f"{name} comes twice"
        place[keys[-1]] = value
    return lists(tree)


def lists(value):
    if not isinstance(value, dict):
        return value
    inner = {key: lists(item) for key, item in value.items()}
    if inner and list(inner) == [str(index) for index in range(len(inner))]:
        return list(inner.values())
    return inner


def sent(request):
    return request["body"] if request["method"] == "POST" else urlsplit(request["target"]).query


@pytest.fixture(scope="module")
def adapters():
    return {name: TypeAdapter(strict_dict(kind)) for name, (_, _, kind) in EXPECTED.items()}


def test_every_operation_is_recorded():
    declared = set()
    for path in OPERATIONS.glob("*.swift"):
        declared |= set(re.findall(r"public struct (\w+): Stripe(?:Call|Listing|Operation)\b", path.read_text()))
    assert {PARTS.get(name, name) for name in declared} <= set(EXPECTED)
    assert {request["operation"] for request in REQUESTS} == set(EXPECTED)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request["operation"])
def test_the_package_knows_every_field(request_, adapters):
    method, path, _ = EXPECTED[request_["operation"]]
    assert (request_["method"], urlsplit(request_["target"]).path) == (method, path)
    adapters[request_["operation"]].validate_python(nested(sent(request_)))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request["operation"])
def test_headers(request_):
    headers = request_["headers"]
    assert headers["Stripe-Version"] == stripe._api_version._ApiVersion.CURRENT
    assert ("Idempotency-Key" in headers) == (request_["method"] == "POST")


def test_a_session_is_what_was_meant():
    request = next(request for request in REQUESTS if request["operation"] == "CreateCheckoutSession")
    metadata = {"tollgate_account": "42", "tollgate_purchase": "0190-aa"}
    assert nested(request["body"]) == {
        "mode": "payment",
        "line_items": [{
            "quantity": "1",
            "price_data": {
                "currency": "usd", "unit_amount": "999",
                "product_data": {"name": "Starter: 9,990 credits & more"}}}],
        "success_url": "https://t.example/billing?success=true&session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://t.example/billing", "client_reference_id": "0190-aa", "metadata": metadata,
        "payment_intent_data": {"metadata": metadata}, "customer_creation": "always"}


@pytest.mark.parametrize("operation, field", [
    ("CreateCheckoutSession", "unknown=1"),
    ("CreateCheckoutSession", "line_items[0][price_data][unit_amounts]=1"),
    ("CreateCheckoutSession", "payment_intent_data[setup_future_usage]=on_sunday"),
    ("CreateCheckoutSession", "submit_type=buy"),
    ("CreateCheckoutSession", "api_key=sk_test_1"),
    ("CreateOffSessionPayment", "setup_future_usage=later"),
    ("CreateRefund", "amount_cents=1"),
    ("ListEvents", "created[from]=1"),
    ("ListEvents", "delivered=true"),
])
def test_one_field_too_many_is_found(operation, field, adapters):
    """The check itself: it fails where Stripe's server would."""
    request = next(request for request in REQUESTS if request["operation"] == operation)
    with pytest.raises(ValidationError):
        adapters[operation].validate_python(nested(sent(request) + "&" + field))


@pytest.mark.parametrize("operation, old, new", [
    ("CreateCheckoutSession", "mode=payment", "mode=pay"),
    ("CreateCheckoutSession", "[unit_amount]=999", "[unit_amount]=9.99"),
    ("CreateCheckoutSession", "[currency]=usd", "[money]=usd"),
    ("CreateOffSessionPayment", "confirm=true", "confirm=yes"),
    ("CreateOffSessionPayment", "amount=999&", ""),
    ("CreateRefund", "reason=requested_by_customer", "reason=because"),
    ("ListEvents", "types[0]=charge.refunded&types[1]=", "types="),
    ("ListEvents", "limit=100", "limit=many"),
])
def test_one_value_that_is_wrong_is_found(operation, old, new, adapters):
    request = next(request for request in REQUESTS if request["operation"] == operation)
    assert old in sent(request)
    with pytest.raises(ValidationError):
        adapters[operation].validate_python(nested(sent(request).replace(old, new)))
