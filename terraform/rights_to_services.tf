locals {
  training_jobs = "arn:${local.partition}:sagemaker:${var.region}:${local.account}:training-job/${var.name}-*"
  ecs           = "arn:${local.partition}:ecs:${var.region}:${local.account}"
  task_arns     = "${local.ecs}:task/${aws_ecs_cluster.tasks.name}/*"
  training_logs = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:/aws/sagemaker/TrainingJobs"
}

# What SageMaker does around a training job in that job's role: logs, metrics, and the (empty) model it insists on storing.
data "aws_iam_policy_document" "train" {
  statement {
    sid       = "WriteJobOutput"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.output.arn}/sagemaker/*"]
  }
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = [local.training_logs, "${local.training_logs}:*"]
  }
  statement {
    sid       = "WriteMetrics"
    actions   = ["cloudwatch:PutMetricData"] # has no resources; the name space is its bound
    resources = ["*"]
    condition {
      test     = "StringLike"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/*"]
    }
  }
}

# What the ECS operator calls: RunTask, DescribeTasks, ListTasks (to take up a task it had started before it died),
# StopTask, and the log lines of the task.
data "aws_iam_policy_document" "run_tasks" {
  statement {
    sid       = "RunTasks"
    actions   = ["ecs:RunTask"]
    resources = [for task in aws_ecs_task_definition.tasks : "${local.ecs}:task-definition/${task.family}:*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [aws_ecs_cluster.tasks.arn]
    }
  }
  statement {
    sid       = "FollowAndStopTasks"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = [local.task_arns]
  }
  statement {
    sid       = "FindTasks"
    actions   = ["ecs:ListTasks"] # has no resources for Fargate tasks; the cluster is its bound
    resources = ["*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [aws_ecs_cluster.tasks.arn]
    }
  }
  statement {
    sid       = "TagTasks"
    actions   = ["ecs:TagResource"]
    resources = [local.task_arns]
    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }
  statement {
    sid       = "PassTaskRoles"
    actions   = ["iam:PassRole"]
    resources = [for role in ["execution", "worker", "builder"] : aws_iam_role.vitalprep[role].arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
  statement {
    sid       = "ReadTaskLogs"
    actions   = ["logs:GetLogEvents"]
    resources = ["${aws_cloudwatch_log_group.tasks.arn}:log-stream:*"]
  }
}

# What the SageMaker operator and `vitalprep submit` call. The jobs' names begin with var.name.
data "aws_iam_policy_document" "run_training" {
  statement {
    sid = "RunJobs"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateTrainingJob",
      "sagemaker:DescribeTrainingJob",
      "sagemaker:StopTrainingJob",
    ]
    resources = [local.training_jobs]
  }
  statement {
    sid       = "PassJobRole"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.vitalprep["sagemaker"].arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }
  statement {
    sid       = "FindJobLogs"
    actions   = ["logs:DescribeLogStreams"] # IAM is asked for the group as GROUP:log-stream:, whatever prefix is named
    resources = [local.training_logs, "${local.training_logs}:*"]
  }
  statement {
    sid       = "ReadJobLogs"
    actions   = ["logs:GetLogEvents"]
    resources = ["${local.training_logs}:log-stream:${var.name}-*"]
  }
}

data "aws_iam_policy_document" "announce" {
  statement {
    sid       = "AnnounceRuns"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.runs.arn]
  }
}

data "aws_iam_policy_document" "pull_images" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"] # has no resources
    resources = ["*"]
  }
  statement {
    sid       = "Pull"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [for repository in aws_ecr_repository.images : repository.arn]
  }
}

data "aws_iam_policy_document" "write_task_logs" {
  statement {
    sid       = "WriteTaskLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.tasks.arn}:log-stream:*"]
  }
}

data "aws_iam_policy_document" "read_salt" {
  count = var.subject_salt_secret_arn == null ? 0 : 1

  statement {
    sid       = "ReadSalt"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.subject_salt_secret_arn]
  }
}

# Session Manager and nothing else of SSM; none of these actions has resources.
data "aws_iam_policy_document" "open_session" {
  count = var.airflow_host ? 1 : 0

  statement {
    sid = "OpenSession"
    actions = [
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }
}
