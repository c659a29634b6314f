"""SageMaker training jobs: what runs in their containers (`sagemaker-job`), and how they are asked for (`submit`).

SageMaker has managed spot for training jobs only, so a run of this pipeline goes there as one. Receipts are its
checkpoints: whatever is interrupted goes on where it was.
"""
