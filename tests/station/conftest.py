"""What tests of the station share."""

from tests.station.postgres import postgres_server as postgres_server
