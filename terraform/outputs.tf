output "environment" {
  description = "Environment variables for the DAG; `make env-from-terraform` writes them into .env."
  value = merge({
    AWS_DEFAULT_REGION              = var.region
    VITALPREP_BACKEND               = var.batch ? "batch" : "ecs"
    VITALPREP_INPUT                 = "s3://${local.raw_bucket}/${var.raw_prefix}"
    VITALPREP_OUTPUT                = "s3://${local.output.bucket}"
    VITALPREP_ECS_CLUSTER           = aws_ecs_cluster.tasks.name
    VITALPREP_ECS_WORKER_TASK       = aws_ecs_task_definition.tasks["worker"].family
    VITALPREP_ECS_SHARD_CPU         = tostring(var.worker_size.cpu) # as in the task definition; Airflow's page uses it for cost estimates
    VITALPREP_ECS_SHARD_MEMORY      = tostring(var.worker_size.memory)
    VITALPREP_ECS_BUILDER_TASK      = aws_ecs_task_definition.tasks["builder"].family
    VITALPREP_ECS_CPU_ARCHITECTURE  = var.cpu_architecture # whose prices `vitalprep cost` and Airflow's page show
    VITALPREP_ECS_CONTAINER         = local.container
    VITALPREP_ECS_SUBNETS           = join(",", local.subnet_ids)
    VITALPREP_ECS_SECURITY_GROUPS   = aws_security_group.tasks.id
    VITALPREP_ECS_ASSIGN_PUBLIC_IP  = tostring(var.assign_public_ip) # without a NAT gateway, a task needs it to reach ECR and CloudWatch
    VITALPREP_ECS_LOG_GROUP         = aws_cloudwatch_log_group.tasks.name
    VITALPREP_ECS_LOG_STREAM_PREFIX = local.log_prefix
    VITALPREP_SAGEMAKER_ROLE        = aws_iam_role.vitalprep["sagemaker"].arn
    VITALPREP_SAGEMAKER_IMAGE       = local.image
    VITALPREP_SAGEMAKER_TAGS        = join(",", [for key, value in local.tags : "${key}=${value}" if !strcontains("${key}${value}", " ")]) # .env has no spaces
    VITALPREP_NOTIFY_TOPIC          = aws_sns_topic.runs.arn
    }, var.batch ? {
    VITALPREP_BATCH_SPOT_QUEUE   = aws_batch_job_queue.tasks["spot"].name
    VITALPREP_BATCH_QUEUE        = aws_batch_job_queue.tasks["on-demand"].name
    VITALPREP_BATCH_WORKER_JOB   = aws_batch_job_definition.tasks["worker"].name
    VITALPREP_BATCH_BUILDER_JOB  = aws_batch_job_definition.tasks["builder"].name
    VITALPREP_BATCH_SHARD_CPU    = tostring(var.worker_size.cpu)
    VITALPREP_BATCH_SHARD_MEMORY = tostring(var.worker_size.memory)
    VITALPREP_BATCH_LOG_GROUP    = aws_cloudwatch_log_group.tasks.name
  } : {})
}

output "runner_task" {
  description = "Task definition that does a whole `vitalprep run`; `make run-on-aws` starts it."
  value       = aws_ecs_task_definition.tasks["runner"].family
}

output "platform" {
  description = "What `make push` builds the worker's image for: the platform of cpu_architecture."
  value       = local.platforms[var.cpu_architecture]
}

output "repositories" {
  description = "URLs of the image repositories."
  value       = { for name, repository in aws_ecr_repository.images : name => repository.repository_url }
}

output "airflow_role" {
  description = "Role for an Airflow that runs elsewhere, or for a person who submits jobs (airflow_trusted_arns)."
  value       = aws_iam_role.vitalprep["airflow"].arn
}

output "airflow_host" {
  description = "Id of the Airflow host; null if there is none."
  value       = one([for host in aws_instance.airflow : host.id])
}

output "interruptions" {
  description = "Log group with one line per spot interruption of an ECS task."
  value       = aws_cloudwatch_log_group.interruptions.name
}
