locals {
  buckets = toset(concat(["output"], var.raw_bucket == null ? ["raw"] : []))

  raw_bucket     = var.raw_bucket != null ? var.raw_bucket : aws_s3_bucket.data["raw"].bucket
  raw_bucket_arn = "arn:${local.partition}:s3:::${local.raw_bucket}"
  output         = aws_s3_bucket.data["output"]
}

resource "aws_s3_bucket" "data" {
  #checkov:skip=CKV_AWS_18:Access logs would need a third bucket; to audit reads, enable CloudTrail data events for the account.
  #checkov:skip=CKV_AWS_144:The recordings have their original elsewhere, and everything else can be rebuilt from them byte for byte.
  #checkov:skip=CKV_AWS_145:SSE-S3 by default; set kms_key_arn to use a customer key.
  #checkov:skip=CKV2_AWS_62:Nothing consumes object events; the DAG plans when it is triggered.
  for_each = local.buckets

  bucket        = "${var.name}-${each.key}-${local.account}-${var.region}"
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "data" {
  for_each = aws_s3_bucket.data

  bucket = each.value.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "data" {
  for_each = aws_s3_bucket.data

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "data" {
  for_each = aws_s3_bucket.data

  bucket = each.value.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  for_each = aws_s3_bucket.data

  bucket = each.value.id
  rule {
    bucket_key_enabled = var.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

data "aws_iam_policy_document" "tls_only" {
  for_each = aws_s3_bucket.data

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value.arn, "${each.value.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "data" {
  for_each = aws_s3_bucket.data

  bucket     = each.value.id
  policy     = data.aws_iam_policy_document.tls_only[each.key].json
  depends_on = [aws_s3_bucket_public_access_block.data] # S3 rejects concurrent changes to a bucket's access settings
}

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  for_each = aws_s3_bucket.data

  bucket     = each.value.id
  depends_on = [aws_s3_bucket_versioning.data]

  rule {
    id     = "leftovers"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
    expiration {
      expired_object_delete_marker = true
    }
  }

  # A receipt is written milliseconds after its table, so both expire in the same night, or the receipt one night later.
  # A build in between refuses the case and asks for a new run.
  dynamic "rule" {
    for_each = each.key == "output" && var.harmonized_days > 0 ? [var.harmonized_days] : []
    content {
      id     = "old-harmonized"
      status = "Enabled"
      filter {
        prefix = "harmonized/"
      }
      expiration {
        days = rule.value
      }
    }
  }
}
