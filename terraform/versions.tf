terraform {
  required_version = ">= 1.9" # for validations that refer to other variables

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

locals {
  tags = merge({ project = var.name }, var.tags)

  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition
}
