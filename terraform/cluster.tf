locals {
  # Sizes that Fargate offers on Linux: cpu in 1/1024 vCPU => memory in MiB.
  # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
  fargate_memory = {
    256   = [512, 1024, 2048]
    512   = range(1024, 4097, 1024)
    1024  = range(2048, 8193, 1024)
    2048  = range(4096, 16385, 1024)
    4096  = range(8192, 30721, 1024)
    8192  = range(16384, 61441, 4096)
    16384 = range(32768, 122881, 8192)
  }

  container  = "vitalprep"
  log_prefix = "task"
  salt       = [for arn in compact([var.subject_salt_secret_arn]) : { name = "VITALPREP_SUBJECT_SALT", valueFrom = arn }]

  tasks = {
    worker = {
      size    = var.worker_size
      disk    = null
      stages  = "harmonize on spot"
      secrets = []
      metrics = "emf" # numbers of finished cases and bytes, as metrics that CloudWatch extracts from the log
    }
    builder = {
      size    = var.builder_size
      disk    = null
      stages  = "build publish validate on demand"
      secrets = local.salt
      metrics = null
    }
    runner = { # a whole `vitalprep run`, without Airflow: make run-on-aws
      size    = var.runner_size
      disk    = var.runner_disk_gib
      stages  = "run"
      secrets = local.salt
      metrics = null
    }
  }
}

locals {
  environments = {
    for name, task in local.tasks : name => concat(
      [{ name = "AWS_REGION", value = var.region }],
      [for format in compact([task.metrics]) : { name = "VITALPREP_METRICS", value = format }],
    )
  }

  log_configuration = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.tasks.name
      awslogs-region        = var.region
      awslogs-stream-prefix = local.log_prefix
      mode                  = "non-blocking" # a slow CloudWatch must not block the worker
      max-buffer-size       = "25m"
    }
  }
}

resource "aws_ecs_cluster" "tasks" {
  name = var.name

  setting {
    name  = "containerInsights" # shows a shard's peak memory, by which to choose its size
    value = "enabled"
  }

  depends_on = [aws_cloudwatch_log_group.insights] # else ECS creates the group, which is kept for ever
}

resource "aws_cloudwatch_log_group" "insights" {
  #checkov:skip=CKV_AWS_158:Contains only resource usage of tasks; set kms_key_arn to use a customer key.
  name              = "/aws/ecs/containerinsights/${var.name}/performance" # Container Insights writes only here
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_cluster_capacity_providers" "tasks" {
  cluster_name       = aws_ecs_cluster.tasks.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE_SPOT"
    weight            = 1
    base              = 0
  }
}

resource "aws_cloudwatch_log_group" "tasks" {
  #checkov:skip=CKV_AWS_158:Log lines contain only case numbers and counts; set kms_key_arn to use a customer key.
  name              = "/${var.name}/tasks"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "tasks" {
  for_each = local.tasks

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.size.cpu
  memory                   = each.value.size.memory
  execution_role_arn       = aws_iam_role.vitalprep["execution"].arn
  task_role_arn            = aws_iam_role.vitalprep[each.key].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  dynamic "ephemeral_storage" { # Fargate includes 20 GiB
    for_each = compact([each.value.disk])
    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  volume {
    name = "tmp" # the root file system is read-only
  }

  # Airflow or `make run-on-aws` sets the command; the image's entry point is `vitalprep`.
  container_definitions = jsonencode([{
    name                   = local.container
    image                  = local.image
    essential              = true
    stopTimeout            = 120 # Fargate's maximum; a worker exits within 30 s
    readonlyRootFilesystem = true
    privileged             = false
    linuxParameters        = { capabilities = { add = [], drop = ["ALL"] }, initProcessEnabled = false }
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    environment            = local.environments[each.key]
    secrets                = each.value.secrets
    logConfiguration       = local.log_configuration
  }])

  tags = { stages = each.value.stages }
}
