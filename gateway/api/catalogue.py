"""The models a key may use, as `/v1/models` lists them."""

import orjson

from gateway.access.accounts import Account
from gateway.access.admission import may_use, verify_scope
from gateway.routing.sessions import ServiceView, Session, SessionTable


def list_models(table: SessionTable, account: Account) -> bytes:
    """The answer to `GET /v1/models`; raises NoSupplierError where none can be known now."""
    table.verify_ready()
    models = [
        describe_model(name, session)
        for (application, name), session in sorted(table.sessions.items(), key=lambda item: item[0])
        if application == account.application and may_use(account, name)
    ]
    return orjson.dumps({"object": "list", "data": models})


def show_model(table: SessionTable, account: Account, name: str) -> bytes:
    """The answer to `GET /v1/models/NAME`; raises ModelForbiddenError or ModelNotFoundError."""
    verify_scope(account, name)
    return orjson.dumps(describe_model(name, table.find(account.application, name)))


def describe_model(name: str, session: Session) -> dict[str, object]:
    """A model's OpenAI fields, then prices, weights and limits."""
    service: ServiceView = session.service
    prices = sorted(each.terms.price for each in session.members)
    weights = service.weights
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "0x" + service.source.hex(),
        "context_length": service.spec.context_length,
        **({"edge": service.spec.edge.shown()} if service.spec.edge else {}),
        "service": "0x" + service.id.hex(),
        "price_per_million_cu": {"min": prices[0], "max": prices[-1]},
        "unit_weights": {
            "request": weights.request,
            "input": weights.input,
            "cached": weights.cached,
            "output": weights.output,
        },
        "capabilities": list(service.spec.capabilities),
        "suppliers": len(session.members),
    }
