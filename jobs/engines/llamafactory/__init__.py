"""LLaMA-Factory: pretraining, supervised fine-tuning, reward models, DPO and its kin, KTO."""
