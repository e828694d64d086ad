"""What runs inside the LLaMA-Factory environment: trains, predicts, exports and serves.

The platform starts it as ``python -m trainer_runtime VERB`` in the folder of a workload and reads
the files that it leaves there. It imports nothing of the platform.
"""
