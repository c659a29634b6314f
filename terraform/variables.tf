variable "region" {
  description = "AWS region of everything. The raw bucket should lie in it too: S3 charges for what leaves a region."
  type        = string
  default     = "eu-north-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[1-9]$", var.region))
    error_message = "Write a region as AWS does, such as eu-north-1; a zone (eu-north-1a) is not a region."
  }
}

variable "name" {
  description = "Begins the name of everything that is made here, and is its tag `project`."
  type        = string
  default     = "vitalprep"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name)) && !endswith(var.name, "-")
    error_message = "2 to 20 lower-case letters, digits and hyphens, a letter first and no hyphen last: it becomes part of bucket names."
  }
}

# Storage

variable "raw_bucket" {
  description = "An existing bucket that holds the recordings; it is read, never changed. Null: one is made."
  type        = string
  default     = null

  validation {
    condition     = var.raw_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.raw_bucket))
    error_message = "Give the bucket's name alone: no s3://, no path, no ARN."
  }
}

variable "raw_prefix" {
  description = "Folder of the recordings and of clinical_data.csv in the raw bucket. The workers' right to read ends there."
  type        = string
  default     = "raw-data"

  validation {
    condition     = can(regex("^[A-Za-z0-9!_.()/-]+$", var.raw_prefix)) && trim(var.raw_prefix, "/") == var.raw_prefix
    error_message = "A folder without a slash at its ends, and not empty: the right to list is bound to it."
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
    error_message = "0 (never) or whole days, at least 7: a run that is still being retried needs its tables."
  }
}

variable "noncurrent_days" {
  description = "Days for which a version that was replaced or deleted can still be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "Whole days, at least 1."
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
    error_message = "The ARN of a key (arn:aws:kms:...:key/...), not of an alias: roles are granted the key itself."
  }
}

variable "raw_kms_key_arn" {
  description = "KMS key of an existing raw bucket, if it has one. A raw bucket that is made here uses kms_key_arn."
  type        = string
  default     = null

  validation {
    condition     = var.raw_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.raw_kms_key_arn))
    error_message = "The ARN of a key (arn:aws:kms:...:key/...), not of an alias."
  }
}

variable "force_destroy" {
  description = "Lets `terraform destroy` delete buckets and image repositories that are not empty, with all recordings and data sets."
  type        = bool
  default     = false
}

# Containers

variable "image" {
  description = "Tag or sha256: digest of the worker's image in the repository that is made here. A new image needs a new tag."
  type        = string
  default     = "0.1.0"

  validation {
    condition     = can(regex("^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$", var.image)) && var.image != "latest"
    error_message = "A tag or a digest (sha256:...), without the repository; not `latest`, which could never be pushed twice."
  }
}

variable "cpu_architecture" {
  description = "What the worker's image was built for: X86_64 or ARM64 (some 20 % cheaper; not for SageMaker)."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "X86_64 or ARM64."
  }
}

variable "worker_size" {
  description = "Size of a harmonize task, on spot: `cpu` in 1/1024 of a vCPU, `memory` in MiB. It runs one process per vCPU."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 2048, memory = 4096 }

  validation {
    condition     = contains(lookup(local.fargate_memory, var.worker_size.cpu, []), var.worker_size.memory)
    error_message = "Fargate has no such pair of cpu and memory; cpu 2048 goes with memory 4096 to 16384 in steps of 1024."
  }
}

variable "builder_size" {
  description = "Size of a build, publish or validate task, on demand: `cpu` in 1/1024 of a vCPU, `memory` in MiB."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 4096, memory = 8192 }

  validation {
    condition     = contains(lookup(local.fargate_memory, var.builder_size.cpu, []), var.builder_size.memory)
    error_message = "Fargate has no such pair of cpu and memory; cpu 4096 goes with memory 8192 to 30720 in steps of 1024."
  }
}

variable "subject_salt_secret_arn" {
  description = "Secrets Manager secret whose whole text is the salt of privacy.hash_subjects. Null: tasks get no salt."
  type        = string
  default     = null

  validation {
    condition     = var.subject_salt_secret_arn == null || can(regex("^arn:[a-z-]+:secretsmanager:", var.subject_salt_secret_arn))
    error_message = "The ARN of a secret, never the salt itself: Terraform's state is no place for it."
  }
}

variable "log_days" {
  description = "Days for which the tasks' logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ... days."
  }
}

# Network

variable "vpc_cidr" {
  description = "Addresses of the network that is made. It meets no other network, so it may be any private range."
  type        = string
  default     = "10.37.0.0/20"

  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 2, 2)) && can(regex("/(1[6-9]|2[0-4])$", var.vpc_cidr))
    error_message = "A range between /16 and /24, such as 10.37.0.0/20: every running task takes one address."
  }
}

variable "zones" {
  description = "Letters of the availability zones to start tasks in; more zones have more spot capacity."
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 4 && length(distinct(var.zones)) == length(var.zones) && alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "One to four different letters, such as a, b and c for eu-north-1a, eu-north-1b and eu-north-1c."
  }
}

# Money and messages

variable "alarm_email" {
  description = "Address for the budget alarm and for finished and failed runs. AWS asks it to confirm the latter. Null: nobody is told."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alarm_email))
    error_message = "One e-mail address."
  }
}

variable "budget_usd" {
  description = "Monthly budget of the whole account in USD. The alarm comes at 80 % spent and at 100 % forecast; it stops nothing."
  type        = number
  default     = 30

  validation {
    condition     = var.budget_usd > 0
    error_message = "More than 0."
  }
}

# Airflow

variable "airflow_host" {
  description = "Make an EC2 instance for airflow-docker-compose.yaml. It is reached through SSM only."
  type        = bool
  default     = false
}

variable "airflow_instance_type" {
  description = "Type of that instance; 4 GiB of memory at least. Its architecture must be that of the Airflow image."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^[a-z]+[0-9]+[a-z0-9-]*\\.[a-z0-9]+$", var.airflow_instance_type))
    error_message = "An EC2 instance type, such as t3.medium or t4g.medium."
  }
}

variable "airflow_disk_gib" {
  description = "Size of its disk in GiB."
  type        = number
  default     = 30

  validation {
    condition     = var.airflow_disk_gib >= 16 && var.airflow_disk_gib <= 1024
    error_message = "16 to 1024 GiB."
  }
}

variable "airflow_trusted_arns" {
  description = "IAM roles or users that may take Airflow's role: an Airflow that runs elsewhere, or a person who submits jobs."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.airflow_trusted_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[^*]+$", arn))])
    error_message = "ARNs of single roles or users: no account root, no `*`."
  }
}
