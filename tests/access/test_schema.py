"""The OpenAPI schema: complete, and every part with a name of its own."""

from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.access.addresses import addresses


def test_the_schema_is_valid_and_nothing_was_guessed() -> None:
    GENERATOR_STATS.reset()
    GENERATOR_STATS.enable_trace_lineno()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(schema)
    guessed = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
    assert guessed == []


def test_every_address_of_the_api_is_in_it() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    described = sum(len(path) for path in schema["paths"].values())
    declared = sum(
        len(one.methods or ())
        for one in addresses()
        if one.route.startswith("api/v1/") and not one.name.startswith("api-agent-")
    )
    assert described == declared
