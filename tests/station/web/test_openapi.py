"""Every route against its own description, with requests that nobody would write by hand."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from tests.station.server import Running, good_png

# Whose bodies are files or names things: no schema says which bytes are an image or a model, or what was taught.
ABOUT_CONTENT = (
    "inspect",
    "teach",
    "upload_model",
    "upload_model_by_post",
    "fit",
    "update",
)
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "413", "422", "429", "5xx"]


@pytest.fixture(scope="module")
def described(served: Running) -> Any:
    served.client.post("/v1/models/part/inspect", files={"image": good_png()})
    served.client.post("/v1/teach/part", files={"image": good_png()})
    operations = [
        {"include-operation-id": each, "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}}
        for each in ABOUT_CONTENT
    ]
    config = SchemathesisConfig.from_dict({"operations": operations})
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json", config=config)


schema = schemathesis.pytest.from_fixture("described")


@schema.exclude(operation_id="events").parametrize()  # which has no end
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_does_what_its_description_says(case: Any) -> None:
    case.call_and_validate()
