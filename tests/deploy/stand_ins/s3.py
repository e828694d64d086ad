"""A simulated S3 server with its bucket, at port 8333."""

import os
import threading

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="0.0.0.0", port=8333, verbose=False)
server.start()
boto3.client("s3", endpoint_url="http://127.0.0.1:8333", region_name="us-east-1").create_bucket(
    Bucket=os.environ["S3_BUCKET"]
)
threading.Event().wait()
