# AWS Batch, with batch = true: a queue on Fargate Spot for shards, one on demand for all else, and the worker's jobs.
# Without running jobs it costs nothing. Airflow submits one job for each shard (VITALPREP_BACKEND=batch).

locals {
  batch_queues = { for name, type in { spot = "FARGATE_SPOT", on-demand = "FARGATE" } : name => type if var.batch }
  batch_jobs   = { for name in ["worker", "builder"] : name => local.tasks[name] if var.batch }
}

resource "aws_batch_compute_environment" "tasks" {
  for_each = local.batch_queues

  name = "${var.name}-${each.key}"
  type = "MANAGED"

  compute_resources {
    type               = each.value
    max_vcpus          = var.batch_max_vcpus
    subnets            = local.subnet_ids
    security_group_ids = [aws_security_group.tasks.id]
  }
}

resource "aws_batch_job_queue" "tasks" {
  for_each = local.batch_queues

  name     = "${var.name}-${each.key}"
  state    = "ENABLED"
  priority = 1

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.tasks[each.key].arn
  }
}

resource "aws_batch_job_definition" "tasks" {
  for_each = local.batch_jobs

  name                  = "${var.name}-${each.key}"
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true

  # Airflow sets the command and the retry strategy. Batch offers no volume for /tmp on Fargate, so the root file system
  # can be written to.
  container_properties = jsonencode({
    image            = local.image
    executionRoleArn = aws_iam_role.vitalprep["execution"].arn
    jobRoleArn       = aws_iam_role.vitalprep[each.key].arn
    resourceRequirements = [
      { type = "VCPU", value = tostring(each.value.size.cpu / 1024) },
      { type = "MEMORY", value = tostring(each.value.size.memory) },
    ]
    runtimePlatform      = { operatingSystemFamily = "LINUX", cpuArchitecture = var.cpu_architecture }
    networkConfiguration = { assignPublicIp = var.assign_public_ip ? "ENABLED" : "DISABLED" }
    environment          = local.environments[each.key]
    secrets              = each.value.secrets
    logConfiguration     = local.log_configuration
  })

  tags = { stages = each.value.stages }
}
