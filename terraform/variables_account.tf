# What the account has or demands: tags, a bound on roles, a network, a budget.

variable "tags" {
  description = "Tags of all resources, tasks and volumes, beside `project`. A `project` given here replaces it."
  type        = map(string)
  default     = {}

  validation {
    condition = length(var.tags) <= 40 && alltrue([
      for key, value in var.tags :
      can(regex("^[a-zA-Z0-9 +=._:/@-]{1,128}$", key)) && can(regex("^[a-zA-Z0-9 +=._:/@-]{0,256}$", value))
      && !startswith(lower(key), "aws:")
    ])
    error_message = "Use at most 40 tags of letters, digits, spaces and + - = . _ : / @, with keys that do not begin with aws:."
  }
}

variable "permissions_boundary_arn" {
  description = "IAM policy that bounds every role made here, where the account demands one. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "Use the ARN of a policy (arn:aws:iam::111122223333:policy/...)."
  }
}

# Network

variable "vpc_id" {
  description = "Existing VPC for the tasks, with subnet_ids. Null: create a network."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null || can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "Use the id of a VPC (vpc-...), not its name or ARN."
  }
  validation {
    condition     = (var.vpc_id == null) == (length(var.subnet_ids) == 0)
    error_message = "Give vpc_id and subnet_ids together, or neither."
  }
}

variable "subnet_ids" {
  description = "Subnets of that VPC in which tasks start. From them, HTTPS must reach S3, ECR, CloudWatch Logs and (for the salt) Secrets Manager, by a NAT gateway or endpoints."
  type        = list(string)
  default     = []

  validation {
    condition     = length(distinct(var.subnet_ids)) == length(var.subnet_ids) && alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "Use different subnet ids (subnet-...)."
  }
}

variable "assign_public_ip" {
  description = "Give tasks (and the Airflow host) a public address. False for private subnets, which need vpc_id."
  type        = bool
  default     = true

  validation {
    condition     = var.assign_public_ip || var.vpc_id != null
    error_message = "The network that is created here has no NAT gateway: without a public address, tasks cannot pull their image. Give vpc_id and subnet_ids, or set assign_public_ip = true."
  }
}

variable "vpc_cidr" {
  description = "Address range of the network that is created. It is not connected to other networks, so any private range works."
  type        = string
  default     = "10.37.0.0/20"

  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 2, 2)) && can(regex("/(1[6-9]|2[0-4])$", var.vpc_cidr))
    error_message = "Use a range between /16 and /24, such as 10.37.0.0/20: every running task needs one address."
  }
}

variable "zones" {
  description = "Letters of the availability zones of the network that is created; more zones offer more spot capacity."
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 4 && length(distinct(var.zones)) == length(var.zones) && alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "Use one to four different letters, such as a, b and c for eu-north-1a, eu-north-1b and eu-north-1c."
  }
}

# Budget and notifications

variable "alarm_email" {
  description = "E-mail address for the budget alarm and for finished and failed runs. AWS asks it to confirm the latter. Null: no e-mails."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alarm_email))
    error_message = "Use one e-mail address."
  }
}

variable "budget_usd" {
  description = "Monthly budget of the whole account in USD. It alarms at 80 % spent and at 100 % forecast, but stops nothing. Null: no budget."
  type        = number
  default     = 30

  validation {
    condition     = var.budget_usd == null ? true : var.budget_usd > 0
    error_message = "Use a number above 0, or null for no budget."
  }
}
