variable "region" {
  description = "AWS region of all resources. The raw bucket should be in the same region: S3 charges for transfer between regions."
  type        = string
  default     = "eu-north-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[1-9]$", var.region))
    error_message = "Use an AWS region, such as eu-north-1, not a zone (eu-north-1a)."
  }
}

variable "name" {
  description = "Prefix of all resource names, and their tag `project`."
  type        = string
  default     = "vitalprep"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name)) && !endswith(var.name, "-")
    error_message = "Use 2 to 20 lower-case letters, digits and hyphens, with a letter first and no hyphen last: it is part of bucket names."
  }
}

# Storage

variable "raw_bucket" {
  description = "Existing bucket with the recordings. It is only read. Null: create a bucket."
  type        = string
  default     = null

  validation {
    condition     = var.raw_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.raw_bucket))
    error_message = "Give only the bucket's name: no s3://, no path, no ARN."
  }
  validation {
    condition     = !endswith(coalesce(var.raw_bucket, "none"), "--x-s3")
    error_message = "Directory buckets (S3 Express One Zone) list their objects in no order, on which resuming relies. Use a general purpose bucket."
  }
}

variable "raw_prefix" {
  description = "Folder of the recordings and clinical_data.csv in the raw bucket. Workers can read only this folder."
  type        = string
  default     = "raw-data"

  validation {
    condition     = can(regex("^[A-Za-z0-9!_.()/-]+$", var.raw_prefix)) && trim(var.raw_prefix, "/") == var.raw_prefix
    error_message = "Use a non-empty folder without leading or trailing slash: the list permission is limited to it."
  }
}

variable "harmonized_days" {
  description = <<-EOT
    Days after which harmonized tables and receipts are deleted; 0 keeps them for good. Published data sets do not need
    them, but a set whose tables are gone cannot be built, validated or extended without harmonizing its cases again.
  EOT
  type        = number
  default     = 180

  validation {
    condition     = var.harmonized_days == 0 || (var.harmonized_days >= 7 && floor(var.harmonized_days) == var.harmonized_days)
    error_message = "Use 0 (never) or at least 7 whole days: a run that is still being retried needs its tables."
  }
}

variable "noncurrent_days" {
  description = "Days for which replaced or deleted object versions can be restored."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "Use whole days, at least 1."
  }
}

variable "kms_key_arn" {
  description = <<-EOT
    KMS key for buckets, images and logs. Null: keys that AWS owns (AES-256), which cost nothing. The key's own policy
    must let this account's IAM decide, and logs.<region>.amazonaws.com use it.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "Use the ARN of a key (arn:aws:kms:...:key/...), not of an alias: roles are granted the key itself."
  }
}

variable "raw_kms_key_arn" {
  description = "KMS key of an existing raw bucket, if it has one. A raw bucket created here uses kms_key_arn."
  type        = string
  default     = null

  validation {
    condition     = var.raw_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.raw_kms_key_arn))
    error_message = "Use the ARN of a key (arn:aws:kms:...:key/...), not of an alias."
  }
}

variable "force_destroy" {
  description = "Allow `terraform destroy` to delete non-empty buckets and image repositories, including all recordings and data sets."
  type        = bool
  default     = false
}

# Containers

variable "image" {
  description = "Tag or sha256: digest of the worker's image in the repository created here. A new image needs a new tag."
  type        = string
  default     = "0.1.0"

  validation {
    condition     = can(regex("^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$", var.image)) && var.image != "latest"
    error_message = "Use a tag or a digest (sha256:...), without the repository; not `latest`, because tags are immutable."
  }
}

variable "cpu_architecture" {
  description = "Architecture of the worker's image: X86_64 or ARM64 (cheaper: `vitalprep cost --architecture ARM64`; not for SageMaker). `make push` builds for it."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "Use X86_64 or ARM64."
  }
}

variable "worker_size" {
  description = "Size of a harmonize task, on spot: `cpu` in 1/1024 of a vCPU, `memory` in MiB. It runs one process per vCPU."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 2048, memory = 4096 }

  validation {
    condition     = contains(lookup(local.fargate_memory, var.worker_size.cpu, []), var.worker_size.memory)
    error_message = "Fargate does not offer this combination of cpu and memory; cpu 2048 allows memory 4096 to 16384 in steps of 1024."
  }
}

variable "builder_size" {
  description = "Size of a build, publish or validate task, on demand: `cpu` in 1/1024 of a vCPU, `memory` in MiB."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 4096, memory = 8192 }

  validation {
    condition     = contains(lookup(local.fargate_memory, var.builder_size.cpu, []), var.builder_size.memory)
    error_message = "Fargate does not offer this combination of cpu and memory; cpu 4096 allows memory 8192 to 30720 in steps of 1024."
  }
}

variable "batch" {
  description = "Whether Airflow runs its steps on AWS Batch: makes queues and job definitions, and sets VITALPREP_BACKEND=batch. Let runs end before you change it."
  type        = bool
  default     = false
}

variable "batch_max_vcpus" {
  description = "Most vCPUs that the jobs of one Batch queue use at a time; VITALPREP_SHARDS_AT_ONCE times those of worker_size, so that no shard waits."
  type        = number
  default     = 64

  validation {
    condition     = var.batch_max_vcpus >= 1 && var.batch_max_vcpus <= 10000 && floor(var.batch_max_vcpus) == var.batch_max_vcpus
    error_message = "Use a whole number from 1 to 10000."
  }
}

variable "runner_size" {
  description = "Size of the task that does a whole run (`make run-on-aws`), on demand: `cpu` in 1/1024 of a vCPU, `memory` in MiB. It runs one process per vCPU."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 8192, memory = 16384 }

  validation {
    condition     = contains(lookup(local.fargate_memory, var.runner_size.cpu, []), var.runner_size.memory)
    error_message = "Fargate does not offer this combination of cpu and memory; cpu 8192 allows memory 16384 to 61440 in steps of 4096."
  }
}

variable "runner_disk_gib" {
  description = <<-EOT
    The runner's disk in GiB, of which Fargate includes 20. Uploads of more than 256 MB are buffered there: with
    output.layout=single, a whole split.
  EOT
  type        = number
  default     = 50

  validation {
    condition     = var.runner_disk_gib >= 21 && var.runner_disk_gib <= 200 && floor(var.runner_disk_gib) == var.runner_disk_gib
    error_message = "Fargate offers 21 to 200 whole GiB."
  }
}

variable "subject_salt_secret_arn" {
  description = "Secrets Manager secret whose text is the salt of privacy.hash_subjects. Null: tasks get no salt."
  type        = string
  default     = null

  validation {
    condition     = var.subject_salt_secret_arn == null || can(regex("^arn:[a-z-]+:secretsmanager:", var.subject_salt_secret_arn))
    error_message = "Use the ARN of a secret, not the salt itself: Terraform's state must not contain it."
  }
}

variable "log_days" {
  description = "Retention of the tasks' logs in days."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ... days."
  }
}

# Airflow

variable "airflow_host" {
  description = "Create an EC2 instance for airflow-docker-compose.yaml. It is accessible only through SSM."
  type        = bool
  default     = false
}

variable "airflow_instance_type" {
  description = "Type of that instance, with at least 4 GiB of memory. Its architecture must match the Airflow image."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^[a-z]+[0-9]+[a-z0-9-]*\\.[a-z0-9]+$", var.airflow_instance_type))
    error_message = "Use an EC2 instance type, such as t3.medium or t4g.medium."
  }
}

variable "airflow_disk_gib" {
  description = "Size of its disk in GiB."
  type        = number
  default     = 30

  validation {
    condition     = var.airflow_disk_gib >= 16 && var.airflow_disk_gib <= 1024
    error_message = "Use 16 to 1024 GiB."
  }
}

variable "airflow_trusted_arns" {
  description = "IAM roles or users that may assume Airflow's role: an Airflow that runs elsewhere, or a person who submits jobs."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.airflow_trusted_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[^*]+$", arn))])
    error_message = "Use ARNs of single roles or users: no account root, no `*`."
  }
}
