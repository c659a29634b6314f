locals {
  training_jobs = "arn:${local.partition}:sagemaker:${var.region}:${local.account}:training-job/${var.name}-*"
  batch         = "arn:${local.partition}:batch:${var.region}:${local.account}"
  ecs           = "arn:${local.partition}:ecs:${var.region}:${local.account}"
  task_arns     = "${local.ecs}:task/${aws_ecs_cluster.tasks.name}/*"
  training_logs = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:/aws/sagemaker/TrainingJobs"
}

# SageMaker's own actions in a training job's role: logs, metrics, and storing the (empty) model.
data "aws_iam_policy_document" "train" {
  statement {
    sid       = "WriteJobOutput"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.output.arn}/sagemaker/*"]
  }
  statement {
    sid       = "ReadWhatTheOtherHostsSay" # <job>/<region>-<account>/{first-host,failure-<host>}.json
    actions   = ["s3:GetObject"]
    resources = ["${local.output.arn}/sagemaker/*.json"]
  }
  statement {
    sid       = "ListJobOutput"
    actions   = ["s3:ListBucket"]
    resources = [local.output.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["sagemaker/*"]
    }
  }
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = [local.training_logs, "${local.training_logs}:*"]
  }
  statement {
    sid       = "WriteMetrics"
    actions   = ["cloudwatch:PutMetricData"] # supports no resources; limited by the namespace
    resources = ["*"]
    condition {
      test     = "StringLike"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/*"]
    }
  }
}

# Calls of the ECS operator and of make run-on-aws: RunTask, DescribeTasks, ListTasks (to reattach to a task after a
# restart of the operator), StopTask, and reading the task's log.
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
    actions   = ["ecs:ListTasks"] # supports no resources for Fargate tasks; limited by the cluster
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
    resources = [for role in concat(["execution"], keys(local.tasks)) : aws_iam_role.vitalprep[role].arn]
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
  statement {
    sid       = "FollowTaskLogs" # aws logs tail
    actions   = ["logs:FilterLogEvents"]
    resources = ["${aws_cloudwatch_log_group.tasks.arn}:*"]
  }
}

# Calls of the Batch operator. Its jobs log to the same group as ECS tasks.
data "aws_iam_policy_document" "run_jobs" {
  count = var.batch ? 1 : 0

  statement {
    sid     = "SubmitJobs"
    actions = ["batch:SubmitJob"]
    resources = concat(
      [for queue in aws_batch_job_queue.tasks : queue.arn],
      [for job in aws_batch_job_definition.tasks : "${local.batch}:job-definition/${job.name}"],
      [for job in aws_batch_job_definition.tasks : "${local.batch}:job-definition/${job.name}:*"],
      ["${local.batch}:job/*"], # AWS lists the job that is made among the resources of SubmitJob
    )
  }
  statement {
    sid       = "TagAndStopJobs"
    actions   = ["batch:TagResource", "batch:TerminateJob"]
    resources = ["${local.batch}:job/*"]
  }
  statement {
    sid       = "FindJobs"
    actions   = ["batch:DescribeJobs", "batch:ListJobs"] # support no resources
    resources = ["*"]
  }
}

# Calls of the SageMaker operator and `vitalprep submit`. Job names begin with var.name.
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
    sid       = "ReadWhyJobsFailed"
    actions   = ["s3:GetObject"]
    resources = ["${local.output.arn}/sagemaker/*.json"]
  }
  statement {
    sid       = "ListJobOutput"
    actions   = ["s3:ListBucket"]
    resources = [local.output.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["sagemaker/*"]
    }
  }
  statement {
    sid       = "FindJobLogs"
    actions   = ["logs:DescribeLogStreams"] # IAM checks GROUP:log-stream:, whatever the prefix
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
    actions   = ["ecr:GetAuthorizationToken"] # supports no resources
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

# Only SSM's Session Manager; none of these actions supports resources.
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
