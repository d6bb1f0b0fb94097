"""Every route against its own description, with requests that nobody would write by hand."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import SchemathesisConfig

from tests.station.server import Running, good_png

ENDLESS = "/v1/events"
# Whose bodies name things, or are files: no schema says what was taught, or which bytes are a model.
ABOUT_CONTENT = ("inspect", "teach", "upload_model", "upload_model_by_post", "fit", "update")
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "413", "422", "429", "5xx"]
# Any field of a form may be an image, and one among several that is none does not refuse the others.
FORMS = ("inspect", "teach")


@pytest.fixture(scope="module")
def described(served: Running) -> Any:
    served.client.post("/v1/models/part/inspect", files={"image": good_png()})
    served.client.post("/v1/teach/part", files={"image": good_png()})
    operations = []
    for name in ABOUT_CONTENT:
        checks: dict[str, Any] = {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}
        if name in FORMS:
            checks["negative_data_rejection"] = {"enabled": False}
        operations.append({"include-operation-id": name, "checks": checks})
    config = SchemathesisConfig.from_dict({"operations": operations})
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json", config=config)


def test_every_route_does_what_its_description_says(described: Any) -> None:
    problems, asked = [], 0
    for found in described.get_all_operations():
        operation = found.ok()
        if operation.path == ENDLESS:
            continue
        asked += 1

        @given(case=operation.as_strategy())
        @settings(
            max_examples=6,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def conforms(case: Any) -> None:
            case.call_and_validate()

        try:
            conforms()
        except Exception as failure:
            problems.append(f"{operation.label}: {failure}")
    assert asked > 40
    assert not problems, "\n".join(problems)
