"""``mlops-assets consume``: predictions for the messages of a stream."""

import os
import signal
from dataclasses import asdict
from typing import Annotated

import typer

from mlops_assets.cli.output import Json, Model, print_json, quiet, say


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def consume(
        model: Model,
        source: Annotated[
            str,
            typer.Option("--from", metavar="TOPIC", help="Kafka topic of messages, one row of JSON each."),
        ],
        answers: Annotated[
            str,
            typer.Option("--to", metavar="TOPIC", help="Topic for the answers, under the messages' keys."),
        ],
        brokers: Annotated[
            str, typer.Option(metavar="HOST:PORT", help="Kafka's brokers; several separated by commas.")
        ],
        rejected: Annotated[
            str | None,
            typer.Option(metavar="TOPIC", help="Topic for what is wrong with messages; --to if not given."),
        ] = None,
        group: Annotated[
            str | None,
            typer.Option(
                help="Consumer group, whose members share the work; mlops-assets-MODEL if not given."
            ),
        ] = None,
        until_end: Annotated[
            bool, typer.Option("--until-end", help="End when every message that is there is answered.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Answer the messages of a Kafka topic, by the version that serves at that moment.

        During a rollout that is the champion. Each prediction is in the prediction log before its answer
        leaves, once, however this is killed. Ends on Ctrl-C or SIGTERM after the messages it has in hand.
        What the connection needs comes from the environment: MLOPS_KAFKA_SECURITY_PROTOCOL,
        MLOPS_KAFKA_SASL_MECHANISM, MLOPS_KAFKA_SASL_USERNAME, MLOPS_KAFKA_SASL_PASSWORD and others.
        """
        from mlops_assets.errors import StreamError
        from mlops_assets.home import Home
        from mlops_assets.prediction_log.log import PredictionLog
        from mlops_assets.prediction_log.recorder import Recorder
        from mlops_assets.streaming.champion import followed_champion
        from mlops_assets.streaming.consumer import Consumer
        from mlops_assets.streaming.kafka import KafkaStream, settings_in
        from mlops_assets.streaming.logged_offsets import LoggedOffsets
        from mlops_assets.streaming.replies import Responder

        if source in (targets := {answers, rejected or answers}):
            raise StreamError(f"{source!r} is read; answers and what is rejected need topics of their own")
        settings, home, tell = (
            settings_in(os.environ),
            Home.from_environment().prepare(),
            quiet if json else say,
        )
        with followed_champion(home, model) as champion:
            version = champion().version
            recorder = Recorder.for_home(home, "stream")
            log, offsets = PredictionLog(home.prediction_log), LoggedOffsets(home.streams, model)
            responder = Responder(model, champion, recorder, log, offsets)
            consumer = Consumer(
                lambda: KafkaStream(brokers, source, targets, group or f"mlops-assets-{model}", settings),
                responder.replies,
                answers,
                rejected or answers,
                tell,
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: consumer.stopping.set())
            tell(f"{model} version {version} answers {source} on {answers}")
            try:
                consumer.run(until_end=until_end)
            finally:
                recorder.close()
        done = consumer.consumed
        if json:
            print_json({"model": model, **asdict(done)})
        else:
            say(f"{done.answered:,} messages answered, {done.refused:,} refused")
