# What the provider's schema cannot know. Runs without an account: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "as_it_comes" {
  variables {
    alarm_email = "team@example.org"
  }

  # Tasks

  assert {
    condition     = aws_ecs_cluster_capacity_providers.tasks.capacity_providers == toset(["FARGATE", "FARGATE_SPOT"])
    error_message = "The cluster offers exactly FARGATE and FARGATE_SPOT; another spelling is refused only by AWS."
  }
  assert {
    condition     = [for one in aws_ecs_cluster_capacity_providers.tasks.default_capacity_provider_strategy : one.capacity_provider] == ["FARGATE_SPOT"]
    error_message = "A task that names no strategy runs on spot."
  }
  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.tasks :
      contains(local.fargate_memory[tonumber(task.cpu)], tonumber(task.memory))
    ])
    error_message = "Every task definition has a pair of cpu and memory that Fargate sells."
  }
  assert {
    condition     = tonumber(aws_ecs_task_definition.tasks["builder"].cpu) > tonumber(aws_ecs_task_definition.tasks["worker"].cpu)
    error_message = "The builder is the larger of the two."
  }
  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.tasks : alltrue([
        for container in jsondecode(task.container_definitions) :
        container.name == "vitalprep" && container.stopTimeout == 120 && container.readonlyRootFilesystem
        && !container.privileged && container.linuxParameters.capabilities.drop == ["ALL"]
      ])
    ])
    error_message = "Containers: named vitalprep, 120 s to stop, read-only, without privileges and capabilities."
  }
  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.tasks :
      task.requires_compatibilities == toset(["FARGATE"]) && task.network_mode == "awsvpc"
      && contains(["X86_64", "ARM64"], task.runtime_platform[0].cpu_architecture)
    ])
    error_message = "Fargate runs awsvpc tasks on X86_64 or ARM64."
  }
  assert {
    condition     = length(distinct([for task in aws_ecs_task_definition.tasks : task.family])) == 3
    error_message = "Worker, builder and runner are three families."
  }
  assert {
    condition = (
      aws_ecs_task_definition.tasks["runner"].family == output.runner_task &&
      aws_ecs_task_definition.tasks["runner"].cpu == "8192" && aws_ecs_task_definition.tasks["runner"].memory == "16384"
    )
    error_message = "The runner has the size that vitalprep cost reckons with."
  }
  assert {
    condition = {
      for name, task in aws_ecs_task_definition.tasks : name => [for disk in task.ephemeral_storage : disk.size_in_gib]
    } == { worker = [], builder = [], runner = [50] }
    error_message = "Only the runner has more disk than Fargate includes: a single file of records is buffered there."
  }

  # Storage

  assert {
    condition     = toset(keys(aws_s3_bucket.data)) == toset(["raw", "output"])
    error_message = "Both buckets are made where no raw bucket is named."
  }
  assert {
    condition = alltrue([
      for name in keys(aws_s3_bucket.data) : alltrue([
        aws_s3_bucket_public_access_block.data[name].block_public_acls,
        aws_s3_bucket_public_access_block.data[name].block_public_policy,
        aws_s3_bucket_public_access_block.data[name].ignore_public_acls,
        aws_s3_bucket_public_access_block.data[name].restrict_public_buckets,
        aws_s3_bucket_ownership_controls.data[name].rule[0].object_ownership == "BucketOwnerEnforced",
        aws_s3_bucket_versioning.data[name].versioning_configuration[0].status == "Enabled",
        !aws_s3_bucket.data[name].force_destroy,
      ])
    ])
    error_message = "No bucket is public, unversioned, owned by its writers, or deleted with what is in it."
  }
  assert {
    condition = alltrue([
      for name in keys(aws_s3_bucket.data) :
      one(one(aws_s3_bucket_server_side_encryption_configuration.data[name].rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    ])
    error_message = "Buckets are encrypted with SSE-S3 where no key is named."
  }
  assert {
    condition = alltrue([
      for name in keys(aws_s3_bucket.data) : anytrue([
        for statement in data.aws_iam_policy_document.tls_only[name].statement :
        statement.effect == "Deny" && statement.actions == toset(["s3:*"]) && one(statement.condition).variable == "aws:SecureTransport"
      ])
    ])
    error_message = "Every bucket refuses requests without TLS."
  }
  assert {
    condition = alltrue([
      for bucket in aws_s3_bucket_lifecycle_configuration.data :
      anytrue([for rule in bucket.rule : try(rule.abort_incomplete_multipart_upload[0].days_after_initiation <= 7, false)])
    ])
    error_message = "Uploads that were broken off are removed within a week."
  }
  assert {
    condition = [
      for rule in aws_s3_bucket_lifecycle_configuration.data["output"].rule : rule.filter[0].prefix
      if try(rule.expiration[0].days, 0) > 0
    ] == ["harmonized/"]
    error_message = "Only harmonized tables grow old: never plans, accounting or data sets."
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.data["raw"].rule : try(rule.expiration[0].days, 0) == 0])
    error_message = "Recordings never expire."
  }
  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.images :
      repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push
    ])
    error_message = "Images are scanned when pushed and their tags never move."
  }

  # Rights

  assert {
    condition = alltrue(flatten([
      for document in local.documents : [
        for statement in document.statement : [for action in statement.actions : !strcontains(action, "*")]
      ]
    ]))
    error_message = "No role is granted actions by `*`."
  }
  assert {
    condition = alltrue([
      for statement in flatten(values(local.documents)[*].statement) : !contains(statement.resources, "*") || alltrue([
        for action in statement.actions : contains([
          "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", "ecs:ListTasks",
          "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
          "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
        ], action)
      ])
    ])
    error_message = "Only actions that have no resources are granted on all of them."
  }
  assert {
    condition = alltrue([
      for statement in flatten(values(local.documents)[*].statement) : anytrue([for condition in statement.condition : condition.variable == "s3:prefix"])
      if contains(statement.actions, "s3:ListBucket")
    ])
    error_message = "Buckets are listed below the prefixes of a stage only."
  }
  assert {
    condition = alltrue([
      for statement in flatten(values(local.documents)[*].statement) :
      [for condition in statement.condition : condition.variable] == ["iam:PassedToService"]
      if contains(statement.actions, "iam:PassRole")
    ])
    error_message = "Roles are passed to the service that is meant, and to no other."
  }
  assert {
    condition = alltrue([
      for name, document in local.documents : name == "plan" || alltrue([
        for statement in document.statement : alltrue([
          for resource in statement.resources : endswith(resource, "/datasets/*/validation.json")
        ])
        if contains(statement.actions, "s3:DeleteObject")
      ])
    ])
    error_message = "Only planning (--force) deletes; other stages withdraw verdicts only."
  }
  assert {
    condition = alltrue([
      for statement in flatten(values(local.documents)[*].statement) : alltrue([
        for resource in statement.resources : !strcontains(resource, local.raw_bucket)
      ])
      if length(setintersection(statement.actions, ["s3:PutObject", "s3:DeleteObject"])) > 0
    ])
    error_message = "Nobody writes to the recordings."
  }
  assert {
    condition = (
      local.grants.worker == ["harmonize"] && local.grants.builder == ["build"] &&
      local.grants.runner == ["plan", "harmonize", "build"]
    )
    error_message = "A task has its stages' rights and no more."
  }

  # Network

  assert {
    condition     = length(aws_subnet.tasks) == 3 && alltrue([for subnet in aws_subnet.tasks : !coalesce(subnet.map_public_ip_on_launch, false)])
    error_message = "Three zones, and nothing gets a public address unless it asks for one."
  }
  assert {
    condition     = length(aws_security_group.tasks.ingress) == 0 && length(aws_default_security_group.unused[0].ingress) == 0
    error_message = "No security group lets anything in."
  }
  assert {
    condition     = aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway" && endswith(aws_vpc_endpoint.s3[0].service_name, ".s3")
    error_message = "S3 is reached by the free gateway endpoint."
  }
  assert {
    condition     = length(aws_instance.airflow) == 0
    error_message = "No host that costs by the hour unless it is asked for."
  }

  # Money and messages

  assert {
    condition     = aws_budgets_budget.monthly[0].limit_amount == "30.00" && aws_budgets_budget.monthly[0].time_unit == "MONTHLY"
    error_message = "The alarm is at $30 a month."
  }
  assert {
    condition     = alltrue([for one in aws_budgets_budget.monthly[0].notification : contains(one.subscriber_email_addresses, "team@example.org")])
    error_message = "The alarm goes to the address."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.interruptions.event_pattern).detail.stopCode[0] == "SpotInterruption"
    error_message = "Spot interruptions are what is recorded."
  }
  assert {
    condition     = alltrue([for group in [aws_cloudwatch_log_group.tasks, aws_cloudwatch_log_group.insights, aws_cloudwatch_log_group.interruptions] : group.retention_in_days == 365])
    error_message = "Logs are kept for a year, not for ever."
  }
  assert {
    condition     = aws_cloudwatch_log_group.insights.name == "/aws/ecs/containerinsights/${aws_ecs_cluster.tasks.name}/performance"
    error_message = "Container Insights finds its group and makes none of its own, which nobody would remove."
  }
  assert {
    condition     = startswith(aws_cloudwatch_log_group.interruptions.name, "/aws/events/")
    error_message = "EventBridge can write only to groups below /aws/events/."
  }

  # What Airflow and make are told

  assert {
    condition     = output.platform == "linux/amd64"
    error_message = "The image is built for the architecture that tasks run on."
  }

  assert {
    condition = toset(keys(output.environment)) == toset([
      "AWS_DEFAULT_REGION", "VITALPREP_BACKEND", "VITALPREP_INPUT", "VITALPREP_OUTPUT",
      "VITALPREP_ECS_ASSIGN_PUBLIC_IP", "VITALPREP_ECS_BUILDER_TASK", "VITALPREP_ECS_CLUSTER", "VITALPREP_ECS_CONTAINER",
      "VITALPREP_ECS_CPU_ARCHITECTURE",
      "VITALPREP_ECS_LOG_GROUP", "VITALPREP_ECS_LOG_STREAM_PREFIX", "VITALPREP_ECS_SECURITY_GROUPS",
      "VITALPREP_ECS_SHARD_CPU", "VITALPREP_ECS_SHARD_MEMORY", "VITALPREP_ECS_SUBNETS", "VITALPREP_ECS_WORKER_TASK",
      "VITALPREP_SAGEMAKER_IMAGE", "VITALPREP_SAGEMAKER_ROLE", "VITALPREP_SAGEMAKER_TAGS", "VITALPREP_NOTIFY_TOPIC",
    ])
    error_message = "The DAG's environment has exactly these names."
  }
  assert {
    condition     = output.environment.VITALPREP_INPUT == "s3://vitalprep-raw-111122223333-eu-north-1/raw-data"
    error_message = "The input is the folder that the workers may read."
  }
}
