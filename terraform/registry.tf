locals {
  repositories = toset(["worker", "airflow"])
  platforms    = { X86_64 = "linux/amd64", ARM64 = "linux/arm64" }
  image        = "${aws_ecr_repository.images["worker"].repository_url}${startswith(var.image, "sha256:") ? "@" : ":"}${var.image}"
}

resource "aws_ecr_repository" "images" {
  #checkov:skip=CKV_AWS_136:Images contain published code and no data; set kms_key_arn to use a customer key.
  for_each = local.repositories

  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.force_destroy

  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = var.kms_key_arn == null ? "AES256" : "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "images" {
  for_each = aws_ecr_repository.images

  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Untagged layers of incomplete pushes or replaced indexes"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
      action       = { type = "expire" }
    }]
  })
}
