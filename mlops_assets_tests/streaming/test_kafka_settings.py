"""What the connection to Kafka takes from the environment, and says without the library."""

import sys

import pytest

from mlops_assets.errors import StreamError
from mlops_assets.streaming.kafka import KafkaStream, settings_in


def test_secrets_come_from_the_environment_by_the_names_of_kafkas_client() -> None:
    environment = {
        "MLOPS_HOME": "/home",
        "MLOPS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "MLOPS_KAFKA_SASL_PASSWORD": "s3cret",
    }
    assert settings_in(environment) == {"security.protocol": "SASL_SSL", "sasl.password": "s3cret"}


def test_a_setting_that_is_not_known_is_named() -> None:
    with pytest.raises(StreamError, match=r"MLOPS_KAFKA_SASL_PASSWRD.*did you mean 'MLOPS_KAFKA_SASL_PASS"):
        settings_in({"MLOPS_KAFKA_SASL_PASSWRD": "s3cret"})


def test_a_setting_that_the_client_refuses_is_told() -> None:
    with pytest.raises(StreamError, match=r"refuses its settings.*security\.protocol"):
        KafkaStream("127.0.0.1:1", "asked", ["answered"], "group", {"security.protocol": "none"})


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(StreamError, match=r"mlops-assets\[kafka\]"):
        KafkaStream("127.0.0.1:1", "asked", ["answered"], "group", {})
