import re

from onlygood.station.web.reference import kind_of
from tests.station.server import Running


def test_every_operation_is_on_the_page_once(served: Running) -> None:
    document = served.client.get("/openapi.json").json()
    wanted = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    page = served.client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    shown = re.findall(r'<details class="adding" id="([a-z_]+)">', page.text)
    assert sorted(shown) == sorted(wanted)
    assert len(set(wanted)) == len(wanted)
    assert "http://" not in page.text and "https://" not in page.text  # nothing from elsewhere


def test_every_operation_says_what_it_is_and_how_it_refuses(served: Running) -> None:
    document = served.client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for each in methods.values():
            assert each["summary"] and each["description"], path
            if "x-right" in each:
                assert {"401", "403", "422", "429"} <= set(each["responses"]), path


def test_what_a_value_is_in_words() -> None:
    assert kind_of({"type": "integer", "minimum": 1, "maximum": 500}) == "integer from 1 to 500"
    assert kind_of({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}) == "moment"
    assert kind_of({"enum": ["png", "none"], "type": "string"}) == "png or none"
    assert kind_of({"type": "array", "items": {"$ref": "#/components/schemas/Job"}}) == "list of Job"
    assert kind_of({"type": "array", "prefixItems": [{"type": "number"}] * 4}) == "list of 4 numbers"
    assert kind_of({"type": "string", "format": "binary"}) == "file"
    assert kind_of({}) == "anything"
