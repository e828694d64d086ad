"""A simulation of an S3 server (moto's), with the tests' settings pointed at it.

It takes what real ones take, but keeps everything in memory and is lenient with checksums: objects
stay small, and errors of checksums are not tried on it.
"""

import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

BUCKET = "trainer"
ACCESS, SECRET = "simulated", "simulated-too"


@dataclass
class Bucket:
    """The bucket, and the environment of processes that are to use it."""

    client: Any
    endpoint: str
    stop: Callable[[], None]

    @property
    def env(self) -> dict[str, str]:
        return {
            "TRAINER_S3_BUCKET": BUCKET,
            "TRAINER_S3_ENDPOINT": self.endpoint,
            "TRAINER_S3_ACCESS_KEY": ACCESS,
            "TRAINER_S3_SECRET_KEY": SECRET,
        }

    def names(self) -> list[str]:
        """Of all objects."""
        rows = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(row["Key"] for row in rows)

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


@pytest.fixture
def bucket(settings) -> Iterator[Bucket]:
    """An empty bucket on a server of its own."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    # All its servers of one process hold the same objects, also after their end.
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"").close()
    keys = {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET}
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", config=config, **keys
    )
    client.create_bucket(Bucket=BUCKET)
    settings.S3_BUCKET, settings.S3_PREFIX = BUCKET, ""
    files = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": BUCKET,
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "access_key": ACCESS,
            "secret_key": SECRET,
            "client_config": config,
        },
    }
    settings.STORAGES = {**settings.STORAGES, "default": files, "public": files}
    stopped: list[bool] = []

    def stop() -> None:
        if not stopped:
            stopped.append(True)
            server.stop()

    yield Bucket(client, endpoint, stop)
    stop()
