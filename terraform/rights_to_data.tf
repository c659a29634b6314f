# Storage paths of vitalprep: raw recordings; harmonized/<digest>/, runs/<dataset>/ and datasets/<dataset>/ in the
# output. vitalprep must distinguish a missing object (404) from a forbidden one, but without list permission S3 answers
# 403 for both. Therefore, every role that may read a path may also list it.

locals {
  raw       = "${local.raw_bucket_arn}/${var.raw_prefix}"
  data_keys = compact([var.kms_key_arn, var.raw_kms_key_arn])
}

# vitalprep check, plan (also with --force), validate --quick, status and report --stored, which Airflow runs on its own
# host, and planning in the runner. They read the clinical table and a configuration next to it, but no recording.
data "aws_iam_policy_document" "plan" {
  statement {
    sid       = "ListRaw"
    actions   = ["s3:ListBucket"]
    resources = [local.raw_bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.raw_prefix}/*"]
    }
  }
  statement {
    sid     = "ReadTables"
    actions = ["s3:GetObject"]
    resources = [
      "${local.raw}/*.csv", "${local.raw}/*.yaml", "${local.raw}/*.yml",
      "${local.raw}/source.json", "${local.raw}/simulation.json", # provenance of the recordings
    ]
  }
  statement {
    sid       = "ListOutput"
    actions   = ["s3:ListBucket"]
    resources = [local.output.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["runs/*", "harmonized/*", "datasets/*"]
    }
  }
  statement {
    sid     = "ReadPlansReceiptsVerdictsAndReports"
    actions = ["s3:GetObject"]
    resources = [
      "${local.output.arn}/runs/*.json",
      "${local.output.arn}/harmonized/*.json", # whether a case is excluded, and which recording it was
      "${local.output.arn}/datasets/*.json",
      "${local.output.arn}/datasets/*/report.html",
    ]
  }
  statement {
    sid       = "WritePlans"
    actions   = ["s3:PutObject"]
    resources = ["${local.output.arn}/runs/*/plan-*.json", "${local.output.arn}/runs/.write-check"]
  }
  statement {
    sid     = "UndoByForce"
    actions = ["s3:DeleteObject"]
    resources = [
      "${local.output.arn}/runs/.write-check",
      "${local.output.arn}/runs/*/plan-*/progress-*",
      "${local.output.arn}/harmonized/*.json",
      "${local.output.arn}/datasets/*/validation.json",
      "${local.output.arn}/datasets/*/build-*.json",
    ]
  }
}

# vitalprep harmonize
data "aws_iam_policy_document" "harmonize" {
  statement {
    sid       = "ListRaw"
    actions   = ["s3:ListBucket"]
    resources = [local.raw_bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.raw_prefix}/*"]
    }
  }
  statement {
    sid       = "ReadRaw"
    actions   = ["s3:GetObject"]
    resources = ["${local.raw}/*"]
  }
  statement {
    sid       = "ListOutput"
    actions   = ["s3:ListBucket"]
    resources = [local.output.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["runs/*", "harmonized/*"]
    }
  }
  statement {
    sid       = "ReadPlansAndReceipts"
    actions   = ["s3:GetObject"]
    resources = ["${local.output.arn}/runs/*.json", "${local.output.arn}/harmonized/*"]
  }
  statement {
    sid       = "WriteTablesAndReceipts"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.output.arn}/harmonized/*"]
  }
  statement {
    sid       = "WriteProgress" # next to the plan, which it must not write
    actions   = ["s3:PutObject"]
    resources = ["${local.output.arn}/runs/*/plan-*/progress-*"]
  }
}

# vitalprep build, publish and validate
data "aws_iam_policy_document" "build" {
  statement {
    sid       = "ListOutput"
    actions   = ["s3:ListBucket"]
    resources = [local.output.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["runs/*", "harmonized/*", "datasets/*"]
    }
  }
  statement {
    sid     = "ReadOutput"
    actions = ["s3:GetObject"]
    resources = [
      "${local.output.arn}/runs/*.json",
      "${local.output.arn}/harmonized/*",
      "${local.output.arn}/datasets/*",
    ]
  }
  statement {
    sid       = "WriteDatasets"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.output.arn}/datasets/*", "${local.output.arn}/runs/*/accounting.json"]
  }
  statement {
    sid       = "WithdrawVerdicts" # of data sets that are built or published anew
    actions   = ["s3:DeleteObject"]
    resources = ["${local.output.arn}/datasets/*/validation.json"]
  }
}

data "aws_iam_policy_document" "use_keys" {
  count = length(local.data_keys) > 0 ? 1 : 0

  statement {
    sid       = "ReadWithKeys"
    actions   = ["kms:Decrypt"]
    resources = local.data_keys
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }

  dynamic "statement" {
    for_each = compact([var.kms_key_arn])
    content {
      sid       = "WriteWithKey"
      actions   = ["kms:GenerateDataKey"]
      resources = [statement.value]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }
}
