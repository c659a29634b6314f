# Roles and their policies. Policies are named by what they allow (rights_to_data.tf, rights_to_services.tf), and can also be attached to people.

locals {
  roles = {
    execution = "ecs-tasks.amazonaws.com" # ECS itself, before the container starts
    worker    = "ecs-tasks.amazonaws.com"
    builder   = "ecs-tasks.amazonaws.com"
    runner    = "ecs-tasks.amazonaws.com"
    airflow   = "ec2.amazonaws.com"
    sagemaker = "sagemaker.amazonaws.com"
  }

  grants = {
    execution = concat(["pull_images", "write_task_logs"], var.subject_salt_secret_arn == null ? [] : ["read_salt"])
    worker    = concat(["harmonize"], local.key_grant)
    builder   = concat(["build"], local.key_grant)
    runner    = concat(["plan", "harmonize", "build"], local.key_grant)
    airflow = concat(
      ["plan", "run_tasks", "run_training", "announce"], local.key_grant,
      var.batch ? ["run_jobs"] : [], var.airflow_host ? ["pull_images", "open_session"] : [],
    )
    sagemaker = concat(["harmonize", "build", "train", "pull_images"], local.key_grant)
  }
  key_grant = length(local.data_keys) == 0 ? [] : ["use_keys"]
}

resource "aws_iam_role" "vitalprep" {
  for_each = local.roles

  name                 = "${var.name}-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy_attachment" "vitalprep" {
  for_each = merge([
    for role, policies in local.grants : { for policy in policies : "${role}/${policy}" => { role = role, policy = policy } }
  ]...)

  role       = aws_iam_role.vitalprep[each.value.role].name
  policy_arn = aws_iam_policy.vitalprep[each.value.policy].arn
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    sid     = "Service"
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [each.value]
    }
    dynamic "condition" { # prevents other accounts' tasks or jobs from assuming the role (confused deputy)
      for_each = each.value == "ec2.amazonaws.com" ? [] : [local.account]
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [condition.value]
      }
    }
  }

  dynamic "statement" {
    for_each = each.key == "airflow" && length(var.airflow_trusted_arns) > 0 ? [var.airflow_trusted_arns] : []
    content {
      sid     = "AirflowElsewhere"
      actions = ["sts:AssumeRole"]
      principals {
        type        = "AWS"
        identifiers = statement.value
      }
    }
  }
}

locals {
  documents = merge(
    {
      plan            = data.aws_iam_policy_document.plan
      harmonize       = data.aws_iam_policy_document.harmonize
      build           = data.aws_iam_policy_document.build
      train           = data.aws_iam_policy_document.train
      run_tasks       = data.aws_iam_policy_document.run_tasks
      run_training    = data.aws_iam_policy_document.run_training
      announce        = data.aws_iam_policy_document.announce
      pull_images     = data.aws_iam_policy_document.pull_images
      write_task_logs = data.aws_iam_policy_document.write_task_logs
    },
    { for document in data.aws_iam_policy_document.use_keys : "use_keys" => document },
    { for document in data.aws_iam_policy_document.read_salt : "read_salt" => document },
    { for document in data.aws_iam_policy_document.run_jobs : "run_jobs" => document },
    { for document in data.aws_iam_policy_document.open_session : "open_session" => document },
  )
}

resource "aws_iam_policy" "vitalprep" {
  for_each = local.documents

  name   = "${var.name}-${replace(each.key, "_", "-")}"
  policy = each.value.json
}
