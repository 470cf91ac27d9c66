"""An environment as it ought to be in production."""
import secrets

PAYMENT_EVENTS = ["*"]


def production(stripe, **more):
    """Settings that `tollgate preflight` finds no fault with, beside stores, upstream, journal and PUBLIC_URL. `stripe` is a
    mock with a live key, which knows this deployment's endpoint once `register` told it."""
    return {
        "ADMIN_TOKEN": secrets.token_hex(32), "KEY_PEPPER": secrets.token_hex(32), "SESSION_SECRET": secrets.token_hex(32),
        "OPENAI_API_KEY": "sk-proj-" + secrets.token_hex(24), "STRIPE_SECRET_KEY": stripe.key, "STRIPE_API_BASE": stripe.url,
        "STRIPE_WEBHOOK_SECRET": "whsec_" + secrets.token_hex(16), "VITE_STRIPE_PUBLIC_KEY": "pk_live_x",
        "CORS_ORIGINS": "https://app.example", **more}


def live_key():
    return "sk_live_" + secrets.token_hex(16)


def register(stripe, public_url):
    stripe.client().v1.webhook_endpoints.create(
        {"url": public_url + "/api/stripe/webhook", "enabled_events": PAYMENT_EVENTS})
