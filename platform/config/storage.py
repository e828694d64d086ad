"""How the platform reaches its files."""

from typing import Any

from config import env


def files(endpoint: str, *, bucket: str, prefix: str) -> dict[str, Any]:
    """Where files are kept: the directory alone, or a bucket behind it."""
    if not bucket:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    # Imported where it is used: a process that has no store saves 15 MB.
    from botocore.config import Config

    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "location": prefix,
            "endpoint_url": endpoint or None,
            "region_name": env.text("TRAINER_S3_REGION", "us-east-1"),
            "access_key": env.secret("TRAINER_S3_ACCESS_KEY"),
            "secret_key": env.secret("TRAINER_S3_SECRET_KEY"),
            "default_acl": None,
            "querystring_auth": True,
            "querystring_expire": 300,
            "file_overwrite": True,
            "max_memory_size": 8 * 2**20,
            "client_config": Config(
                signature_version="s3v4",
                s3={"addressing_style": env.text("TRAINER_S3_ADDRESSING", "path")},
                connect_timeout=3,
                read_timeout=30,
                retries={"max_attempts": 2},
                # Not every store knows the newer checksums; ours stand beside each object.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        },
    }
