"""SageMaker training jobs: what their containers run (`sagemaker-job`), and how a job is requested (`submit`).

SageMaker has managed spot for training jobs only, so a run of this pipeline goes there as one. Receipts are its
checkpoints: whatever is interrupted goes on where it was.
"""
