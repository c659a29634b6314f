# SNS topic to which Airflow publishes finished and failed runs.
resource "aws_sns_topic" "runs" {
  #checkov:skip=CKV_AWS_26:Messages contain only a data set's id and counts. The AWS-managed SNS key would lock out AWS Budgets; a customer key costs $1 a month.
  name = "${var.name}-runs"
}

data "aws_iam_policy_document" "runs_topic" {
  statement {
    sid       = "BudgetAlarm"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.runs.arn]
    principals {
      type        = "Service"
      identifiers = ["budgets.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.runs.arn]
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

resource "aws_sns_topic_policy" "runs" {
  arn    = aws_sns_topic.runs.arn
  policy = data.aws_iam_policy_document.runs_topic.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(compact([var.alarm_email]))

  topic_arn = aws_sns_topic.runs.arn
  protocol  = "email"
  endpoint  = each.value
}

# Covers the whole account instead of a tag, because tags must first be activated for billing. An account that has its
# own budgets needs none (budget_usd = null).
resource "aws_budgets_budget" "monthly" {
  count = var.budget_usd == null ? 0 : 1

  name         = var.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_unit   = "USD"
  limit_amount = format("%.2f", var.budget_usd)

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type         = notification.key
      comparison_operator       = "GREATER_THAN"
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.runs.arn]
      # Also sent directly by e-mail, which needs no confirmation.
      subscriber_email_addresses = compact([var.alarm_email])
    }
  }
}

check "someone_is_told" {
  assert {
    condition     = var.alarm_email != null
    error_message = "alarm_email is not set: nobody is notified when ${var.budget_usd == null ? "" : "the budget is spent or "}a run fails."
  }
}

# Logs one line per spot interruption, to count whether spot is worth it.
resource "aws_cloudwatch_event_rule" "interruptions" {
  name        = "${var.name}-spot-interruptions"
  description = "Tasks of ${var.name} interrupted by Fargate Spot"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail = {
      clusterArn = [aws_ecs_cluster.tasks.arn]
      lastStatus = ["STOPPED"] # the last of several events of one interruption
      stopCode   = ["SpotInterruption", "TerminationNotice"]
    }
  })
}

resource "aws_cloudwatch_log_group" "interruptions" {
  #checkov:skip=CKV_AWS_158:Events contain only ARNs and times; set kms_key_arn to use a customer key.
  name              = "/aws/events/${var.name}-spot-interruptions" # EventBridge writes only below /aws/events/
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_cloudwatch_event_target" "interruptions" {
  rule       = aws_cloudwatch_event_rule.interruptions.name
  arn        = aws_cloudwatch_log_group.interruptions.arn
  depends_on = [aws_cloudwatch_log_resource_policy.interruptions]
}

data "aws_iam_policy_document" "record_interruptions" {
  statement {
    sid       = "OpenStream" # no condition on the rule's ARN, because EventBridge does not pass it to CreateLogStream
    actions   = ["logs:CreateLogStream"]
    resources = ["${aws_cloudwatch_log_group.interruptions.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
  }
  statement {
    sid       = "Record"
    actions   = ["logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.interruptions.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.interruptions.arn]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "interruptions" {
  policy_name     = "${var.name}-spot-interruptions"
  policy_document = data.aws_iam_policy_document.record_interruptions.json
}
