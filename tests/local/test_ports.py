"""Choosing a port."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fulfillment_assets.local.errors import PortTakenError
from fulfillment_assets.local.ports import free_port, port_is_free


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_preferred_port_that_is_free_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert free_port(port, 1, "SOME_PORT") == port


def test_a_preferred_port_in_use_is_an_error_that_names_it_and_the_setting(taken_port: int) -> None:
    with pytest.raises(PortTakenError, match=rf"{taken_port}.*SOME_PORT") as refused:
        free_port(taken_port, 1, "SOME_PORT")
    assert (refused.value.port, refused.value.setting) == (taken_port, "SOME_PORT")


def test_without_a_preferred_port_the_next_free_one_above_the_default_is_taken(
    taken_port: int,
) -> None:
    port = free_port(None, taken_port, "SOME_PORT")
    assert port > taken_port
    assert port_is_free(port)


def test_a_port_whose_last_connection_has_just_closed_is_free(taken_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = listener.accept()
        connection.close()
        client.close()
    assert port_is_free(port)
    assert not port_is_free(taken_port)
